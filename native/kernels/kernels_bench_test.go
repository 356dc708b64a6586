package kernels

import (
	"fmt"
	"testing"

	"github.com/tuneinsight/lattigo/v6/ring"
)

// go test -run=- -bench=. ./kernels: every kernel on a limb of 2^15 values, Lattigo's transform beside it, and the
// limits of the machine in the same run. benchmarks/kernels.py makes a table of it.

const benchN = 1 << 15

func BenchmarkKernels(b *testing.B) {
	generator := ring.NewNTTFriendlyPrimesGenerator(30, 4*benchN)
	primes, err := generator.NextDownstreamPrimes(16)
	if err != nil {
		b.Fatal(err)
	}
	r, err := ring.NewRingFromType(benchN, primes[:1], ring.ConjugateInvariant)
	if err != nil {
		b.Fatal(err)
	}
	s := r.SubRings[0]
	wide := make([]uint64, benchN)
	b.Run("lattigo/ntt", func(b *testing.B) {
		for b.Loop() {
			s.NTT(wide, wide)
		}
	})
	b.Run("lattigo/intt", func(b *testing.B) {
		for b.Loop() {
			s.INTT(wide, wide)
		}
	})
	for _, name := range sets {
		set, err := Select(name)
		if err != nil {
			continue
		}
		benchmarkSet(b, set, s, primes)
	}
}

func benchmarkSet(b *testing.B, set *Set, s *ring.SubRing, primes []uint64) {
	m := NewModulus(s.Modulus)
	roots := Roots{plain(s.RootsForward, s), plain(s.RootsBackward, s), ring.IMForm(s.NInv, s.Modulus, s.MRedConstant), true}
	tables := set.NewTables(s.Modulus, benchN, roots)
	defer tables.Close()
	basis := NewBasis(primes[1:8], primes[8:9])
	defer basis.Close()
	var pins pinned
	defer pins.Unpin()
	x, y, p, out := pins.limbs(8, benchN), pins.limbs(8, benchN), pins.limbs(8, benchN), pins.limbs(3, benchN)
	index := pins.limb(benchN)
	for i := range index {
		index[i] = uint32(5*i+3) % benchN
	}
	memory := pins.limb(1 << 26) // 256 MiB: far more than any cache
	fill(memory, m.Q, 0)         // or all pages would be the same one
	lists := [3]Limbs{NewLimbs(x), NewLimbs(y), NewLimbs(p)}
	cases := []struct {
		name string
		run  func()
	}{
		{"ntt", func() { set.NTT(x[0], tables) }},
		{"intt", func() { set.INTT(x[0], tables) }},
		{"dot2 of 8 diagonals", func() { set.Dot2(out[0], out[1], lists[0], lists[1], lists[2], 1, nil, nil, &m) }},
		{"dot2 of 3 digits", func() { set.Dot2(out[0], out[1], lists[0][:3], lists[1][:3], lists[2][:3], 1, nil, nil, &m) }},
		{"tensor", func() {
			set.Tensor(out[0], out[1], out[2], lists[0][:1], lists[1][:1], lists[2][:1], lists[0][1:2], &m)
		}},
		{"split 7 primes", func() { set.Split(basis, y[:7], out[0], x[:7]) }},
		{"join 7 primes", func() { set.Join(basis, 0, out[1], y[:7], out[0]) }},
		{"gather", func() { set.Gather(out[0], x[0], index, nil, &m) }},
		{"subtract_scale", func() { set.SubtractScale(out[0], x[0], y[0], 12345, &m) }},
		{"lift", func() { set.Lift(out[0], x[0], &m, &m) }},
	}
	for _, c := range cases {
		b.Run(fmt.Sprintf("%s/%s", set.Name(), c.name), func(b *testing.B) {
			for b.Loop() {
				c.run()
			}
		})
	}
	b.Run(set.Name()+"/limit: read 256 MiB", func(b *testing.B) {
		for b.Loop() {
			ProbeRead(memory)
		}
	})
	b.Run(set.Name()+"/limit: read 512 KiB", func(b *testing.B) {
		for b.Loop() {
			ProbeRead(memory[:1<<17])
		}
	})
	b.Run(set.Name()+"/limit: 2^20 products", func(b *testing.B) {
		for b.Loop() {
			set.ProbeMultiply(int((1 << 20) / set.ProbeMultiply(1)))
		}
	})
}
