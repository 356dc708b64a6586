package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/bits"

	"github.com/tuneinsight/lattigo/v6/ring"
	"github.com/tuneinsight/lattigo/v6/schemes/ckks"
)

const (
	primeBits  = 30
	errorSigma = 3.19
	specialMax = 15
)

// settings is the JSON of heclstm's Parameters.
type settings struct {
	Ring          string    `json:"ring"`
	RingDegree    int       `json:"ring_degree"`
	Moduli        []uint64  `json:"moduli"`
	SpecialModuli []uint64  `json:"special_moduli"`
	Scales        []float64 `json:"scales"`
	// SpecialCounts: for each level, how many of the special primes a key of that level has; empty: all of them.
	SpecialCounts []int `json:"special_counts"`
	// Arithmetic: "lattigo", an instruction set of our kernels, or "" for the best one that this processor has.
	Arithmetic string `json:"arithmetic"`
}

func readSettings(text []byte) (s settings, err error) {
	if err := json.Unmarshal(text, &s); err != nil {
		return s, parameterError("parameters: no valid JSON (%v)", err)
	}
	return s, s.check()
}

func (s *settings) check() error {
	if s.Ring != "conjugate_invariant" && s.Ring != "standard" {
		return parameterError("ring: expected 'conjugate_invariant' or 'standard'")
	}
	if s.RingDegree < 16 || s.RingDegree > 1<<17 || s.RingDegree&(s.RingDegree-1) != 0 {
		return parameterError("ring_degree: got %d, expected a power of two in 2^4 … 2^17", s.RingDegree)
	}
	if len(s.Moduli) < 2 || len(s.SpecialModuli) < 1 || len(s.Scales) != len(s.Moduli) {
		return parameterError("moduli: got %d, %d special and %d scales, expected at least 2, 1 and a scale per modulus",
			len(s.Moduli), len(s.SpecialModuli), len(s.Scales))
	}
	// A digit has as many primes as P, and its carry is summed in 64 bits of which 60 are a fraction.
	if len(s.SpecialModuli) > specialMax {
		return parameterError("special_moduli: got %d, expected at most %d", len(s.SpecialModuli), specialMax)
	}
	if n := len(s.SpecialCounts); n != 0 && n != len(s.Moduli) {
		return parameterError("special_counts: got %d, expected none or one per modulus: %d", n, len(s.Moduli))
	}
	for _, count := range s.SpecialCounts {
		if count < 1 || count > len(s.SpecialModuli) {
			return parameterError("special_counts: got %d, expected 1 … %d", count, len(s.SpecialModuli))
		}
	}
	for _, list := range [][]uint64{s.Moduli, s.SpecialModuli} {
		for _, prime := range list {
			if prime < 3 || prime >= 1<<primeBits {
				return parameterError("moduli: got %d, expected a prime below 2^%d", prime, primeBits)
			}
		}
	}
	for _, scale := range s.Scales {
		if !(scale >= 1 && scale < 0x1p60) {
			return parameterError("scales: got %g, expected 1 … 2^60", scale)
		}
	}
	return nil
}

// digest tells blobs of other parameters apart.
func (s *settings) digest() (short [16]byte) {
	hash := sha256.New()
	hash.Write([]byte(s.Ring))
	for _, value := range []any{uint64(s.RingDegree), uint64(len(s.Moduli)), s.Moduli, s.SpecialModuli, s.Scales} {
		// Fixed-size values into a hash: no error is possible.
		_ = binary.Write(hash, binary.LittleEndian, value)
	}
	for _, count := range s.SpecialCounts { // none in the parameters of earlier releases
		_ = binary.Write(hash, binary.LittleEndian, uint64(count))
	}
	copy(short[:], hash.Sum(nil))
	return short
}

// forLattigo is the same in Lattigo's type: a uniform ternary secret, errors cut at six standard deviations.
func (s *settings) forLattigo() (ckks.Parameters, error) {
	ringType := ring.Standard
	if s.Ring == "conjugate_invariant" {
		ringType = ring.ConjugateInvariant
	}
	parameters, err := ckks.NewParametersFromLiteral(ckks.ParametersLiteral{
		LogN:            bits.Len(uint(s.RingDegree)) - 1,
		Q:               s.Moduli,
		P:               s.SpecialModuli,
		Xs:              ring.Ternary{P: 2.0 / 3}, // -1, 0 and 1 with a third each: P is the share of non-zeros
		Xe:              ring.DiscreteGaussian{Sigma: errorSigma, Bound: 6 * errorSigma},
		RingType:        ringType,
		LogDefaultScale: int(math.Round(math.Log2(s.Scales[len(s.Scales)-1]))),
	})
	if err != nil {
		return parameters, parameterError("parameters: Lattigo refuses them: %v", err)
	}
	return parameters, nil
}
