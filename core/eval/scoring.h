/* A text cut into windows and run through one or two sessions in step: what perplexity
 * and comparison share. */
#ifndef NB_EVAL_SCORING_H
#define NB_EVAL_SCORING_H

#include "eval/evaluate.h"

#include <stdbool.h>

/* Targets [begin, end), each predicted from `before` and the targets of the window that precede it. */
typedef struct nb_window {
    size_t begin, end;
    int32_t before;      /* BOS; without one the token before the window */
    bool opens;          /* a document, or the text if it has none */
    size_t lead, n_lead; /* tokens of `leads` that are read between `before` and the targets, and not scored */
} nb_window;

/* The protocol of evaluate.h. A tokenizer without BOS has the token before a window in its place, so then the
 * very first token of a document is not scored. */
typedef struct nb_scored_text {
    int32_t *targets; /* [n_targets] */
    size_t n_targets;
    int32_t *leads;
    nb_window *windows; /* [n_windows], which hold all targets in order */
    size_t n_windows;
    size_t window;      /* tokens that a session reads at most */
    size_t n_documents; /* 0: the text is not parted into any */
    size_t n_bytes;     /* of text that the targets stand for */
} nb_scored_text;

nb_status nb_scored_text_create(const nb_model *model, const char *text, size_t n_bytes, const nb_reading *reading,
                                nb_scored_text *out, nb_error *error);
void nb_scored_text_free(nb_scored_text *text);

/* Logits before targets [first, first + count), of each session. On the caller's thread. */
typedef void nb_scored_fn(void *user, size_t first, size_t count, const float *const *logits);

/* Runs all windows. seconds[i] grows by what session i took. Ends with a check of the model's mapping. */
nb_status nb_score(nb_model *model, const nb_scored_text *text, nb_session *const *sessions,
                   size_t n_sessions, const char *what, nb_scored_fn *fn, void *user, double *seconds,
                   nb_error *error);

/* Mean of x[n] and its standard error (NaN for fewer than two); sums in 16 lanes. */
void nb_mean_and_error(const double *x, size_t n, double *mean, double *standard_error);

#endif
