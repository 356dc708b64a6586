#ifndef HECLSTM_SET_H
#define HECLSTM_SET_H

#include <string.h>

#include "kernels.h"

#define INLINE static inline __attribute__((always_inline))

// Before a loop whose length is a small constant.
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif
