package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"unsafe"
)

// openKeySet maps a file that save wrote. Header, directory and all lengths are checked here; the words of a key when
// it is used for the first time.
func (ctx *context) openKeySet(path string) (*keySet, error) {
	if !littleEndian() {
		return nil, parameterError("key set: this machine is not little-endian and cannot map one")
	}
	mapped, err := openMapping(path)
	if err != nil {
		return nil, formatError("%s: cannot be read (%v)", path, reasonOf(err))
	}
	complete := false
	defer func() {
		if !complete {
			mapped.close()
		}
	}()
	k := ctx.newKeySet()
	k.mapping = mapped
	if err := k.readDirectory(path, mapped.data); err != nil {
		return nil, err
	}
	complete = true
	return k, nil
}

func (k *keySet) readDirectory(path string, data []byte) error {
	ctx := k.context
	if len(data) < keyFileHeader || string(data[:len(keyFileMagic)]) != keyFileMagic {
		return formatError("%s: is no heclstm file", path)
	}
	if version := binary.LittleEndian.Uint32(data[8:]); version != keyFileVersion {
		return formatError("%s: got version %d, expected %d; load the tenant's keys again", path, version, keyFileVersion)
	}
	if degree := binary.LittleEndian.Uint32(data[12:]); degree != uint32(ctx.RingDegree) {
		return formatError("%s: got ring degree %d, expected %d", path, degree, ctx.RingDegree)
	}
	if !bytes.Equal(data[24:40], ctx.fingerprint[:]) {
		return failure("DigestError", "%s: made for other parameters; load the tenant's keys again", path)
	}
	count, noted := binary.LittleEndian.Uint32(data[16:]), binary.LittleEndian.Uint32(data[20:])
	if int64(count) > int64(ctx.slots()) || noted > noteBytesMax {
		return formatError("%s: got %d keys and a note of %d bytes, expected at most %d and %d", path, count, noted, ctx.slots(), noteBytesMax)
	}
	size := keyFileHeader + keyFileEntry*int(count) + int(noted)
	if total := binary.LittleEndian.Uint64(data[40:]); total != uint64(len(data)) || len(data) < size {
		return formatError("%s: got %d bytes, expected %d; it is truncated or has a tail", path, len(data), total)
	}
	head := bytes.Clone(data[:size])
	clear(head[48:52])
	if binary.LittleEndian.Uint32(data[48:]) != crc32.Checksum(head, castagnoli) || !bytes.Equal(head[48:keyFileHeader], make([]byte, 16)) {
		return formatError("%s: its directory is damaged; load the tenant's keys again", path)
	}
	k.note = head[size-int(noted):]
	directory := make([]keyFileKey, count)
	if _, err := binary.Decode(head[keyFileHeader:], binary.LittleEndian, directory); err != nil {
		panic(err) // of fixed size: no error is possible
	}
	return k.lay(path, data, directory, uint64(size))
}

// lay puts the keys over their words. The directory must be the very one that save writes for these keys.
func (k *keySet) lay(path string, data []byte, directory []keyFileKey, free uint64) error {
	ctx := k.context
	keys, last := map[int]*evaluationKey{}, -1
	for _, found := range directory {
		step, level := int(found.Step), int(found.Level)
		if step <= last || step >= ctx.slots() || level >= len(ctx.Moduli) {
			return formatError("%s: its directory names step %d at level %d, expected rising steps below %d and levels below %d",
				path, step, level, ctx.slots(), len(ctx.Moduli))
		}
		expected := ctx.entry(step, level, &free)
		expected.Checksum = found.Checksum
		if found != expected || free > uint64(len(data)) {
			return formatError("%s: the %s of step %d does not stand where it should; load the tenant's keys again", path, keyPlace(step), step)
		}
		words := unsafe.Slice((*uint32)(unsafe.Pointer(&data[found.Offset])), found.Bytes/4)
		key := ctx.newKey(step, level, words)
		key.proof = &proof{path: path, checksum: found.Checksum}
		if step != 0 {
			var err error
			if key.index, err = ctx.automorphism(step); err != nil {
				return err
			}
		}
		keys[step], last = key, step
	}
	if free != uint64(len(data)) {
		return formatError("%s: got %d bytes, its keys end at %d; it has a tail", path, len(data), free)
	}
	k.keys.Store(&keys)
	return nil
}

// proof is what a key in a file has to pass before its first use.
type proof struct {
	path     string
	checksum uint32
	passed   atomic.Bool
	lock     sync.Mutex
}

// rest lets go of the memory that a mapped set takes in this process.
func (k *keySet) rest() {
	if k.mapping == nil || !mappingsRest {
		return
	}
	k.resting.Lock()
	defer k.resting.Unlock()
	k.rested.Store(true)
	k.mapping.rest()
}

// wake looks, before any key is used after a rest, which ones the system has dropped from its memory since: what comes
// from the disk again has to pass again. Not one by one, since reading one key brings parts of others along.
func (k *keySet) wake() {
	k.resting.Lock()
	defer k.resting.Unlock()
	if !k.rested.Load() {
		return
	}
	for _, key := range *k.keys.Load() {
		if !k.mapping.cached(bytesOf(key.words)) {
			key.proof.passed.Store(false)
		}
	}
	k.rested.Store(false)
}

// prove checks the words of a mapped key once: their checksum, and that each is a residue, which the kernels rely on.
func (key *evaluationKey) prove(k *keySet) error {
	p, ctx := key.proof, k.context
	if p == nil {
		return nil
	}
	if k.rested.Load() {
		k.wake()
	}
	if p.passed.Load() {
		return nil
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.passed.Load() {
		return nil
	}
	valid := crc32.Checksum(bytesOf(key.words), castagnoli) == p.checksum
	for _, digit := range key.limbs {
		for limb, pair := range digit {
			m := ctx.modulus(key.level, limb)
			valid = valid && ctx.kernels.Below(pair[0], m) && ctx.kernels.Below(pair[1], m)
		}
	}
	if !valid {
		return formatError("%s: the %s of step %d is damaged; load the tenant's keys again", p.path, keyPlace(key.step), key.step)
	}
	p.passed.Store(true)
	return nil
}
