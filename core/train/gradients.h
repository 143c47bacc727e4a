/* The backward passes of what stands between the matrix products, row by row. Plain C without fused operations, in
 * the order that is written, so that any compiler's code for any CPU gives the same bits; sums go to 16 lanes, which
 * fold 16-8-4-2-1. */
#ifndef NB_TRAIN_GRADIENTS_H
#define NB_TRAIN_GRADIENTS_H

#include "kernels/kernels.h"

/* y = weight * x * r, r = 1 / sqrt(mean(x^2) + eps). dx[n] += r weight dy - x r^3 / n * sum(weight dy x).
 * Returns r, which the weight's gradient asks for: dweight = sum over tokens of dy x r. */
float nb_rms_norm_backward(const float *x, const float *weight, const float *dy, size_t n, float eps, float *dx);
/* y = silu(gate) up. d_gate may be gate, d_up may be up. */
void nb_swiglu_backward(const nb_kernels *kernels, const float *gate, const float *up, const float *dy, size_t n,
                        float *d_gate, float *d_up);
/* Loss -log softmax(logits)[target] in nats, in f64; logits[n] become weight * d loss / d logits. */
double nb_cross_entropy(const nb_kernels *kernels, float *logits, size_t n, size_t target, float weight);

#endif
