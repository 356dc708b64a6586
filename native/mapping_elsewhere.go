//go:build !linux

package main

// rest does nothing: elsewhere, advice to drop pages is none to do it now, or they are no pages of a file.
func (m *mapping) rest() {}

// cached is not known.
func (m *mapping) cached([]byte) bool { return false }
