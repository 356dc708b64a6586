package main

// digitLimbs are the digits of a decomposed polynomial: digit, limb of QP.
type digitLimbs []residues

// decompose cuts a polynomial into digits of k primes and extends each to all of QP.
func (e *engine) decompose(c residues, level int) digitLimbs {
	inverse := e.pool.getMany(level + 1)
	e.each(level+1, func(i int) {
		copy(inverse[i], c[i])
		e.transforms.intt(i, inverse[i])
	})
	digits := make(digitLimbs, e.digits(level))
	e.each(len(digits), func(digit int) {
		own := make(residues, e.limbs(level))
		digits[digit] = own
		for limb := digit * e.special; limb < min((digit+1)*e.special, level+1); limb++ {
			own[limb] = e.pool.get()
			copy(own[limb], c[limb])
		}
		e.transforms.extendDigit(level, digit, inverse, func(limb int, extended []uint32) {
			e.transforms.ntt(e.place(level, limb), extended)
			own[limb] = extended
		})
	})
	e.pool.putMany(inverse)
	return digits
}

func (e *engine) freeDigits(digits digitLimbs) {
	for _, digit := range digits {
		e.pool.putMany(digit)
	}
}

// gadget is the product of a decomposed polynomial and a key at one limb, plus add0 unless it is nil.
func (e *engine) gadget(out0, out1 []uint32, digits digitLimbs, key *evaluationKey, level, limb int, add0 []uint32) {
	at := limb
	if limb > level {
		at = limb - level + key.level
	}
	sum := terms{run: 1}
	for digit := range digits {
		pair := key.limbs[digit][at]
		sum.add(pair[0], pair[1], digits[digit][limb])
	}
	e.sum(&sum, out0, out1, add0, e.modulus(level, limb))
}

// modDown divides by P and rounds.
func (e *engine) modDown(in residues, level int) residues {
	special := e.pool.getMany(e.special)
	e.each(e.special, func(i int) {
		copy(special[i], in[level+1+i])
		e.transforms.intt(len(e.Moduli)+i, special[i])
	})
	out := e.pool.getMany(level + 1)
	e.transforms.extendSpecial(level, special, func(limb int, extended []uint32) {
		e.transforms.ntt(limb, extended)
		e.kernels.SubtractScale(out[limb], in[limb], extended, e.inverseSpecial[limb], &e.moduli[limb])
		e.pool.put(extended)
	})
	e.pool.putMany(special)
	return out
}

func (e *engine) modDownBoth(in [2]residues, level int) (out [2]residues) {
	e.each(2, func(i int) { out[i] = e.modDown(in[i], level) })
	return out
}

func (e *engine) newPair(count int) (pair [2]residues) {
	return [2]residues{e.pool.getMany(count), e.pool.getMany(count)}
}

func (e *engine) freePair(pair [2]residues) {
	e.pool.putMany(pair[0])
	e.pool.putMany(pair[1])
}
