/* Tensors: their rows as f32, and packing them from their sources. */
#include "base/memory.h"
#include "model/state.h"

#include <string.h>

enum { PACK_STEP_BYTES = 8 << 20 }; /* of source, between two looks at the cancel flag */

static size_t source_row_bytes(const nb_tensor *t)
{
    return t->n_cols * (t->source_format->bits / 8);
}

size_t nb_tensor_source_n_bytes(const nb_tensor *tensor)
{
    return tensor->source_format ? tensor->n_rows * source_row_bytes(tensor) : 0;
}

uint64_t nb_tensor_n_bytes(const nb_tensor *tensor)
{
    if (tensor->is_vector)
        return (uint64_t)tensor->n_cols * sizeof(float);
    return tensor->packed ? tensor->packed->n_bytes : 0;
}

void nb_tensor_source_row(const nb_tensor *tensor, size_t row, float *out)
{
    if (tensor->is_vector)
        memcpy(out, tensor->vector, tensor->n_cols * sizeof *out);
    else if (tensor->source_format)
        nb_format_decode_row(tensor->source_format,
                             (const uint8_t *)tensor->source + row * source_row_bytes(tensor), tensor->n_cols,
                             out);
    else /* what the file holds is all there is */
        nb_packed_decode_row(tensor->packed, row, out);
}

void nb_tensor_current_row(const nb_tensor *tensor, size_t row, float *out)
{
    if (tensor->is_vector)
        memcpy(out, tensor->vector, tensor->n_cols * sizeof *out);
    else if (tensor->packed)
        nb_packed_decode_row(tensor->packed, row, out);
    else /* lost: nb_model_check says so */
        memset(out, 0, tensor->n_cols * sizeof *out);
}

nb_quantizer nb_quantizer_of_source(const nb_format *format)
{
    return (nb_quantizer){.format = format, .scheme = NB_SCHEME_NONE, .granularity = NB_PER_TENSOR};
}

/* ---- packing ---- */

typedef struct nb_pack_job {
    const nb_tensor *tensor;
    nb_packed *packed;
    size_t first_source_group; /* the source's row group that goes into the packed one's first */
    size_t begin;              /* item 0 is this row group of `packed` */
} nb_pack_job;

static void pack_groups(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const nb_pack_job *job = user;
    const size_t row_bytes = source_row_bytes(job->tensor);
    for (size_t i = begin; i < end; i++) {
        const size_t group = job->begin + i;
        const uint8_t *rows =
            (const uint8_t *)job->tensor->source + (job->first_source_group + group) * NB_ROWS * row_bytes;
        nb_packed_set_float(job->packed, group, rows, row_bytes);
    }
}

void nb_tensor_pack_groups(nb_context *context, const nb_tensor *tensor, size_t first_source_group,
                           nb_packed *packed, size_t begin, size_t end)
{
    nb_pack_job job = {tensor, packed, first_source_group, begin};
    const size_t group_bytes = NB_ROWS * source_row_bytes(tensor);
    nb_parallel(context->pool, end - begin, 1 + (64 << 10) / (group_bytes + 1), pack_groups, &job);
}

nb_status nb_tensor_pack_source(nb_model *model, const nb_tensor *tensor, const char *what, uint64_t done,
                                uint64_t total, nb_packed **out, nb_error *error)
{
    const nb_quantizer quantizer = nb_quantizer_of_source(tensor->source_format);
    const size_t n_bytes = nb_tensor_source_n_bytes(tensor);
    const size_t group_bytes = NB_ROWS * source_row_bytes(tensor);
    const size_t step = nb_max_size(1, PACK_STEP_BYTES / group_bytes);
    size_t offset = 0;
    if (model->mapping) {
        offset = (size_t)((const uint8_t *)tensor->source - model->mapping->data);
        nb_mapping_will_need(model->mapping, offset, n_bytes);
    }
    nb_packed *packed = NULL;
    nb_status status = nb_packed_create(&quantizer, tensor->n_rows, tensor->n_cols, &packed, error);
    for (size_t group = 0; status == NB_OK && group < packed->n_row_groups; group += step) {
        const size_t end = nb_min_size(group + step, packed->n_row_groups);
        nb_tensor_pack_groups(model->context, tensor, 0, packed, group, end);
        status = nb_context_tick(model->context, what, done + nb_min_size(end * group_bytes, n_bytes), total,
                                 "bytes", error);
    }
    if (model->mapping)
        nb_mapping_release(model->mapping, offset, n_bytes);
    if (status != NB_OK)
        nb_packed_destroy(&packed);
    *out = packed;
    return status;
}
