/* Budgets: the solver against every mixture there is, and the errors of a model against its logits. */
#include "quant/budget.h"

#include "base/random.h"
#include "eval/evaluate.h"
#include "tests/support/transforms.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

/* ---- the solver ---- */

enum { TENSORS = 5, CANDIDATES = 4, MIXTURES = 1024 /* CANDIDATES^TENSORS */, TABLES = 400 };

/* Formats of about 2 to 8 bits for tensors of very different sizes; an error falls by 4 for a bit, more or less. */
static void make_table(nb_random *random, nb_budget_cell *cells)
{
    for (size_t i = 0; i < TENSORS; i++) {
        const double size = 100 + 4000 * nb_random_f64(random), minds = exp(3 * nb_random_normal(random));
        for (size_t c = 0; c < CANDIDATES; c++) {
            const double bits = 2 + 1.5 * (double)c + nb_random_f64(random);
            cells[i * CANDIDATES + c] = (nb_budget_cell){
                .n_bytes = (uint64_t)(size * bits),
                .error = nb_random_below(random, 12) == 0 && c > 0 ? NAN
                                                                  : minds * exp2(-2 * bits + nb_random_normal(random)),
            };
        }
    }
}

static bool sum_of(const nb_budget_cell *cells, const size_t *choices, uint64_t budget, double *error)
{
    uint64_t n_bytes = 0;
    *error = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        n_bytes += cells[i * CANDIDATES + choices[i]].n_bytes;
        *error += cells[i * CANDIDATES + choices[i]].error;
    }
    return n_bytes <= budget && !isnan(*error);
}

/* The least error of all mixtures; NaN if none fits. */
static double search(const nb_budget_cell *cells, uint64_t budget)
{
    double least = NAN;
    for (size_t mixture = 0; mixture < MIXTURES; mixture++) {
        size_t choices[TENSORS], rest = mixture;
        double error;
        for (size_t i = 0; i < TENSORS; i++, rest /= CANDIDATES)
            choices[i] = rest % CANDIDATES;
        if (sum_of(cells, choices, budget, &error) && !(error >= least))
            least = error;
    }
    return least;
}

static void test_solver(void **state)
{
    (void)state;
    nb_random random;
    size_t n_best = 0, n_possible = 0;
    nb_random_seed(&random, 11);
    for (size_t t = 0; t < TABLES; t++) {
        nb_budget_cell cells[TENSORS * CANDIDATES];
        size_t choices[TENSORS];
        uint64_t most = 0;
        double error;
        make_table(&random, cells);
        for (size_t i = 0; i < TENSORS; i++)
            most += cells[i * CANDIDATES + CANDIDATES - 1].n_bytes;
        const uint64_t budget = (uint64_t)((0.2 + 0.9 * nb_random_f64(&random)) * (double)most);
        const double least = search(cells, budget);
        assert_int_equal(nb_budget_choose(cells, TENSORS, CANDIDATES, budget, choices), !isnan(least));
        if (isnan(least))
            continue;
        assert_true(sum_of(cells, choices, budget, &error));
        n_possible++;
        n_best += error <= least * (1 + 1e-12);
        if (error > 1.5 * least)
            fail_msg("table %zu: %g, and %g is possible", t, error, least);
    }
    assert_true(n_possible > TABLES / 2 && n_possible < TABLES);
    if (n_best < n_possible * 97 / 100)
        fail_msg("%zu of %zu are the best", n_best, n_possible);
}

/* Just enough for the smallest cells, and one byte less. */
static void test_smallest(void **state)
{
    (void)state;
    static const nb_budget_cell cells[] = {{10, 5}, {20, 1}, {30, NAN}, {15, NAN}, {25, 2}, {40, 0}};
    size_t choices[2];
    assert_false(nb_budget_choose(cells, 2, 3, 34, choices));
    assert_true(nb_budget_choose(cells, 2, 3, 35, choices));
    assert_int_equal(choices[0], 0);
    assert_int_equal(choices[1], 1);
    assert_true(nb_budget_choose(cells, 2, 3, 1000, choices));
    assert_int_equal(choices[0], 1);
    assert_int_equal(choices[1], 2);
    static const nb_budget_cell none[] = {{10, NAN}, {20, NAN}};
    assert_false(nb_budget_choose(none, 1, 2, 1000, choices));
}

/* ---- a model ---- */

static const char *const formats[] = {"int2 absmax/group:32", "int4 absmax/group:32", "q4_k", "int8 absmax/group:32",
                                      "f32"};
enum { FORMATS = sizeof formats / sizeof *formats };
/* No window of one token ends it: perplexity scores that, and a budget passes it over. */
enum { N_BYTES = TEST_TEXT_BYTES - 8 };

static void read_formats(nb_quantizer *out)
{
    nb_error error = {""};
    for (size_t i = 0; i < FORMATS; i++)
        if (nb_quantizer_parse(formats[i], &out[i], &error) != NB_OK)
            fail_msg("%s", error.text);
}

static nb_status try_measure(nb_model *model, const char *scope_text, size_t n_bytes, nb_budget *budget, nb_error *error)
{
    nb_quantizer quantizers[FORMATS];
    nb_scope scope;
    read_formats(quantizers);
    assert_int_equal(nb_scope_resolve(model, scope_text, false, &scope, error), NB_OK);
    const nb_status status =
        nb_budget_measure(model, &scope, quantizers, FORMATS, NULL, test_text(), n_bytes, 0, budget, error);
    nb_scope_free(&scope);
    return status;
}

static nb_model *make_model(nb_context *context)
{
    nb_synthetic shape = test_shape_of(nb_architecture_find("llama"));
    return test_model(context, &shape, &nb_format_f32);
}

/* What nb_compare says of one tensor stored so, which is another program for the same number. */
static double divergence_of(nb_model *model, const nb_tensor *tensor, const char *format)
{
    nb_error error = {""};
    nb_comparison comparison;
    test_quantize(model, tensor->name, format);
    if (nb_compare(model, test_text(), N_BYTES, 0, &comparison, &error) != NB_OK)
        fail_msg("%s", error.text);
    const double kl = comparison.kl_mean;
    nb_comparison_free(&comparison);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    return kl;
}

/* In the middling format a tensor's error is its divergence by definition; the others follow the block's output. What is
 * exact costs nothing, what does not fit is marked, and more bits lose less. */
static void test_errors(void **state)
{
    nb_model *model = make_model(*state);
    nb_budget budget;
    nb_error error = {""};
    if (try_measure(model, "all,embeddings", N_BYTES, &budget, &error) != NB_OK)
        fail_msg("%s", error.text);
    assert_int_equal(budget.n_tensors, 15);
    for (size_t i = 0; i < budget.n_tensors; i++) {
        const nb_tensor *t = nb_model_tensor(model, budget.tensors[i]);
        const nb_budget_cell *cells = budget.cells + i * FORMATS;
        assert_true(cells[0].error > cells[1].error && cells[1].error > cells[3].error && cells[3].error > 0);
        assert_true(isnan(cells[2].error)); /* 48 and 80 columns */
        assert_true(cells[4].error == 0);
        assert_int_equal(cells[4].n_bytes, nb_tensor_n_bytes(t));
        const double kl = divergence_of(model, t, formats[1]);
        if (fabs(cells[1].error - kl) > 1e-6 * kl)
            fail_msg("%s: %g, compare says %g", t->name, cells[1].error, kl);
    }
    nb_budget_free(&budget);
    nb_model_destroy(&model);
}

/* Small errors add up to what the mixture loses. */
static void test_sum(void **state)
{
    nb_model *model = make_model(*state);
    nb_budget budget;
    nb_error error = {""};
    nb_comparison comparison;
    size_t choices[32];
    assert_int_equal(try_measure(model, "all", N_BYTES, &budget, &error), NB_OK);
    assert_int_equal(nb_budget_solve(&budget, 7, choices, &error), NB_OK);
    const nb_budget_cell total = nb_budget_total(&budget, choices);
    assert_true((double)total.n_bytes * 8 <= 7 * (double)budget.n_weights);
    assert_true((double)total.n_bytes * 8 > 6 * (double)budget.n_weights);
    for (size_t i = 0; i < budget.n_tensors; i++)
        test_quantize(model, nb_model_tensor(model, budget.tensors[i])->name, formats[choices[i]]);
    assert_int_equal(nb_compare(model, test_text(), N_BYTES, 0, &comparison, &error), NB_OK);
    if (total.error < 0.6 * comparison.kl_mean || total.error > 1.6 * comparison.kl_mean)
        fail_msg("expected %g, is %g", total.error, comparison.kl_mean);
    nb_comparison_free(&comparison);
    nb_budget_free(&budget);
    nb_model_destroy(&model);
}

static nb_status measure_again(nb_model *model, void *user, nb_error *error)
{
    (void)user;
    nb_budget budget;
    const nb_status status = try_measure(model, "mlp", 200, &budget, error);
    assert_true((budget.cells == NULL) == (status != NB_OK));
    nb_budget_free(&budget);
    return status;
}

/* A quantized model is measured from its sources, and stays as it was; so does one whose text is too short,
 * or whose measuring is cancelled. */
static void test_left_alone(void **state)
{
    nb_context *context = *state;
    nb_model *model = make_model(context);
    nb_budget clean, budget;
    nb_error error = {""};
    assert_int_equal(try_measure(model, "mlp", N_BYTES, &clean, &error), NB_OK);
    test_quantize(model, "all", "int3 absmax/tensor");
    test_quantize(model, "blk.1", "int4 zeropoint/channel");
    const uint64_t before = test_state(model);
    assert_int_equal(try_measure(model, "mlp", N_BYTES, &budget, &error), NB_OK);
    for (size_t i = 0; i < clean.n_tensors * FORMATS; i++)
        assert_true(clean.cells[i].error == budget.cells[i].error || isnan(clean.cells[i].error));
    nb_budget_free(&budget);
    assert_true(test_state(model) == before);
    assert_int_equal(try_measure(model, "mlp", 8, &budget, &error), NB_ERR_ARGUMENT);
    assert_null(budget.cells);
    float *norm = test_tensor(model, "blk.1.attn_norm")->vector, kept = norm[2];
    norm[2] = NAN; /* nothing would cost anything, and the smallest win */
    assert_int_equal(try_measure(model, "mlp", N_BYTES, &budget, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "no finite number"));
    norm[2] = kept;
    assert_true(test_cancel_everywhere(model, measure_again, NULL, 3, 0) > 10);
    assert_int_equal(nb_model_undo_depth(model), 2);
    assert_true(test_state(model) == before);
    nb_budget_free(&clean);
    nb_model_destroy(&model);
}

static void test_refusals(void **state)
{
    nb_model *model = make_model(*state);
    nb_budget budget;
    nb_error error = {""};
    nb_quantizer q4_k;
    nb_scope scope;
    size_t choices[32];
    assert_int_equal(try_measure(model, "all", N_BYTES, &budget, &error), NB_OK);
    assert_int_equal(nb_budget_solve(&budget, 2.25, choices, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "2.25 bits for a weight are too few"));
    const char *fewest = strstr(error.text, "scales: ");
    assert_non_null(fewest);
    assert_int_equal(nb_budget_solve(&budget, strtod(fewest + 8, NULL), choices, &error), NB_OK);
    assert_int_equal(nb_budget_solve(&budget, NAN, choices, &error), NB_ERR_ARGUMENT);
    nb_budget_free(&budget);
    assert_int_equal(nb_quantizer_parse("q4_k", &q4_k, &error), NB_OK);
    assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
    assert_int_equal(
        nb_budget_measure(model, &scope, &q4_k, 1, NULL, test_text(), N_BYTES, 0, &budget, &error),
        NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "fit the blocks of none of these formats"));
    nb_scope_free(&scope);
    nb_model_destroy(&model);
}

static int open_context(void **state)
{
    *state = test_context(NULL, 2);
    return 0;
}

static int close_context(void **state)
{
    nb_context *context = *state;
    nb_context_destroy(&context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solver),     cmocka_unit_test(test_smallest), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_sum),        cmocka_unit_test(test_left_alone), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
