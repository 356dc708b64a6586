package main

import "sync"

// batch is how many limbs a lane takes or gives back at once.
const batch = 16

// call is one call from outside. What it uses stays open until it ends. All memory is taken through it, limbs by its
// lanes and slabs by itself, and whatever is not handed out goes back when the call ends: well, with an error, or in
// a panic.
type call struct {
	context *context
	held    []object

	lock  sync.Mutex // taken once a batch of limbs or a helper, never once a limb
	lanes []*lane    // of helpers that are done, with the limbs that they left
	spare residues   // limbs that some lane had too many of
	taken residues   // all limbs that came from the pool
	slabs [][]uint32
	kept  map[*uint32]struct{} // by their first word: limbs and slabs that outlive the call
}

// hold looks a handle up and keeps it open until the call ends.
func hold[T object](c *call, handle uint64, name string) (T, error) {
	found, err := lookUp[T](handle, name)
	if err == nil {
		c.held = append(c.held, found)
	}
	return found, err
}

// slab is memory of any size.
func (c *call) slab(count int) []uint32 {
	slab := allocate(count)
	c.lock.Lock()
	c.slabs = append(c.slabs, slab)
	c.lock.Unlock()
	return slab
}

// keep leaves limbs or slabs to an object that outlives the call, if the call ends well.
func (c *call) keep(memory ...[]uint32) {
	if c.kept == nil {
		c.kept = make(map[*uint32]struct{}, len(memory))
	}
	for _, words := range memory {
		c.kept[&words[0]] = struct{}{}
	}
}

// end gives back what was taken and not kept, and lets go of what was used.
func (c *call) end(well bool) {
	if !well {
		clear(c.kept)
	}
	isKept := func(words []uint32) bool {
		_, kept := c.kept[&words[0]]
		return kept
	}
	back := c.taken[:0]
	for _, limb := range c.taken {
		if !isKept(limb) {
			back = append(back, limb)
		}
	}
	if len(back) > 0 {
		c.context.pool.give(back)
	}
	for _, slab := range c.slabs {
		if !isKept(slab) {
			release(slab)
		}
	}
	for _, used := range c.held {
		used.drop()
	}
}

// lane is what one goroutine of a call takes limbs from and gives them back to, without a lock.
type lane struct {
	call *call
	free residues
}

// newLane is for the goroutine that the call came in on.
func (c *call) newLane() *lane { return &lane{call: c} }

func (c *call) borrowLane() *lane {
	c.lock.Lock()
	defer c.lock.Unlock()
	if last := len(c.lanes) - 1; last >= 0 {
		l := c.lanes[last]
		c.lanes = c.lanes[:last]
		return l
	}
	return c.newLane()
}

func (c *call) returnLane(l *lane) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.lanes = append(c.lanes, l)
}

// takeHook is called before every limb that is taken; tests let it panic.
var takeHook func()

func (l *lane) get() []uint32 {
	if takeHook != nil {
		takeHook()
	}
	if len(l.free) == 0 {
		l.refill()
	}
	last := len(l.free) - 1
	limb := l.free[last]
	l.free = l.free[:last]
	return limb
}

func (l *lane) put(limb []uint32) {
	if limb == nil {
		return
	}
	l.free = append(l.free, limb)
	if len(l.free) >= 3*batch {
		l.spill()
	}
}

func (l *lane) refill() {
	c := l.call
	c.lock.Lock()
	defer c.lock.Unlock()
	if len(c.spare) > 0 {
		rest := max(0, len(c.spare)-batch)
		l.free = append(l.free, c.spare[rest:]...)
		c.spare = c.spare[:rest]
		return
	}
	l.free = c.context.pool.take(l.free, batch)
	c.taken = append(c.taken, l.free...)
}

// spill leaves the limbs that were used the longest ago to the other lanes.
func (l *lane) spill() {
	c := l.call
	c.lock.Lock()
	defer c.lock.Unlock()
	c.spare = append(c.spare, l.free[:batch]...)
	l.free = l.free[:copy(l.free, l.free[batch:])]
}

func (l *lane) getMany(count int) residues {
	limbs := make(residues, count)
	for i := range limbs {
		limbs[i] = l.get()
	}
	return limbs
}

func (l *lane) putMany(limbs residues) {
	for _, limb := range limbs {
		l.put(limb)
	}
}

func (l *lane) newPair(count int) (pair [2]residues) {
	return [2]residues{l.getMany(count), l.getMany(count)}
}

func (l *lane) putPair(pair [2]residues) {
	l.putMany(pair[0])
	l.putMany(pair[1])
}
