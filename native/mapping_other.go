//go:build !unix

package main

import (
	"io"
	"os"
)

// mapping is a file read into memory, where there is no other way.
type mapping struct {
	data  []byte
	words []uint32
}

func openMapping(path string) (*mapping, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return &mapping{}, nil // refused by its length
	}
	m := &mapping{words: allocate(int(info.Size()+3) / 4)}
	m.data = bytesOf(m.words)[:info.Size()]
	if _, err := io.ReadFull(file, m.data); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *mapping) close() {
	release(m.words)
	m.data, m.words = nil, nil
}
