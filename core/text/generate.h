/* Writing text with a model, token by token. */
#ifndef NB_TEXT_GENERATE_H
#define NB_TEXT_GENERATE_H

#include "model/model.h"
#include "text/sampler.h"

typedef struct nb_generation {
    int32_t *tokens;       /* prompt and what was written */
    size_t n_prompt, n_generated;
    bool ended;            /* the model said it was done */
    double prompt_seconds, generate_seconds; /* measured */
} nb_generation;
void nb_generation_free(nb_generation *generation);

/* Called for each whole piece of text as it is written (never half a UTF-8 sequence). */
typedef void nb_stream_fn(void *user, const char *text, size_t n_bytes);

/* Feeds the prompt (with BOS if the model adds one) and writes up to n_tokens more. Stops at an end token, at a
 * full context, or with NB_ERR_CANCELLED, when what was written so far stands in *out. The session is reset first. */
nb_status nb_generate(nb_session *session, const char *prompt, size_t n_tokens, const nb_sampler_options *sampling,
                      nb_stream_fn *stream, void *user, nb_generation *out, nb_error *error);

#endif
