#ifndef HECK_SET_H
#define HECK_SET_H

#include <string.h>

#include "kernels.h"

#define INLINE static inline __attribute__((always_inline))

#endif
