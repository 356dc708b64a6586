package main

// #include <stdint.h>
// #include <stdlib.h>
import "C"

import "unsafe"

// withSecret is withEngine for the calls that need the secret key, which must be of this engine.
func withSecret(handle, key C.uint64_t, failed **C.char, work func(s *scope, e *engine, k *secret) error) C.int {
	return withEngine(handle, failed, func(s *scope, e *engine) error {
		k, err := hold[*secret](s, uint64(key), "secret")
		if err != nil {
			return err
		}
		if k.engine != e {
			return parameterError("secret key: belongs to another engine; load it into this one")
		}
		return work(s, e, k)
	})
}

//export heclstm_new_secret
func heclstm_new_secret(handle C.uint64_t, out *C.uint64_t, failed **C.char) C.int {
	return withEngine(handle, failed, func(_ *scope, e *engine) error {
		*out = C.uint64_t(register(e.newSecret()))
		return nil
	})
}

//export heclstm_load_secret
func heclstm_load_secret(handle C.uint64_t, data unsafe.Pointer, size C.size_t, out *C.uint64_t, failed **C.char) C.int {
	return withEngine(handle, failed, func(_ *scope, e *engine) error {
		k, err := e.loadSecret(view[byte](data, size))
		if err == nil {
			*out = C.uint64_t(register(k))
		}
		return err
	})
}

//export heclstm_write_secret
func heclstm_write_secret(handle, key C.uint64_t, out unsafe.Pointer, size C.size_t, failed **C.char) C.int {
	return withSecret(handle, key, failed, func(_ *scope, _ *engine, k *secret) error {
		return k.write(view[byte](out, size))
	})
}

//export heclstm_write_key
func heclstm_write_key(handle, key C.uint64_t, kind C.int, step C.int64_t, level C.int, out unsafe.Pointer, size C.size_t, failed **C.char) C.int {
	return withSecret(handle, key, failed, func(_ *scope, _ *engine, k *secret) error {
		return k.writeKey(view[byte](out, size), int(kind), int(step), int(level))
	})
}

//export heclstm_encrypt
func heclstm_encrypt(handle, key C.uint64_t, values unsafe.Pointer, count C.size_t, level, seeded C.int, out unsafe.Pointer, size C.size_t, failed **C.char) C.int {
	return withSecret(handle, key, failed, func(_ *scope, _ *engine, k *secret) error {
		return k.encrypt(view[byte](out, size), view[float64](values, count), int(level), seeded != 0)
	})
}

//export heclstm_decrypt
func heclstm_decrypt(handle, key, input C.uint64_t, out unsafe.Pointer, count C.size_t, failed **C.char) C.int {
	return withSecret(handle, key, failed, func(s *scope, e *engine, k *secret) error {
		c, err := holdCiphertext(s, e, uint64(input))
		if err != nil {
			return err
		}
		return k.decrypt(view[float64](out, count), c)
	})
}
