#include "train/adamw.h"

#include "base/memory.h"
#include "math/math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 8 << 10, LANES = 16 };

nb_status nb_adamw_create(const nb_network *network, const nb_adamw_options *options, nb_adamw *out, nb_error *error)
{
    *out = (nb_adamw){.options = *options};
    out->first = nb_aligned_calloc(network->n_values, sizeof(float));
    out->second = nb_aligned_calloc(network->n_values, sizeof(float));
    if (out->first && out->second)
        return NB_OK;
    nb_adamw_free(out);
    return nb_fail(error, NB_ERR_MEMORY, "no memory for the optimiser's two means of %zu parameters",
                   network->n_values);
}

void nb_adamw_free(nb_adamw *adamw)
{
    nb_aligned_free(adamw->first);
    nb_aligned_free(adamw->second);
    *adamw = (nb_adamw){0};
}

/* ---- the gradient's norm ---- */

typedef struct squares {
    const float *x;
    size_t n;
    double *sums; /* one a piece */
} squares;

static void sum_squares(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const squares *job = user;
    for (size_t piece = begin; piece < end; piece++) {
        double lanes[LANES] = {0};
        const float *x = job->x + piece * PIECE;
        const size_t n = nb_min_size(PIECE, job->n - piece * PIECE);
        for (size_t i = 0; i < n; i++)
            lanes[i % LANES] = lanes[i % LANES] + (double)x[i] * (double)x[i];
        for (int half = LANES / 2; half > 0; half /= 2)
            for (int l = 0; l < half; l++)
                lanes[l] = lanes[l] + lanes[l + half];
        job->sums[piece] = lanes[0];
    }
}

/* Pieces of a fixed size, whoever sums them; then their sums in order. */
static double norm_of(nb_pool *pool, const float *x, size_t n)
{
    const size_t n_pieces = nb_div_up(n, PIECE);
    double *sums = nb_calloc(n_pieces, sizeof *sums), total = 0.0;
    if (!sums)
        return NAN;
    squares job = {x, n, sums};
    nb_parallel(pool, n_pieces, 1, sum_squares, &job);
    for (size_t i = 0; i < n_pieces; i++)
        total = total + sums[i];
    free(sums);
    return sqrt(total);
}

/* ---- the step ---- */

typedef struct update {
    float *w, *gradient, *first, *second;
    float clip, beta1, beta2, correct1, correct2, rate, epsilon, decay;
} update;

static void step_values(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const update *u = user;
    for (size_t i = begin; i < end; i++) {
        const float g = u->gradient[i] * u->clip;
        const float m = u->beta1 * u->first[i] + (1.0f - u->beta1) * g;
        const float v = u->beta2 * u->second[i] + (1.0f - u->beta2) * (g * g);
        const float direction = m * u->correct1 / (sqrtf(v * u->correct2) + u->epsilon);
        u->w[i] = u->w[i] - u->rate * (direction + u->decay * u->w[i]);
        u->first[i] = m;
        u->second[i] = v;
        u->gradient[i] = 0.0f;
    }
}

double nb_adamw_step(nb_adamw *adamw, nb_network *network, double learning_rate)
{
    const nb_adamw_options *o = &adamw->options;
    const double norm = norm_of(network->context->pool, network->gradients, network->n_values);
    if (!isfinite(norm))
        return norm;
    adamw->step++;
    update u = {.clip = (float)(o->clip > 0 && norm > o->clip ? o->clip / norm : 1.0),
                .beta1 = (float)o->beta1,
                .beta2 = (float)o->beta2,
                .correct1 = (float)(1.0 / (1.0 - nb_pow(o->beta1, (double)adamw->step))),
                .correct2 = (float)(1.0 / (1.0 - nb_pow(o->beta2, (double)adamw->step))),
                .rate = (float)learning_rate,
                .epsilon = (float)o->epsilon};
    for (size_t i = 0; i < network->n_weights; i++) {
        const nb_weight *w = &network->weights[i];
        const size_t at = (size_t)(w->values - network->values);
        u.w = w->values;
        u.gradient = w->gradient;
        u.first = adamw->first + at;
        u.second = adamw->second + at;
        u.decay = w->shape.is_vector ? 0.0f : (float)o->weight_decay;
        nb_parallel(network->context->pool, w->shape.n_rows * w->shape.n_cols, PIECE, step_values, &u);
    }
    nb_network_pack(network);
    return norm;
}
