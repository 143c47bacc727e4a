/* The fingerprint is one number on every level and thread count: the numeric contract in sixteen digits. */
#include "tests/support/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static void assert_fingerprint(const char *level, unsigned n_threads, const char *want)
{
    nb_error error;
    char got[17];
    nb_context *context = test_context(level, n_threads);
    if (nb_fingerprint(context, got, &error) != NB_OK)
        fail_msg("%s", error.text);
    assert_string_equal(got, want);
    nb_context_destroy(&context);
}

/* If this one changes, numbers that lessons print have changed: say so where versions are described. */
static void test_the_number(void **state)
{
    (void)state;
    assert_fingerprint("scalar", 1, "da6f3597e28f3b83");
}

static void test_every_level_and_thread_count(void **state)
{
    (void)state;
    char want[17];
    nb_error error;
    nb_context *context = test_context("scalar", 1);
    assert_int_equal(nb_fingerprint(context, want, &error), NB_OK);
    nb_context_destroy(&context);
    for (size_t i = 0; i < nb_kernels_count(); i++)
        for (unsigned n_threads = 1; test_level(i) && n_threads <= 3; n_threads++)
            assert_fingerprint(test_level(i), n_threads, want);
}

static void silence(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    (void)what;
    (void)done;
    (void)total;
    (void)unit;
    *(bool *)user = true;
}

static void test_it_leaves_the_context_alone(void **state)
{
    (void)state;
    nb_error error;
    char text[17];
    bool told = false;
    nb_context *context = test_context(NULL, 2);
    context->progress = silence;
    context->progress_user = &told;
    assert_int_equal(nb_fingerprint(context, text, &error), NB_OK);
    assert_false(told);
    assert_true(context->progress == silence);
    nb_context_destroy(&context);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    for (long n = 1; n < 60; n++) {
        nb_error error = {""};
        char text[17];
        nb_memory_fail_after(n);
        const nb_status status = nb_fingerprint(context, text, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_ERR_MEMORY);
        assert_string_not_equal(error.text, "");
    }
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_number),
        cmocka_unit_test(test_every_level_and_thread_count),
        cmocka_unit_test(test_it_leaves_the_context_alone),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
