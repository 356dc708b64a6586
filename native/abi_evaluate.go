package main

// #include <stdint.h>
// #include <stdlib.h>
import "C"

import (
	"math/bits"
	"unsafe"
)

// Operations of heclstm_binary and heclstm_unary.
const (
	opAdd = iota
	opSubtract
	opAddPlain
	opMultiplyPlain
	opRescale
	opDropLevel
)

var operations = map[string]int{
	"add": opAdd, "subtract": opSubtract, "add_plain": opAddPlain, "multiply_plain": opMultiplyPlain,
	"rescale": opRescale, "drop_level": opDropLevel,
}

func unknownOperation(operation C.int) error {
	return failure("EngineError", "native engine: got operation %d, expected one of %v; rebuild heclstm", int(operation), operations)
}

//export heclstm_plaintext
func heclstm_plaintext(handle C.uint64_t, values unsafe.Pointer, count C.size_t, level C.int, scale C.double,
	out *C.uint64_t, bytes *C.size_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		p, err := ctx.newPlaintext(c, view[float64](values, count), int(level), float64(scale))
		if err == nil {
			c.hand(out, p)
			*bytes = C.size_t(4 * len(p.words))
		}
		return err
	})
}

// heclstm_transform takes shape = level, inputs, outputs, babies, chains, steps of all chains, entries, period, folds,
// walks, steps of all walks, special primes, 1 if chains are nested, 1 if it shall be compact, its place in `file`.
// file: of heclstm_open_prepared, whose words are used in place of vectors; 0: there is none.
//
//export heclstm_transform
func heclstm_transform(handle C.uint64_t, shape unsafe.Pointer, babies, chainLengths, chainSteps, folds, walkLengths, walkSteps, index,
	vectors, scales unsafe.Pointer, outputScale C.double, file C.uint64_t, out *C.uint64_t, bytes *C.size_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		n := view[int64](shape, 15)
		if err := checkShape(n); err != nil {
			return err
		}
		p := plan{
			level: int(n[0]), inputs: int(n[1]), outputs: int(n[2]), period: int(n[7]),
			babies:          view[int64](babies, C.size_t(n[3])),
			chainLengths:    view[int64](chainLengths, C.size_t(n[4])),
			chainSteps:      view[int64](chainSteps, C.size_t(n[5])),
			index:           view[int32](index, C.size_t(5*n[6])),
			plaintextScales: view[float64](scales, C.size_t(n[1])),
			outputScale:     float64(outputScale),
			folds:           view[int64](folds, C.size_t(n[8])),
			walkLengths:     view[int64](walkLengths, C.size_t(n[9])),
			walkSteps:       view[int64](walkSteps, C.size_t(n[10])),
			special:         int(n[11]),
			nested:          n[12] != 0,
			compact:         n[13] != 0,
		}
		if err := ctx.checkPeriod("transform", p.period); err != nil {
			return err
		}
		if file == 0 {
			p.vectors = view[float64](vectors, C.size_t(n[6]*n[7]))
		} else {
			var err error
			if p.file, err = holdOwn[*preparedFile](c, uint64(file), "prepared program"); err != nil {
				return err
			}
			p.place = int(n[14])
		}
		t, err := ctx.newTransform(c.newLane(), p)
		if err == nil {
			c.hand(out, t)
			*bytes = C.size_t(4 * len(t.words))
		}
		return err
	})
}

// checkShape refuses sizes that no buffer can have, before a buffer is looked at.
func checkShape(shape []int64) error {
	for _, size := range shape {
		if size < 0 || size > 1<<31 {
			return parameterError("transform: got a size of %d, expected 0 … 2^31", size)
		}
	}
	if high, low := bits.Mul64(uint64(shape[6]), uint64(shape[7])); high != 0 || low > 1<<40 {
		return parameterError("transform: got %d vectors of %d values, expected at most 2^40 values", shape[6], shape[7])
	}
	return nil
}

//export heclstm_binary
func heclstm_binary(handle C.uint64_t, operation C.int, left, right C.uint64_t, out *C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, _ *context) error {
		a, err := holdOwn[*ciphertext](c, uint64(left), "ciphertext")
		if err != nil {
			return err
		}
		result, err := c.binary(operation, a, uint64(right))
		if err == nil {
			c.hand(out, result)
		}
		return err
	})
}

func (c *call) binary(operation C.int, a *ciphertext, right uint64) (*ciphertext, error) {
	l := c.newLane()
	switch operation {
	case opAdd, opSubtract:
		b, err := holdOwn[*ciphertext](c, right, "ciphertext")
		if err != nil {
			return nil, err
		}
		return c.context.add(l, a, b, operation == opSubtract)
	case opAddPlain, opMultiplyPlain:
		p, err := holdOwn[*plaintext](c, right, "plaintext")
		if err != nil {
			return nil, err
		}
		if operation == opAddPlain {
			return c.context.addPlain(l, a, p)
		}
		return c.context.multiplyPlain(l, a, p)
	}
	return nil, unknownOperation(operation)
}

//export heclstm_unary
func heclstm_unary(handle C.uint64_t, operation C.int, input C.uint64_t, argument C.int64_t, out *C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		a, err := holdOwn[*ciphertext](c, uint64(input), "ciphertext")
		if err != nil {
			return err
		}
		var result *ciphertext
		switch operation {
		case opRescale:
			result, err = ctx.rescale(c.newLane(), a)
		case opDropLevel:
			result, err = ctx.dropLevel(c.newLane(), a, int(argument))
		default:
			err = unknownOperation(operation)
		}
		if err == nil {
			c.hand(out, result)
		}
		return err
	})
}

//export heclstm_rotate
func heclstm_rotate(handle, keys, input C.uint64_t, step C.int64_t, out *C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		k, err := holdKeys(c, keys)
		if err != nil {
			return err
		}
		a, err := holdOwn[*ciphertext](c, uint64(input), "ciphertext")
		if err != nil {
			return err
		}
		result, err := ctx.rotate(c.newLane(), k, a, int(step))
		if err == nil {
			c.hand(out, result)
		}
		return err
	})
}

func holdCiphertexts(c *call, handles unsafe.Pointer, count C.size_t) ([]*ciphertext, error) {
	list := make([]*ciphertext, int(count))
	for i, handle := range view[uint64](handles, count) {
		var err error
		if list[i], err = holdOwn[*ciphertext](c, handle, "ciphertext"); err != nil {
			return nil, err
		}
	}
	return list, nil
}

//export heclstm_sum_of_products
func heclstm_sum_of_products(handle, keys C.uint64_t, left, right unsafe.Pointer, count C.size_t, out *C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		if count < 1 {
			return parameterError("sum_of_products: got no pairs, expected at least one")
		}
		k, err := holdKeys(c, keys)
		if err != nil {
			return err
		}
		a, err := holdCiphertexts(c, left, count)
		if err != nil {
			return err
		}
		b, err := holdCiphertexts(c, right, count)
		if err != nil {
			return err
		}
		result, err := ctx.sumOfProducts(c.newLane(), k, a, b)
		if err == nil {
			c.hand(out, result)
		}
		return err
	})
}

//export heclstm_linear_transform
func heclstm_linear_transform(handle, keys C.uint64_t, inputs unsafe.Pointer, count C.size_t, prepared C.uint64_t,
	outputs unsafe.Pointer, outputCount C.size_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		k, err := holdKeys(c, keys)
		if err != nil {
			return err
		}
		t, err := holdOwn[*transform](c, uint64(prepared), "transform")
		if err != nil {
			return err
		}
		if int(outputCount) != t.outputs {
			return parameterError("linear_transform: got room for %d outputs, expected %d", outputCount, t.outputs)
		}
		list, err := holdCiphertexts(c, inputs, count)
		if err != nil {
			return err
		}
		results, err := ctx.apply(c.newLane(), k, list, t)
		if err != nil {
			return err
		}
		for i, result := range results {
			c.hand(&view[C.uint64_t](outputs, outputCount)[i], result)
		}
		return nil
	})
}
