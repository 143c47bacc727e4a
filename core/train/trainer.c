#include "train/trainer.h"

#include "base/memory.h"
#include "files/vocabulary.h"
#include "train/checkpoint.h"
#include "train/pass.h"
#include "train/source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Tokens that go through the layers at once: more reuse what is packed better, fewer stay in the caches. Part of what
 * is computed, as the gradients of the parts are added. */
enum { PASS_TOKENS = 2048 };

typedef struct training {
    nb_context *context;
    const nb_train_config *config;
    const nb_train_options *options;
    nb_tokenizer *tokenizer;
    nb_network *network;
    nb_pass *pass;
    nb_adamw adamw;
    nb_train_source *source;
    nb_batch batch;
    double *token_losses; /* [PASS_TOKENS or more] */
    nb_training_state state;
    char *model_path, *checkpoint_path;
    double started;
    uint64_t first_step, n_tokens;
} training;

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- beginning ---- */

static nb_status open_tokenizer(training *t, nb_error *error)
{
    char *path = nb_train_config_path(t->config, t->config->tokenizer);
    nb_status status = path ? nb_tokenizer_load(path, &t->tokenizer, error)
                            : nb_fail(error, NB_ERR_MEMORY, "no memory to train");
    free(path);
    return status;
}

static nb_status name_paths(training *t, nb_error *error)
{
    const char *output = t->config->output;
    const size_t n = strlen(output);
    const size_t stem = n > 5 && strcmp(output + n - 5, ".gguf") == 0 ? n - 5 : n;
    t->model_path = nb_train_config_path(t->config, output);
    char *checkpoint = nb_format_text("%.*s.checkpoint.gguf", (int)stem, output);
    t->checkpoint_path = checkpoint ? nb_train_config_path(t->config, checkpoint) : NULL;
    free(checkpoint);
    return t->model_path && t->checkpoint_path ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory to train");
}

/* From nothing, or from the checkpoint. */
static nb_status begin_state(training *t, nb_error *error)
{
    const bool exists = access(t->checkpoint_path, F_OK) == 0;
    t->state = (nb_training_state){
        .network = t->network, .adamw = &t->adamw, .configuration = t->config->canonical};
    if (t->options->resume)
        return nb_checkpoint_load(t->checkpoint_path, &t->state, error);
    if (exists && !t->options->fresh)
        return nb_fail(error, NB_ERR_STATE, "%s is there from an earlier run: --resume goes on from it, --fresh begins anew",
                       t->checkpoint_path);
    nb_network_initialise(t->network, t->config->seed);
    return NB_OK;
}

static nb_status begin(training *t, nb_error *error)
{
    const nb_train_config *c = t->config;
    nb_status status = name_paths(t, error);
    if (status == NB_OK)
        status = open_tokenizer(t, error);
    if (status != NB_OK)
        return status;
    nb_hparams hparams = c->hparams;
    hparams.n_vocab = (uint32_t)nb_tokenizer_size(t->tokenizer);
    const size_t pass_tokens = nb_min_size(nb_max_size(PASS_TOKENS, hparams.n_ctx), c->batch_tokens);
    status = nb_train_source_open(c, t->tokenizer, &t->source, error);
    if (status == NB_OK)
        status = nb_network_create(t->context, &hparams, &t->network, error);
    if (status == NB_OK)
        status = nb_pass_create(t->network, pass_tokens, &t->pass, error);
    if (status == NB_OK)
        status = nb_adamw_create(t->network, &c->adamw, &t->adamw, error);
    if (status == NB_OK)
        status = nb_batch_create(c->batch_tokens, &t->batch, error);
    if (status == NB_OK) {
        t->token_losses = nb_calloc(pass_tokens, sizeof *t->token_losses);
        status = t->token_losses ? begin_state(t, error) : nb_fail(error, NB_ERR_MEMORY, "no memory to train");
    }
    t->first_step = t->adamw.step;
    return status;
}

static void end(training *t)
{
    nb_batch_free(&t->batch);
    nb_adamw_free(&t->adamw);
    nb_pass_destroy(&t->pass);
    nb_network_destroy(&t->network);
    nb_train_source_close(&t->source);
    nb_tokenizer_destroy(&t->tokenizer);
    free(t->token_losses);
    free(t->state.losses);
    free(t->model_path);
    free(t->checkpoint_path);
}

/* ---- steps ---- */

/* Gradients of the weighted mean loss of the whole batch, part by part; returns the plain mean. */
static double run_batch(training *t)
{
    const nb_sequences *all = &t->batch.sequences;
    const size_t pass_tokens = nb_min_size(nb_max_size(PASS_TOKENS, t->config->hparams.n_ctx), t->batch.max_tokens);
    const float weight = (float)(1.0 / t->batch.total_weight);
    double total = 0;
    for (size_t first = 0; first < all->n_sequences;) {
        const nb_sequences part = nb_batch_part(&t->batch, first, pass_tokens);
        nb_pass_run(t->pass, &part, weight, t->token_losses);
        for (size_t i = 0; i < part.n_tokens; i++)
            total = total + t->token_losses[i];
        first += part.n_sequences;
    }
    return total / (double)all->n_tokens;
}

static nb_status keep_loss(nb_training_state *state, double loss, nb_error *error)
{
    if (state->n_losses >= state->losses_capacity) {
        const size_t capacity = state->losses_capacity ? 2 * state->losses_capacity : 1024;
        float *losses = nb_realloc(state->losses, capacity, sizeof *losses);
        if (!losses)
            return nb_fail(error, NB_ERR_MEMORY, "no memory for the losses of so many steps");
        state->losses = losses;
        state->losses_capacity = capacity;
    }
    state->losses[state->n_losses++] = (float)loss;
    return NB_OK;
}

static void report(const training *t, double loss, double norm, double rate)
{
    if (!t->options->report)
        return;
    const double elapsed = seconds_now() - t->started;
    const uint64_t done = t->adamw.step - t->first_step, left = t->config->steps - t->adamw.step;
    const nb_train_report r = {.step = t->adamw.step,
                               .n_steps = t->config->steps,
                               .loss = loss,
                               .gradient_norm = norm,
                               .learning_rate = rate,
                               .n_tokens = t->batch.sequences.n_tokens,
                               .tokens_per_second = elapsed > 0 ? (double)t->n_tokens / elapsed : 0,
                               .seconds_left = elapsed / (double)done * (double)left};
    t->options->report(t->options->user, &r);
}

static nb_status step(training *t, nb_error *error)
{
    nb_status status = nb_batch_fill(&t->batch, t->source, &t->state.next, error);
    if (status != NB_OK)
        return status;
    const double rate = nb_train_config_rate(t->config, t->adamw.step);
    const double loss = run_batch(t);
    const double norm = nb_adamw_step(&t->adamw, t->network, rate);
    if (!isfinite(loss) || !isfinite(norm))
        return nb_fail(error, NB_ERR_STATE,
                       "step %llu: the loss or its gradient is no number any more; lower learning_rate, or raise warmup",
                       (unsigned long long)t->adamw.step + 1);
    t->n_tokens += t->batch.sequences.n_tokens;
    status = keep_loss(&t->state, loss, error);
    if (status == NB_OK)
        report(t, loss, norm, rate);
    return status;
}

static nb_status keep_checkpoint(const training *t, nb_error *error)
{
    return nb_checkpoint_save(&t->state, t->tokenizer, t->config->name, t->checkpoint_path, error);
}

/* Takes steps until all are done, time is up (then `stopped` is set), or somebody asks to stop. */
static nb_status take_steps(training *t, bool *stopped, nb_error *error)
{
    const nb_train_options *o = t->options;
    nb_status status = NB_OK;
    *stopped = false;
    while (t->adamw.step < t->config->steps) {
        *stopped = (o->until_step && t->adamw.step >= o->until_step) ||
                   (o->seconds > 0 && seconds_now() - t->started >= o->seconds);
        if (*stopped)
            return keep_checkpoint(t, error);
        status = step(t, error);
        if (status != NB_OK)
            return status;
        if (nb_context_tick(t->context, "training", t->adamw.step, t->config->steps, "steps", error) != NB_OK) {
            status = keep_checkpoint(t, error);
            return status == NB_OK ? nb_fail(error, NB_ERR_CANCELLED, "stopped after step %llu; --resume goes on from %s",
                                             (unsigned long long)t->adamw.step, t->checkpoint_path)
                                   : status;
        }
        if (t->adamw.step % t->config->checkpoint_every == 0 && t->adamw.step < t->config->steps)
            status = keep_checkpoint(t, error);
        if (status != NB_OK)
            return status;
    }
    return status;
}

/* ---- the whole ---- */

static double matrix_weights(const nb_network *network)
{
    double n = 0;
    for (size_t i = 0; i < network->n_weights; i++) {
        const nb_weight *w = &network->weights[i];
        if (!w->shape.is_vector && (w != network->token_embd || network->head == w))
            n += (double)w->shape.n_rows * (double)w->shape.n_cols;
    }
    return n;
}

/* Hands the losses and the paths over. */
static void fill_result(training *t, bool finished, nb_train_result *out)
{
    *out = (nb_train_result){.finished = finished,
                             .step = t->adamw.step,
                             .n_steps = t->config->steps,
                             .n_tokens = t->n_tokens,
                             .n_parameters = t->network->n_values,
                             .seconds = seconds_now() - t->started,
                             .operations = 6.0 * matrix_weights(t->network) * (double)t->n_tokens,
                             .losses = t->state.losses,
                             .n_losses = t->state.n_losses,
                             .model = finished ? t->model_path : NULL,
                             .checkpoint = finished ? NULL : t->checkpoint_path};
    t->state.losses = NULL;
    if (finished)
        t->model_path = NULL;
    else
        t->checkpoint_path = NULL;
}

nb_status nb_train(nb_context *context, const nb_train_config *config, const nb_train_options *options,
                   nb_train_result *out, nb_error *error)
{
    training t = {.context = context, .config = config, .options = options};
    bool stopped = false;
    *out = (nb_train_result){0};
    nb_status status = begin(&t, error);
    t.started = seconds_now();
    if (status == NB_OK)
        status = take_steps(&t, &stopped, error);
    if (status == NB_OK && !stopped) {
        status = nb_network_save(t.network, t.tokenizer, config->name, nb_format_find(config->format), t.model_path,
                                 error);
        if (status == NB_OK)
            unlink(t.checkpoint_path);
    }
    if (status == NB_OK)
        fill_result(&t, !stopped, out);
    end(&t);
    return status;
}

void nb_train_result_free(nb_train_result *result)
{
    free(result->losses);
    free(result->model);
    free(result->checkpoint);
    *result = (nb_train_result){0};
}
