/* Functions of the trade: errors, formats, and the built-in quantizers beside one's own. */
#include "repl/language/functions.h"
#include "repl/language/machine.h"
#include "repl/language/quantizer_words.h"

#include "repl/nearest.h"
#include "repl/notebook.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ---- */

static nb_status read_pair(nb_application *call, nb_array **x, nb_array **y, nb_error *error)
{
    char a[96], b[96];
    nb_status status = nb_argument_array(call, 0, x, error);
    if (status == NB_OK)
        status = nb_argument_array(call, 1, y, error);
    if (status == NB_OK &&
        ((*x)->n_dims != (*y)->n_dims || memcmp((*x)->dims, (*y)->dims, sizeof(*x)->dims) != 0))
        status = nb_fail(error, NB_ERR_ARGUMENT, "%s compares arrays of one shape, not %s and %s",
                         call->row->name, nb_array_shape(*x, a, sizeof a), nb_array_shape(*y, b, sizeof b));
    return status;
}

enum { MSE, SQNR, COSINE, MAX_ERROR };

static nb_status measure(nb_application *call, nb_value *out, nb_error *error)
{
    nb_array *x = NULL, *y = NULL;
    nb_status status = read_pair(call, &x, &y, error);
    if (status == NB_OK) {
        nb_error_sums sums = {0};
        nb_error_sums_add(&sums, x->data, y->data, x->size);
        const int op = call->row->op;
        *out = nb_value_number(op == MSE      ? nb_error_mse(&sums)
                               : op == SQNR   ? nb_error_sqnr(&sums)
                               : op == COSINE ? nb_error_cosine(&sums)
                                              : sums.max_error);
    }
    nb_array_release(&x);
    nb_array_release(&y);
    return status;
}

/* sqnr(TENSOR) is what `layers` shows; sqnr(x, y) compares two arrays. */
static nb_status sqnr(nb_application *call, nb_value *out, nb_error *error)
{
    const nb_tensor *tensor;
    if (nb_argument_given(call, 1))
        return measure(call, out, error);
    if (call->values[0].kind != NB_VALUE_TEXT)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "sqnr takes a tensor's name, or the original and what became of it: %s",
                       call->row->usage);
    const nb_notebook *notebook = call->language->notebook;
    if (!notebook->model)
        return nb_fail(error, NB_ERR_STATE, "sqnr needs a model, and none is loaded yet: load FILE");
    nb_status status = nb_notebook_tensor(notebook, call->values[0].text->bytes, &tensor, error);
    if (status == NB_OK)
        *out = nb_value_number(isnan(tensor->sqnr) ? (double)INFINITY : tensor->sqnr); /* as it was */
    return status;
}

/* ---- formats ---- */

/* x read as rows of its last dimension. */
typedef struct rows {
    nb_array *x;
    size_t n_rows, n_cols;
} rows;

static nb_status read_rows(nb_application *call, rows *r, nb_error *error)
{
    *r = (rows){0};
    const nb_status status = nb_argument_array(call, 0, &r->x, error);
    if (status != NB_OK)
        return status;
    r->n_cols = r->x->dims[r->x->n_dims - 1];
    r->n_rows = r->n_cols ? r->x->size / r->n_cols : 0;
    return r->x->size ? NB_OK : nb_fail(error, NB_ERR_ARGUMENT, "%s: the array is empty", call->row->name);
}

static nb_status give(nb_application *call, const nb_value *like, nb_array *made, nb_value *out)
{
    (void)call;
    *out = nb_value_array(made);
    if (like->kind == NB_VALUE_NUMBER) {
        const double number = (double)out->array->data[0];
        nb_value_release(out);
        *out = nb_value_number(number);
    }
    return NB_OK;
}

/* Each number to the nearest one of a float format. */
static nb_status cast(nb_application *call, nb_value *out, nb_error *error)
{
    const nb_format *format;
    const char *name;
    rows r = {0};
    nb_array *made = NULL;
    nb_status status = nb_argument_text(call, 1, &name, error);
    if (status == NB_OK)
        status = nb_notebook_format(name, &format, error);
    if (status == NB_OK && format->kind != NB_FORMAT_FLOAT)
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "cast rounds to a float format; %s has scales: quantized(x, \"%s\") makes them",
                         name, format->kind == NB_FORMAT_INT ? "int4 absmax/tensor" : format->name);
    if (status == NB_OK)
        status = read_rows(call, &r, error);
    if (status == NB_OK)
        status = nb_array_create(&call->language->space, r.x->n_dims, r.x->dims, &made, error);
    for (size_t i = 0; status == NB_OK && i < r.x->size; i++)
        made->data[i] = format->decode(format->encode(r.x->data[i]));
    nb_array_release(&r.x);
    return status == NB_OK ? give(call, &call->values[0], made, out) : status;
}

/* Packs x as `how` says: "int4 absmax/group:32", "q4_k", "absmax" (8 bits, one scale). */
static nb_status pack(nb_application *call, rows *r, nb_packed **out, nb_error *error)
{
    const char *how;
    nb_quantizer quantizer;
    nb_status status = nb_argument_text(call, 1, &how, error);
    if (status == NB_OK)
        status = nb_quantizer_of_words(how, &quantizer, error);
    if (status == NB_OK)
        status = read_rows(call, r, error);
    if (status != NB_OK)
        return status;
    const nb_source source = {
        .format = &nb_format_f32, .data = r->x->data, .n_rows = r->n_rows, .n_cols = r->n_cols};
    return nb_rtn_quantize(call->language->space.context, call->row->name, &source, &quantizer, out, NULL,
                           error);
}

static nb_status quantized(nb_application *call, nb_value *out, nb_error *error)
{
    rows r = {0};
    nb_packed *packed = NULL;
    nb_array *made = NULL;
    nb_status status = pack(call, &r, &packed, error);
    if (status == NB_OK)
        status = nb_array_create(&call->language->space, r.x->n_dims, r.x->dims, &made, error);
    for (size_t row = 0; status == NB_OK && row < r.n_rows; row++)
        nb_packed_decode_row(packed, row, made->data + row * r.n_cols);
    nb_packed_destroy(&packed);
    nb_array_release(&r.x);
    return status == NB_OK ? give(call, &call->values[0], made, out) : status;
}

enum { CODES, SCALES, ZERO_POINTS };

/* What int formats, nf4 and fp4 hold: codes [rows, columns], scales and zero points [rows, groups]; one for the whole
 * array where it shares one. */
static nb_status copy_parts(const nb_packed *packed, const rows *r, int op, float *to, size_t n_each,
                            nb_error *error)
{
    const size_t n_scales = nb_max_size(packed->n_scales, 1);
    uint8_t *codes = nb_calloc(NB_ROWS * r->n_cols, 1), *zeros = nb_calloc(NB_ROWS * n_scales, 1);
    float *scales = nb_calloc(NB_ROWS * n_scales, sizeof *scales);
    const bool table = packed->quantizer.format->kind == NB_FORMAT_TABLE;
    const int middle = table ? 0 : 1 << (packed->quantizer.format->bits - 1);
    const bool has_zeros = packed->quantizer.scheme == NB_SCHEME_ZEROPOINT;
    for (size_t row = 0; codes && zeros && scales && row < r->n_rows; row++) {
        if (row % NB_ROWS == 0 && table)
            nb_packed_get_table(packed, row / NB_ROWS, codes, scales);
        else if (row % NB_ROWS == 0)
            nb_packed_get_int(packed, row / NB_ROWS, codes, scales, zeros);
        const size_t in_group = row % NB_ROWS;
        for (size_t k = 0; k < n_each; k++)
            to[row * n_each + k] = op == CODES    ? (float)((int)codes[in_group * r->n_cols + k] - middle)
                                   : op == SCALES ? scales[in_group * n_scales + k]
                                   : has_zeros    ? (float)((int)zeros[in_group * n_scales + k] - middle)
                                                  : 0;
    }
    const bool fine = codes && zeros && scales;
    free(codes), free(zeros), free(scales);
    return fine ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for the codes of %zu columns", r->n_cols);
}

static nb_status parts(nb_application *call, nb_value *out, nb_error *error)
{
    rows r = {0};
    nb_packed *packed = NULL;
    nb_array *made = NULL;
    const int op = call->row->op;
    nb_status status = pack(call, &r, &packed, error);
    const nb_format_kind kind = status == NB_OK ? packed->quantizer.format->kind : NB_FORMAT_INT;
    if (kind != NB_FORMAT_INT && (kind != NB_FORMAT_TABLE || op == ZERO_POINTS))
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "%s are those of the int formats%s: %s(x, \"int4 absmax/group:32\")", call->row->name,
                         op == ZERO_POINTS ? "" : ", nf4 and fp4", call->row->name);
    const bool one = status == NB_OK && op != CODES && packed->quantizer.granularity == NB_PER_TENSOR;
    const size_t n_each = status != NB_OK ? 0 : op == CODES ? r.n_cols : nb_max_size(packed->n_scales, 1);
    size_t dims[NB_ARRAY_MAX_DIMS] = {r.n_rows, n_each};
    if (status == NB_OK && op == CODES)
        memcpy(dims, r.x->dims, sizeof dims);
    if (status == NB_OK)
        status = nb_array_create(&call->language->space, op == CODES ? r.x->n_dims : 2, dims, &made, error);
    if (status == NB_OK)
        status = copy_parts(packed, &r, op, made->data, n_each, error);
    if (status == NB_OK && one) {
        *out = nb_value_number((double)made->data[0]);
        nb_array_release(&made);
    } else if (status == NB_OK) {
        *out = nb_value_array(made);
    } else {
        nb_array_release(&made);
    }
    nb_packed_destroy(&packed);
    nb_array_release(&r.x);
    return status;
}

#define TRADE "Quantizing"

const nb_function_row nb_functions_quantize[] = {
    {"mse", TRADE, "mse(x, y)", "the mean squared error between an array and what became of it",
     "mse([1, 2], [1, 4])", "2", measure, MSE, 0, 0},
    {"sqnr", TRADE, "sqnr(x, y=)", "signal to noise in dB, of two arrays or of a tensor as it is stored now",
     "sqnr([3, 4], [3, 4.5])", "20", sqnr, SQNR, 1, 0},
    {"cosine", TRADE, "cosine(x, y)", "the cosine between two arrays: 1 where they point the same way",
     "cosine([1, 0], [1, 1]) < 0.71", "1", measure, COSINE, 0, 0},
    {"max_error", TRADE, "max_error(x, y)", "the largest difference of any number",
     "max_error([1, 2], [1, 4])", "2", measure, MAX_ERROR, 0, 0},
    {"cast", TRADE, "cast(x, format)", "each number rounded to a float format: f16, bf16, f8_e4m3, ...",
     "cast(0.1, \"bf16\")", "0.10009766", cast, 0, 0, 0},
    {"quantized", TRADE, "quantized(x, how)", "what a built-in quantizer makes of an array",
     "quantized([1, 2, 3.5, -7], \"int4 absmax/tensor\")", "[1, 2, 4, -7]", quantized, 0, 0, 0},
    {"codes", TRADE, "codes(x, how)", "the whole numbers that it stores",
     "codes([0.1, 0.7], \"int4 absmax/tensor\")", "[1, 7]", parts, CODES, 0, 0},
    {"scales", TRADE, "scales(x, how)", "its scales: one, or one for each row and group",
     "scales([0.5, -7], \"int4 absmax/tensor\")", "1", parts, SCALES, 0, 0},
    {"zero_points", TRADE, "zero_points(x, how)", "its zero points",
     "zero_points([0, 255], \"int8 zeropoint/tensor\")", "-128", parts, ZERO_POINTS, 0, 0},
};
const size_t nb_n_functions_quantize = sizeof nb_functions_quantize / sizeof *nb_functions_quantize;
