/* AWQ (Lin et al. 2023, arXiv:2306.00978): a weight counts as much as the activations that it multiplies are large. So
 * columns that meet large ones are multiplied by a factor before they are rounded, which makes their errors smaller, and
 * what makes those activations is divided by it. Which factors are best is tried out. */
#ifndef NB_QUANT_AWQ_H
#define NB_QUANT_AWQ_H

#include "model/scope.h"
#include "quant/quantize.h"
#include "quant/samples.h"

enum { NB_AWQ_STEPS = 20 };

/* Factors of one ratio r: s = max(x_mean^r, 1e-4), or with w_mean (else NULL) max(x_mean^r / (w_mean^(1-r) + 1e-4),
 * 1e-4), as AutoAWQ has it ("duo scaling"); then divided by sqrt(largest * smallest). x_mean[n]: mean magnitude of each
 * channel; w_mean[n]: mean over rows of |w| / largest of its group. */
void nb_awq_scales(const float *x_mean, const float *w_mean, size_t n, double ratio, float *scales);

/* The loss that a group of matrices has when its columns are multiplied by scales[n] and rounded. */
typedef nb_status nb_awq_loss_fn(void *user, const float *scales, double *loss, nb_error *error);

typedef struct nb_awq_choice {
    unsigned step;             /* the ratio is step / NB_AWQ_STEPS */
    double rounded, scaled;    /* the loss without factors (ratio 0) and with the best */
} nb_awq_choice;

/* Tries the ratios 0/20 ... 19/20 and leaves the best one's factors in scales[n]; of equal losses the first. Refused: a
 * loss that is never a number. */
nb_status nb_awq_search(const float *x_mean, const float *w_mean, size_t n, nb_awq_loss_fn *loss, void *user,
                        float *scales, nb_awq_choice *choice, nb_error *error);

typedef struct nb_awq_options {
    nb_quantizer quantizer; /* what the factors are to suit */
    bool duo;
} nb_awq_options;

/* What was found for one group of matrices that share an input. */
typedef struct nb_awq_group {
    size_t tensor; /* index of the first of them */
    size_t n_tensors;
    nb_awq_choice choice;
} nb_awq_group;

/* At most so many groups: four in a block. */
size_t nb_awq_group_count(const nb_model *model);

/* Scales the columns of the scope's matrices as suits a quantizer, without quantizing them. Groups and where their
 * factors go, as in the authors' code:
 *
 *   attn_q, attn_k, attn_v   1/s into attn_norm                  loss of what attention adds to the stream
 *   attn_output              1/s into the rows of attn_v         loss of its own output
 *   ffn_gate, ffn_up         1/s into ffn_norm                   loss of what the feed-forward part adds
 *   ffn_down                 1/s into the rows of ffn_up         loss of its own output
 *
 * Where heads share keys and values (the authors skip attn_output then), heads that share a row of attn_v share its
 * factor, found from the mean of their activations. Without a gate ffn_down has none: what lies between is not linear.
 * Activations are those of the model as it is before it is quantized. groups: [nb_awq_group_count], *n_groups of them
 * are filled. Pushes one undo step. */
nb_status nb_model_awq_scale(nb_model *model, const nb_scope *scope, const nb_samples *samples,
                             const nb_awq_options *options, nb_awq_group *groups, size_t *n_groups, nb_error *error);

/* The same, and stores the scope so: numbers of integer formats whose scales serve at most NB_CLIP_MOST_COLUMNS
 * columns (quant/clip.h) from the best range of each group, except where a small error of a product of two activations
 * may grow: q and k, as in the authors' code, and except columns that were rotated. Everything else is rounded to nearest. text_name is for the provenance.
 * *n_clipped: groups of weights with a smaller range; losses (one per tensor of the scope) may be NULL. */
nb_status nb_model_awq(nb_model *model, const nb_scope *scope, const nb_samples *samples, const nb_awq_options *options,
                       const char *text_name, nb_awq_group *groups, size_t *n_groups, uint64_t *n_clipped,
                       nb_tensor_loss *losses, nb_error *error);

#endif
