#include "repl/commands/figures.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BINS = 79 }; /* odd: the bar at zero stands over zero */

typedef struct picture {
    const nb_tensor *tensor;
    bool overlaid; /* quantized, with its original beside it */
    nb_histogram before, after;
    double *before_counts, *after_counts;
    char headline[160], subline[200], sentence[480], note[120], before_label[48], after_label[112];
} picture;

static nb_status count(picture *p, size_t n_bins, nb_error *error)
{
    const nb_tensor *tensor = p->tensor;
    p->overlaid = tensor->changed && tensor->source_format;
    nb_status status = nb_tensor_histogram(tensor, p->overlaid ? NB_WEIGHTS_ORIGINAL : NB_WEIGHTS_CURRENT, 0,
                                           0, n_bins, &p->before, error);
    if (status == NB_OK && p->overlaid)
        status = nb_tensor_histogram(tensor, NB_WEIGHTS_CURRENT, p->before.low, p->before.high, n_bins,
                                     &p->after, error);
    if (status != NB_OK)
        return status;
    p->before_counts = nb_calloc(n_bins, sizeof(double));
    p->after_counts = nb_calloc(n_bins, sizeof(double));
    if (!p->before_counts || !p->after_counts)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a histogram");
    for (size_t i = 0; i < n_bins; i++) {
        p->before_counts[i] = (double)p->before.counts[i];
        p->after_counts[i] = p->overlaid ? (double)p->after.counts[i] : 0;
    }
    return NB_OK;
}

static void picture_free(picture *p)
{
    nb_histogram_free(&p->before);
    nb_histogram_free(&p->after);
    free(p->before_counts);
    free(p->after_counts);
}

/* How many standard deviations the farthest number lies from the mean. */
static double farthest(const nb_histogram *h)
{
    return h->std > 0 ? fmax(h->max - h->mean, h->mean - h->min) / h->std : 0;
}

static void write_plain_headline(picture *p)
{
    const nb_histogram *h = &p->before;
    if (farthest(h) > 6)
        snprintf(p->headline, sizeof p->headline,
                 "A few weights reach far: the farthest is %s deviations out", nb_fixed(farthest(h), 0).text);
    else
        snprintf(p->headline, sizeof p->headline, "The weights lie around %s, most within %s of it",
                 fabs(h->mean) < 0.1 * h->std ? "0" : nb_general(h->mean, 2).text,
                 nb_general(2 * h->std, 2).text);
}

/* A function of the learner's has no bits: what it made stands in f32. */
static void write_simulated_headline(picture *p, double zeros)
{
    if (!isfinite(p->tensor->sqnr))
        snprintf(p->headline, sizeof p->headline, "Your function leaves every weight as it was");
    else if (zeros > 0.15)
        snprintf(p->headline, sizeof p->headline, "Your function makes %s of the weights 0; simulated in f32",
                 nb_percent(zeros).text);
    else
        snprintf(p->headline, sizeof p->headline, "Your function %s the bell; simulated, runs as f32",
                 p->tensor->sqnr < 15 ? "blurs" : "follows");
}

/* What a teacher would point at. */
static void write_headline(picture *p)
{
    if (!p->overlaid) {
        write_plain_headline(p);
        return;
    }
    const nb_quantizer *q = &p->tensor->quantizer;
    unsigned bits = q->format->bits;
    bool one_scale = q->granularity == NB_PER_TENSOR && q->format->kind == NB_FORMAT_INT;
    double zeros = (double)p->after.n_zero / (double)nb_max_size(p->after.n, 1);
    if (p->tensor->simulated) {
        write_simulated_headline(p, zeros);
        return;
    }
    if (one_scale && zeros > 0.15 && farthest(&p->before) > 5)
        snprintf(p->headline, sizeof p->headline,
                 "A weight %s deviations out stretches the scale: %s become 0",
                 nb_fixed(farthest(&p->before), 0).text, nb_percent(zeros).text);
    else if (bits <= 8 && zeros > 0.15)
        snprintf(p->headline, sizeof p->headline, "%s of the weights round to 0", nb_percent(zeros).text);
    else if (one_scale && bits <= 5)
        snprintf(p->headline, sizeof p->headline, "The bell became a comb: %u bits leave few levels", bits);
    else if (p->tensor->sqnr < 15)
        snprintf(p->headline, sizeof p->headline, "%u bits blur the bell", bits);
    else if (q->granularity == NB_PER_GROUP)
        snprintf(p->headline, sizeof p->headline, "%u bits follow the bell, by a scale for every %u weights",
                 bits, q->group);
    else
        snprintf(p->headline, sizeof p->headline, "%u bits still follow the bell", bits);
}

static void write_words(picture *p)
{
    const nb_tensor *tensor = p->tensor;
    write_headline(p);
    bool lossy = p->overlaid && isfinite(tensor->sqnr);
    snprintf(p->subline, sizeof p->subline, "%.80s, %s weights%s%s%s", tensor->name,
             nb_count(p->before.n).text, lossy ? ", SQNR " : "",
             lossy ? nb_describe_sqnr(tensor->sqnr).text : "", lossy ? " dB" : "");
    if (p->overlaid)
        snprintf(p->note, sizeof p->note, "%s of weights round to 0",
                 nb_percent((double)p->after.n_zero / (double)(p->after.n ? p->after.n : 1)).text);
    snprintf(p->before_label, sizeof p->before_label, p->overlaid ? "before (%s)" : "%s",
             p->overlaid ? tensor->source_format->name : nb_describe_storage(tensor).text);
    snprintf(p->after_label, sizeof p->after_label, "after (%s)", nb_describe_storage(tensor).text);
    snprintf(p->sentence, sizeof p->sentence,
             "Histogram of %.80s: %s numbers from %s to %s, mean %s, standard deviation %s%s%s.",
             tensor->name, nb_count(p->before.n).text, nb_general(p->before.min, 4).text,
             nb_general(p->before.max, 4).text, nb_general(p->before.mean, 3).text,
             nb_general(p->before.std, 3).text, !p->overlaid           ? ""
             : tensor->simulated ? "; by your function, "
                                 : "; stored as ",
             p->overlaid ? nb_describe_storage(tensor).text : "");
    if (p->overlaid) {
        size_t used = strlen(p->sentence) - 1; /* over the full stop */
        snprintf(p->sentence + used, sizeof p->sentence - used, ", %s.", p->note);
    }
}

static nb_figure figure_of(const picture *p, bool log_y)
{
    nb_figure figure = {
        .kind = NB_FIGURE_HISTOGRAM,
        .headline = p->headline,
        .subline = p->subline,
        .x_label = "weight",
        .y_label = "how many",
        .x_low = p->before.low,
        .x_high = p->before.high,
        .n = p->before.n_bins,
        .before = {p->before_label, p->before_counts},
        .log_y = log_y,
        .sentence = p->sentence,
    };
    if (p->overlaid) {
        figure.after = (nb_figure_series){p->after_label, p->after_counts};
        figure.note = p->note;
    }
    return figure;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    picture p = {0};
    nb_status status = nb_notebook_tensor(notebook, call->arguments[0], &p.tensor, error);
    if (status == NB_OK)
        status = count(&p, (size_t)nb_call_number(call, "bins", 81), error);
    if (status == NB_OK) {
        write_words(&p);
        nb_figure figure = figure_of(&p, nb_call_has(call, "log"));
        status = nb_figure_put(notebook, call, &figure, out, error);
    }
    picture_free(&p);
    return status;
}

const nb_command nb_command_hist = {
    .name = "hist",
    .group = "A model",
    .usage = "hist TENSOR [--bins N] [--log] [--png FILE] [--svg FILE]",
    .summary = "a tensor's histogram, before and after quantizing",
    .examples = {"hist blk.0.attn_q", "hist blk.0.ffn_down --log",
                 "hist blk.0.attn_q --png before-after.png"},
    .arguments = {{"TENSOR", NB_WORD_TENSOR, false}},
    .options =
        {{.name = "bins",
          .kind = NB_WORD_COUNT,
          .value = "N",
          .low = 2,
          .high = 4096,
          .summary = "bars; 81 unless said, so that 0 has its own"},
         {.name = "log",
          .kind = NB_WORD_FLAG,
          .summary = "a logarithmic count axis: shows the rare, large weights"},
         NB_FIGURE_OPTIONS},
    .needs = NB_NEEDS_MODEL | NB_WRITES_FILES,
    .run = run,
};
