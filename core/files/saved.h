/* How a tensor that GGUF has no type for is kept in one. NAME is "blk.0.attn_q":
 *
 *   NAME.codes   I8 {bytes of a row, rows}: a row's codes, N bits each, the first in the lowest bits, every row filled
 *                up to a byte. intN: u = q + 2^(N-1). f8, nf4, fp4: the codes themselves
 *   NAME.scale   intN: F16, or F32 where the quantizer says so, {groups of a row, rows}, or {1} per tensor.
 *                f8: F32 {1}, what decoded codes are multiplied by. nf4, fp4: F32 {groups of a row, rows}; I8 with double
 *                quantization, codes of the dynamic map
 *   NAME.nested  F32 {runs of 256 scales, row by row} and
 *   NAME.offset  F32 {1}, with double quantization only: a scale is map[code] * nested + offset
 *   NAME.zero    I8 like .scale: the zero point z, with zeropoint only
 *   NAME.outliers F16 {columns in NAME.outlier_columns, rows}, where some are kept in f16
 *   nibble.tensor.NAME     the quantizer, as nb_quantizer_describe puts it
 *   nibble.format_version  1
 *
 * nibble.made.NAME, of any tensor, is one line about the method that made its codes. */
#ifndef NB_FILES_SAVED_H
#define NB_FILES_SAVED_H

#include "files/gguf.h"
#include "model/model.h"

#define NB_SAVED_VERSION_KEY "nibble.format_version"
enum { NB_SAVED_VERSION = 1 };

/* Whether the file keeps the tensor this way. */
bool nb_saved_is(const nb_gguf *gguf, const char *name);
/* Fills in quantizer and packed of a tensor that has its name and shape. */
nb_status nb_saved_read(nb_context *context, const nb_gguf *gguf, nb_tensor *tensor, nb_error *error);

/* What the file says about how it was made, if it does. */
nb_status nb_saved_read_provenance(const nb_gguf *gguf, nb_tensor *tensor, nb_error *error);

/* True if GGUF has a type for how the tensor is stored. */
bool nb_saved_is_plain(const nb_tensor *tensor);
/* Its keys and tensor infos; then, in the same order of tensors, its data. Plain ones go as NAME.weight. */
nb_status nb_saved_declare(const nb_tensor *tensor, nb_gguf_writer *writer, nb_error *error);
nb_status nb_saved_write(nb_context *context, const nb_tensor *tensor, nb_gguf_writer *writer,
                         nb_error *error);

/* What a tensor does with its activations (model/input.h), beside its codes or its NAME.weight; pieces that it does not
 * have are not there. What these change no other program may run without them, and llama.cpp refuses tensors that it
 * does not know.
 *
 *   NAME.divisors, NAME.input_scales   F32 {columns}
 *   NAME.signs                         I8 {columns}, with a rotation
 *   NAME.outlier_columns               I32 {n of them}, ascending: columns that NAME.outliers holds
 *   NAME.perm                          I32 {columns}: column j is the activations' column perm[j]
 *   NAME.input_scale                   F32 {1}, with static activations
 *   nibble.input.NAME                  the scaling (blocks, tokens, static), the rotation's block or 0, and where it
 *                                      comes from */
nb_status nb_saved_input_read(const nb_gguf *gguf, nb_tensor *tensor, nb_error *error);
nb_status nb_saved_input_declare(const nb_tensor *tensor, nb_gguf_writer *writer, nb_error *error);
nb_status nb_saved_input_write(const nb_tensor *tensor, nb_gguf_writer *writer, nb_error *error);

#endif
