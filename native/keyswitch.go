package main

import "github.com/tuneinsight/lattigo/v6/ring"

// residues is a polynomial modulo QP in the NTT domain, in 32-bit limbs.
type residues [][]uint32

// digitLimbs are the digits of a decomposed polynomial: digit, limb of QP.
type digitLimbs []residues

// decompose cuts a polynomial in the NTT domain into digits of k primes and extends each to all of QP.
func (e *engine) decompose(c ring.Poly, level int) digitLimbs {
	inverse := e.newPoly(level + 1)
	defer e.freePoly(inverse)
	e.each(level+1, func(i int) { e.subRing(level, i).INTT(c.Coeffs[i], inverse.Coeffs[i]) })

	count := e.limbs(level)
	wide := make([]ring.Poly, e.digits(level))
	digits := make(digitLimbs, len(wide))
	e.each(len(wide), func(digit int) {
		wide[digit] = e.newPoly(count)
		q := ring.Poly{Coeffs: wide[digit].Coeffs[:level+1]}
		p := ring.Poly{Coeffs: wide[digit].Coeffs[level+1:]}
		e.decomposer.DecomposeAndSplit(level, e.special-1, e.special, digit, inverse, q, p)
		digits[digit] = make(residues, count)
	})
	e.each(len(wide)*count, func(i int) {
		digit, limb := i/count, i%count
		out := e.narrow.get()
		digits[digit][limb] = out
		extended := wide[digit].Coeffs[limb]
		if limb <= level && limb/e.special == digit {
			narrow(out, c.Coeffs[limb]) // the digit's own primes
		} else {
			e.subRing(level, limb).NTT(extended, extended)
			narrow(out, extended)
		}
		e.wide.put(extended)
	})
	return digits
}

func (e *engine) freeDigits(digits digitLimbs) {
	for _, digit := range digits {
		e.narrow.putMany(digit)
	}
}

// gadget is the product of a decomposed polynomial and a key at one limb, plus add0 and add1 unless they are nil.
func (e *engine) gadget(out0, out1 []uint32, digits digitLimbs, key *evaluationKey, level, limb int, add0, add1 []uint32) {
	at := limb
	if limb > level {
		at = limb - level + key.level
	}
	sum := terms{run: 1}
	for digit := range digits {
		pair := key.limbs[digit][at]
		sum.add(pair[0], pair[1], digits[digit][limb])
	}
	sum.sum(out0, out1, add0, add1, e.modulus(level, limb))
}

// modDown divides by P and rounds.
func (e *engine) modDown(in residues, level int) ring.Poly {
	special := e.newPoly(e.special)
	e.each(e.special, func(i int) {
		widen(special.Coeffs[i], in[level+1+i])
		e.subRing(level, level+1+i).INTT(special.Coeffs[i], special.Coeffs[i])
	})
	extended := e.newPoly(level + 1)
	e.extender.ModUpPtoQ(e.special-1, level, special, extended)
	e.freePoly(special)
	out := e.newPoly(level + 1)
	e.each(level+1, func(i int) {
		s := e.subRing(level, i)
		s.NTTLazy(extended.Coeffs[i], extended.Coeffs[i])
		widen(out.Coeffs[i], in[i])
		// (x - in) · (-1/P)
		s.SubThenMulScalarMontgomeryTwoModulus(extended.Coeffs[i], out.Coeffs[i], e.downFactor[i], out.Coeffs[i])
	})
	e.freePoly(extended)
	return out
}

func (e *engine) modDownBoth(in [2]residues, level int) (out [2]ring.Poly) {
	e.each(2, func(i int) { out[i] = e.modDown(in[i], level) })
	return out
}

func (e *engine) newPair(level int) (pair [2]residues) {
	return [2]residues{e.narrow.getMany(e.limbs(level)), e.narrow.getMany(e.limbs(level))}
}

func (e *engine) freePair(pair [2]residues) {
	e.narrow.putMany(pair[0])
	e.narrow.putMany(pair[1])
}
