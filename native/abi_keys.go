package main

// #include <stdint.h>
import "C"

import "unsafe"

// holdKeys finds a key set of the call's context; no handle stands for no keys.
func holdKeys(c *call, handle C.uint64_t) (*keySet, error) {
	if handle == 0 {
		return nil, nil
	}
	return holdOwn[*keySet](c, uint64(handle), "key set")
}

//export heclstm_key_set
func heclstm_key_set(handle C.uint64_t, out *C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(_ *call, ctx *context) error {
		*out = C.uint64_t(register(ctx.newKeySet()))
		return nil
	})
}

// heclstm_load_key tells the step of the key, 0 for relinearization. wanted: what it must be, or negative.
//
//export heclstm_load_key
func heclstm_load_key(handle, keys C.uint64_t, data unsafe.Pointer, size C.size_t, wanted C.int64_t, step *C.int64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, _ *context) error {
		k, err := holdOwn[*keySet](c, uint64(keys), "key set")
		if err != nil {
			return err
		}
		found, err := k.load(c.newLane(), view[byte](data, size), int(wanted))
		*step = C.int64_t(found)
		return err
	})
}

//export heclstm_save_keys
func heclstm_save_keys(keys C.uint64_t, path unsafe.Pointer, size C.size_t, note unsafe.Pointer, noteSize C.size_t, failed **C.char) C.int {
	return guard(failed, func(c *call) error {
		k, err := hold[*keySet](c, uint64(keys), "key set")
		if err != nil {
			return err
		}
		return k.save(string(view[byte](path, size)), view[byte](note, noteSize))
	})
}

//export heclstm_open_keys
func heclstm_open_keys(handle C.uint64_t, path unsafe.Pointer, size C.size_t, out *C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(_ *call, ctx *context) error {
		k, err := ctx.openKeySet(string(view[byte](path, size)))
		if err == nil {
			*out = C.uint64_t(register(k))
		}
		return err
	})
}

// heclstm_rest_keys lets go of memory that keys in a file take; their next use finds it in the system's cache, or reads it.
//
//export heclstm_rest_keys
func heclstm_rest_keys(keys C.uint64_t, failed **C.char) C.int {
	return guard(failed, func(c *call) error {
		k, err := hold[*keySet](c, uint64(keys), "key set")
		if err == nil {
			k.rest()
		}
		return err
	})
}

// heclstm_keys_report returns a JSON text, to be freed with heclstm_free.
//
//export heclstm_keys_report
func heclstm_keys_report(keys C.uint64_t, out **C.char, failed **C.char) C.int {
	return guard(failed, func(c *call) error {
		k, err := hold[*keySet](c, uint64(keys), "key set")
		if err != nil {
			return err
		}
		text, err := k.report()
		*out = C.CString(string(text))
		return err
	})
}
