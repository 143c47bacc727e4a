/* Building models: what is missing, of another shape or lying is refused with its name, and everything that
 * was handed over is released, whatever happens. */
#include "tests/support/shapes.h"

#include "files/layout.h"
#include "model/build.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { N_WEIGHTS_MAX = 300 * 64 };

static const nb_hparams shape = {
    .architecture = "llama",
    .n_layers = 2,
    .n_embd = 24,
    .n_heads = 3,
    .n_kv_heads = 1,
    .head_size = 8,
    .n_rot = 8,
    .n_ff = 20,
    .n_vocab = 300,
    .n_ctx = 16,
    .norm_eps = 1e-5f,
    .rope_base = 10000.0,
    .rope_scale = 1.0,
};

static float weights[N_WEIGHTS_MAX]; /* every matrix reads the same ones */
static int n_released;

static void release(void *owner)
{
    assert_ptr_equal(owner, weights);
    n_released++;
}

/* Parts as a file reader hands them over. */
static nb_model_parts make_parts(const nb_hparams *hparams)
{
    nb_error error;
    nb_layout_tensor *layout;
    nb_model_parts parts = {
        .name = "test", .path = "test.gguf", .hparams = *hparams, .release = release, .owner = weights};
    assert_int_equal(nb_layout_create(&shape, false, &layout, &parts.n_tensors, &error), NB_OK);
    parts.tensors = calloc(parts.n_tensors, sizeof *parts.tensors);
    for (size_t i = 0; i < N_WEIGHTS_MAX; i++)
        weights[i] = (float)((int)(i * 37 % 101) - 50) / 200.0f;
    for (size_t i = 0; i < parts.n_tensors; i++) {
        const nb_layout_tensor *l = &layout[i];
        nb_tensor *t = &parts.tensors[i];
        *t = (nb_tensor){.name = nb_strdup(l->name),
                         .role = l->role,
                         .layer = l->layer,
                         .n_rows = l->n_rows,
                         .n_cols = l->n_cols,
                         .is_vector = l->is_vector};
        if (l->is_vector)
            t->vector = calloc(l->n_cols, sizeof *t->vector);
        else
            t->source_format = &nb_format_f32, t->source = weights;
    }
    free(layout);
    return parts;
}

static nb_tensor *part(nb_model_parts *parts, const char *name)
{
    for (size_t i = 0; i < parts->n_tensors; i++)
        if (strcmp(parts->tensors[i].name, name) == 0)
            return &parts->tensors[i];
    fail_msg("no part is called %s", name);
    return NULL;
}

static void assert_refused(nb_context *context, nb_model_parts *parts, nb_status want, const char *expected)
{
    nb_error error = {""};
    nb_model *model = NULL;
    n_released = 0;
    nb_status status = nb_model_create(context, parts, &model, &error);
    assert_null(model);
    if (status != want || !strstr(error.text, expected))
        fail_msg("status %d, %s; expected %s", status, error.text, expected);
    assert_int_equal(n_released, 1);
}

static void test_a_model_and_its_tensors(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_model_parts parts = make_parts(&shape);
    nb_model *model = NULL;
    n_released = 0;
    assert_int_equal(nb_model_create(context, &parts, &model, &error), NB_OK);
    assert_null(parts.tensors); /* taken */
    assert_string_equal(nb_model_name(model), "test");
    assert_string_equal(nb_model_path(model), "test.gguf");
    assert_ptr_equal(nb_model_context(model), context);
    assert_null(nb_model_tokenizer(model));
    assert_string_equal(nb_model_hparams(model)->architecture, "llama");
    const long index = nb_model_find_tensor(model, "blk.1.ffn_down.weight");
    assert_int_equal(index, nb_model_find_tensor(model, "blk.1.ffn_down"));
    assert_int_equal(nb_model_find_tensor(model, "blk.1.ffn"), -1);
    assert_int_equal(nb_model_find_tensor(model, ".weight"), -1);
    const nb_tensor *t = nb_model_tensor(model, (size_t)index);
    assert_int_equal(t->n_rows, 24);
    assert_int_equal(t->n_cols, 20);
    assert_false(t->changed);
    assert_true(isnan(t->sqnr));
    assert_ptr_equal(t->quantizer.format, &nb_format_f32);
    assert_int_equal(nb_tensor_n_bytes(t), 2 * 16 * 20 * 4); /* two row groups */
    float source[20], current[20];
    nb_tensor_source_row(t, 23, source);
    nb_tensor_current_row(t, 23, current);
    assert_memory_equal(source, weights + 23 * 20, sizeof source);
    assert_memory_equal(current, source, sizeof source);
    const uint64_t block = 24 * 24 + 8 * 24 + 8 * 24 + 24 * 24 + 3 * 20 * 24 + 2 * 24;
    assert_int_equal(nb_model_n_parameters(model), 2 * block + 2 * 300 * 24 + 24);
    assert_int_equal(nb_model_n_bytes(model), nb_model_source_bytes(model));
    nb_model_destroy(&model);
    assert_null(model);
    assert_int_equal(n_released, 1);
    nb_context_destroy(&context);
}

static void test_wrong_parts(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_model_parts parts = make_parts(&shape);
    part(&parts, "blk.1.attn_v")->n_cols = 23;
    assert_refused(context, &parts, NB_ERR_FILE, "blk.1.attn_v is 8 x 23");
    parts = make_parts(&shape);
    ((char *)(uintptr_t)part(&parts, "blk.0.ffn_norm")->name)[0] = 'x';
    assert_refused(context, &parts, NB_ERR_FILE, "blk.0.ffn_norm.weight is missing");
    parts = make_parts(&shape);
    ((char *)(uintptr_t)part(&parts, "output")->name)[0] = 'x';
    assert_refused(context, &parts, NB_ERR_FILE, "output.weight is missing");
    parts = make_parts(&shape);
    part(&parts, "blk.0.attn_q")->source = NULL;
    assert_refused(context, &parts, NB_ERR_FILE, "blk.0.attn_q has no data");
    parts = make_parts(&shape);
    part(&parts, "blk.0.attn_q")->source_format = nb_format_int(4);
    assert_refused(context, &parts, NB_ERR_UNSUPPORTED, "int4");
    nb_context_destroy(&context);
}

static void test_lying_shapes(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_hparams h = shape;
    nb_model_parts parts;
#define REFUSED(CHANGE, STATUS, SENTENCE)                                                                    \
    do {                                                                                                     \
        h = shape;                                                                                           \
        CHANGE;                                                                                              \
        parts = make_parts(&h);                                                                              \
        assert_refused(context, &parts, STATUS, SENTENCE);                                                   \
    } while (0)
    REFUSED(h.architecture = "gpt5", NB_ERR_UNSUPPORTED, "gpt5");
    REFUSED(h.n_layers = 0, NB_ERR_FILE, "layers is 0");
    REFUSED(h.n_layers = 4000000000u, NB_ERR_FILE, "layers is 4000000000");
    REFUSED(h.n_layers = 2000000000, NB_ERR_FILE, "claims 2000000000 layers");
    REFUSED(h.n_layers = 3, NB_ERR_FILE, "blk.2.attn_norm.weight is missing");
    REFUSED(h.n_kv_heads = 2, NB_ERR_FILE, "3 attention heads cannot share 2");
    REFUSED(h.n_rot = 7, NB_ERR_FILE, "RoPE");
    REFUSED(h.n_rot = 10, NB_ERR_FILE, "RoPE");
    REFUSED(h.norm_eps = NAN, NB_ERR_FILE, "epsilon");
    REFUSED(h.rope_base = 0.0, NB_ERR_FILE, "RoPE base");
    REFUSED(h.rope_scale = INFINITY, NB_ERR_FILE, "RoPE scale");
    REFUSED(h.n_heads = 2000000001, NB_ERR_FILE, "attn_q is 24 x 24");
#undef REFUSED
    nb_context_destroy(&context);
}

static void stop(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    nb_context *context = user;
    assert_string_equal(what, "loading");
    assert_string_equal(unit, "bytes");
    assert_true(done <= total);
    if (done > total / 2)
        atomic_store(&context->cancel, true);
}

static void test_loading_stops(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_model_parts parts = make_parts(&shape);
    context->progress = stop;
    context->progress_user = context;
    assert_refused(context, &parts, NB_ERR_CANCELLED, "stopped");
    context->progress = NULL;
    bool finished = false;
    for (long n = 1; !finished; n++) {
        nb_error error = {""};
        nb_model *model = NULL;
        parts = make_parts(&shape);
        n_released = 0;
        nb_memory_fail_after(n);
        const nb_status status = nb_model_create(context, &parts, &model, &error);
        nb_memory_fail_after(0);
        finished = status == NB_OK;
        assert_true(finished || (status == NB_ERR_MEMORY && error.text[0] && n_released == 1));
        nb_model_destroy(&model);
        assert_int_equal(n_released, 1);
    }
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_model_and_its_tensors),
        cmocka_unit_test(test_wrong_parts),
        cmocka_unit_test(test_lying_shapes),
        cmocka_unit_test(test_loading_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
