// Sixteen 32-bit lanes of AVX-512 (foundation and byte/word instructions).
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,bmi2")
#endif
#define TARGETED // set_impl.h ends it

#define LANES 16
#define NAME(f) f##_avx512
#define SET_NAME "avx512"
typedef __m512i V; // 32-bit lanes
typedef __m512i W; // 64-bit lanes

INLINE V load(const uint32_t *p) { return _mm512_loadu_si512(p); }
INLINE void store(uint32_t *p, V v) { _mm512_storeu_si512(p, v); }
INLINE V set1(uint32_t x) { return _mm512_set1_epi32((int)x); }
INLINE V add(V a, V b) { return _mm512_add_epi32(a, b); }
INLINE V sub(V a, V b) { return _mm512_sub_epi32(a, b); }
INLINE V minimum(V a, V b) { return _mm512_min_epu32(a, b); }
INLINE V mul_low(V a, V b) { return _mm512_mullo_epi32(a, b); }
INLINE V reverse(V v) {
    return _mm512_permutexvar_epi32(_mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), v);
}
INLINE W wide(uint64_t x) { return _mm512_set1_epi64((long long)x); }
INLINE W even(V v) { return _mm512_and_si512(v, wide(0xffffffff)); }
INLINE W odd(V v) { return _mm512_srli_epi64(v, 32); }
INLINE V high_words(W e, W o) { return _mm512_mask_shuffle_epi32(o, 0x5555, e, 0xf5); } // of every lane, in order
INLINE W wide_add(W a, W b) { return _mm512_add_epi64(a, b); }
INLINE W wide_sub(W a, W b) { return _mm512_sub_epi64(a, b); }
INLINE W wide_mul(W a, W b) { return _mm512_mul_epu32(a, b); } // of the low halves
INLINE W wide_low(W a) { return _mm512_and_si512(a, wide(0xffffffff)); }
INLINE W wide_high(W a) { return _mm512_srli_epi64(a, 32); }
INLINE W mul_even(V a, V b) { return _mm512_mul_epu32(a, b); }
INLINE W mul_odd(V a, V b) { return _mm512_mul_epu32(odd(a), odd(b)); }
INLINE W mul_odd_by(V a, V same) { return _mm512_mul_epu32(odd(a), same); }
// Whether these places lie in one aligned block of LANES, as the first does; and v in their order if they do.
#define PERMUTES
INLINE int in_one_block(V places, uint32_t first) {
    return !_mm512_cmpneq_epi32_mask(_mm512_srli_epi32(places, 4), set1(first >> 4));
}
INLINE V permute(V v, V places) { return _mm512_permutexvar_epi32(places, v); }
// LANES values of which each stands for `run` neighbours.
INLINE V spread(const uint32_t *p, size_t run) {
    const V lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    if (run == 1) return load(p);
    if (run == 2)
        return _mm512_permutexvar_epi32(_mm512_srli_epi32(lane, 1),
                                        _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)p)));
    if (run == 4)
        return _mm512_permutexvar_epi32(_mm512_srli_epi32(lane, 2),
                                        _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)p)));
    if (run == 8)
        return _mm512_permutexvar_epi32(_mm512_srli_epi32(lane, 3),
                                        _mm512_castsi128_si512(_mm_loadl_epi64((const __m128i *)p)));
    return set1(*p);
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
