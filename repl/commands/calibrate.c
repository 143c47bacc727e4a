#include "repl/commands/calibrate.h"

#include "base/memory.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/nearest.h"
#include "repl/numbers.h"

#include <stdlib.h>
#include <string.h>

/* ---- what commands share ---- */

static const struct {
    const char *name;
    nb_activation_mode mode;
} modes[] = {{"blocks", NB_ACTIVATION_BLOCKS},
             {"int8", NB_ACTIVATION_BLOCKS},
             {"token", NB_ACTIVATION_TOKENS},
             {"dynamic", NB_ACTIVATION_TOKENS},
             {"static", NB_ACTIVATION_STATIC},
             {"static:channel", NB_ACTIVATION_CHANNELS}};

nb_status nb_activation_mode_read(const char *text, nb_activation_mode *out, nb_error *error)
{
    nb_nearest nearest;
    nb_nearest_start(&nearest, text);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        nb_nearest_offer(&nearest, modes[i].name);
        if (strcmp(modes[i].name, text) == 0) {
            *out = modes[i].mode;
            return NB_OK;
        }
    }
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "activations cannot be \"%.40s\": did you mean %s?", text,
                       nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "activations can be blocks, token (or dynamic), static or static:channel, not \"%.40s\"",
                   text);
}

bool nb_activation_mode_is_static(nb_activation_mode mode)
{
    return mode == NB_ACTIVATION_STATIC || mode == NB_ACTIVATION_CHANNELS;
}

nb_status nb_observer_read(const nb_call *call, nb_activation_mode mode, nb_observer *out, nb_error *error)
{
    const char *name = nb_call_text(call, "observer", mode == NB_ACTIVATION_CHANNELS ? "minmax" : "mse");
    return nb_observer_find(name, out)
               ? NB_OK
               : nb_fail(error, NB_ERR_ARGUMENT, "no observer is called \"%.40s\"", name);
}

/* ---- what it says ---- */

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Inputs with a channel whose largest number is so many times the median channel's. */
enum { FAR_CHANNEL = 20 };

static nb_status count_far(const nb_calibration *c, size_t *n_far, const nb_calibration_entry **farthest,
                           double *ratio, nb_error *error)
{
    *n_far = 0;
    *ratio = 0;
    *farthest = NULL;
    for (size_t i = 0; i < c->n_entries; i++) {
        const nb_calibration_entry *e = &c->entries[i];
        float *sorted = nb_calloc(e->n_cols, sizeof *sorted);
        if (!sorted)
            return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu channels", e->n_cols);
        memcpy(sorted, e->channel_max, e->n_cols * sizeof *sorted);
        qsort(sorted, e->n_cols, sizeof *sorted, ascending);
        const double median = (double)sorted[e->n_cols / 2], most = (double)sorted[e->n_cols - 1];
        free(sorted);
        if (!(median > 0))
            continue;
        *n_far += most / median > FAR_CHANNEL;
        if (most / median > *ratio) {
            *ratio = most / median;
            *farthest = e;
        }
    }
    return NB_OK;
}

static void describe_histograms(const nb_calibration *c, nb_items *out)
{
    size_t n_channels = 0;
    for (size_t i = 0; i < c->n_entries; i++)
        n_channels += c->entries[i].n_cols;
    nb_items_text(out, "With a histogram of each of %s channels, %s: static:channel goes by any observer.",
                  nb_count(n_channels).text, nb_bytes(nb_channel_histograms_n_bytes(n_channels)).text);
}

static nb_status describe(const nb_notebook *notebook, const nb_calibration *c, nb_items *out,
                          nb_error *error)
{
    const nb_calibration_entry *farthest;
    size_t n_far;
    double ratio;
    nb_status status = count_far(c, &n_far, &farthest, &ratio, error);
    if (status != NB_OK)
        return status;
    nb_string name = {c->text, strlen(c->text)};
    nb_draft text = {0};
    nb_draft_add_written(&text, name);
    nb_items_text(out, "%zu inputs of matrices · %s, %s tokens in %s sequences", c->n_entries,
                  nb_draft_text(&text), nb_count(c->n_tokens).text, nb_count(c->n_sequences).text);
    nb_draft_free(&text);
    if (farthest)
        nb_items_text(out,
                      "Farthest from its fellows: a channel into %s, %s times the median one; %s of the "
                      "inputs have one "
                      "of more than %d times.",
                      nb_model_tensor(notebook->model, farthest->tensors[0])->name, nb_general(ratio, 3).text,
                      nb_count(n_far).text, FAR_CHANNEL);
    if (c->by_channel)
        describe_histograms(c, out);
    return NB_OK;
}

/* ---- what it does ---- */

static void keep(nb_notebook *notebook, nb_calibration *made)
{
    nb_calibration_destroy(&notebook->calibration);
    notebook->calibration = made;
}

static nb_status collect(nb_notebook *notebook, const char *typed, size_t n_tokens, bool by_channel,
                         const char *command, nb_error *error)
{
    nb_mapping *text = NULL;
    nb_calibration *made = NULL;
    nb_status status = nb_notebook_calibration_text(notebook, typed, command, &text, error);
    if (status != NB_OK)
        return status;
    status = nb_calibration_collect(notebook->model, (const char *)text->data, text->size,
                                    nb_file_name(text->path), n_tokens, by_channel, &made, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    nb_mapping_close(&text);
    if (status == NB_OK)
        keep(notebook, made);
    else
        nb_calibration_destroy(&made);
    return status;
}

const nb_calibration *nb_notebook_calibration(const nb_notebook *notebook)
{
    const nb_calibration *kept = notebook->calibration;
    return kept && nb_calibration_check(kept, notebook->model, NULL) == NB_OK ? kept : NULL;
}

nb_status nb_notebook_calibrate(nb_notebook *notebook, const char *command, nb_items *out,
                                const nb_calibration **calibration, nb_error *error)
{
    *calibration = nb_notebook_calibration(notebook);
    return *calibration ? NB_OK
                        : nb_notebook_calibrate_anew(notebook, NULL, NB_CALIBRATION_TOKENS, command, out,
                                                     calibration, error);
}

nb_status nb_notebook_calibrate_anew(nb_notebook *notebook, const char *text, size_t n_tokens,
                                     const char *command, nb_items *out, const nb_calibration **calibration,
                                     nb_error *error)
{
    char described[128];
    nb_status status = collect(notebook, text, n_tokens, false, command, error);
    if (status == NB_OK)
        nb_items_text(out, NB_MUTED "calibrated with %s" NB_END,
                      nb_calibration_describe(notebook->calibration, described, sizeof described));
    *calibration = notebook->calibration;
    return status;
}

static nb_status load(nb_notebook *notebook, const char *typed, nb_error *error)
{
    char *path = NULL;
    nb_calibration *loaded = NULL;
    nb_status status = nb_notebook_path(notebook, typed, true, &path, error);
    if (status == NB_OK)
        status = nb_calibration_load(notebook->model, path, &loaded, error);
    free(path);
    if (status == NB_OK)
        keep(notebook, loaded);
    return status;
}

static nb_status save(const nb_notebook *notebook, const char *typed, nb_items *out, nb_error *error)
{
    char *path = NULL;
    nb_status status = nb_notebook_path(notebook, typed, false, &path, error);
    if (status == NB_OK)
        status = nb_calibration_save(notebook->calibration, notebook->model, path, error);
    if (status == NB_OK)
        nb_items_text(out, "%s · calibrate --load brings it back", nb_file_name(path));
    free(path);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *from = nb_call_text(call, "load", NULL), *to = nb_call_text(call, "save", NULL);
    if (from && (nb_call_has(call, "text") || nb_call_has(call, "tokens") || nb_call_has(call, "channels")))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "--load brings a calibration back: leave --text, --tokens and --channels out");
    nb_status status = from ? load(notebook, from, error)
                            : collect(notebook, nb_call_text(call, "text", NULL),
                                      (size_t)nb_call_number(call, "tokens", NB_CALIBRATION_TOKENS),
                                      nb_call_has(call, "channels"), "calibrate", error);
    if (status == NB_OK)
        status = describe(notebook, notebook->calibration, out, error);
    if (status == NB_OK && to)
        status = save(notebook, to, out, error);
    if (status == NB_OK)
        nb_items_text(out, NB_MUTED "Now: " NB_END NB_COMMAND "activations" NB_END NB_MUTED
                                    " shows them; " NB_END NB_COMMAND
                                    "quantize all absmax --per channel --activations static" NB_END NB_MUTED
                                    " uses them" NB_END);
    return status;
}

const nb_command nb_command_calibrate = {
    .name = "calibrate",
    .group = "Calibrating",
    .usage = "calibrate [--text FILE] [--tokens N] [--channels] [--save FILE]\n"
             "calibrate --load FILE",
    .summary = "measure what flows into each matrix, for static scales",
    .details = "Reads a text, as the model is before it is quantized, and records for the input of each "
               "matrix how large its numbers get: in all, by channel, and as a histogram. From that an "
               "observer decides how far a static scale reaches: minmax takes the largest number, ema a "
               "moving average of each sequence's, percentile what 99.99 % stay within, mse and entropy "
               "weigh what clipping costs against finer steps. For static:channel it finds that out for "
               "each channel: minmax and ema always, the others with --channels, which keeps a histogram "
               "of every channel, 2 kB each. There percentile clips nothing before a channel has seen "
               "10,000 tokens. The text should look like what the model will read. A transform of the "
               "model asks for a new calibration. " NB_REMEMBERS_CALIBRATION_TEXT,
    .examples = {"calibrate", "calibrate --text my-own.txt --tokens 8192",
                 "calibrate --save story.calibration"},
    .source =
        "Krishnamoorthi, Quantizing deep convolutional networks, arXiv 1806.08342; Migacz, 8-bit inference "
        "with TensorRT, GTC 2017",
    .options =
        {NB_CALIBRATION_TEXT_OPTIONS(0, "4,096 unless said, 0: all"),
         {.name = "channels",
          .kind = NB_WORD_FLAG,
          .summary = "a histogram of each channel too, for static:channel by any observer"},
         {.name = "save", .kind = NB_WORD_NEW_FILE, .value = "FILE", .summary = "keep it in a file as well"},
         {.name = "load", .kind = NB_WORD_FILE, .value = "FILE", .summary = "take one from a file instead"}},
    .needs = NB_NEEDS_MODEL | NB_WRITES_FILES,
    .run = run,
};
