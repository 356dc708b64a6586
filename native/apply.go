package main

import "heclstm/native/kernels"

// rotationKeys are the keys of one transform, by step.
type rotationKeys map[int]*evaluationKey

// application is one call of a transform with the keys of one tenant.
type application struct {
	*context
	t       *transform
	keys    rotationKeys
	special int // of the rotated inputs and their sums: of the baby step's key that has the most, 0 if there are none
}

// apply evaluates a transform with double hoisting, without a rescale: inputs are decomposed once, rotated inputs
// and sums stay modulo QP, and each output is brought down once.
func (ctx *context) apply(l *lane, set *keySet, inputs []*ciphertext, t *transform) ([]*ciphertext, error) {
	a := &application{context: ctx, t: t, keys: rotationKeys{}}
	if err := a.checkInputs(inputs); err != nil {
		return nil, err
	}
	if err := a.findKeys(set); err != nil {
		return nil, err
	}
	sums := a.innerSums(l, inputs)
	totals := make([]*extended, len(t.chains))
	l.each(len(t.chains), func(l *lane, i int) { totals[i] = a.horner(l, &t.chains[i], sums) })

	outputs := make([]*ciphertext, t.outputs)
	l.each(t.outputs, func(l *lane, output int) {
		total := a.total(l, output, totals)
		for _, step := range t.folds {
			if total != nil {
				total = a.fold(l, total, step)
			}
		}
		outputs[output] = ctx.wrap(t.level, t.outputScale, a.value(l, total))
	})
	return outputs, nil
}

func (a *application) checkInputs(inputs []*ciphertext) error {
	const place = "linear_transform"
	if len(inputs) != len(a.t.inputScales) {
		return parameterError("%s: got %d inputs, expected %d", place, len(inputs), len(a.t.inputScales))
	}
	for i, input := range inputs {
		if err := sameLevel(place, input.level, a.t.level); err != nil {
			return err
		}
		if err := sameScaleAs(place, input.scale*a.t.inputScales[i], a.t.outputScale); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) findKeys(set *keySet) error {
	for _, step := range a.t.keySteps() {
		key, err := set.rotation(step, a.t.level)
		if err != nil {
			return err
		}
		a.keys[step] = key
	}
	for _, b := range a.t.babies {
		if b.step != 0 {
			a.special = max(a.special, a.keys[b.step].special)
		}
	}
	if a.special > a.t.special {
		return parameterError("linear_transform: a rotation key has %d special primes, the transform was prepared for %d; "+
			"generate its keys at the levels that the program names", a.special, a.t.special)
	}
	return nil
}

// innerSums works limb by limb, so that the rotated inputs of only one limb a worker exist at a time.
func (a *application) innerSums(l *lane, inputs []*ciphertext) []*extended {
	t := a.t
	parts := a.decomposeInputs(l, inputs)
	count := limbs(t.level, a.special)
	sums := make([]*extended, len(t.sums))
	for i := range sums {
		sums[i] = &extended{a.special, [2]residues{make(residues, count), make(residues, count)}}
	}
	l.each(count, func(l *lane, limb int) {
		rotated := a.rotateLimb(l, inputs, parts, limb)
		for i := range t.sums {
			list, borrowed := terms{run: t.run}, residues{}
			for _, entry := range t.sums[i].entries {
				if pair := rotated[entry.baby]; pair[0] != nil {
					diagonal, extra := t.plain(l, entry.plain, limb)
					list.add(pair[0], pair[1], diagonal)
					borrowed = append(borrowed, extra)
				}
			}
			out := &sums[i].value
			out[0][limb], out[1][limb] = l.get(), l.get()
			a.sum(&list, out[0][limb], out[1][limb], nil, a.modulus(t.level, limb))
			l.putMany(borrowed)
		}
		for _, pair := range rotated {
			l.putMany(pair[:])
		}
	})
	for _, byWidth := range parts {
		for _, decomposed := range byWidth {
			decomposed.close(l)
		}
	}
	return sums
}

// decomposeInputs cuts every input that some baby step rotates into digits of as many primes as its keys have special
// ones: once for each such number, which is one for nearly all transforms.
func (a *application) decomposeInputs(l *lane, inputs []*ciphertext) []map[int]*decomposition {
	parts := make([]map[int]*decomposition, len(inputs))
	for i := range parts {
		parts[i] = map[int]*decomposition{}
	}
	for _, b := range a.t.babies {
		if b.step != 0 {
			parts[b.input][a.keys[b.step].special] = nil
		}
	}
	l.each(len(inputs), func(l *lane, i int) {
		for special := range parts[i] {
			parts[i][special] = a.decompose(l, inputs[i].value[1], a.t.level, special)
		}
	})
	return parts
}

// rotateLimb makes one limb of every rotated input, times P. An input that is not rotated has no limbs modulo P:
// its pair stays nil there, as does that of a key with fewer special primes.
func (a *application) rotateLimb(l *lane, inputs []*ciphertext, parts []map[int]*decomposition, limb int) [][2][]uint32 {
	t := a.t
	m := a.modulus(t.level, limb)
	scaled := make([][]uint32, len(inputs)) // P · c0
	if limb <= t.level {
		for i, input := range inputs {
			scaled[i] = a.timesSpecial(l, input.value[0][limb], limb)
		}
	}
	digits := make([]map[int][][]uint32, len(inputs))
	for i, byWidth := range parts {
		digits[i] = map[int][][]uint32{}
		for special, decomposed := range byWidth {
			if limb < limbs(t.level, special) {
				digits[i][special] = decomposed.at(l, limb)
			}
		}
	}
	rotated := make([][2][]uint32, len(t.babies))
	for i, b := range t.babies {
		key := a.keys[b.step]
		switch {
		case b.step != 0 && limb < limbs(t.level, key.special):
			product := [2][]uint32{l.get(), l.get()}
			a.switched(l, product, digits[b.input][key.special], key, t.level, limb, a.special, scaled[b.input])
			for component, values := range product {
				rotated[i][component] = l.get()
				a.kernels.Gather(rotated[i][component], values, key.index, nil, m)
				l.put(values)
			}
		case b.step == 0 && limb <= t.level:
			value := inputs[b.input].value
			rotated[i] = [2][]uint32{a.timesSpecial(l, value[0][limb], limb), a.timesSpecial(l, value[1][limb], limb)}
		}
	}
	for i, byWidth := range digits {
		for special, list := range byWidth {
			parts[i][special].put(l, list, limb)
		}
	}
	l.putMany(scaled)
	return rotated
}

// timesSpecial is a copy of a limb, times P where the sums are modulo QP.
func (a *application) timesSpecial(l *lane, limb []uint32, index int) []uint32 {
	out := l.get()
	if a.special > 0 {
		a.kernels.Scale(out, limb, a.lift(index, 0, a.special), &a.moduli[index])
	} else {
		copy(out, limb)
	}
	return out
}

// turnBy rotates a sum of the application's own, by as many keys as the step is walked with, and adds another unless
// it is nil. Both go back to the lane.
func (a *application) turnBy(l *lane, total *extended, step int, next *extended) *extended {
	walk := a.t.walk(step)
	for i, part := range walk {
		var after *extended
		if i == len(walk)-1 {
			after = next
		}
		turned := a.turn(l, *total, true, a.keys[part], a.t.level, after)
		total = &turned
	}
	if next != nil {
		if len(walk) == 0 {
			a.addPair(l, total, next)
		}
		l.putPair(next.value)
	}
	return total
}

// horner sums one chain: from the last position to the first, turn what there is and add the next inner sum.
func (a *application) horner(l *lane, c *chain, sums []*extended) *extended {
	last := c.last()
	total := sums[c.sums[last]]
	for k := last; k > 0; k-- {
		var next *extended
		if c.sums[k-1] >= 0 {
			next = sums[c.sums[k-1]]
		}
		total = a.turnBy(l, total, c.rotation(a.context, k), next)
	}
	if a.t.nested {
		return total
	}
	return a.turnBy(l, total, c.steps[0], nil)
}

// total is the sum of the chains of one output, nil if it has none. Nested chains are summed by Horner's rule, too, from
// the last to the first, each turned by how far its head stands behind the one before.
func (a *application) total(l *lane, output int, totals []*extended) *extended {
	heads, own := a.t.heads, make([]*extended, len(a.t.heads))
	for i, c := range a.t.chains {
		if c.output == output {
			own[c.index] = totals[i]
		}
	}
	var total *extended
	for index := len(own) - 1; index >= 0; index-- {
		switch {
		case total == nil:
			total = own[index]
		case own[index] != nil:
			a.addPair(l, total, own[index])
			l.putPair(own[index].value)
		}
		if a.t.nested && total != nil {
			before := 0
			if index > 0 {
				before = heads[index-1]
			}
			total = a.turnBy(l, total, a.step(heads[index]-before), nil)
		}
	}
	return total
}

// fold adds to a sum itself turned.
func (a *application) fold(l *lane, total *extended, step int) *extended {
	walk := a.t.walk(step)
	turned := *total
	for i, part := range walk {
		var after *extended
		if i == len(walk)-1 {
			after = total
		}
		turned = a.turn(l, turned, i > 0, a.keys[part], a.t.level, after)
	}
	l.putPair(total.value)
	return &turned
}

// addPair adds to a sum another one with as many or other special primes.
func (a *application) addPair(l *lane, to, from *extended) {
	special, level := max(to.special, from.special), a.t.level
	count := limbs(level, special)
	for component := range to.value {
		to.value[component] = append(to.value[component], make(residues, count-len(to.value[component]))...)
	}
	l.each(2*count, func(l *lane, i int) {
		component, limb := i%2, i/2
		m := a.modulus(level, limb)
		own, lent := a.lifted(l, to, component, level, limb, special)
		more, borrowed := a.lifted(l, from, component, level, limb, special)
		out := to.value[component][limb]
		if out == nil {
			out = l.get()
			to.value[component][limb] = out
		}
		switch {
		case own == nil:
			copy(out, more)
		case more == nil:
			copy(out, own)
		default:
			a.kernels.Add(out, own, more, m)
		}
		l.put(lent)
		l.put(borrowed)
	})
	to.special = special
}

// value leaves QP; an output without entries is an encryption of zero that anyone can read.
func (a *application) value(l *lane, total *extended) [2]residues {
	if total != nil {
		return a.bringDown(l, *total, a.t.level)
	}
	value := l.newPair(a.t.level + 1)
	for i := range value {
		for _, limb := range value[i] {
			clear(limb)
		}
	}
	return value
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
