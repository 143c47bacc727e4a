/* Functions of the language: every row of the table, then results beside numpy's (1.24) or worked out by
 * hand. */
#include "nibble.h"
#include "repl/language/functions.h"
#include "tests/support/cells.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
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
    static const char text[] =
        "Once upon a time there was a kite that flew over the hill, and a dog that ran after it.";
    assert_int_equal(nb_synthetic_write(temporary_path("tiny.gguf"), &tiny, &c->error), NB_OK);
    temporary_file("text.txt", text, sizeof text - 1);
    snprintf(cell, sizeof cell, "load '%s'", temporary_path("tiny.gguf"));
    assert_int_equal(cells_run(c, cell), NB_OK);
    snprintf(cell, sizeof cell, "set text '%s'", temporary_path("text.txt"));
    assert_int_equal(cells_run(c, cell), NB_OK);
}

/* ---- rows ---- */

/* Every row can be helped with, its example runs, and gives what the row says. */
static void test_rows(void **state)
{
    cells *c = *state;
    char folder[512];
    load(c);
    snprintf(folder, sizeof folder, "%s", temporary_path("x"));
    *strrchr(folder, '/') = '\0';
    c->notebook->confined = true; /* examples write there */
    c->notebook->folder = folder;
    for (size_t i = 0; i < nb_function_count(); i++) {
        const nb_function_row *row = nb_function_at(i);
        nb_parameter parameter;
        char cell[300];
        assert_true(row->name && row->group && row->usage && row->summary && row->example && row->run);
        assert_int_equal(strncmp(row->usage, row->name, strlen(row->name)), 0);
        assert_int_equal(row->usage[strlen(row->name)], '(');
        assert_true(nb_function_parameter(row, 0, &parameter));
        assert_true(strlen(row->summary) <= 78);
        assert_ptr_equal(nb_function_find(row->name), row);
        snprintf(cell, sizeof cell, "?%s", row->name);
        says(c, cell, row->usage);
        says(c, "help functions", row->name);
        assert_int_equal(cells_run(c, row->example), NB_OK);
        if (!row->gives)
            continue;
        /* as a list is, rows of a matrix are written on one line in help */
        char shown[300] = "";
        for (const char *from = nb_draft_text(&c->value); *from && strlen(shown) + 1 < sizeof shown; from++)
            strncat(shown, *from == '\n' ? "" : from, 1);
        if (strcmp(shown, row->gives) != 0)
            print_error("%s gives %s, not %s\n", row->example, shown, row->gives);
        assert_string_equal(shown, row->gives);
    }
}

static void test_parameters(void **state)
{
    (void)state;
    nb_parameter parameter;
    const nb_function_row *sum = nb_function_find("sum"), *concat = nb_function_find("concat");
    assert_true(nb_function_parameter(sum, 1, &parameter));
    assert_string_equal(parameter.name, "axis");
    assert_true(parameter.optional && !parameter.several);
    assert_false(nb_function_parameter(sum, 3, &parameter));
    assert_true(nb_function_parameter(concat, 1, &parameter));
    assert_string_equal(parameter.name, "b");
    assert_true(parameter.several && !parameter.optional);
    assert_true(nb_function_parameter(concat, 2, &parameter));
    assert_string_equal(parameter.name, "axis");
}

static void test_arguments(void **state)
{
    cells *c = *state;
    refuses(c, "clamp([1, 2])", "clamp wants low: clamp(x, low, high)");
    refuses(c, "clamp(1, 2, 3, 4)", "takes 3 arguments at most, not 4");
    refuses(c, "sum([1], axes=0)", "did you mean axis?");
    refuses(c, "sum([1], x=[2])", "x is given twice");
    refuses(c, "sum(\"a\")", "sum: x is a number or an array, not text");
    refuses(c, "sum([1], axis=0.5)", "axis is a whole number");
    refuses(c, "sum([1], axis=2)", "axes 0 to 0");
    refuses(c, "zeros(-1)", "a length is a whole number");
    refuses(c, "randn(3, seed=-1)", "seed is a whole number from 0");
    refuses(c, "cast([1], \"f61\")", "did you mean f16?");
    refuses(c, "cast([1], \"q4_0\")", "quantized(x, \"q4_0\")");
    refuses(c, "quantized([1, 2], \"int5 absmx/tensor\")", "absmx");
    refuses(c, "ppl()", "ppl needs a model");
    refuses(c, "original(blk.0.attn_q)", "needs a model");
    refuses(c, "reshape(range(6), 4)", "4");
    refuses(c, "concat([1], \"a\")", "joins arrays and numbers");
    load(c);
    refuses(c, "original(blk.0.atn_q)", "did you mean blk.0.attn_q?");
    refuses(c, "blk.0.atn_q", "did you mean blk.0.attn_q?");
    refuses(c, "blk.9.nothing_like_it", "layers lists them");
    refuses(c, "bits(attenton)", "did you mean attention?");
    refuses(c, "original([1, 2])", "takes the name of a tensor, and this is an array of 2");
    refuses(c, "original([1, 2])", "Name the tensor itself: original(blk.0.attn_q)");
    refuses(c, "original(3)", "takes the name of a tensor, not a number");
    refuses(c, "activations(blk.0.attn_norm)", "is a vector");
    refuses(c, "activations(token_embd, \"Once\", tokens=0)", "tokens is a whole number");
}

/* ---- results ---- */

/* x = np.array([[3, -1, 4], [1, -5, 9]], dtype=np.float32) */
static void test_reductions(void **state)
{
    cells *c = *state;
    cells_run(c, "x = [[3, -1, 4], [1, -5, 9]]");
    gives(c, "sum(x)", "11");
    gives(c, "sum(x, axis=0)", "[4, -6, 13]");
    gives(c, "sum(x, axis=-1)", "[6, 5]");
    gives(c, "sum(x, axis=1, keep=1)", "[[6],\n [5]]");
    gives(c, "mean(x)", "1.8333333");
    gives(c, "std(x)", "4.3365373");
    gives(c, "var(x, axis=0)", "[1, 4, 6.25]");
    gives(c, "max(abs(x), axis=1)", "[4, 9]");
    gives(c, "max(x, 2)", "[[3, 2, 4],\n [2, 2, 9]]");
    gives(c, "min(x, [0, 1, 2])", "[[ 0, -1,  2],\n [ 0, -5,  2]]");
    gives(c, "quantile(x, 0.3)", "0");
    gives(c, "median(x, axis=0)", "[2, -3, 6.5]");
    gives(c, "norm(x)", "11.532563");
    gives(c, "argmax(x)", "5");
    gives(c, "argmin(x, axis=1)", "[1, 1]");
    gives(c, "any(x > 8) + 2 * all(x > 0)", "1");
    gives(c, "count(x < 0)", "2");
    gives(c, "prod(x, axis=1)", "[-12, -45]");
    gives(c, "max(3, 4)", "4");
    gives(c, "max(3)", "3");
    gives(c, "round(2.345, 2)",
          "2.35"); /* 234.5 is 234.49999999999997 or 234.5: numpy says 2.35 too, by the same way */
    gives(c, "round([1234, 1250], -2)", "[1200, 1200]");
    gives(c, "softmax([1, 2, 3])", "[0.09003057, 0.24472848, 0.66524094]");
}

static void test_making(void **state)
{
    cells *c = *state;
    gives(c, "range(2, 5)", "[2, 3, 4]");
    gives(c, "range(5, 0, -2)", "[5, 3, 1]");
    gives(c, "zeros([2, 3])", "[[0, 0, 0],\n [0, 0, 0]]");
    gives(c, "all(randn(5, seed=3) == randn(5, seed=3))", "1");
    gives(c, "seed(3); a = randn(2); b = randn(3); all(concat(a, b) == randn(5, seed=3))", "1");
    gives(c, "x = randn(100000, seed=1); abs(mean(x)) < 0.01 and abs(std(x) - 1) < 0.01", "1");
    gives(c, "unique([3, 1, 2, 3, 1])", "[1, 2, 3]");
    gives(c, "transpose(reshape(range(6), 2, 3))", "[[0, 3],\n [1, 4],\n [2, 5]]");
    gives(c, "concat([[1, 2]], [[3, 4]], axis=1)", "[[1, 2, 3, 4]]");
    gives(c, "counts, edges = histogram([0, 1, 1, 2, 5], 5, low=0, high=5); counts", "[1, 2, 1, 0, 1]");
    gives(c, "shape(5)", "[]");
}

/* Errors and formats: by their definitions. */
static void test_trade(void **state)
{
    cells *c = *state;
    gives(c, "sqnr([3, 4], [3, 4.5])", "20"); /* 10 log10(25 / 0.25) */
    gives(c, "cast([0.1, 1, 65504], \"f16\")", "[9.9975586e-02, 1.0000000e+00, 6.5504000e+04]");
    gives(c, "digits(cast(0.1, \"f16\"), 17)", "\"0.0999755859375\"");
    gives(c, "codes([1, -2, 4], \"int8 absmax/tensor, f32 scales\")", "[32, -64, 127]");
    gives(c, "scales([1, -2, 4], \"int8 absmax/tensor, f32 scales\") == 4 / 127 +- 1e-9", "1");
    gives(c, "codes([-1, 0, 3], \"int8 zeropoint/tensor\")",
          "[-128, -64, 127]"); /* s = 4 / 255, z = -128 + 63.75 */
    gives(c, "zero_points([-1, 0, 3], \"int8 zeropoint/tensor\")", "-64");
    gives(c, "shape(scales(ones(4, 64), \"int4 absmax/group:32\"))", "[4, 2]");
    refuses(c, "codes([1, 2], \"f16\")", "int formats");
    /* its words in any order, and what goes unsaid */
    gives(c, "codes([1, -2, 4], \"f32 scales, absmax/tensor int8\")", "[32, -64, 127]");
    gives(c, "codes([1, -2, 4], \"absmax, f32 scales\")", "[32, -64, 127]");
    gives(c, "all(codes([1, -2, 4], \"int4 labonne zeropoint f32 activations\") == codes([1, -2, 4], "
             "\"int4 zeropoint/tensor, f32 activations, labonne\"))",
          "1");
    gives(c, "shape(scales(ones(4, 64), \"absmax group:32 int4\"))", "[4, 2]");
    gives(c, "all(quantized([1, 2.5], \"f32\") == [1, 2.5])", "1");
    gives(c, "x = randn(64, seed=4)\nall(quantized(x, \"nf4 group:64\") == quantized(x, \"nf4\"))", "1");
    refuses(c, "codes([1, 2], \"int4 int8 absmax\")", "no quantizer");
    refuses(c, "codes([1, 2], \"int4 absmax channel tensor\")", "no quantizer");
    refuses(c, "codes([1, 2], \"int4 absmax/group:x\")", "no quantizer");
    refuses(c, "codes([1, 2], \"q4_0 absmax\")", "absmax");
    refuses(c, "codes([1, 2], \"\")", "format");
    refuses(c, "codes([1, 2], \"scales\")", "format");
    refuses(c, "mse([1, 2], [1, 2, 3])", "not 2 and 3");
    /* the formula of absmax is the built-in quantizer, bit for bit */
    gives(c,
          "def absmax(x, bits)\n  s = max(abs(x)) / (2^(bits - 1) - 1)\n  return round(x / s) * s\nend\n"
          "x = randn(32, 64, seed=4)\nall(absmax(x, 8) == quantized(x, \"int8 absmax/tensor, f32 scales\"))",
          "1");
    gives(c, "all(absmax(x, 3) == quantized(x, \"int3 absmax/tensor, f32 scales\"))", "1");
    gives(c,
          "def zeropoint(x, bits)\n  s = (max(max(x), 0) - min(min(x), 0)) / (2^bits - 1)\n"
          "  z = round(-2^(bits - 1) - min(min(x), 0) / s)\n"
          "  q = clamp(round(x / s) + z, -2^(bits - 1), 2^(bits - 1) - 1)\n  return (q - z) * s\nend\n"
          "all(zeropoint(x, 4) == quantized(x, \"int4 zeropoint/tensor, f32 scales\"))",
          "1");
}

/* ---- the model ---- */

static void test_model(void **state)
{
    cells *c = *state;
    load(c);
    const nb_tensor *tensor =
        nb_model_tensor(c->notebook->model, (size_t)nb_model_find_tensor(c->notebook->model, "blk.1.attn_q"));
    float row[64];
    nb_value value;
    nb_tensor_source_row(tensor, 7, row);
    assert_int_equal(nb_language_evaluate(c->notebook->language, "blk.1.attn_q[7]", &value, &c->error),
                     NB_OK);
    assert_memory_equal(value.array->data, row, sizeof row);
    nb_value_release(&value);
    says(c, "blk.1.attn_q", "f16 tensor, 64 x 64, from ");
    says(c, "W = blk.1.attn_q.weight", "f16 tensor, 64 x 64, from ");
    gives(c, "shape(W)", "[64, 64]");
    gives(c, "shape(blk.1.attn_norm)", "[64]");
    gives(c, "format(blk.1.attn_q)", "\"f16\"");
    gives(c, "bits(blk.1.attn_q)", "16");
    gives(c, "bytes(blk.1.attn_q)", "8192");
    gives(c, "bytes() > bytes(mlp)", "1");
    /* a scope is what quantize takes: all leaves the embeddings and norms out, which a name still finds */
    gives(c, "bytes(all) == bytes(attention) + bytes(mlp) and bytes(all) < bytes()", "1");
    gives(c, "bytes(\"blk.1\") == bytes(\"blk.1.attn_*, blk.1.ffn_*\") and bits(\"blk.1\") == 16", "1");
    gives(c, "bytes(blk.1.attn_norm) == 4 * size(blk.1.attn_norm)", "1");
    gives(c, "sqnr(blk.1.attn_q)", "inf");
    gives(c, "n = 0; for t in tensors(attention); n += size(tensor(t)); end; n",
          "36864"); /* 3 (2 64 64 + 2 32 64) */
    says(c, "quantize blk.1.attn_q absmax --bits 4 --per channel", "int4");
    gives(c, "format(blk.1.attn_q)", "\"int4 absmax/channel\"");
    gives(c, "all(original(blk.1.attn_q) == W)", "1");
    gives(c, "all(blk.1.attn_q == quantized(W, format(blk.1.attn_q)))", "1");
    gives(c, "sqnr(blk.1.attn_q) == sqnr(W, blk.1.attn_q) +- 1e-9", "1");
    gives(c, "bits(blk.1.attn_q)", "4.28125"); /* a 16-bit scale for each row of 64; 16 zero points for all */
    /* a command's number goes on: ppl as a command and as a function */
    says(c, "ppl", "perplexity of text.txt");
    gives(c, "_ == ppl()", "1");
    says(c, "compare --write 2", "perplexity");
    gives(c, "_ == ppl() +- 1e-9", "1");
    gives(c, "t = \"blk.1.attn_q\"; bits(t)", "4.28125");
}

static void test_files(void **state)
{
    cells *c = *state;
    char cell[700];
    snprintf(cell, sizeof cell, "x = randn(3, 4, seed=1); save_npy('%s', x); y = load_npy('%s'); all(x == y)",
             temporary_path("x.npy"), temporary_path("x.npy"));
    gives(c, cell, "1");
    gives(c, "shape(y)", "[3, 4]");
    refuses(c, "load_npy(\"/nowhere/x.npy\")", "/nowhere/x.npy");
    refuses(c, "load_npy(3)", "file is text in quotes");
    snprintf(cell, sizeof cell, "load_npy('%s')", temporary_file("bad.npy", "nothing of the kind", 19));
    refuses(c, cell, "bad.npy");
    c->notebook->confined = true;
    c->notebook->folder = "/tmp";
    refuses(c, "save_npy(\"../x.npy\", x)", "its own folder");
}

/* What flows into the first matrices is the normalized embedding: checked against the
 * definition of RMSNorm. */
static void test_activations(void **state)
{
    cells *c = *state;
    load(c);
    gives(c, "x = activations(blk.0.attn_q, \"Once upon a time\"); shape(x)[1]", "64");
    gives(c, "len(x) == len(tokens(\"Once upon a time\"))", "1");
    cells_run(c, "e = token_embd[tokens(\"Once upon a time\")]");
    gives(c, "n = e / sqrt(mean(e^2, axis=1, keep=1) + 1e-5) * blk.0.attn_norm; max_error(n, x) < 1e-5", "1");
    gives(c, "shape(activations(blk.2.ffn_down, tokens=5))", "[5, 96]");
    gives(c, "shape(logits(\"Once\"))", "[300]");
    /* the head's rows times what flows into it are the logits */
    gives(c,
          "h = activations(output, \"Once upon a time\"); l = output @ h[-1]; "
          "max_error(l, logits(\"Once upon a time\")) < 1e-4",
          "1");
}

/* ---- the Tab key ---- */

static void test_completion(void **state)
{
    cells *c = *state;
    load(c);
    cells_run(c, "def mine(x) = x\nmine_too = 3");
    completes(c, "x = max", "max( max_error(");
    completes(c, "clam", "clamp(");
    completes(c, "x = mine", "mine mine_too");
    completes(c, "min", "mine mine_too");
    completes(c, "quantize mlp wi", "with");
    completes(c, "quantize mlp with mi", "mine");
    completes(c, "mean(blk.1.attn_",
              "blk.1.attn_k blk.1.attn_norm blk.1.attn_output blk.1.attn_q blk.1.attn_v");
    completes(c, "W = blk.", "blk.0. blk.1. blk.2.");
    completes(c, "x = [1,\n 2]; y = cla", "clamp(");
    completes(c, "?clam", "clamp");
    completes(c, "help func", "functions");
    completes(c, "x = \"cla", "");
}

#define test(f) cmocka_unit_test_setup_teardown(f, cells_open, cells_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_rows),        cmocka_unit_test(test_parameters),
        test(test_arguments),   test(test_reductions),
        test(test_making),      test(test_trade),
        test(test_model),       test(test_files),
        test(test_activations), test(test_completion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
