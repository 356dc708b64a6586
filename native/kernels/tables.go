package kernels

// #include <stdlib.h>
// #include "kernels.h"
import "C"

import "unsafe"

// Tables are the twiddles of one prime, in C's memory.
type Tables struct {
	c      C.ntt_tables
	memory []unsafe.Pointer
}

// Roots are what a transform needs, out of Montgomery form, in the order of Lattigo's tables: bit-reversed powers.
type Roots struct {
	Forward, Backward []uint64 // 2N in the conjugate-invariant ring, N in the standard one
	Scale             uint64   // the last factor of the inverse
	Conjugate         bool
}

// NewTables lays the roots out for this set. n: values of a limb.
func (s *Set) NewTables(q uint64, n int, roots Roots) *Tables {
	t := &Tables{}
	t.c.q, t.c.n = C.uint32_t(q), C.uint32_t(n)
	t.c.scale = pair(roots.Scale, q)
	if roots.Conjugate {
		t.c.conjugate = 1
		t.c.mirror, t.c.imirror = pair(roots.Forward[1], q), pair(roots.Backward[1], q)
	}
	forward, backward := byStage(roots.Forward, n, roots.Conjugate), byStage(roots.Backward, n, roots.Conjugate)
	t.c.w, t.c.w_shoup, t.c.near, t.c.near_shoup = t.lay(s, forward, q)
	t.c.iw, t.c.iw_shoup, t.c.inear, t.c.inear_shoup = t.lay(s, backward, q)
	return t
}

// Close frees the tables.
func (t *Tables) Close() {
	for _, memory := range t.memory {
		C.free(memory)
	}
	t.memory = nil
}

// byStage picks the n twiddles of the radix-2 stages: block i of h has w[h + i]. The conjugate-invariant ring uses
// the first half of each of the larger ring's stages.
func byStage(roots []uint64, n int, conjugate bool) []uint64 {
	if !conjugate {
		return roots[:n]
	}
	out := make([]uint64, n)
	for h := 1; h < n; h *= 2 {
		copy(out[h:2*h], roots[2*h:3*h])
	}
	return out
}

func (t *Tables) lay(s *Set, w []uint64, q uint64) (plain, shoup, near, nearShoup *C.uint32_t) {
	n := len(w)
	plain, shoup = t.allocate(n), t.allocate(n)
	values, quotients := unsafe.Slice(plain, n), unsafe.Slice(shoup, n)
	for i, root := range w {
		values[i], quotients[i] = C.uint32_t(root), C.uint32_t(root<<32/q)
	}
	count := int(C.near_size(C.uint32_t(n), s.c.lanes))
	near, nearShoup = t.allocate(count), t.allocate(count)
	C.near_twiddles(near, plain, C.uint32_t(n), s.c.lanes)
	C.near_twiddles(nearShoup, shoup, C.uint32_t(n), s.c.lanes)
	return plain, shoup, near, nearShoup
}

func (t *Tables) allocate(count int) *C.uint32_t {
	memory := C.malloc(C.size_t(4 * max(count, 1)))
	if memory == nil {
		t.Close()
		panic(ErrMemory)
	}
	t.memory = append(t.memory, memory)
	return (*C.uint32_t)(memory)
}

func pair(value, q uint64) [2]C.uint32_t {
	return [2]C.uint32_t{C.uint32_t(value), C.uint32_t(value << 32 / q)}
}
