package main

import (
	"math"
	"math/bits"

	"github.com/tuneinsight/lattigo/v6/schemes/ckks"
)

// Values of period p encode to a polynomial in X^(N/n), where n is p or, in the standard ring, 2p. Its NTT is
// constant on runs of N/n neighbours, and only one value of each run is kept: n residues a limb instead of N.

const smallestTransform = 16 // Lattigo's NTT wants at least this many coefficients

// plaintext is encoded modulo q_0 … q_level.
type plaintext struct {
	shared
	context *context
	level   int
	scale   float64
	run     int
	words   []uint32
}

func (p *plaintext) memory() residues { return residues{p.words} }

func (p *plaintext) limb(index int) []uint32 {
	length := p.context.RingDegree / p.run
	return p.words[index*length : (index+1)*length]
}

// residuesFor is n for values of this period.
func (ctx *context) residuesFor(period int) int {
	if !ctx.conjugateReals {
		period *= 2
	}
	return max(period, smallestTransform)
}

func (ctx *context) checkPeriod(place string, period int) error {
	if period < 1 || period > ctx.slots() || period&(period-1) != 0 {
		return parameterError("%s: got %d values, expected a power of two up to %d, the number of slots", place, period, ctx.slots())
	}
	return nil
}

func checkFinite(place string, values []float64) error {
	for _, value := range values {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return parameterError("%s: a value is not finite", place)
		}
	}
	return nil
}

func checkScale(place string, scale float64) error {
	if !(scale >= 1 && scale < 0x1p120) {
		return parameterError("%s: got scale %g, expected 1 … 2^120", place, scale)
	}
	return nil
}

func (ctx *context) newPlaintext(c *call, values []float64, level int, scale float64) (*plaintext, error) {
	const place = "plaintext"
	if err := ctx.checkPeriod(place, len(values)); err != nil {
		return nil, err
	}
	if err := ctx.checkLevel(place, level); err != nil {
		return nil, err
	}
	if err := checkScale(place, scale); err != nil {
		return nil, err
	}
	if err := checkFinite(place, values); err != nil {
		return nil, err
	}
	length := ctx.residuesFor(len(values))
	p := &plaintext{context: ctx, level: level, scale: scale, run: ctx.RingDegree / length}
	p.words = c.slab(length * (level + 1))
	p.open(func() { release(p.words) })
	return p, ctx.encode(p.words, values, level, level+1, scale)
}

// encode writes the first count limbs modulo QP at this level, n residues each, into out.
func (ctx *context) encode(out []uint32, values []float64, level, count int, scale float64) error {
	length := ctx.residuesFor(len(values))
	limbs := make(residues, count)
	for i := range limbs {
		limbs[i] = out[i*length : (i+1)*length]
	}
	embedded, err := ctx.embed(values, length)
	if err != nil {
		return err
	}
	if integers := make([]int64, length); ctx.round(integers, embedded, scale) {
		for i, limb := range limbs {
			ctx.kernels.Residues(limb, integers, ctx.modulus(level, i))
		}
	} else {
		ctx.roundLarge(limbs, embedded, scale, level)
	}
	for i, limb := range limbs {
		ctx.transforms.ntt(ctx.place(level, i), limb)
	}
	return nil
}

// embed is Lattigo's inverse embedding: the real coefficients of the polynomial with these values, before they are
// scaled and rounded.
func (ctx *context) embed(values []float64, length int) ([]complex128, error) {
	slots := length
	if !ctx.conjugateReals {
		slots = length / 2
	}
	out := make([]complex128, slots)
	for i := range out {
		out[i] = complex(values[i%len(values)], 0)
	}
	if err := ctx.encoder.IFFT(out, bits.Len(uint(slots))-1); err != nil {
		return nil, failure("EngineError", "encoding: %v", err)
	}
	return out, nil
}

// round scales to integers and rounds, as Lattigo does; false if one does not fit into a word.
func (ctx *context) round(out []int64, embedded []complex128, scale float64) bool {
	fits := true
	push := func(i int, value float64) {
		value *= scale
		fits = fits && math.Abs(value) < 0x1p62
		out[i] = int64(math.Copysign(math.Floor(math.Abs(value)+0.5), value))
	}
	for i, value := range embedded {
		push(i, real(value))
		if !ctx.conjugateReals {
			push(len(embedded)+i, imag(value))
		}
	}
	return fits
}

// roundLarge is Lattigo's rounding, which is slower and has no bound.
func (ctx *context) roundLarge(limbs residues, embedded []complex128, scale float64, level int) {
	wide := widenedPoly(limbs)
	ckks.Complex128ToFixedPointCRT(ctx.parameters.RingQ().AtLevel(level), embedded, scale, wide.Coeffs[:level+1])
	if len(limbs) > level+1 {
		ckks.Complex128ToFixedPointCRT(ctx.parameters.RingP(), embedded, scale, wide.Coeffs[level+1:])
	}
	for i, limb := range limbs {
		for j, value := range wide.Coeffs[i] { // Lattigo leaves some of them unreduced
			limb[j] = uint32(value % ctx.modulus(level, i).Q)
		}
	}
}
