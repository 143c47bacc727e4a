#include "train/gradients.h"

#include "base/memory.h"
#include "math/math.h"

#include <math.h>
#include <string.h>

enum { LANES = 16, PIECE = 256 };

static float fold(float lanes[LANES])
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] = lanes[i] + lanes[i + half];
    return lanes[0];
}

float nb_rms_norm_backward(const float *x, const float *weight, const float *dy, size_t n, float eps, float *dx)
{
    float squares[LANES] = {0}, products[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            squares[l] = squares[l] + x[i + l] * x[i + l];
            products[l] = products[l] + weight[i + l] * dy[i + l] * x[i + l];
        }
    for (size_t l = 0; i + l < n; l++) {
        squares[l] = squares[l] + x[i + l] * x[i + l];
        products[l] = products[l] + weight[i + l] * dy[i + l] * x[i + l];
    }
    const float r = 1.0f / sqrtf(fold(squares) / (float)n + eps);
    const float shrink = fold(products) * r * r * r / (float)n;
    for (i = 0; i < n; i++)
        dx[i] = dx[i] + (r * (weight[i] * dy[i]) - x[i] * shrink);
    return r;
}

void nb_swiglu_backward(const nb_kernels *kernels, const float *gate, const float *up, const float *dy, size_t n,
                        float *d_gate, float *d_up)
{
    float e[PIECE];
    for (size_t begin = 0; begin < n; begin += PIECE) {
        const size_t count = nb_min_size(PIECE, n - begin);
        const float *g = gate + begin, *u = up + begin, *d = dy + begin;
        for (size_t i = 0; i < count; i++)
            e[i] = -g[i];
        kernels->exp(e, count, e);
        for (size_t i = 0; i < count; i++) {
            const float sigmoid = 1.0f / (1.0f + e[i]);
            const float by_gate = d[i] * u[i] * (sigmoid * (1.0f + g[i] * (1.0f - sigmoid)));
            const float by_up = d[i] * (g[i] * sigmoid);
            d_gate[begin + i] = by_gate;
            d_up[begin + i] = by_up;
        }
    }
}

double nb_cross_entropy(const nb_kernels *kernels, float *logits, size_t n, size_t target, float weight)
{
    const float max = kernels->max(logits, n), wanted = logits[target];
    double lanes[LANES] = {0};
    size_t i = 0;
    for (size_t k = 0; k < n; k++)
        logits[k] = logits[k] - max;
    kernels->exp(logits, n, logits);
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] = lanes[l] + (double)logits[i + l];
    for (size_t l = 0; i + l < n; l++)
        lanes[l] = lanes[l] + (double)logits[i + l];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] = lanes[l] + lanes[l + half];
    const float scale = (float)((double)weight / lanes[0]);
    for (size_t k = 0; k < n; k++)
        logits[k] = logits[k] * scale;
    logits[target] = logits[target] - weight;
    return (double)max + nb_log(lanes[0]) - (double)wanted;
}
