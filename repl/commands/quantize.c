#include "repl/commands/quantize.h"

#include "repl/commands/calibrate.h"
#include "repl/commands/method.h"
#include "repl/commands/outliers.h"
#include "repl/commands/recipe.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/language/language.h"
#include "repl/nearest.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what to do ---- */

static nb_status unknown_storage(const char *what, nb_error *error)
{
    nb_nearest nearest;
    nb_nearest_start(&nearest, what);
    nb_nearest_offer(&nearest, "absmax");
    nb_nearest_offer(&nearest, "zeropoint");
    for (size_t i = 0; i < nb_format_count(); i++)
        nb_nearest_offer(&nearest, nb_format_at(i)->name);
    for (size_t i = 0; i < nb_mixture_count(); i++)
        nb_nearest_offer(&nearest, nb_mixture_at(i)->name);
    for (size_t i = 0; nb_method_at(i); i++)
        nb_nearest_offer(&nearest, nb_method_at(i)->name);
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "nothing to quantize with is called \"%.60s\": did you mean %s?", what, nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "quantize takes a scheme (absmax, zeropoint), a format (f16, q4_k, ...: formats lists them) or a "
                   "recipe (q4_k_m), not \"%.60s\"",
                   what);
}

static bool is_storage(const char *what)
{
    return strcmp(what, "absmax") == 0 || strcmp(what, "zeropoint") == 0 || nb_format_find(what);
}

nb_status nb_granularity_read(const char *text, nb_quantizer *q, nb_error *error)
{
    if (strcmp(text, "tensor") == 0) {
        q->granularity = NB_PER_TENSOR;
        return NB_OK;
    }
    if (strcmp(text, "channel") == 0 || strcmp(text, "row") == 0) {
        q->granularity = NB_PER_CHANNEL;
        return NB_OK;
    }
    double columns;
    size_t used = strncmp(text, "group:", 6) == 0 ? nb_parse_f64(text + 6, &columns) : 0;
    if (used && text[6 + used] == '\0' && columns >= 1 && columns <= 1 << 20 && columns == rint(columns)) {
        q->granularity = NB_PER_GROUP;
        q->group = (uint32_t)columns;
        return NB_OK;
    }
    nb_nearest nearest;
    nb_nearest_start(&nearest, text);
    nb_nearest_offer(&nearest, "tensor");
    nb_nearest_offer(&nearest, "channel");
    nb_nearest_offer(&nearest, "group:32");
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "--per knows no \"%.60s\": did you mean %s?", text,
                       nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "--per takes tensor, channel (a row) or group:N, such as group:32, not \"%.60s\"", text);
}

nb_status nb_quantizer_read(const char *what, const nb_call *call, nb_quantizer *out, nb_error *error)
{
    bool absmax = strcmp(what, "absmax") == 0, zeropoint = strcmp(what, "zeropoint") == 0;
    const nb_format *format =
        absmax || zeropoint ? nb_format_int((unsigned)nb_call_number(call, "bits", 8)) : nb_format_find(what);
    if (!format)
        return unknown_storage(what, error);
    *out = nb_quantizer_of(format);
    out->double_scales = nb_call_has(call, "double");
    if (format->kind == NB_FORMAT_INT) {
        if (!absmax && !zeropoint && nb_call_has(call, "bits") &&
            nb_call_number(call, "bits", 0) != format->bits)
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "%s has %u bits: leave --bits out, or say absmax --bits %s", what, format->bits,
                           nb_call_text(call, "bits", ""));
        out->scheme = zeropoint ? NB_SCHEME_ZEROPOINT : NB_SCHEME_ABSMAX;
    } else {
        static const char *const for_int[] = {"bits", "scales", "convention", "per"};
        const bool table = format->kind == NB_FORMAT_TABLE;
        for (size_t i = 0; i < sizeof for_int / sizeof *for_int - (table ? 1 : 0); i++) {
            if (nb_call_has(call, for_int[i]) && table)
                return nb_fail(error, NB_ERR_ARGUMENT,
                               "--%s is for absmax and zeropoint: %s has 4 bits and f32 scales, which --double shrinks",
                               for_int[i], format->name);
            if (nb_call_has(call, for_int[i]) && format->kind == NB_FORMAT_BLOCK)
                return nb_fail(error, NB_ERR_ARGUMENT,
                               "--%s is for absmax and zeropoint: %s has its scales in blocks of %u, always", for_int[i],
                               format->name, (unsigned)format->block_size);
            if (nb_call_has(call, for_int[i]))
                return nb_fail(error, NB_ERR_ARGUMENT,
                               "--%s is for absmax and zeropoint: every number in %s stands alone",
                               for_int[i], format->name);
        }
    }
    const char *activations = nb_call_text(call, "activations", NULL);
    if (activations)
        out->activations = strcmp(activations, "f32") == 0 ? NB_ACTIVATIONS_F32 : NB_ACTIVATIONS_INT8;
    out->scales_f32 = strcmp(nb_call_text(call, "scales", "f16"), "f32") == 0;
    if (strcmp(nb_call_text(call, "convention", "divide"), "labonne") == 0)
        out->convention = NB_CONVENTION_LABONNE;
    if (nb_call_has(call, "per"))
        out->group = 0;
    nb_status status =
        nb_call_has(call, "per") ? nb_granularity_read(nb_call_text(call, "per", ""), out, error) : NB_OK;
    return status == NB_OK ? nb_quantizer_check(out, error) : status;
}

nb_status nb_scope_leave_out(nb_scope *scope, const nb_scope *keep, nb_error *error)
{
    size_t kept = 0, k = 0;
    for (size_t i = 0; i < scope->count; i++) {
        while (k < keep->count && keep->tensors[k] < scope->tensors[i])
            k++;
        if (k < keep->count && keep->tensors[k] == scope->tensors[i])
            continue;
        scope->tensors[kept++] = scope->tensors[i];
    }
    scope->count = kept;
    return kept ? NB_OK : nb_fail(error, NB_ERR_ARGUMENT, "--keep leaves nothing to quantize");
}

/* ---- what came of it ---- */

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
static void explain_worst(const nb_tensor *tensor, const nb_tensor_loss *loss, nb_items *out)
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
    nb_items_text(out, "Worst: %s, SQNR %s dB%s.   " NB_COMMAND "hist %s" NB_END "   shows it", tensor->name,
                  nb_describe_sqnr(loss->sqnr).text, why, tensor->name);
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
        explain_worst(worst, &losses[s.worst], out);
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
    if (input && (input->scaling != NB_INPUT_BLOCKS || input->outliers))
        nb_items_text(out, "Activations: %s.", nb_input_describe(input, activated, sizeof activated));
    if (q->format->kind != NB_FORMAT_FLOAT && !nb_quantizer_wants_int8(q))
        nb_items_text(
            out,
            "Weights only: they are decoded and multiplied in f32, which is slower than int8 activations.");
    if (notebook->n_undo_lines <= 1)
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

nb_status nb_quantize_begin(nb_notebook *notebook, const nb_scope *scope, nb_quantize_past *past, nb_error *error)
{
    measure_now(notebook->model, scope, &past->sqnr, &past->bits);
    if (notebook->original_speed.tokens_per_second == 0 && !nb_notebook_changed(notebook))
        return nb_notebook_measure_speed(notebook, 0.03, &notebook->original_speed, error);
    return NB_OK;
}

/* What --activations says beside f32 and int8. */
static nb_status read_mode(const nb_call *call, nb_activation_mode *out, nb_error *error)
{
    const char *text = nb_call_text(call, "activations", "int8");
    *out = NB_ACTIVATION_BLOCKS;
    if (nb_call_has(call, "observer") && strcmp(text, "static") != 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "--observer finds one static scale: it goes with --activations static");
    return strcmp(text, "f32") == 0 ? NB_OK : nb_activation_mode_read(text, out, error);
}

static nb_status quantize_activated(nb_notebook *notebook, const nb_call *call, const nb_scope *scope,
                                    const nb_quantizer *q, nb_activation_mode mode, nb_tensor_loss *losses,
                                    nb_items *out, nb_error *error)
{
    const nb_calibration *calibration = NULL;
    nb_observer observer;
    nb_status status = nb_observer_read(call, &observer, error);
    if (status == NB_OK && mode != NB_ACTIVATION_TOKENS)
        status = nb_notebook_calibrate(notebook, "quantize", out, &calibration, error);
    if (status == NB_OK)
        status = nb_model_quantize_activated(notebook->model, scope, q, notebook->importance, mode, calibration, observer,
                                             losses, error);
    return status;
}

/* All of the scope with one quantizer, and by the importance matrix if there is one. */
static nb_status quantize_alike(nb_notebook *notebook, const nb_call *call, const nb_scope *scope, const nb_quantizer *q,
                                nb_tensor_loss *losses, nb_items *out, nb_error *error)
{
    nb_activation_mode mode;
    nb_status mode_status = read_mode(call, &mode, error);
    if (mode_status != NB_OK || mode != NB_ACTIVATION_BLOCKS)
        return mode_status == NB_OK ? quantize_activated(notebook, call, scope, q, mode, losses, out, error) : mode_status;
    nb_quantizer *each = nb_calloc(scope->count, sizeof *each);
    if (!each)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to quantize %zu tensors", scope->count);
    for (size_t i = 0; i < scope->count; i++)
        each[i] = *q;
    nb_status status = nb_model_quantize_each(notebook->model, scope, each, notebook->importance, losses, error);
    free(each);
    return status;
}

/* The same with columns of outliers, as calibration finds them, in f16. */
static nb_status quantize_outliers(nb_notebook *notebook, const nb_call *call, const nb_scope *scope,
                                   const nb_quantizer *q, nb_tensor_loss *losses, nb_items *out, nb_error *error)
{
    const double threshold = nb_call_number(call, "outliers", 0);
    const nb_calibration *calibration = NULL;
    nb_activation_mode mode;
    nb_status status = read_mode(call, &mode, error);
    if (status == NB_OK)
        status = nb_notebook_calibrate(notebook, "quantize", out, &calibration, error);
    if (status == NB_OK)
        status = nb_model_quantize_outliers(notebook->model, scope, q, mode, calibration, threshold, losses, error);
    if (status == NB_OK)
        nb_outliers_describe(notebook->model, scope, calibration, threshold, out);
    return status;
}

static nb_status quantize_scope(nb_notebook *notebook, const nb_call *call, const nb_scope *scope,
                                const nb_quantizer *q, nb_items *out, nb_error *error)
{
    nb_quantize_past past;
    nb_tensor_loss *losses = nb_calloc(scope->count, sizeof *losses);
    if (!losses)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for what was lost");
    nb_status status = nb_quantize_begin(notebook, scope, &past, error);
    if (status == NB_OK)
        status = nb_call_has(call, "outliers") ? quantize_outliers(notebook, call, scope, q, losses, out, error)
                                               : quantize_alike(notebook, call, scope, q, losses, out, error);
    if (status == NB_OK) {
        nb_notebook_note_undo(notebook, call);
        nb_quantize_report(notebook, scope, q, losses, &past, out);
    }
    free(losses);
    return status;
}

/* WHAT is a mixture: of `all`, the recipe decides everything, embeddings and head too. */
static nb_status run_recipe(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_recipe *recipe = NULL;
    nb_scope scope = {0};
    const bool whole = strcmp(call->arguments[0], "all") == 0;
    nb_status status = nb_recipe_read(notebook, call->arguments[1], call, &recipe, error);
    if (status == NB_OK && !whole)
        status = nb_scope_resolve(notebook->model, call->arguments[0], false, &scope, error);
    if (status == NB_OK)
        status = nb_recipe_apply(notebook, recipe, whole ? NULL : &scope, call, out, error);
    nb_scope_free(&scope);
    nb_recipe_destroy(&recipe);
    return status;
}

/* A function decides everything but the scope. */
static nb_status check_with(const nb_notebook *notebook, const nb_call *call, nb_error *error)
{
    if (call->n_arguments < 3)
        return nb_fail(error, NB_ERR_ARGUMENT, "quantize SCOPE with FUNCTION: which function? def f(x) = ... makes one");
    const char *function = call->arguments[2];
    const int n = (int)strcspn(function, "(");
    if (function[n])
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "with takes a function's name alone: def f(x) = %.*s(x, ...) makes one of it", n, function);
    for (size_t i = 0; i < nb_command_option_count(call->command); i++) {
        if (call->options[i].given && strcmp(call->command->options[i].name, "keep") != 0)
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "--%s is for the built-in quantizers; def f(x) = %.40s(x, ...) gives a function its own",
                           call->command->options[i].name, function);
    }
    return nb_language_check_function(notebook->language, function, error);
}

/* Methods choose codes; scales of activations come after them. */
static nb_status check_method_mode(const nb_call *call, nb_error *error)
{
    nb_activation_mode mode;
    nb_status status = read_mode(call, &mode, error);
    if (status != NB_OK || mode == NB_ACTIVATION_BLOCKS)
        return status;
    return nb_fail(error, NB_ERR_ARGUMENT, "%s first, then: activations %s %s", call->arguments[1], call->arguments[0],
                   nb_call_text(call, "activations", ""));
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    if (!nb_format_find(call->arguments[1]) && nb_is_recipe(call->arguments[1]))
        return run_recipe(notebook, call, out, error);
    nb_quantizer quantizer;
    nb_scope scope = {0}, keep = {0};
    const bool with = strcmp(call->arguments[1], "with") == 0;
    const nb_method *method = nb_method_find(call->arguments[1]);
    nb_status status = with ? check_with(notebook, call, error) : nb_recipe_check_options(call, error);
    if (status == NB_OK && !with)
        status = method || is_storage(call->arguments[1]) ? nb_method_check_options(call, method, error)
                                                          : unknown_storage(call->arguments[1], error);
    if (status == NB_OK && method)
        status = check_method_mode(call, error);
    if (status == NB_OK && !with && call->n_arguments > 2)
        status = nb_fail(error, NB_ERR_ARGUMENT, "quantize does not know what to do with \"%.60s\": %.*s",
                         call->arguments[2], (int)strcspn(call->command->usage, "\n"), call->command->usage);
    if (status == NB_OK)
        status = nb_scope_resolve(notebook->model, call->arguments[0], false, &scope, error);
    if (status == NB_OK && !with && !method)
        status = nb_quantizer_read(call->arguments[1], call, &quantizer, error);
    const char *kept = nb_call_text(call, "keep", NULL);
    if (status == NB_OK && kept)
        status = nb_scope_resolve(notebook->model, kept, false, &keep, error);
    if (status == NB_OK && kept)
        status = nb_scope_leave_out(&scope, &keep, error);
    if (status == NB_OK && with)
        status = nb_quantize_with(notebook, call, &scope, out, error);
    else if (status == NB_OK && method)
        status = method->run(notebook, call, &scope, out, error);
    else if (status == NB_OK)
        status = quantize_scope(notebook, call, &scope, &quantizer, out, error);
    nb_scope_free(&scope);
    nb_scope_free(&keep);
    return status;
}

const nb_command nb_command_quantize = {
    .name = "quantize",
    .group = "Changing it",
    .usage = "quantize SCOPE absmax|zeropoint [--bits N] [--per tensor|channel|group:N] [--outliers X]\n"
             "quantize SCOPE f16|bf16|f8_e4m3|q8_0|q4_0|q4_k|...\n"
             "quantize SCOPE nf4|fp4 [--per group:N] [--double]\n"
             "quantize SCOPE gptq [--bits N] [--per group:N] [--act-order] [--static-groups] [--damp D] [--trace]\n"
             "quantize SCOPE hqq [--bits N] [--per group:N] [--scheme absmax]\n"
             "quantize SCOPE awq|zeroquant [--bits N] [--per WHAT] [--format F] [--text FILE] [--tokens N]\n"
             "quantize SCOPE RECIPE [--pure] [--tensor-type \"SCOPE=FORMAT ...\"]\n"
             "quantize SCOPE with FUNCTION",
    .summary = "store tensors in fewer bits; undo brings them back",
    .details = "absmax lays a ruler from -max to max over the numbers that share a scale; zeropoint one from "
               "min to max. It always starts from the original numbers, so int4 after int2 is int4 of the "
               "original. A scope is a tensor, a pattern (blk.*.ffn_*), a range (blk.2-5.attn_q), or a word: "
               "attention, mlp, embeddings, head, all (which is attention and mlp). gptq reads a text, and rounds column "
               "by column so that later columns make up for the errors of earlier ones. hqq solves for scales without "
               "any text. With a function of your own (def "
               "mine(x) = ...) the model runs with what it makes of each tensor, as f32.",
    .examples = {"quantize attention absmax --bits 4 --per group:32",
                 "quantize blk.0-3.ffn_* f8_e4m3", "quantize all gptq --bits 3 --per group:64"},
    .source = "Dettmers et al., LLM.int8(), arXiv 2208.07339, section 2; Nagel et al., A White Paper on "
              "Neural Network Quantization, arXiv 2106.08295; Frantar et al., GPTQ, arXiv 2210.17323; Badri and Shaji, Half-Quadratic Quantization of Large Machine Learning Models, 2023; nf4: Dettmers et al., QLoRA, arXiv 2305.14314",
    .arguments = {{"SCOPE", NB_WORD_SCOPE, false}, {"WHAT", NB_WORD_STORAGE, false}, {"FUNCTION", NB_WORD_FUNCTION, true}},
    .options =
        {NB_QUANTIZER_OPTIONS_WITH("WHAT", "int8 f32 token static static:channel"), NB_OBSERVER_OPTION,
         {.name = "outliers",
          .kind = NB_WORD_NUMBER,
          .value = "X",
          .low = 0,
          .high = 1e9,
          .summary = "intN: columns whose activations reach X stay f16"},
         NB_METHOD_OPTIONS,
         NB_RECIPE_OPTIONS},
    .needs = NB_NEEDS_MODEL | NB_UNDOABLE,
    .run = run,
};
