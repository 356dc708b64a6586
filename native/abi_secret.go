package main

// #include <stdint.h>
// #include <stdlib.h>
import "C"

import "unsafe"

// withSecret is withContext for the calls that need the secret key, which must be of this context.
func withSecret(handle, key C.uint64_t, failed **C.char, work func(c *call, ctx *context, k *secret) error) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		k, err := holdOwn[*secret](c, uint64(key), "secret key")
		if err != nil {
			return err
		}
		return work(c, ctx, k)
	})
}

func (s *secret) owner() *context { return s.context }

//export heclstm_new_secret
func heclstm_new_secret(handle C.uint64_t, out *C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(_ *call, ctx *context) error {
		*out = C.uint64_t(register(ctx.newSecret()))
		return nil
	})
}

//export heclstm_load_secret
func heclstm_load_secret(handle C.uint64_t, data unsafe.Pointer, size C.size_t, out *C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		k, err := ctx.loadSecret(c.newLane(), view[byte](data, size))
		if err == nil {
			*out = C.uint64_t(register(k))
		}
		return err
	})
}

//export heclstm_write_secret
func heclstm_write_secret(handle, key C.uint64_t, out unsafe.Pointer, size C.size_t, failed **C.char) C.int {
	return withSecret(handle, key, failed, func(_ *call, _ *context, k *secret) error {
		return k.write(view[byte](out, size))
	})
}

//export heclstm_write_key
func heclstm_write_key(handle, key C.uint64_t, kind C.int, step C.int64_t, level C.int, out unsafe.Pointer, size C.size_t, failed **C.char) C.int {
	return withSecret(handle, key, failed, func(_ *call, _ *context, k *secret) error {
		return k.writeKey(view[byte](out, size), int(kind), int(step), int(level))
	})
}

//export heclstm_encrypt
func heclstm_encrypt(handle, key C.uint64_t, values unsafe.Pointer, count C.size_t, level, seeded C.int, out unsafe.Pointer, size C.size_t, failed **C.char) C.int {
	return withSecret(handle, key, failed, func(_ *call, _ *context, k *secret) error {
		return k.encrypt(view[byte](out, size), view[float64](values, count), int(level), seeded != 0)
	})
}

//export heclstm_decrypt
func heclstm_decrypt(handle, key, input C.uint64_t, out unsafe.Pointer, count C.size_t, failed **C.char) C.int {
	return withSecret(handle, key, failed, func(c *call, _ *context, k *secret) error {
		encrypted, err := holdOwn[*ciphertext](c, uint64(input), "ciphertext")
		if err != nil {
			return err
		}
		return k.decrypt(view[float64](out, count), encrypted)
	})
}
