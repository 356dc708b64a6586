package main

import "github.com/tuneinsight/lattigo/v6/ring"

// reference is Lattigo's transforms and basis extensions, on 64-bit words.
type reference struct {
	e          *engine
	decomposer *ring.Decomposer
	extender   *ring.BasisExtender
}

func newReference(e *engine) *reference {
	q, p := e.parameters.RingQ(), e.parameters.RingP()
	return &reference{e, ring.NewDecomposer(q, p), ring.NewBasisExtender(q, p)}
}

func (r *reference) ntt(place int, limb []uint32) {
	s, wide := r.e.subRingAt(place), widened(limb)
	switch {
	case len(wide) == r.e.RingDegree:
		s.NTT(wide, wide)
	case r.e.conjugateReals:
		ring.NTTConjugateInvariant(wide, wide, len(wide), s.Modulus, s.MRedConstant, s.BRedConstant, s.RootsForward)
	default:
		ring.NTTStandard(wide, wide, len(wide), s.Modulus, s.MRedConstant, s.BRedConstant, s.RootsForward)
	}
	narrow(limb, wide)
}

func (r *reference) intt(place int, limb []uint32) {
	wide := widened(limb)
	r.e.subRingAt(place).INTT(wide, wide)
	narrow(limb, wide)
}

// ready is an extension that Lattigo has already made whole: digit, limb.
type ready [][][]uint64

func (r *reference) digits(level int, inverse residues) extension {
	e := r.e
	in := widenedPoly(inverse)
	e.pool.putMany(inverse)
	out := make(ready, e.digits(level))
	e.each(len(out), func(digit int) {
		q, p := ring.NewPoly(e.RingDegree, level), ring.NewPoly(e.RingDegree, e.special-1)
		r.decomposer.DecomposeAndSplit(level, e.special-1, e.special, digit, in, q, p)
		out[digit] = append(q.Coeffs, p.Coeffs...)
	})
	return out
}

func (r *reference) special(level int, inverse residues) extension {
	in := widenedPoly(inverse)
	r.e.pool.putMany(inverse)
	out := ring.NewPoly(r.e.RingDegree, level)
	r.extender.ModUpPtoQ(r.e.special-1, level, in, out)
	return ready{out.Coeffs}
}

func (x ready) limb(digit, limb int, out []uint32) { narrow(out, x[digit][limb]) }

func (x ready) close() {}

func (r *reference) close() {}

// Between our limbs and Lattigo's.

func narrow(out []uint32, in []uint64) {
	for i, value := range in {
		out[i] = uint32(value)
	}
}

func widened(limb []uint32) []uint64 {
	out := make([]uint64, len(limb))
	for i, value := range limb {
		out[i] = uint64(value)
	}
	return out
}

func widenedPoly(limbs residues) ring.Poly {
	out := ring.Poly{Coeffs: make([][]uint64, len(limbs))}
	for i, limb := range limbs {
		out.Coeffs[i] = widened(limb)
	}
	return out
}
