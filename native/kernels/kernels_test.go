package kernels

import (
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/tuneinsight/lattigo/v6/ring"
	"github.com/tuneinsight/lattigo/v6/utils/sampling"
)

// Every kernel on every instruction set against Lattigo or big integers, for random and for extreme residues.

var sets = []string{"avx512", "avx2", "neon", "portable"}

func available(t *testing.T) []*Set {
	var list []*Set
	for _, name := range sets {
		if s, err := Select(name); err == nil {
			list = append(list, s)
		} else {
			t.Logf("not on this processor: %s", name)
		}
	}
	return list
}

// pinned makes limbs that C may hold pointers to.
type pinned struct{ runtime.Pinner }

func newPins(t *testing.T) *pinned {
	p := &pinned{}
	t.Cleanup(p.Unpin)
	return p
}

func (p *pinned) limb(n int) []uint32 {
	x := make([]uint32, n)
	p.Pin(&x[0])
	return x
}

func (p *pinned) limbs(count, n int) [][]uint32 {
	list := make([][]uint32, count)
	for i := range list {
		list[i] = p.limb(n)
	}
	return list
}

// fill writes residues: random, all zero, or all the largest.
func fill(x []uint32, q uint64, kind int) {
	for i := range x {
		switch kind {
		case 0:
			x[i] = uint32(rand.Uint64N(q))
		case 1:
			x[i] = 0
		default:
			x[i] = uint32(q - 1)
		}
	}
}

func primesFor(t *testing.T, n, count int) []uint64 {
	t.Helper()
	generator := ring.NewNTTFriendlyPrimesGenerator(30, uint64(4*n))
	primes, err := generator.NextDownstreamPrimes(count)
	if err != nil {
		t.Fatal(err)
	}
	return primes
}

func plain(roots []uint64, s *ring.SubRing) []uint64 {
	out := slices.Clone(roots)
	for i, root := range out {
		out[i] = ring.IMForm(root, s.Modulus, s.MRedConstant)
	}
	return out
}

func TestTransformsEqualLattigo(t *testing.T) {
	for _, conjugate := range []bool{false, true} {
		for _, n := range []int{16, 64, 256, 512, 4096, 1 << 15} {
			kind := ring.Standard
			if conjugate {
				kind = ring.ConjugateInvariant
			}
			r, err := ring.NewRingFromType(n, primesFor(t, n, 1), kind)
			if err != nil {
				t.Fatal(err)
			}
			s := r.SubRings[0]
			roots := Roots{plain(s.RootsForward, s), plain(s.RootsBackward, s), ring.IMForm(s.NInv, s.Modulus, s.MRedConstant), conjugate}
			for _, set := range available(t) {
				tables := set.NewTables(s.Modulus, n, roots)
				for content := range 3 {
					pins := newPins(t)
					x := pins.limb(n)
					fill(x, s.Modulus, content)
					want := make([]uint64, n)
					for i, value := range x {
						want[i] = uint64(value)
					}
					before := slices.Clone(x)
					s.NTT(want, want)
					set.NTT(x, tables)
					for i := range x {
						if uint64(x[i]) != want[i] {
							t.Fatalf("%s n=%d conjugate=%v content=%d: NTT differs at %d", set.Name(), n, conjugate, content, i)
						}
					}
					set.INTT(x, tables)
					if !slices.Equal(x, before) {
						t.Fatalf("%s n=%d conjugate=%v content=%d: INTT(NTT(x)) differs from x", set.Name(), n, conjugate, content)
					}
				}
				tables.Close()
			}
		}
	}
}

func TestBasisExtensionIsTheCentredRepresentative(t *testing.T) {
	const n = 2048
	primes := primesFor(t, 1024, 14)
	for _, count := range []int{1, 2, 7, 10} {
		from, to := primes[:count], primes[count:]
		basis := NewBasis(from, to)
		product := big.NewInt(1)
		for _, s := range from {
			product.Mul(product, new(big.Int).SetUint64(s))
		}
		half := new(big.Int).Rsh(product, 1)
		pins := newPins(t)
		x, y, v, out := pins.limbs(count, n), pins.limbs(count, n), pins.limb(n), pins.limb(n)
		numbers := make([]*big.Int, n)
		for i := range numbers {
			numbers[i] = randomBelow(product)
			if i < 4 { // around zero
				numbers[i] = new(big.Int).Mod(big.NewInt(int64(i)-2), product)
			}
			for j, s := range from {
				x[j][i] = uint32(modulo(numbers[i], s))
			}
			if numbers[i].Cmp(half) > 0 {
				numbers[i].Sub(numbers[i], product)
			}
		}
		for _, set := range available(t) {
			set.Split(basis, y, v, x)
			for j, p := range to {
				set.Join(basis, j, out, y, v)
				for i, number := range numbers {
					if uint64(out[i]) != modulo(number, p) {
						t.Fatalf("%s: %d primes, target %d: value %d differs", set.Name(), count, j, i)
					}
				}
			}
		}
		basis.Close()
	}
}

func randomBelow(limit *big.Int) *big.Int {
	words := make([]big.Word, len(limit.Bits()))
	for i := range words {
		words[i] = big.Word(rand.Uint64())
	}
	return new(big.Int).Mod(new(big.Int).SetBits(words), limit)
}

func TestSumsOfProducts(t *testing.T) {
	const n = 2048
	q := primesFor(t, 1024, 1)[0]
	m := NewModulus(q)
	for content := range 3 {
		for _, count := range []int{1, 2, 14, 15, 40} {
			for _, run := range []int{1, 2, 4, 8, 64, 2048} {
				checkSum(t, &m, n, count, run, content)
			}
		}
	}
}

func checkSum(t *testing.T, m *Modulus, n, count, run, content int) {
	pins := newPins(t)
	x0, x1, p := pins.limbs(count, n), pins.limbs(count, n), pins.limbs(count, n/run)
	add := pins.limb(n)
	for e := range count {
		fill(x0[e], m.Q, content)
		fill(x1[e], m.Q, content)
		fill(p[e], m.Q, content)
	}
	fill(add, m.Q, content)
	out0, out1, d := pins.limb(n), pins.limb(n), pins.limbs(3, n)
	q := new(big.Int).SetUint64(m.Q)
	for _, set := range available(t) {
		set.Dot2(out0, out1, NewLimbs(x0), NewLimbs(x1), NewLimbs(p), run, add, nil, m)
		if run == 1 {
			set.Tensor(d[0], d[1], d[2], NewLimbs(x0), NewLimbs(x1), NewLimbs(p), NewLimbs(x0), m)
		}
		for _, i := range []int{0, 1, n / 2, n - 1} {
			sum0, sum1, cross := big.NewInt(int64(add[i])), new(big.Int), new(big.Int)
			for e := range count {
				sum0.Add(sum0, product(x0[e][i], p[e][i/run]))
				sum1.Add(sum1, product(x1[e][i], p[e][i/run]))
				cross.Add(cross, product(x0[e][i], x0[e][i]))
				if run == 1 {
					cross.Add(cross, product(x1[e][i], p[e][i]))
				}
			}
			if uint64(out0[i]) != sum0.Mod(sum0, q).Uint64() || uint64(out1[i]) != sum1.Mod(sum1, q).Uint64() {
				t.Fatalf("%s: sum of %d products in runs of %d differs at %d", set.Name(), count, run, i)
			}
			if run == 1 && uint64(d[1][i]) != cross.Mod(cross, q).Uint64() {
				t.Fatalf("%s: tensor of %d pairs differs at %d", set.Name(), count, i)
			}
		}
	}
}

func product(a, b uint32) *big.Int {
	return new(big.Int).Mul(big.NewInt(int64(a)), big.NewInt(int64(b)))
}

func TestPointwise(t *testing.T) {
	const n = 1024
	primes := primesFor(t, n, 2)
	m, from := NewModulus(primes[0]), NewModulus(primes[1])
	q := m.Q
	for content := range 3 {
		pins := newPins(t)
		a, b, index, out := pins.limb(n), pins.limb(n), pins.limb(n), pins.limb(n)
		fill(a, min(q, from.Q), content)
		fill(b, q, content)
		for i := range index {
			if index[i] = uint32((5*i + 3) % n); i < n/2 { // as an automorphism does: blocks of lanes to such blocks
				index[i] = uint32((16*(i/16*7+3) + (5*i+i/16)%16) % n)
			}
		}
		const factor = 123456789
		cases := map[string]struct {
			run  func(s *Set)
			want func(i int) uint64
		}{
			"add":            {func(s *Set) { s.Add(out, a, b, &m) }, func(i int) uint64 { return (uint64(a[i]) + uint64(b[i])) % q }},
			"subtract":       {func(s *Set) { s.Subtract(out, a, b, &m) }, func(i int) uint64 { return (uint64(a[i]) + q - uint64(b[i])) % q }},
			"subtract_scale": {func(s *Set) { s.SubtractScale(out, a, b, factor, &m) }, func(i int) uint64 { return (uint64(a[i]) + q - uint64(b[i])) % q * factor % q }},
			"scale":          {func(s *Set) { s.Scale(out, a, factor, &m) }, func(i int) uint64 { return uint64(a[i]) * factor % q }},
			"gather":         {func(s *Set) { s.Gather(out, a, index, nil, &m) }, func(i int) uint64 { return uint64(a[index[i]]) }},
			"gather and add": {func(s *Set) { s.Gather(out, a, index, b, &m) }, func(i int) uint64 { return (uint64(a[index[i]]) + uint64(b[i])) % q }},
			"multiply_runs":  {func(s *Set) { s.MultiplyRuns(out, a, b[:n/4], 4, &m) }, func(i int) uint64 { return uint64(a[i]) * uint64(b[i/4]) % q }},
			"add_runs":       {func(s *Set) { s.AddRuns(out, a, b[:n/4], 4, &m) }, func(i int) uint64 { return (uint64(a[i]) + uint64(b[i/4])) % q }},
			"lift": {func(s *Set) { s.Lift(out, a, &from, &m) }, func(i int) uint64 {
				if uint64(a[i]) > from.Q/2 {
					return (uint64(a[i]) + q - from.Q%q) % q
				}
				return uint64(a[i]) % q
			}},
		}
		for _, set := range available(t) {
			for name, c := range cases {
				c.run(set)
				for i := range out {
					if uint64(out[i]) != c.want(i) {
						t.Fatalf("%s on %s, content %d: value %d is %d, expected %d", name, set.Name(), content, i, out[i], c.want(i))
					}
				}
			}
		}
	}
}

func TestBelow(t *testing.T) {
	const n = 1024
	m := NewModulus(primesFor(t, n, 1)[0])
	x := newPins(t).limb(n)
	for _, set := range available(t) {
		for _, at := range []int{0, 1, n / 2, n - 1} {
			fill(x, m.Q, 2)
			if !set.Below(x, &m) {
				t.Fatalf("%s: residues are taken for something else", set.Name())
			}
			for _, value := range []uint32{uint32(m.Q), 1 << 31, 1<<32 - 1} {
				x[at] = value
				if set.Below(x, &m) {
					t.Fatalf("%s: %d at %d is taken for a residue", set.Name(), value, at)
				}
			}
		}
	}
}

func TestUnknownSetIsRefused(t *testing.T) {
	if _, err := Select("sse9"); err == nil {
		t.Fatal("an unknown instruction set was accepted")
	}
}

func TestStreamsAreThoseOfLattigosSamplers(t *testing.T) {
	const n = 1024
	generator := ring.NewNTTFriendlyPrimesGenerator(29, 4*n)
	above, err := generator.NextUpstreamPrimes(3) // of which half of all numbers below the mask are left out
	if err != nil {
		t.Fatal(err)
	}
	q, p := append(primesFor(t, n, 4), above...), primesFor(t, n, 6)[4:]
	ringQ, err := ring.NewRing(n, q)
	if err != nil {
		t.Fatal(err)
	}
	ringP, err := ring.NewRing(n, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range available(t) {
		for _, bytes := range []int{0, 1, 32, 64} {
			seed := make([]byte, bytes)
			for i := range seed {
				seed[i] = byte(rand.Uint32())
			}
			source, err := sampling.NewKeyedPRNG(seed)
			if err != nil {
				t.Fatal(err)
			}
			samplers := []*ring.UniformSampler{ring.NewUniformSampler(source, ringQ), ring.NewUniformSampler(source, ringP)}
			stream := set.NewStream(seed)
			for round := range 6 {
				which := round % 2
				want := samplers[which].ReadNew()
				for limb, prime := range [][]uint64{q, p}[which] {
					got, m := make([]uint32, n), NewModulus(prime)
					stream.Uniform(got, &m)
					for i, value := range got {
						if uint64(value) != want.Coeffs[limb][i] {
							t.Fatalf("%s: seed of %d bytes, polynomial %d, limb %d differs at %d", set.Name(), bytes, round, limb, i)
						}
					}
				}
				stream.Next()
			}
		}
	}
}
