package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
		if err := key.prove(k); err != nil {
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

// writeWhole writes a file that only its owner reads, and that appears whole or not at all, also if the machine stops
// meanwhile.
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
