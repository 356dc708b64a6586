package main

import (
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// bench is a context with keys and one ciphertext: what a test needs to call any operation.
type bench struct {
	t       testing.TB
	ctx     *context
	keys    *keySet
	secret  *secret
	x       *ciphertext
	plain   *plaintext
	prepare *transform
	blob    []byte
}

func newBench(t testing.TB, ringType string) *bench {
	ctx := newTestContext(t, ringType)
	b := &bench{t: t, ctx: ctx, keys: ctx.newKeySet(), secret: ctx.newSecret()}
	t.Cleanup(b.keys.drop)
	t.Cleanup(b.secret.drop)
	top := len(ctx.Moduli) - 1
	for _, step := range []int{0, 1, 2, 4} {
		b.load(b.keys, step)
	}
	b.blob = make([]byte, ctx.ciphertextBytes(top, true))
	values := make([]float64, ctx.slots())
	for i := range values {
		values[i] = 2*rand.Float64() - 1
	}
	b.must(b.secret.encrypt(b.blob, values, top, true))
	b.within(func(c *call) (err error) {
		b.x, err = ctx.loadCiphertext(c.newLane(), b.blob, top)
		b.must(err)
		b.plain, err = ctx.newPlaintext(c, []float64{0.5}, top, ctx.Scales[top])
		b.must(err)
		b.prepare, err = ctx.newTransform(c.newLane(), b.plan(false))
		b.must(err)
		for _, made := range []result{b.x, b.plain, b.prepare} {
			c.keep(made.memory()...)
			t.Cleanup(made.drop)
		}
		return nil
	})
	return b
}

// plan is two outputs of one input, with babies, giants and a fold that is walked.
func (b *bench) plan(compact bool) plan {
	top := len(b.ctx.Moduli) - 1
	p := plan{
		level: top, inputs: 1, outputs: 2, babies: []int64{0, 1}, chainLengths: []int64{2, 1}, chainSteps: []int64{0, 2, 2},
		period: 32, plaintextScales: []float64{1 << 29}, outputScale: b.ctx.Scales[top] * (1 << 29), folds: []int64{4}, compact: compact,
		walkLengths: []int64{3}, walkSteps: []int64{4, 2, 2}, special: 3, nested: compact,
	}
	for output := range int32(2) {
		for chain, length := range []int32{2, 1} {
			for position := range length {
				p.index = append(p.index, output, int32(chain), position, 0, 0, output, int32(chain), position, 1, 0)
			}
		}
	}
	p.vectors = make([]float64, len(p.index)/5*p.period)
	for i := range p.vectors {
		p.vectors[i] = rand.Float64()
	}
	return p
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// within is a call that ends well.
func (b *bench) within(work func(c *call) error) {
	b.t.Helper()
	c := &call{context: b.ctx}
	b.must(work(c))
	c.end(true)
}

func (b *bench) keyBlob(step, level int) []byte {
	kind := kindRotation
	if step == 0 {
		kind = kindRelinearization
	}
	blob := make([]byte, b.ctx.keyBytes(level))
	b.must(b.secret.writeKey(blob, kind, step, level))
	return blob
}

func (b *bench) load(keys *keySet, step int) {
	b.t.Helper()
	blob := b.keyBlob(step, len(b.ctx.Moduli)-1)
	b.within(func(c *call) error { _, err := keys.load(c.newLane(), blob, -1); return err })
}

// operations calls everything that takes memory. Only the results that outlive the call are returned.
func (b *bench) operations() map[string]func(l *lane) (result, error) {
	pairs := []*ciphertext{b.x, b.x, b.x}
	top := len(b.ctx.Moduli) - 1
	return map[string]func(l *lane) (result, error){
		"load":           func(l *lane) (result, error) { return b.ctx.loadCiphertext(l, b.blob, top) },
		"add":            func(l *lane) (result, error) { return b.ctx.add(l, b.x, b.x, false) },
		"add_plain":      func(l *lane) (result, error) { return b.ctx.addPlain(l, b.x, b.plain) },
		"multiply_plain": func(l *lane) (result, error) { return b.ctx.multiplyPlain(l, b.x, b.plain) },
		"rescale":        func(l *lane) (result, error) { return b.ctx.rescale(l, b.x) },
		"drop_level":     func(l *lane) (result, error) { return b.ctx.dropLevel(l, b.x, 1) },
		"rotate":         func(l *lane) (result, error) { return b.ctx.rotate(l, b.keys, b.x, 1) },
		"sum_of_products": func(l *lane) (result, error) {
			return b.ctx.sumOfProducts(l, b.keys, pairs, pairs)
		},
		"linear_transform": func(l *lane) (result, error) {
			results, err := b.ctx.apply(l, b.keys, []*ciphertext{b.x}, b.prepare)
			if err != nil {
				return nil, err
			}
			l.putPair(results[1].value)
			return results[0], nil
		},
		"compact transform": func(l *lane) (result, error) {
			compact, err := b.ctx.newTransform(l, b.plan(true))
			if err != nil {
				return nil, err
			}
			results, err := b.ctx.apply(l, b.keys, []*ciphertext{b.x}, compact)
			if err != nil {
				return nil, err
			}
			return results[0], nil
		},
	}
}

// Every limb that an operation takes may be the one where it panics: nothing must stay behind.
func TestPanicsLeakNothing(t *testing.T) {
	forBothRings(t, func(t *testing.T, ringType string) {
		b := newBench(t, ringType)
		for name, operation := range b.operations() {
			for at := int64(1); ; at += 1 + at/16 {
				before, taken := b.everything(), atomic.Int64{}
				takeHook = func() {
					if taken.Add(1) == at {
						panic("a hook of the test")
					}
				}
				c := &call{context: b.ctx}
				err := safely(func() error { _, err := operation(c.newLane()); return err })
				takeHook = nil
				c.end(false)
				if after := b.everything(); after != before {
					t.Fatalf("%s: %d bytes in use before, %d after a panic at limb %d", name, before, after, at)
				}
				if len(b.ctx.crew.Load().tokens) != 0 {
					t.Fatalf("%s: a worker was not given back after a panic at limb %d", name, at)
				}
				if err == nil {
					if at < 3 {
						t.Fatalf("%s: the hook was never called", name)
					}
					break
				}
				if !strings.Contains(err.Error(), "EngineError\x1fnative engine: a hook of the test") {
					t.Fatalf("%s: got %v", name, err)
				}
			}
		}
	})
}

// everything is the memory in use, without what lies idle in the pool.
func (b *bench) everything() int64 {
	b.ctx.pool.Lock()
	defer b.ctx.pool.Unlock()
	return allocated.Load() - int64(len(b.ctx.pool.idle))*slabBytes(b.ctx.RingDegree)
}

// Within a call no limb is in two hands, and all that no result needs were given back by the time it ends.
func TestLimbsAreGivenBackWithinACall(t *testing.T) {
	forBothRings(t, func(t *testing.T, ringType string) {
		b := newBench(t, ringType)
		for name, operation := range b.operations() {
			if strings.HasPrefix(name, "compact") {
				continue // it makes a transform too
			}
			c := &call{context: b.ctx}
			main := c.newLane()
			made, err := operation(main)
			b.must(err)
			c.keep(made.memory()...)
			seen := map[*uint32]bool{}
			for _, list := range append([]residues{c.spare}, lanesOf(c, main)...) {
				for _, limb := range list {
					if seen[&limb[0]] {
						t.Fatalf("%s: a limb was given back twice", name)
					}
					seen[&limb[0]] = true
				}
			}
			for limb := range c.kept {
				if seen[limb] {
					t.Fatalf("%s: a limb of the result was given back", name)
				}
				seen[limb] = true
			}
			for _, limb := range c.taken {
				if !seen[&limb[0]] {
					t.Fatalf("%s: a limb that no result needs was not given back", name)
				}
			}
			c.end(true)
			made.drop()
		}
	})
}

func lanesOf(c *call, more ...*lane) (lists []residues) {
	for _, l := range append(c.lanes, more...) {
		lists = append(lists, l.free)
	}
	return lists
}

// Many threads evaluate with two key sets while others load keys, close and open: for the race detector above all.
func TestCallsFromManyThreads(t *testing.T) {
	b := newBench(t, "conjugate_invariant")
	other := b.ctx.newKeySet()
	b.load(other, 1)
	t.Cleanup(other.drop)
	blobs := [][]byte{}
	for step := 5; step < 13; step++ {
		blobs = append(blobs, b.keyBlob(step, 1))
	}
	var group sync.WaitGroup
	for worker := range 6 {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := range 8 {
				set := b.keys
				if (worker+round)%2 == 0 {
					set = other
				}
				c := &call{context: b.ctx}
				made, err := b.ctx.rotate(c.newLane(), set, b.x, 1)
				if err != nil {
					t.Error(err)
					return
				}
				c.keep(made.memory()...)
				c.end(true)
				made.drop()
				if worker < 2 {
					c := &call{context: b.ctx}
					blob := blobs[(4*worker+round)%len(blobs)]
					if _, err := other.load(c.newLane(), blob, -1); err != nil && !strings.Contains(err.Error(), "already") {
						t.Error(err)
					}
					c.end(true)
				}
			}
		}()
	}
	group.Wait()
}
