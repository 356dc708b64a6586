package main

// decomposition is a polynomial cut into digits of as many primes as the keys to come have special ones. The digits are
// extended to QP limb by limb when they are used, so that those of one limb stay in the cache and those of all never
// exist at once.
type decomposition struct {
	context        *context
	level, special int
	own            residues // the polynomial itself, in the NTT domain
	extension
}

func (ctx *context) decompose(l *lane, c residues, level, special int) *decomposition {
	inverse := l.getMany(level + 1)
	l.each(level+1, func(_ *lane, i int) {
		copy(inverse[i], c[i])
		ctx.transforms.intt(i, inverse[i])
	})
	return &decomposition{ctx, level, special, c, ctx.transforms.digits(l, level, special, inverse)}
}

// at is one limb of every digit, in the NTT domain; put gives it back.
func (d *decomposition) at(l *lane, limb int) [][]uint32 {
	list := make([][]uint32, digits(d.level, d.special))
	for digit := range list {
		if d.owns(digit, limb) {
			list[digit] = d.own[limb]
			continue
		}
		list[digit] = l.get()
		d.limb(digit, limb, list[digit])
		d.context.transforms.ntt(d.context.place(d.level, limb), list[digit])
	}
	return list
}

func (d *decomposition) put(l *lane, list [][]uint32, limb int) {
	for digit, values := range list {
		if !d.owns(digit, limb) {
			l.put(values)
		}
	}
}

// owns tells whether a limb belongs to the primes of the digit itself.
func (d *decomposition) owns(digit, limb int) bool {
	return limb <= d.level && limb/d.special == digit
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

// extended is a pair of polynomials modulo QP_special that stands for its quotient by P_special; nothing is divided
// where special is 0.
type extended struct {
	special int
	value   [2]residues
}

// lifted is a limb as it is modulo QP_special, a pair with more special primes: times P_special / P. It is nil where
// the limb is zero; `borrowed` goes back to the lane, unless it is nil.
func (ctx *context) lifted(l *lane, x *extended, component, level, limb, special int) (values, borrowed []uint32) {
	if limb >= limbs(level, x.special) {
		return nil, nil
	}
	values = x.value[component][limb]
	if x.special < special {
		borrowed = l.get()
		ctx.kernels.Scale(borrowed, values, ctx.lift(ctx.place(level, limb), x.special, special), ctx.modulus(level, limb))
		values = borrowed
	}
	return values, borrowed
}

// turn rotates a pair and adds another, unless it is nil. The result has as many special primes as the one of pair, next
// and key that has the most. Of the pair only the second component is brought down, to be decomposed. The pair's limbs go
// back to the lane if it is the caller's own.
func (ctx *context) turn(l *lane, pair extended, own bool, key *evaluationKey, level int, next *extended) extended {
	out := extended{special: max(pair.special, key.special)}
	if next != nil {
		out.special = max(out.special, next.special)
	}
	second := pair.value[1]
	if pair.special > 0 {
		second = ctx.modDown(l, second, level, pair.special)
	}
	parts := ctx.decompose(l, second, level, key.special)
	count := limbs(level, out.special)
	out.value = [2]residues{make(residues, count), make(residues, count)}
	l.each(count, func(l *lane, limb int) { ctx.turnLimb(l, &out, &pair, parts, key, level, limb, next) })
	parts.close(l)
	if pair.special > 0 {
		l.putMany(second)
	}
	if own {
		l.putPair(pair.value)
	}
	return out
}

func (ctx *context) turnLimb(l *lane, out, pair *extended, parts *decomposition, key *evaluationKey, level, limb int, next *extended) {
	m := ctx.modulus(level, limb)
	add, borrowed := ctx.lifted(l, pair, 0, level, limb, out.special)
	var product [2][]uint32
	switch {
	case limb < limbs(level, key.special):
		product = [2][]uint32{l.get(), l.get()}
		list := parts.at(l, limb)
		ctx.switched(l, product, list, key, level, limb, out.special, add)
		parts.put(l, list, limb)
	case add != nil:
		product[0] = l.get()
		copy(product[0], add)
	}
	l.put(borrowed)
	for component, values := range product {
		var after, lent []uint32
		if next != nil {
			after, lent = ctx.lifted(l, next, component, level, limb, out.special)
		}
		limbOut := l.get()
		out.value[component][limb] = limbOut
		switch {
		case values != nil:
			ctx.kernels.Gather(limbOut, values, key.index, after, m)
		case after != nil:
			copy(limbOut, after)
		default:
			clear(limbOut)
		}
		l.put(values)
		l.put(lent)
	}
}

// switched is one limb of a key switch, as it is modulo QP_special, plus add0 unless it is nil.
func (ctx *context) switched(l *lane, out [2][]uint32, digits [][]uint32, key *evaluationKey, level, limb, special int, add0 []uint32) {
	if key.special == special {
		ctx.gadget(out[0], out[1], digits, key, level, limb, add0)
		return
	}
	m, factor := ctx.modulus(level, limb), ctx.lift(ctx.place(level, limb), key.special, special)
	ctx.gadget(out[0], out[1], digits, key, level, limb, nil)
	for _, values := range out {
		ctx.kernels.Scale(values, values, factor, m)
	}
	if add0 != nil {
		ctx.kernels.Add(out[0], out[0], add0, m)
	}
}

// modDown divides by P_special and rounds.
func (ctx *context) modDown(l *lane, in residues, level, special int) residues {
	rest := l.getMany(special)
	l.each(special, func(_ *lane, i int) {
		copy(rest[i], in[level+1+i])
		ctx.transforms.intt(len(ctx.Moduli)+i, rest[i])
	})
	extension := ctx.transforms.special(l, level, rest)
	out := l.getMany(level + 1)
	l.each(level+1, func(l *lane, limb int) {
		lifted := l.get()
		extension.limb(0, limb, lifted)
		ctx.transforms.ntt(limb, lifted)
		ctx.kernels.SubtractScale(out[limb], in[limb], lifted, ctx.inverseSpecial[special][limb], &ctx.moduli[limb])
		l.put(lifted)
	})
	extension.close(l)
	return out
}

// bringDown divides a pair by its special primes. Its limbs go back to the lane, or are the result.
func (ctx *context) bringDown(l *lane, pair extended, level int) (out [2]residues) {
	if pair.special == 0 {
		return pair.value
	}
	l.each(2, func(l *lane, i int) { out[i] = ctx.modDown(l, pair.value[i], level, pair.special) })
	l.putPair(pair.value)
	return out
}
