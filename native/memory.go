package main

// #include <stdlib.h>
import "C"

import (
	"sync"
	"unsafe"

	"github.com/tuneinsight/lattigo/v6/ring"
)

// Limbs and slabs live outside of Go's heap: they are large and few, are freed at a known moment, and may be
// handed to C in lists of pointers.

// allocate panics when memory runs out; the caller's `safely` makes an error of it.
func allocate[T uint32 | uint64](count int) []T {
	var word T
	// aligned_alloc wants a multiple of the alignment, one cache line.
	size := (uintptr(count)*unsafe.Sizeof(word) + 63) &^ 63
	pointer := C.aligned_alloc(64, C.size_t(size))
	if pointer == nil {
		panic("out of memory")
	}
	return unsafe.Slice((*T)(pointer), count)
}

func release[T uint32 | uint64](slab []T) {
	if slab != nil {
		C.free(unsafe.Pointer(unsafe.SliceData(slab)))
	}
}

// limbPool recycles limbs of one length; beyond keep idle limbs, memory goes back to the system.
type limbPool[T uint32 | uint64] struct {
	sync.Mutex
	degree, keep int
	closed       bool
	idle         [][]T
}

func (p *limbPool[T]) get() []T {
	p.Lock()
	if last := len(p.idle) - 1; last >= 0 {
		limb := p.idle[last]
		p.idle = p.idle[:last]
		p.Unlock()
		return limb
	}
	p.Unlock()
	return allocate[T](p.degree)
}

func (p *limbPool[T]) put(limb []T) {
	if limb == nil {
		return
	}
	p.Lock()
	defer p.Unlock()
	if p.closed || len(p.idle) >= p.keep {
		release(limb)
		return
	}
	p.idle = append(p.idle, limb)
}

func (p *limbPool[T]) close() {
	p.Lock()
	defer p.Unlock()
	p.closed = true
	for _, limb := range p.idle {
		release(limb)
	}
	p.idle = nil
}

func (p *limbPool[T]) getMany(count int) [][]T {
	limbs := make([][]T, count)
	for i := range limbs {
		limbs[i] = p.get()
	}
	return limbs
}

func (p *limbPool[T]) putMany(limbs [][]T) {
	for _, limb := range limbs {
		p.put(limb)
	}
}

// newPoly returns a polynomial of count limbs whose content is undefined.
func (e *engine) newPoly(count int) ring.Poly { return ring.Poly{Coeffs: e.wide.getMany(count)} }

func (e *engine) freePoly(polynomials ...ring.Poly) {
	for _, polynomial := range polynomials {
		e.wide.putMany(polynomial.Coeffs)
	}
}
