// All kernels for one instruction set.

#include "set.h"
#include "vector_portable.h"

#include "set_impl.h"

