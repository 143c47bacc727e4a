/* A model: its shape, its tensors, and running it.
 *
 * A tensor's life: a mapped source, a list of transforms through which it is read, one quantizer, the packed
 * weights that the engine runs. files/load.h makes models, quant/quantize.h changes how their tensors are
 * stored, quant/transform.h transforms them. */
#ifndef NB_MODEL_MODEL_H
#define NB_MODEL_MODEL_H

#include "base/context.h"
#include "formats/format.h"
#include "kernels/kernels.h"
#include "model/input.h"
#include "model/transform.h"

typedef struct nb_model nb_model;
struct nb_tokenizer;

typedef struct nb_hparams {
    const char *architecture; /* "llama", "qwen2", ... */
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_size, n_rot, n_ff, n_vocab, n_ctx;
    float norm_eps;
    double rope_base;
    double rope_scale; /* linear scaling: positions are multiplied by it; 1: none */
    bool tied;         /* head and embeddings are one tensor */
    /* What few models have; 0 where they do not. */
    uint32_t n_window;     /* a sliding window: a position sees itself and the n_window - 1 before it */
    uint32_t n_ctx_short;  /* a longer context takes RoPE's long factors; 0: n_ctx */
    double rope_magnitude; /* cosines and sines are multiplied by it; 0: 1 */
    float attn_scale;      /* of q k; 0: 1 / sqrt(head_size) */
    float attn_softcap, logit_softcap; /* scores and logits become cap * tanh(x / cap) */
} nb_hparams;

/* files/load.h makes models. */
void nb_model_destroy(nb_model **model);
const nb_hparams *nb_model_hparams(const nb_model *model);
const char *nb_model_name(const nb_model *model); /* general.name, else the file's stem */
const char *nb_model_path(const nb_model *model);
const struct nb_tokenizer *
nb_model_tokenizer(const nb_model *model); /* that came with it; NULL if none did */
nb_context *nb_model_context(const nb_model *model);

/* ---- tensors ---- */

typedef enum nb_role {
    NB_ROLE_EMBEDDINGS,
    NB_ROLE_HEAD,
    NB_ROLE_ATTENTION,
    NB_ROLE_MLP,
    NB_ROLE_NORM,
    NB_ROLE_BIAS,
    NB_ROLE_OTHER,
} nb_role;

/* What a method made of a tensor: codes that no replay from the source gives again. The undo step of the change that
 * brought it owns it. */
typedef struct nb_made {
    nb_packed *packed;
    char *provenance; /* one line: "GPTQ from calibration.txt (4,096 tokens)" */
} nb_made;

typedef struct nb_tensor {
    const char *name; /* without ".weight": "blk.0.attn_q", but "blk.0.attn_q.bias" */
    nb_role role;
    int layer;                      /* -1: not in a block */
    size_t n_rows, n_cols;          /* a vector is [1, n_cols] */
    bool is_vector;                 /* norms, biases, rope factors: always f32, never quantized */
    bool tied;                      /* embeddings that are the head too */
    const nb_format *source_format; /* of `source`, row-major, in the mapping; NULL if the file holds it
                                       only in a quantized form (then restore is refused) */
    const void *source;
    const nb_transform *transforms; /* the last one; NULL: none */
    const float *simulated;         /* [n_rows][n_cols]: numbers that the caller made from the source, and that are
                                       run as f32 in its place (quant/simulate.h); NULL: none */
    const float *importance;        /* [n_cols]: what its errors were weighed by; NULL: nothing */
    const nb_made *made;            /* whose `packed` this is then; NULL: made from the source by rounding */
    const char *source_provenance;  /* how what the file holds was made, if it says so; NULL */
    const nb_input *input;          /* what happens to activations before it multiplies them, the model's; NULL:
                                       nothing */
    const nb_input *loaded_input;   /* the one that its file says */
    nb_quantizer quantizer;         /* how it is stored now */
    nb_packed *packed;              /* matrices */
    float *vector;                  /* vectors */
    double sqnr;  /* dB of the stored numbers against the source; NaN if never quantized, inf if equal */
    bool changed; /* stored otherwise than the source, read through the transforms */
    uint64_t n_static, n_clipped; /* activations that a static scale met since it was set, and those beyond it */
} nb_tensor;

size_t nb_model_tensor_count(const nb_model *model);
const nb_tensor *nb_model_tensor(const nb_model *model, size_t index);
/* With or without ".weight". -1 if there is none. */
long nb_model_find_tensor(const nb_model *model, const char *name);
uint64_t nb_model_n_parameters(const nb_model *model);
uint64_t nb_model_n_bytes(const nb_model *model);      /* held by weights now */
uint64_t nb_model_source_bytes(const nb_model *model); /* as they were at load */
/* Of the tensors' names and shapes, a row of each source, and the transforms and bases that they are read through: what was
 * measured with another one is no measurement of this model. A row tells models apart; all of them would take as long
 * as loading. */
uint64_t nb_model_digest(const nb_model *model);
/* NB_OK, or NB_ERR_STATE if a failed change could not be taken back (its file was cut, memory ran out): some
 * tensors then hold nothing (`packed` is NULL), and the model neither runs nor saves. */
nb_status nb_model_check(const nb_model *model, nb_error *error);
/* Packs what a model that was loaded unpacked (files/load.h) has not stored otherwise since. */
nb_status nb_model_pack(nb_model *model, nb_error *error);
uint64_t nb_tensor_n_bytes(const nb_tensor *tensor);
/* One line about the method that made what is stored now; NULL if it was rounded from the source. */
const char *nb_tensor_provenance(const nb_tensor *tensor);
/* Row `row` as f32: of the source, read through the transforms, or as stored now; in either case in the model's own
 * columns, whatever the input does with them. */
void nb_tensor_source_row(const nb_tensor *tensor, size_t row, float *out);
void nb_tensor_current_row(const nb_tensor *tensor, size_t row, float *out);

/* ---- running ---- */

/* Which weights a session runs. ORIGINAL reads the sources of changed tensors through the mapping and their
 * transforms, tile by tile, so that both can be run side by side in the memory of one. */
typedef enum nb_weights { NB_WEIGHTS_CURRENT, NB_WEIGHTS_ORIGINAL } nb_weights;

typedef struct nb_session nb_session;
/* A KV cache of n_ctx positions (0: the model's) and scratch. Valid until the model is destroyed; a change
 * to the weights makes nb_session_reset necessary. */
nb_status nb_session_create(nb_model *model, nb_weights weights, size_t n_ctx, nb_session **out,
                            nb_error *error);
void nb_session_destroy(nb_session **session);
void nb_session_reset(nb_session *session);
nb_model *nb_session_model(const nb_session *session);
size_t nb_session_position(const nb_session *session);
size_t nb_session_n_ctx(const nb_session *session);
uint64_t nb_session_cache_bytes(const nb_session *session);

/* Which logits an evaluation wants. */
typedef enum nb_logits { NB_LOGITS_NONE, NB_LOGITS_LAST, NB_LOGITS_ALL } nb_logits;
/* Feeds tokens at the current position. *logits: [1 or n_tokens][n_vocab] in the session's storage, valid
 * until the next call. ALL keeps n_tokens * n_vocab floats: feed it modest chunks. The same bits for any
 * split. */
nb_status nb_session_eval(nb_session *session, const int32_t *tokens, size_t n_tokens, nb_logits want,
                          const float **logits, nb_error *error);

/* The same for scoring long texts in little memory: feeds at most nb_session_batch tokens, after which the
 * logits of any of them are to be had, as many at a time as the caller likes, until the next
 * call that feeds. */
size_t nb_session_batch(const nb_session *session);
nb_status nb_session_feed(nb_session *session, const int32_t *tokens, size_t n_tokens, nb_error *error);
nb_status nb_session_logits(nb_session *session, size_t first, size_t count, const float **logits,
                            nb_error *error);

#endif
