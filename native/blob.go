package main

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Every blob is a header, a seed if it is seeded, and limbs whose residues are packed to the bits of their prime:
//
//	0  magic "HECL"     8  ring degree (u32)    24 fingerprint of the parameters (16 bytes)
//	4  version (u16)   12  level (u32)          40 seed (32 bytes), if the kind has one
//	6  kind (u8)       16  rotation step (u32)     limbs
//	7  zero            20  zero (u32)
//
// All numbers are little-endian. The size follows from kind and level alone, see circuit/sizes.py.
const (
	headerBytes = 40
	seedBytes   = 32
	blobVersion = 1
	blobMagic   = "HECL"

	kindSecret          = 1
	kindRelinearization = 2
	kindRotation        = 3
	kindSeeded          = 4
	kindFull            = 5
)

type header struct{ kind, level, step int }

func (ctx *context) writeHeader(out []byte, h header) []byte {
	clear(out[:headerBytes])
	copy(out, blobMagic)
	binary.LittleEndian.PutUint16(out[4:], blobVersion)
	out[6] = byte(h.kind)
	binary.LittleEndian.PutUint32(out[8:], uint32(ctx.RingDegree))
	binary.LittleEndian.PutUint32(out[12:], uint32(h.level))
	binary.LittleEndian.PutUint32(out[16:], uint32(h.step))
	copy(out[24:], ctx.fingerprint[:])
	return out[headerBytes:]
}

// readHeader returns the header and what follows; level and size are checked by the caller.
func (ctx *context) readHeader(place string, data []byte, kinds ...int) (h header, rest []byte, err error) {
	if len(data) < headerBytes {
		return h, nil, formatError("%s: got %d bytes, expected at least %d; it is truncated", place, len(data), headerBytes)
	}
	if string(data[:4]) != blobMagic {
		return h, nil, formatError("%s: no heclstm object", place)
	}
	if version := binary.LittleEndian.Uint16(data[4:]); version != blobVersion {
		return h, nil, formatError("%s: got version %d, expected %d; update heclstm", place, version, blobVersion)
	}
	h = header{int(data[6]), int(binary.LittleEndian.Uint32(data[12:])), int(binary.LittleEndian.Uint32(data[16:]))}
	if !bytes.Contains(kindBytes(kinds), data[6:7]) {
		return h, nil, formatError("%s: got an object of kind %d, expected one of %v", place, h.kind, kinds)
	}
	if degree := binary.LittleEndian.Uint32(data[8:]); degree != uint32(ctx.RingDegree) {
		return h, nil, formatError("%s: got ring degree %d, expected %d", place, degree, ctx.RingDegree)
	}
	if !bytes.Equal(data[24:headerBytes], ctx.fingerprint[:]) {
		return h, nil, failure("DigestError", "%s: made for other parameters; make it anew for this program", place)
	}
	if data[7] != 0 || binary.LittleEndian.Uint32(data[20:]) != 0 {
		return h, nil, formatError("%s: reserved bytes are not zero", place)
	}
	return h, data[headerBytes:], ctx.checkLevel(place, h.level)
}

func kindBytes(kinds []int) (list []byte) {
	for _, kind := range kinds {
		list = append(list, byte(kind))
	}
	return list
}

func checkSize(place string, got, expected int) error {
	if got != expected {
		return formatError("%s: got %d bytes, expected %d; it is truncated or has a tail", place, got, expected)
	}
	return nil
}

func (ctx *context) limbBytes(index int) int {
	return ctx.RingDegree / 8 * bits.Len64(ctx.moduli[index].Q)
}

func (ctx *context) ciphertextBytes(level int, seeded bool) int {
	polynomial := 0
	for i := 0; i <= level; i++ {
		polynomial += ctx.limbBytes(i)
	}
	if seeded {
		return headerBytes + seedBytes + polynomial
	}
	return headerBytes + 2*polynomial
}

func (ctx *context) keyBytes(level int) int {
	polynomial := 0
	special := ctx.specialAt(level)
	for limb := range limbs(level, special) {
		polynomial += ctx.limbBytes(ctx.place(level, limb))
	}
	return headerBytes + seedBytes + digits(level, special)*polynomial
}

// pack writes one limb and returns what of out is left; unpack reads one and refuses residues above the prime.

func pack[T uint32 | uint64](ctx *context, out []byte, limb []T, index int) []byte {
	width := bits.Len64(ctx.moduli[index].Q)
	var word uint64
	filled, at := 0, 0
	for _, residue := range limb {
		word |= uint64(residue) << filled
		filled += width
		if filled >= 32 {
			binary.LittleEndian.PutUint32(out[at:], uint32(word))
			word >>= 32
			filled -= 32
			at += 4
		}
	}
	for ; filled > 0; filled -= 8 {
		out[at] = byte(word)
		word >>= 8
		at++
	}
	return out[at:]
}

func unpack[T uint32 | uint64](ctx *context, place string, data []byte, limb []T, index int) ([]byte, error) {
	q := ctx.moduli[index].Q
	width := bits.Len64(q)
	mask := uint64(1)<<width - 1
	var word uint64
	filled, at := 0, 0
	valid := true
	for i := range limb {
		if filled < width && len(data)-at >= 4 {
			word |= uint64(binary.LittleEndian.Uint32(data[at:])) << filled
			filled += 32
			at += 4
		}
		for filled < width {
			word |= uint64(data[at]) << filled
			filled += 8
			at++
		}
		limb[i] = T(word & mask)
		word >>= width
		filled -= width
		valid = valid && uint64(limb[i]) < q
	}
	if !valid {
		return nil, formatError("%s: a residue of limb %d is not below its prime; the data are damaged", place, index)
	}
	return data[at-filled/8:], nil // what was read ahead belongs to the next limb
}
