/* Arrays of f32 with at most 4 dimensions, and what a small array language computes with them.
 *
 * An array is row-major, contiguous and never changed once others may hold it: operations make new ones.
 * Shapes broadcast as numpy's do: aligned at the last dimension, where a length of 1 stands for any. A
 * dimension may be 0; an array without dimensions holds one number.
 *
 * Numbers: elementwise operations work in f32, and a number beside an array is rounded to f32 first.
 * Reductions sum in f64: element i goes to lane i mod 16 of the array (or of its row along the axis), lanes
 * fold 16 -> 8 -> 4 -> 2 -> 1. The same bits on every CPU level and for any number of threads. NaN: an
 * operand that is NaN makes the result NaN (min, max, clamp and reductions too), comparisons with it are 0
 * except !=, which is 1; sorted, it comes last. Any NaN that an operation makes has the bits 7fc00000.
 * Division by 0 and overflow give inf as IEEE-754 says. Truth is 1 and 0; any number but 0 is true, NaN too.
 *
 * Errors name the operation and the shapes ("add: 3 x 4 and 5 do not broadcast"). Long operations stop with
 * NB_ERR_CANCELLED when the context's `cancel` is set; nothing was changed then. On failure *out is NULL. */
#ifndef NB_ARRAY_ARRAY_H
#define NB_ARRAY_ARRAY_H

#include "base/context.h"
#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NB_ARRAY_MAX_DIMS = 4 };

enum { NB_ARRAY_SPARES = 8 };

/* Where arrays live: the context that computes, and how many bytes may be held at once. Starts as {.context =
 * ..., .limit_bytes = ...}; must outlast its arrays, and holds nothing once they are gone. One thread at a
 * time. */
typedef struct nb_array_space {
    nb_context *context;
    size_t limit_bytes; /* of all arrays together; SIZE_MAX: no limit */
    size_t used_bytes;
    size_t n_arrays;
    struct nb_array_spare { /* buffers of released arrays, for the next ones */
        float *data;
        size_t n_bytes;
    } spares[NB_ARRAY_SPARES];
    size_t spare_bytes;
} nb_array_space;

typedef struct nb_array {
    nb_array_space *space;
    size_t n_references;
    int n_dims;
    size_t dims[NB_ARRAY_MAX_DIMS]; /* the first n_dims; the rest are 1 */
    size_t size;                    /* their product */
    float *data;                    /* aligned to 64 */
    size_t n_bytes;                 /* that data has room for */
} nb_array;

/* ---- making arrays ---- */

/* Zeros. Refuses more than 4 dimensions and what the space's limit does not hold, with the sizes in the
 * sentence. */
nb_status nb_array_create(nb_array_space *space, int n_dims, const size_t *dims, nb_array **out,
                          nb_error *error);
/* One more holder: returns `array`. The last release frees it; both null the holder's pointer
 * or take NULL. */
nb_array *nb_array_retain(nb_array *array);
void nb_array_release(nb_array **array);
nb_status nb_array_copy(const nb_array *x, nb_array **out, nb_error *error);
/* "3 x 4"; "5" for a vector; "one number" without dimensions. 96 bytes are enough. Returns `text`. */
char *nb_array_shape(const nb_array *array, char *text, size_t size);

/* A vector of `n` values, rounded to f32. */
nb_status nb_array_from(nb_array_space *space, const double *values, size_t n, nb_array **out,
                        nb_error *error);
nb_status nb_array_full(nb_array_space *space, int n_dims, const size_t *dims, double value, nb_array **out,
                        nb_error *error);
/* start, start + step, ... while before stop (after it for a negative step): start + i * step in f64. */
nb_status nb_array_arange(nb_array_space *space, double start, double stop, double step, nb_array **out,
                          nb_error *error);
/* n numbers from start to stop, both included: start + i * ((stop - start) / (n - 1)) in f64. */
nb_status nb_array_linspace(nb_array_space *space, double start, double stop, size_t n, nb_array **out,
                            nb_error *error);
/* The identity matrix n x n. */
nb_status nb_array_eye(nb_array_space *space, size_t n, nb_array **out, nb_error *error);
/* Standard normal numbers, or uniform in [0, 1), in row-major order from `random`. */
nb_status nb_array_randn(nb_array_space *space, int n_dims, const size_t *dims, nb_random *random,
                         nb_array **out, nb_error *error);
nb_status nb_array_rand(nb_array_space *space, int n_dims, const size_t *dims, nb_random *random,
                        nb_array **out, nb_error *error);

/* ---- elementwise ---- */

typedef enum nb_unary {
    NB_UNARY_NEGATE,
    NB_UNARY_ABS,
    NB_UNARY_SIGN,  /* -1, 0 or 1 */
    NB_UNARY_ROUND, /* to the nearest integer, ties to even */
    NB_UNARY_FLOOR,
    NB_UNARY_CEIL,
    NB_UNARY_TRUNC, /* towards 0 */
    NB_UNARY_SQRT,  /* NaN under 0 */
    NB_UNARY_EXP,
    NB_UNARY_LOG, /* natural; -inf at 0, NaN under it */
    NB_UNARY_LOG2,
    NB_UNARY_LOG10,
    NB_UNARY_TANH,
    NB_UNARY_SIN, /* radians; NaN beyond 1e6 */
    NB_UNARY_COS,
    NB_UNARY_SIGMOID, /* 1 / (1 + exp(-x)) */
    NB_UNARY_NOT,     /* 1 where x is 0, 0 elsewhere */
    NB_UNARY_IS_NAN,
    NB_UNARY_IS_FINITE,
    NB_UNARY_COUNT
} nb_unary;

typedef enum nb_binary {
    NB_BINARY_ADD,
    NB_BINARY_SUBTRACT,
    NB_BINARY_MULTIPLY,
    NB_BINARY_DIVIDE,
    NB_BINARY_REMAINDER, /* of the division that rounds down: has the divisor's sign; NaN by 0 */
    NB_BINARY_POWER,     /* x^0 and 1^y are 1; NaN for a negative x and a y that is no integer */
    NB_BINARY_MIN,
    NB_BINARY_MAX,
    NB_BINARY_EQUAL,
    NB_BINARY_NOT_EQUAL,
    NB_BINARY_LESS,
    NB_BINARY_LESS_EQUAL,
    NB_BINARY_GREATER,
    NB_BINARY_GREATER_EQUAL,
    NB_BINARY_AND,
    NB_BINARY_OR,
    NB_BINARY_COUNT
} nb_binary;

/* What errors call them: "abs", "add". */
const char *nb_unary_name(nb_unary op);
const char *nb_binary_name(nb_binary op);
/* The same of numbers, in f64. */
double nb_number_unary(nb_unary op, double x);
double nb_number_binary(nb_binary op, double a, double b);

/* An array, or a number that stands for an array of any shape. */
typedef struct nb_operand {
    const nb_array *array; /* NULL: the number */
    double number;
} nb_operand;
static inline nb_operand nb_operand_of(const nb_array *array)
{
    return (nb_operand){.array = array};
}
static inline nb_operand nb_operand_number(double number)
{
    return (nb_operand){.number = number};
}

nb_status nb_array_unary(nb_array_space *space, nb_unary op, const nb_array *x, nb_array **out,
                         nb_error *error);
/* Of two numbers the result is an array without dimensions. */
nb_status nb_array_binary(nb_array_space *space, nb_binary op, nb_operand a, nb_operand b, nb_array **out,
                          nb_error *error);
/* a where the condition is true, b elsewhere. */
nb_status nb_array_where(nb_array_space *space, nb_operand condition, nb_operand a, nb_operand b,
                         nb_array **out, nb_error *error);
/* min(max(x, low), high): high where low is above it. */
nb_status nb_array_clamp(nb_array_space *space, nb_operand x, nb_operand low, nb_operand high, nb_array **out,
                         nb_error *error);

/* ---- reductions ---- */

typedef enum nb_reduction {
    NB_REDUCE_SUM,  /* of nothing: 0 */
    NB_REDUCE_MEAN, /* of nothing: NaN */
    NB_REDUCE_PRODUCT,
    NB_REDUCE_MIN, /* of nothing: an error; a zero is +0 */
    NB_REDUCE_MAX,
    NB_REDUCE_VARIANCE, /* of the population: the squares' sum about the mean, over n */
    NB_REDUCE_STD,
    NB_REDUCE_NORM, /* sqrt of the sum of squares */
    NB_REDUCE_ANY,
    NB_REDUCE_ALL,
    NB_REDUCE_COUNT_TRUE, /* how many are not 0 */
    NB_REDUCE_ARGMIN, /* position (in row-major order, or along the axis) of the first smallest; of the first
                         NaN */
    NB_REDUCE_ARGMAX,
    NB_REDUCE_COUNT
} nb_reduction;

const char *nb_reduction_name(nb_reduction op);
/* Of a whole array, in f64. */
nb_status nb_array_reduce(nb_array_space *space, nb_reduction op, const nb_array *x, double *out,
                          nb_error *error);
/* Along one axis (negative: from the last), each result rounded to f32. The axis is dropped, or kept with
 * length 1. */
nb_status nb_array_reduce_axis(nb_array_space *space, nb_reduction op, const nb_array *x, int axis, bool keep,
                               nb_array **out, nb_error *error);

/* ---- shapes ---- */

/* The same numbers in row-major order. One dimension may be NB_ARRAY_INFER: whatever is left. */
static const size_t NB_ARRAY_INFER = (size_t)-1;
nb_status nb_array_reshape(const nb_array *x, int n_dims, const size_t *dims, nb_array **out,
                           nb_error *error);
/* The dimensions in reverse order (`axes` NULL), or axes[i] as the i-th. */
nb_status nb_array_transpose(const nb_array *x, const int *axes, nb_array **out, nb_error *error);
/* One after the other along an axis; all other dimensions agree. n >= 1. */
nb_status nb_array_concat(nb_array_space *space, nb_array *const *arrays, size_t n, int axis, nb_array **out,
                          nb_error *error);

/* One dimension's part, as in Python: begin:end:step or a single index, negative ones from the end. Bounds of
 * a range are clipped; an index out of range is an error. */
typedef struct nb_slice {
    enum { NB_SLICE_ALL, NB_SLICE_RANGE, NB_SLICE_INDEX } kind;
    bool has_begin, has_end;
    int64_t begin, end; /* begin is the index */
    int64_t step;       /* of a range; 0 is an error, 1 is usual */
} nb_slice;
/* x[slices[0], slices[1], ...]; dimensions beyond n_slices are taken whole; an index drops its dimension. */
nb_status nb_array_slice(const nb_array *x, const nb_slice *slices, int n_slices, nb_array **out,
                         nb_error *error);
/* A copy of x with that part replaced by `value`, which broadcasts to the part's shape. */
nb_status nb_array_replace(const nb_array *x, const nb_slice *slices, int n_slices, nb_operand value,
                           nb_array **out, nb_error *error);
/* x[mask]: the numbers of x where the mask (of the same shape) is true, as a vector. */
nb_status nb_array_pick(const nb_array *x, const nb_array *mask, nb_array **out, nb_error *error);
/* x[indices] along the first dimension, negative ones from the end: indices' shape, then the rest of x's. */
nb_status nb_array_take(const nb_array *x, const nb_array *indices, nb_array **out, nb_error *error);

/* ---- products, order, counts ---- */

/* a [..., n, k] times b [..., k, m] -> [..., n, m]; a vector is a row on the left and a column on the right,
 * and that dimension is dropped; leading dimensions broadcast. acc = fma(a, b, acc) in f32, k forwards from
 * 0. */
nb_status nb_array_matmul(nb_array_space *space, const nb_array *a, const nb_array *b, nb_array **out,
                          nb_error *error);
/* Ascending along an axis, NaN last; positions of that order, equal numbers in their order in x. */
nb_status nb_array_sort(const nb_array *x, int axis, nb_array **out, nb_error *error);
nb_status nb_array_argsort(const nb_array *x, int axis, nb_array **out, nb_error *error);
/* Running sums along an axis, in f64, each rounded to f32. */
nb_status nb_array_cumsum(const nb_array *x, int axis, nb_array **out, nb_error *error);
/* The number below which a share q in [0, 1] lies, between neighbours on a line (numpy's method "linear"), in
 * f64. NaN if any is. */
nb_status nb_array_quantile(const nb_array *x, double q, double *out, nb_error *error);
/* The same along one axis, rounded to f32. */
nb_status nb_array_quantile_axis(const nb_array *x, double q, int axis, bool keep, nb_array **out,
                                 nb_error *error);
/* How many numbers fall between edges of equal distance from low to high, the last bin with its upper edge;
 * from the smallest to the largest number where low == high == NAN. counts: [n_bins], exact up to 2^24;
 * edges: [n_bins + 1]. Numbers outside and NaN are not counted. */
nb_status nb_array_histogram(const nb_array *x, size_t n_bins, double low, double high, nb_array **counts,
                             nb_array **edges, nb_error *error);

#endif
