/* The context: levels by option and by environment, refusals, ticks. */
#include "base/context.h"

#include "base/cpu.h"
#include "base/memory.h"
#include "kernels/kernels.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int forget_environment(void **state)
{
    (void)state;
    unsetenv("NIBBLE_ISA");
    unsetenv("NIBBLE_VERIFY");
    return 0;
}

static void the_best_level_by_default(void **state)
{
    (void)state;
    nb_context *context;
    assert_int_equal(nb_context_create(NULL, &context, NULL), NB_OK);
    assert_ptr_equal(context->kernels, nb_kernels_best());
    assert_int_equal(nb_pool_size(context->pool), nb_cpu_count());
    assert_false(context->verify);
    nb_context_destroy(&context);
    assert_null(context);
    nb_context_destroy(&context); /* again: nothing happens */
}

static void levels_by_option_and_environment(void **state)
{
    (void)state;
    nb_context *context;
    setenv("NIBBLE_ISA", "scalar", 1);
    assert_int_equal(nb_context_create(NULL, &context, NULL), NB_OK);
    assert_string_equal(context->kernels->name, "scalar");
    nb_context_destroy(&context);

    const nb_context_options best = {.n_threads = 3,
                                     .level = nb_kernels_best()->name}; /* the option goes first */
    assert_int_equal(nb_context_create(&best, &context, NULL), NB_OK);
    assert_ptr_equal(context->kernels, nb_kernels_best());
    assert_int_equal(nb_pool_size(context->pool), 3);
    nb_context_destroy(&context);

    setenv("NIBBLE_ISA", "", 1);
    assert_int_equal(nb_context_create(NULL, &context, NULL), NB_OK);
    assert_ptr_equal(context->kernels, nb_kernels_best());
    nb_context_destroy(&context);
}

static void unknown_levels_are_refused(void **state)
{
    (void)state;
    nb_context *context;
    nb_error error;
    setenv("NIBBLE_ISA", "mmx", 1);
    assert_int_equal(nb_context_create(NULL, &context, &error), NB_ERR_ARGUMENT);
    assert_null(context);
    assert_non_null(strstr(error.text, "NIBBLE_ISA"));
    assert_non_null(strstr(error.text, "'mmx'"));
    assert_non_null(strstr(error.text, "scalar")); /* what there is */
    const nb_context_options options = {.level = "sse9"};
    assert_int_equal(nb_context_create(&options, &context, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "'sse9'"));
}

/* NIBBLE_VERIFY=1 leaves results as they are, and ends a program whose kernel differs from the definition. */
static void add_wrongly(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = y[i];
}

static void verifying_catches_a_broken_kernel(void **state)
{
    (void)state;
    setenv("NIBBLE_VERIFY", "1", 1);
    nb_context *context;
    assert_int_equal(nb_context_create(NULL, &context, NULL), NB_OK);
    assert_true(context->verify);
    assert_string_equal(context->kernels->name, nb_kernels_best()->name);
    float x[] = {1, 2, 3};
    const float y[] = {10, 20, 30};
    context->kernels->add(x, y, 3);
    assert_true(x[0] == 11 && x[1] == 22 && x[2] == 33);
    if (nb_kernels_best() == nb_kernels_at(0))
        skip(); /* the definition is equal to itself */
    const pid_t child = fork();
    if (child == 0) {
        ((nb_kernels *)nb_kernels_best())->add = add_wrongly; /* tables are filled at run time, so writable */
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        signal(SIGABRT, SIG_DFL);
        context->kernels->add(x, y, 3);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    nb_context_destroy(&context);
}

/* A level that the build knows and the CPU lacks is not run. */
static void absent_levels_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < nb_kernels_count(); i++) {
        const nb_kernels *k = nb_kernels_at(i);
        const bool absent = (k->needs & ~nb_cpu_features()) != 0;
        const nb_context_options options = {.n_threads = 1, .level = k->name};
        nb_context *context;
        nb_error error;
        assert_int_equal(nb_context_create(&options, &context, &error), absent ? NB_ERR_ARGUMENT : NB_OK);
        if (absent)
            assert_non_null(strstr(error.text, "CPU lacks"));
        nb_context_destroy(&context);
    }
}

static void short_memory_is_said(void **state)
{
    (void)state;
    const nb_context_options options = {.n_threads = 2};
    nb_status status = NB_ERR_MEMORY;
    for (long n = 1; status != NB_OK; n++) {
        nb_context *context;
        nb_error error = {""};
        nb_memory_fail_after(n);
        status = nb_context_create(&options, &context, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || (status == NB_ERR_MEMORY && error.text[0] && !context));
        nb_context_destroy(&context);
        assert_true(n < 100);
    }
}

static void note_progress(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    assert_string_equal(what, "loading");
    assert_string_equal(unit, "bytes");
    assert_int_equal(total, 10);
    *(uint64_t *)user = done;
}

static void ticks_report_and_stop_once(void **state)
{
    (void)state;
    nb_context *context;
    assert_int_equal(nb_context_create(NULL, &context, NULL), NB_OK);
    uint64_t seen = 0;
    assert_int_equal(nb_context_tick(context, "loading", 1, 10, "bytes", NULL), NB_OK);
    context->progress = note_progress;
    context->progress_user = &seen;
    assert_int_equal(nb_context_tick(context, "loading", 7, 10, "bytes", NULL), NB_OK);
    assert_int_equal(seen, 7);
    nb_error error = {""};
    atomic_store(&context->cancel, true);
    assert_int_equal(nb_context_tick(context, "loading", 8, 10, "bytes", &error), NB_ERR_CANCELLED);
    assert_true(error.text[0]);
    assert_int_equal(nb_context_tick(context, "loading", 9, 10, "bytes", &error), NB_OK);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_best_level_by_default, forget_environment),
        cmocka_unit_test_setup(levels_by_option_and_environment, forget_environment),
        cmocka_unit_test_setup(unknown_levels_are_refused, forget_environment),
        cmocka_unit_test_setup(absent_levels_are_refused, forget_environment),
        cmocka_unit_test_setup(verifying_catches_a_broken_kernel, forget_environment),
        cmocka_unit_test_setup(short_memory_is_said, forget_environment),
        cmocka_unit_test_setup(ticks_report_and_stop_once, forget_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
