/* x[...]: reading parts of arrays, and giving them values. */
#include "repl/language/machine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What stands between the brackets. Either every part is a slice, or one of them is an array that picks. */
typedef struct subscript {
    nb_slice slices[NB_ARRAY_MAX_DIMS];
    int n;
    int picker;      /* which part is an array; -1: none */
    nb_value picked; /* that array */
} subscript;

static nb_status whole(nb_language *language, const nb_node *node, const nb_value *value, int64_t *out,
                       nb_error *error)
{
    double number;
    if (nb_value_is_number(value, &number) && number == rint(number) && fabs(number) < 9e15) {
        *out = (int64_t)number;
        return NB_OK;
    }
    const nb_status status =
        nb_value_is_number(value, &number)
            ? nb_fail(error, NB_ERR_ARGUMENT,
                      "an index is a whole number: // divides to whole ones, round(x) rounds")
            : nb_fail(error, NB_ERR_ARGUMENT, "an index is a whole number, not %s",
                      nb_value_describe(value).text);
    return nb_language_failed_at(language, node, status);
}

static nb_status read_bound(nb_language *language, const nb_node *node, bool *given, int64_t *out,
                            nb_error *error)
{
    nb_value value = {0};
    *given = node != NULL;
    if (!node)
        return NB_OK;
    nb_status status = nb_evaluate(language, node, &value, error);
    if (status == NB_OK)
        status = whole(language, node, &value, out, error);
    nb_value_release(&value);
    return status;
}

static nb_status read_slice(nb_language *language, const nb_node *node, nb_slice *out, nb_error *error)
{
    bool has_step = false;
    *out = (nb_slice){.kind = NB_SLICE_RANGE, .step = 1};
    nb_status status = read_bound(language, node->children[0], &out->has_begin, &out->begin, error);
    if (status == NB_OK)
        status = read_bound(language, node->children[1], &out->has_end, &out->end, error);
    if (status == NB_OK)
        status = read_bound(language, node->children[2], &has_step, &out->step, error);
    if (status == NB_OK && !out->has_begin && !out->has_end && !has_step)
        out->kind = NB_SLICE_ALL;
    return status;
}

static nb_status read_part(nb_language *language, const nb_node *node, subscript *s, nb_error *error)
{
    nb_slice *slice = &s->slices[s->n];
    if (node->kind == NB_NODE_SLICE)
        return read_slice(language, node, slice, error);
    nb_value value = {0};
    nb_status status = nb_evaluate(language, node, &value, error);
    *slice = (nb_slice){.kind = NB_SLICE_INDEX};
    if (status == NB_OK && value.kind == NB_VALUE_ARRAY && s->picker < 0) {
        slice->kind = NB_SLICE_ALL;
        s->picker = s->n;
        s->picked = value;
        return NB_OK;
    }
    if (status == NB_OK && value.kind == NB_VALUE_ARRAY)
        status = nb_fail(error, NB_ERR_ARGUMENT, "only one of the indices can be an array");
    if (status == NB_OK)
        status = whole(language, node, &value, &slice->begin, error);
    nb_value_release(&value);
    return status;
}

static nb_status read_subscript(nb_language *language, const nb_array *x, const nb_node *index, subscript *s,
                                nb_error *error)
{
    char shape[96];
    *s = (subscript){.picker = -1};
    const size_t n = index->n_children - 1;
    if (n > (size_t)x->n_dims)
        return nb_fail(error, NB_ERR_ARGUMENT, "%zu indices are too many for an array of shape %s", n,
                       nb_array_shape(x, shape, sizeof shape));
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < n; i++, s->n++)
        status = read_part(language, index->children[i + 1], s, error);
    if (status != NB_OK)
        nb_value_release(&s->picked);
    return status;
}

/* ---- picking ---- */

static bool same_shape(const nb_array *a, const nb_array *b)
{
    return a->n_dims == b->n_dims && memcmp(a->dims, b->dims, sizeof a->dims) == 0;
}

/* Where a mask along one dimension is true: positions. */
static nb_status positions_of(nb_language *language, const nb_array *mask, size_t length, nb_array **out,
                              nb_error *error)
{
    size_t n = 0;
    if (mask->n_dims != 1 || mask->size != length) {
        char shape[96];
        return nb_fail(error, NB_ERR_ARGUMENT, "a mask of shape %s does not fit a dimension of %zu",
                       nb_array_shape(mask, shape, sizeof shape), length);
    }
    for (size_t i = 0; i < mask->size; i++)
        n += mask->data[i] != 0;
    nb_status status = nb_array_create(&language->space, 1, &n, out, error);
    for (size_t i = 0, k = 0; status == NB_OK && i < mask->size; i++) {
        if (mask->data[i] != 0)
            (*out)->data[k++] = (float)i;
    }
    return status;
}

/* Takes along dimension `axis`: it comes to the front, is taken from, and goes back. */
static nb_status take_along(const nb_array *x, int axis, const nb_array *indices, nb_array **out,
                            nb_error *error)
{
    if (axis == 0)
        return nb_array_take(x, indices, out, error);
    if (indices->n_dims != 1)
        return nb_fail(error, NB_ERR_ARGUMENT, "an array of indices beside a slice has one dimension");
    int there[NB_ARRAY_MAX_DIMS], back[NB_ARRAY_MAX_DIMS];
    nb_array *moved = NULL, *taken = NULL;
    for (int i = 0, k = 1; i < x->n_dims; i++) {
        there[i == axis ? 0 : k] = i;
        back[i] = i == axis ? 0 : k;
        k += i != axis;
    }
    nb_status status = nb_array_transpose(x, there, &moved, error);
    if (status == NB_OK)
        status = nb_array_take(moved, indices, &taken, error);
    if (status == NB_OK)
        status = nb_array_transpose(taken, back, out, error);
    nb_array_release(&moved);
    nb_array_release(&taken);
    return status;
}

static nb_status pick(nb_language *language, const nb_array *x, const subscript *s, nb_array **out,
                      nb_error *error)
{
    const nb_value *picked = &s->picked;
    if (picked->truth && s->n == 1 && same_shape(picked->array, x))
        return nb_array_pick(x, picked->array, out, error);
    nb_array *part = NULL, *positions = NULL;
    int axis = 0;
    for (int i = 0; i < s->picker; i++)
        axis += s->slices[i].kind != NB_SLICE_INDEX;
    nb_status status = nb_array_slice(x, s->slices, s->n, &part, error);
    if (status == NB_OK && picked->truth)
        status = positions_of(language, picked->array, part->dims[axis], &positions, error);
    if (status == NB_OK)
        status = take_along(part, axis, positions ? positions : picked->array, out, error);
    nb_array_release(&part);
    nb_array_release(&positions);
    return status;
}

/* ---- lists ---- */

static nb_status list_item(nb_language *language, const nb_list *list, const nb_node *index, size_t *out,
                           nb_error *error)
{
    nb_value value = {0};
    int64_t at = 0;
    if (index->n_children != 2 || index->children[1]->kind == NB_NODE_SLICE)
        return nb_fail(error, NB_ERR_ARGUMENT, "a list takes one index");
    nb_status status = nb_evaluate(language, index->children[1], &value, error);
    if (status == NB_OK)
        status = whole(language, index->children[1], &value, &at, error);
    nb_value_release(&value);
    const int64_t n = (int64_t)list->count;
    if (status == NB_OK && (at < -n || at >= n))
        return nb_fail(error, NB_ERR_ARGUMENT, "index %lld is outside a list of %zu", (long long)at,
                       list->count);
    *out = (size_t)(at < 0 ? at + n : at);
    return status;
}

nb_status nb_subscript(nb_language *language, const nb_value *base, const nb_node *index, nb_value *out,
                       nb_error *error)
{
    subscript s;
    nb_array *part = NULL;
    if (base->kind == NB_VALUE_LIST) {
        size_t at = 0;
        nb_status status = list_item(language, base->list, index, &at, error);
        if (status == NB_OK)
            *out = nb_value_retain(base->list->values[at]);
        return status;
    }
    if (base->kind != NB_VALUE_ARRAY)
        return nb_fail(error, NB_ERR_ARGUMENT, "[...] takes a part of an array, not of %s",
                       nb_value_describe(base).text);
    nb_status status = read_subscript(language, base->array, index, &s, error);
    if (status != NB_OK)
        return status;
    if (s.picker >= 0)
        status = pick(language, base->array, &s, &part, error);
    else
        status = nb_array_slice(base->array, s.slices, s.n, &part, error);
    nb_value_release(&s.picked);
    if (status == NB_OK) {
        *out = nb_value_array(part);
        out->truth = base->truth;
    }
    return status;
}

/* ---- assignment ---- */

/* One number of an array that nobody else holds changes in place. */
static bool assign_in_place(nb_array *x, const subscript *s, const nb_value *value)
{
    double number;
    size_t at = 0;
    if (x->n_references != 1 || s->picker >= 0 || s->n != x->n_dims || !nb_value_is_number(value, &number))
        return false;
    for (int i = 0; i < s->n; i++) {
        const int64_t length = (int64_t)x->dims[i], index = s->slices[i].begin;
        if (s->slices[i].kind != NB_SLICE_INDEX || index < -length || index >= length)
            return false;
        at = at * x->dims[i] + (size_t)(index < 0 ? index + length : index);
    }
    x->data[at] = number == number ? (float)number : NAN;
    return true;
}

/* x[mask] = a number, an array of x's shape, or as many numbers as the mask has true ones. */
static nb_status assign_mask(nb_language *language, const nb_array *x, const nb_array *mask, nb_operand value,
                             nb_array **out, nb_error *error)
{
    size_t n = 0, k = 0;
    if (!value.array || value.array->size == 1 || same_shape(value.array, x))
        return nb_array_where(&language->space, nb_operand_of(mask), value, nb_operand_of(x), out, error);
    for (size_t i = 0; i < mask->size; i++)
        n += mask->data[i] != 0;
    if (value.array->n_dims != 1 || value.array->size != n) {
        char shape[96];
        return nb_fail(error, NB_ERR_ARGUMENT, "the mask picks %zu numbers, and %s are given to them", n,
                       nb_array_shape(value.array, shape, sizeof shape));
    }
    nb_status status = nb_array_copy(x, out, error);
    for (size_t i = 0; status == NB_OK && i < mask->size; i++) {
        if (mask->data[i] != 0)
            (*out)->data[i] = value.array->data[k++];
    }
    return status;
}

/* x[indices] = value, one after the other along the first dimension. */
static nb_status assign_taken(const nb_array *x, const nb_array *indices, nb_operand value, nb_array **out,
                              nb_error *error)
{
    nb_status status = nb_array_copy(x, out, error);
    const bool each = value.array && value.array->n_dims > 0 && value.array->dims[0] == indices->size &&
                      indices->n_dims == 1 && value.array->size > 1;
    for (size_t i = 0; status == NB_OK && i < indices->size; i++) {
        const nb_slice at = {.kind = NB_SLICE_INDEX, .begin = (int64_t)indices->data[i]},
                       from = {.kind = NB_SLICE_INDEX, .begin = (int64_t)i};
        nb_array *part = NULL, *next = NULL;
        if ((float)at.begin != indices->data[i])
            status = nb_fail(error, NB_ERR_ARGUMENT, "an index is a whole number");
        if (status == NB_OK && each)
            status = nb_array_slice(value.array, &from, 1, &part, error);
        if (status == NB_OK)
            status = nb_array_replace(*out, &at, 1, part ? nb_operand_of(part) : value, &next, error);
        nb_array_release(&part);
        if (status == NB_OK) {
            nb_array_release(out);
            *out = next;
        }
    }
    if (status != NB_OK)
        nb_array_release(out);
    return status;
}

static nb_status assign_array(nb_language *language, nb_value *base, const subscript *s,
                              const nb_value *value, nb_error *error)
{
    nb_operand v;
    nb_array *made = NULL, *positions = NULL;
    nb_array *x = base->array;
    nb_status status = NB_OK;
    if (!nb_value_operand(value, &v))
        return nb_fail(error, NB_ERR_ARGUMENT, "a part of an array takes numbers, not %s",
                       nb_value_describe(value).text);
    if (assign_in_place(x, s, value))
        return NB_OK;
    if (s->picker < 0) {
        status = nb_array_replace(x, s->slices, s->n, v, &made, error);
    } else if (s->n > 1) {
        status = nb_fail(
            error, NB_ERR_ARGUMENT,
            "an array of indices beside other indices can be read, not given values: a loop can do it");
    } else if (s->picked.truth && same_shape(s->picked.array, x)) {
        status = assign_mask(language, x, s->picked.array, v, &made, error);
    } else {
        if (s->picked.truth)
            status = positions_of(language, s->picked.array, x->dims[0], &positions, error);
        if (status == NB_OK)
            status = assign_taken(x, positions ? positions : s->picked.array, v, &made, error);
        nb_array_release(&positions);
    }
    if (status == NB_OK) {
        nb_value_release(base);
        *base = nb_value_array(made);
    }
    return status;
}

nb_status nb_subscript_assign(nb_language *language, nb_value *base, const nb_node *index,
                              const nb_value *value, nb_error *error)
{
    subscript s;
    if (base->kind != NB_VALUE_ARRAY)
        return nb_fail(error, NB_ERR_ARGUMENT, "%.60s is %s: only an array has parts to be given values",
                       index->children[0]->text, nb_value_describe(base).text);
    nb_status status = read_subscript(language, base->array, index, &s, error);
    if (status != NB_OK)
        return status;
    status = assign_array(language, base, &s, value, error);
    nb_value_release(&s.picked);
    return status;
}
