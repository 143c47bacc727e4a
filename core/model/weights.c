/* The weights that a session multiplies with: the stored ones, or, for tensors that were changed, the
 * originals.
 *
 * Originals are not kept beside the stored ones. What fits a small budget is packed whole and stays; the rest
 * is packed from the mapped source a tile of row groups at a time, and the tile multiplied with all tokens
 * before the next is made. A row's sum runs in its own lane whatever stands beside it, so the tile gives the
 * same bits. */
#include "base/memory.h"
#include "model/state.h"

#include <string.h>

enum { TILE_BYTES = 1 << 20, ORIGINALS_MAX_BYTES = 32 << 20 };

static bool runs_source(const nb_tensor *tensor, nb_weights which)
{
    return which == NB_WEIGHTS_ORIGINAL && tensor->changed;
}

bool nb_tensor_wants_int8(const nb_tensor *tensor, nb_weights which)
{
    if (runs_source(tensor, which))
        return tensor->source_format->kind != NB_FORMAT_FLOAT;
    return tensor->quantizer.format->kind != NB_FORMAT_FLOAT && tensor->quantizer.activations != NB_ACTIVATIONS_F32;
}

void nb_tensor_lookup(const nb_tensor *tensor, nb_weights which, size_t row, float *out)
{
    if (runs_source(tensor, which))
        nb_tensor_source_row(tensor, row, out);
    else
        nb_packed_decode_row(tensor->packed, row, out);
}

void nb_model_forget_originals(nb_model *model)
{
    for (size_t i = 0; i < model->n_tensors; i++)
        nb_packed_destroy(&model->originals[i]);
    model->originals_bytes = 0;
    nb_packed_destroy(&model->tile);
}

/* The whole original, packed, if it is kept or there is room to keep it; else NULL. */
static nb_packed *kept_original(nb_model *model, const nb_tensor *tensor)
{
    nb_packed **kept = &model->originals[tensor - model->tensors];
    if (*kept)
        return *kept;
    const size_t budget = nb_min_size(ORIGINALS_MAX_BYTES, nb_model_comfort_bytes(model) / 2);
    const size_t estimate =
        nb_round_up(tensor->n_rows, NB_ROWS) * nb_format_row_bytes(tensor->source_format, tensor->n_cols);
    if (model->originals_bytes + estimate > budget)
        return NULL;
    const nb_quantizer quantizer = nb_quantizer_of_source(tensor->source_format);
    if (nb_packed_create(&quantizer, tensor->n_rows, tensor->n_cols, kept, NULL) != NB_OK)
        return NULL; /* tiles need less */
    if (nb_tensor_pack_groups(model->context, tensor, 0, *kept, 0, (*kept)->n_row_groups, NULL) != NB_OK) {
        nb_packed_destroy(kept);
        return NULL;
    }
    model->originals_bytes += (*kept)->n_bytes;
    return *kept;
}

/* A tile for rows of this tensor: the last one, if it has the shape. */
static nb_status fit_tile(nb_model *model, const nb_tensor *tensor, nb_error *error)
{
    const nb_quantizer quantizer = nb_quantizer_of_source(tensor->source_format);
    if (model->tile && model->tile->n_cols == tensor->n_cols &&
        model->tile->quantizer.format == quantizer.format)
        return NB_OK;
    nb_packed_destroy(&model->tile);
    const size_t group_bytes = NB_ROWS * nb_format_row_bytes(quantizer.format, tensor->n_cols);
    const size_t n_groups = nb_max_size(1, TILE_BYTES / group_bytes);
    return nb_packed_create(&quantizer, n_groups * NB_ROWS, tensor->n_cols, &model->tile, error);
}

static nb_status matmul_by_tiles(nb_model *model, const nb_tensor *tensor, const nb_acts *x, float *y,
                                 size_t y_stride, nb_error *error)
{
    nb_status status = fit_tile(model, tensor, error);
    if (status != NB_OK)
        return status;
    nb_packed tile = *model->tile; /* the last tile has fewer rows */
    const size_t tile_rows = tile.n_rows;
    for (size_t row = 0; row < tensor->n_rows && status == NB_OK; row += tile_rows) {
        tile.n_rows = nb_min_size(tile_rows, tensor->n_rows - row);
        tile.n_row_groups = nb_div_up(tile.n_rows, NB_ROWS);
        status =
            nb_tensor_pack_groups(model->context, tensor, row / NB_ROWS, &tile, 0, tile.n_row_groups, error);
        if (status == NB_OK)
            nb_matmul(model->context, &tile, x, y + row, y_stride);
    }
    return status;
}

/* The packed form of the whole tensor that runs; NULL: only tiles of it are ever packed. */
static const nb_packed *whole(nb_model *model, const nb_tensor *tensor, nb_weights which)
{
    return runs_source(tensor, which) ? kept_original(model, tensor) : tensor->packed;
}

static void observe(const nb_model *model, nb_tensor *const *tensors, size_t n_tensors, const nb_acts *x)
{
    if (model->observe)
        model->observe(model->observer, tensors, n_tensors, x);
}

nb_status nb_tensor_matmul(nb_model *model, nb_tensor *tensor, nb_weights which, const nb_acts *x, float *y,
                           size_t y_stride, nb_error *error)
{
    observe(model, &tensor, 1, x);
    const nb_packed *packed = whole(model, tensor, which);
    if (!packed)
        return matmul_by_tiles(model, tensor, x, y, y_stride, error);
    nb_matmul(model->context, packed, x, y, y_stride);
    return NB_OK;
}

nb_status nb_tensors_matmul(nb_model *model, nb_tensor *const *tensors, size_t n_tensors, nb_weights which,
                            const nb_acts *x, float *const *y, nb_error *error)
{
    nb_matmul_part parts[NB_TENSORS_AT_ONCE];
    size_t n_parts = 0;
    nb_status status = NB_OK;
    observe(model, tensors, n_tensors, x);
    for (size_t i = 0; i < n_tensors && status == NB_OK; i++) {
        const nb_packed *packed = whole(model, tensors[i], which);
        if (packed)
            parts[n_parts++] = (nb_matmul_part){packed, y[i], tensors[i]->n_rows};
        else
            status = matmul_by_tiles(model, tensors[i], x, y[i], tensors[i]->n_rows, error);
    }
    if (status == NB_OK)
        nb_matmul_parts(model->context, parts, n_parts, x);
    return status;
}
