package kernels

/*
#include <stdlib.h>
#include "kernels.h"

static void call_split(const kernel_set *k, uint32_t **y, uint32_t *v, uint32_t **x, const basis *b, size_t n) {
    k->split(y, v, (const uint32_t *const *)x, b, n);
}
static void call_join(const kernel_set *k, uint32_t *out, uint32_t **y, uint32_t *v, const uint32_t *weight,
                      size_t count, size_t n, const modulus *m) {
    k->join(out, (const uint32_t *const *)y, v, weight, count, n, m);
}
*/
import "C"

import (
	"math/big"
	"unsafe"
)

const fraction = 60

// Basis extends numbers given modulo some primes to other primes; see `basis` in kernels.h.
type Basis struct {
	c      *C.basis
	count  int
	memory []unsafe.Pointer
	// weights[j]: for the target prime j, D/s_i…, −D and −h, each times 2^32, modulo p
	weights [][]uint32
	targets []Modulus
}

// NewBasis prepares the extension from `from` to each of `to`.
func NewBasis(from, to []uint64) *Basis {
	b := &Basis{count: len(from)}
	product := big.NewInt(1)
	for _, s := range from {
		product.Mul(product, new(big.Int).SetUint64(s))
	}
	half := new(big.Int).Rsh(product, 1)
	b.c = (*C.basis)(b.allocate(int(unsafe.Sizeof(C.basis{}))))
	primes := unsafe.Slice((*C.modulus)(b.allocate(len(from)*int(unsafe.Sizeof(C.modulus{})))), len(from))
	halves := unsafe.Slice((*C.uint32_t)(b.allocate(4*len(from))), len(from))
	factors := unsafe.Slice((*C.uint32_t)(b.allocate(8*len(from))), 2*len(from))
	reciprocals := unsafe.Slice((*C.uint64_t)(b.allocate(8*len(from))), len(from))
	cofactors := make([]*big.Int, len(from))
	for i, s := range from {
		prime := new(big.Int).SetUint64(s)
		cofactors[i] = new(big.Int).Quo(product, prime)
		factor := new(big.Int).ModInverse(cofactors[i], prime).Uint64()
		primes[i] = NewModulus(s).c
		halves[i] = C.uint32_t(modulo(half, s))
		factors[i], factors[len(from)+i] = C.uint32_t(factor), C.uint32_t(factor<<32/s)
		reciprocals[i] = C.uint64_t((uint64(1) << fraction) / s)
	}
	b.c.count = C.uint32_t(len(from))
	b.c.primes, b.c.half, b.c.factor, b.c.reciprocal = &primes[0], &halves[0], &factors[0], &reciprocals[0]
	for _, p := range to {
		weight := make([]uint32, len(from)+2)
		for i, cofactor := range cofactors {
			weight[i] = shifted(cofactor, p)
		}
		weight[len(from)] = shifted(new(big.Int).Neg(product), p)
		weight[len(from)+1] = shifted(new(big.Int).Neg(half), p)
		b.weights = append(b.weights, weight)
		b.targets = append(b.targets, NewModulus(p))
	}
	return b
}

// Close frees what C holds.
func (b *Basis) Close() {
	for _, memory := range b.memory {
		C.free(memory)
	}
	b.memory = nil
}

// Split computes what all targets share: y_i into `y`, and the carries into v. y may be x.
func (s *Set) Split(b *Basis, y [][]uint32, v []uint32, x [][]uint32) {
	in, out := NewLimbs(x), NewLimbs(y)
	C.call_split(s.c, &out[0], pointer(v), &in[0], b.c, size(v))
}

// Join writes the number modulo target j.
func (s *Set) Join(b *Basis, j int, out []uint32, y [][]uint32, v []uint32) {
	in, weight := NewLimbs(y), b.weights[j]
	C.call_join(s.c, pointer(out), &in[0], pointer(v), pointer(weight), C.size_t(b.count), size(out), &b.targets[j].c)
}

func modulo(x *big.Int, m uint64) uint64 {
	return new(big.Int).Mod(x, new(big.Int).SetUint64(m)).Uint64()
}

// shifted is x·2^32 modulo p.
func shifted(x *big.Int, p uint64) uint32 {
	return uint32(modulo(new(big.Int).Lsh(x, 32), p))
}

func (b *Basis) allocate(bytes int) unsafe.Pointer {
	memory := C.malloc(C.size_t(max(bytes, 8)))
	if memory == nil {
		b.Close()
		panic(ErrMemory)
	}
	b.memory = append(b.memory, memory)
	return memory
}
