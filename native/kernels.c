#include "kernels.h"

#include <string.h>

// One binary runs on every x86-64 machine and picks the widest vectors it has.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#if __GNUC__ >= 12
#define WIDEST "arch=x86-64-v4"
#else
#define WIDEST "avx512f"
#endif
#define VECTORIZED __attribute__((target_clones(WIDEST, "avx2", "default"), optimize("O3")))
#else
#define VECTORIZED
#endif
#define INLINE static inline __attribute__((always_inline))

#define BLOCK 1024 // coefficients whose accumulators stay in the first-level cache
#define TERMS 15   // products that fit beside one residue
#define LOW 0xffffffffu

// Reduces any 64-bit x by Shoup's method on its two halves; each half's remainder is below 2q.
INLINE uint64_t reduce(uint64_t x, const modulus *m) {
    uint64_t high = x >> 32, low = x & LOW;
    uint64_t r = high * m->w - ((high * m->w_shoup) >> 32) * m->q;
    r += low - ((low * m->one_shoup) >> 32) * m->q;
    uint64_t s = r - 2 * m->q;
    r = s < r ? s : r; // r - 2q wraps around if it is negative
    s = r - m->q;
    return s < r ? s : r;
}

INLINE void reduce_block(uint64_t *x, size_t n, const modulus *m) {
    const modulus c = *m;
    for (size_t i = 0; i < n; i++) x[i] = reduce(x[i], &c);
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
        for (size_t i = 0; i < n / 4; i++)
            out[4 * i] = out[4 * i + 1] = out[4 * i + 2] = out[4 * i + 3] = p[i];
    } else {
        for (size_t i = 0; i < n; i++) out[i] = p[i / run];
    }
}

INLINE void finish(uint32_t *restrict out, const uint64_t *restrict sum, const uint32_t *restrict add, size_t n,
                   const modulus *m) {
    const modulus c = *m;
    if (add)
        for (size_t i = 0; i < n; i++) out[i] = (uint32_t)reduce(sum[i] + add[i], &c);
    else
        for (size_t i = 0; i < n; i++) out[i] = (uint32_t)reduce(sum[i], &c);
}

VECTORIZED void dot2(uint32_t *out0, uint32_t *out1, const uint32_t *const *x0, const uint32_t *const *x1,
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
            // One place is left free for add0 and add1.
            if (++terms == TERMS) {
                reduce_block(s0, block, m);
                reduce_block(s1, block, m);
                terms = 1;
            }
            const uint32_t *u = x0[e] + start, *v = x1[e] + start, *w = p[e] + start / run;
            if (run == 1) {
                accumulate(s0, s1, u, v, w, block);
            } else if (run < 16) {
                expand(expanded, w, run, block);
                accumulate(s0, s1, u, v, expanded, block);
            } else {
                size_t step = run < block ? run : block;
                for (size_t i = 0; i < block; i += step)
                    accumulate_constant(s0 + i, s1 + i, u + i, v + i, w[i / run], step);
            }
        }
        finish(out0 + start, s0, add0 ? add0 + start : NULL, block, m);
        finish(out1 + start, s1, add1 ? add1 + start : NULL, block, m);
    }
}

VECTORIZED void tensor(uint64_t *d0, uint64_t *d1, uint64_t *d2, const uint64_t *const *a0,
                       const uint64_t *const *a1, const uint64_t *const *b0, const uint64_t *const *b1,
                       size_t count, size_t n, const modulus *m) {
    uint64_t s0[BLOCK], s1[BLOCK], s2[BLOCK];
    size_t block = n < BLOCK ? n : BLOCK;
    for (size_t start = 0; start < n; start += block) {
        memset(s0, 0, block * sizeof *s0);
        memset(s1, 0, block * sizeof *s1);
        memset(s2, 0, block * sizeof *s2);
        for (size_t e = 0; e < count; e++) {
            if (e % 7 == 0 && e) { // d1 takes two products a pair
                reduce_block(s0, block, m);
                reduce_block(s1, block, m);
                reduce_block(s2, block, m);
            }
            const uint64_t *u0 = a0[e] + start, *u1 = a1[e] + start, *v0 = b0[e] + start, *v1 = b1[e] + start;
            for (size_t i = 0; i < block; i++) {
                uint64_t x0 = u0[i] & LOW, x1 = u1[i] & LOW, y0 = v0[i] & LOW, y1 = v1[i] & LOW;
                s0[i] += x0 * y0;
                s1[i] += x0 * y1 + x1 * y0;
                s2[i] += x1 * y1;
            }
        }
        reduce_block(s0, block, m);
        reduce_block(s1, block, m);
        reduce_block(s2, block, m);
        memcpy(d0 + start, s0, block * sizeof *s0);
        memcpy(d1 + start, s1, block * sizeof *s1);
        memcpy(d2 + start, s2, block * sizeof *s2);
    }
}

VECTORIZED void gather(uint32_t *restrict out, const uint32_t *restrict in, const uint32_t *restrict index,
                       size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = in[index[i]];
}

VECTORIZED void gather_add(uint32_t *restrict out, const uint32_t *restrict in, const uint32_t *restrict index,
                           const uint32_t *restrict add, size_t n, uint32_t q) {
    for (size_t i = 0; i < n; i++) {
        uint32_t r = in[index[i]] + add[i], s = r - q;
        out[i] = s < r ? s : r;
    }
}

VECTORIZED void add_to(uint32_t *restrict out, const uint32_t *restrict in, size_t n, uint32_t q) {
    for (size_t i = 0; i < n; i++) {
        uint32_t r = out[i] + in[i], s = r - q;
        out[i] = s < r ? s : r;
    }
}

VECTORIZED void narrow(uint32_t *restrict out, const uint64_t *restrict in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (uint32_t)in[i];
}

VECTORIZED void narrow_scaled(uint32_t *restrict out, const uint64_t *restrict in, uint64_t factor, size_t n,
                              const modulus *m) {
    const modulus c = *m;
    for (size_t i = 0; i < n; i++) out[i] = (uint32_t)reduce((in[i] & LOW) * factor, &c);
}

VECTORIZED void widen(uint64_t *restrict out, const uint32_t *restrict in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = in[i];
}

VECTORIZED void residues_of(uint64_t *restrict out, const int64_t *restrict in, size_t n, const modulus *m) {
    const modulus c = *m;
    for (size_t i = 0; i < n; i++) {
        uint64_t sign = (uint64_t)(in[i] >> 63); // all ones if negative
        uint64_t r = reduce(((uint64_t)in[i] ^ sign) - sign, &c);
        uint64_t negative = r ? c.q - r : 0;
        out[i] = sign ? negative : r;
    }
}

VECTORIZED void multiply_runs(uint64_t *restrict out, const uint64_t *restrict x, const uint32_t *restrict p,
                              size_t run, size_t n, const modulus *m) {
    const modulus c = *m;
    for (size_t i = 0; i < n; i += run)
        for (size_t j = i; j < i + run; j++) out[j] = reduce((x[j] & LOW) * p[i / run], &c);
}

VECTORIZED void add_runs(uint64_t *restrict out, const uint64_t *restrict x, const uint32_t *restrict p, size_t run,
                         size_t n, uint64_t q) {
    for (size_t i = 0; i < n; i += run)
        for (size_t j = i; j < i + run; j++) {
            uint64_t r = x[j] + p[i / run], s = r - q;
            out[j] = s < r ? s : r;
        }
}
