/* Tensors that GGUF has no type for: the bytes in the file, and damaged ones. */
#include "files/gguf.h"
#include "files/load.h"
#include "quant/quantize.h"
#include "tests/support/files.h"
#include "tests/support/models.h"
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

/* Formats side by side, the file's bytes as documented. */
static void the_layout_is_as_documented(void **state)
{
    (void)state;
    nb_model *model = load_file(make_gguf("source.gguf", &ragged_shape), NULL);
    const char *saved = temporary_path("saved.gguf");
    nb_gguf *g;
    nb_string text;
    test_quantize(model, "blk.0.attn_q", "int3 zeropoint/group:32");
    test_quantize(model, "blk.0.attn_k", "f8_e4m3");
    test_quantize(model, "blk.0.attn_v", "int5 absmax/tensor, f32 scales");
    save_file(model, saved);
    assert_int_equal(nb_gguf_open(saved, &g, NULL), NB_OK);
    const nb_gguf_tensor *codes = nb_gguf_find_tensor(g, "blk.0.attn_q.codes"),
                         *scale = nb_gguf_find_tensor(g, "blk.0.attn_q.scale"),
                         *zero = nb_gguf_find_tensor(g, "blk.0.attn_q.zero");
    assert_string_equal(nb_ggml_type_name(codes->type), "I8");
    assert_true(codes->dims[0] == 27 && codes->dims[1] == 40); /* 72 codes of 3 bits */
    assert_true(scale->type == 1 && scale->dims[0] == 3 && scale->dims[1] == 40);
    assert_true(zero->type == 24 && zero->dims[0] == 3 && zero->dims[1] == 40);
    assert_true(nb_gguf_string(g, "nibble.tensor.blk.0.attn_q", &text));
    assert_true(nb_string_equal(text, "int3 zeropoint/group:32"));
    /* Row 5, column 50: its code, scale and zero point give the number that the model runs. */
    const size_t bit = 3 * 50;
    const uint8_t *row = g->data + codes->offset + 5 * 27;
    const int u = (row[bit / 8] | row[bit / 8 + 1] << 8) >> bit % 8 & 7;
    uint16_t half;
    memcpy(&half, g->data + scale->offset + 2 * (5 * 3 + 1), 2);
    const int z = (int8_t)g->data[zero->offset + 5 * 3 + 1];
    float numbers[72];
    nb_tensor_current_row(nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "blk.0.attn_q")), 5,
                          numbers);
    assert_true(numbers[50] == nb_f32_from_f16(half) * (float)(u - 4 - z));
    scale = nb_gguf_find_tensor(g, "blk.0.attn_k.scale");
    assert_true(scale->type == 0 && scale->dims[0] == 1 && scale->n_dims == 1);
    scale = nb_gguf_find_tensor(g, "blk.0.attn_v.scale");
    assert_true(scale->type == 0 && scale->dims[0] == 1 && scale->n_dims == 1);
    assert_null(nb_gguf_find_tensor(g, "blk.0.attn_v.zero"));
    assert_null(nb_gguf_find_tensor(g, "blk.0.attn_v.weight"));
    assert_non_null(nb_gguf_find_tensor(g, "blk.1.attn_v.weight"));
    uint64_t version;
    assert_true(nb_gguf_u64(g, "nibble.format_version", &version) && version == 1);
    nb_gguf_close(&g);
    nb_model_destroy(&model);
}

/* The saved file with one piece left out, or one byte of a piece or of a key's text changed. */
static const char *damage(const char *saved, const char *skip, const char *find, size_t at, uint8_t byte)
{
    nb_gguf *g;
    nb_gguf_writer *w;
    const char *path = temporary_path("damaged.gguf");
    assert_int_equal(nb_gguf_open(saved, &g, NULL), NB_OK);
    assert_int_equal(nb_gguf_writer_create(path, &w, NULL), NB_OK);
    for (uint64_t i = 0; i < g->n_values; i++)
        if (!nb_string_equal(g->values[i].key, skip))
            nb_gguf_add_value(w, &g->values[i], NULL);
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        char name[64];
        const nb_gguf_tensor *t = &g->tensors[i];
        if (!nb_string_equal(t->name, skip))
            nb_gguf_add_tensor(w, nb_string_show(t->name, name, sizeof name), t->n_dims, t->dims, t->type,
                               NULL);
    }
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        const nb_gguf_tensor *t = &g->tensors[i];
        if (nb_string_equal(t->name, skip))
            continue;
        uint8_t *bytes = malloc(t->n_bytes);
        assert_non_null(bytes);
        memcpy(bytes, g->data + t->offset, t->n_bytes);
        if (nb_string_equal(t->name, find))
            bytes[at] = byte;
        nb_gguf_write_data(w, bytes, t->n_bytes, NULL);
        free(bytes);
    }
    assert_int_equal(nb_gguf_writer_commit(&w, NULL), NB_OK);
    nb_gguf_close(&g);
    return path;
}

static void damage_is_refused(void **state)
{
    (void)state;
    nb_model *model = load_file(make_gguf("source.gguf", &ragged_shape), NULL);
    const char *saved = temporary_path("saved.gguf");
    test_quantize(model, "blk.0.attn_q", "int4 absmax/channel");
    test_quantize(model, "blk.0.attn_k", "int4 zeropoint/channel");
    save_file(model, saved);
    nb_model_destroy(&model);
    model = load_file(damage(saved, "", "", 0, 0), NULL); /* the copy itself is fine */
    nb_model_destroy(&model);
    load_is_refused(damage(saved, "blk.0.attn_q.scale", "", 0, 0), NB_ERR_FILE,
                    "blk.0.attn_q.scale should be F16, 40 x 1");
    load_is_refused(damage(saved, "blk.0.attn_k.zero", "", 0, 0), NB_ERR_FILE, "it is missing");
    load_is_refused(damage(saved, "blk.0.attn_k.codes", "", 0, 0), NB_ERR_FILE,
                    "blk.0.attn_k.weight is missing");
    load_is_refused(damage(saved, "nibble.tensor.blk.0.attn_q", "", 0, 0), NB_ERR_FILE,
                    "no key nibble.tensor.blk.0.attn_q");
    load_is_refused(damage(saved, "", "blk.0.attn_q.codes", 3, 0), NB_ERR_FILE,
                    "that its quantizer cannot make");
    load_is_refused(damage(saved, "", "blk.0.attn_k.zero", 39, 8), NB_ERR_FILE,
                    "that its quantizer cannot make");
    model = load_file(damage(saved, "", "blk.0.attn_k.zero", 39, 7), NULL);
    nb_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_is_as_documented),
        cmocka_unit_test(damage_is_refused),
    };
    return cmocka_run_group_tests_name("saved", tests, file_context_create, file_context_destroy);
}
