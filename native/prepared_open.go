package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"
	"unsafe"
)

// preparedFile is an open one: mapped read-only until it and the last transform that lies in it are closed.
type preparedFile struct {
	shared
	context   *context
	mapping   *mapping
	directory []preparedTransform
	words     [][]uint32
}

func (f *preparedFile) owner() *context { return f.context }

// openPrepared maps a file that savePrepared wrote, and checks all of it: the words of a diagonal by their checksum, and
// that each is a residue, which the kernels rely on.
func (ctx *context) openPrepared(l *lane, path string, identity []byte) (*preparedFile, error) {
	if !littleEndian() {
		return nil, parameterError("prepared program: this machine is not little-endian and cannot map one")
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
	f := &preparedFile{context: ctx, mapping: mapped}
	checksums, err := f.readDirectory(path, mapped.data, identity)
	if err != nil {
		return nil, err
	}
	if err := f.checkRows(l, path, rowsOf(f.directory, f.words, checksums)); err != nil {
		return nil, err
	}
	complete = true
	f.open(func() { mapped.close() })
	return f, nil
}

func (f *preparedFile) readDirectory(path string, data, identity []byte) (checksums []uint32, err error) {
	ctx := f.context
	if len(data) < preparedHeader || string(data[:len(preparedMagic)]) != preparedMagic {
		return nil, formatError("%s: is no prepared program", path)
	}
	if version := binary.LittleEndian.Uint32(data[8:]); version != preparedVersion {
		return nil, formatError("%s: got version %d, expected %d", path, version, preparedVersion)
	}
	if binary.LittleEndian.Uint32(data[12:]) != uint32(ctx.RingDegree) || !bytes.Equal(data[24:40], ctx.fingerprint[:]) {
		return nil, failure("DigestError", "%s: made for other parameters", path)
	}
	if !bytes.Equal(data[64:preparedHeader], identity) {
		return nil, failure("DigestError", "%s: made of another program", path)
	}
	count, rows := binary.LittleEndian.Uint32(data[16:]), binary.LittleEndian.Uint32(data[20:])
	if count > preparedCountMax || rows > preparedRowsMax {
		return nil, formatError("%s: got %d transforms of %d diagonals, expected at most %d and %d", path, count, rows, preparedCountMax, preparedRowsMax)
	}
	size := preparedHeader + preparedEntry*int(count) + 4*int(rows)
	if total := binary.LittleEndian.Uint64(data[40:]); total != uint64(len(data)) || len(data) < size {
		return nil, formatError("%s: got %d bytes, expected %d; it is truncated or has a tail", path, len(data), total)
	}
	head := bytes.Clone(data[:size])
	clear(head[48:52])
	if binary.LittleEndian.Uint32(data[48:]) != crc32.Checksum(head, castagnoli) || !bytes.Equal(head[48:64], make([]byte, 16)) {
		return nil, formatError("%s: its directory is damaged", path)
	}
	f.directory, checksums = make([]preparedTransform, count), make([]uint32, rows)
	entries, rest := head[preparedHeader:preparedHeader+preparedEntry*int(count)], head[preparedHeader+preparedEntry*int(count):]
	if _, err := binary.Decode(entries, binary.LittleEndian, f.directory); err != nil {
		panic(err) // of fixed size: no error is possible
	}
	if _, err := binary.Decode(rest, binary.LittleEndian, checksums); err != nil {
		panic(err)
	}
	return checksums, f.lay(path, data, uint64(size), int(rows))
}

// lay puts the transforms over their words. Each must stand just where savePrepared puts it.
func (f *preparedFile) lay(path string, data []byte, free uint64, rows int) error {
	ctx := f.context
	for i := range f.directory {
		entry := &f.directory[i]
		level, special := int(entry.Level), int(entry.Limbs)-int(entry.Level)-1
		size := int(entry.Size)
		if level >= len(ctx.Moduli) || special < 0 || special > len(ctx.SpecialModuli) || entry.Compact > 1 || entry.Zero != 0 ||
			size < smallestTransform || size > ctx.RingDegree || size&(size-1) != 0 || entry.Rows == 0 || int64(entry.Rows) > int64(rows) {
			return formatError("%s: transform %d has a shape that these parameters do not allow", path, i)
		}
		rows -= int(entry.Rows)
		if entry.Offset != aligned(free) || entry.Offset+entry.bytes() > uint64(len(data)) {
			return formatError("%s: transform %d does not stand where it should", path, i)
		}
		free = entry.Offset + entry.bytes()
		f.words = append(f.words, unsafe.Slice((*uint32)(unsafe.Pointer(&data[entry.Offset])), entry.bytes()/4))
	}
	if rows != 0 || free != uint64(len(data)) {
		return formatError("%s: got %d bytes, its transforms end at %d with %d diagonals left", path, len(data), free, rows)
	}
	return nil
}

func (f *preparedFile) checkRows(l *lane, path string, rows []preparedRow) error {
	damaged := atomic.Bool{}
	l.each(len(rows), func(_ *lane, i int) {
		if !damaged.Load() && !f.context.valid(&rows[i]) {
			damaged.Store(true)
		}
	})
	if damaged.Load() {
		return formatError("%s: a diagonal is damaged", path)
	}
	return nil
}

// valid looks at a row limb by limb, so that each is read from memory once.
func (ctx *context) valid(row *preparedRow) bool {
	checksum, size := uint32(0), int(row.entry.Size)
	for limb := 0; limb*size < len(row.words); limb++ {
		words := row.words[limb*size : (limb+1)*size]
		checksum = crc32.Update(checksum, castagnoli, bytesOf(words))
		if row.entry.Compact != 0 {
			if !ctx.within(signed(words)) {
				return false
			}
		} else if !ctx.kernels.Below(words, ctx.modulus(int(row.entry.Level), limb)) {
			return false
		}
	}
	return checksum == *row.checksum
}

// lie lets the transform use the words of a file in place of its own.
func (t *transform) lie(p plan) error {
	f := p.file
	if p.place < 0 || p.place >= len(f.directory) {
		return formatError("transform: got place %d of a prepared program of %d", p.place, len(f.directory))
	}
	entry := &f.directory[p.place]
	fits := int(entry.Level) == t.level && int(entry.Limbs) == t.limbs && int(entry.Size) == t.plaintextSize && int(entry.Rows) == t.rows
	if !fits || (entry.Compact != 0 && !p.compact) {
		return formatError("transform: place %d of the prepared program holds another one", p.place)
	}
	t.words, t.compact = f.words[p.place], entry.Compact != 0
	f.retain()
	t.open(f.drop)
	return nil
}
