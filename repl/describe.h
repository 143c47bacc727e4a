/* Sentences about models and tensors that several commands say. */
#ifndef NB_REPL_DESCRIBE_H
#define NB_REPL_DESCRIBE_H

#include "nibble.h"
#include "repl/draft.h"

typedef struct nb_shape_text {
    char text[48];
} nb_shape_text;
/* "256 x 768"; a vector's length alone. */
nb_shape_text nb_describe_shape(const nb_tensor *tensor);

typedef struct nb_storage_text {
    char text[96];
} nb_storage_text;
/* "int4 absmax/group:32", "f16". */
nb_storage_text nb_describe_storage(const nb_tensor *tensor);

/* A way to store tensors where there is little room: "int4 g32" for "int4 absmax/group:32", "gptq 3 g64" for
 * "gptq --bits 3 --per group:64". */
void nb_describe_shorter(const char *way, char *text, size_t size);

typedef struct nb_decibel_text {
    char text[40];
} nb_decibel_text;
/* "11.2", "-" where nothing was quantized, "exact" where nothing was lost. */
nb_decibel_text nb_describe_sqnr(double sqnr);

/* What happens to `one`'s activations (a tensor of the scope), with columns in f16 as the scope has them: "int8, one scale
 * a token, up to 215 columns in f16 (...)" where not all have as many. Gives the most that a tensor has. */
size_t nb_describe_inputs(const nb_model *model, const nb_scope *scope, const nb_input *one, char *text, size_t size);

/* How the matrices are stored, most bytes first: "int4 absmax/group:32", "int8 absmax/tensor and f32", ... */
void nb_describe_model_storage(const nb_model *model, nb_draft *out);
/* Bits that a weight takes on average, everything counted. */
double nb_bits_per_weight(uint64_t n_bytes, uint64_t n_weights);
uint64_t nb_tensor_n_weights(const nb_tensor *tensor);

/* Those that a tensor went through, in order: "inject-outliers --channels 16 --gain 64 --seed 1, ..." */
void nb_describe_transforms(const nb_transform *last, nb_draft *out);

/* What a model or a file says: control bytes in it must not look like marks. */
void nb_draft_add_written(nb_draft *draft, nb_string text);

/* The name of a file without its folders. */
const char *nb_file_name(const char *path);

#endif
