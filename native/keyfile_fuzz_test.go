package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// FuzzKeyFiles changes a number anywhere in the head of a key set, with a checksum that fits: it is refused with a typed
// error, or its keys are used and found whole or damaged, never a panic or a word outside of the file.
func FuzzKeyFiles(f *testing.F) {
	ctx := newContextOf(f, "standard", 32, 1)
	b := &bench{t: f, ctx: ctx, keys: ctx.newKeySet(), secret: ctx.newSecret()}
	f.Cleanup(b.keys.drop)
	f.Cleanup(b.secret.drop)
	for _, step := range []int{0, 3} {
		blob := b.keyBlob(step, 0)
		b.within(func(c *call) error { _, err := b.keys.load(c.newLane(), blob, -1); return err })
	}
	path := filepath.Join(f.TempDir(), "keys")
	b.must(b.keys.save(path, []byte("note")))
	whole, err := os.ReadFile(path)
	b.must(err)
	changed := filepath.Join(filepath.Dir(path), "changed") // one file for all, which no longer is mapped when it is written
	for at := 0; at < keyFileHeader+2*keyFileEntry; at += 4 {
		for _, value := range []uint32{0, 1, 3, 4096, 1 << 16, 1 << 31, 1<<32 - 1} {
			f.Add(at, value, len(whole))
		}
	}
	f.Add(0, uint32(0x4c434548), 64)
	f.Fuzz(func(t *testing.T, at int, value uint32, length int) {
		data := append([]byte{}, whole...)
		if at >= 0 && at+4 <= len(data) {
			binary.LittleEndian.PutUint32(data[at:], value)
			refit(data, 2, 4)
		}
		if length >= 0 && length < len(data) {
			data = data[:length]
		}
		if err := os.WriteFile(changed, data, 0o600); err != nil {
			t.Fatal(err)
		}
		refusedWell(t, safely(func() error {
			opened, err := ctx.openKeySet(changed)
			if err != nil {
				return err
			}
			defer opened.drop()
			if _, err := opened.relinearization(0); err != nil {
				return err
			}
			_, err = opened.rotation(3, 0)
			return err
		}))
	})
}
