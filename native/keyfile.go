package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A key set on disk, expanded: its words stand as they are used, so that opening it is mapping it into memory.
//
//	 0  magic "HECLKEYS"              24  fingerprint of the parameters (16 bytes)
//	 8  version (u32)                 40  bytes of the whole file (u64)
//	12  ring degree (u32)             48  CRC-32C of header, directory and note, with zeros here (u32)
//	16  number of keys (u32)          52  zero (12 bytes)
//	20  bytes of the note (u32)       64  directory, note
//
// The directory has 32 bytes a key: kind, step, level, CRC-32C of its words (u32 each), offset, bytes (u64 each).
// Each key begins at the next multiple of 4096: digits · limbs · 2 components · N words, all below their prime. All
// numbers are little-endian, as are the machines that map them.
const (
	keyFileMagic     = "HECLKEYS"
	keyFileVersion   = 1
	keyFileHeader    = 64
	keyFileEntry     = 32
	keyFileAlignment = 4096
	noteBytesMax     = 4096
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type keyFileKey struct {
	Kind, Step, Level, Checksum uint32
	Offset, Bytes               uint64
}

func aligned(size uint64) uint64 {
	return (size + keyFileAlignment - 1) &^ (keyFileAlignment - 1)
}

func littleEndian() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}

func bytesOf(words []uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 4*len(words))
}

// entry describes one key that begins at the next free place.
func (ctx *context) entry(step, level int, free *uint64) keyFileKey {
	entry := keyFileKey{Kind: kindRotation, Step: uint32(step), Level: uint32(level), Offset: aligned(*free)}
	if step == 0 {
		entry.Kind = kindRelinearization
	}
	entry.Bytes = uint64(4 * ctx.keyWords(level))
	*free = entry.Offset + entry.Bytes
	return entry
}

// save writes the set into a file that takes its name when all of it is on disk.
func (k *keySet) save(path string, note []byte) error {
	if len(note) > noteBytesMax {
		return parameterError("key set: got a note of %d bytes, expected at most %d", len(note), noteBytesMax)
	}
	if !littleEndian() {
		return parameterError("key set: this machine is not little-endian and cannot write one")
	}
	if err := replaceable(path); err != nil {
		return err
	}
	keys := *k.keys.Load()
	steps := make([]int, 0, len(keys))
	for step, key := range keys {
		if err := key.prove(k.context); err != nil {
			return err
		}
		steps = append(steps, step)
	}
	slices.Sort(steps)
	free := uint64(keyFileHeader + keyFileEntry*len(keys) + len(note))
	directory := make([]keyFileKey, len(keys))
	for i, step := range steps {
		directory[i] = k.context.entry(step, keys[step].level, &free)
		directory[i].Checksum = crc32.Checksum(bytesOf(keys[step].words), castagnoli)
	}
	head := k.context.keyFileHead(directory, note, free)
	err := writeWhole(path, func(out io.Writer) error {
		_, err := out.Write(head)
		at := uint64(len(head))
		for i, entry := range directory {
			if err == nil {
				_, err = out.Write(make([]byte, entry.Offset-at))
			}
			if err == nil {
				_, err = out.Write(bytesOf(keys[steps[i]].words))
			}
			at = entry.Offset + entry.Bytes
		}
		return err
	})
	if err != nil {
		return failure("OutputError", "%s: cannot be written (%v)", path, reasonOf(err))
	}
	return nil
}

func (ctx *context) keyFileHead(directory []keyFileKey, note []byte, total uint64) []byte {
	head := make([]byte, keyFileHeader)
	copy(head, keyFileMagic)
	binary.LittleEndian.PutUint32(head[8:], keyFileVersion)
	binary.LittleEndian.PutUint32(head[12:], uint32(ctx.RingDegree))
	binary.LittleEndian.PutUint32(head[16:], uint32(len(directory)))
	binary.LittleEndian.PutUint32(head[20:], uint32(len(note)))
	copy(head[24:], ctx.fingerprint[:])
	binary.LittleEndian.PutUint64(head[40:], total)
	head, err := binary.Append(head, binary.LittleEndian, directory)
	if err != nil {
		panic(err) // of fixed size: no error is possible
	}
	head = append(head, note...)
	binary.LittleEndian.PutUint32(head[48:], crc32.Checksum(head, castagnoli))
	return head
}

// replaceable tells whether a file may be written there: only another key set is replaced.
func replaceable(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failure("OutputError", "%s: cannot be written (%v)", path, reasonOf(err))
	}
	start := make([]byte, len(keyFileMagic))
	if info.Mode().IsRegular() {
		if file, err := os.Open(path); err == nil {
			_, _ = io.ReadFull(file, start) // too short is no key set either
			_ = file.Close()
		}
	}
	if string(start) != keyFileMagic {
		return failure("OutputError", "%s: exists and is no key set; choose another name, or remove it yourself", path)
	}
	return nil
}

// writeWhole writes a file that only its owner reads, and that appears whole or not at all.
func writeWhole(path string, write func(out io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // created 0600
	if err != nil {
		return err
	}
	defer func() {
		_ = file.Close() // closed already if all went well
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	out := bufio.NewWriterSize(file, 1<<20)
	if err = write(out); err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = file.Close()
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	return err
}

// reasonOf leaves out the path, which may be a temporary one.
func reasonOf(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

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

// prove checks the words of a mapped key once: their checksum, and that each is a residue, which the kernels rely on.
func (key *evaluationKey) prove(ctx *context) error {
	p := key.proof
	if p == nil || p.passed.Load() {
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
