package main

import "heclstm/native/kernels"

// rotationKeys are the keys of one transform, by step.
type rotationKeys map[int]*evaluationKey

// apply evaluates a transform with double hoisting, without a rescale: inputs are decomposed once, rotated inputs
// and sums stay modulo QP, and each output is brought down once.
func (ctx *context) apply(l *lane, set *keySet, inputs []*ciphertext, t *transform) ([]*ciphertext, error) {
	keys, err := ctx.checkInputs(set, inputs, t)
	if err != nil {
		return nil, err
	}
	sums := ctx.innerSums(l, inputs, t, keys)
	totals := make([][2]residues, len(t.chains))
	l.each(len(t.chains), func(l *lane, i int) { totals[i] = ctx.horner(l, t, &t.chains[i], sums, keys) })

	outputs := make([]*ciphertext, t.outputs)
	l.each(t.outputs, func(l *lane, output int) {
		var total *[2]residues
		for i, c := range t.chains {
			if c.output != output {
				continue
			}
			if total == nil {
				total = &totals[i]
				continue
			}
			ctx.addPair(l, *total, totals[i], t)
			l.putPair(totals[i])
		}
		if total != nil {
			ctx.fold(l, *total, t, keys)
		}
		outputs[output] = ctx.wrap(t.level, t.outputScale, ctx.bringDown(l, total, t))
	})
	return outputs, nil
}

func (ctx *context) checkInputs(set *keySet, inputs []*ciphertext, t *transform) (rotationKeys, error) {
	const place = "linear_transform"
	if len(inputs) != len(t.inputScales) {
		return nil, parameterError("%s: got %d inputs, expected %d", place, len(inputs), len(t.inputScales))
	}
	for i, input := range inputs {
		if err := sameLevel(place, input.level, t.level); err != nil {
			return nil, err
		}
		if err := sameScaleAs(place, input.scale*t.inputScales[i], t.outputScale); err != nil {
			return nil, err
		}
	}
	steps := []int{}
	for _, b := range t.babies {
		if b.step != 0 {
			steps = append(steps, b.step)
		}
	}
	for i := range t.chains {
		steps = append(steps, t.chains[i].rotations(ctx)...)
	}
	steps = append(steps, t.folds...)
	keys := rotationKeys{}
	for _, step := range steps {
		if keys[step] == nil {
			key, err := set.rotation(step, t.level)
			if err != nil {
				return nil, err
			}
			keys[step] = key
		}
	}
	return keys, nil
}

// innerSums works limb by limb, so that the rotated inputs of only one limb a worker exist at a time.
func (ctx *context) innerSums(l *lane, inputs []*ciphertext, t *transform, keys rotationKeys) [][2]residues {
	parts := make([]*decomposition, len(inputs))
	l.each(len(inputs), func(l *lane, i int) {
		if t.decomposed[i] {
			parts[i] = ctx.decompose(l, inputs[i].value[1], t.level)
		}
	})
	sums := make([][2]residues, len(t.sums))
	for i := range sums {
		sums[i] = [2]residues{make(residues, t.limbs), make(residues, t.limbs)}
	}
	l.each(t.limbs, func(l *lane, limb int) {
		rotated := ctx.rotateLimb(l, inputs, parts, t, keys, limb)
		for i := range t.sums {
			list, borrowed := terms{run: t.run}, residues{}
			for _, entry := range t.sums[i].entries {
				if pair := rotated[entry.baby]; pair[0] != nil {
					diagonal, extra := t.plain(l, entry.plain, limb)
					list.add(pair[0], pair[1], diagonal)
					borrowed = append(borrowed, extra)
				}
			}
			sums[i][0][limb], sums[i][1][limb] = l.get(), l.get()
			ctx.sum(&list, sums[i][0][limb], sums[i][1][limb], nil, ctx.modulus(t.level, limb))
			l.putMany(borrowed)
		}
		for _, pair := range rotated {
			l.put(pair[0])
			l.put(pair[1])
		}
	})
	for _, decomposed := range parts {
		if decomposed != nil {
			decomposed.close(l)
		}
	}
	return sums
}

// rotateLimb makes one limb of every rotated input, times P. An input that is not rotated has no limbs modulo P:
// its pair stays nil there.
func (ctx *context) rotateLimb(l *lane, inputs []*ciphertext, parts []*decomposition, t *transform, keys rotationKeys, limb int) [][2][]uint32 {
	m := ctx.modulus(t.level, limb)
	scaled := make([][]uint32, len(inputs)) // P · c0
	if limb <= t.level {
		for i, input := range inputs {
			scaled[i] = ctx.timesSpecial(l, input.value[0][limb], limb, t)
		}
	}
	digits := make([][][]uint32, len(inputs))
	for i, decomposed := range parts {
		if decomposed != nil {
			digits[i] = decomposed.at(l, limb)
		}
	}
	rotated := make([][2][]uint32, len(t.babies))
	for i, b := range t.babies {
		switch {
		case b.step != 0:
			product0, product1 := l.get(), l.get()
			key := keys[b.step]
			ctx.gadget(product0, product1, digits[b.input], key, t.level, limb, scaled[b.input])
			rotated[i] = [2][]uint32{l.get(), l.get()}
			ctx.kernels.Gather(rotated[i][0], product0, key.index, nil, m)
			ctx.kernels.Gather(rotated[i][1], product1, key.index, nil, m)
			l.put(product0)
			l.put(product1)
		case limb <= t.level:
			input := inputs[b.input]
			rotated[i] = [2][]uint32{
				ctx.timesSpecial(l, input.value[0][limb], limb, t), ctx.timesSpecial(l, input.value[1][limb], limb, t),
			}
		}
	}
	for i, decomposed := range parts {
		if decomposed != nil {
			decomposed.put(l, digits[i], limb)
		}
	}
	l.putMany(scaled)
	return rotated
}

// timesSpecial is a limb times P if the transform works modulo QP, and the limb itself otherwise.
func (ctx *context) timesSpecial(l *lane, limb []uint32, index int, t *transform) []uint32 {
	out := l.get()
	if t.switched {
		ctx.kernels.Scale(out, limb, ctx.specialMod[index], &ctx.moduli[index])
	} else {
		copy(out, limb)
	}
	return out
}

// horner sums one chain: from the last position to the first, turn what there is and add the next inner sum.
// Only the second component is brought down for a turn, to be decomposed; the result stays modulo QP.
func (ctx *context) horner(l *lane, t *transform, c *chain, sums [][2]residues, keys rotationKeys) [2]residues {
	last := c.last()
	total := sums[c.sums[last]]
	for k := last; k >= 0; k-- {
		var next *[2]residues
		if k > 0 && c.sums[k-1] >= 0 {
			next = &sums[c.sums[k-1]]
		}
		if step := c.rotation(ctx, k); step != 0 {
			ctx.turn(l, total, keys[step], t.level, next)
		} else if next != nil {
			ctx.addPair(l, total, *next, t)
		}
		if next != nil {
			l.putPair(*next)
		}
	}
	return total
}

// fold adds to a sum itself turned by each of the folds, one after another.
func (ctx *context) fold(l *lane, total [2]residues, t *transform, keys rotationKeys) {
	for _, step := range t.folds {
		before := l.newPair(t.limbs)
		for i := range before {
			for limb, out := range before[i] {
				copy(out, total[i][limb])
			}
		}
		ctx.turn(l, total, keys[step], t.level, &before)
		l.putPair(before)
	}
}

// turn rotates a pair modulo QP in place and adds another unless it is nil.
func (ctx *context) turn(l *lane, pair [2]residues, key *evaluationKey, level int, next *[2]residues) {
	second := ctx.modDown(l, pair[1], level)
	parts := ctx.decompose(l, second, level)
	l.each(ctx.limbs(level), func(l *lane, limb int) { ctx.switchLimb(l, pair, parts, key, level, limb, pair[0][limb], next) })
	parts.close(l)
	l.putMany(second)
}

func (ctx *context) addPair(l *lane, to, from [2]residues, t *transform) {
	l.each(2*t.limbs, func(_ *lane, i int) {
		out := to[i%2][i/2]
		ctx.kernels.Add(out, out, from[i%2][i/2], ctx.modulus(t.level, i/2))
	})
}

// bringDown leaves QP; an output without entries is an encryption of zero that anyone can read.
func (ctx *context) bringDown(l *lane, total *[2]residues, t *transform) [2]residues {
	if total == nil {
		value := l.newPair(t.level + 1)
		for i := range value {
			for _, limb := range value[i] {
				clear(limb)
			}
		}
		return value
	}
	if !t.switched {
		return *total
	}
	defer l.putPair(*total)
	return ctx.modDownBoth(l, *total, t.level)
}

// terms is a sum of products: factors x0, x1 and plain values, each of which stands for `run` places.
type terms struct {
	x0, x1, plain kernels.Limbs
	run           int
}

func (t *terms) add(x0, x1, plain []uint32) {
	t.x0.Add(x0)
	t.x1.Add(x1)
	t.plain.Add(plain)
}

// sum writes the sum of products, plus add0 unless it is nil.
func (ctx *context) sum(t *terms, out0, out1, add0 []uint32, m *kernels.Modulus) {
	if len(t.x0) == 0 {
		clear(out0)
		clear(out1)
		return
	}
	ctx.kernels.Dot2(out0, out1, t.x0, t.x1, t.plain, t.run, add0, nil, m)
}
