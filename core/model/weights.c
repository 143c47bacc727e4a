/* The weights that a session multiplies with: the stored ones, or, for tensors that were changed, the
 * originals.
 *
 * Originals are not kept beside the stored ones. What fits a small budget is packed whole and stays; the rest
 * is packed from the mapped source a tile of row groups at a time, and the tile multiplied with all tokens
 * before the next is made. A row's sum runs in its own lane whatever stands beside it, so the tile gives the
 * same bits. */
#include "base/memory.h"
#include "kernels/acts.h"
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
    return nb_quantizer_wants_int8(&tensor->quantizer);
}

/* What is done to x before it meets this tensor; NULL: nothing. */
static const nb_input *input_of(const nb_tensor *tensor, nb_weights which)
{
    return runs_source(tensor, which) ? tensor->loaded_input : tensor->input;
}

bool nb_tensor_wants_int8_x(const nb_tensor *tensor, nb_weights which)
{
    return !input_of(tensor, which) && nb_tensor_wants_int8(tensor, which);
}

void nb_tensor_lookup(const nb_tensor *tensor, nb_weights which, size_t row, float *out)
{
    if (runs_source(tensor, which))
        nb_tensor_source_row(tensor, row, out);
    else
        nb_tensor_current_row(tensor, row, out);
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

/* ---- inputs ---- */

typedef struct input_job {
    const nb_input *input;
    const nb_acts *x;
    float *rows;
} input_job;

/* Outliers go beside the rows, and are 0 in them. */
static void part_outliers(const input_job *job, size_t token, float *row)
{
    const nb_input *input = job->input;
    float *outliers = job->rows + job->x->n_tokens * job->x->n_cols + token * input->n_outliers;
    for (size_t i = 0; i < input->n_outliers; i++) {
        outliers[i] = row[input->outliers[i]];
        row[input->outliers[i]] = 0.0f;
    }
}

static void apply_tokens(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const input_job *job = user;
    for (size_t t = begin; t < end; t++) {
        float *row = job->rows + t * job->x->n_cols;
        nb_input_apply(job->input, job->x->f32 + t * job->x->f32_stride, row);
        part_outliers(job, t, row);
    }
}

static nb_status reserve_rows(nb_model *model, size_t n_tokens, size_t n_cols, nb_error *error)
{
    size_t n = 0;
    if (nb_mul_size(n_tokens, n_cols, &n) && n <= model->input_capacity)
        return NB_OK;
    nb_aligned_free(model->input_rows);
    model->input_rows = n > 0 ? nb_aligned_calloc(n, sizeof *model->input_rows) : NULL;
    model->input_capacity = model->input_rows ? n : 0;
    if (model->input_rows)
        return NB_OK;
    return nb_fail(error, NB_ERR_MEMORY, "not enough memory for the activations of %zu tokens; try fewer at once",
                   n_tokens);
}

/* x as `input` leaves it, in model->input_acts. */
static nb_status prepare_input(nb_model *model, const nb_input *input, const nb_acts *x, bool int8,
                               uint64_t *n_clipped, nb_error *error)
{
    nb_status status = NB_OK;
    const float *rows = x->f32;
    size_t stride = x->f32_stride;
    nb_acts *acts = &model->input_acts.acts;
    acts->outliers = NULL;
    if (nb_input_moves(input) || input->n_outliers > 0) {
        status = reserve_rows(model, x->n_tokens, x->n_cols + input->n_outliers, error);
        if (status != NB_OK)
            return status;
        input_job job = {input, x, model->input_rows};
        nb_parallel(model->context->pool, x->n_tokens, 1 + (16 << 10) / x->n_cols, apply_tokens, &job);
        rows = model->input_rows;
        stride = x->n_cols;
        acts->outliers = input->n_outliers > 0 ? rows + x->n_tokens * x->n_cols : NULL;
        acts->outlier_stride = input->n_outliers;
    }
    if (!int8 || input->scaling == NB_INPUT_BLOCKS)
        return nb_acts_prepare(model->context, &model->input_acts, rows, x->n_tokens, x->n_cols, stride, int8, error);
    const float *scale = input->scaling == NB_INPUT_STATIC ? &input->scale : NULL;
    return nb_acts_prepare_scaled(model->context, &model->input_acts, rows, x->n_tokens, x->n_cols, stride, scale,
                                  n_clipped, error);
}

/* ---- products ---- */

/* Those of the tensors that share tensors[first]'s input and are not done yet, which are then done. */
static nb_status multiply_alike(nb_model *model, nb_tensor *const *tensors, size_t n_tensors, size_t first,
                                nb_weights which, const nb_acts *x, float *const *y, const size_t *y_strides,
                                bool *done, nb_error *error)
{
    nb_matmul_part parts[NB_TENSORS_AT_ONCE];
    size_t n_parts = 0;
    nb_status status = NB_OK;
    const nb_input *input = input_of(tensors[first], which);
    uint64_t n_clipped = 0;
    bool int8 = false;
    for (size_t i = first; i < n_tensors; i++)
        int8 = int8 || (input_of(tensors[i], which) == input && nb_tensor_wants_int8(tensors[i], which));
    if (input) {
        status = prepare_input(model, input, x, int8, &n_clipped, error);
        x = &model->input_acts.acts;
    }
    for (size_t i = first; i < n_tensors && status == NB_OK; i++) {
        nb_tensor *t = tensors[i];
        if (done[i] || input_of(t, which) != input)
            continue;
        done[i] = true;
        const nb_packed *packed = whole(model, t, which);
        if (packed)
            parts[n_parts++] = (nb_matmul_part){packed, y[i], y_strides ? y_strides[i] : t->n_rows};
        else
            status = matmul_by_tiles(model, t, x, y[i], y_strides ? y_strides[i] : t->n_rows, error);
        if (input && input->scaling == NB_INPUT_STATIC && nb_tensor_wants_int8(t, which)) {
            t->n_static += (uint64_t)x->n_tokens * x->n_cols;
            t->n_clipped += n_clipped;
        }
    }
    if (status == NB_OK)
        nb_matmul_parts(model->context, parts, n_parts, x);
    return status;
}

static nb_status multiply_all(nb_model *model, nb_tensor *const *tensors, size_t n_tensors, nb_weights which,
                              const nb_acts *x, float *const *y, const size_t *y_strides, nb_error *error)
{
    bool done[NB_TENSORS_AT_ONCE] = {false};
    nb_status status = NB_OK;
    if (model->observe)
        model->observe(model->observer, tensors, n_tensors, x);
    for (size_t i = 0; i < n_tensors && status == NB_OK; i++)
        if (!done[i])
            status = multiply_alike(model, tensors, n_tensors, i, which, x, y, y_strides, done, error);
    return status;
}

nb_status nb_tensor_matmul(nb_model *model, nb_tensor *tensor, nb_weights which, const nb_acts *x, float *y,
                           size_t y_stride, nb_error *error)
{
    return multiply_all(model, &tensor, 1, which, x, &y, &y_stride, error);
}

nb_status nb_tensors_matmul(nb_model *model, nb_tensor *const *tensors, size_t n_tensors, nb_weights which,
                            const nb_acts *x, float *const *y, nb_error *error)
{
    return multiply_all(model, tensors, n_tensors, which, x, y, NULL, error);
}
