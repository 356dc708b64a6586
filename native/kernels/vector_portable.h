// One lane of plain C: every machine, and the reference for the others.
#define LANES 1
#define NAME(f) f##_portable
#define SET_NAME "portable"
typedef uint32_t V;
typedef uint64_t W;

INLINE V load(const uint32_t *p) { return *p; }
INLINE void store(uint32_t *p, V v) { *p = v; }
INLINE V set1(uint32_t x) { return x; }
INLINE V add(V a, V b) { return a + b; }
INLINE V sub(V a, V b) { return a - b; }
INLINE V minimum(V a, V b) { return a < b ? a : b; }
INLINE V mul_low(V a, V b) { return a * b; }
INLINE V reverse(V v) { return v; }
INLINE W wide(uint64_t x) { return x; }
INLINE W even(V v) { return v; }
INLINE W odd(V v) { return (void)v, 0; } // there is no second lane
INLINE V high_words(W e, W o) { return (void)o, (V)(e >> 32); }
INLINE W wide_add(W a, W b) { return a + b; }
INLINE W wide_sub(W a, W b) { return a - b; }
INLINE W wide_mul(W a, W b) { return (uint64_t)(uint32_t)a * (uint32_t)b; }
INLINE W wide_low(W a) { return (uint32_t)a; }
INLINE W wide_high(W a) { return a >> 32; }
INLINE W mul_even(V a, V b) { return (uint64_t)a * b; }
INLINE W mul_odd(V a, V b) { return (void)a, (void)b, 0; }
INLINE W mul_odd_by(V a, V same) { return (void)a, (void)same, 0; }
INLINE V spread(const uint32_t *p, size_t run) { return (void)run, *p; }
INLINE void transpose(V *r) { (void)r; }
