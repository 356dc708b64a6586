// Sums of products: 15 products of residues below 2^30 and one residue fit into 64 bits.

#define BLOCK 1024 // coefficients whose accumulators stay in the first-level cache
#define TERMS 15

// Any 64-bit x modulo q by Shoup's method on its two halves; each half's remainder is below 2q.
INLINE uint32_t reduce(uint64_t x, uint64_t q, uint64_t w, uint64_t w_shoup, uint64_t one_shoup) {
    uint64_t high = x >> 32, low = x & 0xffffffffu;
    uint64_t r = high * w - ((high * w_shoup) >> 32) * q + low - ((low * one_shoup) >> 32) * q;
    uint64_t s = r - 2 * q;
    r = s < r ? s : r; // r − 2q wraps around if it is negative
    s = r - q;
    return (uint32_t)(s < r ? s : r);
}
#define REDUCE(x) reduce(x, q, w, w_shoup, one_shoup)
#define UNPACK(m) uint64_t q = (m)->q, w = (m)->w, w_shoup = (m)->w_shoup, one_shoup = (m)->one_shoup

INLINE void reduce_block(uint64_t *x, size_t n, const modulus *m) {
    UNPACK(m);
    for (size_t i = 0; i < n; i++) x[i] = REDUCE(x[i]);
}

INLINE void accumulate(uint64_t *restrict s0, uint64_t *restrict s1, const uint32_t *restrict x0,
                       const uint32_t *restrict x1, const uint32_t *restrict p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        s0[i] += (uint64_t)x0[i] * p[i];
        s1[i] += (uint64_t)x1[i] * p[i];
    }
}

INLINE void accumulate_constant(uint64_t *restrict s0, uint64_t *restrict s1, const uint32_t *restrict x0,
                                const uint32_t *restrict x1, uint32_t p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        s0[i] += (uint64_t)x0[i] * p;
        s1[i] += (uint64_t)x1[i] * p;
    }
}

INLINE void expand(uint32_t *restrict out, const uint32_t *restrict p, size_t run, size_t n) {
    if (run == 2) {
        for (size_t i = 0; i < n / 2; i++) out[2 * i] = out[2 * i + 1] = p[i];
    } else if (run == 4) {
        for (size_t i = 0; i < n / 4; i++) out[4 * i] = out[4 * i + 1] = out[4 * i + 2] = out[4 * i + 3] = p[i];
    } else {
        for (size_t i = 0; i < n; i++) out[i] = p[i / run];
    }
}

INLINE void finish(uint32_t *restrict out, const uint64_t *restrict sum, const uint32_t *restrict add, size_t n,
                   const modulus *m) {
    UNPACK(m);
    if (add)
        for (size_t i = 0; i < n; i++) out[i] = REDUCE(sum[i] + add[i]);
    else
        for (size_t i = 0; i < n; i++) out[i] = REDUCE(sum[i]);
}

static void NAME(dot2)(uint32_t *out0, uint32_t *out1, const uint32_t *const *x0, const uint32_t *const *x1,
                       const uint32_t *const *p, size_t count, size_t run, const uint32_t *add0,
                       const uint32_t *add1, size_t n, const modulus *m) {
    uint64_t s0[BLOCK], s1[BLOCK];
    uint32_t expanded[BLOCK];
    size_t block = n < BLOCK ? n : BLOCK;
    for (size_t start = 0; start < n; start += block) {
        memset(s0, 0, block * sizeof *s0);
        memset(s1, 0, block * sizeof *s1);
        size_t terms = 0;
        for (size_t e = 0; e < count; e++) {
            if (++terms == TERMS) { // one place is left free for add0 and add1
                reduce_block(s0, block, m);
                reduce_block(s1, block, m);
                terms = 1;
            }
            const uint32_t *u = x0[e] + start, *v = x1[e] + start, *f = p[e] + start / run;
            if (run == 1) {
                accumulate(s0, s1, u, v, f, block);
            } else if (run < 16) {
                expand(expanded, f, run, block);
                accumulate(s0, s1, u, v, expanded, block);
            } else {
                size_t step = run < block ? run : block;
                for (size_t i = 0; i < block; i += step)
                    accumulate_constant(s0 + i, s1 + i, u + i, v + i, f[i / run], step);
            }
        }
        finish(out0 + start, s0, add0 ? add0 + start : NULL, block, m);
        finish(out1 + start, s1, add1 ? add1 + start : NULL, block, m);
    }
}

static void NAME(tensor)(uint32_t *d0, uint32_t *d1, uint32_t *d2, const uint32_t *const *a0,
                         const uint32_t *const *a1, const uint32_t *const *b0, const uint32_t *const *b1,
                         size_t count, size_t n, const modulus *m) {
    uint64_t s0[BLOCK], s1[BLOCK], s2[BLOCK];
    size_t block = n < BLOCK ? n : BLOCK;
    for (size_t start = 0; start < n; start += block) {
        memset(s0, 0, block * sizeof *s0);
        memset(s1, 0, block * sizeof *s1);
        memset(s2, 0, block * sizeof *s2);
        for (size_t e = 0; e < count; e++) {
            if (e % 7 == 0 && e) { // s1 takes two products a pair
                reduce_block(s0, block, m);
                reduce_block(s1, block, m);
                reduce_block(s2, block, m);
            }
            const uint32_t *restrict u0 = a0[e] + start, *restrict u1 = a1[e] + start;
            const uint32_t *restrict v0 = b0[e] + start, *restrict v1 = b1[e] + start;
            for (size_t i = 0; i < block; i++) {
                uint64_t x0 = u0[i], x1 = u1[i], y0 = v0[i], y1 = v1[i];
                s0[i] += x0 * y0;
                s1[i] += x0 * y1 + x1 * y0;
                s2[i] += x1 * y1;
            }
        }
        finish(d0 + start, s0, NULL, block, m);
        finish(d1 + start, s1, NULL, block, m);
        finish(d2 + start, s2, NULL, block, m);
    }
}
