package main

import (
	"strings"
	"testing"
)

// FuzzBlobs takes anything for a key or a ciphertext: it is refused with a typed error or taken in, never a panic.
// `go test` runs the seeds; `go test -fuzz=FuzzBlobs .` searches on.
func FuzzBlobs(f *testing.F) {
	ctx := newContextOf(f, "conjugate_invariant", 32, 1)
	s := ctx.newSecret()
	f.Cleanup(s.drop)
	level := len(ctx.Moduli) - 1
	key := make([]byte, ctx.keyBytes(1))
	if err := s.writeKey(key, kindRotation, 3, 1); err != nil {
		f.Fatal(err)
	}
	seeded := make([]byte, ctx.ciphertextBytes(level, true))
	if err := s.encrypt(seeded, make([]float64, ctx.slots()), level, true); err != nil {
		f.Fatal(err)
	}
	for _, blob := range [][]byte{key, seeded, key[:headerBytes], seeded[:len(seeded)-1], {}} {
		f.Add(blob, 0, byte(0))
		for _, at := range []int{0, 4, 6, 7, 8, 12, 13, 16, 19, 20, 24, 39, 40, 71, 72, 100} {
			f.Add(blob, at, byte(0xff))
			f.Add(blob, at, byte(0x01))
		}
	}
	f.Fuzz(func(t *testing.T, blob []byte, at int, flip byte) {
		data := append([]byte{}, blob...)
		if at >= 0 && at < len(data) {
			data[at] ^= flip
		}
		c := &call{context: ctx}
		defer c.end(false)
		keys := ctx.newKeySet()
		refusedWell(t, safely(func() error { _, err := keys.load(c.newLane(), data, -1); return err }))
		refusedWell(t, safely(func() error { _, err := ctx.loadCiphertext(c.newLane(), data, level); return err }))
	})
}

func refusedWell(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	kind, text, found := strings.Cut(err.Error(), "\x1f")
	if !found || text == "" || kind == "EngineError" {
		t.Fatalf("an untyped error: %q", err)
	}
}
