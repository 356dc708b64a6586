// Four 32-bit lanes of NEON, which every 64-bit arm has.
#include <arm_neon.h>

#define LANES 4
#define NAME(f) f##_neon
#define SET_NAME "neon"
typedef uint32x4_t V;
typedef uint64x2_t W;

INLINE V load(const uint32_t *p) { return vld1q_u32(p); }
INLINE void store(uint32_t *p, V v) { vst1q_u32(p, v); }
INLINE V set1(uint32_t x) { return vdupq_n_u32(x); }
INLINE V add(V a, V b) { return vaddq_u32(a, b); }
INLINE V sub(V a, V b) { return vsubq_u32(a, b); }
INLINE V minimum(V a, V b) { return vminq_u32(a, b); }
INLINE V mul_low(V a, V b) { return vmulq_u32(a, b); }
// Lanes 0 and 1 are the "even" half, 2 and 3 the "odd" one: the long multiplications of NEON take them so.
INLINE W mul_even(V a, V b) { return vmull_u32(vget_low_u32(a), vget_low_u32(b)); }
INLINE W mul_odd(V a, V b) { return vmull_high_u32(a, b); }
INLINE W mul_odd_by(V a, V same) { return vmull_high_u32(a, same); }
INLINE V reverse(V v) {
    V pairs = vrev64q_u32(v);
    return vextq_u32(pairs, pairs, 2);
}
INLINE W wide(uint64_t x) { return vdupq_n_u64(x); }
INLINE W even(V v) { return vmovl_u32(vget_low_u32(v)); }
INLINE W odd(V v) { return vmovl_high_u32(v); }
INLINE V high_words(W e, W o) { return vuzp2q_u32(vreinterpretq_u32_u64(e), vreinterpretq_u32_u64(o)); } // in order
INLINE W wide_add(W a, W b) { return vaddq_u64(a, b); }
INLINE W wide_sub(W a, W b) { return vsubq_u64(a, b); }
INLINE W wide_mul(W a, W b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); } // of the low halves
INLINE W wide_low(W a) { return vandq_u64(a, vdupq_n_u64(0xffffffff)); }
INLINE W wide_high(W a) { return vshrq_n_u64(a, 32); }
// LANES values of which each stands for `run` neighbours.
INLINE V spread(const uint32_t *p, size_t run) {
    if (run == 1) return load(p);
    if (run == 2) {
        uint32x2_t v = vld1_u32(p);
        return vcombine_u32(vdup_lane_u32(v, 0), vdup_lane_u32(v, 1));
    }
    return set1(*p);
}
// r[i] lane j becomes r[j] lane i.
INLINE void transpose(V *r) {
    uint64x2_t a = vreinterpretq_u64_u32(vtrn1q_u32(r[0], r[1])), b = vreinterpretq_u64_u32(vtrn2q_u32(r[0], r[1]));
    uint64x2_t c = vreinterpretq_u64_u32(vtrn1q_u32(r[2], r[3])), d = vreinterpretq_u64_u32(vtrn2q_u32(r[2], r[3]));
    r[0] = vreinterpretq_u32_u64(vtrn1q_u64(a, c));
    r[1] = vreinterpretq_u32_u64(vtrn1q_u64(b, d));
    r[2] = vreinterpretq_u32_u64(vtrn2q_u64(a, c));
    r[3] = vreinterpretq_u32_u64(vtrn2q_u64(b, d));
}
