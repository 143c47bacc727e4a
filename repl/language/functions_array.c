/* Functions that make arrays, and that order, shape and multiply them. */
#include "repl/language/functions.h"
#include "repl/language/machine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static nb_status give(nb_status status, nb_array *made, nb_value *out)
{
    if (status == NB_OK)
        *out = nb_value_array(made);
    return status;
}

/* An axis at parameter `index`; `otherwise` if none is given. */
static nb_status read_axis(const nb_application *call, size_t index, int otherwise, int *out, nb_error *error)
{
    double axis = otherwise;
    nb_status status = NB_OK;
    if (nb_argument_given(call, index))
        status = nb_argument_whole(call, index, -NB_ARRAY_MAX_DIMS, NB_ARRAY_MAX_DIMS - 1, &axis, error);
    *out = (int)axis;
    return status;
}

/* ---- shapes from arguments ---- */

typedef struct shape {
    size_t dims[NB_ARRAY_MAX_DIMS];
    int n;
} shape;

static nb_status add_length(const nb_application *call, double length, bool infer, shape *s, nb_error *error)
{
    if (s->n == NB_ARRAY_MAX_DIMS)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: an array has at most %d dimensions", call->row->name,
                       NB_ARRAY_MAX_DIMS);
    if (infer && length == -1) {
        s->dims[s->n++] = NB_ARRAY_INFER;
        return NB_OK;
    }
    if (!(length >= 0 && length <= 1e15 && length == rint(length)))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: a length is a whole number, 0 or more", call->row->name);
    s->dims[s->n++] = (size_t)length;
    return NB_OK;
}

/* Lengths one by one, zeros(2, 3), or as one vector, zeros([2, 3]). */
static nb_status read_shape(const nb_application *call, size_t first, bool infer, shape *s, nb_error *error)
{
    nb_status status = NB_OK;
    *s = (shape){0};
    const size_t n = call->n_more - first;
    if (n == 1 && call->more[first].kind == NB_VALUE_ARRAY && call->more[first].array->n_dims == 1) {
        const nb_array *lengths = call->more[first].array;
        for (size_t i = 0; status == NB_OK && i < lengths->size; i++)
            status = add_length(call, (double)lengths->data[i], infer, s, error);
        return status;
    }
    for (size_t i = 0; status == NB_OK && i < n; i++) {
        const nb_value *value = &call->more[first + i];
        if (value->kind != NB_VALUE_NUMBER)
            return nb_fail(error, NB_ERR_ARGUMENT, "%s: a length is a whole number, not %s", call->row->name,
                           nb_value_describe(value).text);
        status = add_length(call, value->number, infer, s, error);
    }
    return status;
}

/* ---- making ---- */

/* op: the number that fills it. */
static nb_status filled(nb_application *call, nb_value *out, nb_error *error)
{
    shape s;
    nb_array *made = NULL;
    nb_status status = read_shape(call, 0, false, &s, error);
    if (status == NB_OK)
        status = nb_array_full(&call->language->space, s.n, s.dims, call->row->op, &made, error);
    return give(status, made, out);
}

static nb_status full(nb_application *call, nb_value *out, nb_error *error)
{
    shape s;
    nb_array *made = NULL;
    double number = 0;
    nb_status status = nb_value_is_number(&call->more[0], &number)
                           ? NB_OK
                           : nb_fail(error, NB_ERR_ARGUMENT, "full: the first argument is a number, not %s",
                                     nb_value_describe(&call->more[0]).text);
    if (status == NB_OK)
        status = read_shape(call, 1, false, &s, error);
    if (status == NB_OK)
        status = nb_array_full(&call->language->space, s.n, s.dims, number, &made, error);
    return give(status, made, out);
}

static nb_status eye(nb_application *call, nb_value *out, nb_error *error)
{
    double n;
    nb_array *made = NULL;
    nb_status status = nb_argument_whole(call, 0, 0, 1e9, &n, error);
    if (status == NB_OK)
        status = nb_array_eye(&call->language->space, (size_t)n, &made, error);
    return give(status, made, out);
}

/* range(stop), range(start, stop), range(start, stop, step) */
static nb_status range(nb_application *call, nb_value *out, nb_error *error)
{
    double start, stop, step = 1;
    nb_array *made = NULL;
    nb_status status = nb_argument_number(call, 0, &start, error);
    if (status == NB_OK && nb_argument_given(call, 1)) {
        status = nb_argument_number(call, 1, &stop, error);
    } else {
        stop = start;
        start = 0;
    }
    if (status == NB_OK && nb_argument_given(call, 2))
        status = nb_argument_number(call, 2, &step, error);
    if (status == NB_OK)
        status = nb_array_arange(&call->language->space, start, stop, step, &made, error);
    return give(status, made, out);
}

static nb_status linspace(nb_application *call, nb_value *out, nb_error *error)
{
    double start, stop, n;
    nb_array *made = NULL;
    nb_status status = nb_argument_number(call, 0, &start, error);
    if (status == NB_OK)
        status = nb_argument_number(call, 1, &stop, error);
    if (status == NB_OK)
        status = nb_argument_whole(call, 2, 0, 1e9, &n, error);
    if (status == NB_OK)
        status = nb_array_linspace(&call->language->space, start, stop, (size_t)n, &made, error);
    return give(status, made, out);
}

enum { SEED_AT = 1 }; /* of randn and rand */

static nb_status read_seed(const nb_application *call, size_t index, nb_random *random, nb_error *error)
{
    double seed;
    const nb_status status = nb_argument_whole(call, index, 0, 9007199254740992.0, &seed, error);
    if (status == NB_OK)
        nb_random_seed(random, (uint64_t)seed);
    return status;
}

/* op 0: normal, 1: uniform */
static nb_status random_array(nb_application *call, nb_value *out, nb_error *error)
{
    shape s;
    nb_random own, *random = &call->language->random;
    nb_array *made = NULL;
    nb_status status = read_shape(call, 0, false, &s, error);
    if (status == NB_OK && nb_argument_given(call, SEED_AT)) {
        status = read_seed(call, SEED_AT, &own, error);
        random = &own;
    }
    if (status == NB_OK)
        status = call->row->op ? nb_array_rand(&call->language->space, s.n, s.dims, random, &made, error)
                               : nb_array_randn(&call->language->space, s.n, s.dims, random, &made, error);
    return give(status, made, out);
}

static nb_status seed(nb_application *call, nb_value *out, nb_error *error)
{
    (void)out;
    return read_seed(call, 0, &call->language->random, error);
}

/* ---- shapes ---- */

static nb_status shape_of(nb_application *call, nb_value *out, nb_error *error)
{
    nb_array *x = NULL, *made = NULL;
    double dims[NB_ARRAY_MAX_DIMS] = {0};
    nb_status status = nb_argument_array(call, 0, &x, error);
    const int n_dims = status != NB_OK || call->values[0].kind == NB_VALUE_NUMBER ? 0 : x->n_dims;
    for (int i = 0; i < n_dims; i++)
        dims[i] = (double)x->dims[i];
    if (status == NB_OK)
        status = nb_array_from(&call->language->space, dims, (size_t)n_dims, &made, error);
    nb_array_release(&x);
    return give(status, made, out);
}

static nb_status size_of(nb_application *call, nb_value *out, nb_error *error)
{
    const nb_value *x = &call->values[0];
    if (x->kind == NB_VALUE_NUMBER)
        *out = nb_value_number(1);
    else if (x->kind == NB_VALUE_ARRAY)
        *out = nb_value_number((double)x->array->size);
    else
        return nb_argument_refuse(call, 0, "a number or an array", error);
    return NB_OK;
}

static nb_status length_of(nb_application *call, nb_value *out, nb_error *error)
{
    const nb_value *x = &call->values[0];
    if (x->kind == NB_VALUE_ARRAY)
        *out = nb_value_number((double)x->array->dims[0]);
    else if (x->kind == NB_VALUE_LIST)
        *out = nb_value_number((double)x->list->count);
    else if (x->kind == NB_VALUE_TEXT)
        *out = nb_value_number((double)x->text->n_bytes);
    else
        return nb_argument_refuse(call, 0, "an array, a list or text", error);
    return NB_OK;
}

static nb_status reshape(nb_application *call, nb_value *out, nb_error *error)
{
    shape s = {.n = 1, .dims = {NB_ARRAY_INFER}};
    nb_array *made = NULL;
    nb_operand x;
    if (!nb_value_operand(&call->more[0], &x) || !x.array)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: the first argument is an array, not %s", call->row->name,
                       nb_value_describe(&call->more[0]).text);
    nb_status status = read_shape(call, 1, true, &s, error);
    if (status == NB_OK)
        status = nb_array_reshape(x.array, s.n, s.dims, &made, error);
    if (status == NB_OK) {
        *out = nb_value_array(made);
        out->truth = call->more[0].truth && out->kind == NB_VALUE_ARRAY;
    }
    return status;
}

static nb_status flatten(nb_application *call, nb_value *out, nb_error *error)
{
    const size_t all = NB_ARRAY_INFER;
    nb_array *x = NULL, *made = NULL;
    nb_status status = nb_argument_array(call, 0, &x, error);
    if (status == NB_OK)
        status = x->size ? nb_array_reshape(x, 1, &all, &made, error)
                         : nb_array_create(&call->language->space, 1, &x->size, &made, error);
    nb_array_release(&x);
    return give(status, made, out);
}

static nb_status transpose(nb_application *call, nb_value *out, nb_error *error)
{
    nb_array *x = NULL, *made = NULL;
    nb_status status = nb_argument_array(call, 0, &x, error);
    if (status == NB_OK)
        status = nb_array_transpose(x, NULL, &made, error);
    nb_array_release(&x);
    if (status == NB_OK) {
        *out = nb_value_array(made);
        out->truth = call->values[0].truth;
    }
    return status;
}

enum { AXIS_AT = 2 }; /* of concat */

static nb_status concat(nb_application *call, nb_value *out, nb_error *error)
{
    nb_array *parts[NB_MAX_PLACED] = {0}, *made = NULL;
    nb_array_space *space = &call->language->space;
    nb_status status = NB_OK;
    int axis;
    for (size_t i = 0; status == NB_OK && i < call->n_more; i++) {
        const nb_value *part = &call->more[i];
        if (part->kind == NB_VALUE_ARRAY)
            parts[i] = nb_array_retain(part->array);
        else if (part->kind == NB_VALUE_NUMBER)
            status = nb_array_from(space, &part->number, 1, &parts[i], error);
        else
            status = nb_fail(error, NB_ERR_ARGUMENT, "concat joins arrays and numbers, not %s",
                             nb_value_describe(part).text);
    }
    if (status == NB_OK)
        status = read_axis(call, AXIS_AT, 0, &axis, error);
    if (status == NB_OK)
        status = nb_array_concat(space, parts, call->n_more, axis, &made, error);
    for (size_t i = 0; i < call->n_more; i++)
        nb_array_release(&parts[i]);
    return give(status, made, out);
}

/* ---- order ---- */

typedef nb_status along_fn(const nb_array *x, int axis, nb_array **out, nb_error *error);

static nb_status along(nb_application *call, nb_value *out, nb_error *error)
{
    static along_fn *const functions[] = {nb_array_sort, nb_array_argsort, nb_array_cumsum};
    nb_array *x = NULL, *made = NULL;
    int axis;
    nb_status status = nb_argument_array(call, 0, &x, error);
    if (status == NB_OK)
        status = read_axis(call, 1, -1, &axis, error);
    if (status == NB_OK)
        status = functions[call->row->op](x, axis, &made, error);
    nb_array_release(&x);
    return give(status, made, out);
}

/* Sorted, each number once. */
static nb_status unique(nb_application *call, nb_value *out, nb_error *error)
{
    nb_value flat = {0};
    nb_array *sorted = NULL, *made = NULL;
    nb_status status = flatten(call, &flat, error);
    if (status == NB_OK)
        status = nb_array_sort(flat.array, 0, &sorted, error);
    nb_value_release(&flat);
    size_t n = 0, k = 0;
    for (size_t i = 0; status == NB_OK && i < sorted->size; i++)
        n += i == 0 || sorted->data[i] != sorted->data[i - 1];
    if (status == NB_OK)
        status = nb_array_create(&call->language->space, 1, &n, &made, error);
    for (size_t i = 0; status == NB_OK && i < sorted->size; i++) {
        if (i == 0 || sorted->data[i] != sorted->data[i - 1])
            made->data[k++] = sorted->data[i];
    }
    nb_array_release(&sorted);
    return give(status, made, out);
}

/* Counts, and the edges of the bins. */
static nb_status histogram(nb_application *call, nb_value *out, nb_error *error)
{
    double n_bins = 10, low = (double)NAN, high = (double)NAN;
    nb_array *x = NULL, *counts = NULL, *edges = NULL;
    nb_status status = nb_argument_array(call, 0, &x, error);
    if (status == NB_OK && nb_argument_given(call, 1))
        status = nb_argument_whole(call, 1, 1, 1e6, &n_bins, error);
    if (status == NB_OK && nb_argument_given(call, 2) != nb_argument_given(call, 3))
        status = nb_fail(error, NB_ERR_ARGUMENT, "histogram takes low and high together, or neither");
    if (status == NB_OK && nb_argument_given(call, 2))
        status = nb_argument_number(call, 2, &low, error);
    if (status == NB_OK && nb_argument_given(call, 3))
        status = nb_argument_number(call, 3, &high, error);
    if (status == NB_OK)
        status = nb_array_histogram(x, (size_t)n_bins, low, high, &counts, &edges, error);
    nb_array_release(&x);
    if (status != NB_OK)
        return status;
    const nb_value both[] = {nb_value_array(counts), nb_value_array(edges)};
    return nb_value_list(both, 2, out, error);
}

static nb_status matmul(nb_application *call, nb_value *out, nb_error *error)
{
    return nb_evaluate_binary(call->language, NB_LEXEME_MATMUL, &call->values[0], &call->values[1], out,
                              error);
}

#define MAKE  "Making arrays"
#define SHAPE "Shape, order"

const nb_function_row nb_functions_array[] = {
    {"zeros", MAKE, "zeros(n, ...)", "zeros, of a length or of several", "zeros(2, 2)", "[[0, 0], [0, 0]]",
     filled, 0, 0, 0},
    {"ones", MAKE, "ones(n, ...)", "ones", "ones(3)", "[1, 1, 1]", filled, 1, 0, 0},
    {"full", MAKE, "full(x, n, ...)", "the number x, again and again", "full(7, 3)", "[7, 7, 7]", full, 0, 0,
     0},
    {"eye", MAKE, "eye(n)", "the identity matrix", "eye(2)", "[[1, 0], [0, 1]]", eye, 0, 0, 0},
    {"range", MAKE, "range(start, stop=, step=)", "0, 1, ... before start; or from start to before stop",
     "range(4)", "[0, 1, 2, 3]", range, 0, 0, 0},
    {"linspace", MAKE, "linspace(start, stop, n)", "n numbers at equal distances, both ends included",
     "linspace(0, 1, 5)", "[0, 0.25, 0.5, 0.75, 1]", linspace, 0, 0, 0},
    {"randn", MAKE, "randn(n, ..., seed=)", "random numbers of mean 0 and deviation 1",
     "shape(randn(4, 8, seed=1))", "[4, 8]", random_array, 0, 0, 0},
    {"rand", MAKE, "rand(n, ..., seed=)", "random numbers, evenly between 0 and 1",
     "max(rand(100, seed=1)) < 1", "1", random_array, 1, 0, 0},
    {"seed", MAKE, "seed(n)", "what randn and rand go on from; the same seed, the same numbers", "seed(3)",
     NULL, seed, 0, 0, 0},

    {"shape", SHAPE, "shape(x)", "the lengths of its dimensions", "shape([[1, 2, 3]])", "[1, 3]", shape_of, 0,
     0, 0},
    {"size", SHAPE, "size(x)", "how many numbers it holds", "size([[1, 2, 3]])", "3", size_of, 0, 0, 0},
    {"len", SHAPE, "len(x)", "the length of its first dimension", "len([[1, 2, 3]])", "1", length_of, 0, 0,
     0},
    {"reshape", SHAPE, "reshape(x, n, ...)", "the same numbers in another shape; -1: what is left",
     "reshape(range(4), 2, -1)", "[[0, 1], [2, 3]]", reshape, 0, 0, 0},
    {"flatten", SHAPE, "flatten(x)", "all numbers in one row", "flatten([[1, 2], [3, 4]])", "[1, 2, 3, 4]",
     flatten, 0, 0, 0},
    {"transpose", SHAPE, "transpose(x)", "rows become columns", "transpose([[1, 2], [3, 4]])",
     "[[1, 3], [2, 4]]", transpose, 0, 0, 0},
    {"concat", SHAPE, "concat(a, b, ..., axis=)", "one after the other", "concat([1, 2], [3])", "[1, 2, 3]",
     concat, 0, 0, 0},
    {"sort", SHAPE, "sort(x, axis=)", "from small to large, along the last axis unless told",
     "sort([3, 1, 2])", "[1, 2, 3]", along, 0, 0, 0},
    {"argsort", SHAPE, "argsort(x, axis=)", "where each number of the sorted ones stands in x",
     "argsort([3, 1, 2])", "[1, 2, 0]", along, 1, 0, 0},
    {"cumsum", SHAPE, "cumsum(x, axis=)", "running sums, along the last axis unless told",
     "cumsum([1, 2, 3])", "[1, 3, 6]", along, 2, 0, 0},
    {"unique", SHAPE, "unique(x)", "each number once, sorted", "unique([3, 1, 3])", "[1, 3]", unique, 0, 0,
     0},
    {"histogram", SHAPE, "histogram(x, bins=, low=, high=)",
     "counts and edges: how many numbers fall into each of 10 bins", "histogram([1, 2, 2, 4], 3)",
     "[1, 2, 1], [1, 2, 3, 4]", histogram, 0, 0, 0},
    {"matmul", SHAPE, "matmul(a, b)", "the matrix product; a @ b is the same",
     "matmul([[1, 2], [3, 4]], [1, 1])", "[3, 7]", matmul, 0, 0, 0},
};
const size_t nb_n_functions_array = sizeof nb_functions_array / sizeof *nb_functions_array;
