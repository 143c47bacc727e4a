/* How much memory a model takes: to be kept, to write with, to be trained, over how many devices. Plain arithmetic on
 * its shape; nothing is loaded. */
#ifndef NB_EVAL_FOOTPRINT_H
#define NB_EVAL_FOOTPRINT_H

#include "formats/format.h"
#include "model/model.h"

/* A transformer's sizes. */
typedef struct nb_shape {
    const char *name;
    const char *source; /* where the sizes were published */
    uint64_t n_layers, n_embd, n_heads, n_kv_heads, head_size, n_ff, n_vocab, n_ctx;
    bool tied;  /* head and embeddings are one matrix */
    bool gated; /* LLaMA's kind: three matrices in the feed-forward, no biases. Otherwise GPT-2's: two, with biases and
                   learned positions */
} nb_shape;

/* Published models, from small to large. */
size_t nb_shape_count(void);
const nb_shape *nb_shape_at(size_t index);
const nb_shape *nb_shape_find(const char *name);

/* Numbers that a model learned. */
typedef struct nb_parameters {
    uint64_t embeddings; /* and learned positions */
    uint64_t layer;      /* of one layer */
    uint64_t head;       /* the last norm, and the head where it is not the embeddings */
    uint64_t total;
} nb_parameters;
nb_parameters nb_shape_parameters(const nb_shape *shape);
/* The shape of a loaded model, and what its tensors really hold. Names are borrowed from the model. */
void nb_shape_of_model(const nb_model *model, nb_shape *shape, nb_parameters *parameters);

/* Bits that one weight takes, with the scales of BLOCK formats; INT codes alone. */
double nb_format_bits_per_weight(const nb_format *format);

/* Bytes; exact up to 2^53. */
double nb_weight_bytes(uint64_t n_parameters, double bits_per_weight);
/* Keys and values that attention keeps of one token, in all layers. */
double nb_cache_bytes_per_token(const nb_shape *shape, double bits_per_number);

/* ---- training ---- */

/* Bytes for each parameter. */
typedef struct nb_optimizer_row {
    const char *name, *summary, *source;
    double weights, gradients, state;
} nb_optimizer_row;
size_t nb_optimizer_count(void);
const nb_optimizer_row *nb_optimizer_at(size_t index);
const nb_optimizer_row *nb_optimizer_find(const char *name);

/* What a layer keeps of its forward pass for the backward pass. Korthikanti et al. 2022, "Reducing Activation
 * Recomputation in Large Transformer Models", equation 2 and table 2: a GPT layer in 16 bits. */
typedef enum nb_recompute {
    NB_RECOMPUTE_NOTHING,   /* s b h (34 + 5 a s / h) bytes a layer */
    NB_RECOMPUTE_ATTENTION, /* 34 s b h: the scores are computed again (flash attention does so too) */
    NB_RECOMPUTE_LAYERS,    /* 2 s b h: a layer keeps its input only; called checkpointing */
} nb_recompute;
/* s: tokens of a sequence; b: sequences at once. */
double nb_activation_bytes(const nb_shape *shape, double sequence, double batch, nb_recompute recompute);

typedef struct nb_training {
    const nb_optimizer_row *optimizer;
    unsigned zero;    /* ZeRO's stage: 0 nothing is split, 1 the optimizer's state, 2 gradients too, 3 weights too */
    double n_devices; /* data-parallel: each has batches of its own */
    bool offload;     /* ZeRO-Offload: gradients and state live in the computer's memory */
} nb_training;

/* On each device, and in the computer's memory for all of them. Without activations. Rajbhandari et al. 2020, "ZeRO:
 * Memory Optimizations Toward Training Trillion Parameter Models", figure 1; Ren et al. 2021, "ZeRO-Offload". */
typedef struct nb_training_bytes {
    double weights, gradients, state, device, host;
} nb_training_bytes;
nb_training_bytes nb_training_memory(uint64_t n_parameters, const nb_training *training);

/* ---- placing a model ---- */

typedef struct nb_device {
    const char *name;
    double bytes; /* what it holds; infinity for a disk */
    double used;
    size_t first, n; /* the pieces that it got */
} nb_device;

/* Puts pieces into devices in their order, each device filled before the next begins, as a pipeline of layers runs. Fills
 * in used, first and n. Returns how many pieces found a place. */
size_t nb_place(const double *pieces, size_t n_pieces, nb_device *devices, size_t n_devices);

#endif
