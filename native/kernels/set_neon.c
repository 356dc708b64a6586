// All kernels for one instruction set.
#if defined(__aarch64__)
#include "set.h"
#include "vector_neon.h"

#include "set_impl.h"
#endif
