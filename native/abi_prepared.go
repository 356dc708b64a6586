package main

// #include <stdint.h>
import "C"

import "unsafe"

// heclstm_save_prepared writes transforms of a context into a file. identity: 32 bytes that open wants to see again.
//
//export heclstm_save_prepared
func heclstm_save_prepared(handle C.uint64_t, path unsafe.Pointer, size C.size_t, identity unsafe.Pointer, identitySize C.size_t,
	transforms unsafe.Pointer, count C.size_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		list := make([]*transform, int(count))
		for i, each := range view[uint64](transforms, count) {
			var err error
			if list[i], err = holdOwn[*transform](c, each, "transform"); err != nil {
				return err
			}
		}
		return ctx.savePrepared(c.newLane(), string(view[byte](path, size)), view[byte](identity, identitySize), list)
	})
}

// heclstm_prepare_rotations makes the tables of rotations that a program takes: they are its own and not a tenant's,
// whose keys share them. memory: their bytes.
//
//export heclstm_prepare_rotations
func heclstm_prepare_rotations(handle C.uint64_t, steps unsafe.Pointer, count C.size_t, memory *C.size_t, failed **C.char) C.int {
	return withContext(handle, failed, func(_ *call, ctx *context) error {
		for _, step := range view[int64](steps, count) {
			table, err := ctx.automorphism(int(step))
			if err != nil {
				return err
			}
			*memory += C.size_t(4 * len(table))
		}
		return nil
	})
}

//export heclstm_open_prepared
func heclstm_open_prepared(handle C.uint64_t, path unsafe.Pointer, size C.size_t, identity unsafe.Pointer, identitySize C.size_t,
	out *C.uint64_t, failed **C.char) C.int {
	return withContext(handle, failed, func(c *call, ctx *context) error {
		found, err := ctx.openPrepared(c.newLane(), string(view[byte](path, size)), view[byte](identity, identitySize))
		if err == nil {
			*out = C.uint64_t(register(found))
		}
		return err
	})
}
