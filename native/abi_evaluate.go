package main

// #include <stdint.h>
// #include <stdlib.h>
import "C"

import "unsafe"

// Operations of heclstm_binary and heclstm_unary, as numbered in heclstm/backend/lattigo.py.
const (
	opAdd = iota
	opSubtract
	opAddPlain
	opMultiplyPlain
	opRescale
	opDropLevel
	opRotate
)

//export heclstm_plaintext
func heclstm_plaintext(handle C.uint64_t, values unsafe.Pointer, count C.size_t, level C.int, scale C.double,
	out *C.uint64_t, bytes *C.size_t, failed **C.char) C.int {
	return withEngine(handle, failed, func(_ *scope, e *engine) error {
		p, err := e.newPlaintext(view[float64](values, count), int(level), float64(scale))
		if err == nil {
			*out, *bytes = C.uint64_t(register(p)), C.size_t(4*len(p.words))
		}
		return err
	})
}

// heclstm_transform takes shape = level, inputs, outputs, babies, chains, steps of all chains, entries, period,
// folds, 1 if it shall be compact.
//
//export heclstm_transform
func heclstm_transform(handle C.uint64_t, shape unsafe.Pointer, babies, chainLengths, chainSteps, folds, index, vectors,
	scales unsafe.Pointer, outputScale C.double, out *C.uint64_t, bytes *C.size_t, failed **C.char) C.int {
	return withEngine(handle, failed, func(_ *scope, e *engine) error {
		n := view[int64](shape, 10)
		for _, size := range n {
			if size < 0 {
				return parameterError("transform: a size is negative")
			}
		}
		t, err := e.newTransform(plan{
			level: int(n[0]), inputs: int(n[1]), outputs: int(n[2]), period: int(n[7]),
			babies:          view[int64](babies, C.size_t(n[3])),
			chainLengths:    view[int64](chainLengths, C.size_t(n[4])),
			chainSteps:      view[int64](chainSteps, C.size_t(n[5])),
			index:           view[int32](index, C.size_t(5*n[6])),
			vectors:         view[float64](vectors, C.size_t(n[6]*n[7])),
			plaintextScales: view[float64](scales, C.size_t(n[1])),
			outputScale:     float64(outputScale),
			folds:           view[int64](folds, C.size_t(n[8])),
			compact:         n[9] != 0,
		})
		if err == nil {
			*out, *bytes = C.uint64_t(register(t)), C.size_t(4*len(t.words))
		}
		return err
	})
}

//export heclstm_binary
func heclstm_binary(handle C.uint64_t, operation C.int, left, right C.uint64_t, out *C.uint64_t, failed **C.char) C.int {
	return withEngine(handle, failed, func(s *scope, e *engine) error {
		a, err := holdCiphertext(s, e, uint64(left))
		if err != nil {
			return err
		}
		result, err := e.binary(s, int(operation), a, uint64(right))
		if err == nil {
			*out = C.uint64_t(register(result))
		}
		return err
	})
}

func (e *engine) binary(s *scope, operation int, a *ciphertext, right uint64) (*ciphertext, error) {
	if operation == opAdd || operation == opSubtract {
		b, err := holdCiphertext(s, e, right)
		if err != nil {
			return nil, err
		}
		return e.add(a, b, operation == opSubtract)
	}
	p, err := hold[*plaintext](s, right, "plaintext")
	if err != nil {
		return nil, err
	}
	if p.engine != e {
		return nil, parameterError("plaintext: belongs to another engine; encode it with this one")
	}
	if operation == opAddPlain {
		return e.addPlain(a, p)
	}
	return e.multiplyPlain(a, p)
}

//export heclstm_unary
func heclstm_unary(handle C.uint64_t, operation C.int, input C.uint64_t, argument C.int64_t, out *C.uint64_t, failed **C.char) C.int {
	return withEngine(handle, failed, func(s *scope, e *engine) error {
		a, err := holdCiphertext(s, e, uint64(input))
		if err != nil {
			return err
		}
		var result *ciphertext
		switch operation {
		case opRescale:
			result, err = e.rescale(a)
		case opDropLevel:
			result, err = e.dropLevel(a, int(argument))
		default:
			result, err = e.rotate(s, a, int(argument))
		}
		if err == nil {
			*out = C.uint64_t(register(result))
		}
		return err
	})
}

func holdCiphertexts(s *scope, e *engine, handles unsafe.Pointer, count C.size_t) ([]*ciphertext, error) {
	list := make([]*ciphertext, int(count))
	for i, handle := range view[uint64](handles, count) {
		var err error
		if list[i], err = holdCiphertext(s, e, handle); err != nil {
			return nil, err
		}
	}
	return list, nil
}

//export heclstm_sum_of_products
func heclstm_sum_of_products(handle C.uint64_t, left, right unsafe.Pointer, count C.size_t, out *C.uint64_t, failed **C.char) C.int {
	return withEngine(handle, failed, func(s *scope, e *engine) error {
		if count < 1 {
			return parameterError("sum_of_products: got no pairs, expected at least one")
		}
		a, err := holdCiphertexts(s, e, left, count)
		if err != nil {
			return err
		}
		b, err := holdCiphertexts(s, e, right, count)
		if err != nil {
			return err
		}
		result, err := e.sumOfProducts(s, a, b)
		if err == nil {
			*out = C.uint64_t(register(result))
		}
		return err
	})
}

//export heclstm_linear_transform
func heclstm_linear_transform(handle C.uint64_t, inputs unsafe.Pointer, count C.size_t, prepared C.uint64_t,
	outputs unsafe.Pointer, outputCount C.size_t, failed **C.char) C.int {
	return withEngine(handle, failed, func(s *scope, e *engine) error {
		t, err := hold[*transform](s, uint64(prepared), "transform")
		if err != nil {
			return err
		}
		if t.engine != e || int(outputCount) != t.outputs {
			return parameterError("linear_transform: the transform belongs to another engine or has other outputs")
		}
		list, err := holdCiphertexts(s, e, inputs, count)
		if err != nil {
			return err
		}
		results, err := e.apply(s, list, t)
		for i, result := range results {
			view[uint64](outputs, outputCount)[i] = register(result)
		}
		return err
	})
}
