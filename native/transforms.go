package main

import (
	"sync"

	"github.com/tuneinsight/lattigo/v6/ring"

	"heclstm/native/kernels"
)

// residues is a polynomial in 32-bit limbs, one for each prime, in the NTT domain unless said otherwise.
type residues [][]uint32

// transforms is the number theory of key switching. The engine has it twice: by our own kernels, and by Lattigo as
// the reference that the kernels are measured against. Both give the same result, up to the representative of a digit.
type transforms interface {
	// ntt and intt work in place on a limb of the prime at this place of e.moduli. ntt also takes the n
	// coefficients of a polynomial in X^(N/n) and leaves one value of each run of N/n.
	ntt(place int, limb []uint32)
	intt(place int, limb []uint32)
	// extendDigit takes digit d of a polynomial in coefficients to all other limbs of QP, in coefficients, and
	// hands each to `use`, which owns it.
	extendDigit(level, digit int, inverse residues, use func(limb int, extended []uint32))
	// extendSpecial does the same for a polynomial modulo P, towards q_0 … q_level.
	extendSpecial(level int, inverse residues, use func(limb int, extended []uint32))
	close()
}

// simd is our kernels.
type simd struct {
	e     *engine
	roots []kernels.Roots
	lock  sync.Mutex
	// tables by length and place: of whole limbs, and of shorter ones when the first is met
	tables map[int][]*kernels.Tables
	// digits[l] extends the digit that ends at prime l, which is a whole one or the last at level l.
	digits  []*kernels.Basis
	special *kernels.Basis
}

func newSIMD(e *engine) *simd {
	s := &simd{e: e, tables: map[int][]*kernels.Tables{}}
	for place := range e.moduli {
		sub := e.subRingAt(place)
		s.roots = append(s.roots, kernels.Roots{
			Forward: plainRoots(sub.RootsForward, sub), Backward: plainRoots(sub.RootsBackward, sub),
			Scale: ring.IMForm(sub.NInv, sub.Modulus, sub.MRedConstant), Conjugate: e.conjugateReals,
		})
	}
	s.tablesFor(e.RingDegree)
	primes := append(append([]uint64{}, e.Moduli...), e.SpecialModuli...)
	for last := range e.Moduli {
		start := last / e.special * e.special
		others := append(append([]uint64{}, primes[:start]...), primes[last+1:]...)
		s.digits = append(s.digits, kernels.NewBasis(primes[start:last+1], others))
	}
	s.special = kernels.NewBasis(e.SpecialModuli, e.Moduli)
	return s
}

// plainRoots takes Lattigo's twiddles out of Montgomery form.
func plainRoots(roots []uint64, s *ring.SubRing) []uint64 {
	out := make([]uint64, len(roots))
	for i, root := range roots {
		out[i] = ring.IMForm(root, s.Modulus, s.MRedConstant)
	}
	return out
}

// tablesFor is the twiddles for n values: a shorter transform uses the first of the longer one's roots.
func (s *simd) tablesFor(n int) []*kernels.Tables {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.tables[n] == nil {
		list := make([]*kernels.Tables, len(s.roots))
		for place, roots := range s.roots {
			list[place] = s.e.kernels.NewTables(s.e.moduli[place].Q, n, roots)
		}
		s.tables[n] = list
	}
	return s.tables[n]
}

func (s *simd) ntt(place int, limb []uint32)  { s.e.kernels.NTT(limb, s.tablesFor(len(limb))[place]) }
func (s *simd) intt(place int, limb []uint32) { s.e.kernels.INTT(limb, s.tablesFor(len(limb))[place]) }

func (s *simd) extendDigit(level, digit int, inverse residues, use func(limb int, extended []uint32)) {
	e := s.e
	start := digit * e.special
	end := min(start+e.special, level+1)
	s.extend(s.digits[end-1], inverse[start:end], e.limbs(level)-(end-start), func(i int) (limb, target int) {
		if limb = i; i >= start {
			limb = i + end - start
		}
		target = e.place(level, limb)
		if target >= end {
			target -= end - start
		}
		return limb, target
	}, use)
}

func (s *simd) extendSpecial(level int, inverse residues, use func(limb int, extended []uint32)) {
	s.extend(s.special, inverse, level+1, func(i int) (limb, target int) { return i, i }, use)
}

// extend hands out count limbs; which(i) is the i-th one's place in the result and among the basis's targets.
func (s *simd) extend(b *kernels.Basis, from residues, count int, which func(i int) (limb, target int), use func(limb int, extended []uint32)) {
	e := s.e
	y, carry := e.pool.getMany(len(from)), e.pool.get()
	e.kernels.Split(b, y, carry, from)
	e.each(count, func(i int) {
		limb, target := which(i)
		out := e.pool.get()
		e.kernels.Join(b, target, out, y, carry)
		use(limb, out)
	})
	e.pool.putMany(y)
	e.pool.put(carry)
}

func (s *simd) close() {
	for _, list := range s.tables {
		for _, tables := range list {
			tables.Close()
		}
	}
	for _, basis := range append(s.digits, s.special) {
		basis.Close()
	}
}
