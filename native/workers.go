package main

import (
	"sync"
	"sync/atomic"
)

// workers bounds how many goroutines one context adds to the callers that are already inside it.
type workers struct{ tokens chan struct{} }

func newWorkers(count int) *workers { return &workers{make(chan struct{}, count-1)} }

func (w *workers) take() bool {
	select {
	case w.tokens <- struct{}{}:
		return true
	default:
		return false
	}
}

// each runs work(0) … work(count-1), on the calling goroutine and on as many others as are free, each with a lane of
// its own. The calls are independent of each other, so results do not depend on the number of workers. Calls may be
// nested: an inner call that finds no free worker runs on its caller alone. A panic is passed on to the caller once
// all workers have stopped.
func (l *lane) each(count int, work func(l *lane, index int)) {
	crew := l.call.context.crew.Load()
	var next atomic.Int64
	var group sync.WaitGroup
	var caught atomic.Pointer[any]
	loop := func(l *lane) {
		defer func() {
			if reason := recover(); reason != nil {
				caught.CompareAndSwap(nil, &reason)
				next.Store(int64(count))
			}
		}()
		for index := next.Add(1) - 1; index < int64(count); index = next.Add(1) - 1 {
			work(l, int(index))
		}
	}
	for helpers := 1; helpers < count && crew.take(); helpers++ {
		group.Add(1)
		go func() {
			defer group.Done()
			defer func() { <-crew.tokens }()
			helper := l.call.borrowLane()
			defer l.call.returnLane(helper)
			loop(helper)
		}()
	}
	loop(l)
	group.Wait()
	if reason := caught.Load(); reason != nil {
		panic(*reason)
	}
}
