/* Scopes: names, globs, ranges, words, and what a miss says. */
#include "tests/support/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static const nb_synthetic tied = {.n_layers = 3,
                                  .n_embd = 16,
                                  .n_heads = 2,
                                  .n_kv_heads = 1,
                                  .n_ff = 24,
                                  .n_vocab = 259,
                                  .n_ctx = 16,
                                  .tied = true,
                                  .seed = 1};

typedef struct fixture {
    nb_context *context;
    nb_model *tied, *untied;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    nb_synthetic untied = tied;
    untied.tied = false;
    f->context = test_context(NULL, 1);
    f->tied = test_model(f->context, &tied, &nb_format_f32);
    f->untied = test_model(f->context, &untied, &nb_format_f16);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    nb_model_destroy(&f->tied);
    nb_model_destroy(&f->untied);
    nb_context_destroy(&f->context);
    free(f);
    return 0;
}

/* The names that a scope finds, joined by spaces. */
static void assert_scope(const nb_model *model, const char *text, bool vectors_too, const char *want)
{
    nb_error error;
    nb_scope scope;
    char got[1024] = "";
    if (nb_scope_resolve(model, text, vectors_too, &scope, &error) != NB_OK)
        fail_msg("%s: %s", text, error.text);
    for (size_t i = 0; i < scope.count; i++) {
        const size_t used = strlen(got);
        snprintf(got + used, sizeof got - used, "%s%s", used ? " " : "",
                 nb_model_tensor(model, scope.tensors[i])->name);
    }
    assert_string_equal(got, want);
    nb_scope_free(&scope);
}

static void test_patterns(void **state)
{
    const fixture *f = *state;
    assert_scope(f->tied, "blk.0.attn_q", false, "blk.0.attn_q");
    assert_scope(f->tied, " blk.0.attn_q.weight ", false, "blk.0.attn_q");
    assert_scope(f->tied, "blk.*.attn_k", false, "blk.0.attn_k blk.1.attn_k blk.2.attn_k");
    assert_scope(f->tied, "blk.1-2.ffn_*", false,
                 "blk.1.ffn_gate blk.1.ffn_up blk.1.ffn_down blk.2.ffn_gate blk.2.ffn_up blk.2.ffn_down");
    assert_scope(f->tied, "blk.1", false,
                 "blk.1.attn_q blk.1.attn_k blk.1.attn_v blk.1.attn_output blk.1.ffn_gate blk.1.ffn_up "
                 "blk.1.ffn_down");
    assert_scope(f->tied, "blk.?.attn_norm", true, "blk.0.attn_norm blk.1.attn_norm blk.2.attn_norm");
    assert_scope(f->tied, "blk.2.ffn_up,blk.0.ffn_up, blk.2.ffn_up", false, "blk.0.ffn_up blk.2.ffn_up");
    assert_scope(f->tied, "*_norm", true,
                 "blk.0.attn_norm blk.0.ffn_norm blk.1.attn_norm blk.1.ffn_norm blk.2.attn_norm "
                 "blk.2.ffn_norm output_norm");
    assert_scope(f->tied, "*down", false, "blk.0.ffn_down blk.1.ffn_down blk.2.ffn_down");
}

static void test_words(void **state)
{
    const fixture *f = *state;
    assert_scope(f->tied, "embeddings", false, "token_embd");
    assert_scope(f->tied, "head", false, "token_embd");
    assert_scope(f->untied, "head", false, "output");
    assert_scope(f->untied, "embeddings,head", false, "token_embd output");
    nb_error error;
    nb_scope attention, mlp, all;
    assert_int_equal(nb_scope_resolve(f->tied, "attention", false, &attention, &error), NB_OK);
    assert_int_equal(nb_scope_resolve(f->tied, "mlp", false, &mlp, &error), NB_OK);
    assert_int_equal(nb_scope_resolve(f->tied, "all", false, &all, &error), NB_OK);
    assert_int_equal(attention.count, 12);
    assert_int_equal(mlp.count, 9);
    assert_int_equal(all.count, 21);
    assert_string_equal(attention.left, "");
    assert_string_equal(all.left, "token_embd (embeddings and head), the norms");
    nb_scope_free(&attention);
    nb_scope_free(&mlp);
    nb_scope_free(&all);
    assert_int_equal(nb_scope_resolve(f->untied, "all", false, &all, &error), NB_OK);
    assert_string_equal(all.left, "token_embd (embeddings), output (head), the norms");
    nb_scope_free(&all);
    assert_int_equal(nb_scope_resolve(f->untied, "all,head", false, &all, &error), NB_OK);
    assert_string_equal(all.left, "token_embd (embeddings), the norms");
    nb_scope_free(&all);
    assert_int_equal(nb_scope_resolve(f->untied, "all", true, &all, &error), NB_OK);
    assert_int_equal(all.count, nb_model_tensor_count(f->untied));
    nb_scope_free(&all);
}

/* A miss says what could have been meant. */
static void test_misses(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"attenton", "did you mean attention?"},
        {"blk.0.atn_q", "did you mean blk.0.attn_q?"},
        {"blk.3", "blk.0 to blk.2"},
        {"blk.7-9.ffn_up", "blk.0 to blk.2"},
        {"blk.2-1", "blk.1-2"},
        {"blk.0.attn_norm", "is a vector"},
        {"output", "did you mean"},
        {"mlp,nothing", "'nothing'"},
        {"", "name some tensors"},
        {"mlp,", "name some tensors"},
        {"blk.", "no tensor matches"},
        {"blk.0-", "no tensor matches"},
        {"blk.99999999999999999999.attn_q", "no tensor matches"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nb_error error = {""};
        nb_scope scope;
        if (nb_scope_resolve(f->tied, cases[i].text, false, &scope, &error) != NB_ERR_ARGUMENT)
            fail_msg("'%s' was found", cases[i].text);
        if (!strstr(error.text, cases[i].expected))
            fail_msg("'%s' says: %s", cases[i].text, error.text);
        assert_null(scope.tensors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_misses),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
