#include "quant/affine.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/draft.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CORNER = 3, EXAMPLES = 8 };

static const nb_column fact_columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};

static void add_fact(nb_items *out, const char *name)
{
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "%s" NB_END, name);
}

static const char *role_of(const nb_tensor *tensor)
{
    switch (tensor->role) {
    case NB_ROLE_EMBEDDINGS:
        return tensor->tied ? "token embeddings, and the head too" : "token embeddings";
    case NB_ROLE_HEAD:
        return "head: from the last hidden state to the vocabulary";
    case NB_ROLE_ATTENTION:
        return "attention";
    case NB_ROLE_MLP:
        return "feed-forward";
    case NB_ROLE_NORM:
        return "norm, never quantized";
    case NB_ROLE_BIAS:
        return "bias, never quantized";
    case NB_ROLE_OTHER:
        break;
    }
    return "other";
}

static nb_status show_facts(const nb_tensor *tensor, nb_items *out, nb_error *error)
{
    nb_histogram h = {0};
    nb_status status = nb_tensor_histogram(tensor, NB_WEIGHTS_CURRENT, 0, 0, 2, &h, error);
    if (status != NB_OK)
        return status;
    uint64_t n_bytes = nb_tensor_n_bytes(tensor), n_weights = nb_tensor_n_weights(tensor);
    nb_items_text(out, NB_STRONG "%s" NB_END " · %s · %s", tensor->name, nb_describe_shape(tensor).text,
                  role_of(tensor));
    nb_items_table(out, fact_columns, 2);
    add_fact(out, "stored as");
    nb_items_cell(out, 1, "%s · %s · %s bits a weight%s%s%s", nb_describe_storage(tensor).text,
                  nb_bytes(n_bytes).text, nb_fixed(nb_bits_per_weight(n_bytes, n_weights), 2).text,
                  tensor->changed && tensor->source_format ? " (was " : "",
                  tensor->changed && tensor->source_format ? tensor->source_format->name : "",
                  tensor->changed && tensor->source_format ? ")" : "");
    if (nb_tensor_provenance(tensor)) {
        add_fact(out, "made by");
        nb_items_cell(out, 1, "%s", nb_tensor_provenance(tensor));
    }
    if (tensor->transforms) {
        nb_draft transforms = {0};
        nb_describe_transforms(tensor->transforms, &transforms);
        add_fact(out, "transforms");
        nb_items_cell(out, 1, "%s", nb_draft_text(&transforms));
        nb_draft_free(&transforms);
    }
    if (tensor->input) {
        char input[NB_INPUT_WHAT + 160];
        add_fact(out, "input");
        nb_items_cell(out, 1, "%s", nb_input_describe(tensor->input, input, sizeof input));
    }
    add_fact(out, "numbers");
    nb_items_cell(out, 1, "from %s to %s, mean %s, std %s", nb_general(h.min, 4).text,
                  nb_general(h.max, 4).text, nb_general(h.mean, 3).text, nb_general(h.std, 4).text);
    add_fact(out, "zeros");
    nb_items_cell(out, 1, "%s of %s", nb_count(h.n_zero).text, nb_count(h.n).text);
    if (!isnan(tensor->sqnr)) {
        add_fact(out, "SQNR");
        nb_items_cell(out, 1, "%s%s", nb_describe_sqnr(tensor->sqnr).text,
                      isinf(tensor->sqnr) ? ": every number is stored as it was"
                                          : " dB against the original");
    }
    nb_histogram_free(&h);
    return NB_OK;
}

/* ---- a corner of the numbers, as numpy prints it ---- */

static nb_number corner_number(double value, double largest)
{
    if (largest != 0 && (largest < 1e-3 || largest >= 1e4))
        return nb_general(value, 3);
    return nb_fixed(value, 4);
}

static void add_padded(nb_draft *out, const char *text, size_t width)
{
    size_t n = strlen(text);
    nb_draft_repeat(out, " ", n < width ? width - n : 0);
    nb_draft_add(out, text);
}

/* Which of `n` indices are shown: the first and the last three, with a gap if there are more. */
static size_t shown_index(size_t n, size_t i)
{
    return n <= 2 * CORNER || i < CORNER ? i : n - 2 * CORNER + i;
}

static void add_corner_row(const float *row, size_t n_cols, double largest, size_t width, nb_draft *out)
{
    size_t shown = nb_min_size(n_cols, 2 * CORNER);
    nb_draft_add(out, "[");
    for (size_t i = 0; i < shown; i++) {
        if (i == CORNER && n_cols > 2 * CORNER)
            nb_draft_add(out, "  ...");
        add_padded(out, corner_number((double)row[shown_index(n_cols, i)], largest).text, width + (i > 0));
    }
    nb_draft_add(out, "]");
}

static nb_status show_corner(const nb_tensor *tensor, nb_items *out, nb_error *error)
{
    size_t rows = nb_min_size(tensor->n_rows, 2 * CORNER), n_cols = tensor->n_cols, width = 1;
    size_t cols = nb_min_size(n_cols, 2 * CORNER);
    float *values = nb_calloc(rows * n_cols, sizeof *values);
    if (!values)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the rows of %.80s", tensor->name);
    double largest = 0;
    for (size_t r = 0; r < rows; r++) {
        float *row = values + r * n_cols;
        nb_tensor_current_row(tensor, shown_index(tensor->n_rows, r), row);
        for (size_t i = 0; i < cols; i++)
            largest = fmax(largest, fabs((double)row[shown_index(n_cols, i)]));
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < cols; i++)
            width = nb_max_size(
                width,
                strlen(corner_number((double)values[r * n_cols + shown_index(n_cols, i)], largest).text));
    }
    nb_draft text = {0};
    for (size_t r = 0; r < rows; r++) {
        if (r == CORNER && tensor->n_rows > 2 * CORNER)
            nb_draft_add(&text, " ...\n");
        nb_draft_add(&text, r == 0 ? "[" : " ");
        add_corner_row(values + r * n_cols, n_cols, largest, width, &text);
        nb_draft_add(&text, r + 1 == rows ? "]" : "\n");
    }
    nb_items_text(out, "%s", nb_draft_text(&text));
    nb_draft_free(&text);
    free(values);
    return NB_OK;
}

/* ---- scales and codes ---- */

static const nb_column code_columns[1 + EXAMPLES] = {
    {"", NB_COLUMN_LEFT},  {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT},
    {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT},
    {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT},
};

/* What a code of row 0 stands for, whatever was done to find its scale. */
static void explain_codes(const nb_quantizer *q, double scale, int zero, nb_items *out)
{
    const nb_number step = nb_general(scale, 6);
    if (q->scheme == NB_SCHEME_ABSMAX)
        nb_items_text(out, "A code stands for %s x code.", step.text);
    else
        nb_items_text(
            out, "Its zero point is " NB_STRONG "%d" NB_END ": a code stands for %s x (code - zero point).",
            zero, step.text);
}

/* The step of the ruler that reaches over these numbers, from end to end: what round to nearest takes as its
 * scale. */
static double whole_step(const nb_quantizer *q, const float *row, size_t n)
{
    const unsigned top = (1u << (q->format->bits - 1)) - 1;
    nb_range range = nb_range_empty();
    nb_range_add(&range, row, n);
    const double low = fmin(0, (double)nb_range_low(&range)), high = fmax(0, (double)nb_range_high(&range));
    return q->scheme == NB_SCHEME_ABSMAX ? fmax(high, -low) / top : (high - low) / (2 * top + 1);
}

/* A scale that a method chose: how it lies to the one that reaches over all of its numbers. `row`: as they
 * were rounded; NULL: that is not known. */
static void explain_searched_scale(const nb_tensor *tensor, const float *row, double scale, nb_items *out)
{
    const nb_quantizer *q = &tensor->quantizer;
    const size_t n = q->granularity == NB_PER_GROUP ? nb_min_size(q->group, tensor->n_cols) : tensor->n_cols;
    const double whole = row && q->granularity != NB_PER_TENSOR ? whole_step(q, row, n) : 0;
    const double f16_error = 1.0 / 1024;
    nb_draft text = {0};
    nb_draft_addf(&text,
                  "Its scale is " NB_STRONG "%s" NB_END ", the size of one step, which its method chose.",
                  nb_general(scale, 6).text);
    if (whole > 0) {
        const bool absmax = q->scheme == NB_SCHEME_ABSMAX;
        nb_draft_addf(&text, " To reach over all of its %zu numbers, %s / %u would be %s: ", n,
                      absmax ? "max" : "(max - min)",
                      (absmax ? 1u << (q->format->bits - 1) : 1u << q->format->bits) - 1,
                      nb_general(whole, 6).text);
        if (scale < whole * (1 - f16_error))
            nb_draft_add(
                &text, "it is smaller, so steps are finer, and numbers beyond its ends are clipped to them.");
        else if (scale > whole * (1 + f16_error))
            nb_draft_add(&text, "it is larger, and reaches beyond them.");
        else
            nb_draft_add(&text, "it is just that.");
    }
    nb_items_text(out, "%s", nb_draft_text(&text));
    nb_draft_free(&text);
}

/* Both conventions that learners meet, in the order in which this tensor was made. */
static void explain_scale(const nb_quantizer *q, double scale, nb_items *out)
{
    unsigned top = (1u << (q->format->bits - 1)) - 1;
    bool absmax = q->scheme == NB_SCHEME_ABSMAX, multiplies = q->convention == NB_CONVENTION_LABONNE;
    unsigned steps = absmax ? top : 2 * top + 1;
    const char *span = absmax ? "max" : "(max - min)";
    nb_number step = nb_general(scale, 6), inverse = nb_general(1 / scale, 6);
    if (multiplies)
        nb_items_text(out,
                      "Its scale multiplies: %u / %s = " NB_STRONG "%s" NB_END
                      " steps per unit, code = round(scale x w)%s. Its inverse is kept, %s, the size of one "
                      "step; others call that the scale and divide by it.",
                      steps, span, inverse.text, absmax ? "" : " + zero point", step.text);
    else
        nb_items_text(out,
                      "Its scale is %s / %u = " NB_STRONG "%s" NB_END
                      ", the size of one step: code = round(w / scale)%s. Others keep the inverse, %u / %s = "
                      "%s, and multiply by it: the codes are the same.",
                      span, steps, step.text, absmax ? "" : " + zero point", steps, span, inverse.text);
}

static void show_codes(const nb_tensor *tensor, const uint8_t *codes, const float *before, const float *now,
                       nb_items *out)
{
    const nb_quantizer *q = &tensor->quantizer;
    size_t n = nb_min_size(tensor->n_cols, EXAMPLES);
    int middle = 1 << (q->format->bits - 1);
    nb_items_table(out, code_columns, 1 + n);
    if (before) {
        nb_items_row(out);
        nb_items_cell(out, 0, NB_MUTED "it was" NB_END);
        for (size_t i = 0; i < n; i++)
            nb_items_cell(out, 1 + i, "%s", nb_fixed((double)before[i], 4).text);
    }
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "code" NB_END);
    for (size_t i = 0; i < n; i++)
        nb_items_cell(out, 1 + i, "%d", (int)codes[i] - middle);
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "stands for" NB_END);
    for (size_t i = 0; i < n; i++)
        nb_items_cell(out, 1 + i, "%s", nb_fixed((double)now[i], 4).text);
}

static nb_status show_int(const nb_tensor *tensor, nb_items *out, nb_error *error)
{
    const nb_packed *packed = tensor->packed;
    size_t n_cols = tensor->n_cols, n_scales = nb_max_size(packed->n_scales, 1);
    uint8_t *codes = nb_calloc(NB_ROWS * n_cols, 1), *zeros = nb_calloc(NB_ROWS * n_scales, 1);
    float *scales = nb_calloc(NB_ROWS * n_scales, sizeof *scales), *now = nb_calloc(n_cols, sizeof *now);
    float *before = nb_calloc(n_cols, sizeof *before);
    nb_status status = NB_OK;
    if (codes && zeros && scales && now && before) {
        const bool known = tensor->source_format != NULL, moves = nb_input_moves(tensor->input);
        nb_packed_get_int(packed, 0, codes, scales, zeros);
        nb_packed_decode_row(packed, 0, now);
        if (known)
            nb_tensor_source_row(tensor, 0, before);
        if (known && moves)
            nb_input_turn_row(tensor->input, before);
        nb_items_text(out,
                      moves ? "How row 0 begins, its columns as they meet the input:" : "How row 0 begins:");
        show_codes(tensor, codes, known ? before : NULL, now, out);
        const double scale = (double)scales[0];
        const int middle = 1 << (tensor->quantizer.format->bits - 1);
        if (scale == 0)
            nb_items_text(
                out, "All numbers that share its first scale are 0, and so are the scale and every code.");
        else if (nb_tensor_provenance(tensor))
            explain_searched_scale(tensor, known ? before : NULL, scale, out);
        else
            explain_scale(&tensor->quantizer, scale, out);
        if (scale != 0)
            explain_codes(&tensor->quantizer, scale,
                          tensor->quantizer.scheme == NB_SCHEME_ZEROPOINT ? (int)zeros[0] - middle : 0, out);
    } else {
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for the codes of %.80s", tensor->name);
    }
    free(codes), free(zeros), free(scales), free(now), free(before);
    return status;
}

/* The first codes of row 0, what they stand for, and the bytes in which bitsandbytes keeps them. */
static nb_status show_table(const nb_tensor *tensor, nb_items *out, nb_error *error)
{
    const nb_packed *packed = tensor->packed;
    const nb_format *format = tensor->quantizer.format;
    const size_t n = nb_min_size(tensor->n_cols, EXAMPLES);
    uint8_t *codes = nb_calloc(NB_ROWS, tensor->n_cols), pairs[EXAMPLES / 2];
    float *scales = nb_calloc(NB_ROWS * packed->n_scales, sizeof *scales);
    const bool fine = codes && scales;
    if (fine) {
        nb_packed_get_table(packed, 0, codes, scales);
        nb_items_text(out, "How row 0 begins:");
        nb_items_table(out, code_columns, 1 + n);
        static const char *const names[] = {"code", "level", "stands for"};
        for (size_t line = 0; line < 3; line++) {
            nb_items_row(out);
            nb_items_cell(out, 0, NB_MUTED "%s" NB_END, names[line]);
            for (size_t i = 0; i < n; i++) {
                const float level = format->levels[codes[i]];
                if (line == 0)
                    nb_items_cell(out, 1 + i, "%u", codes[i]);
                else
                    nb_items_cell(out, 1 + i, "%s",
                                  nb_fixed((double)(line == 1 ? level : level * scales[0]), 4).text);
            }
        }
        nb_draft bytes = {0};
        nb_table_pairs(format, codes, n, pairs);
        for (size_t i = 0; i < (n + 1) / 2; i++)
            nb_draft_addf(&bytes, " %02x", pairs[i]);
        nb_items_text(out,
                      "A code stands for level x scale; the scale of these is " NB_STRONG "%s" NB_END "%s.",
                      nb_general((double)scales[0], 6).text,
                      packed->scale_codes ? ", itself kept in 8 bits" : ", the largest size among them");
        nb_items_text(out, "bitsandbytes keeps two codes to a byte, the first in its high half:%s",
                      nb_draft_text(&bytes));
        nb_draft_free(&bytes);
    }
    free(codes), free(scales);
    return fine ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for the codes of %.80s", tensor->name);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const nb_tensor *tensor;
    nb_status status = nb_notebook_tensor(notebook, call->arguments[0], &tensor, error);
    if (status == NB_OK)
        status = show_facts(tensor, out, error);
    if (status == NB_OK)
        status = show_corner(tensor, out, error);
    if (status != NB_OK || tensor->is_vector)
        return status;
    if (tensor->quantizer.format->kind == NB_FORMAT_INT)
        return show_int(tensor, out, error);
    if (tensor->quantizer.format->kind == NB_FORMAT_TABLE)
        return show_table(tensor, out, error);
    if (tensor->quantizer.format->needs_scale)
        nb_items_text(
            out,
            "Scale %s for the whole tensor: its largest number, divided by it, is %s, the largest of %s.",
            nb_general((double)tensor->packed->tensor_scale, 6).text,
            nb_general(tensor->quantizer.format->max_finite, 6).text, tensor->quantizer.format->name);
    return NB_OK;
}

const nb_command nb_command_show = {
    .name = "show",
    .group = "A model",
    .usage = "show TENSOR",
    .summary = "one tensor: statistics, numbers, scales and codes",
    .examples = {"show blk.0.attn_q", "show output_norm"},
    .arguments = {{"TENSOR", NB_WORD_TENSOR, false}},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
