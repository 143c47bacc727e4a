#include "repl/subcommands.h"

#include "repl/commands/table.h"
#include "repl/front.h"
#include "repl/lesson/submission.h"
#include "repl/nearest.h"
#include "repl/signals.h"

#include <stdlib.h>
#include <string.h>

static const nb_command *const subcommands[] = {
    &nb_subcommand_generate, &nb_subcommand_perplexity, &nb_subcommand_quiz,      &nb_subcommand_quantize,
    &nb_command_inspect,  &nb_subcommand_bench,      &nb_subcommand_tokenizer, &nb_subcommand_corpus,
    &nb_subcommand_train,    &nb_subcommand_grade,      &nb_command_doctor,
};

size_t nb_subcommand_count(void)
{
    return sizeof subcommands / sizeof *subcommands;
}
const nb_command *nb_subcommand_at(size_t index)
{
    return subcommands[index];
}

const nb_command *nb_subcommand_find(const char *name)
{
    for (size_t i = 0; i < nb_subcommand_count(); i++) {
        if (strcmp(subcommands[i]->name, name) == 0)
            return subcommands[i];
    }
    return NULL;
}

nb_status nb_subcommand_load(nb_notebook *notebook, const nb_call *call, nb_error *error)
{
    const char *path = nb_call_text(call, "model", NULL);
    if (!path)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s needs a model: -m FILE", call->command->name);
    char *found = NULL;
    nb_status status = nb_notebook_path(notebook, path, true, &found, error);
    nb_load_options options = {.tokenizer = nb_call_text(call, "tokenizer", NULL)};
    if (status == NB_OK)
        status = nb_model_load(notebook->context, found, &options, &notebook->model, error);
    free(found);
    return status;
}

static bool has_option(const nb_command *command, const char *name)
{
    for (size_t i = 0; i < nb_command_option_count(command); i++) {
        if (strcmp(command->options[i].name, name) == 0)
            return true;
    }
    return false;
}

static nb_status run_row(nb_front *front, const nb_call *call, nb_error *error)
{
    nb_items items = {0};
    nb_signals_begin();
    nb_status status = call->command->run(front->notebook, call, &items, error);
    nb_signals_end();
    nb_progress_clear(&front->progress);
    if (items.count && !items.failed)
        nb_screen_show(&front->screen, &items, 0);
    if (status == NB_OK && items.failed)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to show the result");
    nb_items_free(&items);
    return status;
}

static void show_usage(const nb_command *subcommand)
{
    nb_items items = {0};
    nb_screen screen;
    nb_screen_init(&screen, stdout);
    nb_command_describe(subcommand, &items);
    nb_screen_show(&screen, &items, 0);
    nb_screen_free(&screen);
    nb_items_free(&items);
}

/* A subcommand with everything read: opens what it needs and runs it. */
static int run_call(const nb_call *call)
{
    nb_front front;
    nb_error error = {""};
    nb_front_options options = {0};
    if (has_option(call->command, "threads"))
        options.n_threads = (unsigned)nb_call_number(call, "threads", 0);
    nb_status status = nb_front_open(&front, &options, &error);
    if (status == NB_OK) {
        front.notebook->only_call = true;
        status = run_row(&front, call, &error);
    }
    if (status != NB_OK)
        nb_front_complain("nibble", error.text);
    bool lost = fflush(stdout) != 0 || ferror(stdout);
    nb_front_close(&front);
    return status == NB_OK && !lost ? EXIT_SUCCESS : EXIT_FAILURE;
}

int nb_subcommand_run(const nb_command *subcommand, int n_arguments, char **arguments)
{
    nb_error error = {""};
    nb_call call;
    size_t n_words = (size_t)n_arguments - 1;
    nb_word *words = nb_calloc(n_words + 1, sizeof *words);
    if (!words) {
        nb_front_complain("nibble", "no memory");
        return EXIT_FAILURE;
    }
    bool wants_help = false;
    for (size_t i = 0; i < n_words; i++) {
        words[i] = (nb_word){.text = arguments[i + 1]};
        wants_help |= strcmp(words[i].text, "--help") == 0 || strcmp(words[i].text, "-h") == 0;
    }
    int result;
    if (wants_help) {
        show_usage(subcommand);
        result = EXIT_SUCCESS;
    } else if (subcommand == &nb_subcommand_grade) {
        result = nb_grade_main(n_arguments, arguments); /* takes any number of files */
    } else if (nb_call_read(subcommand, words, n_words, &call, &error) != NB_OK) {
        nb_front_complain("nibble", error.text);
        result = 2;
    } else {
        result = run_call(&call);
    }
    free(words);
    return result;
}
