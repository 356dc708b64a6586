// The C interface of the CKKS engine: a thin layer over Lattigo, loaded by heclstm/backend/lattigo.py.
//
// Every function returns 0, or 1 and a malloc'd text "Kind\x1fmessage" in *failed that the caller frees with
// heclstm_free. Buffers belong to the caller; objects are handles that heclstm_close frees.
package main

// #include <stdint.h>
// #include <stdlib.h>
import "C"

import "unsafe"

func main() {}

// guard runs one call: no panic leaves it, and what it holds stays open until it ends.
func guard(failed **C.char, work func(s *scope) error) C.int {
	s := &scope{}
	defer s.leave()
	if err := safely(func() error { return work(s) }); err != nil {
		*failed = C.CString(err.Error())
		return 1
	}
	return 0
}

// withEngine is guard for the calls that start from an engine.
func withEngine(handle C.uint64_t, failed **C.char, work func(s *scope, e *engine) error) C.int {
	return guard(failed, func(s *scope) error {
		e, err := hold[*engine](s, uint64(handle), "engine")
		if err != nil {
			return err
		}
		return work(s, e)
	})
}

// view is the caller's buffer as a slice.
func view[T any](pointer unsafe.Pointer, count C.size_t) []T {
	return unsafe.Slice((*T)(pointer), int(count))
}

// holdCiphertext also checks that the ciphertext belongs to the engine.
func holdCiphertext(s *scope, e *engine, handle uint64) (*ciphertext, error) {
	c, err := hold[*ciphertext](s, handle, "ciphertext")
	if err == nil && c.engine != e {
		return nil, parameterError("ciphertext: belongs to another engine; load it into this one")
	}
	return c, err
}

//export heclstm_free
func heclstm_free(pointer unsafe.Pointer) { C.free(pointer) }

//export heclstm_close
func heclstm_close(handle C.uint64_t) { forget(uint64(handle)) }

//export heclstm_engine
func heclstm_engine(text unsafe.Pointer, size C.size_t, threads C.int, out *C.uint64_t, failed **C.char) C.int {
	return guard(failed, func(*scope) error {
		if threads < 0 {
			return parameterError("threads: got %d, expected at least 1", threads)
		}
		e, err := newEngine(view[byte](text, size), int(threads))
		if err == nil {
			*out = C.uint64_t(register(e))
		}
		return err
	})
}

//export heclstm_set_threads
func heclstm_set_threads(handle C.uint64_t, threads C.int, failed **C.char) C.int {
	return withEngine(handle, failed, func(_ *scope, e *engine) error {
		if threads < 1 {
			return parameterError("threads: got %d, expected at least 1", threads)
		}
		e.crew.Store(newWorkers(int(threads)))
		return nil
	})
}

//export heclstm_load_key
func heclstm_load_key(handle C.uint64_t, kind C.int, data unsafe.Pointer, size C.size_t, step *C.int64_t, failed **C.char) C.int {
	return withEngine(handle, failed, func(_ *scope, e *engine) error {
		found, err := e.loadKey(view[byte](data, size), int(kind))
		*step = C.int64_t(found)
		return err
	})
}

// heclstm_report returns a JSON text, to be freed with heclstm_free.
//
//export heclstm_report
func heclstm_report(handle C.uint64_t, out **C.char, failed **C.char) C.int {
	return withEngine(handle, failed, func(_ *scope, e *engine) error {
		text, err := e.report()
		*out = C.CString(string(text))
		return err
	})
}

//export heclstm_load_ciphertext
func heclstm_load_ciphertext(handle C.uint64_t, data unsafe.Pointer, size C.size_t, level C.int, out *C.uint64_t, failed **C.char) C.int {
	return withEngine(handle, failed, func(_ *scope, e *engine) error {
		c, err := e.loadCiphertext(view[byte](data, size), int(level))
		if err == nil {
			*out = C.uint64_t(register(c))
		}
		return err
	})
}

//export heclstm_describe
func heclstm_describe(handle C.uint64_t, level *C.int, scale *C.double, failed **C.char) C.int {
	return guard(failed, func(s *scope) error {
		c, err := hold[*ciphertext](s, uint64(handle), "ciphertext")
		if err == nil {
			*level, *scale = C.int(c.level), C.double(c.scale)
		}
		return err
	})
}

//export heclstm_write_ciphertext
func heclstm_write_ciphertext(handle C.uint64_t, out unsafe.Pointer, size C.size_t, failed **C.char) C.int {
	return guard(failed, func(s *scope) error {
		c, err := hold[*ciphertext](s, uint64(handle), "ciphertext")
		if err != nil {
			return err
		}
		return c.write(view[byte](out, size))
	})
}
