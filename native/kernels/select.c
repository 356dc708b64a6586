// Which instruction set this processor gets, and the tables that depend on it.

#include <string.h>

#include "kernels.h"

extern const kernel_set kernels_portable;
#if defined(__x86_64__)
extern const kernel_set kernels_avx2, kernels_avx512;
#elif defined(__aarch64__)
extern const kernel_set kernels_neon;
#endif

const kernel_set *select_kernels(const char *name) {
    int any = name[0] == '\0';
#if defined(__x86_64__)
    // All that the sets are compiled for: a hypervisor may hide any of them.
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
    int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("bmi2");
    if (avx512 && (any || !strcmp(name, "avx512"))) return &kernels_avx512;
    if (avx2 && (any || !strcmp(name, "avx2"))) return &kernels_avx2;
#elif defined(__aarch64__)
    if (any || !strcmp(name, "neon")) return &kernels_neon;
#endif
    return any || !strcmp(name, "portable") ? &kernels_portable : NULL;
}

size_t near_size(uint32_t n, uint32_t lanes) {
    return lanes > 1 && n >= lanes * lanes ? (size_t)n / lanes * (lanes - 1) : 0;
}

// Group g of `lanes` values is lane g % lanes of the transposed block g / lanes.
void near_twiddles(uint32_t *near, const uint32_t *w, uint32_t n, uint32_t lanes) {
    if (!near_size(n, lanes)) return;
    for (size_t block = 0; block < n / lanes / lanes; block++)
        for (size_t t = lanes / 2; t >= 1; t /= 2)
            for (size_t i = 0; i < lanes / (2 * t); i++)
                for (size_t lane = 0; lane < lanes; lane++) {
                    size_t h = n / (2 * t), group = block * lanes + lane;
                    *near++ = w[h + group * (lanes / (2 * t)) + i];
                }
}
