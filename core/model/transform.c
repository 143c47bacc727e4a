#include "model/transform.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool copy_factors(const float *factors, size_t n, float **out)
{
    if (!factors)
        return true;
    *out = nb_calloc(n, sizeof **out);
    if (*out)
        memcpy(*out, factors, n * sizeof **out);
    return *out != NULL;
}

const nb_transform *nb_transform_create(const nb_transform *before, const char *what, const float *columns,
                                        size_t n_cols, const float *rows, size_t n_rows, nb_transform **made)
{
    nb_transform *t = nb_calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->before = before;
    t->made_before = *made;
    *made = t;
    snprintf(t->what, sizeof t->what, "%s", what);
    return copy_factors(columns, n_cols, &t->columns) && copy_factors(rows, n_rows, &t->rows) ? t : NULL;
}

void nb_transforms_free(nb_transform **made)
{
    while (*made) {
        nb_transform *t = *made;
        *made = t->made_before;
        free(t->columns);
        free(t->rows);
        free(t);
    }
}

size_t nb_transform_count(const nb_transform *last)
{
    size_t n = 0;
    for (; last; last = last->before)
        n++;
    return n;
}

void nb_transform_apply(const nb_transform *last, size_t row, float *x, size_t n_cols)
{
    if (!last)
        return;
    nb_transform_apply(last->before, row, x, n_cols);
    for (size_t i = 0; last->columns && i < n_cols; i++)
        x[i] *= last->columns[i];
    for (size_t i = 0; last->rows && i < n_cols; i++)
        x[i] *= last->rows[row];
}

void nb_transform_read_row(const nb_transform *last, const nb_format *format, const void *codes, size_t row,
                           size_t n_cols, float *out)
{
    nb_format_decode_row(format, codes, n_cols, out);
    if (!last)
        return;
    nb_transform_apply(last, row, out, n_cols);
    for (size_t i = 0; format->kind == NB_FORMAT_FLOAT && format != &nb_format_f32 && i < n_cols; i++)
        out[i] = format->decode(format->encode(out[i]));
}
