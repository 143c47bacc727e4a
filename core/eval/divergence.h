/* How far one distribution over the vocabulary is from another. */
#ifndef NB_EVAL_DIVERGENCE_H
#define NB_EVAL_DIVERGENCE_H

#include "kernels/kernels.h"

/* KL in nats of the logits a[n] to b[n]: sum p (log p - log q), in f64 and 16 lanes, with p = exp(a - max_a) / sum by the
 * f32 exp. max_a is a's largest; the log sums are the kernels' log_sum_exp. p[n] is scratch. */
double nb_kl_divergence(const nb_kernels *kernels, const float *a, const float *b, size_t n, float max_a,
                        double log_sum_a, double log_sum_b, float *p);

#endif
