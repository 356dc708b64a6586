package main

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const mappingsRest = true

// rest takes the pages out of this process. The system keeps them in its cache as long as it has room, and the next read
// maps them again.
func (m *mapping) rest() {
	if m.data != nil {
		_ = unix.Madvise(m.data, unix.MADV_DONTNEED) // fails for a wrong address only
	}
}

// cached tells whether the system has all pages of a part of the file in memory. Otherwise, or if it does not tell,
// they will be read from the disk.
func (m *mapping) cached(part []byte) bool {
	if !m.own {
		return false
	}
	page := os.Getpagesize()
	begin := int(uintptr(unsafe.Pointer(&part[0]))-uintptr(unsafe.Pointer(&m.data[0]))) / page * page
	end := int(uintptr(unsafe.Pointer(&part[len(part)-1]))-uintptr(unsafe.Pointer(&m.data[0]))) + 1
	pages := make([]byte, (end-begin+page-1)/page)
	_, _, failed := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m.data[begin])), uintptr(end-begin), uintptr(unsafe.Pointer(&pages[0])))
	if failed != 0 {
		return false
	}
	for _, state := range pages {
		if state&1 == 0 {
			return false
		}
	}
	return true
}
