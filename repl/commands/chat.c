#include "repl/commands/generate.h"
#include "repl/commands/table.h"

#include "text/chat.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The template of a conversation that begins. */
static nb_status choose_template(nb_notebook *notebook, const nb_call *call, nb_error *error)
{
    const char *name = nb_call_text(call, "template", NULL);
    if (!name)
        return nb_chat_template_of(nb_model_tokenizer(notebook->model), &notebook->chat.template, error);
    notebook->chat.template = nb_chat_template_find(name);
    if (notebook->chat.template)
        return NB_OK;
    char known[128];
    nb_chat_template_list(known, sizeof known);
    return nb_fail(error, NB_ERR_ARGUMENT, "no chat template \"%.40s\": there are %s", name, known);
}

/* Adds a turn, a copy. */
static nb_status add_turn(nb_notebook *notebook, nb_chat_role role, const char *text, nb_error *error)
{
    nb_conversation *chat = &notebook->chat;
    char *copy = nb_strdup(text);
    nb_chat_turn *grown = nb_realloc(chat->turns, chat->n_turns + 1, sizeof *grown);
    if (grown)
        chat->turns = grown;
    if (!copy || !grown) {
        free(copy);
        return nb_fail(error, NB_ERR_MEMORY, "no memory for another turn; begin anew with --new");
    }
    chat->turns[chat->n_turns++] = (nb_chat_turn){role, copy};
    return NB_OK;
}

static void drop_turns(nb_notebook *notebook, size_t n_kept)
{
    nb_conversation *chat = &notebook->chat;
    while (chat->n_turns > n_kept)
        free((char *)(uintptr_t)chat->turns[--chat->n_turns].text);
}

/* What the model wrote, as the assistant's turn. */
static nb_status keep_answer(nb_notebook *notebook, const nb_generation *made, nb_items *out, nb_error *error)
{
    size_t n_bytes = 0;
    char *text = nb_tokenizer_decode(nb_model_tokenizer(notebook->model), made->tokens + made->n_prompt,
                                     made->n_generated, &n_bytes);
    if (!text)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the answer");
    nb_items_literal(out, text, n_bytes, notebook->stream != NULL);
    nb_status status = add_turn(notebook, NB_CHAT_ASSISTANT, text, error);
    free(text);
    return status;
}

static nb_status answer(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const nb_sampler_options sampling = nb_sampling_read(call, &notebook->settings.sampling);
    const size_t n_tokens = (size_t)nb_call_number(call, "tokens", notebook->settings.n_tokens);
    const nb_conversation *chat = &notebook->chat;
    nb_generation made = {0};
    char *prompt = NULL;
    nb_status status = nb_chat_write(chat->template, nb_model_tokenizer(notebook->model), chat->turns,
                                     chat->n_turns, &prompt, error);
    if (status == NB_OK)
        status = nb_generate_text(notebook->model, NB_WEIGHTS_CURRENT, prompt, n_tokens, &sampling,
                                  notebook->stream, notebook->user, &made, error);
    free(prompt);
    if (made.tokens && (status == NB_OK || status == NB_ERR_CANCELLED)) {
        const nb_status kept = keep_answer(notebook, &made, out, error);
        if (kept == NB_OK)
            nb_generation_report(notebook, &made, &sampling, out);
        status = kept == NB_OK ? status : kept;
    }
    nb_generation_free(&made);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *system = nb_call_text(call, "system", NULL);
    if (!nb_model_tokenizer(notebook->model))
        return nb_fail(error, NB_ERR_STATE,
                       "this model came without a tokenizer, so it cannot read what you say");
    nb_status status = NB_OK;
    if (nb_call_has(call, "new") || system || nb_call_has(call, "template"))
        nb_notebook_forget_chat(notebook);
    if (notebook->chat.n_turns == 0) {
        status = choose_template(notebook, call, error);
        if (status == NB_OK && system)
            status = add_turn(notebook, NB_CHAT_SYSTEM, system, error);
    }
    const size_t n_before = notebook->chat.n_turns;
    if (status == NB_OK)
        status = add_turn(notebook, NB_CHAT_USER, call->arguments[0], error);
    if (status == NB_OK)
        status = answer(notebook, call, out, error);
    if (notebook->chat.n_turns < n_before + 2) /* not answered: not said */
        drop_turns(notebook, n_before);
    return status;
}

const nb_command nb_command_chat = {
    .name = "chat",
    .group = "Running it",
    .usage = "chat \"TEXT\" [--new] [--system \"TEXT\"] [--template NAME] [--tokens N] [--temperature T] "
             "[--top-k K] "
             "[--top-p P] [--min-p P] [--seed S]",
    .summary = "talk to a model that was taught to answer",
    .details = "What was said before goes along, until --new, --system or another model. The conversation is "
               "written "
               "as the model's makers wrote theirs: the file's chat template says how.",
    .examples = {"chat \"What is a quantizer?\"", "chat \"And a scale?\" --tokens 100",
                 "chat \"Hello\" --system \"You speak in rhymes.\" --temperature 0.7"},
    .source = "tokenizer.chat_template of the GGUF specification",
    .arguments = {{"TEXT", NB_WORD_TEXT, false}},
    .options = {NB_SAMPLING_OPTIONS,
                {.name = "tokens",
                 .letter = 'n',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1 << 20,
                 .summary = "how many to write"},
                {.name = "new", .kind = NB_WORD_FLAG, .summary = "forget what was said"},
                {.name = "system",
                 .kind = NB_WORD_TEXT,
                 .value = "TEXT",
                 .summary = "how the model is to answer; begins anew"},
                {.name = "template",
                 .kind = NB_WORD_TEXT,
                 .value = "NAME",
                 .summary = "write it this way, whatever the file says; begins anew"}},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
