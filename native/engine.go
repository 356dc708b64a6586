package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/bits"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/tuneinsight/lattigo/v6/core/rlwe"
	"github.com/tuneinsight/lattigo/v6/ring"
	"github.com/tuneinsight/lattigo/v6/schemes/ckks"

	"heclstm/native/kernels"
)

const (
	primeBits  = 30
	errorSigma = 3.19
	specialMax = 15
	idleBytes  = 1 << 28 // how much the pool of limbs keeps for the next call
	sameScale  = 0x1p-40 // relative difference below which two scales are the same
)

// settings is the JSON of heclstm's Parameters.
type settings struct {
	Ring          string    `json:"ring"`
	RingDegree    int       `json:"ring_degree"`
	Moduli        []uint64  `json:"moduli"`
	SpecialModuli []uint64  `json:"special_moduli"`
	Scales        []float64 `json:"scales"`
	// Arithmetic: "lattigo", an instruction set of our kernels, or "" for the best one that this processor has.
	Arithmetic     string `json:"arithmetic"`
	conjugateReals bool
}

// engine holds what all calls share: the rings, the evaluation keys, the memory pools. It owns no secret.
type engine struct {
	shared
	settings
	fingerprint [16]byte
	parameters  ckks.Parameters
	encoder     *ckks.Encoder

	kernels        *kernels.Set
	transforms     transforms
	moduli         []kernels.Modulus // q_0 … q_L, p_0 … p_{k-1}
	special        int               // k
	specialMod     []uint32          // P mod q_i
	inverseSpecial []uint32          // 1/P mod q_i
	inverseModuli  [][]uint32        // [l][i]: 1/q_l mod q_i for i < l

	crew atomic.Pointer[workers]
	pool limbPool

	keyLock         sync.RWMutex
	relinearization *evaluationKey
	rotations       map[int]*evaluationKey
}

func init() { debug.SetGCPercent(50) } // what is large lives outside of Go's heap

func newEngine(text []byte, threads int) (*engine, error) {
	e := &engine{rotations: map[int]*evaluationKey{}}
	if err := json.Unmarshal(text, &e.settings); err != nil {
		return nil, parameterError("parameters: no valid JSON (%v)", err)
	}
	if err := e.settings.check(); err != nil {
		return nil, err
	}
	e.conjugateReals = e.Ring == "conjugate_invariant"
	ringType := ring.Standard
	if e.conjugateReals {
		ringType = ring.ConjugateInvariant
	}
	var err error
	e.parameters, err = ckks.NewParametersFromLiteral(ckks.ParametersLiteral{
		LogN:            bits.Len(uint(e.RingDegree)) - 1,
		Q:               e.Moduli,
		P:               e.SpecialModuli,
		Xs:              ring.Ternary{P: 2.0 / 3}, // -1, 0 and 1 with a third each: P is the share of non-zeros
		Xe:              ring.DiscreteGaussian{Sigma: errorSigma, Bound: 6 * errorSigma},
		RingType:        ringType,
		LogDefaultScale: int(math.Round(math.Log2(e.Scales[len(e.Scales)-1]))),
	})
	if err != nil {
		return nil, parameterError("parameters: Lattigo refuses them: %v", err)
	}
	e.encoder = ckks.NewEncoder(e.parameters)
	e.fingerprint = e.settings.digest()
	e.prepareModuli()
	e.pool = limbPool{degree: e.RingDegree, keep: idleBytes / 4 / e.RingDegree}
	if threads == 0 {
		threads = runtime.NumCPU()
	}
	e.crew.Store(newWorkers(threads))
	if err := e.chooseArithmetic(); err != nil {
		return nil, err
	}
	e.open(e.destroyAll)
	return e, nil
}

// chooseArithmetic sets the kernels, which both kinds of transforms add and multiply with, and the transforms.
func (e *engine) chooseArithmetic() (err error) {
	name := e.Arithmetic
	if name == "lattigo" {
		name = ""
	}
	if e.kernels, err = kernels.Select(name); err != nil {
		return parameterError("arithmetic: %v", err)
	}
	if e.Arithmetic == "lattigo" {
		e.transforms = newReference(e)
	} else {
		e.transforms = newSIMD(e)
	}
	return nil
}

func (e *engine) destroyAll() {
	if e.relinearization != nil {
		e.relinearization.drop()
	}
	for _, key := range e.rotations {
		key.drop()
	}
	e.transforms.close()
	e.pool.close()
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
	copy(short[:], hash.Sum(nil))
	return short
}

func (e *engine) prepareModuli() {
	e.special = len(e.SpecialModuli)
	for _, q := range append(append([]uint64{}, e.Moduli...), e.SpecialModuli...) {
		e.moduli = append(e.moduli, kernels.NewModulus(q))
	}
	for last, q := range e.Moduli {
		inverses := make([]uint32, last)
		for i, s := range e.parameters.RingQ().SubRings[:last] {
			inverses[i] = uint32(ring.ModExp(q%s.Modulus, s.Modulus-2, s.Modulus))
		}
		e.inverseModuli = append(e.inverseModuli, inverses)
	}
	for _, s := range e.parameters.RingQ().SubRings {
		product := uint64(1)
		for _, p := range e.SpecialModuli {
			product = product * (p % s.Modulus) % s.Modulus
		}
		e.specialMod = append(e.specialMod, uint32(product))
		e.inverseSpecial = append(e.inverseSpecial, uint32(ring.ModExp(product, s.Modulus-2, s.Modulus)))
	}
}

// A polynomial modulo QP at level l has l+1+k limbs: q_0 … q_l, then all of P.

func (e *engine) limbs(level int) int { return level + 1 + e.special }

// place is the index of such a limb in e.moduli.
func (e *engine) place(level, limb int) int {
	if limb <= level {
		return limb
	}
	return len(e.Moduli) + limb - level - 1
}

func (e *engine) modulus(level, limb int) *kernels.Modulus { return &e.moduli[e.place(level, limb)] }

func (e *engine) subRing(level, limb int) *ring.SubRing { return e.subRingAt(e.place(level, limb)) }

func (e *engine) subRingAt(place int) *ring.SubRing {
	if place < len(e.Moduli) {
		return e.parameters.RingQ().SubRings[place]
	}
	return e.parameters.RingP().SubRings[place-len(e.Moduli)]
}

func (e *engine) digits(level int) int { return (level + e.special) / e.special }

func (e *engine) slots() int { return e.parameters.MaxSlots() }

func (e *engine) each(count int, work func(int)) { e.crew.Load().each(count, work) }

func (e *engine) checkLevel(place string, level int) error {
	if level < 0 || level >= len(e.Moduli) {
		return levelError("%s: got level %d, expected 0 … %d", place, level, len(e.Moduli)-1)
	}
	return nil
}

// step normalizes a rotation to 0 … slots-1.
func (e *engine) step(step int) int { return ((step % e.slots()) + e.slots()) % e.slots() }

func scalesAgree(a, b float64) bool { return math.Abs(a-b) <= sameScale*math.Abs(b) }

func (e *engine) plaintextMeta(scale float64, logSlots int) *rlwe.MetaData {
	meta := &rlwe.MetaData{}
	meta.Scale = rlwe.NewScale(scale)
	meta.LogDimensions = ring.Dimensions{Rows: 0, Cols: logSlots}
	meta.IsBatched, meta.IsNTT = true, true
	return meta
}
