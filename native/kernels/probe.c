// What this machine can do at most, for the roofline: see docs/performance.md.

#include <stdint.h>
#include <string.h>

#include "kernels.h"

// The sum of `words` 64-bit words: reading memory as fast as one core can.
uint64_t probe_read(const uint64_t *data, size_t words) {
    uint64_t sum[8] = {0};
    for (size_t i = 0; i + 8 <= words; i += 8)
        for (size_t j = 0; j < 8; j++) sum[j] += data[i + j];
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

// rounds · 8 vectors of independent 32×32→64-bit products, with the widest multiplier there is; returns how many
// products that were.
#if defined(__x86_64__)
#include <immintrin.h>
__attribute__((target("avx512f"))) static uint64_t multiply_512(size_t rounds, uint64_t *out) {
    __m512i a[8], f = _mm512_set1_epi64(0x9e3779b9);
    for (int i = 0; i < 8; i++) a[i] = _mm512_set1_epi64(i + 1);
    for (size_t r = 0; r < rounds; r++)
        for (int i = 0; i < 8; i++) a[i] = _mm512_mul_epu32(a[i], f);
    for (int i = 0; i < 8; i++) *out += (uint64_t)_mm512_reduce_add_epi64(a[i]);
    return rounds * 64;
}
__attribute__((target("avx2"))) static uint64_t multiply_256(size_t rounds, uint64_t *out) {
    __m256i a[8], f = _mm256_set1_epi64x(0x9e3779b9);
    for (int i = 0; i < 8; i++) a[i] = _mm256_set1_epi64x(i + 1);
    for (size_t r = 0; r < rounds; r++)
        for (int i = 0; i < 8; i++) a[i] = _mm256_mul_epu32(a[i], f);
    for (int i = 0; i < 8; i++) *out += (uint64_t)_mm256_extract_epi64(a[i], 0);
    return rounds * 32;
}
#endif

uint64_t probe_multiply(const kernel_set *k, size_t rounds, uint64_t *out) {
#if defined(__x86_64__)
    if (k->lanes == 16) return multiply_512(rounds, out);
    if (k->lanes == 8) return multiply_256(rounds, out);
#endif
    uint64_t a[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (size_t r = 0; r < rounds; r++)
        for (int i = 0; i < 8; i++) a[i] = (uint32_t)a[i] * 0x9e3779b9ull + 1;
    for (int i = 0; i < 8; i++) *out += a[i];
    (void)k;
    return rounds * 8;
}
