// Sixteen 32-bit lanes of AVX-512 (foundation and byte/word instructions).
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,bmi2")
#include <immintrin.h>

#define LANES 16
#define NAME(f) f##_avx512
#define SET_NAME "avx512"
typedef __m512i V;

INLINE V load(const uint32_t *p) { return _mm512_loadu_si512(p); }
INLINE void store(uint32_t *p, V v) { _mm512_storeu_si512(p, v); }
INLINE V set1(uint32_t x) { return _mm512_set1_epi32((int)x); }
INLINE V add(V a, V b) { return _mm512_add_epi32(a, b); }
INLINE V sub(V a, V b) { return _mm512_sub_epi32(a, b); }
INLINE V minimum(V a, V b) { return _mm512_min_epu32(a, b); }
INLINE V mul_low(V a, V b) { return _mm512_mullo_epi32(a, b); }
INLINE V mul_high(V a, V b) {
    V even = _mm512_srli_epi64(_mm512_mul_epu32(a, b), 32);
    V odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
    return _mm512_mask_mov_epi32(even, 0xaaaa, odd);
}
INLINE V reverse(V v) {
    return _mm512_permutexvar_epi32(_mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), v);
}
// r[i] lane j becomes r[j] lane i.
INLINE void transpose(V *r) {
    V t[16];
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
        r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
        r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
    }
}
