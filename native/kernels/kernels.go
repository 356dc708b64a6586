// Package kernels is arithmetic on limbs: polynomials modulo one prime below 2^30, in 32-bit words, for AVX-512,
// AVX2, NEON and plain C, with identical results. It touches nothing secret.
//
// Limbs must live outside of Go's heap: lists of them reach C as lists of pointers.
package kernels

/*
#cgo CFLAGS: -O3
#include <stdlib.h>
#include "kernels.h"

static void call_ntt(const kernel_set *k, uint32_t *x, const ntt_tables *t) { k->ntt(x, t); }
static void call_intt(const kernel_set *k, uint32_t *x, const ntt_tables *t) { k->intt(x, t); }
static void call_dot2(const kernel_set *k, uint32_t *o0, uint32_t *o1, uint32_t **x0, uint32_t **x1, uint32_t **p,
                      size_t count, size_t run, uint32_t *add0, uint32_t *add1, size_t n, const modulus *m) {
    k->dot2(o0, o1, (const uint32_t *const *)x0, (const uint32_t *const *)x1, (const uint32_t *const *)p, count, run,
            add0, add1, n, m);
}
static void call_tensor(const kernel_set *k, uint32_t *d0, uint32_t *d1, uint32_t *d2, uint32_t **a0, uint32_t **a1,
                        uint32_t **b0, uint32_t **b1, size_t count, size_t n, const modulus *m) {
    k->tensor(d0, d1, d2, (const uint32_t *const *)a0, (const uint32_t *const *)a1, (const uint32_t *const *)b0,
              (const uint32_t *const *)b1, count, n, m);
}
static void call_add(const kernel_set *k, uint32_t *o, uint32_t *a, uint32_t *b, size_t n, uint32_t q) {
    k->add(o, a, b, n, q);
}
static void call_subtract(const kernel_set *k, uint32_t *o, uint32_t *a, uint32_t *b, size_t n, uint32_t q) {
    k->subtract(o, a, b, n, q);
}
static void call_subtract_scale(const kernel_set *k, uint32_t *o, uint32_t *a, uint32_t *b, uint32_t f, size_t n,
                                const modulus *m) {
    k->subtract_scale(o, a, b, f, n, m);
}
static void call_scale(const kernel_set *k, uint32_t *o, uint32_t *a, uint32_t f, size_t n, const modulus *m) {
    k->scale(o, a, f, n, m);
}
static void call_lift(const kernel_set *k, uint32_t *o, uint32_t *x, uint32_t from, size_t n, const modulus *m) {
    k->lift(o, x, from, n, m);
}
static void call_gather(const kernel_set *k, uint32_t *o, uint32_t *x, uint32_t *index, uint32_t *add, size_t n,
                        uint32_t q) {
    k->gather(o, x, index, add, n, q);
}
static void call_residues(const kernel_set *k, uint32_t *o, int64_t *x, size_t n, const modulus *m) {
    k->residues(o, x, n, m);
}
static void call_signed_residues(const kernel_set *k, uint32_t *o, int32_t *x, size_t n, uint32_t q) {
    k->signed_residues(o, x, n, q);
}
static void call_multiply_runs(const kernel_set *k, uint32_t *o, uint32_t *x, uint32_t *p, size_t run, size_t n,
                               const modulus *m) {
    k->multiply_runs(o, x, p, run, n, m);
}
static void call_add_runs(const kernel_set *k, uint32_t *o, uint32_t *x, uint32_t *p, size_t run, size_t n,
                          uint32_t q) {
    k->add_runs(o, x, p, run, n, q);
}
static uint32_t call_below(const kernel_set *k, uint32_t *x, size_t n, uint32_t q) { return k->below(x, n, q); }
static void call_xof_root(const kernel_set *k, uint64_t *root, uint64_t *key, size_t bytes) { k->xof_root(root, key, bytes); }
static void call_xof(const kernel_set *k, uint64_t *out, uint64_t *root, uint32_t first, size_t blocks) {
    k->xof(out, root, first, blocks);
}
static size_t call_sample(const kernel_set *k, uint32_t *o, size_t wanted, uint64_t *stream, size_t words, size_t *used,
                          uint32_t mask, uint32_t q) {
    return k->sample(o, wanted, stream, words, used, mask, q);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"math/bits"
	"unsafe"
)

// ErrMemory is what is panicked with when the system gives no memory.
var ErrMemory = errors.New("out of memory")

// Set is the kernels of one instruction set.
type Set struct{ c *C.kernel_set }

// Select returns the set "avx512", "avx2", "neon" or "portable", or the best of this processor if the name is empty.
func Select(name string) (*Set, error) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	c := C.select_kernels(text)
	if c == nil {
		return nil, fmt.Errorf("kernels: this processor has no %q, expected one of \"avx512\", \"avx2\", \"neon\", \"portable\" or nothing", name)
	}
	return &Set{c}, nil
}

// Available lists the sets of this processor, the best one first; plain C is always among them.
func Available() (names []string) {
	for _, name := range []string{"avx512", "avx2", "neon", "portable"} {
		if _, err := Select(name); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// Name of the instruction set.
func (s *Set) Name() string { return C.GoString(s.c.name) }

// Modulus is a prime below 2^30 and the constants of its reductions.
type Modulus struct {
	Q uint64
	c C.modulus
}

func NewModulus(q uint64) Modulus {
	w := (uint64(1) << 32) % q
	return Modulus{q, C.modulus{q: C.uint64_t(q), w: C.uint64_t(w), w_shoup: C.uint64_t(w << 32 / q), one_shoup: C.uint64_t((1 << 32) / q)}}
}

// Limbs is a list of limbs as C takes it.
type Limbs []*C.uint32_t

func (l *Limbs) Add(limb []uint32) { *l = append(*l, pointer(limb)) }

func NewLimbs(limbs [][]uint32) Limbs {
	list := make(Limbs, len(limbs))
	for i, limb := range limbs {
		list[i] = pointer(limb)
	}
	return list
}

func pointer(limb []uint32) *C.uint32_t {
	return (*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(limb)))
}

func size(limb []uint32) C.size_t { return C.size_t(len(limb)) }

// NTT and INTT transform in place; values are reduced before and after.
func (s *Set) NTT(x []uint32, t *Tables)  { C.call_ntt(s.c, pointer(x), &t.c) }
func (s *Set) INTT(x []uint32, t *Tables) { C.call_intt(s.c, pointer(x), &t.c) }

// Dot2 is out = Σ_e x_e ⊙ p_e (+ add) for two polynomials at once; a value of p_e stands for `run` neighbours.
// add0 and add1 may be nil.
func (s *Set) Dot2(out0, out1 []uint32, x0, x1, p Limbs, run int, add0, add1 []uint32, m *Modulus) {
	C.call_dot2(s.c, pointer(out0), pointer(out1), &x0[0], &x1[0], &p[0], C.size_t(len(p)), C.size_t(run),
		pointer(add0), pointer(add1), size(out0), &m.c)
}

// Tensor is d0 = Σ a0 b0, d1 = Σ a0 b1 + a1 b0, d2 = Σ a1 b1.
func (s *Set) Tensor(d0, d1, d2 []uint32, a0, a1, b0, b1 Limbs, m *Modulus) {
	C.call_tensor(s.c, pointer(d0), pointer(d1), pointer(d2), &a0[0], &a1[0], &b0[0], &b1[0], C.size_t(len(a0)), size(d0), &m.c)
}

// Add is out = a + b; out may be a or b.
func (s *Set) Add(out, a, b []uint32, m *Modulus) {
	C.call_add(s.c, pointer(out), pointer(a), pointer(b), size(out), C.uint32_t(m.Q))
}

// Subtract is out = a − b; out may be a or b.
func (s *Set) Subtract(out, a, b []uint32, m *Modulus) {
	C.call_subtract(s.c, pointer(out), pointer(a), pointer(b), size(out), C.uint32_t(m.Q))
}

// SubtractScale is out = (a − b)·factor; out may be a or b.
func (s *Set) SubtractScale(out, a, b []uint32, factor uint32, m *Modulus) {
	C.call_subtract_scale(s.c, pointer(out), pointer(a), pointer(b), C.uint32_t(factor), size(out), &m.c)
}

// Scale is out = a·factor; out may be a.
func (s *Set) Scale(out, a []uint32, factor uint32, m *Modulus) {
	C.call_scale(s.c, pointer(out), pointer(a), C.uint32_t(factor), size(out), &m.c)
}

// Lift reads x modulo `from` as numbers around zero and reduces them modulo m.
func (s *Set) Lift(out, x []uint32, from, m *Modulus) {
	C.call_lift(s.c, pointer(out), pointer(x), C.uint32_t(from.Q), size(out), &m.c)
}

// Gather is out[i] = in[index[i]] (+ add[i] unless add is nil).
func (s *Set) Gather(out, in, index, add []uint32, m *Modulus) {
	C.call_gather(s.c, pointer(out), pointer(in), pointer(index), pointer(add), size(out), C.uint32_t(m.Q))
}

// Residues reduces numbers whose magnitude is below 2^62.
func (s *Set) Residues(out []uint32, x []int64, m *Modulus) {
	C.call_residues(s.c, pointer(out), (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(x))), size(out), &m.c)
}

// SignedResidues reduces numbers whose magnitude is below the modulus.
func (s *Set) SignedResidues(out []uint32, x []int32, m *Modulus) {
	C.call_signed_residues(s.c, pointer(out), (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(x))), size(out), C.uint32_t(m.Q))
}

// MultiplyRuns is out = x ⊙ p, where a value of p stands for `run` neighbours.
func (s *Set) MultiplyRuns(out, x, p []uint32, run int, m *Modulus) {
	C.call_multiply_runs(s.c, pointer(out), pointer(x), pointer(p), C.size_t(run), size(out), &m.c)
}

// AddRuns is out = x + p, where a value of p stands for `run` neighbours.
func (s *Set) AddRuns(out, x, p []uint32, run int, m *Modulus) {
	C.call_add_runs(s.c, pointer(out), pointer(x), pointer(p), C.size_t(run), size(out), C.uint32_t(m.Q))
}

// Below tells whether all values are residues of the modulus.
func (s *Set) Below(x []uint32, m *Modulus) bool {
	return C.call_below(s.c, pointer(x), size(x), C.uint32_t(m.Q)) != 0
}

const (
	streamWords = 1 << 11 // words of a stream that are made at once
	readWords   = 128     // what Lattigo's sampler reads at once; each polynomial begins with a fresh reading
	blockWords  = 8
)

// Stream is the uniform residues that Lattigo's samplers give for a seed, in the same order.
type Stream struct {
	set  *Set
	root [8]uint64
	next uint32 // block
	data [streamWords]uint64
	at   int
}

// NewStream begins the stream of a seed of at most 64 bytes.
func (s *Set) NewStream(seed []byte) *Stream {
	stream := &Stream{set: s, at: streamWords}
	var key [16]uint64
	for i, b := range seed {
		key[i/8] |= uint64(b) << (8 * (i % 8))
	}
	C.call_xof_root(s.c, (*C.uint64_t)(&stream.root[0]), (*C.uint64_t)(&key[0]), C.size_t(len(seed)))
	return stream
}

// Uniform fills a limb; those of one polynomial follow each other.
func (s *Stream) Uniform(out []uint32, m *Modulus) {
	mask := uint32(1)<<bits.Len64(m.Q-1) - 1
	for len(out) > 0 {
		if s.at == streamWords {
			C.call_xof(s.set.c, (*C.uint64_t)(&s.data[0]), (*C.uint64_t)(&s.root[0]), C.uint32_t(s.next), streamWords/blockWords)
			s.next += streamWords / blockWords
			s.at = 0
		}
		var used C.size_t
		found := C.call_sample(s.set.c, pointer(out), size(out), (*C.uint64_t)(&s.data[s.at]), C.size_t(streamWords-s.at), &used, C.uint32_t(mask), C.uint32_t(m.Q))
		s.at += int(used)
		out = out[found:]
	}
}

// Next begins another polynomial.
func (s *Stream) Next() { s.at = (s.at + readWords - 1) / readWords * readWords }
