package main

import (
	"encoding/json"
	"math/big"
	"math/rand"
	"testing"

	"github.com/tuneinsight/lattigo/v6/core/rlwe"
	"github.com/tuneinsight/lattigo/v6/ring"
	"github.com/tuneinsight/lattigo/v6/ring/ringqp"
	"github.com/tuneinsight/lattigo/v6/schemes/ckks"
)

// testEngine has primes of 26 to 30 bits, and 3 special ones.
func testEngine(t *testing.T, ringType string) *engine { return newTestEngine(t, ringType) }

func newTestEngine(t testing.TB, ringType string) *engine {
	t.Helper()
	order := uint64(4 << 10)
	primes := []uint64{}
	for _, below := range []uint64{1 << 30, 1 << 29, 1 << 26} {
		for found, candidate := 0, (below-2)/order*order+1; found < 4; candidate -= order {
			if new(big.Int).SetUint64(candidate).ProbablyPrime(0) {
				primes = append(primes, candidate)
				found++
			}
		}
	}
	s := settings{Ring: ringType, RingDegree: 1 << 10, SpecialModuli: primes[:3], Moduli: primes[3:]}
	for range s.Moduli {
		s.Scales = append(s.Scales, 1<<29)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEngine(text, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.drop)
	return e
}

func forBothRings(t *testing.T, work func(t *testing.T, e *engine)) {
	for _, ringType := range []string{"conjugate_invariant", "standard"} {
		t.Run(ringType, func(t *testing.T) { work(t, testEngine(t, ringType)) })
	}
}

func randomLimb(e *engine, q uint64) []uint32 {
	limb := e.pool.get()
	for i := range limb {
		limb[i] = uint32(rand.Int63n(int64(q)))
	}
	return limb
}

// A short transform must give what Lattigo's own encoder gives, one value a run, for every period.
func TestPlaintextsAreLattigos(t *testing.T) {
	forBothRings(t, func(t *testing.T, e *engine) {
		level := len(e.Moduli) - 1
		for period := 1; period <= e.slots(); period *= 2 {
			for _, scale := range []float64{1 << 29, 0x1p58, 0x1p70} {
				values := make([]float64, period)
				for i := range values {
					values[i] = 2*rand.Float64() - 1
				}
				p, err := e.newPlaintext(values, level, scale)
				if err != nil {
					t.Fatal(err)
				}
				full := make([]float64, e.slots())
				for i := range full {
					full[i] = values[i%period]
				}
				plain := ckks.NewPlaintext(e.parameters, level)
				plain.Scale = rlwe.NewScale(scale)
				if err := e.encoder.Encode(full, plain); err != nil {
					t.Fatal(err)
				}
				compareRuns(t, e, p, plain, scale)
				p.drop()
			}
		}
	})
}

// compareRuns looks at the coefficients, where the two may differ by one unit of float64's last place.
func compareRuns(t *testing.T, e *engine, p *plaintext, plain *rlwe.Plaintext, scale float64) {
	t.Helper()
	for index, limb := range plain.Value.Coeffs {
		s := e.parameters.RingQ().SubRings[index]
		ours := make([]uint64, e.RingDegree)
		for i := range ours {
			ours[i] = uint64(p.limb(index)[i/p.run])
		}
		s.Sub(ours, limb, ours)
		s.INTT(ours, ours)
		allowed := max(1, uint64(scale*0x1p-48)) // log2(N) roundings of 53-bit numbers
		for i, difference := range ours {
			if difference > allowed && s.Modulus-difference > allowed {
				t.Fatalf("period %d, scale %g, limb %d, coefficient %d: differs by %d", e.RingDegree/p.run, scale, index, i, difference)
			}
		}
	}
}

// Our order of work (limb by limb, in parallel) must not change what Lattigo's evaluator computes, and our kernels
// must compute what Lattigo's transforms compute: a digit is its representative around zero in both.
func TestKeySwitchingIsLattigos(t *testing.T) {
	forBothRings(t, func(t *testing.T, e *engine) {
		for _, arithmetic := range []transforms{e.transforms, newReference(e)} {
			e.transforms = arithmetic
			for level := len(e.Moduli) - 1; level >= 0; level-- {
				checkKeySwitching(t, e, level)
			}
		}
	})
}

func checkKeySwitching(t *testing.T, e *engine, level int) {
	t.Helper()
	polynomial := make(residues, level+1)
	for i := range polynomial {
		polynomial[i] = randomLimb(e, e.Moduli[i])
	}
	parts := e.decompose(polynomial, level)
	ours := make([]residues, e.digits(level))
	for limb := range e.limbs(level) {
		for digit, values := range parts.at(limb) {
			ours[digit] = append(ours[digit], values)
		}
	}
	theirs := make([]ringqp.Poly, e.digits(level))
	for i := range theirs {
		theirs[i] = ringqp.NewPoly(e.RingDegree, level, e.special-1)
	}
	evaluator := rlwe.NewEvaluator(e.parameters, nil)
	evaluator.DecomposeNTT(level, e.special-1, e.special, widenedPoly(polynomial), true, theirs)
	for digit := range ours {
		compareLimbs(t, e, ours[digit], theirs[digit], level)
	}
	down := widenedPoly(e.modDown(ours[0], level))
	expected := ring.NewPoly(e.RingDegree, level)
	newReference(e).extender.ModDownQPtoQNTT(level, e.special-1, theirs[0].Q, theirs[0].P, expected)
	if !down.Equal(&expected) {
		t.Fatalf("level %d: mod-down differs", level)
	}
}

func TestRescaleIsLattigos(t *testing.T) {
	forBothRings(t, func(t *testing.T, e *engine) {
		level := len(e.Moduli) - 1
		value := e.newPair(0)
		for i := range value {
			for _, q := range e.Moduli {
				value[i] = append(value[i], randomLimb(e, q))
			}
		}
		a := e.wrap(level, e.Scales[level]*float64(e.Moduli[level]), value)
		rescaled, err := e.rescale(a)
		if err != nil {
			t.Fatal(err)
		}
		expected := ring.NewPoly(e.RingDegree, level)
		e.parameters.RingQ().DivRoundByLastModulusNTT(widenedPoly(value[0]), expected)
		for i, limb := range rescaled.value[0] {
			for j, residue := range limb {
				if uint64(residue) != expected.Coeffs[i][j] {
					t.Fatalf("limb %d, place %d: a rescaled residue differs", i, j)
				}
			}
		}
	})
}

func compareLimbs(t *testing.T, e *engine, ours residues, theirs ringqp.Poly, level int) {
	t.Helper()
	for limb := range ours {
		for i, residue := range limbOf(theirs.Q, theirs.P, level, limb) {
			if uint64(ours[limb][i]) != residue {
				t.Fatalf("level %d, limb %d, place %d: a digit differs", level, limb, i)
			}
		}
	}
}

func TestPackedLimbsComeBack(t *testing.T) {
	e := testEngine(t, "standard")
	for index := range e.moduli {
		limb := randomLimb(e, e.moduli[index].Q)
		data := make([]byte, e.limbBytes(index))
		if rest := pack(e, data, limb, index); len(rest) != 0 {
			t.Fatalf("modulus %d: %d bytes are left", e.moduli[index].Q, len(rest))
		}
		back := e.pool.get()
		if rest, err := unpack(e, "test", data, back, index); err != nil || len(rest) != 0 {
			t.Fatalf("modulus %d: %v", e.moduli[index].Q, err)
		}
		for i := range limb {
			if limb[i] != back[i] {
				t.Fatalf("modulus %d, place %d: differs", e.moduli[index].Q, i)
			}
		}
	}
}

func TestPanicsBecomeErrors(t *testing.T) {
	w := newWorkers(3)
	err := safely(func() error {
		w.each(10, func(i int) {
			if i == 7 {
				panic("seven")
			}
		})
		return nil
	})
	if err == nil || err.Error() != "EngineError\x1fnative engine: seven; please report this as a bug" {
		t.Fatalf("got %v", err)
	}
	if len(w.tokens) != 0 {
		t.Fatal("a worker was not given back")
	}
}
