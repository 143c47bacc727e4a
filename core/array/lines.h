/* Operations along an axis, one line of numbers at a time, wherever the numbers of a line lie. */
#ifndef NB_ARRAY_LINES_H
#define NB_ARRAY_LINES_H

#include "array/array.h"

/* What a line of `n` numbers becomes: writes to `out` as many as the operation makes. `thread` names a
 * scratch slot. */
typedef void nb_line_fn(void *user, const float *line, size_t n, float *out, unsigned thread);

/* Every line of x along `axis` (already counted from 0) goes through `fn`, each of `out_n` results back to
 * its place: out is x's shape with out_n at the axis, or without the axis (out_n == 1 and not `keep`).
 * Threads split lines. */
nb_status nb_array_lines(const nb_array *x, int axis, size_t out_n, bool keep, nb_line_fn *fn, void *user,
                         nb_array **out, nb_error *error);

#endif
