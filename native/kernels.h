// The multiply-accumulate loops. All residues are reduced and below 2^30, so that 15 products and one residue
// fit into 64 bits: sums are reduced once every 15 terms.
#ifndef HECLSTM_KERNELS_H
#define HECLSTM_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t q;
    uint64_t w;       // 2^32 mod q
    uint64_t w_shoup; // floor(w * 2^32 / q)
    uint64_t one_shoup; // floor(2^32 / q)
} modulus;

// out0 = sum_e x0[e] * p[e] + add0, out1 likewise. p[e] holds n / run values, each standing for `run`
// neighbouring ones. add0 and add1 may be null.
void dot2(uint32_t *out0, uint32_t *out1, const uint32_t *const *x0, const uint32_t *const *x1,
          const uint32_t *const *p, size_t count, size_t run, const uint32_t *add0, const uint32_t *add1,
          size_t n, const modulus *m);

// The degree-two product: d0 = sum a0*b0, d1 = sum a0*b1 + a1*b0, d2 = sum a1*b1.
void tensor(uint64_t *d0, uint64_t *d1, uint64_t *d2, const uint64_t *const *a0, const uint64_t *const *a1,
            const uint64_t *const *b0, const uint64_t *const *b1, size_t count, size_t n, const modulus *m);

void gather(uint32_t *out, const uint32_t *in, const uint32_t *index, size_t n);
void gather_add(uint32_t *out, const uint32_t *in, const uint32_t *index, const uint32_t *add, size_t n,
                uint32_t q);
void add_to(uint32_t *out, const uint32_t *in, size_t n, uint32_t q);

void narrow(uint32_t *out, const uint64_t *in, size_t n);
void narrow_scaled(uint32_t *out, const uint64_t *in, uint64_t factor, size_t n, const modulus *m);
void widen(uint64_t *out, const uint32_t *in, size_t n);

// out = in mod q for signed numbers.
void residues_of(uint64_t *out, const int64_t *in, size_t n, const modulus *m);

// out = x * p or x + p for a limb x and n / run values p.
void multiply_runs(uint64_t *out, const uint64_t *x, const uint32_t *p, size_t run, size_t n, const modulus *m);
void add_runs(uint64_t *out, const uint64_t *x, const uint32_t *p, size_t run, size_t n, uint64_t q);

#endif
