/* budget: what it shows and writes, that its recipe comes to what it said, and that the model
 * is left alone. */
#include "nibble.h"
#include "repl/describe.h"
#include "repl/language/quantizer_words.h"
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

/* A budget for these, on 128 tokens of a text; `options` may hold one %s, for `file`. */
static const char *budget(const char *options, const char *file)
{
    static char cell[1600];
    int n = snprintf(cell, sizeof cell, "budget ");
    n += snprintf(cell + n, sizeof cell - (size_t)n, options, file);
    snprintf(cell + n, sizeof cell - (size_t)n, " --tokens 128 --text '%s'", cells_text());
    return cell;
}

/* The number that stands before this. */
static double number_before(const char *text, const char *after)
{
    const char *end = strstr(text, after);
    assert_non_null(end);
    while (end > text && strchr("0123456789.", end[-1]))
        end--;
    return strtod(end, NULL);
}

static double bits_now(const nb_model *model)
{
    uint64_t n_bytes = 0, n_weights = 0;
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const nb_tensor *t = nb_model_tensor(model, i);
        if (t->layer < 0 || t->is_vector)
            continue;
        n_bytes += nb_tensor_n_bytes(t);
        n_weights += nb_tensor_n_weights(t);
    }
    return nb_bits_per_weight(n_bytes, n_weights);
}

static void check_width(const char *text)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n')) {
        size_t columns = 0;
        for (const char *at = line; *at && *at != '\n'; at++)
            columns += ((unsigned char)*at & 0xc0) != 0x80;
        if (columns > 80)
            fail_msg("%zu columns: %.*s", columns, (int)strcspn(line, "\n"), line);
    }
}

/* A row for each kind of matrix with every layer in it once, and bits that the model has when the recipe is
 * applied. */
static void test_recipe(void **state)
{
    static const char *const kinds[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                        "ffn_gate", "ffn_up", "ffn_down"};
    cells *c = *state;
    char cell[1600];
    cells_load_tiny(c);
    nb_model *model = c->notebook->model;
    const uint64_t original = test_state(model);
    says(c, budget("--bpw 4.5 --save '%s'", temporary_path("mine.recipe")), "bits a weight of 4.5");
    const char *shown = nb_draft_text(&c->shown);
    check_width(shown);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        assert_non_null(strstr(shown, kinds[i]));
    assert_null(strstr(shown, "k:")); /* q4_k and the others ask for 256 columns */
    assert_non_null(strstr(shown, "14 tensors in 15 formats, by seen.txt"));
    assert_non_null(strstr(shown, "mine.recipe · 14 tensors."));
    const double promised = number_before(shown, " bits a weight of 4.5");
    assert_true(promised <= 4.5 && promised > 3.5);
    assert_true(test_state(model) == original);
    assert_int_equal(nb_model_undo_depth(model), 0);

    snprintf(cell, sizeof cell, "quantize all '%s'", temporary_path("mine.recipe"));
    says(c, cell, "14 tensors");
    assert_true(fabs(bits_now(model) - promised) <= 0.005001);
    /* The same from a quantized model, which stays so: a budget is about the sources. */
    const uint64_t quantized = test_state(model);
    says(c, budget("all --bpw 4.5 --save '%s'", temporary_path("again.recipe")), "again.recipe");
    assert_true(test_state(model) == quantized);
    nb_mapping *files[2] = {NULL};
    assert_int_equal(nb_mapping_open(temporary_path("mine.recipe"), &files[0], &c->error), NB_OK);
    assert_int_equal(nb_mapping_open(temporary_path("again.recipe"), &files[1], &c->error), NB_OK);
    assert_int_equal(files[0]->size, files[1]->size);
    assert_memory_equal(files[0]->data, files[1]->data, files[0]->size);
    nb_mapping_close(&files[0]);
    nb_mapping_close(&files[1]);
    says(c, "undo", "Taken back");
    assert_true(test_state(model) == original);
}

/* A format may have commas of its own. */
static void test_listed(void **state)
{
    cells *c = *state;
    cells_load_tiny(c);
    says(c, budget("mlp --bpw 16 --of \"nf4 group:64, double, int4 absmax/group:32, f32 activations\"", ""),
         "6 tensors in 2 formats");
    says(c, budget("mlp --bpw 16 --of 'nf4,double'", ""), "nf4 g64, double: 0-1");
    assert_non_null(strstr(nb_draft_text(&c->shown), "--save mine.recipe"));
    refuses(c, budget("mlp --bpw 16 --of 'f32 activations, int4 absmax/group:32'", ""), "f32 activations");
}

/* Fewer tokens than a window are fewer. */
static void test_tokens_asked(void **state)
{
    cells *c = *state;
    char cell[600];
    cells_load_tiny(c);
    snprintf(cell, sizeof cell, "budget mlp --bpw 5 --tokens 20 --text '%s'", cells_text());
    says(c, cell, "by seen.txt, 20 tokens");
    snprintf(cell, sizeof cell, "budget mlp --bpw 5 --tokens 16 --text '%s'", cells_text());
    says(c, cell, "by seen.txt, 16 tokens");
}

/* Its bits and the figure of a single format, and what is outside the blocks. */
static void test_shown(void **state)
{
    cells *c = *state;
    cells_load_tiny(c);
    c->screen.picture = NB_PICTURE_ASCII;
    says(c, budget("mlp --bpw 5 --of 'int4 absmax/group:32'", ""), "Where the bits go: bits a weight");
    assert_non_null(strstr(nb_draft_text(&c->shown), "int4 g32: 0-1"));
    check_width(nb_draft_text(&c->shown));
    says(c, budget("embeddings --bpw 9", ""), "token_embd");
    assert_null(strstr(nb_draft_text(&c->shown), "Where the bits go")); /* no layers, no figure */
    says(c, budget("mlp --bpw 5 --png '%s'", temporary_path("bits.png")), "bits.png");
}

/* What was measured answers the next question, unless something has changed that it came from. */
static void test_kept(void **state)
{
    cells *c = *state;
    static char first[8192];
    cells_load_tiny(c);
    says(c, budget("mlp --bpw 4.5", ""), "formats, by seen.txt");
    assert_null(strstr(nb_draft_text(&c->shown), "as measured before"));
    says(c, budget("mlp --bpw 6", ""), "as measured before");
    const char *shown = nb_draft_text(&c->shown);
    snprintf(first, sizeof first, "%.*s", (int)(strstr(shown, ", everything counted") - shown), shown);
    says(c, "quantize all absmax --bits 4", "int4"); /* a budget is about the sources */
    says(c, budget("mlp --bpw 5", ""), "as measured before");
    says(c, budget("attention --bpw 6", ""), "formats, by seen.txt");
    assert_null(strstr(nb_draft_text(&c->shown), "as measured before"));
    says(c, budget("mlp --bpw 6", ""), first); /* from nothing, and with the model quantized: the same */
    assert_null(strstr(nb_draft_text(&c->shown), "as measured before"));
    static const char *const changes[] = {"transform rotate", "imatrix --text '%s'", "load '%s'"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char cell[600];
        const char *file = i == 1 ? cells_text() : temporary_path("tiny.gguf");
        snprintf(cell, sizeof cell, changes[i], file);
        says(c, cell, "");
        says(c, budget("mlp --bpw 6", ""), "formats, by seen.txt");
        assert_null(strstr(nb_draft_text(&c->shown), "as measured before"));
        says(c, budget("mlp --bpw 6", ""), "as measured before");
    }
    says(c, budget("mlp --bpw 6 --of 'q8_0, int4 absmax/group:32'", ""), "2 formats, by seen.txt");
    assert_null(strstr(nb_draft_text(&c->shown), "as measured before"));
}

/* The number after `column` gaps of two blanks or more from where `row` stands in the text. */
static double number_in_row(const char *text, const char *row, int column)
{
    const char *at = strstr(text, row);
    assert_non_null(at);
    for (int i = 0; i < column; i++) {
        at = strstr(at, "  ");
        assert_non_null(at);
        at += strspn(at, " ");
    }
    return strtod(at, NULL);
}

/* Both views say of single formats what a measurement by itself says; a mixture never loses more. */
static void test_views(void **state)
{
    cells *c = *state;
    static const char OF[] = "mlp --of 'int3 absmax/group:32, int4 absmax/group:32, q8_0'";
    char options[200], number[40];
    cells_load_tiny(c);
    nb_model *model = c->notebook->model;
    nb_quantizer quantizers[3];
    nb_scope scope = {0};
    nb_mapping *text = NULL;
    nb_budget measured;
    double down = 0, all = 0, all3 = 0;
    static const char *const words[3] = {"int3 absmax/group:32", "int4 absmax/group:32", "q8_0"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(nb_quantizer_of_words(words[i], &quantizers[i], &c->error), NB_OK);
    assert_int_equal(nb_scope_resolve(model, "mlp", false, &scope, &c->error), NB_OK);
    assert_int_equal(nb_mapping_open(cells_text(), &text, &c->error), NB_OK);
    assert_int_equal(nb_budget_measure(model, &scope, quantizers, 3, NULL, (const char *)text->data, text->size, 128,
                                       &measured, &c->error),
                     NB_OK);
    for (size_t i = 0; i < measured.n_tensors; i++) {
        const double error = measured.cells[i * 3 + 1].error;
        all += error;
        all3 += measured.cells[i * 3].error;
        down += strstr(nb_model_tensor(model, measured.tensors[i])->name, "ffn_down") ? error : 0;
    }
    snprintf(options, sizeof options, "%s --bpw 5 --show sensitivity", OF);
    says(c, budget(options, ""), "int4 g32 for all, 4.52 bits a weight");
    check_width(nb_draft_text(&c->shown));
    assert_true(fabs(number_in_row(nb_draft_text(&c->shown), "  ffn_down", 2) / down - 1) < 0.006);
    nb_print_general(number, sizeof number, all, 3);
    assert_non_null(strstr(nb_draft_text(&c->shown), number));

    snprintf(options, sizeof options, "%s --show front", OF);
    says(c, budget(options, ""), "as measured before");
    check_width(nb_draft_text(&c->shown));
    const char *row = strstr(nb_draft_text(&c->shown), "      3.52 ");
    assert_non_null(row);
    assert_true(fabs(number_in_row(row, "3.52", 2) / all3 - 1) < 0.006);
    int n_rows = 0;
    for (; strtod(row, NULL) > 0; row = strchr(row, '\n') + 1, n_rows++)
        assert_true(number_in_row(row, "", 3) <= number_in_row(row, "", 6) * 1.001 + 1e-12);
    assert_true(n_rows >= 5);
    assert_true(measured.n_tensors == 6);
    nb_budget_free(&measured);
    nb_mapping_close(&text);
    nb_scope_free(&scope);
}

static void test_refusals(void **state)
{
    cells *c = *state;
    refuses(c, "budget --bpw 4", "load");
    cells_load_tiny(c);
    nb_model *model = c->notebook->model;
    const uint64_t original = test_state(model);
    refuses(c, "budget --bpw 4", "budget --text FILE");
    refuses(c, "budget --bpw 4 --text nowhere.txt", "nowhere.txt");
    refuses(c, "budget mlp", "budget mlp --bpw 4.25");
    refuses(c, "budget mlp --show sensitivity", "budget mlp --bpw 4.25");
    refuses(c, "budget mlp --show front --save mine.recipe", "leave --show front out");
    refuses(c, "budget mlp --show both", "allocation");
    refuses(c, budget("--bpw 1 --show sensitivity", ""), "1 bits a weight are too few");
    refuses(c, budget("--bpw 1", ""), "1 bits for a weight are too few");
    refuses(c, budget("--bpw 4 --of q4_k", ""), "fit the blocks of none of these formats");
    refuses(c, budget("--bpw 4 --of ','", ""), "parted by commas");
    refuses(c, budget("--bpw 4 --of 'q9_k'", ""), "q9_k");
    refuses(c, budget("'' --bpw 4", ""), "name some tensors");
    refuses(c, budget("blk.7 --bpw 4", ""), "the model has 2 blocks");
    refuses(c, budget("output_norm --bpw 4", ""), "is a vector");
    refuses(c, budget("--bpw 8 --save '%s'", temporary_path("mine.gguf")), "ends in .recipe");
    refuses(c, budget("--bpw 8 --save '%s'", temporary_path("nowhere/mine.recipe")), "cannot be written");
    char cell[600];
    snprintf(cell, sizeof cell, "budget --bpw 8 --text '%s'", temporary_file("short.txt", "A fox.", 6));
    refuses(c, cell, "shows too little");
    assert_true(test_state(model) == original);
    assert_int_equal(nb_model_undo_depth(model), 0);
}

/* Ctrl-C at any time: the model, quantized as it is, and no recipe. */
static void test_cancel(void **state)
{
    cells *c = *state;
    cells_load_tiny(c);
    nb_context *context = c->notebook->context;
    nb_model *model = c->notebook->model;
    says(c, "quantize all absmax --bits 3", "int3");
    const uint64_t before = test_state(model);
    const char *const path = temporary_path("cut.recipe");
    const size_t n_files = temporary_count();
    long n = 1;
    for (bool more = true; more; n++) {
        test_cancel_after(context, n);
        const nb_status status = cells_run(c, budget("blk.1 --bpw 4.5 --save '%s'", path));
        test_cancel_after(context, 0);
        more = status != NB_OK;
        assert_true(!more || status == NB_ERR_CANCELLED);
        assert_true(test_state(model) == before);
        assert_int_equal(nb_model_undo_depth(model), 1);
        assert_int_equal(temporary_count(), n_files + (more ? 0 : 1));
    }
    assert_true(n > 40); /* it could be stopped often enough */
}

static void test_completion(void **state)
{
    cells *c = *state;
    completes(c, "bud", "budget");
    completes(c, "budget --bpw 4 --s", "--save --show --svg");
    completes(c, "budget --show ", "allocation front sensitivity");
    completes(c, "budget --t", "--text --tokens");
    completes(c, "budget m", ""); /* no model, no tensors */
    cells_load_tiny(c);
    completes(c, "budget m", "mlp");
    completes(c, "budget all,e", "all,embeddings");
    completes(c, "budget blk.1.ffn_d", "blk.1.ffn_down");
    completes(c, "budget all --bpw ", "");
    says(c, "help budget", "--of \"FORMAT, FORMAT, ...\"");
}

#define test(f) cmocka_unit_test_setup_teardown(f, cells_open, cells_close)

int main(void)
{
    const struct CMUnitTest tests[] = {test(test_recipe),    test(test_listed),   test(test_tokens_asked),
                                       test(test_shown),     test(test_kept),     test(test_views),
                                       test(test_refusals),  test(test_cancel),   test(test_completion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
