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
	engine *engine
	level  int
	scale  float64
	run    int
	words  []uint32
}

func (p *plaintext) limb(index int) []uint32 {
	length := p.engine.RingDegree / p.run
	return p.words[index*length : (index+1)*length]
}

// residuesFor is n for values of this period.
func (e *engine) residuesFor(period int) int {
	if !e.conjugateReals {
		period *= 2
	}
	return max(period, smallestTransform)
}

func (e *engine) checkPeriod(place string, period int) error {
	if period < 1 || period > e.slots() || period&(period-1) != 0 {
		return parameterError("%s: got %d values, expected a power of two up to %d, the number of slots", place, period, e.slots())
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

func (e *engine) newPlaintext(values []float64, level int, scale float64) (*plaintext, error) {
	const place = "plaintext"
	if err := e.checkPeriod(place, len(values)); err != nil {
		return nil, err
	}
	if err := e.checkLevel(place, level); err != nil {
		return nil, err
	}
	if err := checkScale(place, scale); err != nil {
		return nil, err
	}
	if err := checkFinite(place, values); err != nil {
		return nil, err
	}
	length := e.residuesFor(len(values))
	p := &plaintext{engine: e, level: level, scale: scale, run: e.RingDegree / length}
	p.words = allocate(length * (level + 1))
	p.open(func() { release(p.words) })
	if err := e.encode(p.words, values, level, level+1, scale); err != nil {
		p.drop()
		return nil, err
	}
	return p, nil
}

// encode writes the first count limbs modulo QP at this level, n residues each, into out.
func (e *engine) encode(out []uint32, values []float64, level, count int, scale float64) error {
	length := e.residuesFor(len(values))
	limbs := make(residues, count)
	for i := range limbs {
		limbs[i] = out[i*length : (i+1)*length]
	}
	embedded, err := e.embed(values, length)
	if err != nil {
		return err
	}
	if integers := make([]int64, length); e.round(integers, embedded, scale) {
		for i, limb := range limbs {
			e.kernels.Residues(limb, integers, e.modulus(level, i))
		}
	} else {
		e.roundLarge(limbs, embedded, scale, level)
	}
	for i, limb := range limbs {
		e.transforms.ntt(e.place(level, i), limb)
	}
	return nil
}

// embed is Lattigo's inverse embedding: the real coefficients of the polynomial with these values, before they are
// scaled and rounded.
func (e *engine) embed(values []float64, length int) ([]complex128, error) {
	slots := length
	if !e.conjugateReals {
		slots = length / 2
	}
	out := make([]complex128, slots)
	for i := range out {
		out[i] = complex(values[i%len(values)], 0)
	}
	if err := e.encoder.IFFT(out, bits.Len(uint(slots))-1); err != nil {
		return nil, failure("EngineError", "encoding: %v", err)
	}
	return out, nil
}

// round scales to integers and rounds, as Lattigo does; false if one does not fit into a word.
func (e *engine) round(out []int64, embedded []complex128, scale float64) bool {
	fits := true
	push := func(i int, value float64) {
		value *= scale
		fits = fits && math.Abs(value) < 0x1p62
		out[i] = int64(math.Copysign(math.Floor(math.Abs(value)+0.5), value))
	}
	for i, value := range embedded {
		push(i, real(value))
		if !e.conjugateReals {
			push(len(embedded)+i, imag(value))
		}
	}
	return fits
}

// roundLarge is Lattigo's rounding, which is slower and has no bound.
func (e *engine) roundLarge(limbs residues, embedded []complex128, scale float64, level int) {
	wide := widenedPoly(limbs)
	ckks.Complex128ToFixedPointCRT(e.parameters.RingQ().AtLevel(level), embedded, scale, wide.Coeffs[:level+1])
	if len(limbs) > level+1 {
		ckks.Complex128ToFixedPointCRT(e.parameters.RingP(), embedded, scale, wide.Coeffs[level+1:])
	}
	for i, limb := range limbs {
		for j, value := range wide.Coeffs[i] { // Lattigo leaves some of them unreduced
			limb[j] = uint32(value % e.modulus(level, i).Q)
		}
	}
}
