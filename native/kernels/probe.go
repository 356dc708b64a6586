package kernels

/*
#include "kernels.h"
uint64_t probe_read(const uint64_t *data, size_t words);
uint64_t probe_multiply(const kernel_set *k, size_t rounds, uint64_t *out);
*/
import "C"

import "unsafe"

// ProbeRead reads memory once, as fast as one core can; the sum keeps the compiler from leaving it out.
func ProbeRead(data []uint32) uint64 {
	return uint64(C.probe_read((*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(data))), C.size_t(len(data)/2)))
}

// ProbeMultiply runs independent 32×32→64-bit products in the set's vectors and returns how many.
func (s *Set) ProbeMultiply(rounds int) uint64 {
	var sink C.uint64_t
	return uint64(C.probe_multiply(s.c, C.size_t(rounds), &sink))
}
