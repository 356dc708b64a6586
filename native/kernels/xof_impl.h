// BLAKE2Xb, of which a seed's uniform polynomials are read: each block of output is a BLAKE2b of its own, over the same
// 64 bytes, so several are computed at once, each in a lane of 64 bits. Lattigo computes them one by one.

#if LANES > 1
#define BLOCKS (LANES / 2)
#else
#define BLOCKS 1
#endif
typedef uint64_t NAME(words) __attribute__((vector_size(8 * BLOCKS)));
#define U NAME(words)

INLINE U NAME(turn)(U x, int bits) { return (x >> bits) | (x << (64 - bits)); }

#define MIX(a, b, c, d, x, y)                                                                                          \
    v[a] += v[b] + (x), v[d] = NAME(turn)(v[d] ^ v[a], 32), v[c] += v[d], v[b] = NAME(turn)(v[b] ^ v[c], 24);           \
    v[a] += v[b] + (y), v[d] = NAME(turn)(v[d] ^ v[a], 16), v[c] += v[d], v[b] = NAME(turn)(v[b] ^ v[c], 63)

// h after its one and last block, of which `message` is all and `bytes` counts.
INLINE void NAME(compress)(U h[8], const uint64_t message[16], uint64_t bytes) {
    U v[16];
    for (int i = 0; i < 8; i++) v[i] = h[i], v[8 + i] = (U){0} + xof_iv[i];
    v[12] ^= bytes;
    v[14] = ~v[14];
    for (int round = 0; round < 12; round++) {
        const uint8_t *s = xof_sigma[round % 10];
#define M(i) message[s[i]]
        MIX(0, 4, 8, 12, M(0), M(1));
        MIX(1, 5, 9, 13, M(2), M(3));
        MIX(2, 6, 10, 14, M(4), M(5));
        MIX(3, 7, 11, 15, M(6), M(7));
        MIX(0, 5, 10, 15, M(8), M(9));
        MIX(1, 6, 11, 12, M(10), M(11));
        MIX(2, 7, 8, 13, M(12), M(13));
        MIX(3, 4, 9, 14, M(14), M(15));
#undef M
    }
    for (int i = 0; i < 8; i++) h[i] ^= v[i] ^ v[8 + i];
}

// What all blocks are made from; key: up to 64 bytes, padded with zeros to 128.
static void NAME(xof_root)(uint64_t root[8], const uint64_t key[16], size_t bytes) {
    U h[8];
    for (int i = 0; i < 8; i++) h[i] = (U){0} + xof_iv[i];
    h[0] ^= 64 | bytes << 8 | 1 << 16 | 1 << 24;
    h[1] ^= 0xffffffff00000000; // of unknown length
    NAME(compress)(h, key, bytes ? 128 : 0);
    for (int i = 0; i < 8; i++) root[i] = h[i][0];
}

static void NAME(xof)(uint64_t *out, const uint64_t root[8], uint32_t first, size_t blocks) {
    uint64_t message[16] = {0};
    memcpy(message, root, 64);
    for (size_t block = 0; block < blocks; block += BLOCKS) {
        U h[8];
        for (int i = 0; i < 8; i++) h[i] = (U){0} + xof_iv[i];
        h[0] ^= (uint64_t)64 | (uint64_t)64 << 32;
        h[2] ^= 64 << 8;
        U place = {0};
        for (size_t lane = 0; lane < BLOCKS; lane++)
            place[lane] = (uint64_t)(uint32_t)(first + block + lane) | 0xffffffff00000000;
        h[1] ^= place;
        NAME(compress)(h, message, 64);
        for (size_t lane = 0; lane < BLOCKS && block + lane < blocks; lane++)
            for (int i = 0; i < 8; i++) out[8 * (block + lane) + i] = h[i][lane];
    }
}

// Uniform residues from a stream, as Lattigo's sampler reads them: eight bytes each, the most significant one first, of
// which those below the mask count; what is not below q is left out. Returns how many there are; *used: words read.
static size_t NAME(sample)(uint32_t *out, size_t wanted, const uint64_t *stream, size_t words, size_t *used, uint32_t mask,
                           uint32_t q) {
    size_t found = 0, at = 0;
    for (; at < words && found < wanted; at++) {
        uint32_t x = __builtin_bswap32((uint32_t)(stream[at] >> 32)) & mask;
        out[found] = x;
        found += x < q;
    }
    *used = at;
    return found;
}

#undef MIX
#undef U
#undef BLOCKS
