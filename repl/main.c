/* nibble: the program. */
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/front.h"
#include "repl/library.h"
#include "repl/nearest.h"
#include "repl/run_file.h"
#include "repl/subcommands.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const nb_column help_columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};

static void add_row(nb_items *items, const char *what, const char *does)
{
    nb_items_row(items);
    nb_items_cell(items, 0, NB_COMMAND "%s" NB_END, what);
    nb_items_cell(items, 1, "%s", does);
}

static void describe_program(nb_items *items)
{
    nb_items_text(items, NB_STRONG "nibble" NB_END " " NIBBLE_VERSION
                                   ": a notebook for learning how language models are quantized");
    nb_items_table(items, help_columns, 2);
    add_row(items, "nibble [MODEL]", "the notebook; its own help says what can be typed there");
    add_row(items, "nibble --resume", "the notebook as it was left, or lost: its cells are run again");
    add_row(items, "nibble -c 'CELL; CELL'", "runs cells and leaves");
    add_row(items, "nibble run FILE", nb_subcommand_run_file.summary);
    for (size_t i = 0; i < nb_subcommand_count(); i++) {
        char what[64];
        snprintf(what, sizeof what, "nibble %s", nb_subcommand_at(i)->name);
        add_row(items, what, nb_subcommand_at(i)->summary);
    }
    add_row(items, "nibble help NAME", "more about a subcommand or a command of the notebook");
    nb_items_text(
        items, "Before these: -t N sets the threads, --plot MODE how figures are drawn. NIBBLE_ISA=scalar "
               "(or another level that nibble doctor lists) chooses the kernels; the results stay the same.");
}

static int complain(const char *sentence)
{
    nb_front_complain("nibble", sentence);
    return 2;
}

static int unknown_word(const char *word)
{
    nb_error error;
    nb_nearest nearest;
    nb_nearest_start(&nearest, word);
    for (size_t i = 0; i < nb_subcommand_count(); i++)
        nb_nearest_offer(&nearest, nb_subcommand_at(i)->name);
    nb_nearest_offer(&nearest, "run");
    nb_nearest_offer(&nearest, "help");
    if (nearest.best)
        nb_fail(&error, NB_ERR_ARGUMENT, "no subcommand \"%.60s\": did you mean nibble %s?", word,
                nearest.best);
    else if (nb_command_find(word))
        nb_fail(&error, NB_ERR_ARGUMENT, "%s is a command of the notebook: nibble -c '%s ...'", word, word);
    else
        nb_fail(&error, NB_ERR_ARGUMENT,
                "no subcommand and no file \"%.60s\": nibble help lists what there is", word);
    return complain(error.text);
}

static int show_help(const char *name)
{
    nb_screen screen;
    nb_items items = {0};
    const nb_command *command = name ? nb_subcommand_find(name) : NULL;
    if (name && strcmp(name, nb_subcommand_run_file.name) == 0)
        command = &nb_subcommand_run_file;
    if (name && !command)
        command = nb_command_find(name);
    if (name && !command)
        return unknown_word(name);
    if (command)
        nb_command_describe(command, &items);
    else
        describe_program(&items);
    nb_screen_init(&screen, stdout);
    nb_screen_show(&screen, &items, 0);
    nb_screen_free(&screen);
    nb_items_free(&items);
    return EXIT_SUCCESS;
}

/* ---- the notebook in its four dresses ---- */

/* A file, or a model that comes with nibble. */
static bool is_model(const char *word)
{
    char *built_in = nb_library_find_model(word);
    const bool found = built_in || access(word, F_OK) == 0;
    free(built_in);
    return found;
}

typedef struct command_line {
    nb_front_options front;
    const char *cells; /* -c */
    const char *model; /* opened first */
    bool resume;
} command_line;

static nb_status run_notebook(nb_front *front, const command_line *line)
{
    char *load = NULL;
    if (line->model)
        load = nb_format_text("load \"%s\"", line->model);
    nb_status status = NB_OK;
    bool on_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    nb_error error;
    if (line->resume && (line->cells || !on_terminal)) {
        status = nb_front_resume(front, &error);
        if (status != NB_OK)
            nb_front_complain("nibble", error.text);
    }
    if (!line->cells && on_terminal) {
        status = nb_front_converse(front, load, line->resume);
    } else {
        if (status == NB_OK && load)
            status = nb_front_run(front, load, strlen(load), "nibble");
        if (status == NB_OK && line->cells)
            status = nb_front_run(front, line->cells, strlen(line->cells), "nibble");
        else if (status == NB_OK)
            status = nb_run_script(front, "-");
    }
    free(load);
    return status;
}

static int open_notebook(const command_line *line)
{
    nb_front front;
    nb_error error = {""};
    nb_status status = nb_front_open(&front, &line->front, &error);
    if (status == NB_OK)
        status = run_notebook(&front, line);
    else
        nb_front_complain("nibble", error.text);
    if (fflush(stdout) != 0 && status == NB_OK)
        status = NB_ERR_IO;
    nb_front_close(&front);
    return status == NB_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- the command line ---- */

static int run_words(int n, char **words, command_line *line)
{
    const char *word = words[0];
    const nb_command *subcommand = nb_subcommand_find(word);
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return show_help(n > 1 ? words[1] : NULL);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0 || strcmp(word, "version") == 0) {
        puts("nibble " NIBBLE_VERSION);
        return EXIT_SUCCESS;
    }
    if (subcommand)
        return nb_subcommand_run(subcommand, n, words);
    if (strcmp(word, "run") == 0)
        return nb_run_file(n - 1, words + 1, &line->front);
    if (n == 1 && is_model(word)) {
        line->model = word;
    } else {
        return unknown_word(word);
    }
    return open_notebook(line);
}

int main(int argc, char **argv)
{
    command_line line = {0};
    int at = 1;
    setlocale(LC_CTYPE, "");
    for (; at < argc; at++) {
        bool threads = strcmp(argv[at], "-t") == 0 || strcmp(argv[at], "--threads") == 0;
        bool plot = strcmp(argv[at], "--plot") == 0, cells = strcmp(argv[at], "-c") == 0;
        if (strcmp(argv[at], "--resume") == 0) {
            line.resume = true;
            continue;
        }
        if (strncmp(argv[at], "--plot=", 7) == 0) {
            line.front.picture = argv[at] + 7;
            continue;
        }
        if (!threads && !plot && !cells)
            break;
        if (at + 1 == argc)
            return complain(threads ? "-t wants a number of threads"
                            : plot  ? "--plot wants a mode: auto, kitty, sixel, braille, ascii or none"
                                    : "-c wants cells: nibble -c 'help'");
        at++;
        if (cells)
            line.cells = argv[at];
        else if (plot)
            line.front.picture = argv[at];
        else {
            char *end;
            unsigned long n = strtoul(argv[at], &end, 10);
            if (*end || n < 1 || n > 256)
                return complain("-t wants a number of threads from 1 to 256");
            line.front.n_threads = (unsigned)n;
        }
    }
    if (at < argc && !line.cells)
        return run_words(argc - at, argv + at, &line);
    if (at < argc)
        return complain("-c takes one argument: put quotes around the cells");
    return open_notebook(&line);
}
