/* exp and tanh in f32. The exp kernels perform the operations of nb_expf, lane by lane. */
#include "math/expf.h"
#include "math/math.h"
#include "math/tanhf.h"

float nb_expf(float x)
{
    return nb_expf_inline(x);
}

float nb_tanhf(float x)
{
    return nb_tanhf_inline(x);
}
