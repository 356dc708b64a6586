package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func (b *bench) rotated(keys *keySet) []byte {
	b.t.Helper()
	out := make([]byte, b.ctx.ciphertextBytes(b.x.level, false))
	b.within(func(c *call) error {
		made, err := b.ctx.rotate(c.newLane(), keys, b.x, 1)
		if err != nil {
			return err
		}
		return made.write(out)
	})
	return out
}

// saved is a file with the bench's keys, and its bytes.
func (b *bench) saved(t *testing.T) (string, []byte) {
	path := filepath.Join(t.TempDir(), "tenant.keyset")
	b.must(b.keys.save(path, []byte("whose they are")))
	data, err := os.ReadFile(path)
	b.must(err)
	return path, data
}

func TestASavedSetGivesTheSameResults(t *testing.T) {
	forBothRings(t, func(t *testing.T, ringType string) {
		b := newBench(t, ringType)
		path, _ := b.saved(t)
		opened, err := b.ctx.openKeySet(path)
		b.must(err)
		if string(opened.note) != "whose they are" || len(*opened.keys.Load()) != 4 {
			t.Fatalf("got the note %q and %d keys", opened.note, len(*opened.keys.Load()))
		}
		if !bytes.Equal(b.rotated(opened), b.rotated(b.keys)) {
			t.Fatal("keys from the file rotate differently")
		}
		again := filepath.Join(t.TempDir(), "again")
		b.must(opened.save(again, opened.note))
		first, _ := os.ReadFile(path)
		second, err := os.ReadFile(again)
		b.must(err)
		if !bytes.Equal(first, second) {
			t.Fatal("a set that was opened is saved differently")
		}
		opened.drop()
	})
}

// An index table belongs to the context, once for all key sets.
func TestTablesAreShared(t *testing.T) {
	b := newBench(t, "standard")
	before := b.everything()
	other := b.ctx.newKeySet()
	defer other.drop()
	b.load(other, 1)
	if &(*other.keys.Load())[1].index[0] != &(*b.keys.keys.Load())[1].index[0] {
		t.Fatal("two key sets have two tables for one step")
	}
	expected := slabBytes(b.ctx.keyWords(len(b.ctx.Moduli) - 1))
	if grown := b.everything() - before; grown != expected {
		t.Fatalf("a key of %d bytes took %d", expected, grown)
	}
}

func TestAKeyIsNeverReplaced(t *testing.T) {
	b := newBench(t, "standard")
	blob := b.keyBlob(1, 2)
	before := allocated.Load()
	c := &call{context: b.ctx}
	_, err := b.keys.load(c.newLane(), blob, -1)
	c.end(err == nil)
	if err == nil || !strings.Contains(err.Error(), "has one for step 1 already") {
		t.Fatalf("got %v", err)
	}
	if allocated.Load() != before {
		t.Fatal("the refused key stayed in memory")
	}
}

// Several threads load the same keys: each gets in once, the others are refused, nothing leaks.
func TestLoadingAtOnce(t *testing.T) {
	b := newBench(t, "standard")
	keys := b.ctx.newKeySet()
	blobs := [][]byte{b.keyBlob(0, 1), b.keyBlob(3, 1), b.keyBlob(5, 1), b.keyBlob(7, 1)}
	before := allocated.Load()
	var group sync.WaitGroup
	for range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for _, blob := range blobs {
				c := &call{context: b.ctx}
				_, err := keys.load(c.newLane(), blob, -1)
				if err != nil && !strings.Contains(err.Error(), "already") {
					t.Error(err)
				}
				c.end(err == nil)
			}
		}()
	}
	group.Wait()
	if len(*keys.keys.Load()) != 4 {
		t.Fatalf("got %d keys, expected 4", len(*keys.keys.Load()))
	}
	keys.drop()
	tables := 3 * slabBytes(b.ctx.RingDegree)
	if left := allocated.Load() - before; left > tables {
		t.Fatalf("%d bytes are left, of which the context's tables are %d", left, tables)
	}
}

// Closing a set while a call uses it frees it when the call ends.
func TestClosingWaitsForTheLastUse(t *testing.T) {
	b := newBench(t, "standard")
	path, _ := b.saved(t)
	opened, err := b.ctx.openKeySet(path)
	b.must(err)
	handle := register(opened)
	c := &call{context: b.ctx}
	used, err := hold[*keySet](c, handle, "key set")
	b.must(err)
	forget(handle)
	if _, err := hold[*keySet](c, handle, "key set"); err == nil {
		t.Fatal("a closed handle was found")
	}
	if used.mapping.data == nil {
		t.Fatal("unmapped while it is used")
	}
	b.rotated(used)
	c.end(true)
	if used.mapping.data != nil {
		t.Fatal("still mapped after its last use")
	}
}

// refit writes a valid checksum into a damaged header, so that what stands behind it is looked at.
func refit(data []byte, keys, note int) {
	head := data[:keyFileHeader+keys*keyFileEntry+note]
	clear(head[48:52])
	binary.LittleEndian.PutUint32(head[48:], crc32.Checksum(head, castagnoli))
}

func TestADamagedFileIsRefused(t *testing.T) {
	b := newBench(t, "conjugate_invariant")
	_, whole := b.saved(t)
	const note = len("whose they are")
	first := int(binary.LittleEndian.Uint64(whole[keyFileHeader+16:]))
	number := func(at int, value uint32) func([]byte) []byte {
		return func(data []byte) []byte {
			binary.LittleEndian.PutUint32(data[at:], value)
			refit(data, 4, note)
			return data
		}
	}
	cases := map[string]struct {
		change func(data []byte) []byte
		kind   string
	}{
		"empty":                {func([]byte) []byte { return nil }, "FileFormatError"},
		"header cut":           {func(data []byte) []byte { return data[:63] }, "FileFormatError"},
		"directory cut":        {func(data []byte) []byte { return data[:100] }, "FileFormatError"},
		"a word cut":           {func(data []byte) []byte { return data[:len(data)-4] }, "FileFormatError"},
		"a tail":               {func(data []byte) []byte { return append(data, 0) }, "FileFormatError"},
		"another magic":        {number(0, 1), "FileFormatError"},
		"a newer version":      {number(8, 2), "FileFormatError"},
		"another degree":       {number(12, 2048), "FileFormatError"},
		"other parameters":     {number(24, 1), "DigestError"},
		"too many keys":        {number(16, 1<<31), "FileFormatError"},
		"fewer keys":           {number(16, 3), "FileFormatError"},
		"too long a note":      {number(20, 1<<20), "FileFormatError"},
		"another length":       {number(40, 4096), "FileFormatError"},
		"reserved bytes":       {number(60, 1), "FileFormatError"},
		"no checksum":          {func(data []byte) []byte { data[48] ^= 1; return data }, "FileFormatError"},
		"a changed note":       {func(data []byte) []byte { data[keyFileHeader+4*keyFileEntry] ^= 1; return data }, "FileFormatError"},
		"a kind":               {number(keyFileHeader, kindSecret), "FileFormatError"},
		"a step twice":         {number(keyFileHeader+2*keyFileEntry+4, 1), "FileFormatError"},
		"a step too large":     {number(keyFileHeader+3*keyFileEntry+4, 1<<30), "FileFormatError"},
		"a level":              {number(keyFileHeader+8, 3), "FileFormatError"},
		"a level too large":    {number(keyFileHeader+8, 1<<31), "FileFormatError"},
		"an offset":            {number(keyFileHeader+16, 8192), "FileFormatError"},
		"an offset far away":   {number(keyFileHeader+20, 1<<31), "FileFormatError"},
		"a size":               {number(keyFileHeader+24, 4), "FileFormatError"},
		"a size far too large": {number(keyFileHeader+28, 1<<31), "FileFormatError"},
	}
	for name, c := range cases {
		path := filepath.Join(t.TempDir(), "damaged")
		b.must(os.WriteFile(path, c.change(bytes.Clone(whole)), 0o600))
		opened, err := b.ctx.openKeySet(path)
		if err == nil {
			opened.drop()
			t.Errorf("%s: accepted", name)
			continue
		}
		if kind, _, _ := strings.Cut(err.Error(), "\x1f"); kind != c.kind {
			t.Errorf("%s: got %v, expected %s", name, err, c.kind)
		}
	}
	if _, err := b.ctx.openKeySet(filepath.Join(t.TempDir(), "absent")); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("an absent file: got %v", err)
	}
	if _, err := b.ctx.openKeySet(t.TempDir()); err == nil {
		t.Error("a folder was opened")
	}
	t.Run("words", func(t *testing.T) { b.checkWords(t, whole, first, note) })
}

// checkWords damages a key itself: it is refused at its first use, the others serve.
func (b *bench) checkWords(t *testing.T, whole []byte, first, note int) {
	rotation := int(binary.LittleEndian.Uint64(whole[keyFileHeader+keyFileEntry+16:]))
	size := int(binary.LittleEndian.Uint64(whole[keyFileHeader+keyFileEntry+24:]))
	flip := bytes.Clone(whole)
	flip[rotation+size/2] ^= 1
	above := bytes.Clone(whole) // with a checksum that fits
	binary.LittleEndian.PutUint32(above[rotation+size/2:], 1<<31)
	binary.LittleEndian.PutUint32(above[keyFileHeader+keyFileEntry+12:], crc32.Checksum(above[rotation:rotation+size], castagnoli))
	refit(above, 4, note)
	for name, data := range map[string][]byte{"a flipped bit": flip, "a word above its prime": above} {
		path := filepath.Join(t.TempDir(), "damaged")
		b.must(os.WriteFile(path, data, 0o600))
		opened, err := b.ctx.openKeySet(path)
		b.must(err)
		for range 2 {
			_, err := opened.rotation(1, 1)
			if err == nil || !strings.Contains(err.Error(), "the rotation key of step 1 is damaged") {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if _, err := opened.rotation(2, 1); err != nil {
			t.Errorf("%s: another key: %v", name, err)
		}
		if err := opened.save(filepath.Join(t.TempDir(), "copy"), nil); err == nil {
			t.Errorf("%s: the damaged key was saved again", name)
		}
		opened.drop()
	}
	if first%keyFileAlignment != 0 || rotation%keyFileAlignment != 0 {
		t.Errorf("keys begin at %d and %d, expected multiples of %d", first, rotation, keyFileAlignment)
	}
}

func TestOnlyKeySetsAreReplaced(t *testing.T) {
	b := newBench(t, "standard")
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	b.must(os.WriteFile(path, []byte("somebody's"), 0o600))
	for _, target := range []string{path, folder, filepath.Join(folder, "absent", "file")} {
		if err := b.keys.save(target, nil); err == nil || !strings.HasPrefix(err.Error(), "OutputError\x1f"+target) {
			t.Errorf("%s: got %v", target, err)
		}
	}
	if content, _ := os.ReadFile(path); string(content) != "somebody's" {
		t.Error("a file that is no key set was replaced")
	}
	good := filepath.Join(folder, "good")
	b.must(b.keys.save(good, nil))
	b.must(b.keys.save(good, []byte("again")))
	info, err := os.Stat(good)
	b.must(err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, expected 0600", info.Mode())
	}
	entries, err := os.ReadDir(folder)
	b.must(err)
	if len(entries) != 2 {
		t.Errorf("temporary files stayed: %v", entries)
	}
	if err := b.keys.save(good, make([]byte, noteBytesMax+1)); err == nil {
		t.Error("too long a note was written")
	}
}
