package main

import (
	"sync"
	"sync/atomic"
)

// shared counts the uses of something that owns memory outside of Go's heap: closing it while another thread
// still computes with it frees it when that thread is done.
type shared struct {
	uses    atomic.Int32
	destroy func()
}

func (s *shared) open(destroy func()) {
	s.destroy = destroy
	s.uses.Store(1)
}

func (s *shared) retain() { s.uses.Add(1) }

func (s *shared) drop() {
	if s.uses.Add(-1) == 0 {
		s.destroy()
	}
}

// object is what a handle stands for: *context, *keySet, *ciphertext, *plaintext, *transform, *preparedFile or *secret.
type object interface {
	retain()
	drop()
}

var table = struct {
	sync.Mutex
	last    uint64
	objects map[uint64]object
}{objects: map[uint64]object{}}

func register(o object) uint64 {
	table.Lock()
	defer table.Unlock()
	table.last++
	table.objects[table.last] = o
	return table.last
}

// forget closes a handle; closing twice is no error, so that finalizers need no order.
func forget(handle uint64) {
	table.Lock()
	found, ok := table.objects[handle]
	delete(table.objects, handle)
	table.Unlock()
	if ok {
		found.drop()
	}
}

// lookUp finds an object and retains it.
func lookUp[T object](handle uint64, name string) (T, error) {
	table.Lock()
	defer table.Unlock()
	found, ok := table.objects[handle].(T)
	if !ok {
		var none T
		return none, failure("HandleError", "%s: the handle is closed or no %s; use the object before it is closed", name, name)
	}
	found.retain()
	return found, nil
}
