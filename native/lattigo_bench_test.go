package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"testing"

	"github.com/tuneinsight/lattigo/v6/circuits/ckks/lintrans"
	"github.com/tuneinsight/lattigo/v6/core/rlwe"
	"github.com/tuneinsight/lattigo/v6/ring"
	"github.com/tuneinsight/lattigo/v6/schemes/ckks"
)

// go test -run=- -bench=Single .: single operations of Lattigo's own evaluator and of ours, both on one thread, at the
// size of the shipped program (N = 2^15, 21 + 7 primes). benchmarks/primitives.py makes a table of it.

const (
	benchDegree    = 1 << 15
	benchDiagonals = 256
	benchBabies    = 16
)

func benchContext(b *testing.B) *context {
	generator := ring.NewNTTFriendlyPrimesGenerator(29, 4*benchDegree)
	moduli, err := generator.NextAlternatingPrimes(21)
	if err != nil {
		b.Fatal(err)
	}
	larger := ring.NewNTTFriendlyPrimesGenerator(30, 4*benchDegree)
	special, err := larger.NextDownstreamPrimes(7)
	if err != nil {
		b.Fatal(err)
	}
	s := settings{Ring: "conjugate_invariant", RingDegree: benchDegree, Moduli: moduli, SpecialModuli: special}
	for range moduli {
		s.Scales = append(s.Scales, 1<<29)
	}
	text, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	ctx, err := newContext(text, 1)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(ctx.drop)
	return ctx
}

func randomVector() []float64 {
	values := make([]float64, benchDegree)
	for i := range values {
		values[i] = 2*rand.Float64() - 1
	}
	return values
}

func BenchmarkSingle(b *testing.B) {
	ctx := benchContext(b)
	params := ctx.parameters
	generator := rlwe.NewKeyGenerator(params)
	secretKey := generator.GenSecretKeyNew()
	secret := ctx.wrapSecret(secretKey)
	steps := []int{}
	for baby := 1; baby < benchBabies; baby++ {
		steps = append(steps, baby)
	}
	for giant := benchBabies; giant < benchDiagonals; giant += benchBabies {
		steps = append(steps, giant)
	}
	keys := rlwe.NewMemEvaluationKeySet(generator.GenRelinearizationKeyNew(secretKey), generator.GenGaloisKeysNew(params.GaloisElements(steps), secretKey)...)
	evaluator := ckks.NewEvaluator(params, keys)
	top := len(ctx.Moduli) - 1
	own := ctx.newKeySet()
	b.Cleanup(own.drop)
	for _, step := range steps[:benchBabies] { // 1 … 15, and 16 for Horner's rule
		loadBenchKey(b, own, secret, kindRotation, step, top)
	}
	loadBenchKey(b, own, secret, kindRelinearization, 0, top)
	diagonals := lintrans.Diagonals[float64]{}
	for k := range benchDiagonals {
		diagonals[k] = randomVector()
	}
	for _, level := range []int{20, 5} {
		theirs := benchLattigo(b, params, evaluator, secretKey, diagonals, level)
		ours := benchOurs(b, own, secret, diagonals, level)
		for _, name := range []string{"rotation", "product", "rescale", "256 diagonals"} {
			b.Run(fmt.Sprintf("lattigo/%s, level %d", name, level), func(b *testing.B) { loop(b, theirs[name]) })
			b.Run(fmt.Sprintf("ours/%s, level %d", name, level), func(b *testing.B) { loop(b, ours[name]) })
		}
		debug.FreeOSMemory()
	}
}

func loop(b *testing.B, work func() error) {
	for b.Loop() {
		if err := work(); err != nil {
			b.Fatal(err)
		}
	}
}

func loadBenchKey(b *testing.B, keys *keySet, s *secret, kind, step, level int) {
	blob := make([]byte, keys.context.keyBytes(level))
	if err := s.writeKey(blob, kind, step, level); err != nil {
		b.Fatal(err)
	}
	c := &call{context: keys.context}
	if _, err := keys.load(c.newLane(), blob, -1); err != nil {
		b.Fatal(err)
	}
	c.end(true)
}

func benchLattigo(b *testing.B, params ckks.Parameters, evaluator *ckks.Evaluator, secretKey *rlwe.SecretKey, diagonals lintrans.Diagonals[float64], level int) map[string]func() error {
	encoder := ckks.NewEncoder(params)
	plain := ckks.NewPlaintext(params, level)
	if err := encoder.Encode(randomVector(), plain); err != nil {
		b.Fatal(err)
	}
	x, err := rlwe.NewEncryptor(params, secretKey).EncryptNew(plain)
	if err != nil {
		b.Fatal(err)
	}
	shape := lintrans.Parameters{
		DiagonalsIndexList: diagonals.DiagonalsIndexList(), LevelQ: level, LevelP: params.MaxLevelP(), Scale: rlwe.NewScale(1 << 29),
		LogDimensions: plain.LogDimensions, LogBabyStepGiantStepRatio: 0,
	}
	transformation := lintrans.NewTransformation(params, shape)
	if err := lintrans.Encode(encoder, diagonals, transformation); err != nil {
		b.Fatal(err)
	}
	linear := lintrans.NewEvaluator(evaluator)
	out := ckks.NewCiphertext(params, 1, level)
	return map[string]func() error{
		"rotation":      func() error { return evaluator.Rotate(x, 1, out) },
		"product":       func() error { return evaluator.MulRelin(x, x, out) },
		"rescale":       func() error { return evaluator.Rescale(x, ckks.NewCiphertext(params, 1, level-1)) },
		"256 diagonals": func() error { return linear.Evaluate(x, transformation, out) },
	}
}

func benchOurs(b *testing.B, keys *keySet, s *secret, diagonals lintrans.Diagonals[float64], level int) map[string]func() error {
	ctx, c := keys.context, &call{context: keys.context}
	b.Cleanup(func() { c.end(false) })
	blob := make([]byte, ctx.ciphertextBytes(level, true))
	if err := s.encrypt(blob, randomVector(), level, true); err != nil {
		b.Fatal(err)
	}
	x, err := ctx.loadCiphertext(c.newLane(), blob, level)
	if err != nil {
		b.Fatal(err)
	}
	p := plan{level: level, special: ctx.specialAt(level), inputs: 1, outputs: 1, period: benchDegree, plaintextScales: []float64{1 << 29}, outputScale: x.scale * (1 << 29)}
	for baby := range benchBabies {
		p.babies = append(p.babies, int64(baby))
	}
	p.chainLengths = []int64{benchDiagonals / benchBabies}
	for giant := range benchDiagonals / benchBabies {
		p.chainSteps = append(p.chainSteps, int64(giant*benchBabies))
	}
	for k := range benchDiagonals {
		p.index = append(p.index, 0, 0, int32(k/benchBabies), int32(k%benchBabies), 0)
		p.vectors = append(p.vectors, diagonals[k]...)
	}
	t, err := ctx.newTransform(c.newLane(), p)
	if err != nil {
		b.Fatal(err)
	}
	within := func(work func(l *lane) error) func() error {
		return func() error {
			c := &call{context: ctx}
			defer c.end(false)
			return work(c.newLane())
		}
	}
	return map[string]func() error{
		"rotation": within(func(l *lane) error { _, err := ctx.rotate(l, keys, x, 1); return err }),
		"product": within(func(l *lane) error {
			_, err := ctx.sumOfProducts(l, keys, []*ciphertext{x}, []*ciphertext{x})
			return err
		}),
		"rescale":       within(func(l *lane) error { _, err := ctx.rescale(l, x); return err }),
		"256 diagonals": within(func(l *lane) error { _, err := ctx.apply(l, keys, []*ciphertext{x}, t); return err }),
	}
}
