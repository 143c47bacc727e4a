#include "tests/support/transforms.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

const char *test_text(void)
{
    static char text[TEST_TEXT_BYTES + 1];
    nb_random random;
    nb_random_seed(&random, 77);
    for (size_t i = 0; i < TEST_TEXT_BYTES; i++)
        text[i] = nb_random_below(&random, 6) == 0 ? ' ' : (char)('a' + nb_random_below(&random, 26));
    return text;
}

nb_samples test_samples(const nb_model *model, size_t max_tokens)
{
    nb_error error = {""};
    nb_samples samples;
    if (nb_samples_create(model, test_text(), TEST_TEXT_BYTES, max_tokens, &samples, &error) != NB_OK)
        fail_msg("%s", error.text);
    return samples;
}

nb_synthetic test_shape_of(const nb_architecture *architecture)
{
    const bool grouped = strcmp(architecture->name, "gpt2") != 0;
    return (nb_synthetic){.architecture = architecture->name,
                          .n_layers = 2,
                          .n_embd = 48,
                          .n_heads = 4,
                          .n_kv_heads = grouped ? 2 : 4,
                          .n_ff = 80,
                          .n_vocab = 265,
                          .n_ctx = 40,
                          .seed = 12};
}

float *test_probe(nb_model *model, nb_weights weights)
{
    int32_t tokens[TEST_N_LOGIT_TOKENS];
    test_tokens(model, tokens, TEST_N_LOGIT_TOKENS);
    return test_logits(model, weights, tokens, TEST_N_LOGIT_TOKENS);
}

double test_moved(nb_model *model, nb_weights weights, const float *before)
{
    const size_t n = TEST_N_LOGIT_TOKENS * (size_t)nb_model_hparams(model)->n_vocab;
    float *after = test_probe(model, weights);
    double largest = 0, moved = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)before[i]));
        moved = fmax(moved, fabs((double)after[i] - (double)before[i]));
        assert_true(isfinite(after[i]));
    }
    free(after);
    assert_true(largest > 0);
    return moved / largest;
}

const nb_tensor *test_tensor(const nb_model *model, const char *name)
{
    const long index = nb_model_find_tensor(model, name);
    if (index < 0)
        fail_msg("no tensor %s", name);
    return nb_model_tensor(model, (size_t)index);
}
