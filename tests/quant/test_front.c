/* The Pareto front: what is on it, and that measuring it leaves the model alone. */
#include "quant/front.h"

#include "quant/ladder.h"
#include "tests/support/shapes.h"
#include "tests/support/transforms.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void marks_what_nothing_beats(void **state)
{
    (void)state;
    /*                          bytes, ppl */
    nb_way_cost costs[] = {{.n_bytes = 400, .ppl = 2.0},  /* best */
                           {.n_bytes = 200, .ppl = 2.5},  /* smaller */
                           {.n_bytes = 300, .ppl = 2.5},  /* larger, and no better */
                           {.n_bytes = 200, .ppl = 2.6},  /* as small, but worse */
                           {.n_bytes = 100, .ppl = 9.0},  /* smallest */
                           {.n_bytes = 100, .ppl = 9.0},  /* the same again */
                           {.n_bytes = 50, .ppl = NAN}};
    static const bool on[] = {true, true, false, false, true, true, false};
    nb_front_mark(costs, 7);
    for (size_t i = 0; i < 7; i++)
        if (costs[i].on_front != on[i])
            fail_msg("cost %zu", i);
}

static void take_rung(void *user, const nb_rung *rung)
{
    (void)user, (void)rung;
}

/* Stopped anywhere, in the way back too: the model is as it was, whether on a front or on a ladder. */
static void stopping_leaves_the_model(void **state)
{
    (void)state;
    static const char text[] = "a kite flew over the hill and came back";
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(nb_architecture_find("llama"));
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_error error = {""};
    nb_scope scope;
    nb_quantizer quantizers[64];
    test_quantize(model, "all", "int4 absmax/channel");
    const uint64_t before = test_state(model);
    assert_int_equal(nb_scope_resolve(model, "blk.0", false, &scope, &error), NB_OK);
    for (size_t i = 0; i < scope.count; i++)
        assert_int_equal(nb_quantizer_parse("int2 absmax/channel", &quantizers[i], &error), NB_OK);
    const nb_way way = {.name = "int2", .scope = &scope, .quantizers = quantizers};
    for (int ladder = 0; ladder < 2; ladder++) {
        long n = 1;
        for (nb_status status = NB_ERR_CANCELLED; status != NB_OK; n++) {
            nb_perplexity original = {0};
            nb_way_cost cost;
            test_cancel_after(context, n);
            status = ladder ? nb_ladder_climb(model, &scope, quantizers, 1, text, sizeof text - 1, 0, take_rung, NULL,
                                              &original, &error)
                            : nb_front_measure(model, &way, 1, NULL, text, sizeof text - 1, 0, &original, &cost, &error);
            test_cancel_after(context, 0);
            assert_true(status == NB_OK || status == NB_ERR_CANCELLED);
            assert_true(test_state(model) == before);
            assert_int_equal(nb_model_undo_depth(model), 1);
            nb_perplexity_free(&original);
        }
        assert_true(n > 8);
    }
    nb_scope_free(&scope);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A model that does not compute loses nothing that could be measured. */
static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    static const char text[] = "a kite flew over the hill and came back";
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(nb_architecture_find("llama"));
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_error error = {""};
    nb_perplexity original = {0};
    nb_way_cost cost;
    const nb_way none = {.name = "as it is"};
    test_tensor(model, "blk.0.attn_norm")->vector[1] = NAN;
    assert_int_equal(nb_front_measure(model, &none, 1, NULL, text, sizeof text - 1, 0, &original, &cost, &error),
                     NB_ERR_STATE);
    assert_non_null(strstr(error.text, "does not compute"));
    assert_null(original.losses);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(marks_what_nothing_beats),
                                       cmocka_unit_test(what_is_no_number_is_refused),
                                       cmocka_unit_test(stopping_leaves_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
