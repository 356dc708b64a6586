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

// newTestContext has primes of 26 to 30 bits, and 3 special ones, of which keys at levels 0 and 1 have 1 and 2.
func newTestContext(t testing.TB, ringType string) *context {
	t.Helper()
	return newContextOf(t, ringType, 1<<10, 2)
}

// newContextOf has the same primes for every degree up to 1024. Fuzzers use small ones and one thread: they try more.
func newContextOf(t testing.TB, ringType string, degree, threads int) *context {
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
	s := settings{Ring: ringType, RingDegree: degree, SpecialModuli: primes[:3], Moduli: primes[3:]}
	for range s.Moduli {
		s.Scales = append(s.Scales, 1<<29)
		s.SpecialCounts = append(s.SpecialCounts, min(len(s.Scales), 3))
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := newContext(text, threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ctx.drop)
	return ctx
}

// testLane is that of a call which ends, as if well, with the test.
func testLane(t testing.TB, ctx *context) *lane {
	t.Helper()
	c := &call{context: ctx}
	t.Cleanup(func() { c.end(true) })
	return c.newLane()
}

func forBothRings(t *testing.T, work func(t *testing.T, ringType string)) {
	for _, ringType := range []string{"conjugate_invariant", "standard"} {
		t.Run(ringType, func(t *testing.T) { work(t, ringType) })
	}
}

func randomLimb(l *lane, q uint64) []uint32 {
	limb := l.get()
	for i := range limb {
		limb[i] = uint32(rand.Int63n(int64(q)))
	}
	return limb
}

// A short transform must give what Lattigo's own encoder gives, one value a run, for every period.
func TestPlaintextsAreLattigos(t *testing.T) {
	forBothRings(t, func(t *testing.T, ringType string) {
		ctx := newTestContext(t, ringType)
		level := len(ctx.Moduli) - 1
		for period := 1; period <= ctx.slots(); period *= 2 {
			for _, scale := range []float64{1 << 29, 0x1p58, 0x1p70} {
				c := &call{context: ctx}
				values := make([]float64, period)
				for i := range values {
					values[i] = 2*rand.Float64() - 1
				}
				p, err := ctx.newPlaintext(c, values, level, scale)
				if err != nil {
					t.Fatal(err)
				}
				full := make([]float64, ctx.slots())
				for i := range full {
					full[i] = values[i%period]
				}
				plain := ckks.NewPlaintext(ctx.parameters, level)
				plain.Scale = rlwe.NewScale(scale)
				if err := ctx.encoder.Encode(full, plain); err != nil {
					t.Fatal(err)
				}
				compareRuns(t, ctx, p, plain, scale)
				c.end(false)
			}
		}
	})
}

// compareRuns looks at the coefficients, where the two may differ by one unit of float64's last place.
func compareRuns(t *testing.T, ctx *context, p *plaintext, plain *rlwe.Plaintext, scale float64) {
	t.Helper()
	for index, limb := range plain.Value.Coeffs {
		s := ctx.parameters.RingQ().SubRings[index]
		ours := make([]uint64, ctx.RingDegree)
		for i := range ours {
			ours[i] = uint64(p.limb(index)[i/p.run])
		}
		s.Sub(ours, limb, ours)
		s.INTT(ours, ours)
		allowed := max(1, uint64(scale*0x1p-48)) // log2(N) roundings of 53-bit numbers
		for i, difference := range ours {
			if difference > allowed && s.Modulus-difference > allowed {
				t.Fatalf("period %d, scale %g, limb %d, coefficient %d: differs by %d", ctx.RingDegree/p.run, scale, index, i, difference)
			}
		}
	}
}

// Our order of work (limb by limb, in parallel) must not change what Lattigo's evaluator computes, and our kernels
// must compute what Lattigo's transforms compute: a digit is its representative around zero in both.
func TestKeySwitchingIsLattigos(t *testing.T) {
	forBothRings(t, func(t *testing.T, ringType string) {
		ctx := newTestContext(t, ringType)
		own := ctx.transforms
		defer func() { ctx.transforms = own }()
		for _, arithmetic := range []transforms{own, newReference(ctx)} {
			ctx.transforms = arithmetic
			for level := len(ctx.Moduli) - 1; level >= 0; level-- {
				for special := range 3 {
					checkKeySwitching(t, ctx, level, special+1)
				}
			}
		}
	})
}

func checkKeySwitching(t *testing.T, ctx *context, level, special int) {
	t.Helper()
	l := testLane(t, ctx)
	polynomial := make(residues, level+1)
	for i := range polynomial {
		polynomial[i] = randomLimb(l, ctx.Moduli[i])
	}
	parts := ctx.decompose(l, polynomial, level, special)
	ours := make([]residues, digits(level, special))
	for limb := range limbs(level, special) {
		for digit, values := range parts.at(l, limb) {
			ours[digit] = append(ours[digit], values)
		}
	}
	theirs := make([]ringqp.Poly, digits(level, special))
	for i := range theirs {
		theirs[i] = ringqp.NewPoly(ctx.RingDegree, level, special-1)
	}
	evaluator := rlwe.NewEvaluator(ctx.parameters, nil)
	evaluator.DecomposeNTT(level, special-1, special, widenedPoly(polynomial), true, theirs)
	for digit := range ours {
		compareLimbs(t, ctx, ours[digit], theirs[digit], level)
	}
	down := widenedPoly(ctx.modDown(l, ours[0], level, special))
	expected := ring.NewPoly(ctx.RingDegree, level)
	newReference(ctx).extender.ModDownQPtoQNTT(level, special-1, theirs[0].Q, theirs[0].P, expected)
	if !down.Equal(&expected) {
		t.Fatalf("level %d: mod-down differs", level)
	}
}

func TestRescaleIsLattigos(t *testing.T) {
	forBothRings(t, func(t *testing.T, ringType string) {
		ctx := newTestContext(t, ringType)
		level := len(ctx.Moduli) - 1
		l := testLane(t, ctx)
		value := l.newPair(0)
		for i := range value {
			for _, q := range ctx.Moduli {
				value[i] = append(value[i], randomLimb(l, q))
			}
		}
		a := ctx.wrap(level, ctx.Scales[level]*float64(ctx.Moduli[level]), value)
		rescaled, err := ctx.rescale(l, a)
		if err != nil {
			t.Fatal(err)
		}
		expected := ring.NewPoly(ctx.RingDegree, level)
		ctx.parameters.RingQ().DivRoundByLastModulusNTT(widenedPoly(value[0]), expected)
		for i, limb := range rescaled.value[0] {
			for j, residue := range limb {
				if uint64(residue) != expected.Coeffs[i][j] {
					t.Fatalf("limb %d, place %d: a rescaled residue differs", i, j)
				}
			}
		}
	})
}

func compareLimbs(t *testing.T, ctx *context, ours residues, theirs ringqp.Poly, level int) {
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
	ctx := newTestContext(t, "standard")
	l := testLane(t, ctx)
	for index := range ctx.moduli {
		limb := randomLimb(l, ctx.moduli[index].Q)
		data := make([]byte, ctx.limbBytes(index))
		if rest := pack(ctx, data, limb, index); len(rest) != 0 {
			t.Fatalf("modulus %d: %d bytes are left", ctx.moduli[index].Q, len(rest))
		}
		back := l.get()
		if rest, err := unpack(ctx, "test", data, back, index); err != nil || len(rest) != 0 {
			t.Fatalf("modulus %d: %v", ctx.moduli[index].Q, err)
		}
		for i := range limb {
			if limb[i] != back[i] {
				t.Fatalf("modulus %d, place %d: differs", ctx.moduli[index].Q, i)
			}
		}
	}
}

func TestPanicsBecomeErrors(t *testing.T) {
	ctx := newTestContext(t, "standard")
	l := testLane(t, ctx)
	err := safely(func() error {
		l.each(10, func(_ *lane, i int) {
			if i == 7 {
				panic("seven")
			}
		})
		return nil
	})
	if err == nil || err.Error() != "EngineError\x1fnative engine: seven; please report this as a bug" {
		t.Fatalf("got %v", err)
	}
	if len(ctx.crew.Load().tokens) != 0 {
		t.Fatal("a worker was not given back")
	}
}
