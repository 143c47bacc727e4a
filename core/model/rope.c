#include "model/rope.h"

#include "math/math.h"

void nb_rope_frequencies(const nb_hparams *h, const float *factors, double *out)
{
    for (size_t i = 0; i < h->n_rot / 2; i++) {
        out[i] = nb_pow(h->rope_base, -2.0 * (double)i / (double)h->n_rot);
        if (factors)
            out[i] /= (double)factors[i];
    }
}

void nb_rope_row(const nb_hparams *h, const double *frequencies, bool halves, size_t position, float *row)
{
    const size_t half = h->n_rot / 2, step = halves ? 1 : 2, sines = halves ? half : 1;
    const double magnitude = h->rope_magnitude > 0 ? h->rope_magnitude : 1.0;
    const double at = (double)position * h->rope_scale;
    for (size_t i = 0; i < half; i++) {
        row[step * i] = (float)(magnitude * nb_cos(at * frequencies[i]));
        row[step * i + sines] = (float)(magnitude * nb_sin(at * frequencies[i]));
    }
}
