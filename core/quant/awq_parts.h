/* Inside AWQ: what its search works with, and the groups of a block. */
#ifndef NB_QUANT_AWQ_PARTS_H
#define NB_QUANT_AWQ_PARTS_H

#include "model/session.h"
#include "quant/awq.h"
#include "quant/rewrite.h"

enum { NB_AWQ_GROUPS = 4 /* in a block */, NB_AWQ_READERS = 3, NB_AWQ_WANTED = 4 };

/* Matrices that share an input, and what makes it. */
typedef struct nb_awq_part {
    nb_tensor *readers[NB_AWQ_READERS];
    size_t n_readers;
    nb_tensor *norm, *norm_bias;         /* that make the input; NULL: a matrix does */
    nb_tensor *previous, *previous_bias; /* from row first_row on */
    size_t first_row;
    size_t n_cols, n_scales; /* columns may share factors */
    size_t per_head, heads_per_kv; /* of attn_output: how */
    const float *x;                /* [n_tokens][n_cols]: the input */
    const float *before, *after;   /* [n_tokens][n_embd]: of the part of the block that shows the loss; NULL: the output alone */
    nb_status (*part)(struct nb_session *session, size_t layer, nb_error *error);
} nb_awq_part;

/* Where an activation that is wanted goes. */
typedef struct nb_awq_wanted {
    const nb_tensor *reader;
    float *out;
} nb_awq_wanted;

typedef struct nb_awq_run {
    nb_model *model;
    const nb_samples *samples;
    const nb_awq_options *options;
    const bool *in_scope; /* [n_tensors] */
    nb_session *session;
    size_t n_tokens, n_embd, layer;
    float *x, *middle, *end;          /* [n_tokens][n_embd]: the stream before, inside and after the block */
    float *attn_in, *ffn_in;          /* [n_tokens][n_embd]: what the norms make */
    float *attended, *unit;           /* [n_tokens][n_q], [n_tokens][n_ff] */
    float *reference;                 /* [n_tokens][n_embd]: output of the group's matrix, where that shows the loss */
    float *scaled, *output;           /* [n_tokens][widest]; [n_tokens][n_embd] */
    double *losses;                   /* [n_tokens] */
    nb_awq_wanted wanted[NB_AWQ_WANTED];
    size_t n_wanted, first_token;     /* of the sequence that is read */
    nb_acts_buffer acts;
    nb_rewrite rewrite;
    nb_packed **made; /* [n_tensors]: what the search for ranges made; NULL: it is not wanted */
    uint64_t n_clipped;
} nb_awq_run;

/* The groups of block r->layer that hold a matrix of the scope, and their number. */
size_t nb_awq_parts_of(const nb_awq_run *run, nb_awq_part *parts);
/* Runs block r->layer as it is before it is quantized, and keeps what flows through it. */
nb_status nb_awq_look(nb_awq_run *run, nb_error *error);
/* Finds a group's factors, and adds them to the rewrite. */
nb_status nb_awq_search_part(nb_awq_run *run, const nb_awq_part *part, nb_awq_group *out, nb_error *error);

#endif
