package main

import (
	"crypto/rand"

	"github.com/tuneinsight/lattigo/v6/core/rlwe"
	"github.com/tuneinsight/lattigo/v6/ring"
	"github.com/tuneinsight/lattigo/v6/schemes/ckks"
	"github.com/tuneinsight/lattigo/v6/utils/sampling"
)

// secret holds the only private thing there is. Sampling and all arithmetic with it are Lattigo's.
type secret struct {
	shared
	context *context
	key     *rlwe.SecretKey
}

func (ctx *context) wrapSecret(key *rlwe.SecretKey) *secret {
	s := &secret{context: ctx, key: key}
	s.open(func() {
		for _, polynomial := range []ring.Poly{key.Value.Q, key.Value.P} {
			for _, limb := range polynomial.Coeffs {
				clear(limb)
			}
		}
	})
	return s
}

func (ctx *context) newSecret() *secret {
	return ctx.wrapSecret(rlwe.NewKeyGenerator(ctx.parameters).GenSecretKeyNew())
}

func (ctx *context) secretBytes() int { return headerBytes + ctx.RingDegree/4 }

// write stores the ternary coefficients in two bits each: 0, 1, or 2 for -1.
func (s *secret) write(out []byte) error {
	ctx := s.context
	if err := checkSize("secret key", len(out), ctx.secretBytes()); err != nil {
		return err
	}
	out = ctx.writeHeader(out, header{kind: kindSecret})
	clear(out)
	first := ctx.parameters.RingQ().SubRings[0]
	coefficients := make([]uint64, ctx.RingDegree)
	defer clear(coefficients)
	first.IMForm(s.key.Value.Q.Coeffs[0], coefficients)
	first.INTT(coefficients, coefficients)
	for i, coefficient := range coefficients {
		if coefficient == first.Modulus-1 {
			coefficient = 2
		}
		out[i/4] |= byte(coefficient << (2 * (i % 4)))
	}
	return nil
}

func (ctx *context) loadSecret(l *lane, data []byte) (*secret, error) {
	const place = "secret key"
	h, rest, err := ctx.readHeader(place, data, kindSecret)
	if err != nil {
		return nil, err
	}
	if err := checkSize(place, len(data), ctx.secretBytes()); err != nil {
		return nil, err
	}
	if h.level != 0 || h.step != 0 {
		return nil, formatError("%s: reserved bytes are not zero", place)
	}
	for _, four := range rest {
		if four&(four>>1)&0x55 != 0 {
			return nil, formatError("%s: a coefficient is not ternary; the data are damaged", place)
		}
	}
	key := rlwe.NewSecretKey(ctx.parameters)
	level := len(ctx.Moduli) - 1
	l.each(limbs(level, len(ctx.SpecialModuli)), func(_ *lane, limb int) {
		s, out := ctx.subRing(level, limb), limbOf(key.Value.Q, key.Value.P, level, limb)
		for i := range out {
			out[i] = [3]uint64{0, 1, s.Modulus - 1}[rest[i/4]>>(2*(i%4))&3]
		}
		s.NTT(out, out)
		s.MForm(out, out)
	})
	return ctx.wrapSecret(key), nil
}

// writeKey generates an evaluation key up to a level and packs it, with its own fresh seed, into out.
func (s *secret) writeKey(out []byte, kind, step, level int) error {
	ctx := s.context
	place := "relinearization key"
	switch kind {
	case kindRotation:
		place = "rotation key"
		if step = ctx.step(step); step == 0 {
			return parameterError("%s: got step 0, expected a rotation", place)
		}
	case kindRelinearization:
		if step != 0 {
			return parameterError("%s: got step %d, expected none", place, step)
		}
	default:
		return parameterError("evaluation key: got kind %d, expected %d or %d; rebuild heclstm", kind, kindRelinearization, kindRotation)
	}
	if err := ctx.checkLevel(place, level); err != nil {
		return err
	}
	if err := checkSize(place, len(out), ctx.keyBytes(level)); err != nil {
		return err
	}
	generator := rlwe.NewKeyGenerator(ctx.parameters)
	special := ctx.specialAt(level)
	top := special - 1
	shape := rlwe.EvaluationKeyParameters{LevelQ: &level, LevelP: &top, Compressed: true}
	var key *rlwe.EvaluationKey
	if kind == kindRotation {
		key = &generator.GenGaloisKeyNew(ctx.parameters.GaloisElement(step), s.key, shape).EvaluationKey
	} else {
		key = &generator.GenRelinearizationKeyNew(s.key, shape).EvaluationKey
	}
	out = ctx.writeHeader(out, header{kind, level, step})
	out = out[copy(out, key.Seed[:]):]
	for digit := range key.Value {
		polynomial := key.Value[digit][0][0]
		for limb := range limbs(level, special) {
			out = pack(ctx, out, limbOf(polynomial.Q, polynomial.P, level, limb), ctx.place(level, limb))
		}
	}
	return nil
}

// encrypt writes a fresh ciphertext into out, at the scale of its level.
func (s *secret) encrypt(out []byte, values []float64, level int, seeded bool) error {
	const place = "encrypt"
	ctx := s.context
	if err := ctx.checkLevel(place, level); err != nil {
		return err
	}
	if len(values) != ctx.slots() {
		return parameterError("%s: got %d values, expected %d, the number of slots", place, len(values), ctx.slots())
	}
	if err := checkFinite(place, values); err != nil {
		return err
	}
	if err := checkSize(place, len(out), ctx.ciphertextBytes(level, seeded)); err != nil {
		return err
	}
	plain := ckks.NewPlaintext(ctx.parameters, level)
	plain.Scale = rlwe.NewScale(ctx.Scales[level])
	if err := ctx.encoder.Encode(values, plain); err != nil {
		return failure("EngineError", "%s: %v", place, err)
	}
	if seeded {
		return s.encryptSeeded(out, plain, level)
	}
	fresh := ckks.NewCiphertext(ctx.parameters, 1, level)
	if err := rlwe.NewEncryptor(ctx.parameters, s.key).Encrypt(plain, fresh); err != nil {
		return failure("EngineError", "%s: %v", place, err)
	}
	out = ctx.writeHeader(out, header{kindFull, level, 0})
	for _, polynomial := range fresh.Value {
		for i, limb := range polynomial.Coeffs {
			out = pack(ctx, out, limb, i)
		}
	}
	return nil
}

// encryptSeeded is Lattigo's secret-key encryption, (-a·s + error + message, a), with a grown from a fresh seed:
// Lattigo's own encryptor has no way to fix the seed of a ciphertext.
func (s *secret) encryptSeeded(out []byte, plain *rlwe.Plaintext, level int) error {
	ctx := s.context
	seed := make([]byte, seedBytes)
	if _, err := rand.Read(seed); err != nil {
		return failure("EngineError", "encrypt: no randomness: %v", err)
	}
	uniform, err := ctx.expandSeed(seed, level)
	if err != nil {
		return err
	}
	source, err := sampling.NewPRNG()
	if err != nil {
		return failure("EngineError", "encrypt: no randomness: %v", err)
	}
	r := ctx.parameters.RingQ().AtLevel(level)
	sampler, err := ring.NewSampler(source, ctx.parameters.RingQ(), ctx.parameters.Xe(), false)
	if err != nil {
		return failure("EngineError", "encrypt: %v", err)
	}
	c := r.NewPoly()
	sampler.AtLevel(level).Read(c)
	r.NTT(c, c)
	r.Add(c, plain.Value, c)
	r.MulCoeffsMontgomeryThenSub(uniform, s.key.Value.Q, c)

	out = ctx.writeHeader(out, header{kindSeeded, level, 0})
	out = out[copy(out, seed):]
	for i, limb := range c.Coeffs {
		out = pack(ctx, out, limb, i)
	}
	return nil
}

func (s *secret) decrypt(out []float64, c *ciphertext) error {
	ctx := s.context
	if len(out) != ctx.slots() {
		return parameterError("decrypt: got room for %d values, expected %d, the number of slots", len(out), ctx.slots())
	}
	plain := rlwe.NewDecryptor(ctx.parameters, s.key).DecryptNew(c.asLattigo())
	if err := ctx.encoder.Decode(plain, out); err != nil {
		return failure("EngineError", "decrypt: %v", err)
	}
	return nil
}
