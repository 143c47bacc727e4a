/* The search for AWQ's factors, whatever it is that loses by them. */
#include "quant/awq.h"

#include "base/memory.h"
#include "math/math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float LEAST = 1e-4f;

static double power(double x, double exponent)
{
    return exponent == 0 ? 1.0 : x > 0 ? nb_pow(x, exponent) : 0.0;
}

void nb_awq_scales(const float *x_mean, const float *w_mean, size_t n, double ratio, float *scales)
{
    float largest = 0, smallest = INFINITY;
    for (size_t i = 0; i < n; i++) {
        double s = power((double)x_mean[i], ratio);
        if (w_mean)
            s /= power((double)w_mean[i], 1.0 - ratio) + (double)LEAST;
        scales[i] = s > (double)LEAST ? (float)s : LEAST;
        largest = scales[i] > largest ? scales[i] : largest;
        smallest = scales[i] < smallest ? scales[i] : smallest;
    }
    const float middle = sqrtf(largest * smallest);
    for (size_t i = 0; i < n; i++) {
        scales[i] /= middle;
        if (!isfinite(scales[i]) || scales[i] <= 0)
            scales[i] = 1.0f;
    }
}

nb_status nb_awq_search(const float *x_mean, const float *w_mean, size_t n, nb_awq_loss_fn *loss, void *user,
                        float *scales, nb_awq_choice *choice, nb_error *error)
{
    float *tried = nb_calloc(n, sizeof *tried);
    nb_status status = tried ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for %zu factors", n);
    bool found = false;
    for (unsigned step = 0; status == NB_OK && step < NB_AWQ_STEPS; step++) {
        double lost = NAN;
        nb_awq_scales(x_mean, w_mean, n, (double)step / NB_AWQ_STEPS, tried);
        status = loss(user, tried, &lost, error);
        if (status != NB_OK)
            break;
        if (step == 0)
            choice->rounded = lost;
        if (isfinite(lost) && (!found || lost < choice->scaled)) {
            choice->step = step;
            choice->scaled = lost;
            memcpy(scales, tried, n * sizeof *scales);
            found = true;
        }
    }
    if (status == NB_OK && w_mean) { /* then even ratio 0 has factors */
        for (size_t i = 0; i < n; i++)
            tried[i] = 1.0f;
        status = loss(user, tried, &choice->rounded, error);
    }
    free(tried);
    if (status == NB_OK && !found)
        return nb_fail(error, NB_ERR_STATE, "the loss is no finite number for any factors: some activations are none");
    return status;
}
