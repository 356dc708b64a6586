//go:build unix

package main

import (
	"os"
	"syscall"
)

// mapping is a file in memory, read-only. Its pages are shared between processes, and the system drops and reads them
// again as it needs.
type mapping struct {
	data []byte
	own  bool // a file of this user's: of others', the system does not tell what it has in memory
}

func openMapping(path string) (*mapping, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // the mapping stays
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return &mapping{}, nil // refused by its length
	}
	data, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	stat, known := info.Sys().(*syscall.Stat_t)
	return &mapping{data, known && int(stat.Uid) == os.Geteuid()}, nil
}

func (m *mapping) close() {
	if m.data != nil {
		_ = syscall.Munmap(m.data) // fails for a wrong address only
		m.data = nil
	}
}
