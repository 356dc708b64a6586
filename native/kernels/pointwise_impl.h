// Limb by limb, value by value.

INLINE uint32_t wrap(uint32_t x, uint32_t q) { // x below 2q
    uint32_t s = x - q;
    return s < x ? s : x;
}

static void NAME(add)(uint32_t *out, const uint32_t *a, const uint32_t *b, size_t n, uint32_t q) {
    for (size_t i = 0; i < n; i++) out[i] = wrap(a[i] + b[i], q);
}

static void NAME(subtract)(uint32_t *out, const uint32_t *a, const uint32_t *b, size_t n, uint32_t q) {
    for (size_t i = 0; i < n; i++) out[i] = wrap(a[i] + q - b[i], q);
}

static void NAME(subtract_scale)(uint32_t *out, const uint32_t *a, const uint32_t *b, uint32_t factor, size_t n,
                                 const modulus *m) {
    UNPACK(m);
    for (size_t i = 0; i < n; i++) out[i] = REDUCE((a[i] + q - b[i]) * factor);
}

static void NAME(scale)(uint32_t *out, const uint32_t *a, uint32_t factor, size_t n, const modulus *m) {
    UNPACK(m);
    for (size_t i = 0; i < n; i++) out[i] = REDUCE((uint64_t)a[i] * factor);
}

static void NAME(gather)(uint32_t *restrict out, const uint32_t *restrict in, const uint32_t *restrict index,
                         const uint32_t *restrict more, size_t n, uint32_t q) {
    if (more)
        for (size_t i = 0; i < n; i++) out[i] = wrap(in[index[i]] + more[i], q);
    else
        for (size_t i = 0; i < n; i++) out[i] = in[index[i]];
}

static void NAME(residues)(uint32_t *out, const int64_t *x, size_t n, const modulus *m) {
    UNPACK(m);
    for (size_t i = 0; i < n; i++) {
        uint64_t sign = (uint64_t)(x[i] >> 63), r = REDUCE(((uint64_t)x[i] ^ sign) - sign);
        out[i] = (uint32_t)(sign && r ? q - r : r);
    }
}

static void NAME(multiply_runs)(uint32_t *out, const uint32_t *x, const uint32_t *p, size_t run, size_t n,
                                const modulus *m) {
    UNPACK(m);
    for (size_t i = 0; i < n; i += run)
        for (size_t j = i; j < i + run; j++) out[j] = REDUCE((uint64_t)x[j] * p[i / run]);
}

static void NAME(add_runs)(uint32_t *out, const uint32_t *x, const uint32_t *p, size_t run, size_t n, uint32_t q) {
    for (size_t i = 0; i < n; i += run)
        for (size_t j = i; j < i + run; j++) out[j] = wrap(x[j] + p[i / run], q);
}
