/* Models of random weights: shapes, bits that a seed decides, and numbers of a sane size. */
#include "files/gguf.h"
#include "tests/support/models.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

static const nb_synthetic small = {.n_layers = 2,
                                   .n_embd = 48,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .n_ff = 88,
                                   .n_vocab = 1200,
                                   .n_ctx = 64,
                                   .tied = true,
                                   .format = &nb_format_f32,
                                   .seed = 3};

static nb_gguf *open(const char *path)
{
    nb_gguf *gguf;
    nb_error error;
    if (nb_gguf_open(path, &gguf, &error) != NB_OK)
        fail_msg("%s", error.text);
    return gguf;
}

static void check_shape(const nb_gguf *g, const char *name, uint64_t cols, uint64_t rows)
{
    const nb_gguf_tensor *t = nb_gguf_find_tensor(g, name);
    if (!t || t->dims[0] != cols || t->dims[1] != rows)
        fail_msg("%s is missing or has another shape", name);
}

static void shapes_and_keys_are_as_asked(void **state)
{
    (void)state;
    nb_synthetic shape = small;
    shape.tied = false;
    shape.rope_factors = true;
    shape.head_size = 16;
    shape.format = &nb_format_bf16;
    nb_gguf *g = open(make_gguf("shapes.gguf", &shape));
    check_shape(g, "token_embd.weight", 48, 1200);
    check_shape(g, "output.weight", 48, 1200);
    check_shape(g, "blk.0.attn_q.weight", 48, 64);
    check_shape(g, "blk.1.attn_k.weight", 48, 32);
    check_shape(g, "blk.1.attn_v.weight", 48, 32);
    check_shape(g, "blk.1.attn_output.weight", 64, 48);
    check_shape(g, "blk.1.ffn_gate.weight", 48, 88);
    check_shape(g, "blk.1.ffn_down.weight", 88, 48);
    check_shape(g, "blk.1.ffn_norm.weight", 48, 1);
    check_shape(g, "rope_freqs.weight", 8, 1);
    assert_int_equal(g->n_tensors, 1 + 2 * 9 + 3);
    assert_string_equal(nb_ggml_type_name(nb_gguf_find_tensor(g, "blk.0.ffn_up.weight")->type), "BF16");
    assert_string_equal(nb_ggml_type_name(nb_gguf_find_tensor(g, "output_norm.weight")->type), "F32");
    uint64_t value;
    assert_true(nb_gguf_u64(g, "llama.attention.head_count_kv", &value) && value == 2);
    assert_true(nb_gguf_u64(g, "llama.attention.key_length", &value) && value == 16);
    assert_true(nb_gguf_u64(g, "llama.context_length", &value) && value == 64);
    nb_gguf_close(&g);
    g = open(make_gguf("shapes.gguf", &small));
    assert_null(nb_gguf_find_tensor(g, "output.weight"));
    assert_null(nb_gguf_find_tensor(g, "rope_freqs.weight"));
    nb_gguf_close(&g);
}

static void the_seed_decides_every_byte(void **state)
{
    (void)state;
    size_t size[3];
    uint8_t *bytes[3];
    nb_synthetic other = small;
    other.seed = 4;
    bytes[0] = read_whole_file(make_gguf("a.gguf", &small), &size[0]);
    bytes[1] = read_whole_file(make_gguf("b.gguf", &small), &size[1]);
    bytes[2] = read_whole_file(make_gguf("c.gguf", &other), &size[2]);
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    assert_int_equal(size[0], size[2]);
    assert_memory_not_equal(bytes[0], bytes[2], size[0]);
    for (int i = 0; i < 3; i++)
        free(bytes[i]);
}

/* Mean 0 and the wished deviation, within five standard errors; for tensors of both ways of drawing. */
static void check_numbers(const nb_gguf *g, const char *name, double deviation)
{
    const nb_gguf_tensor *t = nb_gguf_find_tensor(g, name);
    const size_t n = (size_t)t->n_bytes / 4;
    double sum = 0, squares = 0, fourths = 0;
    for (size_t i = 0; i < n; i++) {
        float x;
        memcpy(&x, g->data + t->offset + 4 * i, 4);
        double z = x / deviation;
        sum += z;
        squares += z * z;
        fourths += z * z * z * z;
    }
    assert_true(fabs(sum / n) < 5 / sqrt(n));
    assert_true(fabs(squares / n - 1) < 5 * sqrt(2.0 / n));
    assert_true(fabs(fourths / n - 3) < 5 * sqrt(96.0 / n)); /* a normal curve's, not a box's (1.8) */
}

static void numbers_are_normal(void **state)
{
    (void)state;
    nb_synthetic shape = small;
    shape.n_vocab = 4000; /* 192000 numbers: drawn from the table */
    nb_gguf *g = open(make_gguf("numbers.gguf", &shape));
    check_numbers(g, "token_embd.weight", 2 / sqrt(48));
    check_numbers(g, "blk.0.ffn_up.weight", 1 / sqrt(48));
    check_numbers(g, "blk.1.ffn_down.weight", 1 / sqrt(88 * 4));
    nb_gguf_close(&g);
}

static void tokens_are_all_different(void **state)
{
    (void)state;
    nb_synthetic shape = small;
    shape.n_vocab = 259 + 27 + 729 + 100;
    nb_gguf *g = open(make_gguf("tokens.gguf", &shape));
    const nb_gguf_value *tokens = nb_gguf_find(g, "tokenizer.ggml.tokens");
    assert_int_equal(tokens->count, shape.n_vocab);
    nb_string *texts = calloc(shape.n_vocab, sizeof *texts);
    assert_non_null(texts);
    assert_true(nb_gguf_array_strings(tokens, texts));
    assert_true(nb_string_equal(texts[3 + 0x20], "<0x20>"));
    assert_true(nb_string_equal(texts[259 + 1], "a"));
    assert_true(nb_string_equal(texts[259 + 27 + 27 + 2], "ab"));
    for (size_t i = 0; i < shape.n_vocab; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(texts[i].n_bytes == texts[j].n_bytes &&
                         memcmp(texts[i].text, texts[j].text, texts[i].n_bytes) == 0);
    free(texts);
    nb_gguf_close(&g);
}

static void known_shapes_have_their_size(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double parameters;
    } known[] = {{"15M", 15.19e6}, {"110M", 109.53e6}, {"1.1B", 1100.05e6}};
    nb_synthetic s;
    for (size_t i = 0; i < 3; i++) {
        assert_true(nb_synthetic_shape(known[i].name, &s));
        double d = s.n_embd, kv = d / s.n_heads * s.n_kv_heads;
        double n = s.n_vocab * d * (s.tied ? 1 : 2) +
                   s.n_layers * (2 * d * d + 2 * kv * d + 3.0 * s.n_ff * d + 2 * d) + d;
        assert_true(fabs(n / known[i].parameters - 1) < 0.001);
    }
    assert_true(nb_synthetic_shape("tiny", &s));
    assert_false(nb_synthetic_shape("7B", &s));
}

static void impossible_shapes_are_refused(void **state)
{
    (void)state;
    size_t before = temporary_count();
    for (int i = 0; i < 7; i++) {
        nb_synthetic s = small;
        nb_error error = {""};
        switch (i) {
        case 0:
            s.n_heads = 0;
            break;
        case 1:
            s.n_kv_heads = 3;
            break;
        case 2:
            s.n_vocab = 258;
            break;
        case 3:
            s.format = &nb_format_f8_e4m3;
            break;
        case 4:
            s.head_size = 7;
            break;
        case 5:
            s.n_layers = 0;
            break;
        default:
            s.n_ff = UINT32_MAX;
            break;
        }
        assert_int_not_equal(nb_synthetic_write(temporary_path("no.gguf"), &s, &error), NB_OK);
        assert_true(strlen(error.text) > 20);
    }
    assert_int_equal(temporary_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_and_keys_are_as_asked), cmocka_unit_test(the_seed_decides_every_byte),
        cmocka_unit_test(numbers_are_normal),           cmocka_unit_test(tokens_are_all_different),
        cmocka_unit_test(known_shapes_have_their_size), cmocka_unit_test(impossible_shapes_are_refused),
    };
    return cmocka_run_group_tests_name("synthetic", tests, NULL, NULL);
}
