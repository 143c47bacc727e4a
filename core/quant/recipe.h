/* Recipes: which format each tensor of a model gets. llama.cpp's mixtures are built in; a learner's own are text. */
#ifndef NB_QUANT_RECIPE_H
#define NB_QUANT_RECIPE_H

#include "model/scope.h"
#include "quant/quantize.h"

/* The tensors that mixtures tell apart, by the name's last part. */
typedef enum nb_part {
    NB_PART_OTHER,
    NB_PART_EMBEDDINGS, /* of a model with a head of its own; else they are the head */
    NB_PART_HEAD,
    NB_PART_VALUES, /* attn_v, and attn_qkv where the three are one matrix */
    NB_PART_ATTENTION_OUTPUT,
    NB_PART_DOWN,
} nb_part;

/* "attn_v", "the head": for tables. */
const char *nb_part_name(nb_part part);

/* In which layers, or in which models, a rule holds. n is the number of layers, i the layer. */
typedef enum nb_when {
    NB_ALWAYS,
    NB_MORE_BITS,           /* i < n/8, i >= 7n/8, and every third between them */
    NB_FIRST_TWO,           /* i < 2 */
    NB_FIRST_FOUR,          /* i < 4 */
    NB_FIRST_SIXTEENTH,     /* i < n/16 */
    NB_FIRST_EIGHTH,        /* i < n/8 */
    NB_FIRST_EIGHTH_BLIND,  /* i < n/8, without an importance matrix */
    NB_FIRST_EIGHTH_GUIDED, /* i < n/8, with one */
    NB_SHARED_VALUES,       /* 4 or more query heads to one of keys and values */
} nb_when;

typedef struct nb_rule {
    nb_part part;
    nb_when when;
    const char *format;
} nb_rule;

/* One of llama-quantize's mixtures. The first rule that fits decides; what none fits gets `base`. */
typedef struct nb_mixture {
    const char *name;
    uint32_t file_type; /* general.file_type */
    const char *base;
    nb_rule rules[5]; /* up to the first without a format */
} nb_mixture;

size_t nb_mixture_count(void);
const nb_mixture *nb_mixture_at(size_t index);
/* "q4_k_m", in any case; NULL if there is none. */
const nb_mixture *nb_mixture_find(const char *name);

/* What one tensor gets. */
typedef struct nb_recipe_choice {
    nb_quantizer quantizer; /* format NULL: the tensor stays as it is */
    char why[112];
} nb_recipe_choice;

/* A recipe: a mixture or nothing, then lines that overrule it, the last that names a tensor. */
typedef struct nb_recipe_line {
    char *scope; /* as nb_scope_resolve reads it */
    bool keep;   /* the tensors stay as they are */
    nb_quantizer quantizer;
} nb_recipe_line;

typedef struct nb_recipe {
    char *name;
    const nb_mixture *mixture; /* or NULL */
    bool pure;                 /* the mixture's base for every tensor, its rules unread */
    nb_recipe_line *lines;
    size_t n_lines;
} nb_recipe;

nb_status nb_recipe_create(const char *name, const nb_mixture *mixture, nb_recipe **out, nb_error *error);
void nb_recipe_destroy(nb_recipe **recipe);
/* Adds a line: `what` is a quantizer as nb_quantizer_parse reads it ("q6_k", "int4 absmax/group:32"), or "keep". */
nb_status nb_recipe_add(nb_recipe *recipe, const char *scope, const char *what, nb_error *error);

/* A recipe as text, `name` for sentences:
 *     nibble recipe 1
 *     start q4_k_m              (optional; `start q4_k_m pure`)
 *     SCOPE QUANTIZER           blk.0.* q6_k
 *     SCOPE keep
 * with # comments. Refused with its line: anything else, and a newer version than 1. */
nb_status nb_recipe_parse(const char *text, size_t n_bytes, const char *name, nb_recipe **out, nb_error *error);
nb_status nb_recipe_open(const char *path, nb_recipe **out, nb_error *error);
/* The same text; allocated, NULL when memory is short. */
char *nb_recipe_write(const nb_recipe *recipe);

/* What every tensor of the model gets: choices[nb_model_tensor_count]. `guided`: there is an importance matrix. */
nb_status nb_recipe_plan(const nb_recipe *recipe, const nb_model *model, bool guided, nb_recipe_choice *choices,
                         nb_error *error);

/* A mixture's choice for one matrix: its format's name, NULL where it stays as it is. For nb_recipe_plan and tests.
 * Source: llama.cpp, src/llama-quant.cpp, of 2026: tensor_type_fallback, llama_tensor_get_type_impl. */
typedef struct nb_mixture_case {
    const char *tensor; /* its name without ".weight" */
    size_t n_cols;
    int layer, n_layers;
    uint32_t n_heads, n_kv_heads;
    const char *architecture;
    bool tied, guided, pure;
} nb_mixture_case;
const char *nb_mixture_choose(const nb_mixture *mixture, const nb_mixture_case *about, char *why, size_t why_size);

#endif
