/* For fuzzers of model files: a model that loads must also run and be saved, and be the same when it comes
 * back. */
#ifndef NB_TESTS_FUZZ_MODEL_H
#define NB_TESTS_FUZZ_MODEL_H

#include "files/load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz_file.h"

static inline nb_context *fuzz_context(void)
{
    static nb_context *context;
    const nb_context_options options = {.n_threads = 1};
    if (!context && nb_context_create(&options, &context, NULL) != NB_OK)
        exit(2);
    return context;
}

/* The logits of two tokens, malloc'ed; NULL where there is no memory for a session. */
static inline float *fuzz_run(nb_model *model)
{
    const uint32_t n_vocab = nb_model_hparams(model)->n_vocab;
    const int32_t tokens[2] = {0, (int32_t)n_vocab - 1};
    nb_session *session = NULL;
    nb_error error;
    const float *logits = NULL;
    float *copy = NULL;
    if (nb_session_create(model, NB_WEIGHTS_CURRENT, 4, &session, &error) != NB_OK)
        return NULL;
    if (nb_session_eval(session, tokens, 2, NB_LOGITS_ALL, &logits, &error) == NB_OK) {
        copy = calloc(2 * (size_t)n_vocab, sizeof *copy);
        if (copy)
            memcpy(copy, logits, 2 * (size_t)n_vocab * sizeof *copy);
    }
    nb_session_destroy(&session);
    return copy;
}

/* Saves the model and loads that: it must have the same logits. */
static inline void fuzz_round_trip(nb_model *model)
{
    char path[256];
    nb_model *back = NULL;
    nb_error error;
    float *logits = fuzz_run(model);
    fuzz_path(path, ".saved");
    if (logits && nb_model_save(model, path, &error) == NB_OK) {
        if (nb_model_load(fuzz_context(), path, NULL, &back, &error) != NB_OK) {
            fprintf(stderr, "what was saved does not load: %s\n", error.text);
            abort();
        }
        float *again = fuzz_run(back);
        if (again && memcmp(logits, again, 2 * nb_model_hparams(model)->n_vocab * sizeof *again) != 0) {
            fprintf(stderr, "what was saved has other logits\n");
            abort();
        }
        free(again);
        nb_model_destroy(&back);
        unlink(path);
    }
    free(logits);
}

static inline void fuzz_load(const uint8_t *data, size_t size, const nb_load_options *options)
{
    char path[256];
    nb_model *model = NULL;
    nb_error error;
    fuzz_path(path, ".model");
    fuzz_write(path, data, size);
    if (nb_model_load(fuzz_context(), path, options, &model, &error) == NB_OK) {
        fuzz_round_trip(model);
        nb_model_destroy(&model);
    }
    unlink(path);
}

#endif
