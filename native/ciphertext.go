package main

import (
	"math"

	"github.com/tuneinsight/lattigo/v6/core/rlwe"
	"github.com/tuneinsight/lattigo/v6/ring"
	"github.com/tuneinsight/lattigo/v6/ring/ringqp"
	"github.com/tuneinsight/lattigo/v6/utils/sampling"
)

// ciphertext is of degree one, in the NTT domain, with reduced residues.
type ciphertext struct {
	shared
	context *context
	level   int
	scale   float64
	value   [2]residues
}

func (ctx *context) wrap(level int, scale float64, value [2]residues) *ciphertext {
	c := &ciphertext{context: ctx, level: level, scale: scale, value: value}
	c.open(func() { ctx.pool.give(c.memory()) })
	return c
}

func (c *ciphertext) memory() residues {
	return append(append(residues{}, c.value[0]...), c.value[1]...)
}

// expandSeed is the uniform polynomial of a seeded ciphertext, sampled by Lattigo.
func (ctx *context) expandSeed(seed []byte, level int) (ring.Poly, error) {
	source, err := sampling.NewKeyedPRNG(seed)
	if err != nil {
		return ring.Poly{}, failure("EngineError", "seed: %v", err)
	}
	out := ring.NewPoly(ctx.RingDegree, level)
	ringqp.NewUniformSampler(source, *ctx.parameters.RingQP()).AtLevel(level, -1).Read(ringqp.Poly{Q: out})
	return out, nil
}

func (ctx *context) loadCiphertext(l *lane, data []byte, level int) (*ciphertext, error) {
	const place = "ciphertext"
	if err := ctx.checkLevel(place, level); err != nil {
		return nil, err
	}
	h, rest, err := ctx.readHeader(place, data, kindSeeded, kindFull)
	if err != nil {
		return nil, err
	}
	if h.level != level {
		return nil, levelError("%s: got level %d, expected %d", place, h.level, level)
	}
	seeded := h.kind == kindSeeded
	if err := checkSize(place, len(data), ctx.ciphertextBytes(level, seeded)); err != nil {
		return nil, err
	}
	if h.step != 0 {
		return nil, formatError("%s: reserved bytes are not zero", place)
	}
	components := 2
	value := l.newPair(level + 1)
	if seeded {
		components = 1
		uniform, err := ctx.expandSeed(rest[:seedBytes], level)
		if err != nil {
			return nil, err
		}
		for i, limb := range uniform.Coeffs {
			narrow(value[1][i], limb)
		}
		rest = rest[seedBytes:]
	}
	for component := range components {
		for i, limb := range value[component] {
			if rest, err = unpack(ctx, place, rest, limb, i); err != nil {
				return nil, err
			}
		}
	}
	return ctx.wrap(level, ctx.Scales[level], value), nil
}

// write packs the ciphertext into out, which has exactly the right size. The scale is not written: it is the one
// of its level, and any other is refused.
func (c *ciphertext) write(out []byte) error {
	ctx := c.context
	if !scalesAgree(c.scale, ctx.Scales[c.level]) {
		return failure("ScaleError", "serialize: got scale 2^%.9f, expected 2^%.9f, the scale of level %d; rescale first",
			math.Log2(c.scale), math.Log2(ctx.Scales[c.level]), c.level)
	}
	if err := checkSize("serialize", len(out), ctx.ciphertextBytes(c.level, false)); err != nil {
		return err
	}
	out = ctx.writeHeader(out, header{kindFull, c.level, 0})
	for _, polynomial := range c.value {
		for i, limb := range polynomial {
			out = pack(ctx, out, limb, i)
		}
	}
	return nil
}

// asLattigo is a copy in Lattigo's type.
func (c *ciphertext) asLattigo() *rlwe.Ciphertext {
	meta := c.context.plaintextMeta(c.scale, c.context.parameters.LogMaxSlots())
	return &rlwe.Ciphertext{Element: rlwe.Element[ring.Poly]{MetaData: meta, Value: []ring.Poly{widenedPoly(c.value[0]), widenedPoly(c.value[1])}}}
}
