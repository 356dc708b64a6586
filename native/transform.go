package main

// transform is a prepared linear transformation of several ciphertexts, see TransformPlan in
// circuit/operations/linear_transform.py.
type transform struct {
	shared
	context       *context
	level, limbs  int
	outputs       int
	inputScales   []float64 // scales of the plaintexts, one per input
	outputScale   float64
	run           int
	special       int // how many special primes the plaintexts are encoded for: 0 if no input is rotated
	babies        []baby
	sums          []innerSum
	chains        []chain
	heads         []int         // first step of each of the plan's chains
	nested        bool          // chains are summed by Horner's rule
	folds         []int         // rotate-and-adds of every output
	walks         map[int][]int // steps without a key of their own, and the steps that make them up
	words         []uint32      // encoded diagonals, limb after limb; of a compact transform: their coefficients
	rows          int           // diagonals
	compact       bool          // coefficients are reduced and transformed at each use
	plaintextSize int           // residues a limb
}

// baby is one rotated input.
type baby struct{ step, input int }

// innerSum is Σ plaintext ⊙ baby: the entries with one output, chain and position.
type innerSum struct{ entries []entry }

type entry struct{ baby, plain int }

// chain is evaluated by Horner's rule: steps[k] is the giant step of position k, sums[k] its inner sum or -1. index: of
// the plan's chains.
type chain struct {
	output int
	index  int
	steps  []int
	sums   []int
}

// plan is what Python hands over.
type plan struct {
	level, inputs, outputs int
	babies                 []int64
	chainLengths           []int64
	chainSteps             []int64
	index                  []int32 // five a row: output, chain, position, baby, input
	vectors                []float64
	file                   *preparedFile // which holds the encoded diagonals at `place`; nil: they are made of vectors
	place                  int
	period                 int
	plaintextScales        []float64
	outputScale            float64
	folds                  []int64
	walkLengths            []int64 // how many of walkSteps each walk has: the step that has no key, then its parts
	walkSteps              []int64
	special                int // how many special primes the keys of baby steps have at most
	nested                 bool
	compact                bool // keep coefficients, if all fit: a word each instead of one for every limb, and slower
}

func (ctx *context) newTransform(l *lane, p plan) (*transform, error) {
	if err := ctx.checkPlan(p); err != nil {
		return nil, err
	}
	t := &transform{context: ctx, level: p.level, outputs: p.outputs, outputScale: p.outputScale, nested: p.nested}
	t.inputScales = append(t.inputScales, p.plaintextScales...)
	t.plaintextSize = ctx.residuesFor(p.period)
	t.run = ctx.RingDegree / t.plaintextSize
	t.arrange(p)
	t.limbs = limbs(p.level, t.special)
	t.rows = p.entries()
	if p.file != nil {
		return t, t.lie(p)
	}
	t.open(func() { release(t.words) })
	if p.compact {
		if err := t.keep(l, p); err != nil || t.compact {
			return t, err
		}
	}
	return t, t.encode(l, p)
}

// keep makes the transform compact, unless a coefficient does not fit.
func (t *transform) keep(l *lane, p plan) error {
	words := l.call.slab(p.entries() * t.plaintextSize)
	fits, err := t.context.coefficients(l, signed(words), p.vectors, p.period, p.scaleOf)
	if fits {
		t.words, t.compact = words, true
	}
	return err
}

// encode writes every limb of every diagonal.
func (t *transform) encode(l *lane, p plan) error {
	ctx, size := t.context, t.limbs*t.plaintextSize
	t.words = l.call.slab(p.entries() * size)
	failures := make([]error, p.entries())
	l.each(p.entries(), func(_ *lane, i int) {
		out := t.words[i*size : (i+1)*size]
		failures[i] = ctx.encode(out, p.vectors[i*p.period:(i+1)*p.period], p.level, t.limbs, p.scaleOf(i))
	})
	return first(failures)
}

func (p *plan) entries() int { return len(p.index) / 5 }

func (p *plan) scaleOf(entry int) float64 { return p.plaintextScales[p.index[5*entry+4]] }

func (t *transform) memory() residues { return residues{t.words} }

func (ctx *context) checkPlan(p plan) error {
	const place = "transform"
	if err := ctx.checkLevel(place, p.level); err != nil {
		return err
	}
	if err := ctx.checkPeriod(place, p.period); err != nil {
		return err
	}
	if p.inputs < 1 || p.outputs < 1 || len(p.plaintextScales) != p.inputs || len(p.index) == 0 {
		return parameterError("%s: got %d inputs, %d outputs, %d plaintext scales and %d entries, expected at least one each and a scale per input",
			place, p.inputs, p.outputs, len(p.plaintextScales), len(p.index)/5)
	}
	if err := checkScale(place, p.outputScale); err != nil {
		return err
	}
	for _, scale := range p.plaintextScales {
		if err := checkScale(place, scale); err != nil {
			return err
		}
	}
	if err := ctx.checkWalks(place, p); err != nil {
		return err
	}
	steps := 0
	for _, length := range p.chainLengths {
		if length < 1 {
			return parameterError("%s: a chain is empty", place)
		}
		steps += int(length)
	}
	if steps != len(p.chainSteps) || (p.file == nil && len(p.vectors) != p.entries()*p.period) {
		return parameterError("%s: sizes of chains, index and vectors do not fit together", place)
	}
	for i := 0; i < len(p.index); i += 5 {
		row := p.index[i : i+5]
		limits := []int{p.outputs, len(p.chainLengths), 0, len(p.babies), p.inputs}
		if row[1] >= 0 && int(row[1]) < limits[1] {
			limits[2] = int(p.chainLengths[row[1]])
		}
		for column, limit := range limits {
			if row[column] < 0 || int(row[column]) >= limit {
				return parameterError("%s: entry %d: got %d in column %d, expected 0 … %d", place, i/5, row[column], column, limit-1)
			}
		}
	}
	return checkFinite(place, p.vectors)
}

// checkWalks: every walk ends where it should, and special primes are those that there are.
func (ctx *context) checkWalks(place string, p plan) error {
	if p.special < 1 || p.special > len(ctx.SpecialModuli) {
		return parameterError("%s: got %d special primes, expected 1 … %d", place, p.special, len(ctx.SpecialModuli))
	}
	rest := p.walkSteps
	for _, length := range p.walkLengths {
		if length < 2 || int(length) > len(rest) {
			return parameterError("%s: sizes of walks do not fit together", place)
		}
		sum := 0
		for _, step := range rest[1:length] {
			if ctx.step(int(step)) == 0 {
				return parameterError("%s: a walk has a step of zero", place)
			}
			sum = ctx.step(sum + ctx.step(int(step)))
		}
		if target := ctx.step(int(rest[0])); target == 0 || target != sum {
			return parameterError("%s: a walk to %d ends at %d", place, target, sum)
		}
		rest = rest[length:]
	}
	if len(rest) > 0 {
		return parameterError("%s: sizes of walks do not fit together", place)
	}
	return nil
}

// arrange groups the entries into inner sums and chains, in the order in which they first occur.
func (t *transform) arrange(p plan) {
	ctx := t.context
	starts := make([]int, len(p.chainLengths))
	for c := range starts {
		if c > 0 {
			starts[c] = starts[c-1] + int(p.chainLengths[c-1])
		}
		t.heads = append(t.heads, ctx.step(int(p.chainSteps[starts[c]])))
	}
	babyOf, chainOf := map[baby]int{}, map[[2]int32]int{}
	for i := 0; i < len(p.index); i += 5 {
		output, c, position := p.index[i], p.index[i+1], p.index[i+2]
		rotated := baby{ctx.step(int(p.babies[p.index[i+3]])), int(p.index[i+4])}
		if _, ok := babyOf[rotated]; !ok {
			babyOf[rotated] = len(t.babies)
			t.babies = append(t.babies, rotated)
		}
		if rotated.step != 0 {
			t.special = p.special
		}
		where, ok := chainOf[[2]int32{output, c}]
		if !ok {
			where = len(t.chains)
			chainOf[[2]int32{output, c}] = where
			t.chains = append(t.chains, newChain(ctx, p, starts[c], int(c), int(output)))
		}
		sums := t.chains[where].sums
		if sums[position] < 0 {
			sums[position] = len(t.sums)
			t.sums = append(t.sums, innerSum{})
		}
		sum := &t.sums[sums[position]]
		sum.entries = append(sum.entries, entry{babyOf[rotated], i / 5})
	}
	for _, fold := range p.folds {
		if step := ctx.step(int(fold)); step != 0 {
			t.folds = append(t.folds, step)
		}
	}
	t.walks = map[int][]int{}
	rest := p.walkSteps
	for _, length := range p.walkLengths {
		walk := []int{}
		for _, step := range rest[1:length] {
			walk = append(walk, ctx.step(int(step)))
		}
		t.walks[ctx.step(int(rest[0]))], rest = walk, rest[length:]
	}
}

func newChain(ctx *context, p plan, start, index, output int) chain {
	c := chain{output: output, index: index}
	for _, step := range p.chainSteps[start : start+int(p.chainLengths[index])] {
		c.steps = append(c.steps, ctx.step(int(step)))
		c.sums = append(c.sums, -1)
	}
	return c
}

// walk is the steps, each with a key, that make up a rotation: none for zero.
func (t *transform) walk(step int) []int {
	if step == 0 {
		return nil
	}
	if walk, ok := t.walks[step]; ok {
		return walk
	}
	return []int{step}
}

// keySteps are the steps that need a key, some of them more than once.
func (t *transform) keySteps() (steps []int) {
	for _, b := range t.babies {
		if b.step != 0 {
			steps = append(steps, b.step)
		}
	}
	for i := range t.chains {
		c := &t.chains[i]
		for k := c.last(); k > 0; k-- {
			steps = append(steps, t.walk(c.rotation(t.context, k))...)
		}
		if !t.nested {
			steps = append(steps, t.walk(c.steps[0])...)
			continue
		}
		for index, before := 0, 0; index <= c.index; index++ {
			steps = append(steps, t.walk(t.context.step(t.heads[index]-before))...)
			before = t.heads[index]
		}
	}
	for _, fold := range t.folds {
		steps = append(steps, t.walk(fold)...)
	}
	return steps
}

// last is the highest position with an inner sum.
func (c *chain) last() int {
	for k := len(c.sums) - 1; ; k-- {
		if c.sums[k] >= 0 {
			return k
		}
	}
}

// rotation is by how much the running sum turns after position k > 0 was added.
func (c *chain) rotation(ctx *context, k int) int { return ctx.step(c.steps[k] - c.steps[k-1]) }

// plain is one limb of a diagonal; `borrowed` goes back to the pool after use, unless it is nil.
func (t *transform) plain(l *lane, index, limb int) (values, borrowed []uint32) {
	if !t.compact {
		at := (index*t.limbs + limb) * t.plaintextSize
		return t.words[at : at+t.plaintextSize], nil
	}
	borrowed = l.get()
	values = borrowed[:t.plaintextSize]
	t.transformed(values, signed(t.words)[index*t.plaintextSize:(index+1)*t.plaintextSize], limb)
	return values, borrowed
}

// transformed writes one limb of the polynomial with these coefficients.
func (t *transform) transformed(out []uint32, coefficients []int32, limb int) {
	ctx := t.context
	ctx.kernels.SignedResidues(out, coefficients, ctx.modulus(t.level, limb))
	ctx.transforms.ntt(ctx.place(t.level, limb), out)
}
