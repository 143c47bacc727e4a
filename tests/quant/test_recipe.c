/* Recipes: llama.cpp's choices, layer by layer and by the bits that its documentation prints for Llama 2 7B; a
 * learner's own as text. */
#include "quant/recipe.h"

#include "tests/support/shapes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- mixtures ---- */

static const nb_mixture_case llama_7b = {
    .n_cols = 4096, .n_layers = 32, .n_heads = 32, .n_kv_heads = 32, .architecture = "llama"};

static const char *choice(const char *mixture, nb_mixture_case about, const char *tensor, int layer)
{
    char why[80];
    about.tensor = tensor;
    about.layer = layer;
    return nb_mixture_choose(nb_mixture_find(mixture), &about, why, sizeof why);
}

static void better_layers_of_q4_k_m(void **state)
{
    (void)state;
    static const int of_32[] = {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31},
                     of_22[] = {0, 1, 4, 7, 10, 13, 16, 19, 20, 21}, of_12[] = {0, 3, 6, 9, 10, 11};
    static const struct {
        int n_layers;
        const int *better;
        size_t n;
    } models[] = {{32, of_32, 16}, {22, of_22, 10}, {12, of_12, 6}};
    for (size_t m = 0; m < 3; m++) {
        nb_mixture_case about = llama_7b;
        about.n_layers = models[m].n_layers;
        size_t next = 0;
        for (int layer = 0; layer < about.n_layers; layer++) {
            const bool better = next < models[m].n && models[m].better[next] == layer;
            next += better;
            assert_string_equal(choice("q4_k_m", about, "blk.1.attn_v", layer), better ? "q6_k" : "q4_k");
            assert_string_equal(choice("Q5_K_M", about, "blk.1.ffn_down", layer), better ? "q6_k" : "q5_k");
            assert_string_equal(choice("q4_k_m", about, "blk.1.attn_q", layer), "q4_k");
        }
    }
}

static double bits_of(const char *format)
{
    const nb_quantizer q = {.format = nb_format_find(format)};
    return nb_quantizer_bits_per_weight(&q, 1, 256);
}

static double bits_per_weight_of_8b(const char *mixture, bool guided)
{
    static const struct {
        const char *name;
        size_t n_rows, n_cols;
    } parts[] = {{"blk.0.attn_q", 4096, 4096},    {"blk.0.attn_k", 1024, 4096},   {"blk.0.attn_v", 1024, 4096},
                 {"blk.0.attn_output", 4096, 4096}, {"blk.0.ffn_gate", 14336, 4096}, {"blk.0.ffn_up", 14336, 4096},
                 {"blk.0.ffn_down", 4096, 14336}};
    nb_mixture_case about = llama_7b;
    about.n_kv_heads = 8;
    about.guided = guided;
    const double frame = 128256. * 4096, norms = 65 * 4096;
    double n = 2 * frame + norms, bits = 32 * norms;
    bits += frame * (bits_of(choice(mixture, about, "token_embd", -1)) + bits_of(choice(mixture, about, "output", -1)));
    for (int layer = 0; layer < 32; layer++) {
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            const double weights = (double)parts[i].n_rows * (double)parts[i].n_cols;
            about.n_cols = parts[i].n_cols;
            bits += weights * bits_of(choice(mixture, about, parts[i].name, layer));
            n += weights;
        }
    }
    return bits / n;
}

/* The table for Llama 3.1 8B in llama.cpp's tools/quantize/README.md. */
static void published_bits_per_weight(void **state)
{
    (void)state;
    static const struct {
        const char *mixture;
        double published;
        bool guided;
    } rows[] = {{"iq4_xs", 4.4597, false}, {"iq4_nl", 4.6818, false}, {"q2_k_s", 2.9697, true}, {"q2_k", 3.1593, false},
                {"q3_k_s", 3.6429, false}, {"q3_k_l", 4.2979, false}, {"q4_k_s", 4.6672, false}, {"q4_k_m", 4.8944, false},
                {"q5_k_s", 5.5704, false}, {"q5_k_m", 5.7036, false}, {"q6_k", 6.5633, false},   {"q8_0", 8.5008, false},
                {"f16", 16.0005, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const double ours = bits_per_weight_of_8b(rows[i].mixture, rows[i].guided);
        if (fabs(ours - rows[i].published) > 0.0002)
            fail_msg("%s: %.4f bits a weight, published %.4f", rows[i].mixture, ours, rows[i].published);
    }
}

static void special_cases(void **state)
{
    (void)state;
    nb_mixture_case about = llama_7b;
    assert_null(choice("q4_k_m", about, "blk.0.attn_norm", 0));
    assert_string_equal(choice("q4_k_m", about, "output", -1), "q6_k");
    assert_string_equal(choice("q8_0", about, "output", -1), "q8_0");
    assert_string_equal(choice("f16", about, "output", -1), "f16");
    assert_string_equal(choice("q4_k_m", about, "token_embd", -1), "q4_k");
    assert_string_equal(choice("tq2_0", about, "token_embd", -1), "q4_k");
    assert_string_equal(choice("q4_0", about, "blk.3.ffn_down", 3), "q4_0");
    assert_string_equal(choice("iq4_xs", about, "blk.3.ffn_down", 3), "q5_k");
    about.guided = true;
    assert_string_equal(choice("q4_0", about, "blk.3.ffn_down", 3), "q4_1");
    assert_string_equal(choice("q4_0", about, "blk.4.ffn_down", 4), "q4_0");
    assert_string_equal(choice("iq4_xs", about, "blk.3.ffn_down", 3), "iq4_xs");
    about.tied = true;
    assert_string_equal(choice("q4_k_m", about, "token_embd", -1), "q6_k");
    about.n_kv_heads = 8;
    assert_string_equal(choice("q2_k", about, "blk.9.attn_v", 9), "q4_k");
    assert_string_equal(choice("iq4_nl", about, "blk.9.attn_v", 9), "q5_k");
    about.n_layers = 80;
    assert_string_equal(choice("q3_k_m", about, "blk.9.attn_v", 9), "q5_k");
    about.pure = true;
    assert_string_equal(choice("q4_k_m", about, "token_embd", -1), "q4_k");
}

static void rows_that_no_block_divides(void **state)
{
    (void)state;
    static const struct {
        const char *mixture, *tensor;
        size_t n_cols;
        const char *format;
    } rows[] = {{"q4_k_m", "blk.5.attn_q", 288, "q5_0"}, {"q5_k_s", "blk.5.attn_q", 288, "q5_1"},
                {"q6_k", "blk.5.attn_q", 288, "q8_0"},   {"q2_k", "blk.5.attn_q", 288, "q4_0"},
                {"q3_k_s", "blk.5.attn_q", 288, "q4_0"}, {"iq4_xs", "blk.5.attn_q", 288, "iq4_nl"},
                {"tq1_0", "blk.5.attn_q", 288, "q4_0"},  {"q4_k_m", "output", 288, "q8_0"},
                {"q4_0", "output", 288, "q8_0"},         {"q4_k_m", "blk.5.attn_q", 172, "f16"},
                {"q4_0", "blk.5.attn_q", 172, "f16"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        nb_mixture_case about = llama_7b;
        about.n_cols = rows[i].n_cols;
        assert_string_equal(choice(rows[i].mixture, about, rows[i].tensor, 5), rows[i].format);
    }
}

/* ---- text ---- */

static nb_recipe *parse(const char *text)
{
    nb_recipe *recipe;
    nb_error error;
    if (nb_recipe_parse(text, strlen(text), "r", &recipe, &error) != NB_OK)
        fail_msg("%s", error.text);
    return recipe;
}

static void refuses(const char *text, const char *sentence)
{
    nb_recipe *recipe;
    nb_error error = {0};
    assert_int_not_equal(nb_recipe_parse(text, strlen(text), "r", &recipe, &error), NB_OK);
    assert_null(recipe);
    if (!strstr(error.text, sentence))
        fail_msg("\"%s\" lacks \"%s\"", error.text, sentence);
}

static void text_and_back(void **state)
{
    (void)state;
    static const char text[] = "nibble recipe 1\nstart f16 pure\nblk.0.* int4 absmax/group:32\nmlp bf16\n"
                               "blk.1.ffn_up keep\n";
    nb_recipe *recipe = parse(text);
    assert_int_equal(recipe->n_lines, 3);
    assert_true(recipe->pure && recipe->lines[2].keep);
    char *written = nb_recipe_write(recipe);
    assert_string_equal(written, text);
    free(written);
    nb_recipe_destroy(&recipe);
    recipe = parse("# mine\n\n  nibble recipe 1 # first\r\n\tattention\t f16  \n");
    assert_int_equal(recipe->n_lines, 1);
    assert_string_equal(recipe->lines[0].scope, "attention");
    nb_recipe_destroy(&recipe);
}

static void bad_text(void **state)
{
    (void)state;
    refuses("", "r: a recipe begins with");
    refuses("attention f16\n", "r:1: a recipe begins with");
    refuses("nibble recipe 2\n", "version 2");
    refuses("nibble recipe 1\nattention\n", "r:2: a line is SCOPE QUANTIZER");
    refuses("nibble recipe 1\nattention q4_q\n", "r:2: \"q4_q\"");
    refuses("nibble recipe 1\nattention int4\n", "r:2: \"int4\" is no quantizer");
    refuses("nibble recipe 1\nstart nothing\n", "r:2: no recipe is called \"nothing\"");
    char *long_line = malloc(1001);
    memset(long_line, 'x', 1000);
    long_line[1000] = 0;
    refuses(long_line, "r:1: this is no recipe");
    free(long_line);
}

/* ---- a model ---- */

static void later_lines_win(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &test_shapes[0].shape, &nb_format_f32);
    nb_recipe *recipe = parse("nibble recipe 1\nall int8 absmax/channel\nblk.0.* bf16\nblk.0.attn_q keep\n");
    const size_t n = nb_model_tensor_count(model);
    nb_recipe_choice *choices = calloc(n, sizeof *choices);
    nb_error error;
    assert_int_equal(nb_recipe_plan(recipe, model, false, choices, &error), NB_OK);
    for (size_t i = 0; i < n; i++) {
        const nb_tensor *t = nb_model_tensor(model, i);
        const nb_format *format = choices[i].quantizer.format;
        if (t->is_vector || t->layer < 0 || strcmp(t->name, "blk.0.attn_q") == 0)
            assert_null(format);
        else
            assert_string_equal(format->name, t->layer == 0 ? "bf16" : "int8");
    }
    free(choices);
    nb_recipe_destroy(&recipe);
    recipe = parse("nibble recipe 1\nblk.99.attn_q f16\n");
    choices = calloc(n, sizeof *choices);
    assert_int_not_equal(nb_recipe_plan(recipe, model, false, choices, &error), NB_OK);
    assert_non_null(strstr(error.text, "recipe r: "));
    free(choices);
    nb_recipe_destroy(&recipe);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(better_layers_of_q4_k_m),    cmocka_unit_test(published_bits_per_weight),
        cmocka_unit_test(special_cases),              cmocka_unit_test(rows_that_no_block_divides),
        cmocka_unit_test(text_and_back),              cmocka_unit_test(bad_text),
        cmocka_unit_test(later_lines_win),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
