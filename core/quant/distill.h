/* ZeroQuant's layer-by-layer distillation (Yao et al. 2022, arXiv:2206.01861, section 4.2): each block of the quantized
 * model learns to answer as its original does, on what really flows into it. Only one block is taught at a time, so that
 * only its gradients are ever held. It reads activations rounded as the engine will round them. Gradients pass through
 * rounding as if it were not there (the straight-through estimator). */
#ifndef NB_QUANT_DISTILL_H
#define NB_QUANT_DISTILL_H

#include "model/scope.h"
#include "quant/quantize.h"
#include "quant/samples.h"

typedef struct nb_distill_options {
    nb_quantizer quantizer; /* integers or blocks */
    size_t n_steps;         /* for each block */
    size_t n_sequences;     /* that a step looks at */
    double rate;            /* of the first step, in root mean squares of the block's weights; falls to 0 */
    bool tokens;            /* activations with one scale a token, as the paper has them; else one per 32 */
} nb_distill_options;

/* Mean square error of a block's output: rounded to nearest, and as it was taught. */
typedef struct nb_distilled {
    double rounded, taught;
} nb_distilled;

/* Stores the scope so, its blocks taught on the samples: the f32 weights behind the codes move, codes are those of round
 * to nearest. What teaching makes worse stays as it was. blocks: [n_layers]. losses (one per tensor of the scope) may be
 * NULL. Pushes one undo step. Refused: what training has no code for, rotated columns. */
nb_status nb_model_distill(nb_model *model, const nb_scope *scope, const nb_samples *samples,
                           const nb_distill_options *options, const char *text_name, nb_distilled *blocks,
                           nb_tensor_loss *losses, nb_error *error);

#endif
