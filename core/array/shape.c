/* The same numbers in other places. */
#include "array/parts.h"

#include "base/memory.h"
#include "base/print.h"

#include <string.h>

enum { DIMS = NB_ARRAY_MAX_DIMS, STRETCH = 1 << 20 };

nb_status nb_array_reshape(const nb_array *x, int n_dims, const size_t *dims, nb_array **out, nb_error *error)
{
    *out = NULL;
    size_t wanted[DIMS] = {0}, known = 1;
    char from[96], to[96];
    int inferred = -1;
    if (n_dims < 0 || n_dims > DIMS)
        return nb_fail(error, NB_ERR_ARGUMENT, "reshape: an array has at most %d dimensions, not %d", DIMS,
                       n_dims);
    for (int d = 0; d < n_dims; d++) {
        wanted[d] = dims[d];
        if (dims[d] != NB_ARRAY_INFER)
            continue;
        if (inferred >= 0)
            return nb_fail(error, NB_ERR_ARGUMENT, "reshape: only one dimension may be left open");
        inferred = d;
        wanted[d] = 1;
    }
    if (!nb_array_count(n_dims, wanted, &known))
        known = SIZE_MAX;
    if (inferred >= 0 && known > 0 && x->size % known == 0) {
        wanted[inferred] = x->size / known;
        known = x->size;
    }
    if (known != x->size)
        return nb_fail(error, NB_ERR_ARGUMENT, "reshape: %s holds %zu numbers, which %s %s",
                       nb_array_shape(x, from, sizeof from), x->size,
                       nb_dims_text(n_dims, wanted, to, sizeof to),
                       inferred >= 0 ? "does not divide (1 is the open dimension)" : "does not hold");
    nb_status status = nb_array_blank(x->space, n_dims, wanted, out, error);
    if (status == NB_OK)
        memcpy((*out)->data, x->data, x->size * sizeof(float));
    return status;
}

/* ---- any strided part of an array ---- */

/* A part: steps (in numbers, possibly negative) from `data`, in row-major order. */
typedef struct part {
    nb_array_space *space;
    float *data; /* of the array that is read, or written */
    int n_dims;
    size_t dims[DIMS];
    ptrdiff_t steps[DIMS];
    float *packed; /* the part, contiguous */
    bool write;    /* from packed into the part */
} part;

static ptrdiff_t part_offset(const part *p, size_t index)
{
    ptrdiff_t offset = 0;
    for (int d = p->n_dims - 1; d >= 0; d--) {
        offset += (ptrdiff_t)(index % p->dims[d]) * p->steps[d];
        index /= p->dims[d];
    }
    return offset;
}

static void copy_stretch(float *part, ptrdiff_t step, float *packed, size_t n, bool write)
{
    if (step == 1) {
        memcpy(write ? part : packed, write ? packed : part, n * sizeof *part);
    } else if (write) {
        for (size_t i = 0; i < n; i++)
            part[(ptrdiff_t)i * step] = packed[i];
    } else {
        for (size_t i = 0; i < n; i++)
            packed[i] = part[(ptrdiff_t)i * step];
    }
}

/* Numbers [begin, end) of the part. */
static void copy_range(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const part *p = user;
    const int inner = p->n_dims - 1;
    while (begin < end && !nb_array_stopped(p->space)) {
        const size_t left = p->n_dims ? p->dims[inner] - begin % p->dims[inner] : 1;
        const size_t n = nb_min_size(nb_min_size(left, end - begin), STRETCH);
        copy_stretch(p->data + part_offset(p, begin), p->n_dims ? p->steps[inner] : 1, p->packed + begin, n,
                     p->write);
        begin += n;
    }
}

/* ---- turning: where the part's numbers lie side by side along another dimension than the last ---- */

enum { TURN = 16 };

/* Squares of TURN x TURN: dimension `along` steps by 1, `across` is the last. */
typedef struct turn {
    const part *part;
    int along;
    size_t n_along, n_across; /* squares in each */
    size_t packed_step;       /* of `along`, in the packed numbers */
} turn;

/* Every cache line is read whole and written whole, in turn: nothing has to stay. */
static void turn_square(const float *from, ptrdiff_t across_step, size_t n_along, size_t n_across, float *to,
                        size_t along_step)
{
    float square[TURN][TURN];
    for (size_t j = 0; j < n_across; j++)
        memcpy(square[j], from + (ptrdiff_t)j * across_step, n_along * sizeof(float));
    for (size_t i = 0; i < n_along; i++)
        for (size_t j = 0; j < n_across; j++)
            to[i * along_step + j] = square[j][i];
}

/* Squares [begin, end), those of one pair of dimensions after another. */
static void turn_range(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const turn *t = user;
    const part *p = t->part;
    const int across = p->n_dims - 1;
    for (size_t index = begin; index < end && !nb_array_stopped(p->space); index++) {
        const size_t j = index % t->n_across * TURN, i = index / t->n_across % t->n_along * TURN;
        size_t rest = index / t->n_across / t->n_along, packed = i * t->packed_step + j,
               step = p->dims[across];
        ptrdiff_t offset = (ptrdiff_t)i + (ptrdiff_t)j * p->steps[across];
        for (int d = across - 1; d >= 0; step *= p->dims[d--]) {
            if (d == t->along)
                continue;
            offset += (ptrdiff_t)(rest % p->dims[d]) * p->steps[d];
            packed += rest % p->dims[d] * step;
            rest /= p->dims[d];
        }
        turn_square(p->data + offset, p->steps[across], nb_min_size(TURN, p->dims[t->along] - i),
                    nb_min_size(TURN, p->dims[across] - j), p->packed + packed, t->packed_step);
    }
}

static void copy_part(part *p)
{
    size_t size;
    nb_array_count(p->n_dims, p->dims, &size);
    turn t = {.part = p, .along = -1, .packed_step = 1};
    for (int d = 0; d < p->n_dims - 1; d++)
        if (p->steps[d] == 1 && p->dims[d] > 1)
            t.along = d;
    if (size == 0 || p->write || t.along < 0 || p->steps[p->n_dims - 1] == 1) {
        nb_array_parallel(p->space, size, 1, copy_range, p);
        return;
    }
    for (int d = p->n_dims - 1; d > t.along; d--)
        t.packed_step *= p->dims[d];
    t.n_along = nb_div_up(p->dims[t.along], TURN);
    t.n_across = nb_div_up(p->dims[p->n_dims - 1], TURN);
    const size_t planes = size / (p->dims[t.along] * p->dims[p->n_dims - 1]);
    nb_array_parallel(p->space, planes * t.n_along * t.n_across, TURN * TURN, turn_range, &t);
}

static void own_steps(const nb_array *x, ptrdiff_t steps[DIMS])
{
    ptrdiff_t step = 1;
    for (int d = x->n_dims - 1; d >= 0; d--) {
        steps[d] = step;
        step *= (ptrdiff_t)x->dims[d];
    }
}

nb_status nb_array_transpose(const nb_array *x, const int *axes, nb_array **out, nb_error *error)
{
    *out = NULL;
    ptrdiff_t steps[DIMS];
    own_steps(x, steps);
    part p = {.space = x->space, .data = x->data, .n_dims = x->n_dims};
    unsigned seen = 0;
    for (int d = 0; d < x->n_dims; d++) {
        int axis = x->n_dims - 1 - d;
        nb_status status = axes ? nb_array_axis("transpose", x, axes[d], &axis, error) : NB_OK;
        if (status != NB_OK)
            return status;
        if (seen & 1u << axis)
            return nb_fail(error, NB_ERR_ARGUMENT, "transpose: axis %d is named twice", axis);
        seen |= 1u << axis;
        p.dims[d] = x->dims[axis];
        p.steps[d] = steps[axis];
    }
    nb_status status = nb_array_blank(x->space, p.n_dims, p.dims, out, error);
    if (status != NB_OK)
        return status;
    p.packed = (*out)->data;
    copy_part(&p);
    return nb_array_finish(x->space, out, error);
}

/* ---- slices ---- */

/* A range's first index and how many it takes, as Python's slice.indices. */
static void resolve_range(const nb_slice *slice, int64_t length, int64_t *first, size_t *count)
{
    const int64_t step = slice->step, low = step > 0 ? 0 : -1, high = step > 0 ? length : length - 1;
    int64_t begin = step > 0 ? 0 : length - 1, end = step > 0 ? length : -1;
    if (slice->has_begin) {
        begin = slice->begin < 0 ? (slice->begin < -length ? low : slice->begin + length) : slice->begin;
        begin = begin < low ? low : begin > high ? high : begin;
    }
    if (slice->has_end) {
        end = slice->end < 0 ? (slice->end < -length ? low : slice->end + length) : slice->end;
        end = end < low ? low : end > high ? high : end;
    }
    const uint64_t distance =
        step > 0 ? (begin < end ? (uint64_t)(end - begin) : 0) : (end < begin ? (uint64_t)(begin - end) : 0);
    const uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    *first = begin;
    *count = distance ? (size_t)((distance - 1) / stride + 1) : 0;
}

static nb_status resolve(const nb_array *x, const nb_slice *slices, int n_slices, part *p, nb_error *error)
{
    char shape[96];
    nb_array_shape(x, shape, sizeof shape);
    if (n_slices > x->n_dims)
        return nb_fail(error, NB_ERR_ARGUMENT, "an array of %s has %d dimension%s; %d indices are too many",
                       shape, x->n_dims, x->n_dims == 1 ? "" : "s", n_slices);
    ptrdiff_t steps[DIMS];
    own_steps(x, steps);
    *p = (part){.space = x->space, .data = x->data};
    for (int d = 0; d < x->n_dims; d++) {
        const nb_slice all = {.kind = NB_SLICE_ALL}, *slice = d < n_slices ? &slices[d] : &all;
        const int64_t length = (int64_t)x->dims[d];
        int64_t first = 0;
        size_t count = x->dims[d];
        ptrdiff_t step = 1;
        if (slice->kind == NB_SLICE_INDEX) {
            first = slice->begin < 0 ? slice->begin + length : slice->begin;
            if (first < 0 || first >= length)
                return nb_fail(error, NB_ERR_ARGUMENT,
                               "index %lld is beyond axis %d of an array of %s (%s%lld)",
                               (long long)slice->begin, d, shape,
                               length ? "0 to " : "which is empty: ", (long long)(length ? length - 1 : 0));
        } else if (slice->kind == NB_SLICE_RANGE) {
            if (slice->step == 0)
                return nb_fail(error, NB_ERR_ARGUMENT, "a slice's step is not 0");
            resolve_range(slice, length, &first, &count);
            step = count > 1 ? (ptrdiff_t)slice->step : 1;
        }
        if (count > 0)
            p->data += (ptrdiff_t)first * steps[d];
        if (slice->kind != NB_SLICE_INDEX) {
            p->dims[p->n_dims] = count;
            p->steps[p->n_dims++] = step * steps[d];
        }
    }
    return NB_OK;
}

nb_status nb_array_slice(const nb_array *x, const nb_slice *slices, int n_slices, nb_array **out,
                         nb_error *error)
{
    *out = NULL;
    part p;
    nb_status status = resolve(x, slices, n_slices, &p, error);
    if (status == NB_OK)
        status = nb_array_blank(x->space, p.n_dims, p.dims, out, error);
    if (status != NB_OK)
        return status;
    p.packed = (*out)->data;
    copy_part(&p);
    return nb_array_finish(x->space, out, error);
}

/* `value` in the part's shape: it may not make the part grow. */
static nb_status spread(const part *p, nb_operand value, nb_array **out, nb_error *error)
{
    nb_array *shape;
    nb_status status = nb_array_create(p->space, p->n_dims, p->dims, &shape, error);
    if (status != NB_OK)
        return status;
    status = nb_array_where(p->space, nb_operand_number(1), value, nb_operand_of(shape), out, error);
    if (status == NB_OK &&
        ((*out)->n_dims != p->n_dims || memcmp((*out)->dims, shape->dims, sizeof shape->dims) != 0)) {
        char to[96], from[96];
        status =
            nb_fail(error, NB_ERR_ARGUMENT, "%s do not fit into a part of %s",
                    nb_array_shape(value.array, from, sizeof from), nb_array_shape(shape, to, sizeof to));
        nb_array_release(out);
    }
    nb_array_release(&shape);
    return status;
}

nb_status nb_array_replace(const nb_array *x, const nb_slice *slices, int n_slices, nb_operand value,
                           nb_array **out, nb_error *error)
{
    *out = NULL;
    part p;
    nb_array *values;
    nb_status status = resolve(x, slices, n_slices, &p, error);
    if (status == NB_OK)
        status = spread(&p, value, &values, error);
    if (status != NB_OK)
        return status;
    status = nb_array_copy(x, out, error);
    if (status == NB_OK) {
        p.data = (*out)->data + (p.data - x->data);
        p.packed = values->data;
        p.write = true;
        copy_part(&p);
        status = nb_array_finish(x->space, out, error);
    }
    nb_array_release(&values);
    return status;
}

/* ---- picking, joining ---- */

nb_status nb_array_pick(const nb_array *x, const nb_array *mask, nb_array **out, nb_error *error)
{
    *out = NULL;
    char a[96], b[96];
    if (x->n_dims != mask->n_dims || memcmp(x->dims, mask->dims, sizeof x->dims) != 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "a mask has the shape of its array: %s and %s differ",
                       nb_array_shape(mask, b, sizeof b), nb_array_shape(x, a, sizeof a));
    double count;
    nb_status status = nb_array_reduce(x->space, NB_REDUCE_COUNT_TRUE, mask, &count, error);
    const size_t n = status == NB_OK ? (size_t)count : 0;
    if (status == NB_OK)
        status = nb_array_blank(x->space, 1, &n, out, error);
    for (size_t i = 0, k = 0; status == NB_OK && i < x->size; i++)
        if (mask->data[i] != 0)
            (*out)->data[k++] = x->data[i];
    return status;
}

nb_status nb_array_take(const nb_array *x, const nb_array *indices, nb_array **out, nb_error *error)
{
    *out = NULL;
    char a[96], b[96];
    if (x->n_dims == 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "one number has no elements to take");
    if (indices->n_dims + x->n_dims - 1 > DIMS)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s taken by %s has more than %d dimensions",
                       nb_array_shape(x, a, sizeof a), nb_array_shape(indices, b, sizeof b), DIMS);
    size_t dims[DIMS], row = 1;
    int n_dims = 0;
    for (int d = 0; d < indices->n_dims; d++)
        dims[n_dims++] = indices->dims[d];
    for (int d = 1; d < x->n_dims; d++) {
        dims[n_dims++] = x->dims[d];
        row *= x->dims[d];
    }
    const double length = (double)x->dims[0];
    for (size_t i = 0; i < indices->size; i++) {
        const double index = (double)indices->data[i];
        if (!(index >= -length && index < length) || rint(index) != index)
            return nb_fail(error, NB_ERR_ARGUMENT, "%s is no index into axis 0 of an array of %s",
                           nb_print_general(b, sizeof b, index, 9), nb_array_shape(x, a, sizeof a));
    }
    nb_status status = nb_array_blank(x->space, n_dims, dims, out, error);
    for (size_t i = 0; status == NB_OK && i < indices->size; i++) {
        const double index = (double)indices->data[i];
        const size_t from = (size_t)(index < 0 ? index + length : index);
        memcpy((*out)->data + i * row, x->data + from * row, row * sizeof(float));
    }
    return status;
}

nb_status nb_array_concat(nb_array_space *space, nb_array *const *arrays, size_t n, int axis, nb_array **out,
                          nb_error *error)
{
    *out = NULL;
    const nb_array *first = arrays[0];
    nb_status status = nb_array_axis("concat", first, axis, &axis, error);
    if (status != NB_OK)
        return status;
    size_t dims[DIMS];
    memcpy(dims, first->dims, sizeof dims);
    for (size_t i = 1; i < n; i++) {
        bool agrees = arrays[i]->n_dims == first->n_dims;
        for (int d = 0; d < first->n_dims && agrees; d++)
            agrees = d == axis || arrays[i]->dims[d] == first->dims[d];
        char a[96], b[96];
        if (!agrees || !nb_add_size(dims[axis], arrays[i]->dims[axis], &dims[axis]))
            return nb_fail(error, NB_ERR_ARGUMENT, "concat: %s and %s do not join along axis %d",
                           nb_array_shape(first, a, sizeof a), nb_array_shape(arrays[i], b, sizeof b), axis);
    }
    status = nb_array_blank(space, first->n_dims, dims, out, error);
    if (status != NB_OK)
        return status;
    const nb_axis_walk whole = nb_array_walk(*out, axis);
    float *to = (*out)->data;
    for (size_t outer = 0; outer < whole.outer; outer++) {
        for (size_t i = 0; i < n; i++) {
            const size_t n_here = arrays[i]->dims[axis] * whole.inner;
            memcpy(to, arrays[i]->data + outer * n_here, n_here * sizeof *to);
            to += n_here;
        }
    }
    return NB_OK;
}
