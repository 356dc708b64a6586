// The C interface of the CKKS engine: a thin layer over Lattigo, loaded by heclstm/backend/cpu/library.py.
//
// Every function but heclstm_abi, heclstm_free and heclstm_close returns 0, or 1 and a malloc'd text
// "Kind\x1fmessage" in *failed that the caller frees with heclstm_free. Buffers belong to the caller; objects are
// handles that heclstm_close frees.
package main

// #include <stdint.h>
// #include <stdlib.h>
import "C"

import (
	"encoding/json"
	"unsafe"

	"heclstm/native/kernels"
)

// abiVersion changes whenever a function of this interface does, or what a number of it means.
const abiVersion = 8

func main() {}

// guard runs one call: no panic leaves it, what it uses stays open until it ends, and what it took goes back.
func guard(failed **C.char, work func(c *call) error) C.int {
	c := &call{}
	err := safely(func() error { return work(c) })
	c.end(err == nil)
	if err != nil {
		*failed = C.CString(err.Error())
		return 1
	}
	return 0
}

// withContext is guard for the calls that start from a context.
func withContext(handle C.uint64_t, failed **C.char, work func(c *call, ctx *context) error) C.int {
	return guard(failed, func(c *call) (err error) {
		if c.context, err = hold[*context](c, uint64(handle), "context"); err != nil {
			return err
		}
		return work(c, c.context)
	})
}

// holdOwn is hold for what belongs to a context, which must be that of the call.
func holdOwn[T interface {
	object
	owner() *context
}](c *call, handle uint64, name string) (T, error) {
	found, err := hold[T](c, handle, name)
	if err == nil && found.owner() != c.context {
		return found, parameterError("%s: belongs to another context; make it with this one", name)
	}
	return found, err
}

func (k *keySet) owner() *context     { return k.context }
func (c *ciphertext) owner() *context { return c.context }
func (p *plaintext) owner() *context  { return p.context }
func (t *transform) owner() *context  { return t.context }

// result is what a call hands out: an object with memory that outlives the call.
type result interface {
	object
	memory() residues
}

func (c *call) hand(out *C.uint64_t, r result) {
	c.keep(r.memory()...)
	*out = C.uint64_t(register(r))
}

// view is the caller's buffer as a slice.
func view[T any](pointer unsafe.Pointer, count C.size_t) []T {
	return unsafe.Slice((*T)(pointer), int(count))
}

//export heclstm_abi
func heclstm_abi() C.int { return abiVersion }

//export heclstm_free
func heclstm_free(pointer unsafe.Pointer) { C.free(pointer) }

//export heclstm_close
func heclstm_close(handle C.uint64_t) { forget(uint64(handle)) }

// heclstm_share makes a second handle of an object, which stays open until both are closed.
//
//export heclstm_share
func heclstm_share(handle C.uint64_t, out *C.uint64_t, failed **C.char) C.int {
	return guard(failed, func(*call) error {
		found, err := lookUp[object](uint64(handle), "object")
		if err == nil {
			*out = C.uint64_t(register(found))
		}
		return err
	})
}

// heclstm_constants returns, as JSON to be freed with heclstm_free, every number that Python knows too, and which
// arithmetics this processor has.
//
//export heclstm_constants
func heclstm_constants(out **C.char, failed **C.char) C.int {
	return guard(failed, func(*call) error {
		text, err := json.Marshal(map[string]any{
			"header_bytes": headerBytes, "seed_bytes": seedBytes, "prime_bits": primeBits, "special_max": specialMax,
			"error_sigma": errorSigma, "operations": operations, "arithmetics": append(kernels.Available(), "lattigo"),
			"kinds": map[string]int{
				"secret": kindSecret, "relinearization": kindRelinearization, "rotation": kindRotation,
				"seeded": kindSeeded, "full": kindFull,
			},
		})
		*out = C.CString(string(text))
		return err
	})
}

//export heclstm_context
func heclstm_context(text unsafe.Pointer, size C.size_t, threads C.int, out *C.uint64_t, failed **C.char) C.int {
	return guard(failed, func(*call) error {
		if threads < 0 {
			return parameterError("threads: got %d, expected at least 1", threads)
		}
		ctx, err := newContext(view[byte](text, size), int(threads))
		if err == nil {
			*out = C.uint64_t(register(ctx))
		}
		return err
	})
}

//export heclstm_set_threads
func heclstm_set_threads(handle C.uint64_t, threads C.int, failed **C.char) C.int {
	return withContext(handle, failed, func(_ *call, ctx *context) error {
		if threads < 1 {
			return parameterError("threads: got %d, expected at least 1", threads)
		}
		ctx.crew.Store(newWorkers(int(threads)))
		return nil
	})
}

// heclstm_rest gives what lies idle back to the system, after work that needs much beside its result.
//
//export heclstm_rest
func heclstm_rest(handle C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(_ *call, ctx *context) error {
		ctx.pool.rest()
		return nil
	})
}

// heclstm_report returns a JSON text, to be freed with heclstm_free.
//
//export heclstm_report
func heclstm_report(handle C.uint64_t, out **C.char, failed **C.char) C.int {
	return withContext(handle, failed, func(_ *call, ctx *context) error {
		text, err := ctx.report()
		*out = C.CString(string(text))
		return err
	})
}

//export heclstm_load_ciphertext
func heclstm_load_ciphertext(handle C.uint64_t, data unsafe.Pointer, size C.size_t, level C.int, out *C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		loaded, err := ctx.loadCiphertext(c.newLane(), view[byte](data, size), int(level))
		if err == nil {
			c.hand(out, loaded)
		}
		return err
	})
}

//export heclstm_describe
func heclstm_describe(handle C.uint64_t, level *C.int, scale *C.double, failed **C.char) C.int {
	return guard(failed, func(c *call) error {
		found, err := hold[*ciphertext](c, uint64(handle), "ciphertext")
		if err == nil {
			*level, *scale = C.int(found.level), C.double(found.scale)
		}
		return err
	})
}

//export heclstm_write_ciphertext
func heclstm_write_ciphertext(handle C.uint64_t, out unsafe.Pointer, size C.size_t, failed **C.char) C.int {
	return guard(failed, func(c *call) error {
		found, err := hold[*ciphertext](c, uint64(handle), "ciphertext")
		if err != nil {
			return err
		}
		return found.write(view[byte](out, size))
	})
}
