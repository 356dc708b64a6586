// All kernels for one instruction set.
#if defined(__x86_64__)
#include "set.h"
#include "vector_avx2.h"

#include "set_impl.h"
#endif
