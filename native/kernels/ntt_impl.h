// The transform, once for each vector width; included after vector_*.h. Lazy reduction after Harvey
// (arXiv 1205.2926): values stay below 4q forwards and below 2q backwards, q < 2^30.

#define LEAF 8192 // values whose remaining stages run in the first-level cache

INLINE V mul_high(V a, V b) { return high_words(mul_even(a, b), mul_odd(a, b)); }

// x·w modulo q, below 2q, for any 32-bit x.
INLINE V times(V x, V w, V w_shoup, V q) { return sub(mul_low(x, w), mul_low(mul_high(x, w_shoup), q)); }
INLINE V reduce_once(V x, V q) { return minimum(x, sub(x, q)); } // x − q wraps around if it is negative

// Cooley–Tukey: (x + w·y, x − w·y), inputs and outputs below 4q.
INLINE void butterfly(V *x, V *y, V w, V w_shoup, V q, V q2) {
    V u = reduce_once(*x, q2), v = times(*y, w, w_shoup, q);
    *x = add(u, v);
    *y = add(sub(u, v), q2);
}

// Gentleman–Sande: (x + y, (x − y)·w), inputs and outputs below 2q.
INLINE void ibutterfly(V *x, V *y, V w, V w_shoup, V q, V q2) {
    V u = *x, v = *y;
    *x = reduce_once(add(u, v), q2);
    *y = times(add(sub(u, v), q2), w, w_shoup, q);
}

// Stages h and 2h of block i, which has 4·t values at x.
INLINE void radix4(uint32_t *x, size_t t, size_t h, size_t i, const ntt_tables *c) {
    V q = set1(c->q), q2 = set1(2 * c->q);
    V w1 = set1(c->w[h + i]), s1 = set1(c->w_shoup[h + i]);
    V w2 = set1(c->w[2 * h + 2 * i]), s2 = set1(c->w_shoup[2 * h + 2 * i]);
    V w3 = set1(c->w[2 * h + 2 * i + 1]), s3 = set1(c->w_shoup[2 * h + 2 * i + 1]);
    for (size_t j = 0; j < t; j += LANES) {
        V a = load(x + j), b = load(x + t + j), d = load(x + 2 * t + j), e = load(x + 3 * t + j);
        butterfly(&a, &d, w1, s1, q, q2);
        butterfly(&b, &e, w1, s1, q, q2);
        butterfly(&a, &b, w2, s2, q, q2);
        butterfly(&d, &e, w3, s3, q, q2);
        store(x + j, a), store(x + t + j, b), store(x + 2 * t + j, d), store(x + 3 * t + j, e);
    }
}

INLINE void iradix4(uint32_t *x, size_t t, size_t h, size_t i, const ntt_tables *c) {
    V q = set1(c->q), q2 = set1(2 * c->q);
    V w1 = set1(c->iw[h + i]), s1 = set1(c->iw_shoup[h + i]);
    V w2 = set1(c->iw[2 * h + 2 * i]), s2 = set1(c->iw_shoup[2 * h + 2 * i]);
    V w3 = set1(c->iw[2 * h + 2 * i + 1]), s3 = set1(c->iw_shoup[2 * h + 2 * i + 1]);
    for (size_t j = 0; j < t; j += LANES) {
        V a = load(x + j), b = load(x + t + j), d = load(x + 2 * t + j), e = load(x + 3 * t + j);
        ibutterfly(&a, &b, w2, s2, q, q2);
        ibutterfly(&d, &e, w3, s3, q, q2);
        ibutterfly(&a, &d, w1, s1, q, q2);
        ibutterfly(&b, &e, w1, s1, q, q2);
        store(x + j, a), store(x + t + j, b), store(x + 2 * t + j, d), store(x + 3 * t + j, e);
    }
}

INLINE void radix2(uint32_t *x, size_t t, size_t k, const ntt_tables *c) {
    V q = set1(c->q), q2 = set1(2 * c->q), w = set1(c->w[k]), s = set1(c->w_shoup[k]);
    for (size_t j = 0; j < t; j += LANES) {
        V a = load(x + j), b = load(x + t + j);
        butterfly(&a, &b, w, s, q, q2);
        store(x + j, a), store(x + t + j, b);
    }
}

INLINE void iradix2(uint32_t *x, size_t t, size_t k, const ntt_tables *c) {
    V q = set1(c->q), q2 = set1(2 * c->q), w = set1(c->iw[k]), s = set1(c->iw_shoup[k]);
    for (size_t j = 0; j < t; j += LANES) {
        V a = load(x + j), b = load(x + t + j);
        ibutterfly(&a, &b, w, s, q, q2);
        store(x + j, a), store(x + t + j, b);
    }
}

#if LANES > 1
// One stage of LANES² transposed values: butterfly k joins the whole vectors `low` and `low + t`.
#define LOW(k, t) (2 * (t) * ((k) / (t)) + (k) % (t))

INLINE void near_stage(V *r, const uint32_t *w, const uint32_t *s, size_t t, V q, V q2) {
    UNROLL
    for (size_t k = 0; k < LANES / 2; k++)
        butterfly(&r[LOW(k, t)], &r[LOW(k, t) + t], load(w + k / t * LANES), load(s + k / t * LANES), q, q2);
}

INLINE void inear_stage(V *r, const uint32_t *w, const uint32_t *s, size_t t, V q, V q2) {
    UNROLL
    for (size_t k = 0; k < LANES / 2; k++)
        ibutterfly(&r[LOW(k, t)], &r[LOW(k, t) + t], load(w + k / t * LANES), load(s + k / t * LANES), q, q2);
}

// Where the twiddles of stage t begin: stages LANES/2 … 2t need LANES/2t − 1 vectors.
#define NEAR(t) ((LANES / (2 * (t)) - 1) * LANES)

// The stages t = LANES/2 … 1.
INLINE void near_stages(uint32_t *x, const uint32_t *w, const uint32_t *s, V q, V q2) {
    V r[LANES];
    for (size_t i = 0; i < LANES; i++) r[i] = load(x + i * LANES);
    transpose(r);
    if (LANES > 8) near_stage(r, w, s, 8, q, q2);
    if (LANES > 4) near_stage(r, w + NEAR(4), s + NEAR(4), 4, q, q2);
    near_stage(r, w + NEAR(2), s + NEAR(2), 2, q, q2);
    near_stage(r, w + NEAR(1), s + NEAR(1), 1, q, q2);
    transpose(r);
    for (size_t i = 0; i < LANES; i++) store(x + i * LANES, reduce_once(reduce_once(r[i], q2), q));
}

INLINE void inear_stages(uint32_t *x, const uint32_t *w, const uint32_t *s, V q, V q2) {
    V r[LANES];
    for (size_t i = 0; i < LANES; i++) r[i] = load(x + i * LANES);
    transpose(r);
    inear_stage(r, w + NEAR(1), s + NEAR(1), 1, q, q2);
    inear_stage(r, w + NEAR(2), s + NEAR(2), 2, q, q2);
    if (LANES > 4) inear_stage(r, w + NEAR(4), s + NEAR(4), 4, q, q2);
    if (LANES > 8) inear_stage(r, w, s, 8, q, q2);
    transpose(r);
    for (size_t i = 0; i < LANES; i++) store(x + i * LANES, r[i]);
}

#endif

// All stages from h on of block i, n values at x, down to vectors; depth first, so that leaves stay in cache.
static void stages(uint32_t *x, size_t n, size_t h, size_t i, const ntt_tables *c) {
    if (n > LEAF && n >= 4 * LANES) {
        radix4(x, n / 4, h, i, c);
        for (size_t k = 0; k < 4; k++) stages(x + k * (n / 4), n / 4, 4 * h, 4 * i + k, c);
        return;
    }
    size_t size = n, blocks = 1;
    for (; size >= 4 * LANES; size /= 4, blocks *= 4)
        for (size_t k = 0; k < blocks; k++) radix4(x + k * size, size / 4, h * blocks, i * blocks + k, c);
    if (size >= 2 * LANES)
        for (size_t k = 0; k < blocks; k++) radix2(x + k * size, size / 2, (h + i) * blocks + k, c);
    V q = set1(c->q), q2 = set1(2 * c->q);
#if LANES > 1
    for (size_t k = 0; k < n; k += LANES * LANES) {
        size_t at = (i * n + k) / LANES * (LANES - 1);
        near_stages(x + k, c->near + at, c->near_shoup + at, q, q2);
    }
#else
    for (size_t k = 0; k < n; k += LANES) store(x + k, reduce_once(reduce_once(load(x + k), q2), q));
#endif
}

static void istages(uint32_t *x, size_t n, size_t h, size_t i, const ntt_tables *c) {
    if (n > LEAF && n >= 4 * LANES) {
        for (size_t k = 0; k < 4; k++) istages(x + k * (n / 4), n / 4, 4 * h, 4 * i + k, c);
        iradix4(x, n / 4, h, i, c);
        return;
    }
#if LANES > 1
    V q = set1(c->q), q2 = set1(2 * c->q);
    for (size_t k = 0; k < n; k += LANES * LANES) {
        size_t at = (i * n + k) / LANES * (LANES - 1);
        inear_stages(x + k, c->inear + at, c->inear_shoup + at, q, q2);
    }
#endif
    size_t size = n, blocks = 1;
    for (; size >= 4 * LANES; size /= 4) blocks *= 4;
    if (size >= 2 * LANES)
        for (size_t k = 0; k < blocks; k++) iradix2(x + k * size, size / 2, (h + i) * blocks + k, c);
    for (size *= 4, blocks /= 4; blocks; size *= 4, blocks /= 4)
        for (size_t k = 0; k < blocks; k++) iradix4(x + k * size, size / 4, h * blocks, i * blocks + k, c);
}

// (x[j], x[n−j]) ← (x[j] − f·x[n−j], x[n−j] − f·x[j]) for 0 < j < n: the stage that takes the conjugate-invariant
// ring into n values (Kim and Song, ia.cr/2018/952). Inputs and outputs below 4q.
INLINE void mirror(uint32_t *x, size_t n, const uint32_t *f, uint32_t m) {
    V q = set1(m), q2 = set1(2 * m), w = set1(f[0]), s = set1(f[1]);
    size_t j = 1, k = n - LANES;
    for (; j + LANES <= n / 2; j += LANES, k -= LANES) {
        V a = reduce_once(load(x + j), q2), b = reduce_once(reverse(load(x + k)), q2);
        store(x + j, add(sub(a, times(b, w, s, q)), q2));
        store(x + k, reverse(add(sub(b, times(a, w, s, q)), q2)));
    }
    for (; j <= n / 2; j++) {
        uint32_t a = x[j], b = x[n - j];
        a = a < a - 2 * m ? a : a - 2 * m, b = b < b - 2 * m ? b : b - 2 * m;
        uint32_t fa = a * f[0] - (uint32_t)((uint64_t)a * f[1] >> 32) * m;
        uint32_t fb = b * f[0] - (uint32_t)((uint64_t)b * f[1] >> 32) * m;
        x[j] = a - fb + 2 * m;
        x[n - j] = b - fa + 2 * m;
    }
}

#if LANES > 1
extern const kernel_set kernels_portable;
#define SMALL(f) if (c->n < LANES * LANES) { kernels_portable.f(x, c); return; } // too short for the near stages
#else
#define SMALL(f)
#endif

static void NAME(ntt)(uint32_t *x, const ntt_tables *c) {
    SMALL(ntt)
    if (c->conjugate) mirror(x, c->n, c->mirror, c->q);
    stages(x, c->n, 1, 0, c);
}

static void NAME(intt)(uint32_t *x, const ntt_tables *c) {
    SMALL(intt)
    istages(x, c->n, 1, 0, c);
    if (c->conjugate) {
        uint32_t first = 2 * x[0], q2 = 2 * c->q;
        mirror(x, c->n, c->imirror, c->q);
        x[0] = first < q2 ? first : first - q2;
    }
    V q = set1(c->q), w = set1(c->scale[0]), s = set1(c->scale[1]);
    for (size_t j = 0; j < c->n; j += LANES) store(x + j, reduce_once(times(load(x + j), w, s, q), q));
}
