package main

import "heclstm/native/kernels"

// rotationKeys are the keys of one transform, by step.
type rotationKeys map[int]*evaluationKey

// apply evaluates a transform with double hoisting, without a rescale: inputs are decomposed once, rotated inputs
// and sums stay modulo QP, and each output is brought down once.
func (e *engine) apply(s *scope, inputs []*ciphertext, t *transform) ([]*ciphertext, error) {
	keys, err := e.checkInputs(s, inputs, t)
	if err != nil {
		return nil, err
	}
	sums := e.innerSums(inputs, t, keys)
	totals := make([][2]residues, len(t.chains))
	e.each(len(t.chains), func(i int) { totals[i] = e.horner(t, &t.chains[i], sums, keys) })

	outputs := make([]*ciphertext, t.outputs)
	e.each(t.outputs, func(output int) {
		var total *[2]residues
		for i, c := range t.chains {
			if c.output != output {
				continue
			}
			if total == nil {
				total = &totals[i]
				continue
			}
			e.addPair(*total, totals[i], t)
			e.freePair(totals[i])
		}
		if total != nil {
			e.fold(*total, t, keys)
		}
		outputs[output] = e.wrap(t.level, t.outputScale, e.bringDown(total, t))
	})
	return outputs, nil
}

func (e *engine) checkInputs(s *scope, inputs []*ciphertext, t *transform) (rotationKeys, error) {
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
		steps = append(steps, t.chains[i].rotations(e)...)
	}
	steps = append(steps, t.folds...)
	keys := rotationKeys{}
	for _, step := range steps {
		if keys[step] == nil {
			key, err := e.rotationKey(s, step, t.level)
			if err != nil {
				return nil, err
			}
			keys[step] = key
		}
	}
	return keys, nil
}

// innerSums works limb by limb, so that the rotated inputs of only one limb a worker exist at a time.
func (e *engine) innerSums(inputs []*ciphertext, t *transform, keys rotationKeys) [][2]residues {
	parts := make([]*decomposition, len(inputs))
	e.each(len(inputs), func(i int) {
		if t.decomposed[i] {
			parts[i] = e.decompose(inputs[i].value[1], t.level)
		}
	})
	sums := make([][2]residues, len(t.sums))
	for i := range sums {
		sums[i] = [2]residues{make(residues, t.limbs), make(residues, t.limbs)}
	}
	e.each(t.limbs, func(limb int) {
		rotated := e.rotateLimb(inputs, parts, t, keys, limb)
		for i := range t.sums {
			list, borrowed := terms{run: t.run}, residues{}
			for _, entry := range t.sums[i].entries {
				if pair := rotated[entry.baby]; pair[0] != nil {
					diagonal, extra := t.plain(entry.plain, limb)
					list.add(pair[0], pair[1], diagonal)
					borrowed = append(borrowed, extra)
				}
			}
			sums[i][0][limb], sums[i][1][limb] = e.pool.get(), e.pool.get()
			e.sum(&list, sums[i][0][limb], sums[i][1][limb], nil, e.modulus(t.level, limb))
			e.pool.putMany(borrowed)
		}
		for _, pair := range rotated {
			e.pool.put(pair[0])
			e.pool.put(pair[1])
		}
	})
	for _, decomposed := range parts {
		if decomposed != nil {
			decomposed.close()
		}
	}
	return sums
}

// rotateLimb makes one limb of every rotated input, times P. An input that is not rotated has no limbs modulo P:
// its pair stays nil there.
func (e *engine) rotateLimb(inputs []*ciphertext, parts []*decomposition, t *transform, keys rotationKeys, limb int) [][2][]uint32 {
	m := e.modulus(t.level, limb)
	scaled := make([][]uint32, len(inputs)) // P · c0
	if limb <= t.level {
		for i, input := range inputs {
			scaled[i] = e.timesSpecial(input.value[0][limb], limb, t)
		}
	}
	digits := make([][][]uint32, len(inputs))
	for i, decomposed := range parts {
		if decomposed != nil {
			digits[i] = decomposed.at(limb)
		}
	}
	rotated := make([][2][]uint32, len(t.babies))
	for i, b := range t.babies {
		switch {
		case b.step != 0:
			product0, product1 := e.pool.get(), e.pool.get()
			key := keys[b.step]
			e.gadget(product0, product1, digits[b.input], key, t.level, limb, scaled[b.input])
			rotated[i] = [2][]uint32{e.pool.get(), e.pool.get()}
			e.kernels.Gather(rotated[i][0], product0, key.index, nil, m)
			e.kernels.Gather(rotated[i][1], product1, key.index, nil, m)
			e.pool.put(product0)
			e.pool.put(product1)
		case limb <= t.level:
			input := inputs[b.input]
			rotated[i] = [2][]uint32{
				e.timesSpecial(input.value[0][limb], limb, t), e.timesSpecial(input.value[1][limb], limb, t),
			}
		}
	}
	for i, decomposed := range parts {
		if decomposed != nil {
			decomposed.put(digits[i], limb)
		}
	}
	e.pool.putMany(scaled)
	return rotated
}

// timesSpecial is a limb times P if the transform works modulo QP, and the limb itself otherwise.
func (e *engine) timesSpecial(limb []uint32, index int, t *transform) []uint32 {
	out := e.pool.get()
	if t.switched {
		e.kernels.Scale(out, limb, e.specialMod[index], &e.moduli[index])
	} else {
		copy(out, limb)
	}
	return out
}

// horner sums one chain: from the last position to the first, turn what there is and add the next inner sum.
// Only the second component is brought down for a turn, to be decomposed; the result stays modulo QP.
func (e *engine) horner(t *transform, c *chain, sums [][2]residues, keys rotationKeys) [2]residues {
	last := c.last()
	total := sums[c.sums[last]]
	for k := last; k >= 0; k-- {
		var next *[2]residues
		if k > 0 && c.sums[k-1] >= 0 {
			next = &sums[c.sums[k-1]]
		}
		if step := c.rotation(e, k); step != 0 {
			e.turn(total, keys[step], t.level, next)
		} else if next != nil {
			e.addPair(total, *next, t)
		}
		if next != nil {
			e.freePair(*next)
		}
	}
	return total
}

// fold adds to a sum itself turned by each of the folds, one after another.
func (e *engine) fold(total [2]residues, t *transform, keys rotationKeys) {
	for _, step := range t.folds {
		before := e.newPair(t.limbs)
		for i := range before {
			for limb, out := range before[i] {
				copy(out, total[i][limb])
			}
		}
		e.turn(total, keys[step], t.level, &before)
		e.freePair(before)
	}
}

// turn rotates a pair modulo QP in place and adds another unless it is nil.
func (e *engine) turn(pair [2]residues, key *evaluationKey, level int, next *[2]residues) {
	second := e.modDown(pair[1], level)
	parts := e.decompose(second, level)
	e.each(e.limbs(level), func(limb int) { e.switchLimb(pair, parts, key, level, limb, pair[0][limb], next) })
	parts.close()
	e.pool.putMany(second)
}

func (e *engine) addPair(to, from [2]residues, t *transform) {
	e.each(2*t.limbs, func(i int) {
		out := to[i%2][i/2]
		e.kernels.Add(out, out, from[i%2][i/2], e.modulus(t.level, i/2))
	})
}

// bringDown leaves QP; an output without entries is an encryption of zero that anyone can read.
func (e *engine) bringDown(total *[2]residues, t *transform) [2]residues {
	if total == nil {
		value := e.newPair(t.level + 1)
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
	defer e.freePair(*total)
	return e.modDownBoth(*total, t.level)
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
func (e *engine) sum(t *terms, out0, out1, add0 []uint32, m *kernels.Modulus) {
	if len(t.x0) == 0 {
		clear(out0)
		clear(out1)
		return
	}
	e.kernels.Dot2(out0, out1, t.x0, t.x1, t.plain, t.run, add0, nil, m)
}
