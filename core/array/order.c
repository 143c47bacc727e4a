/* Sorting and what needs an order: a radix sort of 11 bits a pass over keys that compare as
 * the numbers do. */
#include "array/lines.h"
#include "array/parts.h"
#include "base/memory.h"
#include "base/print.h"

#include <string.h>

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, PASSES = 3, SHORT_LINE = 48 };

static const uint32_t NAN_KEY = 0xffffffff;

/* Ascending as the numbers; NaN last. -0 comes before 0, or with `zeros_equal` beside it. */
static uint32_t key_of(float x, bool zeros_equal)
{
    uint32_t bits;
    if (x != x)
        return NAN_KEY;
    x = zeros_equal ? x + 0.0f : x;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ (bits >> 31 ? 0xffffffff : 0x80000000);
}

static float number_of(uint32_t key)
{
    if (key == NAN_KEY)
        return NAN;
    const uint32_t bits = key ^ (key >> 31 ? 0x80000000 : 0xffffffff);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A key, and below it the position that the number had. */
typedef uint64_t entry;

static void insertion_sort(entry *entries, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const entry moving = entries[i];
        size_t at = i;
        for (; at > 0 && entries[at - 1] > moving; at--)
            entries[at] = entries[at - 1];
        entries[at] = moving;
    }
}

/* By the key alone; stable. `other` has room for n; the result lies in `entries`. */
static void radix_sort(const nb_array_space *space, entry *entries, entry *other, size_t n)
{
    entry *from = entries, *to = other;
    for (int pass = 0; pass < PASSES && !nb_array_stopped(space); pass++) {
        const int shift = 32 + pass * DIGIT_BITS;
        size_t starts[DIGITS] = {0}, sum = 0;
        for (size_t i = 0; i < n; i++)
            starts[from[i] >> shift & (DIGITS - 1)]++;
        for (int digit = 0; digit < DIGITS; digit++) {
            const size_t count = starts[digit];
            starts[digit] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++)
            to[starts[from[i] >> shift & (DIGITS - 1)]++] = from[i];
        entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != entries)
        memcpy(entries, from, n * sizeof *entries);
}

/* What sorting lines shares; scratch: [threads][2 n]. */
typedef struct sorter {
    const nb_array_space *space;
    bool positions; /* wanted instead of the numbers */
    double q;       /* the share that a quantile asks for */
    entry *scratch;
} sorter;

static entry *sorted(const sorter *s, const float *x, size_t n, unsigned thread)
{
    entry *entries = s->scratch + (size_t)thread * 2 * n;
    for (size_t i = 0; i < n; i++)
        entries[i] = (entry)key_of(x[i], s->positions) << 32 | (uint32_t)i;
    if (n <= SHORT_LINE)
        insertion_sort(entries, n);
    else
        radix_sort(s->space, entries, entries + n, n);
    return entries;
}

static void sort_line(void *user, const float *line, size_t n, float *out, unsigned thread)
{
    const sorter *s = user;
    const entry *entries = sorted(s, line, n, thread);
    for (size_t i = 0; i < n; i++)
        out[i] = s->positions ? (float)(uint32_t)entries[i] : number_of((uint32_t)(entries[i] >> 32));
}

/* Between the two neighbours at q (n - 1); from the nearer one, so that q = 1 gives the last exactly. */
static double quantile_of(const sorter *s, const float *x, size_t n, unsigned thread)
{
    const entry *entries = sorted(s, x, n, thread);
    if (n == 0 || (uint32_t)(entries[n - 1] >> 32) == NAN_KEY)
        return NAN;
    const double place = s->q * (double)(n - 1), below = floor(place), t = place - below;
    const size_t i = (size_t)below;
    const double a = (double)number_of((uint32_t)(entries[i] >> 32));
    const double b = (double)number_of((uint32_t)(entries[i + 1 < n ? i + 1 : i] >> 32));
    if (a == b || t == 0)
        return a;
    const double result = t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t);
    return result != result ? NAN : result;
}

static void quantile_line(void *user, const float *line, size_t n, float *out, unsigned thread)
{
    *out = nb_canonical((float)quantile_of(user, line, n, thread));
}

/* Room for every thread that may sort a line of n numbers. */
static nb_status open_sorter(const char *what, const nb_array *x, size_t n, sorter *s, nb_error *error)
{
    const size_t n_threads = n == x->size ? 1 : nb_pool_size(x->space->context->pool);
    size_t count;
    if (n > UINT32_MAX)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: %zu numbers in a line are too many", what, n);
    s->space = x->space;
    s->scratch = nb_mul_size(n, 2 * n_threads, &count)
                     ? nb_aligned_calloc(nb_max_size(count, 1), sizeof(entry))
                     : NULL;
    return s->scratch ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "%s: no memory to order %zu numbers", what, n);
}

static nb_status sort_axis(const char *what, const nb_array *x, int axis, bool positions, nb_array **out,
                           nb_error *error)
{
    *out = NULL;
    sorter s = {.positions = positions};
    nb_status status = nb_array_axis(what, x, axis, &axis, error);
    if (status == NB_OK && positions && x->dims[axis] > 1 << 24)
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "%s: positions beyond 2^24 are no f32; slice the array first", what);
    if (status == NB_OK)
        status = open_sorter(what, x, x->dims[axis], &s, error);
    if (status == NB_OK)
        status = nb_array_lines(x, axis, x->dims[axis], true, sort_line, &s, out, error);
    nb_aligned_free(s.scratch);
    return status;
}

nb_status nb_array_sort(const nb_array *x, int axis, nb_array **out, nb_error *error)
{
    return sort_axis("sort", x, axis, false, out, error);
}

nb_status nb_array_argsort(const nb_array *x, int axis, nb_array **out, nb_error *error)
{
    return sort_axis("argsort", x, axis, true, out, error);
}

static nb_status check_quantile(const nb_array *x, size_t n, double q, nb_error *error)
{
    char shape[96], text[32];
    if (!(q >= 0 && q <= 1))
        return nb_fail(error, NB_ERR_ARGUMENT, "quantile: a share lies between 0 and 1, not at %s",
                       nb_print_general(text, sizeof text, q, 6));
    if (n == 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "quantile: an array of %s has none",
                       nb_array_shape(x, shape, sizeof shape));
    return NB_OK;
}

nb_status nb_array_quantile(const nb_array *x, double q, double *out, nb_error *error)
{
    *out = NAN;
    sorter s = {.q = q};
    nb_array *nothing = NULL;
    nb_status status = check_quantile(x, x->size, q, error);
    if (status == NB_OK)
        status = open_sorter("quantile", x, x->size, &s, error);
    if (status != NB_OK)
        return status;
    const double result = quantile_of(&s, x->data, x->size, 0);
    nb_aligned_free(s.scratch);
    status = nb_array_finish(x->space, &nothing, error);
    if (status == NB_OK)
        *out = result;
    return status;
}

nb_status nb_array_quantile_axis(const nb_array *x, double q, int axis, bool keep, nb_array **out,
                                 nb_error *error)
{
    *out = NULL;
    sorter s = {.q = q};
    nb_status status = nb_array_axis("quantile", x, axis, &axis, error);
    if (status == NB_OK)
        status = check_quantile(x, x->dims[axis], q, error);
    if (status == NB_OK)
        status = open_sorter("quantile", x, x->dims[axis], &s, error);
    if (status == NB_OK)
        status = nb_array_lines(x, axis, 1, keep, quantile_line, &s, out, error);
    nb_aligned_free(s.scratch);
    return status;
}
