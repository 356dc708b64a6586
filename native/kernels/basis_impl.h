// From one set of primes to another: see `basis` in kernels.h.

#define FRACTION 60

static void NAME(split)(uint32_t *const *y, uint32_t *v, const uint32_t *const *x, const basis *b, size_t n) {
    uint64_t sum[BLOCK];
    size_t block = n < BLOCK ? n : BLOCK;
    for (size_t start = 0; start < n; start += block) {
        memset(sum, 0, block * sizeof *sum);
        for (size_t i = 0; i < b->count; i++) {
            uint32_t q = (uint32_t)b->primes[i].q, half = b->half[i], f = b->factor[i], f_shoup = b->factor[b->count + i];
            uint64_t r = b->reciprocal[i];
            const uint32_t *in = x[i] + start; // may be the output
            uint32_t *out = y[i] + start;
            for (size_t j = 0; j < block; j += LANES) {
                V a = add(load(in + j), set1(half)); // below 2q
                store(out + j, reduce_once(times(a, set1(f), set1(f_shoup), set1(q)), set1(q)));
            }
            if (r >> 32) // of a prime below 2^28
                for (size_t j = 0; j < block; j++) sum[j] += out[j] * r; // below 2^60 each: y/s < 1
            else
                for (size_t j = 0; j < block; j++) sum[j] += (uint64_t)out[j] * (uint32_t)r;
        }
        for (size_t j = 0; j < block; j++) v[start + j] = (uint32_t)(sum[j] >> FRACTION);
    }
}

static void NAME(join)(uint32_t *out, const uint32_t *const *y, const uint32_t *v, const uint32_t *weight,
                       size_t count, size_t n, const modulus *modulus) {
    const lanes m = in_lanes(modulus);
    V last = set1(weight[count]), constant = set1(weight[count + 1]);
    for (size_t j = 0; j < n; j += LANES) {
        pair s = multiply_add_by(add_residues((pair){wide(0), wide(0)}, constant), load(v + j), last);
        for (size_t i = 0; i < count; i++) {
            if (i && i % (TERMS - 2) == 0) s = fold(s, &m);
            s = multiply_add_by(s, load(y[i] + j), set1(weight[i]));
        }
        store(out + j, reduce_more(s.e, s.o, &m));
    }
}

// x modulo `from`, read as a number around zero, modulo m.
static void NAME(lift)(uint32_t *out, const uint32_t *x, uint32_t from, size_t n, const modulus *m) {
    uint32_t q = (uint32_t)m->q, half = from / 2, shift = q - from % q; // x − from ≡ x + shift
    uint32_t one_shoup = (uint32_t)m->one_shoup;
    for (size_t i = 0; i < n; i++) {
        uint32_t a = x[i] + (x[i] > half ? shift : 0); // below 2^31
        a -= (uint32_t)((uint64_t)a * one_shoup >> 32) * q; // below 2q
        uint32_t s = a - q;
        out[i] = s < a ? s : a;
    }
}
