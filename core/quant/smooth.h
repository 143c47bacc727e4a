/* SmoothQuant (Xiao et al. 2023, arXiv:2211.10438): activations with a few large channels are hard to quantize, weights
 * are easy; so each channel is divided by a factor that its weights are multiplied by. The factors go into the norm
 * that makes the activations, and cost nothing. */
#ifndef NB_QUANT_SMOOTH_H
#define NB_QUANT_SMOOTH_H

#include "quant/samples.h"

/* Equation 4: scales[n] = x_largest^alpha / w_largest^(1 - alpha), from the largest magnitudes of a channel's
 * activations and of its column in all matrices that read it. Weights count as 1e-5 at least, and so does the result; a
 * channel in which nothing ever was has 1. */
void nb_smooth_scales(const float *x_largest, const float *w_largest, size_t n, double alpha, float *scales);

/* What it did to what one norm makes. */
typedef struct nb_smoothed {
    size_t norm;                        /* index of its tensor */
    float x_before, x_after;            /* the largest activation */
    float spread_before, spread_after;  /* that over the median channel's largest */
    float w_before, w_after;            /* the largest weight of the readers */
} nb_smoothed;

/* Smooths all norms that matrices of blocks read: the samples say how large activations become, the sources how large
 * weights are. alpha is in 0 to 1. made: [nb_norm_count], may be NULL. Pushes one undo step. Refused: activations that are
 * not finite. */
nb_status nb_model_smooth(nb_model *model, const nb_samples *samples, double alpha, nb_smoothed *made, nb_error *error);

#endif
