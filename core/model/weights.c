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

#include <stdatomic.h>

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

/* Tokens on their way from x to acts. */
typedef struct input_job {
    const nb_kernels *kernels;
    const nb_input *input;
    const nb_acts *x;
    nb_acts *acts;
    float *outliers; /* [n_tokens][n_outliers], or NULL */
    float *rows;     /* [n_tokens][n_cols] or, if no row is kept, a row for each thread; NULL: x is not touched */
    bool keeps_rows, int8;
    atomic_uint_fast64_t n_clipped;
} input_job;

/* Outliers go beside the rows, and are 0 in them. */
static void part_outliers(const nb_input *input, float *row, float *outliers)
{
    for (size_t i = 0; i < input->n_outliers; i++) {
        outliers[i] = row[input->outliers[i]];
        row[input->outliers[i]] = 0.0f;
    }
}

static size_t round_token(const input_job *job, size_t token, const float *x)
{
    if (job->input->scaling == NB_INPUT_BLOCKS) {
        nb_acts_quantize(job->kernels, job->acts, token, x);
        return 0;
    }
    const bool is_static = job->input->scaling == NB_INPUT_STATIC;
    return nb_acts_quantize_scaled(job->kernels, job->acts, token, x, is_static ? &job->input->scale : NULL);
}

/* What a token goes through, all of it while the token is in the cache. */
static void prepare_tokens(void *user, size_t begin, size_t end, unsigned thread)
{
    input_job *job = user;
    uint64_t n_clipped = 0;
    for (size_t t = begin; t < end; t++) {
        const float *x = job->x->f32 + t * job->x->f32_stride;
        if (job->rows) {
            float *row = job->rows + (job->keeps_rows ? t : thread) * job->x->n_cols;
            nb_input_apply(job->input, x, row);
            if (job->outliers)
                part_outliers(job->input, row, job->outliers + t * job->input->n_outliers);
            x = row;
        }
        if (job->int8)
            n_clipped += round_token(job, t, x);
    }
    atomic_fetch_add(&job->n_clipped, n_clipped);
}

/* Room for n_rows rows of n_cols floats, and n_beside floats for each token. */
static nb_status reserve_rows(nb_model *model, size_t n_tokens, size_t n_beside, size_t n_rows, size_t n_cols,
                              nb_error *error)
{
    size_t n = 0, n_all = 0;
    const bool fits = nb_mul_size(n_rows, n_cols, &n) && nb_mul_size(n_tokens, n_beside, &n_all) &&
                      nb_add_size(n, n_all, &n_all);
    if (fits && n_all <= model->input_capacity)
        return NB_OK;
    nb_aligned_free(model->input_rows);
    model->input_rows = fits ? nb_aligned_calloc(n_all, sizeof *model->input_rows) : NULL;
    model->input_capacity = model->input_rows ? n_all : 0;
    if (model->input_rows)
        return NB_OK;
    return nb_fail(error, NB_ERR_MEMORY, "not enough memory for the activations of %zu tokens; try fewer at once",
                   n_tokens);
}

/* x as `input` leaves it, in model->input_acts: as int8, as f32, or both. */
static nb_status prepare_input(nb_model *model, const nb_input *input, const nb_acts *x, bool int8, bool f32,
                               uint64_t *n_clipped, nb_error *error)
{
    nb_acts *acts = &model->input_acts.acts;
    input_job job = {model->context->kernels, input, x, acts, .keeps_rows = f32, .int8 = int8};
    nb_status status = nb_acts_reserve(model->context, &model->input_acts, x->n_tokens, x->n_cols, int8, error);
    acts->f32 = x->f32;
    acts->f32_stride = x->f32_stride;
    if (status == NB_OK && (nb_input_moves(input) || input->n_outliers > 0)) {
        const size_t n_rows = f32 ? x->n_tokens : nb_pool_size(model->context->pool);
        status = reserve_rows(model, x->n_tokens, input->n_outliers, n_rows, x->n_cols, error);
        job.rows = model->input_rows;
        if (input->n_outliers > 0)
            job.outliers = job.rows + n_rows * x->n_cols;
        acts->f32 = f32 ? job.rows : NULL;
        acts->f32_stride = x->n_cols;
        acts->outliers = job.outliers;
        acts->outlier_stride = input->n_outliers;
    }
    if (status != NB_OK)
        return status;
    atomic_init(&job.n_clipped, 0);
    if (job.rows || int8)
        nb_parallel(model->context->pool, x->n_tokens, NB_TOKENS_AT_ONCE, prepare_tokens, &job);
    *n_clipped = atomic_load(&job.n_clipped);
    return NB_OK;
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
    bool int8 = false, f32 = false;
    for (size_t i = first; i < n_tensors; i++)
        if (input_of(tensors[i], which) == input) {
            const bool wants_int8 = nb_tensor_wants_int8(tensors[i], which);
            int8 = int8 || wants_int8;
            f32 = f32 || !wants_int8;
        }
    if (input) {
        status = prepare_input(model, input, x, int8, f32, &n_clipped, error);
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
