// One lane of plain C: every machine, and the reference for the others.
#define LANES 1
#define NAME(f) f##_portable
#define SET_NAME "portable"
typedef uint32_t V;

INLINE V load(const uint32_t *p) { return *p; }
INLINE void store(uint32_t *p, V v) { *p = v; }
INLINE V set1(uint32_t x) { return x; }
INLINE V add(V a, V b) { return a + b; }
INLINE V sub(V a, V b) { return a - b; }
INLINE V minimum(V a, V b) { return a < b ? a : b; }
INLINE V mul_low(V a, V b) { return a * b; }
INLINE V mul_high(V a, V b) { return (uint32_t)((uint64_t)a * b >> 32); }
INLINE V reverse(V v) { return v; }
INLINE void transpose(V *r) { (void)r; }
