//go:build !linux

package main

// Elsewhere, advice to drop pages is none to do it now, or they are no pages of a file.
const mappingsRest = false

func (m *mapping) rest() {}

func (m *mapping) cached([]byte) bool { return false }
