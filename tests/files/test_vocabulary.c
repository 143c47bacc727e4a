/* Tokenizers from GGUF keys and from tokenizer.bin, and back into GGUF. */
#include "files/vocabulary.h"
#include "tests/support/models.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

static void says(const nb_error *error, const char *words)
{
    if (!strstr(error->text, words))
        fail_msg("\"%s\" does not say \"%s\"", error->text, words);
}

static void same_string(nb_string a, nb_string b)
{
    assert_int_equal(a.n_bytes, b.n_bytes);
    assert_memory_equal(a.text, b.text, a.n_bytes);
}

static void same_vocabulary(const nb_vocabulary *a, const nb_vocabulary *b)
{
    assert_string_equal(a->model, b->model);
    assert_int_equal(a->n_tokens, b->n_tokens);
    for (size_t i = 0; i < a->n_tokens; i++) {
        same_string(a->texts[i], b->texts[i]);
        assert_true(!a->scores || a->scores[i] == b->scores[i]);
        assert_true(!a->types || a->types[i] == b->types[i]);
    }
    assert_int_equal(a->n_merges, b->n_merges);
    for (size_t i = 0; i < a->n_merges; i++)
        same_string(a->merges[i], b->merges[i]);
    assert_true(a->bos == b->bos && a->eos == b->eos && a->eot == b->eot && a->unknown == b->unknown);
    assert_true(a->add_bos == b->add_bos && a->add_eos == b->add_eos &&
                a->add_space_prefix == b->add_space_prefix);
    same_string(a->chat_template, b->chat_template);
}

/* Writes the tokenizer into a GGUF, and reads that. */
static nb_tokenizer *through_gguf(const nb_tokenizer *tokenizer)
{
    nb_gguf_writer *writer;
    nb_gguf *gguf;
    nb_tokenizer *back;
    nb_error error = {""};
    const char *path = temporary_path("tokenizer.gguf");
    assert_int_equal(nb_gguf_writer_create(path, &writer, &error), NB_OK);
    assert_int_equal(nb_tokenizer_write_gguf(tokenizer, writer, &error), NB_OK);
    assert_int_equal(nb_gguf_writer_commit(&writer, &error), NB_OK);
    assert_int_equal(nb_gguf_open(path, &gguf, &error), NB_OK);
    if (nb_tokenizer_from_gguf(gguf, &back, &error) != NB_OK)
        fail_msg("%s", error.text);
    nb_gguf_close(&gguf);
    assert_non_null(back);
    return back;
}

static void tokenizer_bin_is_read(void **state)
{
    (void)state;
    enum { N = 259 + 27 + 30 };
    size_t size;
    uint8_t *file = make_tokenizer_bin(N, &size);
    nb_tokenizer *tokenizer, *back;
    nb_error error;
    assert_int_equal(nb_tokenizer_from_llama2c(temporary_file("tok.bin", file, size), N, &tokenizer, &error),
                     NB_OK);
    free(file);
    const nb_vocabulary *v = nb_tokenizer_vocabulary(tokenizer);
    assert_string_equal(v->model, "llama");
    assert_int_equal(v->n_tokens, N);
    assert_true(nb_string_equal(v->texts[0], "<unk>") && v->types[0] == NB_TOKEN_UNKNOWN);
    assert_true(nb_string_equal(v->texts[1], "<s>") && v->types[1] == NB_TOKEN_CONTROL);
    assert_true(nb_string_equal(v->texts[2], "</s>") && v->types[2] == NB_TOKEN_CONTROL);
    assert_true(nb_string_equal(v->texts[3 + 10], "<0x0A>") && v->types[3 + 10] == NB_TOKEN_BYTE);
    assert_true(nb_string_equal(v->texts[259], "\xe2\x96\x81") && v->types[259] == NB_TOKEN_NORMAL);
    assert_true(nb_string_equal(v->texts[259 + 27 + 1], "\xe2\x96\x81"
                                                        "a"));
    assert_true(v->scores[259 + 27 + 1] == -28.0f);
    assert_true(v->bos == 1 && v->eos == 2 && v->add_bos && v->add_space_prefix && !v->add_eos);
    back = through_gguf(tokenizer);
    same_vocabulary(v, nb_tokenizer_vocabulary(back));
    nb_tokenizer_destroy(&back);
    nb_tokenizer_destroy(&tokenizer);
}

static nb_status from_memory(const void *data, size_t size, size_t n_tokens, nb_error *error)
{
    nb_tokenizer *tokenizer = NULL;
    void *exact = malloc(size + 1);
    assert_non_null(exact);
    memcpy(exact, data, size);
    nb_status status = nb_tokenizer_from_llama2c_memory(exact, size, "tok.bin", n_tokens, &tokenizer, error);
    assert_true((status == NB_OK) == (tokenizer != NULL));
    nb_tokenizer_destroy(&tokenizer);
    free(exact);
    return status;
}

static void wrong_tokenizer_bins_are_refused(void **state)
{
    (void)state;
    enum { N = 259 + 3 };
    size_t size;
    nb_error error = {""};
    uint8_t *file = make_tokenizer_bin(N, &size);
    assert_int_equal(from_memory(file, size, N, &error), NB_OK);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(from_memory(file, cut, N, &error), NB_ERR_FILE);
        says(&error, "tok.bin");
    }
    assert_int_equal(from_memory(file, size, N - 1, &error), NB_ERR_FILE);
    says(&error, "another model's tokenizer");
    assert_int_equal(from_memory(file, size, N + 1, &error), NB_ERR_FILE);
    says(&error, "ends after 262 of 263 tokens");
    assert_int_equal(from_memory(file, size, 0, &error), NB_ERR_FILE);
    assert_int_equal(from_memory(file, size, SIZE_MAX, &error), NB_ERR_FILE);
    memset(file + 8, 0xff, 4); /* the length of token 0 */
    assert_int_equal(from_memory(file, size, N, &error), NB_ERR_FILE);
    says(&error, "claims 4294967295 bytes");
    free(file);
    file = make_tokenizer_bin(N, &size);
    float nan = NAN;
    memcpy(file + 4, &nan, 4);
    assert_int_equal(from_memory(file, size, N, &error), NB_ERR_FILE);
    says(&error, "score of token 0");
    free(file);
}

/* ---- GGUF keys ---- */

/* A small byte-level BPE: the 256 letters of its alphabet are not needed to make one. */
static const nb_string bpe_texts[] = {{"a", 1}, {"b", 1}, {"ab", 2}, {"c", 1}, {"abc", 3}, {"<|end|>", 7}};
static const nb_string bpe_merges[] = {{"a b", 3}, {"ab c", 4}};
static const int32_t bpe_types[] = {1, 1, 1, 1, 1, 3};

static nb_gguf_writer *begin(const char *name)
{
    nb_gguf_writer *writer;
    assert_int_equal(nb_gguf_writer_create(temporary_path(name), &writer, NULL), NB_OK);
    return writer;
}

static void add_bpe(nb_gguf_writer *w)
{
    assert_int_equal(nb_gguf_add_string(w, "tokenizer.ggml.model", "gpt2", NULL), NB_OK);
    assert_int_equal(nb_gguf_add_string(w, "tokenizer.ggml.pre", "gpt-2", NULL), NB_OK);
    assert_int_equal(nb_gguf_add_string_array(w, "tokenizer.ggml.tokens", bpe_texts, 6, NULL), NB_OK);
    assert_int_equal(nb_gguf_add_i32_array(w, "tokenizer.ggml.token_type", bpe_types, 6, NULL), NB_OK);
    assert_int_equal(nb_gguf_add_string_array(w, "tokenizer.ggml.merges", bpe_merges, 2, NULL), NB_OK);
    assert_int_equal(nb_gguf_add_string(w, "tokenizer.chat_template", "{{ '<|im_start|>' }}", NULL), NB_OK);
    assert_int_equal(nb_gguf_add_u32(w, "tokenizer.ggml.bos_token_id", 5, NULL), NB_OK);
    assert_int_equal(nb_gguf_add_u32(w, "tokenizer.ggml.eos_token_id", 5, NULL), NB_OK);
}

static nb_status finish(nb_gguf_writer *w, const char *name, nb_tokenizer **out, nb_error *error)
{
    nb_gguf *gguf;
    assert_int_equal(nb_gguf_writer_commit(&w, NULL), NB_OK);
    assert_int_equal(nb_gguf_open(temporary_path(name), &gguf, NULL), NB_OK);
    nb_status status = nb_tokenizer_from_gguf(gguf, out, error);
    nb_gguf_close(&gguf);
    return status;
}

static void byte_level_keys_are_read(void **state)
{
    (void)state;
    nb_tokenizer *tokenizer;
    nb_error error = {""};
    nb_gguf_writer *w = begin("bpe.gguf");
    add_bpe(w);
    nb_status status = finish(w, "bpe.gguf", &tokenizer, &error);
#ifdef NB_HAVE_PCRE2
    assert_int_equal(status, NB_OK);
    const nb_vocabulary *v = nb_tokenizer_vocabulary(tokenizer);
    assert_string_equal(v->model, "gpt2");
    assert_string_equal(v->pre, "gpt-2");
    assert_int_equal(v->n_merges, 2);
    same_string(v->merges[1], bpe_merges[1]);
    assert_int_equal(v->types[5], NB_TOKEN_CONTROL);
    same_string(v->chat_template, nb_string_of("{{ '<|im_start|>' }}"));
    assert_true(v->bos == 5 && v->eos == 5 && v->unknown == -1 && !v->add_bos && !v->add_space_prefix);
    nb_tokenizer *back = through_gguf(tokenizer);
    same_vocabulary(v, nb_tokenizer_vocabulary(back));
    nb_tokenizer_destroy(&back);
    nb_tokenizer_destroy(&tokenizer);
#else
    assert_int_equal(status, NB_ERR_UNSUPPORTED);
#endif
}

static void a_file_may_have_no_tokenizer(void **state)
{
    (void)state;
    nb_tokenizer *tokenizer;
    nb_error error;
    nb_gguf_writer *w = begin("none.gguf");
    assert_int_equal(finish(w, "none.gguf", &tokenizer, &error), NB_OK);
    assert_null(tokenizer);
    w = begin("none.gguf");
    assert_int_equal(nb_gguf_add_string(w, "tokenizer.ggml.model", "none", NULL), NB_OK);
    assert_int_equal(finish(w, "none.gguf", &tokenizer, &error), NB_OK);
    assert_null(tokenizer);
}

/* One key of a good tokenizer is replaced by a wrong one. */
static void wrong_keys_are_refused(void **state)
{
    (void)state;
    static const char *const words[] = {
        "no array of strings", "another length",   "no number",        "does not have", "no token",
        "true nor false",      "array of numbers", "missing or empty", "is no text",    "xlnet"};
    static const float scores[] = {0, 0, NAN, 0, 0, 0};
    static const int32_t types[] = {1, 1, 7, 1, 1, 1};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        nb_tokenizer *tokenizer = NULL;
        nb_error error = {""};
        nb_gguf_writer *w = begin("wrong.gguf");
        add_bpe(w);
        switch (i) {
        case 0:
            nb_gguf_add_u32(w, "tokenizer.ggml.tokens", 1, NULL);
            break;
        case 1:
            nb_gguf_add_i32_array(w, "tokenizer.ggml.token_type", bpe_types, 5, NULL);
            break;
        case 2:
            nb_gguf_add_f32_array(w, "tokenizer.ggml.scores", scores, 6, NULL);
            break;
        case 3:
            nb_gguf_add_i32_array(w, "tokenizer.ggml.token_type", types, 6, NULL);
            break;
        case 4:
            nb_gguf_add_f32(w, "tokenizer.ggml.bos_token_id", 0.5f, NULL);
            break;
        case 5:
            nb_gguf_add_u32(w, "tokenizer.ggml.add_bos_token", 1, NULL);
            break;
        case 6:
            nb_gguf_add_string_array(w, "tokenizer.ggml.scores", bpe_texts, 6, NULL);
            break;
        case 7:
            nb_gguf_add_string_array(w, "tokenizer.ggml.tokens", NULL, 0, NULL);
            break;
        case 8:
            nb_gguf_add_u32(w, "tokenizer.ggml.model", 1, NULL);
            break;
        default:
            nb_gguf_add_string(w, "tokenizer.ggml.model", "xlnet", NULL);
            break;
        }
        assert_int_not_equal(finish(w, "wrong.gguf", &tokenizer, &error), NB_OK);
        assert_null(tokenizer);
        says(&error, words[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokenizer_bin_is_read),    cmocka_unit_test(wrong_tokenizer_bins_are_refused),
        cmocka_unit_test(byte_level_keys_are_read), cmocka_unit_test(a_file_may_have_no_tokenizer),
        cmocka_unit_test(wrong_keys_are_refused),
    };
    return cmocka_run_group_tests_name("vocabulary", tests, NULL, NULL);
}
