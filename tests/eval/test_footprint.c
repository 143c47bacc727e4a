/* Memory arithmetic against numbers that papers and model cards publish. */
#include "eval/footprint.h"
#include "tests/support/files.h"
#include "tests/support/models.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

/* Parameter counts as the models' files hold them. */
static void test_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t n;
    } published[] = {{"gpt2", 124439808},         {"gpt2-xl", 1557611200},    {"tinyllama-1.1b", 1100048384},
                     {"llama-7b", 6738415616},    {"mistral-7b", 7241732096}, {"llama-3-8b", 8030261248},
                     {"llama-13b", 13015864320},  {"llama-65b", 65285660672}, {"llama-2-70b", 68976648192},
                     {"llama-3-70b", 70553706496}};
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const nb_shape *shape = nb_shape_find(published[i].name);
        assert_non_null(shape);
        assert_true(nb_shape_parameters(shape).total == published[i].n);
    }
    const double gpt3 = (double)nb_shape_parameters(nb_shape_find("gpt-3")).total;
    assert_true(fabs(gpt3 / 175e9 - 1) < 0.003);
    assert_null(nb_shape_find("llama"));
    for (size_t i = 1; i < nb_shape_count(); i++)
        assert_true(nb_shape_parameters(nb_shape_at(i)).total >
                    nb_shape_parameters(nb_shape_at(i - 1)).total);
}

static void test_weights(void **state)
{
    (void)state;
    assert_true(nb_weight_bytes(7000000000, 32) == 28e9);
    assert_true(nb_weight_bytes(7000000000, 16) == 14e9);
    assert_true(nb_weight_bytes(7000000000, 8) == 7e9);
    assert_true(nb_format_bits_per_weight(nb_format_find("q4_0")) == 4.5);
    assert_true(nb_format_bits_per_weight(nb_format_find("q6_k")) == 6.5625);
    assert_true(nb_format_bits_per_weight(nb_format_find("int4")) == 4);
    assert_true(nb_weight_bytes(3, 4) == 2);
}

static void test_cache(void **state)
{
    (void)state;
    /* Kwon et al. 2023, PagedAttention, section 3: 800 kB a token for 40 layers of width 5120 in 16 bits. */
    assert_true(nb_cache_bytes_per_token(nb_shape_find("llama-13b"), 16) == 800 * 1024);
    /* An eighth of the heads is kept. */
    nb_shape all = *nb_shape_find("llama-2-70b");
    const double grouped = nb_cache_bytes_per_token(&all, 16);
    all.n_kv_heads = all.n_heads;
    assert_true(nb_cache_bytes_per_token(&all, 16) == 8 * grouped);
}

/* ZeRO, figure 1: 7.5 billion parameters on 64 devices take 120, 31.4, 16.6 and 1.9 GB each. */
static void test_zero(void **state)
{
    (void)state;
    static const double published[] = {120, 31.4, 16.6, 1.9};
    nb_training training = {.optimizer = nb_optimizer_find("adamw"), .n_devices = 64};
    for (training.zero = 0; training.zero <= 3; training.zero++) {
        const nb_training_bytes bytes = nb_training_memory(7500000000, &training);
        assert_true(fabs(bytes.device / 1e9 - published[training.zero]) < 0.05);
        assert_true(bytes.device == bytes.weights + bytes.gradients + bytes.state);
        assert_true(bytes.host == 0);
    }
    /* ZeRO-Offload, section 3: 2 of 16 bytes a parameter stay on the device. */
    training = (nb_training){.optimizer = nb_optimizer_find("adamw"), .n_devices = 1, .offload = true};
    const nb_training_bytes bytes = nb_training_memory(1000, &training);
    assert_true(bytes.device == 2000 && bytes.host == 14000);
}

/* Korthikanti et al. 2022, section 5: 5 a s / h is 80 for GPT-3, so that attention's scores are 80 of 34 + 80
 * parts. */
static void test_activations(void **state)
{
    (void)state;
    const nb_shape *gpt3 = nb_shape_find("gpt-3");
    const double all = nb_activation_bytes(gpt3, 2048, 1, NB_RECOMPUTE_NOTHING),
                 selective = nb_activation_bytes(gpt3, 2048, 1, NB_RECOMPUTE_ATTENTION),
                 inputs = nb_activation_bytes(gpt3, 2048, 1, NB_RECOMPUTE_LAYERS);
    assert_true(all * 34 == selective * (34 + 80));
    assert_true(inputs * 17 == selective);
    assert_true(inputs == 96.0 * 2 * 2048 * 12288);
    assert_true(nb_activation_bytes(gpt3, 2048, 3, NB_RECOMPUTE_NOTHING) == 3 * all);
}

static void test_place(void **state)
{
    (void)state;
    const double pieces[] = {5, 3, 3, 3, 3, 4};
    nb_device devices[] = {
        {.name = "a", .bytes = 11}, {.name = "b", .bytes = 2}, {.name = "c", .bytes = INFINITY}};
    assert_int_equal(nb_place(pieces, 6, devices, 3), 6);
    assert_int_equal(devices[0].n, 3);
    assert_true(devices[0].used == 11);
    assert_int_equal(devices[1].n, 0);
    assert_int_equal(devices[2].first, 3);
    assert_int_equal(devices[2].n, 3);
    assert_int_equal(nb_place(pieces, 6, devices, 2), 3);
}

/* A model in memory: what its tensors hold, and the same as its shape says. */
static void test_loaded(void **state)
{
    (void)state;
    nb_model *model = load_file(make_gguf("shape.gguf", &ragged_shape), NULL);
    nb_shape shape;
    nb_parameters held;
    nb_shape_of_model(model, &shape, &held);
    shape.gated = true;
    const nb_parameters computed = nb_shape_parameters(&shape);
    assert_true(held.total == computed.total && held.layer == computed.layer);
    assert_true(held.embeddings == computed.embeddings && held.head == computed.head);
    nb_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters), cmocka_unit_test(test_weights),     cmocka_unit_test(test_cache),
        cmocka_unit_test(test_zero),       cmocka_unit_test(test_activations), cmocka_unit_test(test_place),
        cmocka_unit_test(test_loaded),
    };
    return cmocka_run_group_tests(tests, file_context_create, file_context_destroy);
}
