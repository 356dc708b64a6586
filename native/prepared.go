package main

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// A prepared program on disk: the words of its transforms stand as they are used, so that opening it is mapping it into
// memory. All of it is checked whenever it is opened, and whoever wrote it goes on with what is then read from the disk.
//
//	 0  magic "HECLPREP"              24  fingerprint of the parameters (16 bytes)
//	 8  version (u32)                 40  bytes of the whole file (u64)
//	12  ring degree (u32)             48  CRC-32C of header, directory and checksums, with zeros here (u32)
//	16  number of transforms (u32)    52  zero (12 bytes)
//	20  rows of all of them (u32)     64  identity (32 bytes): of all that the words follow from, as the caller names it
//	                                  96  directory, checksums
//
// The directory has 32 bytes a transform: level, limbs, whether it is compact, residues a limb, rows, zero (u32 each),
// offset (u64). The checksums are the CRC-32C of each row (u32), a row being the words of one diagonal. Each transform
// begins at the next multiple of 4096. All numbers are little-endian, as are the machines that map them.
const (
	preparedMagic    = "HECLPREP"
	preparedVersion  = 2
	preparedHeader   = 96
	preparedEntry    = 32
	preparedRowsMax  = 1 << 24
	preparedCountMax = 1 << 16
	identityBytes    = 32
)

// preparedTransform is an entry of the directory.
type preparedTransform struct {
	Level, Limbs, Compact, Size, Rows, Zero uint32
	Offset                                  uint64
}

// rowWords is how many words one diagonal has.
func (p *preparedTransform) rowWords() int {
	if p.Compact != 0 {
		return int(p.Size)
	}
	return int(p.Limbs) * int(p.Size)
}

func (p *preparedTransform) bytes() uint64 { return 4 * uint64(p.Rows) * uint64(p.rowWords()) }

// entry describes the transform in a file, where it begins at the next free place.
func (t *transform) entry(free *uint64) preparedTransform {
	entry := preparedTransform{Level: uint32(t.level), Limbs: uint32(t.limbs), Size: uint32(t.plaintextSize), Offset: aligned(*free)}
	if t.compact {
		entry.Compact = 1
	}
	entry.Rows = uint32(len(t.words) / entry.rowWords())
	*free = entry.Offset + entry.bytes()
	return entry
}

// preparedRow is one diagonal of some transform, and where its checksum stands.
type preparedRow struct {
	entry    *preparedTransform
	words    []uint32
	checksum *uint32
}

// rowsOf lists the rows of all transforms.
func rowsOf(directory []preparedTransform, words [][]uint32, checksums []uint32) (rows []preparedRow) {
	for i := range directory {
		size := directory[i].rowWords()
		for row := range int(directory[i].Rows) {
			rows = append(rows, preparedRow{&directory[i], words[i][row*size : (row+1)*size], &checksums[len(rows)]})
		}
	}
	return rows
}

// savePrepared writes transforms into a file that takes its name when it is whole.
func (ctx *context) savePrepared(l *lane, path string, identity []byte, transforms []*transform) error {
	if !littleEndian() {
		return parameterError("prepared program: this machine is not little-endian and cannot write one")
	}
	total := 0
	for _, t := range transforms {
		total += t.rows
	}
	if len(identity) != identityBytes || len(transforms) > preparedCountMax || total > preparedRowsMax {
		return parameterError("prepared program: got an identity of %d bytes, %d transforms and %d diagonals, expected %d, at most %d and %d",
			len(identity), len(transforms), total, identityBytes, preparedCountMax, preparedRowsMax)
	}
	free := uint64(preparedHeader + preparedEntry*len(transforms) + 4*total)
	directory, words, checksums := make([]preparedTransform, len(transforms)), make([][]uint32, len(transforms)), make([]uint32, total)
	for i, t := range transforms {
		directory[i], words[i] = t.entry(&free), t.words
	}
	rows := rowsOf(directory, words, checksums)
	l.each(len(rows), func(_ *lane, i int) { *rows[i].checksum = crc32.Checksum(bytesOf(rows[i].words), castagnoli) })
	head := ctx.preparedHead(directory, checksums, identity, free)
	err := writeWhole(path, func(out io.Writer) error {
		_, err := out.Write(head)
		at := uint64(len(head))
		for i, entry := range directory {
			if err == nil {
				_, err = out.Write(make([]byte, entry.Offset-at))
			}
			if err == nil {
				_, err = out.Write(bytesOf(words[i]))
			}
			at = entry.Offset + entry.bytes()
		}
		return err
	})
	if err != nil {
		return failure("OutputError", "%s: cannot be written (%v)", path, reasonOf(err))
	}
	return nil
}

func (ctx *context) preparedHead(directory []preparedTransform, checksums []uint32, identity []byte, total uint64) []byte {
	head := make([]byte, preparedHeader)
	copy(head, preparedMagic)
	binary.LittleEndian.PutUint32(head[8:], preparedVersion)
	binary.LittleEndian.PutUint32(head[12:], uint32(ctx.RingDegree))
	binary.LittleEndian.PutUint32(head[16:], uint32(len(directory)))
	binary.LittleEndian.PutUint32(head[20:], uint32(len(checksums)))
	copy(head[24:], ctx.fingerprint[:])
	binary.LittleEndian.PutUint64(head[40:], total)
	copy(head[64:], identity)
	for _, part := range []any{directory, checksums} {
		var err error
		if head, err = binary.Append(head, binary.LittleEndian, part); err != nil {
			panic(err) // of fixed size: no error is possible
		}
	}
	binary.LittleEndian.PutUint32(head[48:], crc32.Checksum(head, castagnoli))
	return head
}
