/* What a model is made of: for model/, which runs it, and quant/, which changes it. */
#ifndef NB_MODEL_STATE_H
#define NB_MODEL_STATE_H

#include "base/file.h"
#include "model/architecture.h"
#include "model/model.h"

/* How a tensor was stored before a change. */
typedef struct nb_tensor_past {
    size_t index;
    nb_quantizer quantizer;
    double sqnr;
    bool changed;
    const nb_transform *transforms;
    const float *importance;
    const float *simulated;
    const nb_made *made;
    const nb_input *input;
} nb_tensor_past;

typedef struct nb_undo_step {
    nb_tensor_past *pasts;
    size_t count;
    nb_transform *made; /* by this step */
    float **simulated;  /* [n_simulated]: the same */
    size_t n_simulated;
    nb_made **adopted; /* [n_adopted]: the same */
    size_t n_adopted;
} nb_undo_step;
void nb_undo_step_free(nb_undo_step *step);

/* x->f32 is what all of these tensors are about to multiply. */
typedef void nb_observe_fn(void *observer, nb_tensor *const *tensors, size_t n_tensors, const nb_acts *x);

struct nb_model {
    nb_context *context;
    const nb_architecture *architecture;
    nb_hparams hparams;
    char *name, *path;
    size_t n_tensors;
    nb_tensor *tensors;
    nb_frame frame;
    nb_layer *layers; /* [n_layers] */
    struct nb_tokenizer *tokenizer;
    void (*release)(void *owner);
    void *owner;
    const nb_mapping *mapping; /* NULL: the sources are not in a file */
    uint64_t source_bytes;
    uint64_t generation; /* counts changes of the weights */
    /* Called with what flows into matrices, before each product; NULL: nobody looks. */
    nb_observe_fn *observe;
    void *observer;
    size_t n_lost;       /* tensors whose numbers are gone because a change could not be taken back */

    float **importances; /* [n_importances]: what tensors point to, now or in a step to be undone */
    size_t n_importances;
    nb_input **inputs; /* [n_inputs]: the same */
    size_t n_inputs;
    nb_acts_buffer input_acts; /* x as the input at hand leaves it */
    float *input_rows;
    size_t input_capacity; /* floats */
    nb_undo_step *undo;
    size_t n_undo;

    nb_packed *
        *originals; /* [n_tensors]: whole sources, packed, of changed tensors; NULL where none is kept */
    size_t originals_bytes;
    nb_packed *tile; /* some row groups of a source, for the originals that are not kept */
};

/* Counts anew how many tensors have no stored form. */
void nb_model_count_lost(nb_model *model);

/* Packs the tensor's source in its own format, with progress `what` of `total` bytes, `done` so far. */
nb_status nb_tensor_pack_source(nb_model *model, const nb_tensor *tensor, const char *what, uint64_t done,
                                uint64_t total, nb_packed **out, nb_error *error);
/* Row groups [begin, end) of `packed`, a FLOAT matrix of the source's format, from the source's row groups
 * first_source_group + begin and on. Fails only when memory is short. */
nb_status nb_tensor_pack_groups(nb_context *context, const nb_tensor *tensor, size_t first_source_group,
                                nb_packed *packed, size_t begin, size_t end, nb_error *error);
/* Bytes of the tensor in its source. */
size_t nb_tensor_source_n_bytes(const nb_tensor *tensor);
/* The quantizer that a FLOAT source stands for. */
nb_quantizer nb_quantizer_of_source(const nb_format *format);
/* What may be held for comfort (scratch, caches) beside the packed weights: a 16th part of them, 4 MiB at
 * least. A session for running takes that much scratch, one of two for comparing half of it, the cache of
 * originals half. */
size_t nb_model_comfort_bytes(const nb_model *model);
/* nb_session_create with a scratch of about so many bytes. */
nb_status nb_session_create_within(nb_model *model, nb_weights weights, size_t n_ctx, size_t scratch_bytes,
                                   nb_session **out, nb_error *error);

/* ---- running a tensor (weights.c) ---- */

/* The packed form that runs is the current one, unless `which` wants the original of a changed tensor. */
bool nb_tensor_wants_int8(const nb_tensor *tensor, nb_weights which);
/* The same, of x itself: a tensor with an input has its own int8 activations. */
bool nb_tensor_wants_int8_x(const nb_tensor *tensor, nb_weights which);
nb_status nb_tensor_matmul(nb_model *model, nb_tensor *tensor, nb_weights which, const nb_acts *x, float *y,
                           size_t y_stride, nb_error *error);
/* Up to NB_TENSORS_AT_ONCE tensors that read the same activations; y[i] has rows of tensors[i]->n_rows. */
enum { NB_TENSORS_AT_ONCE = 4 };
nb_status nb_tensors_matmul(nb_model *model, nb_tensor *const *tensors, size_t n_tensors, nb_weights which,
                            const nb_acts *x, float *const *y, nb_error *error);
void nb_tensor_lookup(const nb_tensor *tensor, nb_weights which, size_t row, float *out);
void nb_model_forget_originals(nb_model *model);

#endif
