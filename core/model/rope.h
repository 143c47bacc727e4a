/* Rotary positions (Su et al. 2021, arXiv:2104.09864): the angles, in f64. */
#ifndef NB_MODEL_ROPE_H
#define NB_MODEL_ROPE_H

#include "model/model.h"

/* out[n_rot / 2]: base^(-2i / n_rot), divided by factors[i] where there are any (else NULL). */
void nb_rope_frequencies(const nb_hparams *hparams, const float *factors, double *out);
/* row[n_rot / 2][2]: cosine and sine of `position` by these frequencies, times hparams' magnitude. By halves
 * it is row[2][n_rot / 2], the cosines first. */
void nb_rope_row(const nb_hparams *hparams, const double *frequencies, bool halves, size_t position,
                 float *row);

#endif
