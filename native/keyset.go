package main

import (
	"encoding/json"
	"sync"
	"sync/atomic"

	"github.com/tuneinsight/lattigo/v6/ring"
)

// keySet is one tenant's evaluation keys, by rotation step; step 0 is the relinearization key. Keys are added, never
// replaced or taken out, so that whoever holds the set may use any of them without a lock until it is closed.
type keySet struct {
	shared
	context *context
	lock    sync.Mutex // of those who add a key
	keys    atomic.Pointer[map[int]*evaluationKey]
	mapping *mapping // of the file that it was opened from
	resting sync.Mutex
	rested  atomic.Bool // since its keys were used last
	note    []byte      // whatever the caller stored in that file
}

// evaluationKey is a gadget ciphertext in 32-bit limbs, out of Montgomery form. special: how many special primes it
// has, and how many primes each of its digits.
type evaluationKey struct {
	step, level, special int
	words                []uint32
	limbs                [][][2][]uint32 // digit, limb of QP, component; slices of words
	index                []uint32        // of a rotation: the context's table
	proof                *proof          // of a key in a file: its checksum, until it was looked at
}

func (ctx *context) newKeySet() *keySet {
	k := &keySet{context: ctx}
	k.keys.Store(&map[int]*evaluationKey{})
	k.open(k.close)
	return k
}

func (k *keySet) close() {
	if k.mapping != nil {
		k.mapping.close()
		return
	}
	for _, key := range *k.keys.Load() {
		release(key.words)
	}
	releasePages()
}

func keyPlace(step int) string {
	if step == 0 {
		return "relinearization key"
	}
	return "rotation key"
}

// load expands a seeded key and adds it; it returns its step, which must be the wanted one unless that is negative.
// Several threads may load keys at once.
func (k *keySet) load(l *lane, data []byte, wanted int) (int, error) {
	ctx := k.context
	if k.mapping != nil {
		return 0, parameterError("evaluation key: this key set was opened from a file and takes no more; make a new one")
	}
	h, rest, err := ctx.readHeader("evaluation key", data, kindRelinearization, kindRotation)
	if err != nil {
		return 0, err
	}
	place := keyPlace(h.step)
	if err := checkSize(place, len(data), ctx.keyBytes(h.level)); err != nil {
		return 0, err
	}
	if err := ctx.checkStep(h); err != nil {
		return 0, err
	}
	if wanted >= 0 && wanted != h.step {
		return 0, formatError("%s: got the key of step %d under the name of step %d; get the keys again", place, h.step, wanted)
	}
	if (*k.keys.Load())[h.step] != nil {
		return 0, k.twice(h.step)
	}
	key := ctx.newKey(h.step, h.level, l.call.slab(ctx.keyWords(h.level)))
	if err := key.expand(ctx, place, rest); err != nil {
		return 0, err
	}
	if key.step != 0 {
		if key.index, err = ctx.automorphism(key.step); err != nil {
			return 0, err
		}
	}
	return h.step, k.add(l.call, key)
}

// checkStep: rotations have a step, relinearization has none.
func (ctx *context) checkStep(h header) error {
	if (h.kind == kindRotation) != (h.step > 0 && h.step < ctx.slots()) {
		return formatError("%s: got step %d, expected 1 … %d for a rotation and 0 for relinearization",
			keyPlace(h.step), h.step, ctx.slots()-1)
	}
	return nil
}

func (k *keySet) twice(step int) error {
	return parameterError("%s: this key set has one for step %d already; load other keys into another key set", keyPlace(step), step)
}

func (k *keySet) add(c *call, key *evaluationKey) error {
	k.lock.Lock()
	defer k.lock.Unlock()
	old := *k.keys.Load()
	if old[key.step] != nil {
		return k.twice(key.step)
	}
	c.keep(key.words)
	k.keys.Store(withEntry(old, key.step, key))
	return nil
}

func limbOf(q, p ring.Poly, level, limb int) []uint64 {
	if limb <= level {
		return q.Coeffs[limb]
	}
	return p.Coeffs[limb-level-1]
}

// keyWords is how many words an expanded key takes.
func (ctx *context) keyWords(level int) int {
	special := ctx.specialAt(level)
	return digits(level, special) * limbs(level, special) * 2 * ctx.RingDegree
}

// newKey lays a key over words: digit after digit, limb after limb, component after component.
func (ctx *context) newKey(step, level int, words []uint32) *evaluationKey {
	key := &evaluationKey{step: step, level: level, special: ctx.specialAt(level), words: words}
	key.limbs = make([][][2][]uint32, digits(level, key.special))
	for digit := range key.limbs {
		key.limbs[digit] = make([][2][]uint32, limbs(level, key.special))
		for limb := range key.limbs[digit] {
			for component := range 2 {
				key.limbs[digit][limb][component], words = words[:ctx.RingDegree], words[ctx.RingDegree:]
			}
		}
	}
	return key
}

// expand reads a packed key: its seed, and the first component of each digit, both in Montgomery form.
func (key *evaluationKey) expand(ctx *context, place string, data []byte) (err error) {
	stream := ctx.kernels.NewStream(data[:seedBytes])
	data = data[seedBytes:]
	for _, digit := range key.limbs {
		for limb, pair := range digit {
			at, m := ctx.place(key.level, limb), ctx.modulus(key.level, limb)
			if data, err = unpack(ctx, place, data, pair[0], at); err != nil {
				return err
			}
			if limb == key.level+1 {
				stream.Next() // Lattigo samples modulo Q, then modulo P
			}
			stream.Uniform(pair[1], m)
			for _, values := range pair {
				ctx.kernels.Scale(values, values, ctx.fromMontgomery[at], m)
			}
		}
		stream.Next()
	}
	return nil
}

// relinearization and rotation find a key that serves a level. A nil set has none.

func (k *keySet) relinearization(level int) (*evaluationKey, error) {
	key := k.find(0)
	if key == nil {
		return nil, failure("MissingKeyError", "product at level %d: no relinearization key is loaded; load one", level)
	}
	if key.level < level {
		return nil, failure("MissingKeyError", "product at level %d: the relinearization key reaches level %d only; generate it at level %d",
			level, key.level, level)
	}
	return key, key.prove(k)
}

func (k *keySet) rotation(step, level int) (*evaluationKey, error) {
	key := k.find(step)
	if key == nil {
		return nil, failure("MissingKeyError", "rotation by %d at level %d: no key for this step is loaded; generate and load one", step, level)
	}
	if key.level < level {
		return nil, failure("MissingKeyError", "rotation by %d at level %d: its key reaches level %d only; generate it at level %d",
			step, level, key.level, level)
	}
	return key, key.prove(k)
}

func (k *keySet) find(step int) *evaluationKey {
	if k == nil {
		return nil
	}
	return (*k.keys.Load())[step]
}

// report answers KeySet.loaded.
func (k *keySet) report() ([]byte, error) {
	report := struct {
		Relinearization *int        `json:"relinearization_level"`
		Rotations       map[int]int `json:"rotations"`
		Bytes           int         `json:"bytes_in_memory"`
		Mapped          bool        `json:"mapped"`
		Note            []byte      `json:"note"`
	}{Rotations: map[int]int{}, Mapped: k.mapping != nil, Note: k.note}
	for step, key := range *k.keys.Load() {
		report.Bytes += 4 * len(key.words)
		if step == 0 {
			report.Relinearization = &key.level
		} else {
			report.Rotations[step] = key.level
		}
	}
	return json.Marshal(report)
}
