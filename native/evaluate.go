package main

import (
	"math"

	"heclstm/native/kernels"
)

func sameLevel(place string, a, b int) error {
	if a != b {
		return levelError("%s: got levels %d and %d, expected the same; drop the higher one first", place, a, b)
	}
	return nil
}

func sameScaleAs(place string, got, expected float64) error {
	if !scalesAgree(got, expected) {
		return failure("ScaleError", "%s: got scales 2^%.9f and 2^%.9f, expected the same; rescale or encode at the other's scale",
			place, math.Log2(got), math.Log2(expected))
	}
	return nil
}

// limbwise makes a result by working on every limb of both components.
func (e *engine) limbwise(level int, scale float64, work func(component, limb int, out []uint32)) *ciphertext {
	value := e.newPair(level + 1)
	e.each(2*(level+1), func(i int) { work(i%2, i/2, value[i%2][i/2]) })
	return e.wrap(level, scale, value)
}

func (e *engine) add(a, b *ciphertext, negative bool) (*ciphertext, error) {
	place := "add"
	if negative {
		place = "subtract"
	}
	if err := sameLevel(place, a.level, b.level); err != nil {
		return nil, err
	}
	if err := sameScaleAs(place, a.scale, b.scale); err != nil {
		return nil, err
	}
	return e.limbwise(a.level, a.scale, func(component, limb int, out []uint32) {
		x, y := a.value[component][limb], b.value[component][limb]
		if negative {
			e.kernels.Subtract(out, x, y, &e.moduli[limb])
		} else {
			e.kernels.Add(out, x, y, &e.moduli[limb])
		}
	}), nil
}

func (e *engine) addPlain(a *ciphertext, p *plaintext) (*ciphertext, error) {
	if err := sameLevel("add_plain", a.level, p.level); err != nil {
		return nil, err
	}
	if err := sameScaleAs("add_plain", a.scale, p.scale); err != nil {
		return nil, err
	}
	return e.limbwise(a.level, a.scale, func(component, limb int, out []uint32) {
		x := a.value[component][limb]
		if component == 0 {
			e.kernels.AddRuns(out, x, p.limb(limb), p.run, &e.moduli[limb])
		} else {
			copy(out, x)
		}
	}), nil
}

func (e *engine) multiplyPlain(a *ciphertext, p *plaintext) (*ciphertext, error) {
	if err := sameLevel("multiply_plain", a.level, p.level); err != nil {
		return nil, err
	}
	return e.limbwise(a.level, a.scale*p.scale, func(component, limb int, out []uint32) {
		e.kernels.MultiplyRuns(out, a.value[component][limb], p.limb(limb), p.run, &e.moduli[limb])
	}), nil
}

// sumOfProducts is Σ left_i · right_i with one relinearization, without a rescale.
func (e *engine) sumOfProducts(s *scope, left, right []*ciphertext) (*ciphertext, error) {
	const place = "sum_of_products"
	level, scale := left[0].level, left[0].scale*right[0].scale
	for i := range left {
		if err := sameLevel(place, left[i].level, level); err != nil {
			return nil, err
		}
		if err := sameLevel(place, right[i].level, level); err != nil {
			return nil, err
		}
		if err := sameScaleAs(place, left[i].scale*right[i].scale, scale); err != nil {
			return nil, err
		}
	}
	key, err := e.relinearizationKey(s, level)
	if err != nil {
		return nil, err
	}
	d := [3]residues{e.pool.getMany(level + 1), e.pool.getMany(level + 1), e.pool.getMany(level + 1)}
	e.each(level+1, func(limb int) {
		a0, a1, b0, b1 := pointers(left, 0, limb), pointers(left, 1, limb), pointers(right, 0, limb), pointers(right, 1, limb)
		e.kernels.Tensor(d[0][limb], d[1][limb], d[2][limb], a0, a1, b0, b1, &e.moduli[limb])
	})
	parts := e.decompose(d[2], level)
	pair := e.newPair(e.limbs(level))
	e.each(e.limbs(level), func(limb int) {
		digits := parts.at(limb)
		e.gadget(pair[0][limb], pair[1][limb], digits, key, level, limb, nil)
		parts.put(digits, limb)
	})
	parts.close()
	value := e.modDownBoth(pair, level)
	e.freePair(pair)
	e.each(2*(level+1), func(i int) {
		out := value[i%2][i/2]
		e.kernels.Add(out, out, d[i%2][i/2], &e.moduli[i/2])
	})
	for _, part := range d {
		e.pool.putMany(part)
	}
	return e.wrap(level, scale, value), nil
}

func pointers(list []*ciphertext, component, limb int) (out kernels.Limbs) {
	for _, c := range list {
		out.Add(c.value[component][limb])
	}
	return out
}

// rescale divides by the last prime. A scale that meets the ladder of the parameters up to rounding is set to it,
// so that rounding errors do not double at every product.
func (e *engine) rescale(a *ciphertext) (*ciphertext, error) {
	if a.level == 0 {
		return nil, levelError("rescale: got level 0, expected at least 1; use parameters with more levels")
	}
	level := a.level - 1
	scale := a.scale / float64(e.Moduli[a.level])
	if scalesAgree(scale, e.Scales[level]) {
		scale = e.Scales[level]
	}
	last := e.newPair(1)
	e.each(2, func(i int) {
		copy(last[i][0], a.value[i][a.level])
		e.transforms.intt(a.level, last[i][0])
	})
	value := e.newPair(a.level)
	e.each(2*a.level, func(i int) {
		out, limb := value[i%2][i/2], i/2
		lifted := e.pool.get()
		e.kernels.Lift(lifted, last[i%2][0], &e.moduli[a.level], &e.moduli[limb])
		e.transforms.ntt(limb, lifted)
		e.kernels.SubtractScale(out, a.value[i%2][limb], lifted, e.inverseModuli[a.level][limb], &e.moduli[limb])
		e.pool.put(lifted)
	})
	e.freePair(last)
	return e.wrap(level, scale, value), nil
}

func (e *engine) dropLevel(a *ciphertext, level int) (*ciphertext, error) {
	if level < 0 || level > a.level {
		return nil, levelError("drop_level: got %d, expected 0 … %d, the ciphertext's level", level, a.level)
	}
	return e.limbwise(level, a.scale, func(component, limb int, out []uint32) {
		copy(out, a.value[component][limb])
	}), nil
}

// rotate shifts the slots left by step.
func (e *engine) rotate(s *scope, a *ciphertext, step int) (*ciphertext, error) {
	step = e.step(step)
	if step == 0 {
		return e.dropLevel(a, a.level)
	}
	key, err := e.rotationKey(s, step, a.level)
	if err != nil {
		return nil, err
	}
	level := a.level
	parts := e.decompose(a.value[1], level)
	pair := e.newPair(e.limbs(level))
	e.each(e.limbs(level), func(limb int) {
		var add []uint32
		if limb <= level {
			add = e.pool.get()
			e.kernels.Scale(add, a.value[0][limb], e.specialMod[limb], &e.moduli[limb])
		}
		e.switchLimb(pair, parts, key, level, limb, add, nil)
		e.pool.put(add)
	})
	parts.close()
	value := e.modDownBoth(pair, level)
	e.freePair(pair)
	return e.wrap(level, a.scale, value), nil
}

// switchLimb is one limb of a rotation that stays modulo QP: out = permuted(gadget product + (add, 0)) + after.
// add may be out[0][limb] itself, since out is written last.
func (e *engine) switchLimb(out [2]residues, parts *decomposition, key *evaluationKey, level, limb int, add []uint32, after *[2]residues) {
	product0, product1, digits := e.pool.get(), e.pool.get(), parts.at(limb)
	e.gadget(product0, product1, digits, key, level, limb, add)
	parts.put(digits, limb)
	var after0, after1 []uint32
	if after != nil {
		after0, after1 = after[0][limb], after[1][limb]
	}
	m := e.modulus(level, limb)
	e.kernels.Gather(out[0][limb], product0, key.index, after0, m)
	e.kernels.Gather(out[1][limb], product1, key.index, after1, m)
	e.pool.put(product0)
	e.pool.put(product1)
}
