/* nibble generate, nibble perplexity. */
#include "repl/commands/generate.h"
#include "repl/commands/ppl.h"
#include "repl/commands/quiz.h"
#include "repl/describe.h"
#include "repl/numbers.h"
#include "repl/subcommands.h"

#include <stdio.h>
#include <string.h>

/* ---- generate ---- */

static void write_out(void *user, const char *text, size_t n_bytes)
{
    (void)user;
    fwrite(text, 1, n_bytes, stdout);
    fflush(stdout);
}

/* Only what is generated, after its prompt, goes to standard output. */
static nb_status run_generate(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)out;
    const char *prompt = nb_call_text(call, "prompt", "");
    nb_sampler_options sampling = nb_sampling_read(call, &notebook->settings.sampling);
    nb_generation made = {0};
    nb_session *session = NULL;
    nb_status status = nb_subcommand_load(notebook, call, error);
    if (status == NB_OK && !nb_model_tokenizer(notebook->model))
        status = nb_fail(error, NB_ERR_STATE,
                         "this model came without a tokenizer, so it cannot read a prompt: --tokenizer FILE");
    if (status == NB_OK)
        status = nb_session_create(notebook->model, NB_WEIGHTS_CURRENT,
                                   (size_t)nb_call_number(call, "ctx", 0), &session, error);
    if (status == NB_OK) {
        size_t room = nb_session_n_ctx(session);
        size_t n_tokens = nb_call_has(call, "n") ? (size_t)nb_call_number(call, "n", 0) : room;
        write_out(NULL, prompt, strlen(prompt));
        status = nb_generate(session, prompt, n_tokens, &sampling, write_out, NULL, &made, error);
        write_out(NULL, "\n", 1);
    }
    if (status == NB_OK && nb_call_has(call, "verbose") && made.generate_seconds > 0)
        fprintf(stderr, "prompt: %zu tokens, %s tokens/s; written: %zu tokens, %s tokens/s\n", made.n_prompt,
                nb_rate(made.prompt_seconds > 0 ? (double)made.n_prompt / made.prompt_seconds : 0).text,
                made.n_generated, nb_rate((double)made.n_generated / made.generate_seconds).text);
    nb_generation_free(&made);
    nb_session_destroy(&session);
    return status;
}

const nb_command nb_subcommand_generate = {
    .name = "generate",
    .usage =
        "nibble generate -m FILE -p TEXT [-n N] [--temp T] [--top-k K] [--top-p P] [--min-p P] [--seed S]",
    .summary = "write on from a prompt; only the text goes to standard output",
    .examples = {"nibble generate -m stories260K.bin -p \"Once upon a time\" -n 100",
                 "nibble generate -m model.gguf -p \"The answer is\" --temp 0.8 --seed 7"},
    .options =
        {NB_MODEL_OPTIONS,
         {.name = "prompt",
          .letter = 'p',
          .kind = NB_WORD_TEXT,
          .value = "TEXT",
          .summary = "what to go on from"},
         {.name = "n",
          .alias = "tokens",
          .letter = 'n',
          .kind = NB_WORD_COUNT,
          .value = "N",
          .low = 0,
          .high = 1e9,
          .summary = "how many tokens to write; until the end or a full context unless said"},
         {.name = "ctx",
          .alias = "ctx-size",
          .letter = 'c',
          .kind = NB_WORD_COUNT,
          .value = "N",
          .low = 0,
          .high = 1e9,
          .summary = "positions to make room for; the model's unless said"},
         NB_SAMPLING_OPTIONS,
         {.name = "verbose", .letter = 'v', .kind = NB_WORD_FLAG, .summary = "speeds, to standard error"}},
    .run = run_generate,
};

/* ---- perplexity ---- */

static nb_status run_perplexity(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_mapping *text = NULL;
    nb_perplexity ppl = {0};
    if (!nb_call_has(call, "file"))
        return nb_fail(error, NB_ERR_ARGUMENT, "perplexity needs a text: -f FILE");
    const nb_reading reading = nb_reading_of(call, (size_t)nb_call_number(call, "n", 0));
    nb_status status =
        nb_notebook_text(notebook, nb_call_text(call, "file", NULL), "perplexity", &text, error);
    if (status == NB_OK)
        status = nb_subcommand_load(notebook, call, error);
    if (status == NB_OK)
        status = nb_perplexity_measure_as(notebook->model, NB_WEIGHTS_CURRENT, (const char *)text->data,
                                          text->size, &reading, &ppl, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    if (status == NB_OK) {
        int digits = nb_error_digits(ppl.standard_error);
        nb_items_value(out, "%s ± %s perplexity of %s, %s, %s bits a byte", nb_fixed(ppl.ppl, digits).text,
                       nb_fixed(ppl.standard_error, digits).text, nb_file_name(text->path),
                       nb_text_extent(&ppl).text, nb_fixed(ppl.bits_per_byte, 4).text);
    }
    nb_perplexity_free(&ppl);
    nb_mapping_close(&text);
    return status;
}

const nb_command nb_subcommand_perplexity = {
    .name = "perplexity",
    .usage = "nibble perplexity -m FILE -f TEXT [-n N] [-t N] [--protocol nibble|llama.cpp] [-c N]",
    .summary = "perplexity of a model on a text, with its standard error",
    .examples = {"nibble perplexity -m stories260K.bin -f tinystories-sample.txt"},
    .options = {NB_MODEL_OPTIONS,
                {.name = "file",
                 .alias = "text",
                 .letter = 'f',
                 .kind = NB_WORD_FILE,
                 .value = "TEXT",
                 .summary = "the text to predict"},
                {.name = "n",
                 .alias = "tokens",
                 .letter = 'n',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 0,
                 .high = 1e15,
                 .summary = "of the text's beginning; all unless said"},
                NB_PROTOCOL_OPTIONS},
    .run = run_perplexity,
};

/* ---- quiz ---- */

static nb_status run_quiz(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    if (!nb_call_has(call, "text"))
        return nb_fail(error, NB_ERR_ARGUMENT, "quiz needs a text: --text FILE");
    nb_status status = nb_subcommand_load(notebook, call, error);
    return status == NB_OK ? nb_quiz_command(notebook, call, nb_call_text(call, "text", NULL), out, error)
                           : status;
}

const nb_command nb_subcommand_quiz = {
    .name = "quiz",
    .usage = "nibble quiz -m FILE --text TEXT [-n N] [--show N] [-t N]",
    .summary = "questions to stories: how many of a model's answers are right",
    .examples = {"nibble quiz -m model.gguf --text quiz.txt -n 0"},
    .options = {NB_MODEL_OPTIONS, NB_QUIZ_OPTIONS},
    .run = run_quiz,
};
