package main

import "github.com/tuneinsight/lattigo/v6/ring"

// reference is Lattigo's transforms and basis extensions, on 64-bit words.
type reference struct {
	context    *context
	decomposer *ring.Decomposer
	extender   *ring.BasisExtender
}

func newReference(ctx *context) *reference {
	q, p := ctx.parameters.RingQ(), ctx.parameters.RingP()
	return &reference{ctx, ring.NewDecomposer(q, p), ring.NewBasisExtender(q, p)}
}

func (r *reference) ntt(place int, limb []uint32) {
	s, wide := r.context.subRingAt(place), widened(limb)
	switch {
	case len(wide) == r.context.RingDegree:
		s.NTT(wide, wide)
	case r.context.conjugateReals:
		ring.NTTConjugateInvariant(wide, wide, len(wide), s.Modulus, s.MRedConstant, s.BRedConstant, s.RootsForward)
	default:
		ring.NTTStandard(wide, wide, len(wide), s.Modulus, s.MRedConstant, s.BRedConstant, s.RootsForward)
	}
	narrow(limb, wide)
}

func (r *reference) intt(place int, limb []uint32) {
	wide := widened(limb)
	r.context.subRingAt(place).INTT(wide, wide)
	narrow(limb, wide)
}

// ready is an extension that Lattigo has already made whole: digit, limb.
type ready [][][]uint64

func (r *reference) digits(l *lane, level, special int, inverse residues) extension {
	ctx := r.context
	in := widenedPoly(inverse)
	l.putMany(inverse)
	out := make(ready, digits(level, special))
	l.each(len(out), func(_ *lane, digit int) {
		q, p := ring.NewPoly(ctx.RingDegree, level), ring.NewPoly(ctx.RingDegree, special-1)
		r.decomposer.DecomposeAndSplit(level, special-1, special, digit, in, q, p)
		out[digit] = append(q.Coeffs, p.Coeffs...)
	})
	return out
}

func (r *reference) special(l *lane, level int, inverse residues) extension {
	in := widenedPoly(inverse)
	l.putMany(inverse)
	out := ring.NewPoly(r.context.RingDegree, level)
	r.extender.ModUpPtoQ(len(in.Coeffs)-1, level, in, out)
	return ready{out.Coeffs}
}

func (x ready) limb(digit, limb int, out []uint32) { narrow(out, x[digit][limb]) }

func (x ready) close(*lane) {}

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
