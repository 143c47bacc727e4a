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

void nb_rope_row(const nb_hparams *h, const double *frequencies, size_t position, float *row)
{
    const double at = (double)position * h->rope_scale;
    for (size_t i = 0; i < h->n_rot / 2; i++) {
        row[2 * i] = (float)nb_cos(at * frequencies[i]);
        row[2 * i + 1] = (float)nb_sin(at * frequencies[i]);
    }
}
