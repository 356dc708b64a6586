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
func (ctx *context) limbwise(l *lane, level int, scale float64, work func(component, limb int, out []uint32)) *ciphertext {
	value := l.newPair(level + 1)
	l.each(2*(level+1), func(_ *lane, i int) { work(i%2, i/2, value[i%2][i/2]) })
	return ctx.wrap(level, scale, value)
}

func (ctx *context) add(l *lane, a, b *ciphertext, negative bool) (*ciphertext, error) {
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
	return ctx.limbwise(l, a.level, a.scale, func(component, limb int, out []uint32) {
		x, y := a.value[component][limb], b.value[component][limb]
		if negative {
			ctx.kernels.Subtract(out, x, y, &ctx.moduli[limb])
		} else {
			ctx.kernels.Add(out, x, y, &ctx.moduli[limb])
		}
	}), nil
}

func (ctx *context) addPlain(l *lane, a *ciphertext, p *plaintext) (*ciphertext, error) {
	if err := sameLevel("add_plain", a.level, p.level); err != nil {
		return nil, err
	}
	if err := sameScaleAs("add_plain", a.scale, p.scale); err != nil {
		return nil, err
	}
	return ctx.limbwise(l, a.level, a.scale, func(component, limb int, out []uint32) {
		x := a.value[component][limb]
		if component == 0 {
			ctx.kernels.AddRuns(out, x, p.limb(limb), p.run, &ctx.moduli[limb])
		} else {
			copy(out, x)
		}
	}), nil
}

func (ctx *context) multiplyPlain(l *lane, a *ciphertext, p *plaintext) (*ciphertext, error) {
	if err := sameLevel("multiply_plain", a.level, p.level); err != nil {
		return nil, err
	}
	return ctx.limbwise(l, a.level, a.scale*p.scale, func(component, limb int, out []uint32) {
		ctx.kernels.MultiplyRuns(out, a.value[component][limb], p.limb(limb), p.run, &ctx.moduli[limb])
	}), nil
}

// sumOfProducts is Σ left_i · right_i with one relinearization, without a rescale.
func (ctx *context) sumOfProducts(l *lane, keys *keySet, left, right []*ciphertext) (*ciphertext, error) {
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
	key, err := keys.relinearization(level)
	if err != nil {
		return nil, err
	}
	d := [3]residues{l.getMany(level + 1), l.getMany(level + 1), l.getMany(level + 1)}
	l.each(level+1, func(_ *lane, limb int) {
		a0, a1, b0, b1 := pointers(left, 0, limb), pointers(left, 1, limb), pointers(right, 0, limb), pointers(right, 1, limb)
		ctx.kernels.Tensor(d[0][limb], d[1][limb], d[2][limb], a0, a1, b0, b1, &ctx.moduli[limb])
	})
	parts := ctx.decompose(l, d[2], level, key.special)
	count := limbs(level, key.special)
	pair := extended{key.special, l.newPair(count)}
	l.each(count, func(l *lane, limb int) {
		digits := parts.at(l, limb)
		ctx.gadget(pair.value[0][limb], pair.value[1][limb], digits, key, level, limb, nil)
		parts.put(l, digits, limb)
	})
	parts.close(l)
	value := ctx.bringDown(l, pair, level)
	l.each(2*(level+1), func(_ *lane, i int) {
		out := value[i%2][i/2]
		ctx.kernels.Add(out, out, d[i%2][i/2], &ctx.moduli[i/2])
	})
	for _, part := range d {
		l.putMany(part)
	}
	return ctx.wrap(level, scale, value), nil
}

func pointers(list []*ciphertext, component, limb int) (out kernels.Limbs) {
	for _, c := range list {
		out.Add(c.value[component][limb])
	}
	return out
}

// rescale divides by the last prime. A scale that meets the ladder of the parameters up to rounding is set to it,
// so that rounding errors do not double at every product.
func (ctx *context) rescale(l *lane, a *ciphertext) (*ciphertext, error) {
	if a.level == 0 {
		return nil, levelError("rescale: got level 0, expected at least 1; use parameters with more levels")
	}
	level := a.level - 1
	scale := a.scale / float64(ctx.Moduli[a.level])
	if scalesAgree(scale, ctx.Scales[level]) {
		scale = ctx.Scales[level]
	}
	last := l.newPair(1)
	l.each(2, func(_ *lane, i int) {
		copy(last[i][0], a.value[i][a.level])
		ctx.transforms.intt(a.level, last[i][0])
	})
	value := l.newPair(a.level)
	l.each(2*a.level, func(l *lane, i int) {
		out, limb := value[i%2][i/2], i/2
		lifted := l.get()
		ctx.kernels.Lift(lifted, last[i%2][0], &ctx.moduli[a.level], &ctx.moduli[limb])
		ctx.transforms.ntt(limb, lifted)
		ctx.kernels.SubtractScale(out, a.value[i%2][limb], lifted, ctx.inverseModuli[a.level][limb], &ctx.moduli[limb])
		l.put(lifted)
	})
	l.putPair(last)
	return ctx.wrap(level, scale, value), nil
}

func (ctx *context) dropLevel(l *lane, a *ciphertext, level int) (*ciphertext, error) {
	if level < 0 || level > a.level {
		return nil, levelError("drop_level: got %d, expected 0 … %d, the ciphertext's level", level, a.level)
	}
	return ctx.limbwise(l, level, a.scale, func(component, limb int, out []uint32) {
		copy(out, a.value[component][limb])
	}), nil
}

// rotate shifts the slots left by step.
func (ctx *context) rotate(l *lane, keys *keySet, a *ciphertext, step int) (*ciphertext, error) {
	step = ctx.step(step)
	if step == 0 {
		return ctx.dropLevel(l, a, a.level)
	}
	level := a.level
	key, err := keys.rotation(step, level)
	if err != nil {
		return nil, err
	}
	turned := ctx.turn(l, extended{value: a.value}, false, key, level, nil)
	return ctx.wrap(level, a.scale, ctx.bringDown(l, turned, level)), nil
}
