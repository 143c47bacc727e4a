#include "train/linear.h"

#include "base/memory.h"
#include "train/turn.h"

#include <string.h>

enum { TOKENS_PER_PIECE = 16, TURN = 16, ADD_PIECE = 16 << 10 };

/* No power of two: the rows that a square is written to must not meet in the cache. */
static size_t turned_stride(size_t n_tokens)
{
    return nb_round_up(n_tokens, NB_ROWS) + NB_ROWS;
}

nb_status nb_linear_scratch_create(const nb_network *network, size_t max_tokens, nb_linear_scratch *out,
                                   nb_error *error)
{
    size_t most_rows = 0, most_cols = 0, most = 0;
    for (size_t i = 0; i < network->n_weights; i++) {
        const nb_layout_tensor *shape = &network->weights[i].shape;
        if (shape->is_vector)
            continue;
        most_rows = nb_max_size(most_rows, shape->n_rows);
        most_cols = nb_max_size(most_cols, shape->n_cols);
        most = nb_max_size(most, shape->n_rows * shape->n_cols);
    }
    out->packed_x = nb_aligned_calloc(nb_round_up(most_cols, NB_ROWS) * sizeof(float), max_tokens);
    out->turned_dy = nb_aligned_calloc(most_rows * sizeof(float), turned_stride(max_tokens));
    out->product = nb_aligned_calloc(most, sizeof(float));
    if (out->packed_x && out->turned_dy && out->product)
        return NB_OK;
    nb_linear_scratch_free(out);
    return nb_fail(error, NB_ERR_MEMORY, "no memory for the gradients of %zu tokens; train on fewer at once",
                   max_tokens);
}

void nb_linear_scratch_free(nb_linear_scratch *scratch)
{
    nb_aligned_free(scratch->packed_x);
    nb_aligned_free(scratch->turned_dy);
    nb_aligned_free(scratch->product);
    *scratch = (nb_linear_scratch){0};
}

static nb_acts rows_of(const float *x, size_t n_tokens, size_t n_cols)
{
    return (nb_acts){.n_tokens = n_tokens, .n_cols = n_cols, .f32 = x, .f32_stride = n_cols};
}

void nb_linear_forward(nb_context *context, const nb_weight *weight, const float *x, size_t n_tokens, float *y)
{
    const nb_acts acts = rows_of(x, n_tokens, weight->shape.n_cols);
    nb_matmul(context, weight->by_rows, &acts, y, weight->shape.n_rows);
}

void nb_linear_input_gradient(nb_context *context, const nb_weight *weight, const float *dy, size_t n_tokens,
                              float *dx)
{
    const nb_acts acts = rows_of(dy, n_tokens, weight->shape.n_rows);
    nb_matmul(context, weight->by_columns, &acts, dx, weight->shape.n_cols);
}

/* ---- weight gradients ---- */

typedef struct move {
    const float *from;
    float *to;
    size_t n_tokens, n_cols;
} move;

/* Tokens [begin, end) of x into the columns of 16; a last column that is not whole is filled with zeros. */
static void pack_tokens(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const move *m = user;
    for (size_t first = 0; first < m->n_cols; first += NB_ROWS) {
        const size_t n = nb_min_size(NB_ROWS, m->n_cols - first);
        float *column = m->to + first * m->n_tokens;
        for (size_t t = begin; t < end; t++) {
            memcpy(column + t * NB_ROWS, m->from + t * m->n_cols + first, n * sizeof *column);
            memset(column + t * NB_ROWS + n, 0, (NB_ROWS - n) * sizeof *column);
        }
    }
}

void nb_linear_take_input(nb_context *context, const float *x, size_t n_tokens, size_t n_cols,
                          nb_linear_scratch *scratch)
{
    move m = {x, scratch->packed_x, n_tokens, n_cols};
    nb_parallel(context->pool, n_tokens, TOKENS_PER_PIECE, pack_tokens, &m);
}

/* Columns [begin, end) of dy become rows; in squares, whose lines stay at hand. */
static void turn_columns(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const move *m = user;
    for (size_t c = begin; c < end; c += TURN)
        for (size_t t = 0; t < m->n_tokens; t += TURN)
            nb_turn(m->from + t * m->n_cols + c, m->n_cols, nb_min_size(TURN, m->n_tokens - t),
                    nb_min_size(TURN, end - c), m->to + c * turned_stride(m->n_tokens) + t,
                    turned_stride(m->n_tokens));
}

typedef struct sum {
    float *to;
    const float *from;
} sum;

static void add_values(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const sum *s = user;
    for (size_t i = begin; i < end; i++)
        s->to[i] = s->to[i] + s->from[i];
}

void nb_linear_weight_gradient(nb_context *context, const nb_weight *weight, const float *dy, size_t n_tokens,
                               nb_linear_scratch *scratch)
{
    const size_t n_rows = weight->shape.n_rows, n_cols = weight->shape.n_cols;
    move turn = {dy, scratch->turned_dy, n_tokens, n_rows};
    nb_parallel(context->pool, n_rows, 2 * TURN, turn_columns, &turn);
    const nb_packed x = {.quantizer = weight->by_rows->quantizer,
                         .n_rows = n_cols,
                         .n_cols = n_tokens,
                         .n_row_groups = nb_div_up(n_cols, NB_ROWS),
                         .row_group_bytes = n_tokens * NB_ROWS * sizeof(float),
                         .codes = (uint8_t *)scratch->packed_x,
                         .tensor_scale = 1.0f};
    nb_acts acts = rows_of(scratch->turned_dy, n_rows, n_tokens);
    acts.f32_stride = turned_stride(n_tokens);
    nb_matmul(context, &x, &acts, scratch->product, n_cols);
    sum s = {weight->gradient, scratch->product};
    nb_parallel(context->pool, n_rows * n_cols, ADD_PIECE, add_values, &s);
}
