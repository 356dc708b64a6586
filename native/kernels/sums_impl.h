// Sums of products: 15 products of residues below 2^30 and one residue fit into 64 bits. Lanes of 32 bits are
// multiplied as two halves into 64 bits, and come together again when they are reduced. Which half a lane is in is the
// vectors' affair: even and odd ones on x86, lower and upper ones on arm.

#define TERMS 15

// A modulus in every lane. inverse: of q modulo 2^32.
typedef struct {
    W q, w, w_shoup, one_shoup, inverse;
    V q1, q2, w1, w1_shoup;
} lanes;

INLINE lanes in_lanes(const modulus *m) {
    uint32_t q = (uint32_t)m->q, w = (uint32_t)m->w, inverse = q; // right in its lowest 3 bits
    for (int bits = 3; bits < 32; bits *= 2) inverse *= 2 - q * inverse;
    return (lanes){wide(q),       wide(w),     wide(m->w_shoup), wide(m->one_shoup), wide(inverse), set1(q),
                   set1(2 * q), set1(w), set1((uint32_t)m->w_shoup)};
}

// Any 64-bit x modulo q, below 4q, by Shoup's method on its two halves.
INLINE W reduce_lazy(W x, const lanes *m) {
    W high = wide_high(x);
    W r = wide_sub(wide_mul(high, m->w), wide_mul(wide_high(wide_mul(high, m->w_shoup)), m->q));
    W s = wide_sub(wide_low(x), wide_mul(wide_high(wide_mul(x, m->one_shoup)), m->q));
    return wide_add(r, s);
}

// x·2^-32 modulo q, of sums x of both halves together, below 3q. With t = x/q mod 2^32 the low words of x and t·q are
// the same, so that their difference over 2^32 is that of their high words (Montgomery).
INLINE V reduce_high(W e, W o, const lanes *m) {
    V high = high_words(e, o); // below 4q
    V multiple = high_words(wide_mul(wide_mul(e, m->inverse), m->q), wide_mul(wide_mul(o, m->inverse), m->q));
    return add(sub(reduce_once(high, m->q2), multiple), m->q1);
}

// The residues of sums.
INLINE V reduce(W e, W o, const lanes *m) {
    return reduce_once(times(reduce_high(e, o, m), m->w1, m->w1_shoup, m->q1), m->q1);
}

// The residues of sums of which every product has a factor 2^32 more.
INLINE V reduce_more(W e, W o, const lanes *m) {
    return reduce_once(reduce_once(reduce_high(e, o, m), m->q2), m->q1);
}

typedef struct {
    W e, o;
} pair;

INLINE pair multiply_add(pair s, V x, V y) {
    return (pair){wide_add(s.e, mul_even(x, y)), wide_add(s.o, mul_odd(x, y))};
}

// same: one value in every lane.
INLINE pair multiply_add_by(pair s, V x, V same) {
    return (pair){wide_add(s.e, mul_even(x, same)), wide_add(s.o, mul_odd_by(x, same))};
}

INLINE pair add_residues(pair s, V x) { return (pair){wide_add(s.e, even(x)), wide_add(s.o, odd(x))}; }

INLINE pair fold(pair s, const lanes *m) { return (pair){reduce_lazy(s.e, m), reduce_lazy(s.o, m)}; }

// Sums of a block of values stay in the first-level cache, and each visit adds `GROUP` terms to them: few streams at
// a time, so that memory is read ahead, and few loads and stores of sums.
#define BLOCK 1024
#define GROUP 4

typedef struct {
    pair s0[BLOCK / LANES], s1[BLOCK / LANES];
} sums;

// Adds `group` terms to the sums of n values at j. A value of p stands for `run` = 2^shift neighbours.
INLINE void add_terms(sums *s, const uint32_t *const *x0, const uint32_t *const *x1, const uint32_t *const *p,
                      size_t group, size_t run, size_t shift, int first, int full, size_t j, size_t n, const lanes *m) {
    const pair zero = {wide(0), wide(0)};
    for (size_t k = 0; k < n / LANES; k++, j += LANES) {
        pair s0 = first ? zero : s->s0[k], s1 = first ? zero : s->s1[k];
        if (full) s0 = fold(s0, m), s1 = fold(s1, m);
        UNROLL
        for (size_t e = 0; e < group; e++) {
            V f = spread(p[e] + (j >> shift), run);
            s0 = multiply_add(s0, load(x0[e] + j), f);
            s1 = multiply_add(s1, load(x1[e] + j), f);
        }
        s->s0[k] = s0, s->s1[k] = s1;
    }
}

INLINE void finish(uint32_t *out, const pair *s, const uint32_t *more, size_t n, const lanes *m) {
    for (size_t k = 0; k < n / LANES; k++) {
        pair t = more ? add_residues(s[k], load(more + k * LANES)) : s[k];
        store(out + k * LANES, reduce(t.e, t.o, m));
    }
}

INLINE void dot2_run(uint32_t *out0, uint32_t *out1, const uint32_t *const *x0, const uint32_t *const *x1,
                     const uint32_t *const *p, size_t count, size_t run, size_t shift, const uint32_t *add0,
                     const uint32_t *add1, size_t n, const lanes *m) {
    sums s;
    size_t block = n < BLOCK ? n : BLOCK;
    for (size_t j = 0; j < n; j += block) {
        size_t terms = 0;
        for (size_t e = 0; e < count;) {
            size_t left = count - e, group = left < GROUP ? left : GROUP;
            int full = terms + group >= TERMS; // one place is left free for add0 and add1
            if (full) terms = 1;               // a folded sum is below 2^32
#define ADD(g) add_terms(&s, x0 + e, x1 + e, p + e, g, run, shift, e == 0, full, j, block, m)
            switch (group) {
            case 1: ADD(1); break;
            case 2: ADD(2); break;
            case 3: ADD(3); break;
            default: ADD(GROUP);
            }
#undef ADD
            terms += group;
            e += group;
        }
        finish(out0 + j, s.s0, add0 ? add0 + j : NULL, block, m);
        finish(out1 + j, s.s1, add1 ? add1 + j : NULL, block, m);
    }
}

static void NAME(dot2)(uint32_t *out0, uint32_t *out1, const uint32_t *const *x0, const uint32_t *const *x1,
                       const uint32_t *const *p, size_t count, size_t run, const uint32_t *add0,
                       const uint32_t *add1, size_t n, const modulus *modulus) {
    const lanes m = in_lanes(modulus);
    size_t shift = (size_t)__builtin_ctzll(run);
    // The run is a constant of each loop.
#define RUN(r) dot2_run(out0, out1, x0, x1, p, count, r, shift, add0, add1, n, &m)
    switch (run) {
    case 1: RUN(1); break;
    case 2: RUN(2); break;
    case 4: RUN(4); break;
    case 8: RUN(8); break;
    default: RUN(16);
    }
#undef RUN
}

static void NAME(tensor)(uint32_t *d0, uint32_t *d1, uint32_t *d2, const uint32_t *const *a0,
                         const uint32_t *const *a1, const uint32_t *const *b0, const uint32_t *const *b1,
                         size_t count, size_t n, const modulus *modulus) {
    const lanes m = in_lanes(modulus);
    for (size_t j = 0; j < n; j += LANES) {
        pair s0 = {wide(0), wide(0)}, s1 = s0, s2 = s0;
        for (size_t e = 0; e < count; e++) {
            if (e % 7 == 0 && e) s0 = fold(s0, &m), s1 = fold(s1, &m), s2 = fold(s2, &m); // s1 takes two a pair
            V x0 = load(a0[e] + j), x1 = load(a1[e] + j), y0 = load(b0[e] + j), y1 = load(b1[e] + j);
            s0 = multiply_add(s0, x0, y0);
            s1 = multiply_add(multiply_add(s1, x0, y1), x1, y0);
            s2 = multiply_add(s2, x1, y1);
        }
        store(d0 + j, reduce(s0.e, s0.o, &m));
        store(d1 + j, reduce(s1.e, s1.o, &m));
        store(d2 + j, reduce(s2.e, s2.o, &m));
    }
}
