/* quantize SCOPE with FUNCTION: the learner's quantizer runs the model, and every other command knows it. */
#include "nibble.h"
#include "tests/support/cells.h"
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static const nb_synthetic tiny = {.n_layers = 3,
                                  .n_embd = 64,
                                  .n_heads = 4,
                                  .n_kv_heads = 2,
                                  .n_ff = 96,
                                  .n_vocab = 300,
                                  .n_ctx = 128,
                                  .format = &nb_format_f16,
                                  .seed = 5};

static void load(cells *c)
{
    char cell[600];
    assert_int_equal(nb_synthetic_write(temporary_path("tiny.gguf"), &tiny, &c->error), NB_OK);
    snprintf(cell, sizeof cell, "load '%s'", temporary_path("tiny.gguf"));
    assert_int_equal(cells_run(c, cell), NB_OK);
    assert_int_equal(cells_run(c, "def mine(x)\n  s = max(abs(x)) / 7\n  return round(x / s) * s\nend"),
                     NB_OK);
}

static float *logits_of(cells *c)
{
    int32_t tokens[12];
    test_tokens(c->notebook->model, tokens, 12);
    return test_logits(c->notebook->model, NB_WEIGHTS_CURRENT, tokens, 12);
}

/* A function that computes what absmax computes gives the same weights and, with f32 activations, the same
 * logits. */
static void test_against_built_in(void **state)
{
    cells *c = *state;
    load(c);
    const size_t n = 12 * 300 * sizeof(float);
    says(c, "quantize all absmax --bits 4 --scales f32 --activations f32", "int4 absmax/tensor");
    gives(c, "s = sqnr(blk.2.ffn_down); W = blk.2.ffn_down; shape(W)", "[64, 96]");
    float *built_in = logits_of(c);
    says(c, "quantize all with mine",
         "21 tensors · by mine · simulated, runs as f32 (the size does not change)");
    float *own = logits_of(c);
    gives(c, "all(W == blk.2.ffn_down)", "1");
    gives(c, "sqnr(blk.2.ffn_down) == s +- 1e-9", "1");
    assert_memory_equal(built_in, own, n);
    free(built_in);
    free(own);
}

static void test_life(void **state)
{
    cells *c = *state;
    load(c);
    nb_model *model = c->notebook->model;
    const uint64_t original = test_state(model), n_bytes = nb_model_n_bytes(model);
    says(c, "quantize mlp with mine", "SQNR");
    const uint64_t simulated = test_state(model);
    assert_true(simulated != original);
    assert_int_equal(nb_model_n_bytes(model), n_bytes);
    says(c, "layers blk.0", "simulated");
    gives(c, "format(blk.0.ffn_up)", "\"simulated\"");
    gives(c, "bits(blk.0.ffn_up)", "16");
    gives(c, "all(original(blk.0.ffn_up) == blk.0.ffn_up)", "0");
    says(c, "compare --write 4", "bits a weight");
    says(c, "show blk.0.ffn_up", "simulated");
    says(c, "hist blk.0.ffn_up", "by your function, simulated");
    /* what it is headlined speaks of the function: there are no 32 bits that follow the bell */
    c->screen.picture = NB_PICTURE_ASCII;
    says(c, "hist blk.0.ffn_up", "Your function makes ");
    says(c, "def same(x) = x\nquantize mlp with same\nhist blk.0.ffn_up\nundo", "Your function leaves every weight");
    says(c, "def finer(x) = round(40 * x) / 40\nquantize mlp with finer\nhist blk.0.ffn_up\nundo",
         "Your function follows the bell; simulated");
    c->screen.picture = NB_PICTURE_NONE;
    refuses(c, "transform inject-outliers --channels 64", "simulated by a function");
    assert_true(test_state(model) == simulated);
    /* over it and back */
    says(c, "quantize all absmax --bits 3", "int3");
    says(c, "undo", "quantize all absmax --bits 3");
    assert_true(test_state(model) == simulated);
    says(c, "restore mlp", "as in the file again");
    assert_true(test_state(model) == original);
    says(c, "undo", "restore mlp");
    assert_true(test_state(model) == simulated);
    says(c, "quantize mlp with round; undo", "quantize mlp with round");
    assert_true(test_state(model) == simulated);
    says(c, "undo", "quantize mlp with mine");
    assert_true(test_state(model) == original);
    /* a scale that was found for int4 does not outlive it, either */
    says(c, "quantize mlp absmax --bits 4; quantize mlp with mine; undo; undo", "Taken back");
    assert_true(test_state(model) == original);
}

/* What runs is what is saved, as f32. */
static void test_saving(void **state)
{
    cells *c = *state;
    char cell[600];
    load(c);
    says(c, "quantize mlp with mine; W = blk.1.ffn_up", "by mine");
    float *before = logits_of(c);
    snprintf(cell, sizeof cell, "save '%s'; load '%s'", temporary_path("saved.gguf"),
             temporary_path("saved.gguf"));
    assert_int_equal(cells_run(c, cell), NB_OK);
    float *after = logits_of(c);
    gives(c, "all(W == blk.1.ffn_up)", "1");
    gives(c, "format(blk.1.ffn_up)", "\"f32\"");
    assert_memory_equal(before, after, 12 * 300 * sizeof(float));
    free(before);
    free(after);
}

/* Whatever goes wrong, nothing was changed. */
static void test_refusals(void **state)
{
    cells *c = *state;
    load(c);
    nb_model *model = c->notebook->model;
    says(c, "quantize attention absmax --bits 4", "int4");
    const uint64_t before = test_state(model);
    const size_t depth = nb_model_undo_depth(model);
    static const struct {
        const char *cell, *part;
    } cases[] = {
        {"quantize mlp with mien", "did you mean mine?"},
        {"quantize mlp with", "which function?"},
        {"quantize mlp absmax mine", "does not know what to do with \"mine\""},
        {"quantize mlp with mine --bits 4", "--bits is for the built-in"},
        {"quantize mlp with mine(bits=3)", "def f(x) = mine(x, ...)"},
        {"quantize attenton with mine", "did you mean attention?"},
        {"def bad(x) = x[0]\nquantize mlp with bad",
         "bad(blk.0.ffn_gate) gave an array of 64, and the tensor is 96 x 64"},
        {"def bad(x) = transpose(x)\nquantize mlp with bad",
         "gave a 64 x 96 array, and the tensor is 96 x 64"},
        {"def bad(x) = sum(x)\nquantize mlp with bad", "gave a number"},
        {"def bad(x)\n y = x\nend\nquantize mlp with bad", "gave nothing"},
        {"def bad(x) = x / 0\nquantize mlp with bad", "row 0, column 0 became "},
        {"def bad(x) = x + [1, 2, 3]\nquantize mlp with bad", "blk.0.ffn_gate: add: 96 x 64 and 3"},
        {"def bad(x, y) = x\nquantize mlp with bad", "is called without \"y\""},
        /* fails at the last tensor only: its first number is no other's */
        {"n = 0 * blk.2.ffn_down\ndef bad(x)\n if len(x) == 64\n  return x / n\n end\n return x\nend\n"
         "quantize mlp with bad",
         "blk.0.ffn_down"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refuses(c, cases[i].cell, cases[i].part);
        assert_true(test_state(model) == before);
        assert_int_equal(nb_model_undo_depth(model), depth);
    }
    atomic_store(&c->notebook->context->cancel, true);
    assert_int_equal(cells_run(c, "quantize mlp with mine"), NB_ERR_CANCELLED);
    assert_true(test_state(model) == before);
}

static void test_memory(void **state)
{
    cells *c = *state;
    load(c);
    const uint64_t before = test_state(c->notebook->model);
    static const char cell[] = "quantize blk.0.ffn_up,blk.1.ffn_up with mine";
    long n = 1;
    for (bool more = true; more; n++) {
        nb_memory_fail_after(n);
        const nb_status status = nb_notebook_run(c->notebook, cell, strlen(cell), NULL, NULL, &c->error);
        nb_memory_fail_after(0);
        more = status != NB_OK;
        if (more)
            assert_true(test_state(c->notebook->model) == before);
        assert_true(n < 2000);
    }
    assert_true(test_state(c->notebook->model) != before);
    says(c, "undo", "Taken back");
    assert_true(test_state(c->notebook->model) == before);
}

#define test(f) cmocka_unit_test_setup_teardown(f, cells_open, cells_close)

int main(void)
{
    const struct CMUnitTest tests[] = {test(test_against_built_in), test(test_life), test(test_saving),
                                       test(test_refusals), test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
