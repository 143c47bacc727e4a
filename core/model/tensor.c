/* Tensors: their rows as f32, and packing them from their sources. */
#include "base/memory.h"
#include "model/state.h"

#include <string.h>

enum { PACK_STEP_BYTES = 8 << 20 }; /* of source, between two looks at the cancel flag */

static size_t source_row_bytes(const nb_tensor *t)
{
    return nb_format_row_bytes(t->source_format, t->n_cols);
}

size_t nb_tensor_source_n_bytes(const nb_tensor *tensor)
{
    return tensor->source_format ? tensor->n_rows * source_row_bytes(tensor) : 0;
}

uint64_t nb_tensor_n_bytes(const nb_tensor *tensor)
{
    if (tensor->is_vector)
        return (uint64_t)tensor->n_cols * sizeof(float);
    if (tensor->simulated || !tensor->packed)
        return nb_tensor_source_n_bytes(tensor); /* what a simulation would take is its own business */
    return tensor->packed->n_bytes + nb_input_n_bytes(tensor->input);
}

const char *nb_tensor_provenance(const nb_tensor *tensor)
{
    if (tensor->made)
        return tensor->made->provenance;
    return tensor->changed ? NULL : tensor->source_provenance;
}

void nb_tensor_source_row(const nb_tensor *tensor, size_t row, float *out)
{
    if (tensor->is_vector)
        memcpy(out, tensor->vector, tensor->n_cols * sizeof *out);
    else if (tensor->source_format)
        nb_transform_read_row(tensor->transforms, tensor->source_format,
                              (const uint8_t *)tensor->source + row * source_row_bytes(tensor), row,
                              tensor->n_cols, out);
    else /* what the file holds is all there is */
        nb_tensor_current_row(tensor, row, out);
}

void nb_tensor_current_row(const nb_tensor *tensor, size_t row, float *out)
{
    if (tensor->is_vector)
        memcpy(out, tensor->vector, tensor->n_cols * sizeof *out);
    else if (tensor->packed) {
        nb_packed_decode_row(tensor->packed, row, out);
        if (nb_input_moves(tensor->input))
            nb_input_turn_back_row(tensor->input, out);
    } else /* lost: nb_model_check says so */
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
    uint8_t *scratch;          /* for transformed rows: a slot a thread; NULL: there are no transforms */
    size_t slot_bytes, codes_offset;
} nb_pack_job;

/* A row group of the source, read through the transforms and in the source's format again. */
static const uint8_t *transformed_group(const nb_pack_job *job, size_t first_row, unsigned thread)
{
    const nb_tensor *t = job->tensor;
    uint8_t *slot = job->scratch + thread * job->slot_bytes, *codes = slot + job->codes_offset;
    const size_t n_rows = nb_min_size(NB_ROWS, t->n_rows - first_row);
    for (size_t i = 0; i < n_rows; i++) {
        float *row = (float *)(void *)slot;
        nb_tensor_source_row(t, first_row + i, row);
        nb_format_encode_row(t->source_format, row, t->n_cols, codes + i * source_row_bytes(t));
    }
    return codes;
}

static void pack_groups(void *user, size_t begin, size_t end, unsigned thread)
{
    const nb_pack_job *job = user;
    const size_t row_bytes = source_row_bytes(job->tensor);
    for (size_t i = begin; i < end; i++) {
        const size_t group = job->begin + i, first_row = (job->first_source_group + group) * NB_ROWS;
        const uint8_t *rows = job->scratch ? transformed_group(job, first_row, thread)
                                           : (const uint8_t *)job->tensor->source + first_row * row_bytes;
        nb_packed_set_rows(job->packed, group, rows, row_bytes);
    }
}

nb_status nb_tensor_pack_groups(nb_context *context, const nb_tensor *tensor, size_t first_source_group,
                                nb_packed *packed, size_t begin, size_t end, nb_error *error)
{
    nb_pack_job job = {
        .tensor = tensor, .packed = packed, .first_source_group = first_source_group, .begin = begin};
    const size_t group_bytes = NB_ROWS * source_row_bytes(tensor);
    if (tensor->transforms) {
        job.codes_offset = tensor->n_cols * sizeof(float);
        job.slot_bytes = nb_round_up(job.codes_offset + group_bytes, 64);
        job.scratch = nb_aligned_calloc(nb_pool_size(context->pool), job.slot_bytes);
        if (!job.scratch)
            return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to transform its rows", tensor->name);
    }
    nb_parallel(context->pool, end - begin, 1 + (64 << 10) / (group_bytes + 1), pack_groups, &job);
    nb_aligned_free(job.scratch);
    return NB_OK;
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
        status = nb_tensor_pack_groups(model->context, tensor, 0, packed, group, end, error);
        if (status == NB_OK)
            status = nb_context_tick(model->context, what, done + nb_min_size(end * group_bytes, n_bytes),
                                     total, "bytes", error);
    }
    if (model->mapping)
        nb_mapping_release(model->mapping, offset, n_bytes);
    if (status != NB_OK)
        nb_packed_destroy(&packed);
    *out = packed;
    return status;
}
