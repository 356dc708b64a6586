package main

// #cgo CFLAGS: -O3
// #include "kernels.h"
import "C"

import "unsafe"

// The wrappers of kernels.c. Lists of limbs reach C as lists of pointers, which is allowed because limbs live
// outside of Go's heap.

type narrowList []*C.uint32_t
type wideList []*C.uint64_t

func narrowPointer(limb []uint32) *C.uint32_t {
	return (*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(limb)))
}

func widePointer(limb []uint64) *C.uint64_t {
	return (*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(limb)))
}

func newModulus(q uint64) C.modulus {
	w := (uint64(1) << 32) % q
	return C.modulus{q: C.uint64_t(q), w: C.uint64_t(w), w_shoup: C.uint64_t(w << 32 / q), one_shoup: C.uint64_t((1 << 32) / q)}
}

// terms is a sum of products, see dot2: factors x0, x1 and plain values, each of which stands for `run` places.
type terms struct {
	x0, x1, plain narrowList
	run           int
}

func (t *terms) add(x0, x1, plain []uint32) {
	t.x0 = append(t.x0, narrowPointer(x0))
	t.x1 = append(t.x1, narrowPointer(x1))
	t.plain = append(t.plain, narrowPointer(plain))
}

func (t *terms) sum(out0, out1, add0, add1 []uint32, m *C.modulus) {
	if len(t.x0) == 0 {
		clear(out0)
		clear(out1)
		return
	}
	C.dot2(narrowPointer(out0), narrowPointer(out1), &t.x0[0], &t.x1[0], &t.plain[0], C.size_t(len(t.x0)),
		C.size_t(t.run), narrowPointer(add0), narrowPointer(add1), C.size_t(len(out0)), m)
}

func tensor(d0, d1, d2 []uint64, a0, a1, b0, b1 wideList, m *C.modulus) {
	C.tensor(widePointer(d0), widePointer(d1), widePointer(d2), &a0[0], &a1[0], &b0[0], &b1[0],
		C.size_t(len(a0)), C.size_t(len(d0)), m)
}

// gather permutes a limb and adds `add` to it unless that is nil.
func gather(out, in, index, add []uint32, m *C.modulus) {
	if add == nil {
		C.gather(narrowPointer(out), narrowPointer(in), narrowPointer(index), C.size_t(len(out)))
		return
	}
	C.gather_add(narrowPointer(out), narrowPointer(in), narrowPointer(index), narrowPointer(add),
		C.size_t(len(out)), C.uint32_t(m.q))
}

func addTo(out, in []uint32, m *C.modulus) {
	C.add_to(narrowPointer(out), narrowPointer(in), C.size_t(len(out)), C.uint32_t(m.q))
}

func narrow(out []uint32, in []uint64) {
	C.narrow(narrowPointer(out), widePointer(in), C.size_t(len(out)))
}

func narrowScaled(out []uint32, in []uint64, factor uint64, m *C.modulus) {
	C.narrow_scaled(narrowPointer(out), widePointer(in), C.uint64_t(factor), C.size_t(len(out)), m)
}

func widen(out []uint64, in []uint32) {
	C.widen(widePointer(out), narrowPointer(in), C.size_t(len(out)))
}

func residuesOf(out []uint64, in []int64, m *C.modulus) {
	C.residues_of(widePointer(out), (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(in))), C.size_t(len(out)), m)
}

func multiplyRuns(out, x []uint64, plain []uint32, run int, m *C.modulus) {
	C.multiply_runs(widePointer(out), widePointer(x), narrowPointer(plain), C.size_t(run), C.size_t(len(out)), m)
}

func addRuns(out, x []uint64, plain []uint32, run int, m *C.modulus) {
	C.add_runs(widePointer(out), widePointer(x), narrowPointer(plain), C.size_t(run), C.size_t(len(out)), m.q)
}
