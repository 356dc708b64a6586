package main

import (
	"encoding/json"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tuneinsight/lattigo/v6/core/rlwe"
	"github.com/tuneinsight/lattigo/v6/ring"
	"github.com/tuneinsight/lattigo/v6/schemes/ckks"

	"heclstm/native/kernels"
)

const (
	idleBytes = 1 << 28         // how much the pool of limbs keeps for the next call
	patience  = 2 * time.Second // and how long, when none comes
	sameScale = 0x1p-40         // relative difference below which two scales are the same
)

// context is what all calls under one set of parameters share, whoever's keys they use: the rings, the transforms,
// the workers, the pool of limbs, the tables of automorphisms. It owns no key and no secret.
type context struct {
	shared
	settings
	conjugateReals bool
	fingerprint    [16]byte
	parameters     ckks.Parameters
	encoder        *ckks.Encoder

	kernels        *kernels.Set
	transforms     transforms
	moduli         []kernels.Modulus // q_0 … q_L, p_0, p_1, …
	inverseSpecial [][]uint32        // [k][i]: 1/P_k mod q_i, where P_k is the product of the first k special primes
	inverseModuli  [][]uint32        // [l][i]: 1/q_l mod q_i for i < l
	fromMontgomery []uint32          // 1/2^64 modulo each prime: Lattigo's keys are written in Montgomery form

	crew atomic.Pointer[workers]
	pool limbPool

	tableLock sync.Mutex // of those who add a table
	tables    atomic.Pointer[map[int][]uint32]
}

func init() {
	debug.SetGCPercent(50) // what is large lives outside of Go's heap
	if os.Getenv("GOTRACEBACK") == "" {
		debug.SetTraceback("none") // where the system gives no memory or thread, the reason, not hundreds of lines
	}
}

func newContext(text []byte, threads int) (ctx *context, err error) {
	ctx = &context{}
	if ctx.settings, err = readSettings(text); err != nil {
		return nil, err
	}
	ctx.conjugateReals = ctx.Ring == "conjugate_invariant"
	if ctx.parameters, err = ctx.settings.forLattigo(); err != nil {
		return nil, err
	}
	ctx.encoder = ckks.NewEncoder(ctx.parameters)
	ctx.fingerprint = ctx.settings.digest()
	ctx.prepareModuli()
	ctx.pool = limbPool{degree: ctx.RingDegree, keep: idleBytes / 4 / ctx.RingDegree, patience: patience}
	ctx.tables.Store(&map[int][]uint32{})
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0) // which follows affinity, and from Go 1.25 on the quota of a control group
	}
	ctx.crew.Store(newWorkers(threads))
	if err := ctx.chooseArithmetic(); err != nil {
		return nil, err
	}
	ctx.open(ctx.close)
	return ctx, nil
}

// chooseArithmetic sets the kernels, which both kinds of transforms add and multiply with, and the transforms.
func (ctx *context) chooseArithmetic() (err error) {
	name := ctx.Arithmetic
	if name == "lattigo" {
		name = ""
	}
	if ctx.kernels, err = kernels.Select(name); err != nil {
		return parameterError("arithmetic: %v", err)
	}
	if ctx.Arithmetic == "lattigo" {
		ctx.transforms = newReference(ctx)
	} else {
		ctx.transforms = newSIMD(ctx)
	}
	return nil
}

func (ctx *context) close() {
	for _, table := range *ctx.tables.Load() {
		release(table)
	}
	ctx.transforms.close()
	ctx.pool.close()
}

func (ctx *context) prepareModuli() {
	for _, q := range append(append([]uint64{}, ctx.Moduli...), ctx.SpecialModuli...) {
		ctx.moduli = append(ctx.moduli, kernels.NewModulus(q))
		half := (uint64(1) << 32) % q
		ctx.fromMontgomery = append(ctx.fromMontgomery, uint32(ring.ModExp(half*half%q, q-2, q)))
	}
	for last, q := range ctx.Moduli {
		inverses := make([]uint32, last)
		for i, s := range ctx.parameters.RingQ().SubRings[:last] {
			inverses[i] = uint32(ring.ModExp(q%s.Modulus, s.Modulus-2, s.Modulus))
		}
		ctx.inverseModuli = append(ctx.inverseModuli, inverses)
	}
	for k := range len(ctx.SpecialModuli) + 1 {
		inverses := make([]uint32, len(ctx.Moduli))
		for i, q := range ctx.Moduli {
			inverses[i] = uint32(ring.ModExp(uint64(ctx.lift(i, 0, k)), q-2, q))
		}
		ctx.inverseSpecial = append(ctx.inverseSpecial, inverses)
	}
}

// automorphism is the table of a rotation: slot i of the NTT domain comes from table[i]. All key sets share it.
func (ctx *context) automorphism(step int) ([]uint32, error) {
	if known := (*ctx.tables.Load())[step]; known != nil {
		return known, nil
	}
	r := ctx.parameters.RingQ()
	index, err := ring.AutomorphismNTTIndex(r.N(), r.NthRoot(), ctx.parameters.GaloisElement(step))
	if err != nil {
		return nil, failure("EngineError", "rotation by %d: %v", step, err)
	}
	ctx.tableLock.Lock()
	defer ctx.tableLock.Unlock()
	old := *ctx.tables.Load()
	if known := old[step]; known != nil {
		return known, nil
	}
	table := allocate(len(index))
	for i, from := range index {
		table[i] = uint32(from)
	}
	ctx.tables.Store(withEntry(old, step, table))
	return table, nil
}

// withEntry is a copy of a map with one more entry: readers of the old one need no lock.
func withEntry[V any](old map[int]V, key int, value V) *map[int]V {
	grown := make(map[int]V, len(old)+1)
	for k, v := range old {
		grown[k] = v
	}
	grown[key] = value
	return &grown
}

// A polynomial modulo QP_k at level l has l+1+k limbs: q_0 … q_l, then the first k special primes. Digits of a key with
// k special primes have k primes each.

// specialAt is how many special primes a key of this level has.
func (ctx *context) specialAt(level int) int {
	if len(ctx.SpecialCounts) == 0 {
		return len(ctx.SpecialModuli)
	}
	return ctx.SpecialCounts[level]
}

// specialCounts are those that some key may have.
func (ctx *context) specialCounts() []int {
	if len(ctx.SpecialCounts) == 0 {
		return []int{len(ctx.SpecialModuli)}
	}
	return slices.Compact(slices.Sorted(slices.Values(ctx.SpecialCounts)))
}

func limbs(level, special int) int { return level + 1 + special }

func digits(level, special int) int { return (level + special) / special }

// lift is P_to / P_from modulo the prime at a place.
func (ctx *context) lift(place, from, to int) uint32 {
	q, product := ctx.moduli[place].Q, uint64(1)
	for _, p := range ctx.SpecialModuli[from:to] {
		product = product * (p % q) % q
	}
	return uint32(product)
}

// place is the index of such a limb in ctx.moduli.
func (ctx *context) place(level, limb int) int {
	if limb <= level {
		return limb
	}
	return len(ctx.Moduli) + limb - level - 1
}

func (ctx *context) modulus(level, limb int) *kernels.Modulus {
	return &ctx.moduli[ctx.place(level, limb)]
}

func (ctx *context) subRing(level, limb int) *ring.SubRing {
	return ctx.subRingAt(ctx.place(level, limb))
}

func (ctx *context) subRingAt(place int) *ring.SubRing {
	if place < len(ctx.Moduli) {
		return ctx.parameters.RingQ().SubRings[place]
	}
	return ctx.parameters.RingP().SubRings[place-len(ctx.Moduli)]
}

func (ctx *context) slots() int { return ctx.parameters.MaxSlots() }

func (ctx *context) checkLevel(place string, level int) error {
	if level < 0 || level >= len(ctx.Moduli) {
		return levelError("%s: got level %d, expected 0 … %d", place, level, len(ctx.Moduli)-1)
	}
	return nil
}

// step normalizes a rotation to 0 … slots-1.
func (ctx *context) step(step int) int {
	return ((step % ctx.slots()) + ctx.slots()) % ctx.slots()
}

func scalesAgree(a, b float64) bool { return math.Abs(a-b) <= sameScale*math.Abs(b) }

func (ctx *context) plaintextMeta(scale float64, logSlots int) *rlwe.MetaData {
	meta := &rlwe.MetaData{}
	meta.Scale = rlwe.NewScale(scale)
	meta.LogDimensions = ring.Dimensions{Rows: 0, Cols: logSlots}
	meta.IsBatched, meta.IsNTT = true, true
	return meta
}

// report answers Context.arithmetic and Context.allocated_bytes.
func (ctx *context) report() ([]byte, error) {
	arithmetic := ctx.kernels.Name()
	if ctx.Arithmetic == "lattigo" {
		arithmetic = "lattigo"
	}
	return json.Marshal(map[string]any{
		"arithmetic": arithmetic, "allocated_bytes": allocated.Load(), "automorphisms": len(*ctx.tables.Load()),
	})
}
