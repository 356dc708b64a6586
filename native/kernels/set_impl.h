// Every kernel, compiled for the instruction set that was included before.

#include "ntt_impl.h"
#include "sums_impl.h"

#include "basis_impl.h"
#include "pointwise_impl.h"
#include "xof_impl.h"

#define FIELD(f) .f = NAME(f)

const kernel_set NAME(kernels) = {
    .name = SET_NAME,
    .lanes = LANES,
    FIELD(ntt),
    FIELD(intt),
    FIELD(dot2),
    FIELD(tensor),
    FIELD(split),
    FIELD(join),
    FIELD(add),
    FIELD(subtract),
    FIELD(subtract_scale),
    FIELD(scale),
    FIELD(lift),
    FIELD(gather),
    FIELD(residues),
    FIELD(signed_residues),
    FIELD(multiply_runs),
    FIELD(add_runs),
    FIELD(below),
    FIELD(xof_root),
    FIELD(xof),
    FIELD(sample),
};

#if defined(__clang__) && defined(TARGETED)
#pragma clang attribute pop
#endif
