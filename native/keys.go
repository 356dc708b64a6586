package main

import (
	"encoding/json"

	"github.com/tuneinsight/lattigo/v6/core/rlwe"
	"github.com/tuneinsight/lattigo/v6/ring"
)

// evaluationKey is a gadget ciphertext in 32-bit limbs, out of Montgomery form.
type evaluationKey struct {
	shared
	level int
	words []uint32
	limbs [][][2][]uint32 // digit, limb of QP, component; slices of words
	index []uint32        // of a rotation: slot i of the NTT domain comes from index[i]
}

// loadKey expands a seeded key; it returns the step of a rotation key.
func (e *engine) loadKey(data []byte, kind int) (int, error) {
	place := "relinearization key"
	if kind == kindRotation {
		place = "rotation key"
	}
	h, rest, err := e.readHeader(place, data, kind)
	if err != nil {
		return 0, err
	}
	if err := checkSize(place, len(data), e.keyBytes(h.level)); err != nil {
		return 0, err
	}
	if (kind == kindRotation) != (h.step > 0 && h.step < e.slots()) {
		return 0, formatError("%s: got step %d, expected 1 … %d", place, h.step, e.slots()-1)
	}
	packed, err := e.unpackKey(place, rest, h.level)
	if err != nil {
		return 0, err
	}
	if err := packed.Expand(e.parameters, nil); err != nil {
		return 0, failure("EngineError", "%s: %v", place, err)
	}
	key := e.narrowKey(packed, h.level)
	if kind == kindRotation {
		if err := e.prepareIndex(key, h.step); err != nil {
			key.drop()
			return 0, err
		}
	}
	e.installKey(key, kind, h.step)
	return h.step, nil
}

func (e *engine) unpackKey(place string, data []byte, level int) (*rlwe.EvaluationKey, error) {
	top := e.special - 1
	key := rlwe.NewEvaluationKey(e.parameters, rlwe.EvaluationKeyParameters{LevelQ: &level, LevelP: &top, Compressed: true})
	key.Seed = new([seedBytes]byte)
	copy(key.Seed[:], data)
	data = data[seedBytes:]
	for digit := range key.Value {
		polynomial := key.Value[digit][0][0]
		for limb := 0; limb < e.limbs(level); limb++ {
			var err error
			if data, err = unpack(e, place, data, limbOf(polynomial.Q, polynomial.P, level, limb), e.place(level, limb)); err != nil {
				return nil, err
			}
		}
	}
	return key, nil
}

func limbOf(q, p ring.Poly, level, limb int) []uint64 {
	if limb <= level {
		return q.Coeffs[limb]
	}
	return p.Coeffs[limb-level-1]
}

func (e *engine) narrowKey(packed *rlwe.EvaluationKey, level int) *evaluationKey {
	degree, count := e.RingDegree, e.limbs(level)
	key := &evaluationKey{level: level, words: allocate(len(packed.Value) * count * 2 * degree)}
	key.open(func() { release(key.words); release(key.index) })
	key.limbs = make([][][2][]uint32, len(packed.Value))
	for digit := range key.limbs {
		key.limbs[digit] = make([][2][]uint32, count)
	}
	e.each(len(packed.Value)*count, func(i int) {
		digit, limb := i/count, i%count
		for component := range 2 {
			from := packed.Value[digit][0][component]
			wide := limbOf(from.Q, from.P, level, limb)
			e.subRing(level, limb).IMForm(wide, wide)
			at := (2*i + component) * degree
			key.limbs[digit][limb][component] = key.words[at : at+degree]
			narrow(key.words[at:at+degree], wide)
		}
	})
	return key
}

func (e *engine) prepareIndex(key *evaluationKey, step int) error {
	r := e.parameters.RingQ()
	index, err := ring.AutomorphismNTTIndex(r.N(), r.NthRoot(), e.parameters.GaloisElement(step))
	if err != nil {
		return failure("EngineError", "rotation by %d: %v", step, err)
	}
	key.index = allocate(len(index))
	for i, from := range index {
		key.index[i] = uint32(from)
	}
	return nil
}

func (e *engine) installKey(key *evaluationKey, kind, step int) {
	e.keyLock.Lock()
	defer e.keyLock.Unlock()
	old := e.relinearization
	if kind == kindRotation {
		old = e.rotations[step]
		e.rotations[step] = key
	} else {
		e.relinearization = key
	}
	if old != nil {
		old.drop()
	}
}

// relinearizationKey and rotationKey keep the key until the scope ends.

func (e *engine) relinearizationKey(s *scope, level int) (*evaluationKey, error) {
	e.keyLock.RLock()
	defer e.keyLock.RUnlock()
	if e.relinearization == nil {
		return nil, failure("MissingKeyError", "product at level %d: no relinearization key is loaded; load one", level)
	}
	if e.relinearization.level < level {
		return nil, failure("MissingKeyError", "product at level %d: the relinearization key reaches level %d only; generate it at level %d",
			level, e.relinearization.level, level)
	}
	e.relinearization.retain()
	s.keep(e.relinearization)
	return e.relinearization, nil
}

func (e *engine) rotationKey(s *scope, step, level int) (*evaluationKey, error) {
	e.keyLock.RLock()
	defer e.keyLock.RUnlock()
	key := e.rotations[step]
	if key == nil {
		return nil, failure("MissingKeyError", "rotation by %d at level %d: no key for this step is loaded; generate and load one", step, level)
	}
	if key.level < level {
		return nil, failure("MissingKeyError", "rotation by %d at level %d: its key reaches level %d only; generate it at level %d",
			step, level, key.level, level)
	}
	key.retain()
	s.keep(key)
	return key, nil
}

// report answers Engine.loaded_keys and Engine.arithmetic.
func (e *engine) report() ([]byte, error) {
	e.keyLock.RLock()
	defer e.keyLock.RUnlock()
	report := struct {
		Relinearization *int        `json:"relinearization_level"`
		Rotations       map[int]int `json:"rotations"`
		Bytes           int         `json:"bytes_in_memory"`
		Arithmetic      string      `json:"arithmetic"`
		Allocated       int64       `json:"allocated_bytes"`
	}{Rotations: map[int]int{}, Arithmetic: e.kernels.Name(), Allocated: allocated.Load()}
	if e.Arithmetic == "lattigo" {
		report.Arithmetic = "lattigo"
	}
	if key := e.relinearization; key != nil {
		report.Relinearization = &key.level
		report.Bytes += 4 * len(key.words)
	}
	for step, key := range e.rotations {
		report.Rotations[step] = key.level
		report.Bytes += 4 * (len(key.words) + len(key.index))
	}
	return json.Marshal(report)
}
