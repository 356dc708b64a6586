package main

import (
	"sync"
	"sync/atomic"
)

// workers bounds how many goroutines one engine adds to the callers that are already inside it.
type workers struct{ tokens chan struct{} }

func newWorkers(count int) *workers { return &workers{make(chan struct{}, count-1)} }

// each runs work(0) … work(count-1), on the calling goroutine and on as many others as are free. The calls are
// independent of each other, so results do not depend on the number of workers. Calls may be nested: an inner
// call that finds no free worker runs on its caller alone.
func (w *workers) each(count int, work func(index int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	var caught atomic.Pointer[any]
	loop := func() {
		defer func() {
			if reason := recover(); reason != nil {
				caught.CompareAndSwap(nil, &reason)
				next.Store(int64(count))
			}
		}()
		for index := next.Add(1) - 1; index < int64(count); index = next.Add(1) - 1 {
			work(int(index))
		}
	}
	for helpers := 1; helpers < count && w.take(); helpers++ {
		group.Add(1)
		go func() {
			defer group.Done()
			defer func() { <-w.tokens }()
			loop()
		}()
	}
	loop()
	group.Wait()
	if reason := caught.Load(); reason != nil {
		panic(*reason)
	}
}

func (w *workers) take() bool {
	select {
	case w.tokens <- struct{}{}:
		return true
	default:
		return false
	}
}
