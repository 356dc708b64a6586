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

func benchEngine(b *testing.B) *engine {
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
	e, err := newEngine(text, 1)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(e.drop)
	return e
}

func randomVector() []float64 {
	values := make([]float64, benchDegree)
	for i := range values {
		values[i] = 2*rand.Float64() - 1
	}
	return values
}

func BenchmarkSingle(b *testing.B) {
	e := benchEngine(b)
	params := e.parameters
	generator := rlwe.NewKeyGenerator(params)
	secretKey := generator.GenSecretKeyNew()
	secret := e.wrapSecret(secretKey)
	steps := []int{}
	for baby := 1; baby < benchBabies; baby++ {
		steps = append(steps, baby)
	}
	for giant := benchBabies; giant < benchDiagonals; giant += benchBabies {
		steps = append(steps, giant)
	}
	keys := rlwe.NewMemEvaluationKeySet(generator.GenRelinearizationKeyNew(secretKey), generator.GenGaloisKeysNew(params.GaloisElements(steps), secretKey)...)
	evaluator := ckks.NewEvaluator(params, keys)
	top := len(e.Moduli) - 1
	for _, step := range steps[:benchBabies] { // 1 … 15, and 16 for Horner's rule
		loadBenchKey(b, e, secret, kindRotation, step, top)
	}
	loadBenchKey(b, e, secret, kindRelinearization, 0, top)
	diagonals := lintrans.Diagonals[float64]{}
	for k := range benchDiagonals {
		diagonals[k] = randomVector()
	}
	for _, level := range []int{20, 5} {
		theirs := benchLattigo(b, params, evaluator, secretKey, diagonals, level)
		ours := benchOurs(b, e, secret, diagonals, level)
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

func loadBenchKey(b *testing.B, e *engine, s *secret, kind, step, level int) {
	blob := make([]byte, e.keyBytes(level))
	if err := s.writeKey(blob, kind, step, level); err != nil {
		b.Fatal(err)
	}
	if _, err := e.loadKey(blob, kind); err != nil {
		b.Fatal(err)
	}
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

func benchOurs(b *testing.B, e *engine, s *secret, diagonals lintrans.Diagonals[float64], level int) map[string]func() error {
	blob := make([]byte, e.ciphertextBytes(level, true))
	if err := s.encrypt(blob, randomVector(), level, true); err != nil {
		b.Fatal(err)
	}
	x, err := e.loadCiphertext(blob, level)
	if err != nil {
		b.Fatal(err)
	}
	p := plan{level: level, inputs: 1, outputs: 1, period: benchDegree, plaintextScales: []float64{1 << 29}, outputScale: x.scale * (1 << 29)}
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
	t, err := e.newTransform(p)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(t.drop)
	keep := func(c *ciphertext, err error) error {
		if err == nil {
			c.drop()
		}
		return err
	}
	within := func(work func(s *scope) (*ciphertext, error)) error {
		held := &scope{}
		defer held.leave()
		return keep(work(held))
	}
	return map[string]func() error{
		"rotation": func() error { return within(func(s *scope) (*ciphertext, error) { return e.rotate(s, x, 1) }) },
		"product": func() error {
			return within(func(s *scope) (*ciphertext, error) { return e.sumOfProducts(s, []*ciphertext{x}, []*ciphertext{x}) })
		},
		"rescale": func() error { return keep(e.rescale(x)) },
		"256 diagonals": func() error {
			return within(func(s *scope) (*ciphertext, error) {
				results, err := e.apply(s, []*ciphertext{x}, t)
				if err != nil {
					return nil, err
				}
				return results[0], nil
			})
		},
	}
}
