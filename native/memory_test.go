package main

import (
	"testing"
	"time"
)

func (p *limbPool) idleCount() int {
	p.Lock()
	defer p.Unlock()
	return len(p.idle)
}

// What lies idle is kept between calls, and goes back to the system when none comes; a later call takes anew.
func TestIdleLimbsGoBackToTheSystem(t *testing.T) {
	ctx := newTestContext(t, "standard")
	before := allocated.Load() - int64(ctx.pool.idleCount())*slabBytes(ctx.RingDegree)
	ctx.pool.patience = time.Hour
	limbs := ctx.pool.take(nil, 1)
	limbs = append(limbs, allocate(ctx.RingDegree))
	ctx.pool.give(limbs)
	if idle := ctx.pool.idleCount(); idle < 2 {
		t.Fatalf("%d limbs idle between two calls, expected those that were given", idle)
	}
	ctx.pool.patience = time.Millisecond
	ctx.pool.give(ctx.pool.take(nil, 1))
	for deadline := time.Now().Add(time.Minute); ctx.pool.idleCount() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d limbs still idle", ctx.pool.idleCount())
		}
	}
	if after := allocated.Load(); after != before {
		t.Fatalf("%d bytes in use, expected %d", after, before)
	}
	if limbs = ctx.pool.take(nil, 1); len(limbs) != 1 {
		t.Fatalf("%d limbs after a rest, expected 1", len(limbs))
	}
	ctx.pool.give(limbs)
}
