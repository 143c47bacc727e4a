/* GPTQ against published numbers, and against the paper's own way in f64: the exact inverse, one column after the
 * other. */
#include "quant/gptq.h"

#include "base/random.h"
#include "quant/hessian.h"
#include "quant/rtn.h"
#include "tests/support/shapes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

static double normal(nb_random *random)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (double)nb_random_below(random, 1 << 20) / (1 << 20);
    return sum;
}

/* ---- a layer ---- */

typedef struct layer {
    size_t n_rows, n_cols, n_tokens;
    float *w, *x;
    float *importance; /* [n_cols], or NULL */
    const float *hessian;
    nb_hessian *h;
} layer;

static void read_row(void *user, size_t row, float *out)
{
    const layer *l = user;
    memcpy(out, l->w + row * l->n_cols, l->n_cols * sizeof *out);
}

static nb_gptq_source source_of(layer *l)
{
    return (nb_gptq_source){read_row, l, l->n_rows, l->n_cols};
}

static void free_layer(layer *l)
{
    nb_hessian_destroy(&l->h);
    free(l->w);
    free(l->x);
    free(l->importance);
}

/* Activations that go together, as real ones do: each column is a mixture of a few hidden ones and its own noise, some
 * much larger than others; n_dead columns are always 0, and their weights large, which must not show in any scale. */
static layer make_layer(nb_context *context, size_t n_rows, size_t n_cols, size_t n_tokens, size_t n_dead,
                        uint64_t seed)
{
    enum { HIDDEN = 12 };
    nb_random random;
    layer l = {.n_rows = n_rows, .n_cols = n_cols, .n_tokens = n_tokens};
    l.w = calloc(n_rows * n_cols, sizeof *l.w);
    l.x = calloc(n_tokens * n_cols, sizeof *l.x);
    double *mixture = calloc(n_cols, HIDDEN * sizeof *mixture), *size = calloc(n_cols, sizeof *size);
    assert_true(l.w && l.x && mixture && size);
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < n_cols * HIDDEN; i++)
        mixture[i] = normal(&random);
    for (size_t i = 0; i < n_cols; i++)
        size[i] = exp(normal(&random));
    for (size_t i = 0; i < n_rows * n_cols; i++)
        l.w[i] = (float)(0.02 * normal(&random));
    for (size_t t = 0; t < n_tokens; t++) {
        double hidden[HIDDEN];
        for (size_t k = 0; k < HIDDEN; k++)
            hidden[k] = normal(&random);
        for (size_t i = 0; i < n_cols; i++) {
            double x = normal(&random);
            for (size_t k = 0; k < HIDDEN; k++)
                x += 0.3 * mixture[i * HIDDEN + k] * hidden[k];
            l.x[t * n_cols + i] = (float)(x * size[i]);
        }
    }
    for (size_t i = 0; i < n_dead; i++) {
        for (size_t t = 0; t < n_tokens; t++)
            l.x[t * n_cols + (7 + 11 * i) % n_cols] = 0;
        for (size_t r = 0; r < n_rows; r++)
            l.w[r * n_cols + (7 + 11 * i) % n_cols] *= 20;
    }
    free(mixture);
    free(size);
    assert_int_equal(nb_hessian_create(context, n_cols, &l.h, NULL), NB_OK);
    nb_hessian_add(l.h, l.x, n_tokens, n_cols);
    assert_int_equal(nb_hessian_finish(l.h, "layer", &l.hessian, NULL), NB_OK);
    return l;
}

static void run(nb_context *context, layer *l, const nb_quantizer *quantizer, const nb_gptq_options *options, bool trace,
                nb_packed **packed, nb_gptq_result *result, nb_gptq_solver **solver)
{
    nb_error error = {""};
    const nb_gptq_source source = source_of(l);
    assert_int_equal(nb_gptq_solver_create(context, "layer", l->hessian, l->n_cols, nb_gptq_block(quantizer), options,
                                           solver, &error),
                     NB_OK);
    if (nb_gptq_quantize(context, "layer", &source, quantizer, *solver, options, l->importance, trace, packed, result,
                         &error) !=
        NB_OK)
        fail_msg("%s", error.text);
}

/* ---- the same, slowly ---- */

/* What a column may become, of which the nearest is taken. */
typedef struct levels {
    double values[256];
    size_t n;
} levels;

static levels int_levels(const nb_quantizer *q, const float *x, size_t n)
{
    levels l = {.n = 0};
    float scale;
    int32_t zero;
    nb_rtn_group(x, n, q, &scale, &zero, NULL, NULL);
    const int half = 1 << (q->format->bits - 1);
    for (int code = q->scheme == NB_SCHEME_ABSMAX ? 1 - half : -half; code < half; code++)
        l.values[l.n++] = (double)scale * (double)(code - zero);
    return l;
}

/* Column `column` of a block whose scales are those of the encoded block: what each code decodes to. */
static levels block_levels(const nb_quantizer *q, const float *x, const float *importance, size_t column)
{
    levels l = {.n = 0};
    uint8_t block[512];
    float decoded[256];
    nb_block_parts parts;
    const nb_block_layout *layout = nb_block_layout_of(q->format);
    q->format->encode_blocks(x, q->format->block_size, importance, block);
    nb_block_split(layout, block, &parts);
    for (unsigned code = 0; code < 1u << q->format->bits; code++) {
        parts.codes[column] = (uint8_t)code;
        nb_block_join(layout, &parts, block);
        nb_format_decode_row(q->format, block, q->format->block_size, decoded);
        l.values[l.n++] = (double)decoded[column];
    }
    return l;
}

static double nearest(const levels *l, double x)
{
    double best = l->values[0];
    for (size_t i = 1; i < l->n; i++)
        if (fabs(x - l->values[i]) < fabs(x - best))
            best = l->values[i];
    return best;
}

/* [n][n] in place, by Gauss and Jordan with pivots. */
static void invert(size_t n, double *a)
{
    double *inverse = calloc(n * n, sizeof *inverse);
    assert_non_null(inverse);
    for (size_t i = 0; i < n; i++)
        inverse[i * n + i] = 1;
    for (size_t c = 0; c < n; c++) {
        size_t pivot = c;
        for (size_t r = c + 1; r < n; r++)
            if (fabs(a[r * n + c]) > fabs(a[pivot * n + c]))
                pivot = r;
        for (size_t k = 0; k < n; k++) {
            double t = a[c * n + k];
            a[c * n + k] = a[pivot * n + k];
            a[pivot * n + k] = t;
            t = inverse[c * n + k];
            inverse[c * n + k] = inverse[pivot * n + k];
            inverse[pivot * n + k] = t;
        }
        const double by = 1 / a[c * n + c];
        for (size_t k = 0; k < n; k++) {
            a[c * n + k] *= by;
            inverse[c * n + k] *= by;
        }
        for (size_t r = 0; r < n; r++) {
            const double factor = a[r * n + c];
            for (size_t k = 0; k < n && r != c; k++) {
                a[r * n + k] -= factor * a[c * n + k];
                inverse[r * n + k] -= factor * inverse[c * n + k];
            }
        }
    }
    memcpy(a, inverse, n * n * sizeof *a);
    free(inverse);
}

/* H of the activations in f64, damped, dead columns made harmless. */
static double *slow_hessian(const layer *l, double damp, bool *dead)
{
    const size_t n = l->n_cols;
    double *h = calloc(n * n, sizeof *h), mean = 0;
    size_t n_alive = 0;
    assert_non_null(h);
    for (size_t t = 0; t < l->n_tokens; t++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                h[i * n + j] +=
                    2.0 * (double)l->x[t * n + i] * (double)l->x[t * n + j] / (double)l->n_tokens;
    for (size_t i = 0; i < n; i++) {
        dead[i] = h[i * n + i] == 0;
        n_alive += !dead[i];
        mean += h[i * n + i];
    }
    for (size_t i = 0; i < n; i++)
        h[i * n + i] = (dead[i] ? 1 : h[i * n + i]) + damp * mean / (double)n_alive;
    return h;
}

static void sort_down(const double *h, const bool *dead, size_t n, size_t *order)
{
    for (size_t i = 0; i < n; i++) {
        const double value = dead[i] ? 0 : h[i * n + i];
        size_t at = i;
        for (; at > 0; at--) {
            const size_t other = order[at - 1];
            if ((dead[other] ? 0 : h[other * n + other]) >= value)
                break;
            order[at] = other;
        }
        order[at] = i;
    }
}

typedef struct slow {
    const layer *layer;
    size_t n, cell;
    const nb_quantizer *quantizer;
    const nb_gptq_options *options;
    size_t order[512]; /* which column comes j-th */
    double *inverse;   /* [n][n] in order; what is left of it */
    float *alive;      /* [n_rows][n]: the weights, 0 in dead columns */
    levels levels;
    float cell_values[512], cell_importance[512];
} slow;

/* The levels of the j-th column, given the row as it stands (in order) and as it was. */
static void look_up_levels(slow *s, size_t j, const double *now, const float *original)
{
    const bool from_source = s->options->static_groups || s->cell >= s->n;
    const size_t place = from_source ? s->order[j] : j, begin = place / s->cell * s->cell;
    const size_t n = nb_min_size(s->cell, s->n - begin);
    if (from_source)
        memcpy(s->cell_values, original + begin, n * sizeof(float));
    else if (place == begin)
        for (size_t k = 0; k < n; k++)
            s->cell_values[k] = (float)now[begin + k];
    const float *importance = s->layer->importance;
    for (size_t k = 0; importance && k < n; k++)
        s->cell_importance[k] = importance[from_source ? begin + k : s->order[begin + k]];
    if (s->quantizer->format->kind == NB_FORMAT_INT && s->quantizer->granularity == NB_PER_TENSOR)
        s->levels = int_levels(s->quantizer, s->alive, s->layer->n_rows * s->n);
    else if (s->quantizer->format->kind == NB_FORMAT_BLOCK)
        s->levels =
            block_levels(s->quantizer, s->cell_values, importance ? s->cell_importance : NULL, place - begin);
    else
        s->levels = int_levels(s->quantizer, s->cell_values, n);
}

/* One row: q[n] by column. The inverse's first row tells the error to the others; then its first row and column are
 * eliminated. */
static void slow_row(slow *s, const double *inverse, const float *original, float *q)
{
    const size_t n = s->n;
    double now[512];
    memcpy(s->inverse, inverse, n * n * sizeof *inverse);
    for (size_t j = 0; j < n; j++)
        now[j] = (double)original[s->order[j]];
    for (size_t j = 0; j < n; j++) {
        const double *row = s->inverse + j * n, pivot = row[j];
        look_up_levels(s, j, now, original);
        const double value = nearest(&s->levels, now[j]), error = (now[j] - value) / pivot;
        q[s->order[j]] = (float)value;
        for (size_t k = j + 1; k < n; k++)
            now[k] -= error * row[k];
        for (size_t i = j + 1; i < n; i++) {
            const double by = s->inverse[i * n + j] / pivot;
            for (size_t k = j + 1; k < n; k++)
                s->inverse[i * n + k] -= by * row[k];
        }
    }
}

/* sum over rows of (w - q) H (w - q)^T / 2 */
static double objective(const layer *l, const double *h, const bool *dead, const float *q)
{
    const size_t n = l->n_cols;
    double sum = 0, e[512];
    for (size_t r = 0; r < l->n_rows; r++) {
        for (size_t i = 0; i < n; i++)
            e[i] = dead[i] ? 0 : (double)l->w[r * n + i] - (double)q[r * n + i];
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                sum += e[i] * h[i * n + j] * e[j];
    }
    return sum / 2;
}

static float *slow_gptq(layer *l, const nb_quantizer *quantizer, const nb_gptq_options *options, const double *h,
                        const bool *dead)
{
    const size_t n = l->n_cols;
    slow s = {.layer = l, .n = n, .quantizer = quantizer, .options = options};
    s.cell = quantizer->format->kind == NB_FORMAT_BLOCK      ? quantizer->format->block_size
             : quantizer->granularity == NB_PER_GROUP ? quantizer->group
                                                            : n;
    float *q = calloc(l->n_rows * n, sizeof *q), *original = calloc(n, sizeof *original);
    double *inverse = calloc(n * n, sizeof *inverse);
    s.inverse = calloc(n * n, sizeof *s.inverse);
    s.alive = calloc(l->n_rows * n, sizeof *s.alive);
    assert_true(q && inverse && s.inverse && original && s.alive && n <= 512);
    for (size_t i = 0; i < l->n_rows * n; i++)
        s.alive[i] = dead[i % n] ? 0 : l->w[i];
    for (size_t i = 0; i < n; i++)
        s.order[i] = i;
    if (options->act_order)
        sort_down(h, dead, n, s.order);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            inverse[i * n + j] = h[s.order[i] * n + s.order[j]];
    invert(n, inverse);
    for (size_t r = 0; r < l->n_rows; r++) {
        memcpy(original, s.alive + r * n, n * sizeof *original);
        slow_row(&s, inverse, original, q + r * n);
    }
    free(inverse);
    free(original);
    free(s.inverse);
    free(s.alive);
    return q;
}

/* ---- */

/* Row r of what was made, by the source's columns. */
static void made_row(const nb_packed *packed, const nb_gptq_result *result, const nb_gptq_solver *solver, size_t r,
                     float *out)
{
    float stored[512];
    nb_packed_decode_row(packed, r, stored);
    for (size_t j = 0; j < packed->n_cols; j++)
        out[result->reordered ? solver->order[j] : j] = stored[j];
}

static void compare_with_slow(nb_context *context, const char *quantizer_text, const nb_gptq_options *options,
                              size_t n_rows, size_t n_cols, size_t n_dead, bool weighed)
{
    layer l = make_layer(context, n_rows, n_cols, 3 * n_cols, n_dead, 77 + n_cols);
    if (weighed) { /* by how large a column's activations are, as for a model */
        l.importance = calloc(n_cols, sizeof *l.importance);
        assert_non_null(l.importance);
        for (size_t i = 0; i < n_cols; i++)
            l.importance[i] = l.hessian[i * n_cols + i];
    }
    nb_quantizer quantizer;
    nb_packed *packed;
    nb_gptq_result result;
    nb_gptq_solver *solver;
    bool dead[512];
    assert_int_equal(nb_quantizer_parse(quantizer_text, &quantizer, NULL), NB_OK);
    run(context, &l, &quantizer, options, true, &packed, &result, &solver);
    assert_int_equal(solver->n_dead, n_dead);
    assert_true(solver->damp == options->damp);
    double *h = slow_hessian(&l, options->damp, dead);
    float *expected = slow_gptq(&l, &quantizer, options, h, dead), *got = calloc(n_rows * n_cols, sizeof *got);
    assert_non_null(got);
    size_t n_same = 0;
    for (size_t r = 0; r < n_rows; r++) {
        made_row(packed, &result, solver, r, got + r * n_cols);
        for (size_t i = 0; i < n_cols; i++)
            /* a scale may have rounded to the next f16 */
            n_same += fabsf(got[r * n_cols + i] - expected[r * n_cols + i]) <= 2e-3f * fabsf(expected[r * n_cols + i]);
    }
    const double fast = objective(&l, h, dead, got), slow = objective(&l, h, dead, expected);
    /* Encoders that weigh errors choose among scales that may lose nearly the same, and another scale for a block leaves
     * another row; from columns that do not move they choose alike. */
    const bool flips = weighed && !options->static_groups;
    if (n_same < n_rows * n_cols * (flips ? 950 : 999) / 1000 || fabs(fast / slow - 1) > (flips ? 0.02 : 1e-4) ||
        fabs(result.loss / fast - 1) > 1e-4)
        fail_msg("%s, act-order %d, static %d, damp %g: %zu of %zu the same, objective %g and %g, said %g",
                 quantizer_text, options->act_order, options->static_groups, options->damp, n_same, n_rows * n_cols,
                 fast, slow, result.loss);
    /* What round to nearest would have lost is said truly, and columns add up. */
    const nb_source plain = {
        .format = &nb_format_f32, .data = l.w, .n_rows = n_rows, .n_cols = n_cols, .importance = l.importance};
    nb_packed *rounded;
    assert_int_equal(nb_rtn_quantize(context, "layer", &plain, &quantizer, &rounded, NULL, NULL), NB_OK);
    for (size_t r = 0; r < n_rows; r++)
        nb_packed_decode_row(rounded, r, got + r * n_cols);
    const double nearest_loss = objective(&l, h, dead, got);
    double sum = 0, nearest_sum = 0;
    for (size_t i = 0; i < n_cols; i++) {
        sum += result.column_loss[i];
        nearest_sum += result.column_nearest[i];
    }
    assert_true(fabs(sum / result.loss - 1) < 1e-9 && fabs(nearest_sum / result.nearest_loss - 1) < 1e-9);
    if (n_dead == 0 && (!options->act_order || options->static_groups))
        assert_true(fabs(result.nearest_loss / nearest_loss - 1) <
                    (quantizer.format->kind == NB_FORMAT_INT ? 1e-4 : 0.05)); /* encoders take codes of their own */
    assert_true(result.loss < result.nearest_loss);
    nb_packed_destroy(&rounded);
    nb_packed_destroy(&packed);
    nb_gptq_result_free(&result);
    nb_gptq_solver_destroy(&solver);
    free(h);
    free(expected);
    free(got);
    free_layer(&l);
}

static void it_is_the_papers_with_every_option(void **state)
{
    (void)state;
    static const char *const quantizers[] = {
        "int2 zeropoint/group:32", "int3 absmax/group:64",    "int3 zeropoint/group:96, f32 scales",
        "int4 absmax/group:128",   "int4 zeropoint/group:32", "int4 absmax/channel",
        "int8 zeropoint/channel",  "int8 absmax/tensor",      "int4 zeropoint/group:160",
    };
    nb_context *context = test_context(NULL, 2);
    for (size_t i = 0; i < sizeof quantizers / sizeof *quantizers; i++)
        for (unsigned options = 0; options < 4; options++) {
            const nb_gptq_options o = {.damp = i % 2 ? 0.01 : 0.1, .act_order = options & 1, .static_groups = options & 2};
            compare_with_slow(context, quantizers[i], &o, 50, 200, i % 2 ? 3 : 0, false);
        }
    nb_context_destroy(&context);
}

static void it_fills_block_formats(void **state)
{
    (void)state;
    static const char *const formats[] = {"q4_0", "q4_1", "q8_0", "q4_k", "q6_k", "q3_k", "iq4_nl"};
    nb_context *context = test_context(NULL, 2);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        for (unsigned options = 0; options < 4; options += 1 + (i > 0)) {
            const nb_gptq_options o = {.damp = 0.01, .act_order = options & 1, .static_groups = options & 2};
            compare_with_slow(context, formats[i], &o, 17, 256, 0, false);
            compare_with_slow(context, formats[i], &o, 17, 256, i == 1 ? 3 : 0, true);
        }
    nb_context_destroy(&context);
}

/* R of the solver, for no more columns than a step has. */
static double factor_at(const nb_gptq_solver *solver, size_t i, size_t j)
{
    const double scaled = i == j ? 1 : (double)solver->near[i * NB_GPTQ_STEP + j];
    return j < i ? 0 : scaled * (double)solver->diagonal[j];
}

/* R R^T is the matrix with this much more on its diagonal. */
static void check_damping(const nb_gptq_solver *solver, const double *hessian, double damping)
{
    for (size_t i = 0; i < solver->n; i++)
        for (size_t j = 0; j < solver->n; j++) {
            double sum = -hessian[i * solver->n + j];
            for (size_t k = 0; k < solver->n; k++)
                sum += factor_at(solver, i, k) * factor_at(solver, j, k);
            assert_true(fabs(sum - (i == j ? damping : 0)) < 5e-7);
        }
}

/* Where the columns of one row stand when only the first is rounded, to `first`: the others' moves, each as
 * if those before it had not been rounded either. */
static void after_first_column(const nb_gptq_solver *solver, const float *w, double first, double *now)
{
    double error[3] = {(double)w[0] - first};
    now[0] = first;
    for (size_t j = 1; j < 3; j++) {
        double move = 0;
        for (size_t i = 0; i < j; i++)
            move += error[i] * (double)solver->near[i * NB_GPTQ_STEP + j];
        now[j] = (double)w[j] + move;
        error[j] = -move;
    }
}

/* The paper's W after its first column is what the solver's numbers say, and what the columns of each row,
 * quantized alone, are seen to have moved by; u is the paper's U. */
static void check_first_column(nb_context *context, layer *l, const nb_quantizer *quantizer,
                               const nb_gptq_options *options, const double u[3][3])
{
    static const double after[2][3] = {{.88, -.395092, .314427}, {-.639333, .818986, -.131294}};
    float *const rows = l->w;
    for (size_t row = 0; row < 2; row++) {
        nb_packed *packed;
        nb_gptq_result result;
        nb_gptq_solver *solver;
        float q[3];
        l->w = rows + 3 * row, l->n_rows = 1;
        run(context, l, quantizer, options, true, &packed, &result, &solver);
        nb_packed_decode_row(packed, 0, q);
        double now[3];
        after_first_column(solver, l->w, (double)q[0], now);
        for (size_t j = 0; j < 3; j++)
            assert_true(fabs(now[j] - after[row][j]) < 2e-6);
        const double scale = row == 0 ? .088 : .2740 / 3;
        const double second = after[row][1];
        const double third = after[row][2] - (second - (double)q[1]) / u[1][1] * u[1][2];
        assert_true(result.column_moved[0] == 0);
        assert_true(fabs(result.column_moved[1] - fabs(second - (double)l->w[1]) / scale) < 5e-5);
        assert_true(fabs(result.column_moved[2] - fabs(third - (double)l->w[2]) / scale) < 5e-5);
        nb_packed_destroy(&packed);
        nb_gptq_result_free(&result);
        nb_gptq_solver_destroy(&solver);
    }
    l->w = rows, l->n_rows = 2;
}

/* Three columns by hand, as the authors' code has them. */
static void the_small_example_is_exact(void **state)
{
    (void)state;
    static float x[] = {1, .5f, -.25f, 2, 1, .5f, -1, .25f, .75f, .5f, -.5f, 1}, w[] = {.9f, -.42f, .31f, -.6f, .77f, -.14f};
    static const double hessian[] = {3.125, 1, .25, 1, .78125, .03125, .25, .03125, .9375};
    static const double u[3][3] = {{.737129, -.918026, -.163157}, {0, 1.120578, -.03672}, {0, 0, 1.024015}};
    static const uint8_t codes[] = {15, 1, 9, 0, 15, 6};
    nb_context *context = test_context(NULL, 1);
    layer l = {.n_rows = 2, .n_cols = 3, .n_tokens = 4, .w = w, .x = x};
    assert_int_equal(nb_hessian_create(context, 3, &l.h, NULL), NB_OK);
    nb_hessian_add(l.h, x, 4, 3);
    assert_int_equal(nb_hessian_finish(l.h, "layer", &l.hessian, NULL), NB_OK);
    for (size_t i = 0; i < 9; i++)
        assert_true((double)l.hessian[i] == hessian[i]);
    nb_quantizer quantizer;
    nb_packed *packed;
    nb_gptq_result result;
    nb_gptq_solver *solver;
    nb_gptq_options options = {.damp = 0.01};
    assert_int_equal(nb_quantizer_parse("int4 zeropoint/channel, f32 scales", &quantizer, NULL), NB_OK);
    run(context, &l, &quantizer, &options, true, &packed, &result, &solver);
    /* U of the paper is the inverse of R: row i of R times column j of U. */
    for (size_t i = 0; i < 3; i++) {
        assert_true(fabs((double)solver->diagonal[i] * u[i][i] - 1) < 1e-5);
        for (size_t j = i + 1; j < 3; j++) {
            double sum = (double)solver->diagonal[i] * u[i][j];
            for (size_t k = i + 1; k <= j; k++)
                sum += (double)(solver->near[i * NB_GPTQ_STEP + k] * solver->diagonal[k]) * u[k][j];
            assert_true(fabs(sum) < 2e-6);
        }
    }
    assert_true(solver->damp == 0.01);
    check_damping(solver, hessian, .01614583);
    check_first_column(context, &l, &quantizer, &options, u);
    uint8_t got[NB_ROWS * 3], zeros[NB_ROWS];
    float scales[NB_ROWS];
    nb_packed_get_int(packed, 0, got, scales, zeros);
    assert_memory_equal(got, codes, sizeof codes);
    assert_true(fabsf(scales[0] - .088f) < 1e-7f && fabsf(scales[1] - .0913333f) < 1e-7f);
    assert_true(zeros[0] == 5 && zeros[1] == 7);
    assert_true(fabs(result.loss - .00701692) < 1e-8);
    /* The output's squared error, against round to nearest's. */
    const nb_source plain = {.format = &nb_format_f32, .data = w, .n_rows = 2, .n_cols = 3};
    nb_packed *both[2] = {packed, NULL};
    static const double errors[2] = {.02767208, .03066408};
    assert_int_equal(nb_rtn_quantize(context, "layer", &plain, &quantizer, &both[1], NULL, NULL), NB_OK);
    for (size_t i = 0; i < 2; i++) {
        double sum = 0;
        for (size_t r = 0; r < 2; r++) {
            float q[3];
            nb_packed_decode_row(both[i], r, q);
            for (size_t t = 0; t < 4; t++) {
                double e = 0;
                for (size_t k = 0; k < 3; k++)
                    e += (double)x[t * 3 + k] * ((double)q[k] - (double)w[r * 3 + k]);
                sum += e * e;
            }
        }
        assert_true(fabs(sum - errors[i]) < 1e-7);
        nb_packed_destroy(&both[i]);
    }
    nb_gptq_result_free(&result);
    nb_gptq_solver_destroy(&solver);
    options.act_order = true;
    run(context, &l, &quantizer, &options, false, &packed, &result, &solver);
    assert_true(solver->order[0] == 0 && solver->order[1] == 2 && solver->order[2] == 1);
    assert_false(result.reordered); /* one scale a row: codes can stay in their places */
    nb_packed_destroy(&packed);
    nb_gptq_result_free(&result);
    nb_gptq_solver_destroy(&solver);
    nb_hessian_destroy(&l.h);
    nb_context_destroy(&context);
}

static uint64_t hash_of(const nb_packed *packed)
{
    uint64_t hash = 14695981039346656037u;
    float row[512];
    for (size_t r = 0; r < packed->n_rows; r++) {
        nb_packed_decode_row(packed, r, row);
        for (size_t i = 0; i < packed->n_cols * sizeof(float); i++)
            hash = (hash ^ ((const uint8_t *)row)[i]) * 1099511628211u;
    }
    return hash;
}

/* The same bits on every level, for any number of threads, however tokens came. */
static void the_bits_are_the_same_everywhere(void **state)
{
    (void)state;
    const nb_gptq_options options = {.damp = 0.01, .act_order = true};
    nb_quantizer quantizer;
    assert_int_equal(nb_quantizer_parse("int3 zeropoint/group:64", &quantizer, NULL), NB_OK);
    uint64_t expected = 0;
    for (size_t level = 0; level < nb_kernels_count(); level++)
        for (unsigned n_threads = 1; test_level(level) && n_threads <= 3; n_threads += 2) {
            nb_context *context = test_context(test_level(level), n_threads);
            layer l = make_layer(context, 70, 300, 700, 0, 5);
            nb_hessian_destroy(&l.h);
            assert_int_equal(nb_hessian_create(context, l.n_cols, &l.h, NULL), NB_OK);
            const size_t piece = n_threads == 1 ? 700 : 37;
            for (size_t t = 0; t < 700; t += piece)
                nb_hessian_add(l.h, l.x + t * 300, nb_min_size(piece, 700 - t), 300);
            assert_int_equal(nb_hessian_finish(l.h, "layer", &l.hessian, NULL), NB_OK);
            nb_packed *packed;
            nb_gptq_result result;
            nb_gptq_solver *solver;
            run(context, &l, &quantizer, &options, false, &packed, &result, &solver);
            assert_true(result.reordered);
            const uint64_t hash = hash_of(packed);
            assert_true(expected == 0 || hash == expected);
            expected = hash;
            nb_packed_destroy(&packed);
            nb_gptq_result_free(&result);
            nb_gptq_solver_destroy(&solver);
            free_layer(&l);
            nb_context_destroy(&context);
        }
}

/* The sum is what f64 says, both halves, for sizes with tails everywhere. */
static void the_hessian_is_the_mean_of_products(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    static const size_t sizes[][2] = {{1, 1}, {5, 700}, {16, 512}, {100, 513}, {530, 40}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        layer l = make_layer(context, 1, sizes[k][0], sizes[k][1], 0, 3 + k);
        bool *dead = calloc(l.n_cols, sizeof *dead);
        double *h = slow_hessian(&l, 0, dead);
        assert_int_equal(nb_hessian_n_tokens(l.h), sizes[k][1]);
        for (size_t i = 0; i < l.n_cols; i++)
            for (size_t j = 0; j < l.n_cols; j++) {
                const double scale = sqrt(h[i * l.n_cols + i] * h[j * l.n_cols + j]);
                assert_true(fabs((double)l.hessian[i * l.n_cols + j] - h[i * l.n_cols + j]) < 2e-6 * scale);
            }
        free(dead);
        free(h);
        free_layer(&l);
    }
    nb_context_destroy(&context);
}

/* One token says almost nothing: the matrix is singular, and damping alone makes it a layer again. */
static void too_few_tokens_are_damped(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    nb_quantizer quantizer;
    assert_int_equal(nb_quantizer_parse("int4 absmax/group:32", &quantizer, NULL), NB_OK);
    const nb_gptq_options none = {.damp = 0};
    layer l = make_layer(context, 8, 160, 1, 0, 9);
    nb_packed *packed;
    nb_gptq_result result;
    nb_gptq_solver *solver;
    run(context, &l, &quantizer, &none, false, &packed, &result, &solver);
    assert_true(solver->damp > 0 && solver->damp <= 1);
    nb_packed_destroy(&packed);
    nb_gptq_result_free(&result);
    nb_gptq_solver_destroy(&solver);
    free_layer(&l);
    nb_context_destroy(&context);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_quantizer quantizer;
    const nb_gptq_options options = {.damp = 0.01};
    assert_int_equal(nb_quantizer_parse("int4 absmax/group:32", &quantizer, NULL), NB_OK);
    nb_hessian *h;
    const float *sums;
    assert_int_equal(nb_hessian_create(context, 40, &h, NULL), NB_OK);
    assert_int_equal(nb_hessian_finish(h, "blk.0.attn_q", &sums, &error), NB_ERR_ARGUMENT);
    assert_string_equal(error.text, "blk.0.attn_q: no token of the calibration text reached it");
    float x[40] = {0};
    x[3] = NAN;
    nb_hessian_add(h, x, 1, 40);
    assert_int_equal(nb_hessian_finish(h, "blk.0.attn_q", &sums, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "blk.0.attn_q: the mean square of what flows into column 3 is nan"));
    nb_hessian_destroy(&h);
    /* A matrix that is no sum of squares. */
    layer l = make_layer(context, 20, 40, 80, 0, 1);
    float *broken = calloc(40 * 40, sizeof *broken);
    nb_gptq_solver *solver;
    memcpy(broken, l.hessian, 40 * 40 * sizeof *broken);
    broken[7 * 40 + 9] = broken[9 * 40 + 7] = 1e6f;
    assert_int_equal(nb_gptq_solver_create(context, "blk.0.attn_q", broken, 40, 128, &options, &solver, &error),
                     NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "blk.0.attn_q: its Hessian cannot be factored"));
    assert_null(solver);
    broken[0] = INFINITY;
    assert_int_equal(nb_gptq_solver_create(context, "blk.0.attn_q", broken, 40, 128, &options, &solver, &error),
                     NB_ERR_ARGUMENT);
    /* Weights that are not finite, and a wish to stop. */
    nb_packed *packed;
    nb_gptq_result result;
    const nb_gptq_source source = source_of(&l);
    assert_int_equal(nb_gptq_solver_create(context, "x", l.hessian, 40, 128, &options, &solver, &error), NB_OK);
    l.w[5 * 40 + 6] = INFINITY;
    assert_int_equal(nb_gptq_quantize(context, "x", &source, &quantizer, solver, &options, NULL, false, &packed, &result,
                                      &error),
                     NB_ERR_ARGUMENT);
    assert_string_equal(error.text, "x: row 5, column 6 is inf; only finite numbers can be quantized");
    assert_null(packed);
    l.w[5 * 40 + 6] = 0;
    atomic_store(&context->cancel, true);
    assert_int_equal(nb_gptq_quantize(context, "x", &source, &quantizer, solver, &options, NULL, true, &packed, &result,
                                      &error),
                     NB_ERR_CANCELLED);
    assert_null(packed);
    static const char *const others[] = {"f16", "f8_e4m3", "int8 absmax/channel, labonne"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(nb_quantizer_parse(others[i], &quantizer, NULL), NB_OK);
        assert_int_equal(nb_gptq_check(&quantizer, &options, &error), NB_ERR_ARGUMENT);
    }
    nb_gptq_solver_destroy(&solver);
    free(broken);
    free_layer(&l);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hessian_is_the_mean_of_products),
        cmocka_unit_test(the_small_example_is_exact),
        cmocka_unit_test(it_is_the_papers_with_every_option),
        cmocka_unit_test(it_fills_block_formats),
        cmocka_unit_test(the_bits_are_the_same_everywhere),
        cmocka_unit_test(too_few_tokens_are_damped),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
