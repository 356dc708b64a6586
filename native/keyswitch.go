package main

// decomposition is a polynomial cut into digits of k primes. The digits are extended to QP limb by limb when they are
// used, so that those of one limb stay in the cache and those of all never exist at once.
type decomposition struct {
	engine *engine
	level  int
	own    residues // the polynomial itself, in the NTT domain
	extension
}

func (e *engine) decompose(c residues, level int) *decomposition {
	inverse := e.pool.getMany(level + 1)
	e.each(level+1, func(i int) {
		copy(inverse[i], c[i])
		e.transforms.intt(i, inverse[i])
	})
	return &decomposition{e, level, c, e.transforms.digits(level, inverse)}
}

// at is one limb of every digit, in the NTT domain; put gives it back.
func (d *decomposition) at(limb int) [][]uint32 {
	digits := make([][]uint32, d.engine.digits(d.level))
	for digit := range digits {
		if d.owns(digit, limb) {
			digits[digit] = d.own[limb]
			continue
		}
		digits[digit] = d.engine.pool.get()
		d.limb(digit, limb, digits[digit])
		d.engine.transforms.ntt(d.engine.place(d.level, limb), digits[digit])
	}
	return digits
}

func (d *decomposition) put(digits [][]uint32, limb int) {
	for digit, values := range digits {
		if !d.owns(digit, limb) {
			d.engine.pool.put(values)
		}
	}
}

// owns tells whether a limb belongs to the primes of the digit itself.
func (d *decomposition) owns(digit, limb int) bool {
	return limb <= d.level && limb/d.engine.special == digit
}

// gadget is the product of one limb of the digits and a key, plus add0 unless it is nil.
func (e *engine) gadget(out0, out1 []uint32, digits [][]uint32, key *evaluationKey, level, limb int, add0 []uint32) {
	at := limb
	if limb > level {
		at = limb - level + key.level
	}
	sum := terms{run: 1}
	for digit := range digits {
		pair := key.limbs[digit][at]
		sum.add(pair[0], pair[1], digits[digit])
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
	extended := e.transforms.special(level, special)
	defer extended.close()
	out := e.pool.getMany(level + 1)
	e.each(level+1, func(limb int) {
		lifted := e.pool.get()
		extended.limb(0, limb, lifted)
		e.transforms.ntt(limb, lifted)
		e.kernels.SubtractScale(out[limb], in[limb], lifted, e.inverseSpecial[limb], &e.moduli[limb])
		e.pool.put(lifted)
	})
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
