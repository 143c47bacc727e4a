/* What quantize says when it is done. */
#include "repl/commands/quantize.h"

#include "repl/describe.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct summary {
    size_t n, worst;
    uint64_t before, after, n_weights;
    double mean_sqnr; /* of those with a finite one; NaN if none has */
} summary;

static summary sum_up(const nb_model *model, const nb_scope *scope, const nb_tensor_loss *losses)
{
    summary s = {.n = scope->count};
    double total = 0;
    size_t n_finite = 0;
    for (size_t i = 0; i < scope->count; i++) {
        s.before += losses[i].n_bytes_before;
        s.after += losses[i].n_bytes_after;
        s.n_weights += nb_tensor_n_weights(nb_model_tensor(model, scope->tensors[i]));
        if (isfinite(losses[i].sqnr)) {
            total += losses[i].sqnr;
            n_finite++;
        }
        if (losses[i].sqnr < losses[s.worst].sqnr)
            s.worst = i;
    }
    s.mean_sqnr = n_finite ? total / (double)n_finite : NAN;
    return s;
}

/* The magnitude that 99 % of a tensor's numbers stay below, read off a fine histogram around zero. */
static double typical_reach(const nb_histogram *h)
{
    uint64_t inside = 0, wanted = h->n - h->n / 100;
    size_t middle = h->n_bins / 2;
    for (size_t i = 0; i < middle; i++) {
        inside += h->counts[middle + i] + h->counts[middle - 1 - i];
        if (inside >= wanted)
            return h->high * (double)(i + 1) / (double)middle;
    }
    return h->high;
}

/* Why this tensor lost most: one large weight, many zeros, or just few levels. */
static void explain_worst(const nb_notebook *notebook, const nb_tensor *tensor, const nb_tensor_loss *loss,
                          nb_items *out)
{
    const nb_quantizer *q = &tensor->quantizer;
    char why[200] = "";
    nb_histogram h = {0};
    nb_error ignored;
    double zero_share = (double)loss->n_zero / (double)nb_tensor_n_weights(tensor);
    if (q->format->kind == NB_FORMAT_INT && tensor->source_format &&
        nb_tensor_histogram(tensor, NB_WEIGHTS_ORIGINAL, 0, 0, 4096, &h, &ignored) == NB_OK && h.n > 0) {
        double largest = fmax(fabs(h.min), fabs(h.max)), reach = typical_reach(&h);
        if (q->granularity == NB_PER_TENSOR && largest > 2.5 * reach)
            snprintf(why, sizeof why,
                     ": one weight of %s stretches a scale that 99 %% of the tensor needs at %s",
                     nb_general(largest, 2).text, nb_general(reach, 2).text);
        else if (zero_share > 0.25)
            snprintf(why, sizeof why, ": %s of its weights became 0", nb_percent(zero_share).text);
        else if (q->format->bits < 6)
            snprintf(why, sizeof why, ": %u levels for numbers from %s to %s",
                     (1u << q->format->bits) - (q->scheme == NB_SCHEME_ABSMAX), nb_general(h.min, 2).text,
                     nb_general(h.max, 2).text);
    }
    nb_histogram_free(&h);
    nb_draft line = {0};
    nb_draft_addf(&line, "Worst: %s, SQNR %s dB%s.", tensor->name, nb_describe_sqnr(loss->sqnr).text, why);
    if (!notebook->only_call)
        nb_draft_addf(&line, "   " NB_COMMAND "hist %s" NB_END "   shows it", tensor->name);
    nb_items_text(out, "%s", nb_draft_text(&line));
    nb_draft_free(&line);
}

/* What it bought against the way in which the same tensors were quantized before. */
static void compare_with_last(const summary *s, double old_sqnr, double old_bits, nb_items *out)
{
    double bits = nb_bits_per_weight(s->after, s->n_weights);
    if (!isfinite(old_sqnr) || !isfinite(s->mean_sqnr) || (bits == old_bits && s->mean_sqnr == old_sqnr))
        return;
    double gain = s->mean_sqnr - old_sqnr;
    nb_items_text(out,
                  "Before it was %s bits a weight: %s bits %s, and %s dB %s on average.   " NB_COMMAND
                  "undo" NB_END "   goes back",
                  nb_fixed(old_bits, 2).text, nb_fixed(fabs(bits - old_bits), 2).text,
                  bits >= old_bits ? "more" : "fewer", nb_fixed(fabs(gain), 1).text,
                  gain >= 0 ? "better" : "worse");
}

void nb_quantize_report(nb_notebook *notebook, const nb_scope *scope, const nb_quantizer *q,
                        const nb_tensor_loss *losses, const nb_quantize_past *past, nb_items *out)
{
    summary s = sum_up(notebook->model, scope, losses);
    char name[96];
    nb_items_text(out, "%zu tensor%s · " NB_STRONG "%s" NB_END " · %s -> %s (%s bits a weight)", s.n,
                  s.n == 1 ? "" : "s", nb_quantizer_describe(q, name, sizeof name), nb_bytes(s.before).text,
                  nb_bytes(s.after).text, nb_fixed(nb_bits_per_weight(s.after, s.n_weights), 2).text);
    const nb_tensor *worst = nb_model_tensor(notebook->model, scope->tensors[s.worst]);
    if (isinf(losses[s.worst].sqnr))
        nb_items_text(out, "Nothing was lost: every number is stored exactly.");
    else
        explain_worst(notebook, worst, &losses[s.worst], out);
    compare_with_last(&s, past->sqnr, past->bits, out);
    for (size_t i = 0; i < scope->count; i++) {
        const nb_tensor *tensor = nb_model_tensor(notebook->model, scope->tensors[i]);
        if (tensor->tied)
            nb_items_text(out, "%s is embeddings and head at once: both changed.", tensor->name);
    }
    if (*scope->left)
        nb_items_text(out, "In high precision stay: %s.", scope->left);
    char activated[256];
    const nb_input *input = worst->input;
    const size_t most = nb_describe_inputs(notebook->model, scope, input, activated, sizeof activated);
    if (most > 0 || (input && input->scaling != NB_INPUT_BLOCKS))
        nb_items_text(out, "Activations: %s.", activated);
    if (q->format->kind != NB_FORMAT_FLOAT && !nb_quantizer_wants_int8(q))
        nb_items_text(
            out,
            "Weights only: they are decoded and multiplied in f32, which is slower than int8 activations.");
    if (notebook->n_undo_lines <= 1 && !notebook->only_call)
        nb_items_text(out, NB_MUTED "Now: " NB_END NB_COMMAND "compare" NB_END NB_MUTED
                                    " sets it beside the original" NB_END);
}

/* Mean SQNR and bits of the scope as it is stored now; NaN unless every tensor of it was quantized. */
static void measure_now(const nb_model *model, const nb_scope *scope, double *sqnr, double *bits)
{
    double total = 0;
    uint64_t n_bytes = 0, n_weights = 0;
    for (size_t i = 0; i < scope->count; i++) {
        const nb_tensor *tensor = nb_model_tensor(model, scope->tensors[i]);
        total += tensor->sqnr; /* NaN stays NaN */
        n_bytes += nb_tensor_n_bytes(tensor);
        n_weights += nb_tensor_n_weights(tensor);
    }
    *sqnr = total / (double)scope->count;
    *bits = nb_bits_per_weight(n_bytes, n_weights);
}

nb_status nb_quantize_know_speed(nb_notebook *notebook, nb_error *error)
{
    const double seconds = 0.03;
    if (notebook->only_call || notebook->original_speed.tokens_per_second > 0 ||
        nb_notebook_changed(notebook))
        return NB_OK;
    return nb_notebook_measure_speed(notebook, seconds, &notebook->original_speed, error);
}

nb_status nb_quantize_begin(nb_notebook *notebook, const nb_scope *scope, nb_quantize_past *past,
                            nb_error *error)
{
    measure_now(notebook->model, scope, &past->sqnr, &past->bits);
    return nb_quantize_know_speed(notebook, error);
}
