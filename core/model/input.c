#include "model/input.h"

#include "base/memory.h"
#include "base/print.h"
#include "base/random.h"
#include "model/state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- making ---- */

nb_input *nb_input_create(size_t n_cols)
{
    nb_input *input = nb_calloc(1, sizeof *input);
    if (input)
        input->n_cols = n_cols;
    return input;
}

void nb_input_destroy(nb_input **input)
{
    if (!*input)
        return;
    free((*input)->divisors);
    free((*input)->signs);
    free((*input)->scales);
    free((*input)->order);
    free((*input)->swaps);
    free((*input)->outliers);
    free(*input);
    *input = NULL;
}

static nb_status no_memory(const nb_input *input, nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "no memory for what happens to %zu columns", input->n_cols);
}

static nb_status copy_positive(const nb_input *input, const float *numbers, const char *what, float **out,
                               nb_error *error)
{
    for (size_t i = 0; i < input->n_cols; i++)
        if (!(numbers[i] > 0.0f) || !isfinite(numbers[i])) {
            char text[32];
            return nb_fail(error, NB_ERR_ARGUMENT, "the %s of column %zu is %s; it must be a positive number", what, i,
                           nb_print_f32(text, sizeof text, numbers[i]));
        }
    float *copy = nb_calloc(input->n_cols, sizeof *copy);
    if (!copy)
        return no_memory(input, error);
    memcpy(copy, numbers, input->n_cols * sizeof *copy);
    free(*out);
    *out = copy;
    return NB_OK;
}

nb_status nb_input_set_divisors(nb_input *input, const float *divisors, nb_error *error)
{
    return copy_positive(input, divisors, "divisor", &input->divisors, error);
}

nb_status nb_input_set_scales(nb_input *input, const float *scales, nb_error *error)
{
    return copy_positive(input, scales, "scale", &input->scales, error);
}

nb_status nb_input_set_hadamard(nb_input *input, uint32_t block, uint64_t seed, nb_error *error)
{
    if (block == 0 || (block & (block - 1)) != 0 || input->n_cols % block != 0)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a Hadamard block of %u columns: it must be a power of two that divides %zu", (unsigned)block,
                       input->n_cols);
    float *signs = nb_calloc(input->n_cols, sizeof *signs);
    if (!signs)
        return no_memory(input, error);
    nb_random random;
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < input->n_cols; i++)
        signs[i] = seed != 0 && nb_random_below(&random, 2) == 1 ? -1.0f : 1.0f;
    free(input->signs);
    input->signs = signs;
    input->hadamard = block;
    return NB_OK;
}

/* swaps: where the column that belongs to place j stands once the places before j are filled. */
static void find_swaps(const uint32_t *order, size_t n, uint32_t *at, uint32_t *place, uint32_t *swaps)
{
    for (size_t j = 0; j < n; j++)
        at[j] = place[j] = (uint32_t)j; /* which column stands at j; where column j stands */
    for (size_t j = 0; j < n; j++) {
        const uint32_t from = place[order[j]], moved = at[j];
        swaps[j] = from;
        at[from] = moved;
        place[moved] = from;
    }
}

nb_status nb_input_set_order(nb_input *input, const uint32_t *order, nb_error *error)
{
    const size_t n = input->n_cols;
    uint32_t *copy = nb_calloc(n, sizeof *copy), *swaps = nb_calloc(n, sizeof *swaps),
             *work = nb_calloc(2 * n, sizeof *work);
    nb_status status = copy && swaps && work ? NB_OK : no_memory(input, error);
    for (size_t j = 0; status == NB_OK && j < n; j++)
        if (order[j] >= n || work[order[j]]++ != 0)
            status = nb_fail(error, NB_ERR_ARGUMENT, "an order of %zu columns with column %u %s is none", n,
                             (unsigned)order[j], order[j] >= n ? "in it" : "twice in it");
    if (status == NB_OK) {
        memcpy(copy, order, n * sizeof *copy);
        find_swaps(order, n, work, work + n, swaps);
        free(input->order);
        free(input->swaps);
        input->order = copy;
        input->swaps = swaps;
        copy = swaps = NULL;
    }
    free(copy);
    free(swaps);
    free(work);
    return status;
}

nb_status nb_input_set_outliers(nb_input *input, const uint32_t *columns, size_t n, nb_error *error)
{
    for (size_t i = 0; i < n; i++)
        if (columns[i] >= input->n_cols || (i > 0 && columns[i] <= columns[i - 1]))
            return nb_fail(error, NB_ERR_ARGUMENT, "outliers of %zu columns: they ascend, and column %u does not belong",
                           input->n_cols, (unsigned)columns[i]);
    uint32_t *copy = nb_calloc(n, sizeof *copy);
    if (!copy)
        return no_memory(input, error);
    memcpy(copy, columns, n * sizeof *copy);
    free(input->outliers);
    input->outliers = copy;
    input->n_outliers = n;
    return NB_OK;
}

nb_status nb_input_set_static(nb_input *input, float scale, nb_error *error)
{
    char text[32];
    if (!(scale > 0.0f) || !isfinite(scale))
        return nb_fail(error, NB_ERR_ARGUMENT, "a static scale of %s: it must be a positive number",
                       nb_print_f32(text, sizeof text, scale));
    input->scaling = NB_INPUT_STATIC;
    input->scale = scale;
    return NB_OK;
}

/* ---- asking ---- */

static bool same(const void *a, const void *b, size_t n_bytes)
{
    return a && b ? memcmp(a, b, n_bytes) == 0 : a == b;
}

bool nb_input_equal(const nb_input *a, const nb_input *b)
{
    const size_t n_bytes = a->n_cols * sizeof(float);
    return a->n_cols == b->n_cols && a->hadamard == b->hadamard && a->scaling == b->scaling &&
           (a->scaling != NB_INPUT_STATIC || a->scale == b->scale) && strcmp(a->what, b->what) == 0 &&
           same(a->divisors, b->divisors, n_bytes) && same(a->signs, b->signs, n_bytes) &&
           same(a->scales, b->scales, n_bytes) && same(a->order, b->order, n_bytes) &&
           a->n_outliers == b->n_outliers && same(a->outliers, b->outliers, a->n_outliers * sizeof *a->outliers);
}

bool nb_input_has_basis(const nb_input *input)
{
    return input && (input->divisors || input->hadamard);
}

bool nb_input_moves(const nb_input *input)
{
    return input && (input->divisors || input->hadamard || input->scales || input->order);
}

nb_input *nb_input_basis(const nb_input *input)
{
    nb_input *basis = nb_input_create(input->n_cols);
    const size_t n_bytes = input->n_cols * sizeof(float);
    if (!basis)
        return NULL;
    basis->hadamard = input->hadamard;
    if (input->scaling != NB_INPUT_STATIC) /* there it speaks of the scale */
        memcpy(basis->what, input->what, sizeof basis->what);
    if (input->divisors && (basis->divisors = nb_calloc(input->n_cols, sizeof(float))) != NULL)
        memcpy(basis->divisors, input->divisors, n_bytes);
    if (input->signs && (basis->signs = nb_calloc(input->n_cols, sizeof(float))) != NULL)
        memcpy(basis->signs, input->signs, n_bytes);
    if ((input->divisors && !basis->divisors) || (input->signs && !basis->signs))
        nb_input_destroy(&basis);
    return basis;
}

size_t nb_input_n_bytes(const nb_input *input)
{
    if (!input)
        return 0;
    const size_t n_arrays = (input->divisors ? 1u : 0u) + (input->scales ? 1u : 0u) + (input->order ? 1u : 0u);
    return n_arrays * input->n_cols * sizeof(float) + (input->signs ? input->n_cols : 0) +
           (input->scaling == NB_INPUT_STATIC ? sizeof input->scale : 0);
}

static void add_words(char *text, size_t size, const char *words)
{
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used ? ", " : "", words);
}

char *nb_input_describe(const nb_input *input, char *text, size_t size)
{
    text[0] = '\0';
    if (!input)
        return text;
    const bool is_static = input->scaling == NB_INPUT_STATIC;
    char words[NB_INPUT_WHAT + 48];
    const char *open = *input->what ? " (" : "", *close = *input->what ? ")" : "";
    if (is_static) {
        snprintf(words, sizeof words, "%s%s%s%s", input->scales ? "int8, a static scale a channel" : "int8, one static scale", open,
                 input->what, close);
        add_words(text, size, words);
    }
    if (input->scaling == NB_INPUT_TOKENS)
        add_words(text, size, "int8, one scale a token");
    if (input->divisors)
        add_words(text, size, "columns scaled");
    if (input->hadamard) {
        const bool says = !is_static && !input->outliers;
        snprintf(words, sizeof words, "rotated in blocks of %u%s%s%s", (unsigned)input->hadamard, says ? open : "",
                 says ? input->what : "", says ? close : "");
        add_words(text, size, words);
    }
    if (input->order)
        add_words(text, size, "columns reordered");
    if (input->outliers) {
        snprintf(words, sizeof words, "%zu column%s in f16%s%s%s", input->n_outliers, input->n_outliers == 1 ? "" : "s", open,
                 input->what, close);
        add_words(text, size, words);
    }
    return text;
}

/* ---- doing ---- */

/* x = H x of one block, H[i][j] = (-1)^(bits that i and j share) / sqrt(n): sums and differences of halves, from
 * neighbours up. */
static void hadamard_block(float *x, size_t n)
{
    for (size_t half = 1; half < n; half *= 2)
        for (size_t first = 0; first < n; first += 2 * half)
            for (size_t i = first; i < first + half; i++) {
                const float a = x[i], b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
    const float by = 1.0f / sqrtf((float)n);
    for (size_t i = 0; i < n; i++)
        x[i] *= by;
}

static void rotate(const nb_input *input, float *x)
{
    for (size_t first = 0; first < input->n_cols; first += input->hadamard)
        hadamard_block(x + first, input->hadamard);
}

static void multiply(const float *by, size_t n, float *x)
{
    for (size_t i = 0; by && i < n; i++)
        x[i] *= by[i];
}

static void divide(const float *by, size_t n, float *x)
{
    for (size_t i = 0; by && i < n; i++)
        x[i] /= by[i];
}

static void exchange(float *x, size_t a, size_t b)
{
    const float kept = x[a];
    x[a] = x[b];
    x[b] = kept;
}

void nb_input_apply(const nb_input *input, const float *x, float *out)
{
    const size_t n = input->n_cols;
    if (input->order && !input->divisors && !input->hadamard && !input->scales) {
        for (size_t j = 0; j < n; j++)
            out[j] = x[input->order[j]];
        return;
    }
    memcpy(out, x, n * sizeof *out);
    divide(input->divisors, n, out);
    if (input->hadamard) {
        multiply(input->signs, n, out);
        rotate(input, out);
    }
    divide(input->scales, n, out);
    for (size_t j = 0; input->order && j < n; j++)
        exchange(out, j, input->swaps[j]);
}

void nb_input_turn_row(const nb_input *input, float *row)
{
    const size_t n = input->n_cols;
    multiply(input->divisors, n, row);
    if (input->hadamard) {
        multiply(input->signs, n, row);
        rotate(input, row);
    }
    multiply(input->scales, n, row);
    for (size_t j = 0; input->order && j < n; j++)
        exchange(row, j, input->swaps[j]);
}

void nb_input_turn_back_row(const nb_input *input, float *row)
{
    const size_t n = input->n_cols;
    for (size_t j = n; input->order && j-- > 0;)
        exchange(row, j, input->swaps[j]);
    divide(input->scales, n, row);
    if (input->hadamard) {
        rotate(input, row);
        multiply(input->signs, n, row);
    }
    divide(input->divisors, n, row);
}

/* The columns' squares over the factors' squares. */
static void divide_squares(const float *by, size_t n, float *squares)
{
    divide(by, n, squares);
    divide(by, n, squares);
}

void nb_input_turn_squares(const nb_input *input, const float *squares, float *out)
{
    const size_t n = input->n_cols;
    memcpy(out, squares, n * sizeof *out);
    divide_squares(input->divisors, n, out);
    for (size_t first = 0; input->hadamard && first < n; first += input->hadamard) {
        double sum = 0.0;
        for (size_t i = first; i < first + input->hadamard; i++)
            sum += (double)out[i];
        for (size_t i = first; i < first + input->hadamard; i++)
            out[i] = (float)(sum / input->hadamard);
    }
    divide_squares(input->scales, n, out);
    for (size_t j = 0; input->order && j < n; j++)
        exchange(out, j, input->swaps[j]);
}

/* ---- a model's ---- */

nb_status nb_model_keep_input(nb_model *model, nb_input **input, const nb_input **out, nb_error *error)
{
    nb_input *taken = *input;
    *input = NULL;
    for (size_t i = 0; i < model->n_inputs; i++)
        if (nb_input_equal(model->inputs[i], taken)) {
            nb_input_destroy(&taken);
            *out = model->inputs[i];
            return NB_OK;
        }
    nb_input **grown = nb_realloc(model->inputs, model->n_inputs + 1, sizeof(nb_input *));
    if (!grown) {
        nb_status status = no_memory(taken, error);
        nb_input_destroy(&taken);
        return status;
    }
    model->inputs = grown;
    *out = model->inputs[model->n_inputs++] = taken;
    return NB_OK;
}

/* Everything that is pointed to belongs to the model, which may change its marks. */
static void mark(const nb_input *input)
{
    if (input)
        ((nb_input *)(uintptr_t)input)->used = true;
}

void nb_model_drop_inputs(nb_model *model)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < model->n_inputs; i++)
        model->inputs[i]->used = false;
    for (size_t i = 0; i < model->n_tensors; i++) {
        mark(model->tensors[i].input);
        mark(model->tensors[i].loaded_input);
    }
    for (size_t i = 0; i < model->n_undo; i++)
        for (size_t k = 0; k < model->undo[i].count; k++)
            mark(model->undo[i].pasts[k].input);
    for (size_t i = 0; i < model->n_inputs; i++) {
        if (model->inputs[i]->used)
            model->inputs[n_kept++] = model->inputs[i];
        else
            nb_input_destroy(&model->inputs[i]);
    }
    model->n_inputs = n_kept;
}
