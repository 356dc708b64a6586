package main

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/tuneinsight/lattigo/v6/ring"

	"heclstm/native/kernels"
)

// residues is a polynomial in 32-bit limbs, one for each prime, in the NTT domain unless said otherwise.
type residues [][]uint32

// transforms is the number theory of key switching. A context has one of two: by our own kernels, and by Lattigo as
// the reference that the kernels are measured against. Both give the same result, up to the representative of a digit.
type transforms interface {
	// ntt and intt work in place on a limb of the prime at this place of ctx.moduli. ntt also takes the n
	// coefficients of a polynomial in X^(N/n) and leaves one value of each run of N/n.
	ntt(place int, limb []uint32)
	intt(place int, limb []uint32)
	// digits prepares the extension of each digit of a polynomial modulo q_0 … q_level to the other limbs of QP_k, and
	// special that of a polynomial modulo P_k to q_0 … q_level. Both take over the polynomial, given in coefficients.
	digits(l *lane, level, special int, inverse residues) extension
	special(l *lane, level int, inverse residues) extension
	close()
}

// extension gives limbs in coefficients when they are asked for, from several goroutines at once.
type extension interface {
	limb(digit, limb int, out []uint32)
	close(l *lane)
}

// simd is our kernels.
type simd struct {
	context *context
	roots   []kernels.Roots
	whole   []*kernels.Tables // by place, of whole limbs
	lock    sync.Mutex        // of those who make shorter ones
	// shorter holds tables by log2 of their length, made when the first is met.
	shorter [32]atomic.Pointer[[]*kernels.Tables]
	// byLast[k][l] extends the digit that ends at prime l, which is a whole one of k primes or the last at level l.
	byLast map[int][]*kernels.Basis
	down   map[int]*kernels.Basis // from P_k to Q
}

func newSIMD(ctx *context) *simd {
	s := &simd{context: ctx, byLast: map[int][]*kernels.Basis{}, down: map[int]*kernels.Basis{}}
	complete := false
	defer func() {
		if !complete { // memory ran out
			s.close()
		}
	}()
	for place := range ctx.moduli {
		sub := ctx.subRingAt(place)
		s.roots = append(s.roots, kernels.Roots{
			Forward: plainRoots(sub.RootsForward, sub), Backward: plainRoots(sub.RootsBackward, sub),
			Scale: ring.IMForm(sub.NInv, sub.Modulus, sub.MRedConstant), Conjugate: ctx.conjugateReals,
		})
	}
	s.whole = s.newTables(ctx.RingDegree)
	primes := append(append([]uint64{}, ctx.Moduli...), ctx.SpecialModuli...)
	for _, k := range ctx.specialCounts() {
		for last := range ctx.Moduli {
			start := last / k * k
			others := append(append([]uint64{}, primes[:start]...), primes[last+1:]...)
			s.byLast[k] = append(s.byLast[k], kernels.NewBasis(primes[start:last+1], others))
		}
		s.down[k] = kernels.NewBasis(ctx.SpecialModuli[:k], ctx.Moduli)
	}
	complete = true
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

// newTables is the twiddles for n values: a shorter transform uses the first of the longer one's roots.
func (s *simd) newTables(n int) []*kernels.Tables {
	list := make([]*kernels.Tables, len(s.roots))
	for place, roots := range s.roots {
		list[place] = s.context.kernels.NewTables(s.context.moduli[place].Q, n, roots)
	}
	return list
}

func (s *simd) tables(n int) []*kernels.Tables {
	if n == s.context.RingDegree {
		return s.whole
	}
	slot := &s.shorter[bits.Len(uint(n))]
	if known := slot.Load(); known != nil {
		return *known
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if known := slot.Load(); known != nil {
		return *known
	}
	list := s.newTables(n)
	slot.Store(&list)
	return list
}

func (s *simd) ntt(place int, limb []uint32) {
	s.context.kernels.NTT(limb, s.tables(len(limb))[place])
}

func (s *simd) intt(place int, limb []uint32) {
	s.context.kernels.INTT(limb, s.tables(len(limb))[place])
}

// simdExtension keeps what all targets share: the scaled residues y of each digit, in place of the polynomial, and
// the carries.
type simdExtension struct {
	kernels *kernels.Set
	width   int // primes of a whole digit
	y       residues
	carry   residues
	bases   []*kernels.Basis
	target  func(digit, limb int) int
}

func (s *simd) digits(l *lane, level, special int, inverse residues) extension {
	ctx := s.context
	x := &simdExtension{kernels: ctx.kernels, width: special, y: inverse, carry: l.getMany(digits(level, special))}
	for digit := range x.carry {
		x.bases = append(x.bases, s.byLast[special][min((digit+1)*special, level+1)-1])
	}
	x.target = func(digit, limb int) int { // a basis leaves its own primes out of its targets
		start, end := x.span(digit)
		if place := ctx.place(level, limb); place < start {
			return place
		} else {
			return place - (end - start)
		}
	}
	x.split(l)
	return x
}

func (s *simd) special(l *lane, level int, inverse residues) extension {
	x := &simdExtension{kernels: s.context.kernels, width: len(inverse), y: inverse, carry: l.getMany(1), bases: []*kernels.Basis{s.down[len(inverse)]}}
	x.target = func(_, limb int) int { return limb }
	x.split(l)
	return x
}

// span is the first prime of a digit and the one behind its last.
func (x *simdExtension) span(digit int) (start, end int) {
	return digit * x.width, min((digit+1)*x.width, len(x.y))
}

func (x *simdExtension) split(l *lane) {
	l.each(len(x.carry), func(_ *lane, digit int) {
		start, end := x.span(digit)
		x.kernels.Split(x.bases[digit], x.y[start:end], x.carry[digit], x.y[start:end])
	})
}

func (x *simdExtension) limb(digit, limb int, out []uint32) {
	start, end := x.span(digit)
	x.kernels.Join(x.bases[digit], x.target(digit, limb), out, x.y[start:end], x.carry[digit])
}

func (x *simdExtension) close(l *lane) {
	l.putMany(x.y)
	l.putMany(x.carry)
}

func (s *simd) close() {
	lists := [][]*kernels.Tables{s.whole}
	for i := range s.shorter {
		if list := s.shorter[i].Load(); list != nil {
			lists = append(lists, *list)
		}
	}
	for _, list := range lists {
		for _, tables := range list {
			tables.Close()
		}
	}
	for k, down := range s.down {
		for _, basis := range append(s.byLast[k], down) {
			basis.Close()
		}
	}
}
