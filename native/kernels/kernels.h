#ifndef HECLSTM_KERNELS_H
#define HECLSTM_KERNELS_H

#include <stddef.h>
#include <stdint.h>

// Arithmetic on limbs: polynomials modulo one prime below 2^30, in 32-bit words. Every kernel exists for several
// instruction sets with identical results, bit for bit; see select.c. Nothing here touches a secret.

// A prime and what its reductions need. w = 2^32 mod q; ⌊w·2^32/q⌋ and ⌊2^32/q⌋ (Shoup).
typedef struct {
    uint64_t q, w, w_shoup, one_shoup;
} modulus;

// The transform (NTT) of one limb of n values, in place.
//
// Radix-2 stages h = 1, 2, 4, … n/2 have h blocks; block i has the twiddle w[h + i], or its inverse iw[h + i].
// A twiddle comes with ⌊w·2^32/q⌋ beside it (Shoup), so a product costs two multiplications and no division.
// The last stages, whose butterflies lie within one vector, work on transposed blocks of lanes × lanes values and
// read their twiddles from `near` in just that order.
typedef struct {
    uint32_t q, n;
    uint32_t conjugate;            // 1: the conjugate-invariant ring has one more stage, which mirrors
    uint32_t mirror[2], imirror[2]; // its twiddle and inverse twiddle, each with its quotient
    uint32_t scale[2];             // 1/n, times what the inverse of the mirror leaves
    const uint32_t *w, *w_shoup, *iw, *iw_shoup;         // n values each
    const uint32_t *near, *near_shoup, *inear, *inear_shoup; // near_size values each
} ntt_tables;

// Extension of a number given modulo `count` primes s_i to other primes p. With D = Π s_i:
// x ≡ Σ y_i·(D/s_i) − v·D − h  with  y_i = (x_i + h)·(D/s_i)^-1 mod s_i,  v = ⌊Σ y_i/s_i⌋,  h = ⌊D/2⌋,
// which is the representative of x around zero (Halevi, Polyakov, Shoup, ia.cr/2018/117). v is taken from 60 fractional
// bits; where that is off by one, the result is another representative of the same number.
typedef struct {
    uint32_t count;
    const modulus *primes;        // s_i
    const uint32_t *half;         // h mod s_i
    const uint32_t *factor;       // (D/s_i)^-1 mod s_i, then the Shoup quotients
    const uint64_t *reciprocal;   // ⌊2^60/s_i⌋
} basis;

typedef struct {
    const char *name;
    uint32_t lanes;
    void (*ntt)(uint32_t *x, const ntt_tables *t);
    void (*intt)(uint32_t *x, const ntt_tables *t);

    // out = Σ_e x_e ⊙ p_e (+ add) for two polynomials at once; p_e stands for `run` values each.
    void (*dot2)(uint32_t *out0, uint32_t *out1, const uint32_t *const *x0, const uint32_t *const *x1,
                 const uint32_t *const *p, size_t count, size_t run, const uint32_t *add0, const uint32_t *add1,
                 size_t n, const modulus *m);

    // d0 = Σ a0 b0, d1 = Σ a0 b1 + a1 b0, d2 = Σ a1 b1.
    void (*tensor)(uint32_t *d0, uint32_t *d1, uint32_t *d2, const uint32_t *const *a0, const uint32_t *const *a1,
                   const uint32_t *const *b0, const uint32_t *const *b1, size_t count, size_t n, const modulus *m);

    // y_i and v of a basis extension, for n values.
    void (*split)(uint32_t *const *y, uint32_t *v, const uint32_t *const *x, const basis *b, size_t n);

    // One target prime: (Σ y_i·weight[i] + v·weight[count] + weight[count+1])·2^-32 mod m.
    void (*join)(uint32_t *out, const uint32_t *const *y, const uint32_t *v, const uint32_t *weight, size_t count,
                 size_t n, const modulus *m);

    void (*add)(uint32_t *out, const uint32_t *a, const uint32_t *b, size_t n, uint32_t q);
    void (*subtract)(uint32_t *out, const uint32_t *a, const uint32_t *b, size_t n, uint32_t q);
    void (*subtract_scale)(uint32_t *out, const uint32_t *a, const uint32_t *b, uint32_t factor, size_t n,
                           const modulus *m); // (a − b)·factor
    void (*scale)(uint32_t *out, const uint32_t *a, uint32_t factor, size_t n, const modulus *m);
    void (*lift)(uint32_t *out, const uint32_t *x, uint32_t from, size_t n, const modulus *m); // centred, to m
    void (*gather)(uint32_t *out, const uint32_t *in, const uint32_t *index, const uint32_t *add, size_t n,
                   uint32_t q); // in[index] (+ add)
    void (*residues)(uint32_t *out, const int64_t *x, size_t n, const modulus *m); // |x| below 2^62
    void (*signed_residues)(uint32_t *out, const int32_t *x, size_t n, uint32_t q); // |x| below q
    void (*multiply_runs)(uint32_t *out, const uint32_t *x, const uint32_t *p, size_t run, size_t n, const modulus *m);
    void (*add_runs)(uint32_t *out, const uint32_t *x, const uint32_t *p, size_t run, size_t n, uint32_t q);
    uint32_t (*below)(const uint32_t *x, size_t n, uint32_t q); // 1 if all are residues

    // BLAKE2Xb of a key's public seed, and uniform residues of what it gives: see xof_impl.h.
    void (*xof_root)(uint64_t root[8], const uint64_t key[16], size_t bytes);
    void (*xof)(uint64_t *out, const uint64_t root[8], uint32_t first, size_t blocks);
    size_t (*sample)(uint32_t *out, size_t wanted, const uint64_t *stream, size_t words, size_t *used, uint32_t mask,
                     uint32_t q);
} kernel_set;

// The set of that name, or the best that this processor has if name is empty; NULL if it has none of that name.
const kernel_set *select_kernels(const char *name);

size_t near_size(uint32_t n, uint32_t lanes); // 0 if lanes is 1 or n < lanes²
void near_twiddles(uint32_t *near, const uint32_t *w, uint32_t n, uint32_t lanes);

#endif
