/* nibble train. */
#include "repl/commands/figures.h"
#include "repl/describe.h"
#include "repl/notebook.h"
#include "repl/numbers.h"
#include "repl/progress.h"
#include "repl/subcommands.h"

#include "train/trainer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the line that moves ---- */

typedef struct watcher {
    bool moves, colour; /* a terminal: one line, drawn anew; else a line now and then */
    double shown_at;
} watcher;

enum { LINE_BYTES = 256 };

/* "42 s", "17 min", "2 h 05 min". */
static void describe_time(char *text, size_t size, double seconds)
{
    const unsigned long s = seconds > 0 && seconds < 1e9 ? (unsigned long)seconds : 0;
    if (s < 120)
        snprintf(text, size, "%lu s", s);
    else if (s < 7200)
        snprintf(text, size, "%lu min", s / 60);
    else
        snprintf(text, size, "%lu h %02lu min", s / 3600, s / 60 % 60);
}

static void describe_step(char *text, size_t size, const nb_train_report *r)
{
    char left[32];
    describe_time(left, sizeof left, r->seconds_left);
    snprintf(text, size, "step %s of %s  loss %s  %s tokens/s  %s left", nb_count(r->step).text,
             nb_count(r->n_steps).text, nb_fixed(r->loss, 4).text,
             nb_count((uint64_t)r->tokens_per_second).text, left);
}

static void show_step(void *user, const nb_train_report *r)
{
    watcher *w = user;
    const double now = nb_seconds_now(), pause = w->moves ? 0.1 : 15;
    if (w->shown_at > 0 && now - w->shown_at < pause && r->step < r->n_steps)
        return;
    char line[LINE_BYTES];
    describe_step(line, sizeof line, r);
    if (w->moves)
        fprintf(stderr, "\r%s  %s%s\x1b[K", w->colour ? "\x1b[2m" : "", line, w->colour ? "\x1b[0m" : "");
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    w->shown_at = now;
}

/* ---- what came of it ---- */

static void describe(const nb_train_result *r, nb_context *context, nb_items *out)
{
    char spent[32];
    describe_time(spent, sizeof spent, r->seconds);
    if (r->finished)
        nb_items_text(out, "%s: %s parameters, %s steps", r->model, nb_count(r->n_parameters).text,
                      nb_count(r->step).text);
    else
        nb_items_text(out, "stopped after step %s of %s; " NB_COMMAND "--resume" NB_END " goes on from %s",
                      nb_count(r->step).text, nb_count(r->n_steps).text, r->checkpoint);
    if (r->n_tokens > 0)
        nb_items_text(out,
                      "%s tokens in " NB_MEASURED "%s" NB_END ": " NB_MEASURED "%s tokens/s, %s of the FMA peak" NB_END,
                      nb_count(r->n_tokens).text, spent, nb_count((uint64_t)((double)r->n_tokens / r->seconds)).text,
                      nb_percent(r->operations / r->seconds / nb_measure_fma_peak(context)).text);
}

/* The mean loss of each of at most so many stretches of steps. */
enum { STRETCHES = 200 };

static nb_status draw_losses(nb_notebook *notebook, const nb_call *call, const nb_train_result *r, const char *name,
                             nb_items *out, nb_error *error)
{
    double means[STRETCHES];
    const size_t n = nb_min_size(r->n_losses, STRETCHES);
    char headline[160], subline[256], sentence[512];
    for (size_t i = 0; i < n; i++) {
        const size_t begin = i * r->n_losses / n, end = (i + 1) * r->n_losses / n;
        means[i] = 0;
        for (size_t k = begin; k < end; k++)
            means[i] += (double)r->losses[k] / (double)(end - begin);
    }
    if (n < 2)
        return NB_OK;
    snprintf(headline, sizeof headline, "The loss fell from %s to %s nats a token", nb_fixed(means[0], 2).text,
             nb_fixed(means[n - 1], 2).text);
    snprintf(subline, sizeof subline, "%.40s, %s parameters, %s of %s steps", name, nb_count(r->n_parameters).text,
             nb_count(r->step).text, nb_count(r->n_steps).text);
    snprintf(sentence, sizeof sentence, "Training loss by step: %s (%s).", headline, subline);
    const nb_figure figure = {.kind = NB_FIGURE_CURVE,
                              .headline = headline,
                              .subline = subline,
                              .x_label = "step",
                              .y_label = "loss, nats a token",
                              .x_low = 1,
                              .x_high = (double)r->n_losses,
                              .n = n,
                              .before = {"training", means},
                              .sentence = sentence};
    return nb_figure_put(notebook, call, &figure, out, error);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    nb_train_config config;
    nb_train_result result = {0};
    watcher w = {.moves = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0,
                 .colour = !(no_colour && *no_colour)};
    const nb_train_options options = {.resume = nb_call_has(call, "resume"),
                                      .fresh = nb_call_has(call, "fresh"),
                                      .seconds = 60.0 * nb_call_number(call, "minutes", 0),
                                      .until_step = (uint64_t)nb_call_number(call, "until", 0),
                                      .report = show_step,
                                      .user = &w};
    if (options.resume && options.fresh)
        return nb_fail(error, NB_ERR_ARGUMENT, "--resume goes on and --fresh begins anew: say one of them");
    nb_status status = nb_train_config_read(call->arguments[0], nb_call_text(call, "with", NULL), &config, error);
    if (status != NB_OK)
        return status;
    nb_progress_fn *const progress = notebook->context->progress;
    notebook->context->progress = NULL; /* the line says more */
    status = nb_train(notebook->context, &config, &options, &result, error);
    notebook->context->progress = progress;
    if (w.moves && w.shown_at > 0)
        fputs("\r\x1b[K", stderr);
    if (status == NB_OK)
        describe(&result, notebook->context, out);
    if (status == NB_OK)
        status = draw_losses(notebook, call, &result, config.name, out, error);
    nb_train_result_free(&result);
    nb_train_config_free(&config);
    return status;
}

const nb_command nb_subcommand_train = {
    .name = "train",
    .usage = "nibble train CONFIG [--with SETTINGS] [--resume|--fresh] [--minutes M] [--until STEP] [--png FILE] [-t N]",
    .summary = "train a llama from a configuration; the same one gives the same bits everywhere",
    .details = "A checkpoint is kept beside the model every so often, when the time is up, and on Ctrl-C; it opens with "
               "load, and --resume goes on from it as if nothing had been. lessons/story/story.train is an example.",
    .examples = {"nibble train lessons/story/story.train", "nibble train my.train --minutes 30",
                 "nibble train my.train --resume"},
    .source = "AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101",
    .arguments = {{"CONFIG", NB_WORD_FILE, false}},
    .options = {{.name = "with",
                 .kind = NB_WORD_TEXT,
                 .value = "SETTINGS",
                 .summary = "settings that go before the file's: \"steps = 20; seed = 7\""},
                {.name = "resume", .kind = NB_WORD_FLAG, .summary = "go on from the checkpoint"},
                {.name = "fresh", .kind = NB_WORD_FLAG, .summary = "begin anew, whatever checkpoint there is"},
                {.name = "minutes",
                 .kind = NB_WORD_NUMBER,
                 .value = "M",
                 .low = 0,
                 .high = 1e6,
                 .summary = "stop with a checkpoint after so long"},
                {.name = "until",
                 .kind = NB_WORD_COUNT,
                 .value = "STEP",
                 .low = 1,
                 .high = 1e9,
                 .summary = "stop with a checkpoint after that step"},
                NB_FIGURE_OPTIONS,
                NB_THREADS_OPTION},
    .needs = NB_WRITES_FILES,
    .run = run,
};
