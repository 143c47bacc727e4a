/* Transforms: rewrites of a model that leave its f32 function as it is. Each is a transaction with one undo
 * step; tensors that are quantized are quantized again, from their transformed sources. */
#ifndef NB_QUANT_TRANSFORM_H
#define NB_QUANT_TRANSFORM_H

#include "model/model.h"

/* How many norms there are whose channels matrices of blocks read. */
size_t nb_norm_count(const nb_model *model);

/* Outlier channels, as large models have them and small ones do not (Dettmers et al. 2022, arXiv:2208.07339,
 * section 4): a weight of a norm is multiplied by a gain, and the columns that read its channel are divided
 * by it. The gains are powers of two, so that nothing is rounded but f16 sources below 6e-5: in f32 the
 * logits keep their bits. */
typedef struct nb_outlier_options {
    size_t
        n_channels; /* in all; spread over the norms before attention and before the MLP, in random order */
    double gain;    /* the largest that a gain may be, 2 to NB_OUTLIER_MOST_GAIN; none is below its root */
    uint64_t seed;
} nb_outlier_options;
enum { NB_OUTLIER_MOST_GAIN = 1024 };

typedef struct nb_outlier {
    size_t norm; /* index of its tensor */
    size_t channel;
    float gain;
} nb_outlier;

/* made: [n_channels], in the order in which they were drawn; may be NULL. */
nb_status nb_model_inject_outliers(nb_model *model, const nb_outlier_options *options, nb_outlier *made,
                                   nb_error *error);

#endif
