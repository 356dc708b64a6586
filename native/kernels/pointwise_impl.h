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
    V q = set1((uint32_t)m->q), f = set1(factor), f_shoup = set1((uint32_t)(((uint64_t)factor << 32) / m->q));
    for (size_t i = 0; i < n; i += LANES)
        store(out + i, reduce_once(times(add(sub(load(a + i), load(b + i)), q), f, f_shoup, q), q));
}

static void NAME(scale)(uint32_t *out, const uint32_t *a, uint32_t factor, size_t n, const modulus *m) {
    V q = set1((uint32_t)m->q), f = set1(factor), f_shoup = set1((uint32_t)(((uint64_t)factor << 32) / m->q));
    for (size_t i = 0; i < n; i += LANES) store(out + i, reduce_once(times(load(a + i), f, f_shoup, q), q));
}

static void NAME(gather)(uint32_t *restrict out, const uint32_t *restrict in, const uint32_t *restrict index,
                         const uint32_t *restrict more, size_t n, uint32_t q) {
#ifdef PERMUTES
    // An automorphism takes aligned blocks of transformed values to such blocks, so that a load and a permutation of
    // lanes do for each what would be LANES loads.
    V modulus = set1(q);
    for (size_t i = 0; i < n; i += LANES) {
        V places = load(index + i), v;
        if (in_one_block(places, index[i])) {
            v = permute(load(in + index[i] / LANES * LANES), places);
        } else {
            uint32_t each[LANES];
            for (size_t j = 0; j < LANES; j++) each[j] = in[index[i + j]];
            v = load(each);
        }
        store(out + i, more ? reduce_once(add(v, load(more + i)), modulus) : v);
    }
#else
    if (more)
        for (size_t i = 0; i < n; i++) out[i] = wrap(in[index[i]] + more[i], q);
    else
        for (size_t i = 0; i < n; i++) out[i] = in[index[i]];
#endif
}

static void NAME(residues)(uint32_t *out, const int64_t *x, size_t n, const modulus *m) {
    uint64_t q = m->q, w = m->w, w_shoup = m->w_shoup, one_shoup = m->one_shoup;
    for (size_t i = 0; i < n; i++) {
        uint64_t sign = (uint64_t)(x[i] >> 63), a = ((uint64_t)x[i] ^ sign) - sign, high = a >> 32, low = (uint32_t)a;
        uint64_t r = high * w - ((high * w_shoup) >> 32) * q + low - ((low * one_shoup) >> 32) * q; // below 4q
        uint32_t s = wrap(wrap((uint32_t)r, (uint32_t)(2 * q)), (uint32_t)q);
        out[i] = sign && s ? (uint32_t)q - s : s;
    }
}

static void NAME(signed_residues)(uint32_t *out, const int32_t *x, size_t n, uint32_t modulus) {
    V q = set1(modulus);
    for (size_t i = 0; i < n; i += LANES) {
        V v = load((const uint32_t *)x + i);
        store(out + i, minimum(v, add(v, q))); // a negative number is above all residues, and comes down by + q
    }
}

static void NAME(multiply_runs)(uint32_t *out, const uint32_t *x, const uint32_t *p, size_t run, size_t n,
                                const modulus *modulus) {
    const lanes m = in_lanes(modulus);
    const pair zero = {wide(0), wide(0)};
    size_t shift = (size_t)__builtin_ctzll(run);
    for (size_t i = 0; i < n; i += LANES) {
        pair s = multiply_add(zero, load(x + i), spread(p + (i >> shift), run));
        store(out + i, reduce(s.e, s.o, &m));
    }
}

static void NAME(add_runs)(uint32_t *out, const uint32_t *x, const uint32_t *p, size_t run, size_t n, uint32_t q) {
    for (size_t i = 0; i < n; i += run)
        for (size_t j = i; j < i + run; j++) out[j] = wrap(x[j] + p[i / run], q);
}

static uint32_t NAME(below)(const uint32_t *x, size_t n, uint32_t q) {
    uint32_t above = 0;
    for (size_t i = 0; i < n; i++) above |= x[i] >= q;
    return !above;
}
