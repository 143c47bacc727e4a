/* Saving and loading again gives the same bits, whatever a tensor is stored as; a save that fails leaves what
 * was there. */
#include "base/memory.h"
#include "files/gguf.h"
#include "files/load.h"
#include "kernels/packed.h"
#include "quant/quantize.h"
#include "tests/support/files.h"
#include "tests/support/models.h"
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

/* ---- the same bits ---- */

static size_t scale_bytes(const nb_packed *p)
{
    size_t n = p->scale_stride ? p->n_row_groups * p->scale_stride : NB_ROWS;
    return n * (p->quantizer.scales_f32 ? 4 : 2);
}

static void same_packed(const nb_packed *a, const nb_packed *b)
{
    assert_true(nb_quantizer_equal(&a->quantizer, &b->quantizer));
    assert_int_equal(a->n_bytes, b->n_bytes);
    assert_int_equal(a->row_group_bytes, b->row_group_bytes);
    assert_memory_equal(a->codes, b->codes, a->n_row_groups * a->row_group_bytes);
    assert_memory_equal(&a->tensor_scale, &b->tensor_scale, sizeof a->tensor_scale);
    if (a->quantizer.format->kind == NB_FORMAT_TABLE) {
        const size_t n_scales = a->n_row_groups * a->scale_stride, n_nested = nb_n_nested(a->n_rows * a->n_scales);
        assert_memory_equal(a->scales, b->scales, (a->scale_codes ? n_nested : n_scales) * sizeof(float));
        assert_true(!a->scale_codes == !b->scale_codes && a->scale_offset == b->scale_offset);
        if (a->scale_codes)
            assert_memory_equal(a->scale_codes, b->scale_codes, n_scales);
    }
    if (a->quantizer.format->kind != NB_FORMAT_INT)
        return;
    assert_memory_equal(a->scales, b->scales, scale_bytes(a));
    assert_memory_equal(a->zeros, b->zeros, a->zero_stride ? a->n_row_groups * a->zero_stride : NB_ROWS);
}

static void same_logits(nb_model *a, nb_model *b)
{
    static const int32_t tokens[] = {1, 260, 13, 99, 261, 7};
    nb_session *sessions[2];
    const float *logits[2];
    nb_model *models[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(nb_session_create(models[i], NB_WEIGHTS_CURRENT, 16, &sessions[i], NULL), NB_OK);
        assert_int_equal(nb_session_eval(sessions[i], tokens, 6, NB_LOGITS_ALL, &logits[i], NULL), NB_OK);
    }
    assert_memory_equal(logits[0], logits[1], 6 * nb_model_hparams(a)->n_vocab * sizeof(float));
    assert_true(isfinite(logits[0][0]) && logits[0][0] != logits[0][1]);
    nb_session_destroy(&sessions[0]);
    nb_session_destroy(&sessions[1]);
}

static void same_model(nb_model *a, nb_model *b)
{
    assert_string_equal(nb_model_name(a), nb_model_name(b));
    assert_int_equal(nb_model_tensor_count(a), nb_model_tensor_count(b));
    assert_int_equal(nb_model_n_bytes(a), nb_model_n_bytes(b));
    for (size_t i = 0; i < nb_model_tensor_count(a); i++) {
        const nb_tensor *s = nb_model_tensor(a, i), *t = nb_model_tensor(b, i);
        assert_string_equal(s->name, t->name);
        assert_true(s->role == t->role && s->layer == t->layer && s->tied == t->tied);
        assert_true(s->n_rows == t->n_rows && s->n_cols == t->n_cols && s->is_vector == t->is_vector);
        assert_false(t->changed);
        if (s->is_vector)
            assert_memory_equal(s->vector, t->vector, s->n_cols * sizeof(float));
        else
            same_packed(s->packed, t->packed);
    }
    same_logits(a, b);
}

static void every_quantizer_comes_back(void **state)
{
    (void)state;
    static const char *const schemes[] = {"absmax", "zeropoint"},
                             *const shares[] = {"tensor", "channel", "group:32", "group:64"},
                             *const options[] = {"", ", f32 activations", ", f32 scales", ", labonne"};
    const char *source = make_gguf("source.gguf", &ragged_shape), *saved = temporary_path("saved.gguf");
    int turn = 0;
    for (unsigned bits = 2; bits <= 8; bits++)
        for (int scheme = 0; scheme < 2; scheme++)
            for (int share = 0; share < 4; share++, turn++) {
                char text[80];
                nb_model *model = load_file(source, NULL), *back;
                /* labonne's zero points do not fit every group */
                const char *option = options[turn % (scheme == 0 ? 4 : 3)];
                snprintf(text, sizeof text, "int%u %s/%s%s", bits, schemes[scheme], shares[share], option);
                test_quantize(model, turn % 3 == 0 ? "all,embeddings,head" : "attention", text);
                save_file(model, saved);
                back = load_file(saved, NULL);
                same_model(model, back);
                nb_model_destroy(&model);
                nb_model_destroy(&back);
            }
}

static void floats_come_back(void **state)
{
    (void)state;
    static const char *const formats[] = {"f32",     "f16",          "bf16",                   "f8_e4m3",
                                          "f8_e5m2", "nf4", "nf4 group:64, double", "fp4 group:32, double"};
    const char *saved = temporary_path("saved.gguf");
    for (int stored = 0; stored < 3; stored++)
        for (int i = 0; i < 8; i++) {
            nb_synthetic s = ragged_shape;
            s.format = nb_format_find(formats[stored]);
            s.tied = i % 2 == 1;
            s.rope_factors = i == 2;
            nb_model *model = load_file(make_gguf("source.gguf", &s), NULL), *back;
            test_quantize(model, "all,embeddings", formats[i]);
            save_file(model, saved);
            back = load_file(saved, NULL);
            same_model(model, back);
            nb_model_destroy(&model);
            nb_model_destroy(&back);
        }
}

/* As plain tensors of their GGUF types. */
static void blocks_come_back(void **state)
{
    (void)state;
    const char *saved = temporary_path("saved.gguf");
    nb_synthetic s = ragged_shape;
    s.n_embd = 256;
    s.n_heads = s.n_kv_heads = 8;
    s.head_size = 32;
    s.n_ff = 256;
    const char *source = make_gguf("source.gguf", &s);
    for (size_t i = 0; i < nb_format_count(); i++) {
        const nb_format *format = nb_format_at(i);
        if (format->kind != NB_FORMAT_BLOCK)
            continue;
        nb_model *model = load_file(source, NULL), *back;
        test_quantize(model, "all,embeddings,head", format->name);
        save_file(model, saved);
        back = load_file(saved, NULL);
        same_model(model, back);
        const nb_packed *a = nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "blk.0.attn_q"))->packed;
        const nb_packed *b = nb_model_tensor(back, (size_t)nb_model_find_tensor(back, "blk.0.attn_q"))->packed;
        assert_true(b->quantizer.format == format);
        assert_memory_equal(a->scales, b->scales, a->n_row_groups * a->record_stride);
        nb_model_destroy(&model);
        nb_model_destroy(&back);
    }
}

/* Every key and every tensor's bytes as they were, in their order, and one key more; saved again, the same
 * file. */
static void a_plain_file_stays_plain(void **state)
{
    (void)state;
    nb_synthetic s = ragged_shape;
    s.format = &nb_format_bf16;
    const char *paths[3] = {make_gguf("source.gguf", &s), temporary_path("saved.gguf"),
                            temporary_path("again.gguf")};
    uint8_t *bytes[3];
    size_t sizes[3];
    nb_gguf *g[2];
    uint64_t file_type;
    for (int i = 0; i < 2; i++) {
        nb_model *model = load_file(paths[i], NULL);
        save_file(model, paths[i + 1]);
        nb_model_destroy(&model);
        assert_int_equal(nb_gguf_open(paths[i], &g[i], NULL), NB_OK);
    }
    assert_int_equal(g[1]->n_values, g[0]->n_values + 1);
    assert_int_equal(g[1]->n_tensors, g[0]->n_tensors);
    assert_true(nb_gguf_u64(g[1], "general.file_type", &file_type) && file_type == 32);
    assert_null(nb_gguf_find(g[1], "general.quantization_version"));
    for (uint64_t i = 0; i < g[0]->n_tensors; i++) {
        const nb_gguf_tensor *a = &g[0]->tensors[i], *b = &g[1]->tensors[i];
        assert_int_equal(a->n_bytes, b->n_bytes);
        assert_memory_equal(g[0]->data + a->offset, g[1]->data + b->offset, a->n_bytes);
    }
    for (int i = 0; i < 3; i++)
        bytes[i] = read_whole_file(paths[i], &sizes[i]);
    /* All keys of the source, up to its tensor infos, behind their count. */
    assert_memory_equal(bytes[0] + 24, bytes[1] + 24, g[0]->files[0].infos_offset - 24);
    assert_int_equal(sizes[1], sizes[2]);
    assert_memory_equal(bytes[1], bytes[2], sizes[1]);
    for (int i = 0; i < 3; i++)
        free(bytes[i]);
    nb_gguf_close(&g[0]);
    nb_gguf_close(&g[1]);
}

/* ---- keys ---- */

static const char *add_keys(const char *from)
{
    nb_gguf *g;
    nb_gguf_writer *w;
    const char *path = temporary_path("keys.gguf");
    assert_int_equal(nb_gguf_open(from, &g, NULL), NB_OK);
    assert_int_equal(nb_gguf_writer_create(path, &w, NULL), NB_OK);
    for (uint64_t i = 0; i < g->n_values; i++)
        nb_gguf_add_value(w, &g->values[i], NULL);
    nb_gguf_add_string(w, "tokenizer.chat_template", "{{ messages }}", NULL);
    nb_gguf_add_string(w, "general.license", "none", NULL);
    nb_gguf_add_string(w, "general.name", "a name", NULL);
    nb_gguf_add_u32(w, "general.file_type", 0, NULL);
    nb_gguf_add_u32(w, "general.alignment", 128, NULL);
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        char name[64];
        const nb_gguf_tensor *t = &g->tensors[i];
        nb_gguf_add_tensor(w, nb_string_show(t->name, name, sizeof name), t->n_dims, t->dims, t->type, NULL);
    }
    for (uint64_t i = 0; i < g->n_tensors; i++)
        nb_gguf_write_data(w, g->data + g->tensors[i].offset, g->tensors[i].n_bytes, NULL);
    assert_int_equal(nb_gguf_writer_commit(&w, NULL), NB_OK);
    nb_gguf_close(&g);
    return path;
}

static void keys_are_carried_over(void **state)
{
    (void)state;
    nb_model *model = load_file(add_keys(make_gguf("source.gguf", &ragged_shape)), NULL);
    const char *saved = temporary_path("saved.gguf");
    test_quantize(model, "mlp", "int4 absmax/group:32");
    save_file(model, saved);
    nb_model_destroy(&model);
    /* and once more, from what was saved */
    model = load_file(saved, NULL);
    assert_string_equal(nb_model_name(model), "a name");
    save_file(model, saved);
    nb_model_destroy(&model);
    nb_gguf *g;
    nb_string text;
    assert_int_equal(nb_gguf_open(saved, &g, NULL), NB_OK);
    assert_true(nb_gguf_string(g, "tokenizer.chat_template", &text) &&
                nb_string_equal(text, "{{ messages }}"));
    assert_true(nb_gguf_string(g, "general.license", &text) && nb_string_equal(text, "none"));
    assert_null(nb_gguf_find(g, "general.file_type"));
    assert_int_equal(g->files[0].alignment, 32);
    assert_non_null(nb_gguf_find(g, "nibble.tensor.blk.1.ffn_up"));
    assert_non_null(nb_gguf_find(g, "tokenizer.ggml.tokens"));
    nb_gguf_close(&g);
}

static void a_llama2c_model_becomes_a_gguf(void **state)
{
    (void)state;
    const llama2c_shape s = {24, 36, 2, 6, 3, 270, 40};
    size_t size;
    uint8_t *bytes = make_llama2c(&s, 7, &size);
    const char *path = temporary_file("story.bin", bytes, size), *saved = temporary_path("story.gguf");
    free(bytes);
    bytes = make_tokenizer_bin(270, &size);
    temporary_file("tok270.bin", bytes, size);
    free(bytes);
    nb_model *model = load_file(path, NULL), *back;
    save_file(model, saved);
    back = load_file(saved, NULL);
    same_model(model, back);
    nb_tokens a = {0}, b = {0};
    nb_tokenizer_encode(nb_model_tokenizer(model), "abc xyz\n", 8, true, false, &a, NULL);
    nb_tokenizer_encode(nb_model_tokenizer(back), "abc xyz\n", 8, true, false, &b, NULL);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.ids, b.ids, a.count * sizeof *a.ids);
    nb_tokens_free(&a);
    nb_tokens_free(&b);
    nb_model_destroy(&model);
    nb_model_destroy(&back);
}

/* ---- what can go wrong ---- */

static void saved_tensors_have_no_source(void **state)
{
    (void)state;
    nb_model *model = load_file(make_gguf("source.gguf", &ragged_shape), NULL);
    const char *saved = temporary_path("saved.gguf");
    nb_scope scope;
    nb_error error = {""};
    test_quantize(model, "blk.0.ffn_up", "int4 absmax/group:32");
    save_file(model, saved);
    nb_model_destroy(&model);
    model = load_file(saved, NULL);
    const nb_tensor *t = nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "blk.0.ffn_up"));
    assert_null(t->source_format);
    assert_null(t->source);
    assert_true(isnan(t->sqnr));
    assert_int_equal(nb_scope_resolve(model, "blk.0.ffn_up", false, &scope, &error), NB_OK);
    assert_int_not_equal(nb_model_restore(model, &scope, &error), NB_OK);
    assert_non_null(strstr(error.text, "blk.0.ffn_up"));
    nb_scope_free(&scope);
    nb_model_destroy(&model);
}

static void saving_over_the_mapped_file_is_safe(void **state)
{
    (void)state;
    const char *path = make_gguf("source.gguf", &ragged_shape);
    nb_model *model = load_file(path, NULL), *back;
    test_quantize(model, "attention", "int8 absmax/channel");
    save_file(model, path);
    back = load_file(path, NULL);
    same_model(model, back);
    nb_model_destroy(&back);
    nb_scope scope; /* the originals are still there, under a name that is gone */
    assert_int_equal(nb_scope_resolve(model, "attention", false, &scope, NULL), NB_OK);
    assert_int_equal(nb_model_restore(model, &scope, NULL), NB_OK);
    nb_scope_free(&scope);
    save_file(model, path);
    back = load_file(path, NULL);
    same_model(model, back);
    nb_model_destroy(&back);
    nb_model_destroy(&model);
}

static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    nb_model *model = load_file(make_gguf("source.gguf", &ragged_shape), NULL);
    const char *old = temporary_file("old.gguf", "what stood there", 16);
    struct rlimit unlimited, limited;
    nb_error error = {""};
    size_t before = temporary_count(), size;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    for (rlim_t most = 0; most < 300000; most += 99999) {
        limited = unlimited;
        limited.rlim_cur = most;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
        nb_status status = nb_model_save(model, old, &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
        assert_int_equal(status, NB_ERR_IO);
        assert_non_null(strstr(error.text, "old.gguf"));
        uint8_t *bytes = read_whole_file(old, &size);
        assert_int_equal(size, 16);
        assert_memory_equal(bytes, "what stood there", 16);
        free(bytes);
        assert_int_equal(temporary_count(), before);
    }
    assert_int_equal(nb_model_save(model, temporary_path("no/such/folder.gguf"), &error), NB_ERR_IO);
    struct stat info; /* a pipe stays a pipe */
    const char *pipe = temporary_path("pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(nb_model_save(model, pipe, &error), NB_ERR_ARGUMENT);
    assert_true(stat(pipe, &info) == 0 && S_ISFIFO(info.st_mode));
    save_file(model, old); /* and the model can still be saved */
    nb_model_destroy(&model);
}

static void cancel(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    (void)done, (void)total, (void)unit;
    if (strcmp(what, "saving") == 0)
        atomic_store(&((nb_context *)user)->cancel, true);
}

static void saving_can_be_cancelled(void **state)
{
    (void)state;
    nb_model *model = load_file(make_gguf("source.gguf", &ragged_shape), NULL);
    const char *old = temporary_file("old.gguf", "old", 3);
    nb_error error;
    size_t size;
    file_context->progress = cancel;
    file_context->progress_user = file_context;
    assert_int_equal(nb_model_save(model, old, &error), NB_ERR_CANCELLED);
    file_context->progress = NULL;
    uint8_t *bytes = read_whole_file(old, &size);
    assert_int_equal(size, 3);
    free(bytes);
    nb_model_destroy(&model);
}

static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    nb_model *model = load_file(make_gguf("source.gguf", &ragged_shape), NULL);
    const char *old = temporary_file("old.gguf", "old", 3);
    const size_t before = temporary_count();
    nb_status status = NB_ERR_MEMORY;
    long n = 0;
    test_quantize(model, "attention", "int4 zeropoint/group:32");
    while (status != NB_OK) {
        nb_error error = {""};
        nb_memory_fail_after(++n);
        status = nb_model_save(model, old, &error);
        nb_memory_fail_after(0);
        if (status != NB_OK && (status != NB_ERR_MEMORY || strlen(error.text) < 10))
            fail_msg("allocation %ld: status %d, \"%s\"", n, status, error.text);
        assert_int_equal(temporary_count(), before);
    }
    assert_true(n > 50);
    nb_model *back = load_file(old, NULL);
    same_model(model, back);
    nb_model_destroy(&back);
    nb_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quantizer_comes_back),
        cmocka_unit_test(floats_come_back),
        cmocka_unit_test(blocks_come_back),
        cmocka_unit_test(a_plain_file_stays_plain),
        cmocka_unit_test(keys_are_carried_over),
        cmocka_unit_test(a_llama2c_model_becomes_a_gguf),
        cmocka_unit_test(saved_tensors_have_no_source),
        cmocka_unit_test(saving_over_the_mapped_file_is_safe),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(saving_can_be_cancelled),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests_name("save", tests, file_context_create, file_context_destroy);
}
