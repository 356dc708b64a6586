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
	// digits prepares the extension of each digit of a polynomial modulo q_0 … q_level to the other limbs of QP, and
	// special that of a polynomial modulo P to q_0 … q_level. Both take over the polynomial, given in coefficients.
	digits(level int, inverse residues) extension
	special(level int, inverse residues) extension
	close()
}

// extension gives limbs in coefficients when they are asked for, from several goroutines at once.
type extension interface {
	limb(digit, limb int, out []uint32)
	close()
}

// simd is our kernels.
type simd struct {
	e     *engine
	roots []kernels.Roots
	lock  sync.Mutex
	// tables by length and place: of whole limbs, and of shorter ones when the first is met
	tables map[int][]*kernels.Tables
	// byLast[l] extends the digit that ends at prime l, which is a whole one or the last at level l.
	byLast []*kernels.Basis
	down   *kernels.Basis // from P to Q
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
		s.byLast = append(s.byLast, kernels.NewBasis(primes[start:last+1], others))
	}
	s.down = kernels.NewBasis(e.SpecialModuli, e.Moduli)
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

// simdExtension keeps what all targets share: the scaled residues y of each digit, in place of the polynomial, and
// the carries.
type simdExtension struct {
	e      *engine
	level  int
	width  int // primes of a whole digit
	y      residues
	carry  residues
	bases  []*kernels.Basis
	target func(digit, limb int) int
}

func (s *simd) digits(level int, inverse residues) extension {
	e := s.e
	x := &simdExtension{e: e, level: level, width: e.special, y: inverse, carry: e.pool.getMany(e.digits(level))}
	for digit := range x.carry {
		x.bases = append(x.bases, s.byLast[min((digit+1)*e.special, level+1)-1])
	}
	x.target = func(digit, limb int) int { // a basis leaves its own primes out of its targets
		start, end := x.span(digit)
		if place := e.place(level, limb); place < start {
			return place
		} else {
			return place - (end - start)
		}
	}
	x.split()
	return x
}

func (s *simd) special(level int, inverse residues) extension {
	x := &simdExtension{e: s.e, level: level, width: len(inverse), y: inverse, carry: s.e.pool.getMany(1), bases: []*kernels.Basis{s.down}}
	x.target = func(_, limb int) int { return limb }
	x.split()
	return x
}

// span is the first prime of a digit and the one behind its last.
func (x *simdExtension) span(digit int) (start, end int) {
	return digit * x.width, min((digit+1)*x.width, len(x.y))
}

func (x *simdExtension) split() {
	x.e.each(len(x.carry), func(digit int) {
		start, end := x.span(digit)
		x.e.kernels.Split(x.bases[digit], x.y[start:end], x.carry[digit], x.y[start:end])
	})
}

func (x *simdExtension) limb(digit, limb int, out []uint32) {
	start, end := x.span(digit)
	x.e.kernels.Join(x.bases[digit], x.target(digit, limb), out, x.y[start:end], x.carry[digit])
}

func (x *simdExtension) close() {
	x.e.pool.putMany(x.y)
	x.e.pool.putMany(x.carry)
}

func (s *simd) close() {
	for _, list := range s.tables {
		for _, tables := range list {
			tables.Close()
		}
	}
	for _, basis := range append(s.byLast, s.down) {
		basis.Close()
	}
}
