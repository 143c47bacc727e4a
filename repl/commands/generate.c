#include "repl/commands/generate.h"

#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

nb_sampler_options nb_sampling_read(const nb_call *call, const nb_sampler_options *otherwise)
{
    nb_sampler_options sampling = *otherwise;
    sampling.temperature = (float)nb_call_number(call, "temperature", (double)sampling.temperature);
    sampling.top_k = (uint32_t)nb_call_number(call, "top-k", sampling.top_k);
    sampling.top_p = (float)nb_call_number(call, "top-p", (double)sampling.top_p);
    sampling.min_p = (float)nb_call_number(call, "min-p", (double)sampling.min_p);
    sampling.seed = (uint64_t)nb_call_number(call, "seed", (double)sampling.seed);
    return sampling;
}

nb_status nb_generate_text(nb_model *model, nb_weights weights, const char *prompt, size_t n_tokens,
                           const nb_sampler_options *sampling, nb_stream_fn *stream, void *user,
                           nb_generation *out, nb_error *error)
{
    /* A cache for what this prompt can need at most (a token is a byte or more), not for
     * the whole context. */
    size_t wanted, n_ctx = nb_model_hparams(model)->n_ctx;
    if (nb_add_size(strlen(prompt) + 8, n_tokens, &wanted) && wanted < n_ctx)
        n_ctx = wanted;
    nb_session *session = NULL;
    nb_status status = nb_session_create(model, weights, n_ctx, &session, error);
    if (status == NB_OK)
        status = nb_generate(session, prompt, n_tokens, sampling, stream, user, out, error);
    nb_session_destroy(&session);
    return status;
}

static void describe_sampling(const nb_sampler_options *sampling, nb_draft *out)
{
    if (sampling->temperature == 0) {
        nb_draft_add(out, "greedy");
        return;
    }
    nb_draft_addf(out, "temperature %s", nb_general((double)sampling->temperature, 4).text);
    if (sampling->top_k)
        nb_draft_addf(out, ", top-k %u", sampling->top_k);
    if (sampling->top_p < 1)
        nb_draft_addf(out, ", top-p %s", nb_general((double)sampling->top_p, 4).text);
    if (sampling->min_p > 0)
        nb_draft_addf(out, ", min-p %s", nb_general((double)sampling->min_p, 4).text);
    nb_draft_addf(out, ", seed %llu", (unsigned long long)sampling->seed);
}

void nb_generation_report(const nb_notebook *notebook, const nb_generation *made, const nb_sampler_options *sampling,
                          nb_items *out)
{
    nb_draft how = {0};
    describe_sampling(sampling, &how);
    const char *end = made->ended ? " · the model ended it here" : "";
    if (made->n_prompt + made->n_generated >= nb_model_hparams(notebook->model)->n_ctx)
        end = " · the context is full";
    nb_items_text(out, NB_MUTED "%zu token%s · %s%s" NB_END, made->n_generated,
                  made->n_generated == 1 ? "" : "s", nb_draft_text(&how), end);
    if (made->generate_seconds > 0 && made->n_generated > 1)
        nb_items_text(out,
                      "prompt of %zu tokens in " NB_MEASURED "%s ms" NB_END ", then " NB_MEASURED
                      "%s tokens/s" NB_END,
                      made->n_prompt, nb_general(1000 * made->prompt_seconds, 2).text,
                      nb_rate((double)made->n_generated / made->generate_seconds).text);
    nb_draft_free(&how);
}

static void add_text(const nb_notebook *notebook, const nb_generation *made, const char *prompt,
                     nb_items *out)
{
    size_t n_bytes = 0;
    nb_draft whole = {0};
    char *text = nb_tokenizer_decode(nb_model_tokenizer(notebook->model), made->tokens + made->n_prompt,
                                     made->n_generated, &n_bytes);
    nb_draft_add(&whole, prompt);
    if (text)
        nb_draft_append(&whole, text, n_bytes);
    nb_items_literal(out, nb_draft_text(&whole), whole.n_bytes, notebook->stream != NULL);
    nb_draft_free(&whole);
    free(text);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *prompt = call->arguments[0];
    nb_sampler_options sampling = nb_sampling_read(call, &notebook->settings.sampling);
    size_t n_tokens = (size_t)nb_call_number(call, "tokens", notebook->settings.n_tokens);
    nb_generation made = {0};
    if (!nb_model_tokenizer(notebook->model))
        return nb_fail(error, NB_ERR_STATE,
                       "this model came without a tokenizer, so it cannot read a prompt: load FILE "
                       "--tokenizer tokenizer.bin");
    if (notebook->stream)
        notebook->stream(notebook->user, prompt, strlen(prompt));
    nb_status status = nb_generate_text(notebook->model, NB_WEIGHTS_CURRENT, prompt, n_tokens, &sampling,
                                        notebook->stream, notebook->user, &made, error);
    if (status == NB_OK || (status == NB_ERR_CANCELLED && made.tokens)) {
        add_text(notebook, &made, prompt, out);
        nb_generation_report(notebook, &made, &sampling, out);
    }
    nb_generation_free(&made);
    return status;
}

const nb_command nb_command_generate = {
    .name = "generate",
    .group = "Running it",
    .usage =
        "generate \"PROMPT\" [--tokens N] [--temperature T] [--top-k K] [--top-p P] [--min-p P] [--seed S]",
    .summary = "let the model go on from a prompt",
    .details = "The same prompt, options and seed give the same text on every machine. Ctrl-C stops it and "
               "keeps what was written.",
    .examples = {"generate \"Once upon a time\" --tokens 60",
                 "generate \"The little dog\" --temperature 0.8 --seed 7"},
    .source = "top-p: Holtzman et al., arXiv 1904.09751; min-p: Nguyen et al., arXiv 2407.01082",
    .arguments = {{"PROMPT", NB_WORD_TEXT, false}},
    .options = {NB_SAMPLING_OPTIONS,
                {.name = "tokens",
                 .letter = 'n',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1 << 20,
                 .summary = "how many to write"}},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
