/* Loading: a llama2.c model and the GGUF of the same weights give the same bits; what is wrong is said. */
#include "base/memory.h"
#include "files/llama2c.h"
#include "files/load.h"
#include "files/vocabulary.h"
#include "quant/quantize.h"
#include "tests/support/files.h"
#include "tests/support/models.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

enum { VOCAB = 270 };
static const llama2c_shape shape = {24, 36, 2, 6, 3, VOCAB, 40};
static const char *write_tokenizer(const char *name, size_t n_tokens)
{
    size_t size;
    uint8_t *bytes = make_tokenizer_bin(n_tokens, &size);
    const char *path = temporary_file(name, bytes, size);
    free(bytes);
    return path;
}

static const char *write_llama2c(const char *name, const llama2c_shape *s)
{
    size_t size;
    uint8_t *bytes = make_llama2c(s, 7, &size);
    const char *path = temporary_file(name, bytes, size);
    free(bytes);
    return path;
}

static uint64_t logits_digest(nb_model *model)
{
    static const int32_t tokens[] = {1, 260, 13, 99, 261, 7};
    const uint32_t n_vocab = nb_model_hparams(model)->n_vocab;
    nb_session *session;
    nb_error error = {""};
    const float *logits;
    if (nb_session_create(model, NB_WEIGHTS_CURRENT, 16, &session, &error) != NB_OK ||
        nb_session_eval(session, tokens, 6, NB_LOGITS_ALL, &logits, &error) != NB_OK)
        fail_msg("%s", error.text);
    uint64_t digest = 0;
    for (size_t i = 0; i < 6 * (size_t)n_vocab; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], 4);
        digest = (digest ^ bits) * 0x100000001b3u + (digest >> 29);
    }
    nb_session_destroy(&session);
    return digest;
}

/* ---- llama2.c ---- */

static void llama2c_finds_its_tokenizer(void **state)
{
    (void)state;
    const char *model_path = write_llama2c("story.bin", &shape);
    load_is_refused(model_path, NB_ERR_FILE, "--tokenizer FILE");
    const char *right = write_tokenizer("right.bin", VOCAB);
    nb_model *model = load_file(model_path, right);
    assert_string_equal(nb_model_name(model), "story");
    assert_string_equal(nb_model_path(model), model_path);
    assert_int_equal(nb_tokenizer_size(nb_model_tokenizer(model)), VOCAB);
    nb_model_destroy(&model);
    const char *general = write_tokenizer("tokenizer.bin", VOCAB);
    model = load_file(model_path, NULL);
    nb_model_destroy(&model);
    write_tokenizer("tokenizer.bin", VOCAB + 1); /* another model's: refused, unless tok270.bin is there */
    load_is_refused(general, NB_ERR_FILE, "not a model that nibble knows");
    nb_error error;
    assert_int_equal(nb_model_load(file_context, model_path, NULL, &model, &error), NB_ERR_FILE);
    assert_non_null(strstr(error.text, "tokenizer.bin"));
    const char *exact = write_tokenizer("tok270.bin", VOCAB);
    model = load_file(model_path, NULL);
    nb_model_destroy(&model);
    unlink(general);
    unlink(exact);
}

static void llama2c_tensors_have_gguf_names(void **state)
{
    (void)state;
    const llama2c_shape separate = {24, 36, 2, 6, 3, -VOCAB, 40};
    nb_model *model = load_file(write_llama2c("m.bin", &separate), write_tokenizer("t.bin", VOCAB));
    const nb_hparams *h = nb_model_hparams(model);
    assert_true(h->n_embd == 24 && h->n_ff == 36 && h->n_layers == 2 && h->n_heads == 6 &&
                h->n_kv_heads == 3 && h->head_size == 4 && h->n_rot == 4 && h->n_vocab == VOCAB &&
                h->n_ctx == 40 && !h->tied);
    assert_true(h->norm_eps == 1e-5f && h->rope_base == 10000.0 && h->rope_scale == 1.0);
    assert_int_equal(nb_model_tensor_count(model), 1 + 2 * 9 + 2);
    const nb_tensor *q = nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "blk.1.attn_k"));
    assert_true(q->n_rows == 12 && q->n_cols == 24 && q->layer == 1 && q->role == NB_ROLE_ATTENTION);
    /* Its first number follows, in the file: embeddings, norms, wq of both layers, wk of the first. */
    size_t at = 28 + 4 * (VOCAB * 24 + 2 * 24 + 2 * 24 * 24 + 12 * 24), size;
    uint8_t *file = read_whole_file(nb_model_path(model), &size);
    float row[24];
    nb_tensor_source_row(q, 0, row);
    assert_memory_equal(row, file + at, sizeof row);
    nb_tensor_current_row(q, 0, row);
    assert_memory_equal(row, file + at, sizeof row);
    free(file);
    assert_int_equal(nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "output"))->role,
                     NB_ROLE_HEAD);
    nb_model_destroy(&model);
}

/* ---- GGUF ---- */

/* The same weights written tensor by tensor under GGUF's names, with keys in other integer widths. */
static const char *convert(const char *llama2c_path, const char *name)
{
    static const char *const names[] = {"attn_norm", "attn_q",   "attn_k",   "attn_v", "attn_output",
                                        "ffn_norm",  "ffn_gate", "ffn_down", "ffn_up"};
    nb_llama2c *m;
    nb_gguf_writer *w;
    nb_tokenizer *tokenizer;
    assert_int_equal(nb_llama2c_open(llama2c_path, &m, NULL), NB_OK);
    assert_int_equal(nb_tokenizer_from_llama2c(write_tokenizer("t.bin", VOCAB), VOCAB, &tokenizer, NULL),
                     NB_OK);
    const uint64_t d = m->dim, ff = m->hidden_dim, kv = d / m->n_heads * m->n_kv_heads;
    const float *const data[] = {m->attn_norm, m->wq,      m->wk,      m->wv,   m->wo,
                                 m->ffn_norm,  m->w1_gate, m->w2_down, m->w3_up};
    const uint64_t dims[][2] = {{d, 1}, {d, d}, {d, kv}, {d, kv}, {d, d}, {d, 1}, {d, ff}, {ff, d}, {d, ff}};
    const char *path = temporary_path(name);
    assert_int_equal(nb_gguf_writer_create(path, &w, NULL), NB_OK);
    nb_gguf_add_string(w, "general.architecture", "llama", NULL);
    nb_gguf_add_string(w, "general.name", "converted", NULL);
    nb_gguf_add_u64(w, "llama.block_count", m->n_layers, NULL);
    nb_gguf_add_u32(w, "llama.embedding_length", m->dim, NULL);
    nb_gguf_add_u32(w, "llama.feed_forward_length", m->hidden_dim, NULL);
    nb_gguf_add_i32_array(w, "llama.attention.head_count", (int32_t[]){6, 6}, 2, NULL);
    nb_gguf_add_u64(w, "llama.attention.head_count_kv", m->n_kv_heads, NULL);
    nb_gguf_add_u32(w, "llama.context_length", m->seq_len, NULL);
    nb_gguf_add_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f, NULL);
    nb_tokenizer_write_gguf(tokenizer, w, NULL);
    nb_gguf_add_tensor(w, "token_embd.weight", 2, (uint64_t[]){d, VOCAB}, 0, NULL);
    nb_gguf_add_tensor(w, "output_norm.weight", 1, (uint64_t[]){d}, 0, NULL);
    for (uint32_t layer = 0; layer < m->n_layers; layer++)
        for (int i = 0; i < 9; i++) {
            char full[64];
            snprintf(full, sizeof full, "blk.%u.%s.weight", layer, names[i]);
            assert_int_equal(nb_gguf_add_tensor(w, full, dims[i][1] == 1 ? 1 : 2, dims[i], 0, NULL), NB_OK);
        }
    nb_gguf_write_data(w, m->token_embd, VOCAB * d * 4, NULL);
    nb_gguf_write_data(w, m->output_norm, d * 4, NULL);
    for (uint32_t layer = 0; layer < m->n_layers; layer++)
        for (int i = 0; i < 9; i++) {
            uint64_t n = dims[i][0] * dims[i][1];
            assert_int_equal(nb_gguf_write_data(w, data[i] + layer * n, n * 4, NULL), NB_OK);
        }
    assert_int_equal(nb_gguf_writer_commit(&w, NULL), NB_OK);
    nb_tokenizer_destroy(&tokenizer);
    nb_llama2c_close(&m);
    return path;
}

static void gguf_of_the_same_weights_gives_the_same_logits(void **state)
{
    (void)state;
    const char *path = write_llama2c("m.bin", &shape);
    nb_model *a = load_file(path, write_tokenizer("t.bin", VOCAB)),
             *b = load_file(convert(path, "m.gguf"), NULL);
    assert_string_equal(nb_model_name(b), "converted");
    assert_true(nb_model_hparams(b)->tied);
    assert_int_equal(nb_model_n_parameters(a), nb_model_n_parameters(b));
    assert_int_equal(logits_digest(a), logits_digest(b));
    nb_model_destroy(&a);
    nb_model_destroy(&b);
}

/* Copies a GGUF, with one thing about it changed. */
typedef struct change {
    const char *skip_tensor, *rename_from, *rename_to;
    const char *retype;
    uint32_t type;
    const char *transpose;
    const char *u32_key, *string_key, *string_value;
    uint32_t u32_value;
    const char *skip_key;
} change;

static bool is(nb_string name, const char *wanted)
{
    return wanted && nb_string_equal(name, wanted);
}

static void copy_tensor(nb_gguf_writer *w, const nb_gguf_tensor *t, const change *c)
{
    char name[80];
    uint64_t dims[2] = {t->dims[0], t->dims[1]};
    uint32_t n_dims = t->n_dims;
    if (is(t->name, c->transpose)) {
        dims[0] = t->dims[1];
        dims[1] = t->dims[0];
        n_dims = 2;
    }
    nb_string_show(is(t->name, c->rename_from) ? nb_string_of(c->rename_to) : t->name, name, sizeof name);
    uint32_t type = is(t->name, c->retype) ? c->type : t->type;
    assert_int_equal(nb_gguf_add_tensor(w, name, n_dims, dims, type, NULL), NB_OK);
}

static const char *change_gguf(const char *from, const change *c)
{
    static const uint8_t zeros[1 << 16];
    nb_gguf *g;
    nb_gguf_writer *w;
    const char *path = temporary_path("changed.gguf");
    assert_int_equal(nb_gguf_open(from, &g, NULL), NB_OK);
    assert_int_equal(nb_gguf_writer_create(path, &w, NULL), NB_OK);
    for (uint64_t i = 0; i < g->n_values; i++)
        if (!is(g->values[i].key, c->skip_key))
            nb_gguf_add_value(w, &g->values[i], NULL);
    if (c->u32_key)
        nb_gguf_add_u32(w, c->u32_key, c->u32_value, NULL);
    if (c->string_key)
        nb_gguf_add_string(w, c->string_key, c->string_value, NULL);
    for (uint64_t i = 0; i < g->n_tensors; i++)
        if (!is(g->tensors[i].name, c->skip_tensor))
            copy_tensor(w, &g->tensors[i], c);
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        const nb_gguf_tensor *t = &g->tensors[i];
        uint32_t elems, bytes;
        if (is(t->name, c->skip_tensor))
            continue;
        if (is(t->name, c->retype)) {
            assert_true(nb_ggml_type_size(c->type, &elems, &bytes));
            assert_int_equal(nb_gguf_write_data(w, zeros, t->n_bytes / 4 / elems * bytes, NULL), NB_OK);
        } else {
            assert_int_equal(nb_gguf_write_data(w, g->data + t->offset, t->n_bytes, NULL), NB_OK);
        }
    }
    assert_int_equal(nb_gguf_writer_commit(&w, NULL), NB_OK);
    nb_gguf_close(&g);
    return path;
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const nb_synthetic plain = {.n_layers = 1,
                                       .n_embd = 64,
                                       .n_heads = 4,
                                       .n_kv_heads = 2,
                                       .n_ff = 32,
                                       .n_vocab = 260,
                                       .n_ctx = 16,
                                       .format = &nb_format_f32,
                                       .seed = 1};
    static const struct {
        change change;
        nb_status status;
        const char *words;
    } cases[] = {
        {{.retype = "blk.0.attn_q.weight", .type = 24}, NB_ERR_UNSUPPORTED, "blk.0.attn_q is I8"},
        {{.retype = "blk.0.attn_q.weight", .type = 24},
         NB_ERR_UNSUPPORTED,
         "nibble cannot compute with that type"},
        {{.skip_tensor = "blk.0.ffn_up.weight"}, NB_ERR_FILE, "blk.0.ffn_up.weight is missing"},
        {{.skip_tensor = "blk.0.ffn_norm.weight"}, NB_ERR_FILE, "blk.0.ffn_norm.weight is missing"},
        {{.transpose = "blk.0.ffn_up.weight"}, NB_ERR_FILE, "blk.0.ffn_up is 64 x 32 and should be 32 x 64"},
        {{.transpose = "output_norm.weight"}, NB_ERR_FILE, "output_norm is 64 x 1 and should be 1 x 64"},
        {{.rename_from = "output.weight", .rename_to = "output.bias"},
         NB_ERR_UNSUPPORTED,
         "a tensor output.bias"},
        {{.string_key = "general.architecture", .string_value = "mamba"},
         NB_ERR_UNSUPPORTED,
         "architecture mamba is not supported yet: nibble runs llama"},
        {{.skip_key = "general.architecture"}, NB_ERR_FILE, "general.architecture is missing"},
        {{.skip_key = "llama.block_count"}, NB_ERR_FILE, "llama.block_count is missing"},
        {{.string_key = "llama.block_count", .string_value = "two"}, NB_ERR_FILE, "no whole number"},
        {{.u32_key = "llama.block_count", .u32_value = 4000}, NB_ERR_FILE, "4000 blocks but holds"},
        {{.u32_key = "llama.block_count", .u32_value = 4000000}, NB_ERR_FILE, "makes no model"},
        {{.u32_key = "llama.block_count", .u32_value = 2}, NB_ERR_FILE, "blk.1.attn_norm.weight is missing"},
        {{.u32_key = "llama.attention.head_count", .u32_value = 0}, NB_ERR_FILE, "number of heads of 0"},
        {{.u32_key = "llama.attention.head_count_kv", .u32_value = 3}, NB_ERR_FILE, "4 heads cannot share 3"},
        {{.u32_key = "llama.rope.dimension_count", .u32_value = 18}, NB_ERR_FILE, "18 rotated"},
        {{.u32_key = "llama.rope.freq_base", .u32_value = 0}, NB_ERR_FILE, "RoPE base of 0"},
        {{.u32_key = "llama.attention.value_length", .u32_value = 8}, NB_ERR_UNSUPPORTED, "value_length"},
        {{.u32_key = "llama.expert_count", .u32_value = 8}, NB_ERR_UNSUPPORTED, "experts"},
        {{.u32_key = "split.count", .u32_value = 3}, NB_ERR_FILE, "split"},
        {{.string_key = "llama.rope.scaling.type", .string_value = "yarn"}, NB_ERR_UNSUPPORTED, "is yarn"},
        {{.u32_key = "llama.vocab_size", .u32_value = 259}, NB_ERR_FILE, "260 tokens and the model 259"},
        {{.u32_key = "nibble.format_version", .u32_value = 2},
         NB_ERR_UNSUPPORTED,
         "newer nibble (nibble.format_version 2"},
        {{.string_key = "nibble.format_version", .string_value = "1"},
         NB_ERR_FILE,
         "nibble.format_version is no whole"},
    };
    const char *good = make_gguf("good.gguf", &plain);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        load_is_refused(change_gguf(good, &cases[i].change), cases[i].status, cases[i].words);
}

static void rope_keys_reach_the_model(void **state)
{
    (void)state;
    nb_synthetic s = {.n_layers = 1,
                      .n_embd = 64,
                      .n_heads = 4,
                      .n_kv_heads = 2,
                      .n_ff = 32,
                      .n_vocab = 270,
                      .n_ctx = 16,
                      .format = &nb_format_f16,
                      .rope_factors = true,
                      .seed = 1};
    const char *good = make_gguf("good.gguf", &s);
    nb_model *model = load_file(good, NULL);
    uint64_t plain = logits_digest(model);
    long factors = nb_model_find_tensor(model, "rope_freqs.weight");
    assert_true(factors >= 0);
    assert_true(nb_model_tensor(model, (size_t)factors)->is_vector);
    assert_true(nb_model_tensor(model, (size_t)factors)->vector[7] == 1.0f + 7.0f * 7 / 8);
    nb_model_destroy(&model);
    model = load_file(change_gguf(good, &(change){.skip_tensor = "rope_freqs.weight"}), NULL);
    assert_int_not_equal(logits_digest(model), plain);
    nb_model_destroy(&model);
    model =
        load_file(change_gguf(good, &(change){.u32_key = "llama.rope.scaling.factor", .u32_value = 4}), NULL);
    assert_true(nb_model_hparams(model)->rope_scale == 0.25);
    assert_int_not_equal(logits_digest(model), plain);
    nb_model_destroy(&model);
    model =
        load_file(change_gguf(good, &(change){.u32_key = "llama.rope.freq_base", .u32_value = 500000}), NULL);
    assert_true(nb_model_hparams(model)->rope_base == 500000.0);
    assert_int_not_equal(logits_digest(model), plain);
    nb_model_destroy(&model);
    model = load_file(change_gguf(good, &(change){.skip_key = "llama.vocab_size",
                                                  .rename_from = "output.weight",
                                                  .rename_to = "blk.0.attn_rot_embd.weight"}),
                      NULL);
    assert_true(nb_model_hparams(model)->tied && nb_model_hparams(model)->n_vocab == 270);
    assert_true(nb_model_tensor(model, 0)->tied);
    nb_model_destroy(&model);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    load_is_refused(temporary_file("text.txt", "Once upon a time", 16), NB_ERR_FILE,
                    "it expects a GGUF file");
    load_is_refused(temporary_file("empty", "", 0), NB_ERR_FILE, "empty");
    load_is_refused(temporary_path("missing.gguf"), NB_ERR_IO, "missing.gguf");
    load_is_refused(temporary_file("short.gguf", "GGUF\3\0\0\0", 8), NB_ERR_FILE, "cut short");
    size_t size;
    uint8_t *bytes = make_llama2c(&shape, 1, &size);
    load_is_refused(temporary_file("cut.bin", bytes, size - 4), NB_ERR_FILE, "it is cut short");
    memcpy(bytes, "\x32\x34\x6b\x61", 4);
    load_is_refused(temporary_file("v1.bin", bytes, size), NB_ERR_UNSUPPORTED, "version 1 or 2");
    free(bytes);
}

static void cancel(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    (void)what, (void)done, (void)total, (void)unit;
    atomic_store(&((nb_context *)user)->cancel, true);
}

static void loading_can_be_cancelled(void **state)
{
    (void)state;
    static const nb_synthetic s = {.n_layers = 1,
                                   .n_embd = 64,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .n_ff = 32,
                                   .n_vocab = 260,
                                   .n_ctx = 16,
                                   .format = &nb_format_f32,
                                   .seed = 1};
    nb_model *model;
    nb_error error;
    file_context->progress = cancel;
    file_context->progress_user = file_context;
    assert_int_equal(nb_model_load(file_context, make_gguf("c.gguf", &s), NULL, &model, &error),
                     NB_ERR_CANCELLED);
    assert_null(model);
    file_context->progress = NULL;
    assert_false(atomic_load(&file_context->cancel));
}

/* Whichever allocation fails, there is a sentence and no model; the sanitizers see what would leak. */
static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    const char *story = write_llama2c("story.bin", &shape), *tokenizer = write_tokenizer("t.bin", VOCAB);
    const char *paths[] = {story, convert(story, "m.gguf")};
    for (int i = 0; i < 2; i++) {
        const nb_load_options options = {.tokenizer = tokenizer};
        nb_model *model = NULL;
        nb_status status = NB_ERR_MEMORY;
        long n = 0;
        while (status != NB_OK) {
            nb_error error = {""};
            nb_memory_fail_after(++n);
            status = nb_model_load(file_context, paths[i], &options, &model, &error);
            nb_memory_fail_after(0);
            if (status != NB_OK && (status != NB_ERR_MEMORY || model || strlen(error.text) < 10))
                fail_msg("allocation %ld: status %d, \"%s\"", n, status, error.text);
        }
        assert_true(n > 50);
        nb_model_destroy(&model);
    }
}

/* A learner may look at broken weights; quantizing them is refused, with the place. */
static void nan_weights_load(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = make_llama2c(&shape, 7, &size);
    const uint32_t nan = 0x7fc00000;
    memcpy(bytes + 28 + 4 * (VOCAB * 24 + 2 * 24 + 24 * 3 + 5), &nan, 4); /* blk.0.attn_q, row 3, column 5 */
    nb_model *model = load_file(temporary_file("nan.bin", bytes, size), write_tokenizer("t.bin", VOCAB));
    free(bytes);
    nb_quantizer quantizer;
    nb_scope scope;
    nb_error error = {""};
    assert_int_equal(nb_quantizer_parse("int8 absmax/channel", &quantizer, &error), NB_OK);
    assert_int_equal(nb_scope_resolve(model, "attention", false, &scope, &error), NB_OK);
    assert_int_not_equal(nb_model_quantize(model, &scope, &quantizer, NULL, &error), NB_OK);
    if (!strstr(error.text, "blk.0.attn_q") || !strstr(error.text, "row 3") ||
        !strstr(error.text, "column 5"))
        fail_msg("%s", error.text);
    nb_scope_free(&scope);
    nb_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama2c_finds_its_tokenizer),
        cmocka_unit_test(llama2c_tensors_have_gguf_names),
        cmocka_unit_test(gguf_of_the_same_weights_gives_the_same_logits),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(rope_keys_reach_the_model),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(loading_can_be_cancelled),
        cmocka_unit_test(memory_may_fail_anywhere),
        cmocka_unit_test(nan_weights_load),
    };
    return cmocka_run_group_tests_name("load", tests, file_context_create, file_context_destroy);
}
