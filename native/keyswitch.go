package main

// decomposition is a polynomial cut into digits of k primes. The digits are extended to QP limb by limb when they are
// used, so that those of one limb stay in the cache and those of all never exist at once.
type decomposition struct {
	context *context
	level   int
	own     residues // the polynomial itself, in the NTT domain
	extension
}

func (ctx *context) decompose(l *lane, c residues, level int) *decomposition {
	inverse := l.getMany(level + 1)
	l.each(level+1, func(_ *lane, i int) {
		copy(inverse[i], c[i])
		ctx.transforms.intt(i, inverse[i])
	})
	return &decomposition{ctx, level, c, ctx.transforms.digits(l, level, inverse)}
}

// at is one limb of every digit, in the NTT domain; put gives it back.
func (d *decomposition) at(l *lane, limb int) [][]uint32 {
	digits := make([][]uint32, d.context.digits(d.level))
	for digit := range digits {
		if d.owns(digit, limb) {
			digits[digit] = d.own[limb]
			continue
		}
		digits[digit] = l.get()
		d.limb(digit, limb, digits[digit])
		d.context.transforms.ntt(d.context.place(d.level, limb), digits[digit])
	}
	return digits
}

func (d *decomposition) put(l *lane, digits [][]uint32, limb int) {
	for digit, values := range digits {
		if !d.owns(digit, limb) {
			l.put(values)
		}
	}
}

// owns tells whether a limb belongs to the primes of the digit itself.
func (d *decomposition) owns(digit, limb int) bool {
	return limb <= d.level && limb/d.context.special == digit
}

// gadget is the product of one limb of the digits and a key, plus add0 unless it is nil.
func (ctx *context) gadget(out0, out1 []uint32, digits [][]uint32, key *evaluationKey, level, limb int, add0 []uint32) {
	at := limb
	if limb > level {
		at = limb - level + key.level
	}
	sum := terms{run: 1}
	for digit := range digits {
		pair := key.limbs[digit][at]
		sum.add(pair[0], pair[1], digits[digit])
	}
	ctx.sum(&sum, out0, out1, add0, ctx.modulus(level, limb))
}

// modDown divides by P and rounds.
func (ctx *context) modDown(l *lane, in residues, level int) residues {
	special := l.getMany(ctx.special)
	l.each(ctx.special, func(_ *lane, i int) {
		copy(special[i], in[level+1+i])
		ctx.transforms.intt(len(ctx.Moduli)+i, special[i])
	})
	extended := ctx.transforms.special(l, level, special)
	out := l.getMany(level + 1)
	l.each(level+1, func(l *lane, limb int) {
		lifted := l.get()
		extended.limb(0, limb, lifted)
		ctx.transforms.ntt(limb, lifted)
		ctx.kernels.SubtractScale(out[limb], in[limb], lifted, ctx.inverseSpecial[limb], &ctx.moduli[limb])
		l.put(lifted)
	})
	extended.close(l)
	return out
}

func (ctx *context) modDownBoth(l *lane, in [2]residues, level int) (out [2]residues) {
	l.each(2, func(l *lane, i int) { out[i] = ctx.modDown(l, in[i], level) })
	return out
}
