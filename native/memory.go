package main

/*
#include <stdint.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

// Memory that begins with a cache line; the pointer that malloc gave stands in front of it. Every system has this,
// which is not so for aligned_alloc and posix_memalign.
static void *allocate_lines(size_t bytes) {
    if (bytes > SIZE_MAX - 64 - sizeof(void *)) return NULL;
    unsigned char *raw = malloc(bytes + 64 + sizeof(void *));
    if (raw == NULL) return NULL;
    void **lines = (void **)(((uintptr_t)raw + sizeof(void *) + 63) & ~(uintptr_t)63);
    lines[-1] = raw;
    return lines;
}

static void release_lines(void *lines) { free(((void **)lines)[-1]); }

// What was freed goes back to the system, also from between what is still in use.
static void release_pages(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
*/
import "C"

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"heclstm/native/kernels"
)

// Limbs and slabs live outside of Go's heap: they are large and few, are freed at a known moment, and may be
// handed to C in lists of pointers.

// allocated is how many bytes of them there are, of all contexts of the process.
var allocated atomic.Int64

func slabBytes(count int) int64 { return (int64(count)*4 + 63) &^ 63 } // whole cache lines

// allocate panics when memory runs out; `safely` makes an error of it.
func allocate(count int) []uint32 {
	pointer := C.allocate_lines(C.size_t(slabBytes(count)))
	if pointer == nil {
		panic(kernels.ErrMemory)
	}
	allocated.Add(slabBytes(count))
	return unsafe.Slice((*uint32)(pointer), count)
}

func release(slab []uint32) {
	if slab != nil {
		allocated.Add(-slabBytes(cap(slab)))
		C.release_lines(unsafe.Pointer(unsafe.SliceData(slab)))
	}
}

func releasePages() { C.release_pages() }

// limbPool recycles limbs of one length between calls; beyond keep idle limbs, memory goes back to the system. So does
// all that is idle once no call has begun or ended for a while: who waits for a query holds programs and keys only.
type limbPool struct {
	sync.Mutex
	degree, keep int
	patience     time.Duration
	closed       bool
	idle         residues
	timer        *time.Timer
}

// take appends idle limbs to a list, at most count, or one new limb if none is idle.
func (p *limbPool) take(to residues, count int) residues {
	p.Lock()
	defer p.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	if len(p.idle) == 0 {
		return append(to, allocate(p.degree))
	}
	rest := max(0, len(p.idle)-count)
	to = append(to, p.idle[rest:]...)
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	return to
}

func (p *limbPool) give(limbs residues) {
	p.Lock()
	defer p.Unlock()
	for _, limb := range limbs {
		if p.closed || len(p.idle) >= p.keep {
			release(limb)
		} else {
			p.idle = append(p.idle, limb)
		}
	}
	switch {
	case len(p.idle) == 0:
	case p.timer == nil:
		p.timer = time.AfterFunc(p.patience, p.rest)
	default:
		p.timer.Reset(p.patience)
	}
}

// rest gives all that is idle back to the system.
func (p *limbPool) rest() {
	p.Lock()
	defer p.Unlock()
	for _, limb := range p.idle {
		release(limb)
	}
	p.idle = nil
	releasePages()
	debug.FreeOSMemory() // what Lattigo read keys into
}

func (p *limbPool) close() {
	p.Lock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.Unlock()
	p.rest()
}
