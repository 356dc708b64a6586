// Eight 32-bit lanes of AVX2.
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx2,bmi2")
#endif
#define TARGETED // set_impl.h ends it

#define LANES 8
#define NAME(f) f##_avx2
#define SET_NAME "avx2"
typedef __m256i V; // 32-bit lanes
typedef __m256i W; // 64-bit lanes

INLINE V load(const uint32_t *p) { return _mm256_loadu_si256((const V *)p); }
INLINE void store(uint32_t *p, V v) { _mm256_storeu_si256((V *)p, v); }
INLINE V set1(uint32_t x) { return _mm256_set1_epi32((int)x); }
INLINE V add(V a, V b) { return _mm256_add_epi32(a, b); }
INLINE V sub(V a, V b) { return _mm256_sub_epi32(a, b); }
INLINE V minimum(V a, V b) { return _mm256_min_epu32(a, b); }
INLINE V mul_low(V a, V b) { return _mm256_mullo_epi32(a, b); }
INLINE V reverse(V v) { return _mm256_permutevar8x32_epi32(v, _mm256_set_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
INLINE W wide(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
INLINE W even(V v) { return _mm256_and_si256(v, wide(0xffffffff)); }
INLINE W odd(V v) { return _mm256_srli_epi64(v, 32); }
INLINE V high_words(W e, W o) { return _mm256_blend_epi32(_mm256_srli_epi64(e, 32), o, 0xaa); } // in order
INLINE W wide_add(W a, W b) { return _mm256_add_epi64(a, b); }
INLINE W wide_sub(W a, W b) { return _mm256_sub_epi64(a, b); }
INLINE W wide_mul(W a, W b) { return _mm256_mul_epu32(a, b); } // of the low halves
INLINE W wide_low(W a) { return _mm256_and_si256(a, wide(0xffffffff)); }
INLINE W wide_high(W a) { return _mm256_srli_epi64(a, 32); }
INLINE W mul_even(V a, V b) { return _mm256_mul_epu32(a, b); }
INLINE W mul_odd(V a, V b) { return _mm256_mul_epu32(odd(a), odd(b)); }
INLINE W mul_odd_by(V a, V same) { return _mm256_mul_epu32(odd(a), same); }
// Whether these places lie in one aligned block of LANES, as the first does; and v in their order if they do.
#define PERMUTES
INLINE int in_one_block(V places, uint32_t first) {
    return _mm256_movemask_epi8(_mm256_cmpeq_epi32(_mm256_srli_epi32(places, 3), set1(first >> 3))) == -1;
}
INLINE V permute(V v, V places) { return _mm256_permutevar8x32_epi32(v, places); }
// LANES values of which each stands for `run` neighbours.
INLINE V spread(const uint32_t *p, size_t run) {
    const V lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    if (run == 1) return load(p);
    if (run == 2)
        return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                                           _mm256_srli_epi32(lane, 1));
    if (run == 4)
        return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)p)),
                                           _mm256_srli_epi32(lane, 2));
    return set1(*p);
}
// r[i] lane j becomes r[j] lane i.
INLINE void transpose(V *r) {
    V t[8];
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        r[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        V low = _mm256_permute2x128_si256(r[i], r[4 + i], 0x20);
        r[4 + i] = _mm256_permute2x128_si256(r[i], r[4 + i], 0x31);
        r[i] = low;
    }
}
