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
	engine *engine
	level  int
	scale  float64
	value  [2]residues
}

func (e *engine) wrap(level int, scale float64, value [2]residues) *ciphertext {
	c := &ciphertext{engine: e, level: level, scale: scale, value: value}
	c.open(func() { e.freePair(value) })
	return c
}

// expandSeed is the uniform polynomial of a seeded ciphertext, sampled by Lattigo.
func (e *engine) expandSeed(seed []byte, level int) (ring.Poly, error) {
	source, err := sampling.NewKeyedPRNG(seed)
	if err != nil {
		return ring.Poly{}, failure("EngineError", "seed: %v", err)
	}
	out := ring.NewPoly(e.RingDegree, level)
	ringqp.NewUniformSampler(source, *e.parameters.RingQP()).AtLevel(level, -1).Read(ringqp.Poly{Q: out})
	return out, nil
}

func (e *engine) loadCiphertext(data []byte, level int) (*ciphertext, error) {
	const place = "ciphertext"
	if err := e.checkLevel(place, level); err != nil {
		return nil, err
	}
	h, rest, err := e.readHeader(place, data, kindSeeded, kindFull)
	if err != nil {
		return nil, err
	}
	if h.level != level {
		return nil, levelError("%s: got level %d, expected %d", place, h.level, level)
	}
	seeded := h.kind == kindSeeded
	if err := checkSize(place, len(data), e.ciphertextBytes(level, seeded)); err != nil {
		return nil, err
	}
	if h.step != 0 {
		return nil, formatError("%s: reserved bytes are not zero", place)
	}
	components := 2
	value := e.newPair(level + 1)
	if seeded {
		components = 1
		uniform, err := e.expandSeed(rest[:seedBytes], level)
		if err != nil {
			e.freePair(value)
			return nil, err
		}
		for i, limb := range uniform.Coeffs {
			narrow(value[1][i], limb)
		}
		rest = rest[seedBytes:]
	}
	for component := range components {
		for i, limb := range value[component] {
			if rest, err = unpack(e, place, rest, limb, i); err != nil {
				e.freePair(value)
				return nil, err
			}
		}
	}
	return e.wrap(level, e.Scales[level], value), nil
}

// write packs the ciphertext into out, which has exactly the right size. The scale is not written: it is the one
// of its level, and any other is refused.
func (c *ciphertext) write(out []byte) error {
	e := c.engine
	if !scalesAgree(c.scale, e.Scales[c.level]) {
		return failure("ScaleError", "serialize: got scale 2^%.9f, expected 2^%.9f, the scale of level %d; rescale first",
			math.Log2(c.scale), math.Log2(e.Scales[c.level]), c.level)
	}
	if err := checkSize("serialize", len(out), e.ciphertextBytes(c.level, false)); err != nil {
		return err
	}
	out = e.writeHeader(out, header{kindFull, c.level, 0})
	for _, polynomial := range c.value {
		for i, limb := range polynomial {
			out = pack(e, out, limb, i)
		}
	}
	return nil
}

// asLattigo is a copy in Lattigo's type.
func (c *ciphertext) asLattigo() *rlwe.Ciphertext {
	meta := c.engine.plaintextMeta(c.scale, c.engine.parameters.LogMaxSlots())
	return &rlwe.Ciphertext{Element: rlwe.Element[ring.Poly]{MetaData: meta, Value: []ring.Poly{widenedPoly(c.value[0]), widenedPoly(c.value[1])}}}
}
