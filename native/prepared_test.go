package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

var whose = bytes.Repeat([]byte{7}, identityBytes)

// prepared makes a transform held whole and a compact one, saves both, and returns them, their plans and the file.
func (b *bench) prepared(t testing.TB) (made []*transform, plans []plan, path string) {
	for _, compact := range []bool{false, true} {
		p := b.plan(compact)
		p.plaintextScales, p.outputScale = []float64{1 << 20}, b.ctx.Scales[p.level]*(1<<20) // small enough to be compact
		plans = append(plans, p)
		b.within(func(c *call) error {
			one, err := b.ctx.newTransform(c.newLane(), plans[len(plans)-1])
			b.must(err)
			c.keep(one.memory()...)
			made = append(made, one)
			t.Cleanup(one.drop)
			return nil
		})
	}
	if made[0].compact || !made[1].compact {
		t.Fatal("expected a transform held whole and a compact one")
	}
	path = filepath.Join(t.TempDir(), "program.prepared")
	b.within(func(c *call) error { return b.ctx.savePrepared(c.newLane(), path, whose, made) })
	return made, plans, path
}

func (b *bench) opened(path string) (f *preparedFile, err error) {
	c := &call{context: b.ctx}
	f, err = b.ctx.openPrepared(c.newLane(), path, whose)
	c.end(err == nil)
	return f, err
}

// applied is what a transform makes of the bench's ciphertext.
func (b *bench) applied(t *transform) (out [][]byte) {
	b.within(func(c *call) error {
		results, err := b.ctx.apply(c.newLane(), b.keys, []*ciphertext{b.x}, t)
		b.must(err)
		for _, result := range results {
			// The test's scale is no level's, so that the words are compared and not a message.
			for _, component := range result.value {
				for _, limb := range component {
					out = append(out, bytes.Clone(bytesOf(limb)))
				}
			}
		}
		return nil
	})
	return out
}

func TestAMappedTransformGivesTheSameResults(t *testing.T) {
	forBothRings(t, func(t *testing.T, ringType string) {
		b := newBench(t, ringType)
		made, plans, path := b.prepared(t)
		before := b.everything()
		file, err := b.opened(path)
		b.must(err)
		mapped := make([]*transform, len(plans))
		for i := range plans {
			p := plans[i]
			p.file, p.place, p.vectors = file, i, nil
			b.within(func(c *call) (err error) { mapped[i], err = b.ctx.newTransform(c.newLane(), p); return err })
		}
		if grown := b.everything() - before; grown != 0 {
			t.Fatalf("mapped transforms took %d bytes", grown)
		}
		file.drop() // which its transforms hold open
		for i, one := range mapped {
			if one.compact != made[i].compact || !bytes.Equal(bytesOf(one.words), bytesOf(made[i].words)) {
				t.Fatalf("transform %d has other words", i)
			}
			expected, found := b.applied(made[i]), b.applied(one)
			for limb := range expected {
				if !bytes.Equal(expected[limb], found[limb]) {
					t.Fatalf("transform %d gives another result", i)
				}
			}
			one.drop()
		}
		if file.mapping.data != nil {
			t.Fatal("the file is mapped though nobody uses it")
		}
	})
}

// Another plan than that of the place is refused, and takes nothing.
func TestAMappedTransformIsThatOfThePlan(t *testing.T) {
	b := newBench(t, "standard")
	_, plans, path := b.prepared(t)
	file, err := b.opened(path)
	b.must(err)
	defer file.drop()
	before := file.uses.Load()
	for name, change := range map[string]func(p *plan){
		"place":      func(p *plan) { p.place = 2 },
		"negative":   func(p *plan) { p.place = -1 },
		"whole":      func(p *plan) { p.place, p.compact = 1, false },
		"level":      func(p *plan) { p.level-- },
		"rows":       func(p *plan) { p.index = p.index[5:] },
		"period":     func(p *plan) { p.period /= 2 },
		"no special": func(p *plan) { p.special = 1 },
	} {
		p := plans[0]
		p.file, p.vectors = file, nil
		change(&p)
		c := &call{context: b.ctx}
		_, err := b.ctx.newTransform(c.newLane(), p)
		c.end(false)
		if err == nil {
			t.Fatalf("%s: not refused", name)
		}
		refusedWell(t, err)
	}
	if file.uses.Load() != before {
		t.Fatal("a refused transform holds the file open")
	}
}

// Several open, use and close one file at once.
func TestOneFileServesMany(t *testing.T) {
	b := newBench(t, "conjugate_invariant")
	made, plans, path := b.prepared(t)
	expected := b.applied(made[0])
	var group sync.WaitGroup
	for range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			file, err := b.opened(path)
			if err != nil {
				t.Error(err)
				return
			}
			p := plans[0]
			p.file = file
			c := &call{context: b.ctx}
			one, err := b.ctx.newTransform(c.newLane(), p)
			c.end(err == nil)
			file.drop()
			if err != nil {
				t.Error(err)
				return
			}
			if found := b.applied(one); !bytes.Equal(found[0], expected[0]) {
				t.Error("another result")
			}
			one.drop()
		}()
	}
	group.Wait()
}

// refitPrepared makes the checksum of a changed head right.
func refitPrepared(data []byte, transforms, rows int) {
	head := data[:preparedHeader+preparedEntry*transforms+4*rows]
	clear(head[48:52])
	binary.LittleEndian.PutUint32(head[48:], crc32.Checksum(head, castagnoli))
}

// Whoever writes a file with checksums that fit still finds sizes, places and numbers refused that are not allowed.
func TestAForgedPreparedFileIsRefused(t *testing.T) {
	b := newBench(t, "standard")
	made, _, path := b.prepared(t)
	whole, err := os.ReadFile(path)
	b.must(err)
	rows, first := made[0].rows+made[1].rows, int(aligned(uint64(preparedHeader+2*preparedEntry+4*(made[0].rows+made[1].rows))))
	forge := func(at int, value uint32) func([]byte) []byte {
		return func(data []byte) []byte {
			binary.LittleEndian.PutUint32(data[at:], value)
			row := data[first : first+4*made[0].limbs*made[0].plaintextSize]
			binary.LittleEndian.PutUint32(data[preparedHeader+2*preparedEntry:], crc32.Checksum(row, castagnoli))
			refitPrepared(data, 2, rows)
			return data
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"a number that is no residue":  forge(first, uint32(b.ctx.Moduli[0])),
		"a level that there is not":    forge(preparedHeader, 1<<20),
		"a limb too many":              forge(preparedHeader+4, 1<<20),
		"less limbs than the level":    forge(preparedHeader+4, 1),
		"compact is neither":           forge(preparedHeader+8, 2),
		"a size that is no power of 2": forge(preparedHeader+12, 33),
		"a size above the ring":        forge(preparedHeader+12, 1<<30),
		"no rows":                      forge(preparedHeader+16, 0),
		"rows without end":             forge(preparedHeader+16, 1<<32-1),
		"a number that must be zero":   forge(preparedHeader+20, 1),
		"another place":                forge(preparedHeader+24, 8192),
		"a place beyond":               forge(preparedHeader+28, 1),
		"transforms without end":       forge(16, 1<<32-1),
		"rows in all without end":      forge(20, 1<<32-1),
		"one transform less":           forge(16, 1),
		"cut":                          func(data []byte) []byte { return data[:len(data)-4096] },
		"with a tail": func(data []byte) []byte {
			data = append(data, make([]byte, 4096)...)
			binary.LittleEndian.PutUint64(data[40:], uint64(len(data)))
			refitPrepared(data, 2, rows)
			return data
		},
	} {
		changed := filepath.Join(t.TempDir(), "changed")
		b.must(os.WriteFile(changed, change(bytes.Clone(whole)), 0o600))
		_, err := b.opened(changed)
		if err == nil {
			t.Fatalf("%s: not refused", name)
		}
		refusedWell(t, err)
	}
	if same, err := b.opened(path); err != nil {
		t.Fatal(err)
	} else {
		same.drop()
	}
}

// FuzzPrepared changes a number anywhere in the head of a prepared program, with a checksum that fits: it is refused with
// a typed error, or opened, never a panic or a word outside of the file.
func FuzzPrepared(f *testing.F) {
	b := newBench(f, "standard")
	made, _, path := b.prepared(f)
	rows := made[0].rows + made[1].rows
	whole, err := os.ReadFile(path)
	b.must(err)
	changed := filepath.Join(filepath.Dir(path), "changed") // one file for all, which no longer is mapped when it is written
	for at := 0; at < preparedHeader+2*preparedEntry+8; at += 4 {
		for _, value := range []uint32{0, 1, 33, 4096, 1 << 31, 1<<32 - 1} {
			f.Add(at, value, len(whole))
		}
	}
	f.Add(0, uint32(0x4c434548), 64)
	f.Fuzz(func(t *testing.T, at int, value uint32, length int) {
		data := bytes.Clone(whole)
		if at >= 0 && at+4 <= len(data) {
			binary.LittleEndian.PutUint32(data[at:], value)
			refitPrepared(data, 2, rows)
		}
		if length >= 0 && length < len(data) {
			data = data[:length]
		}
		if err := os.WriteFile(changed, data, 0o600); err != nil {
			t.Fatal(err)
		}
		refusedWell(t, safely(func() error {
			opened, err := b.opened(changed)
			if err == nil {
				opened.drop()
			}
			return err
		}))
	})
}
