#include "repl/commands/quantize.h"

#include "repl/commands/outliers.h"
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
    return nb_fail(
        error, NB_ERR_ARGUMENT,
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
                return nb_fail(
                    error, NB_ERR_ARGUMENT,
                    "--%s is for absmax and zeropoint: %s has 4 bits and f32 scales, which --double shrinks",
                    for_int[i], format->name);
            if (nb_call_has(call, for_int[i]) && format->kind == NB_FORMAT_BLOCK)
                return nb_fail(error, NB_ERR_ARGUMENT,
                               "--%s is for absmax and zeropoint: %s has its scales in blocks of %u, always",
                               for_int[i], format->name, (unsigned)format->block_size);
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

/* ---- activations ---- */

/* What --activations says beside f32 and int8. */
static nb_status read_mode(const nb_call *call, nb_activation_mode *out, nb_error *error)
{
    const char *text = nb_call_text(call, "activations", "int8");
    *out = NB_ACTIVATION_BLOCKS;
    nb_status status = strcmp(text, "f32") == 0 ? NB_OK : nb_activation_mode_read(text, out, error);
    if (status == NB_OK && nb_call_has(call, "observer") && !nb_activation_mode_is_static(*out))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "--observer finds how far static scales reach: it goes with --activations static or "
                       "static:channel");
    return status;
}

static bool calibrates_anew(const nb_call *call)
{
    return nb_call_has(call, "text") || nb_call_has(call, "tokens");
}

/* The calibration that --text and --tokens ask for; without them the one that is kept. */
static nb_status calibrate(nb_notebook *notebook, const nb_call *call, nb_items *out,
                           const nb_calibration **calibration, nb_error *error)
{
    if (!calibrates_anew(call))
        return nb_notebook_calibrate(notebook, "quantize", out, calibration, error);
    return nb_notebook_calibrate_anew(notebook, nb_call_text(call, "text", NULL),
                                      (size_t)nb_call_number(call, "tokens", NB_CALIBRATION_TOKENS),
                                      "quantize", out, calibration, error);
}

static nb_status quantize_activated(nb_notebook *notebook, const nb_call *call, const nb_scope *scope,
                                    const nb_quantizer *q, nb_activation_mode mode, nb_tensor_loss *losses,
                                    nb_items *out, nb_error *error)
{
    const nb_calibration *calibration = NULL;
    nb_observer observer;
    nb_status status = nb_observer_read(call, mode, &observer, error);
    if (status == NB_OK)
        status = nb_activation_check_observer(
            mode, observer, calibrates_anew(call) ? NULL : nb_notebook_calibration(notebook), error);
    if (status == NB_OK && mode != NB_ACTIVATION_TOKENS)
        status = calibrate(notebook, call, out, &calibration, error);
    if (status == NB_OK)
        status = nb_model_quantize_activated(notebook->model, scope, q, notebook->importance, mode,
                                             calibration, observer, losses, error);
    return status;
}

/* All of the scope with one quantizer, and by the importance matrix if there is one. */
static nb_status quantize_alike(nb_notebook *notebook, const nb_call *call, const nb_scope *scope,
                                const nb_quantizer *q, nb_tensor_loss *losses, nb_items *out, nb_error *error)
{
    nb_activation_mode mode;
    nb_status mode_status = read_mode(call, &mode, error);
    if (mode_status != NB_OK || mode != NB_ACTIVATION_BLOCKS)
        return mode_status == NB_OK ? quantize_activated(notebook, call, scope, q, mode, losses, out, error)
                                    : mode_status;
    nb_quantizer *each = nb_calloc(scope->count, sizeof *each);
    if (!each)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to quantize %zu tensors", scope->count);
    for (size_t i = 0; i < scope->count; i++)
        each[i] = *q;
    nb_status status =
        nb_model_quantize_each(notebook->model, scope, each, notebook->importance, losses, error);
    free(each);
    return status;
}

/* The same with columns of outliers, as calibration finds them, in f16. */
static nb_status quantize_outliers(nb_notebook *notebook, const nb_call *call, const nb_scope *scope,
                                   const nb_quantizer *q, nb_tensor_loss *losses, nb_items *out,
                                   nb_error *error)
{
    const double threshold = nb_call_number(call, "outliers", 0);
    const nb_calibration *calibration = NULL;
    nb_activation_mode mode;
    nb_status status = read_mode(call, &mode, error);
    if (status == NB_OK)
        status = calibrate(notebook, call, out, &calibration, error);
    if (status == NB_OK)
        status = nb_model_quantize_outliers(notebook->model, scope, q, mode, calibration, threshold, losses,
                                            error);
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
        status = nb_call_has(call, "outliers")
                     ? quantize_outliers(notebook, call, scope, q, losses, out, error)
                     : quantize_alike(notebook, call, scope, q, losses, out, error);
    if (status == NB_OK) {
        nb_notebook_note_undo(notebook, call);
        nb_quantize_report(notebook, scope, q, losses, &past, out);
    }
    free(losses);
    return status;
}

/* A recipe says how each tensor is stored: what else a call says of that would not be done. */
static nb_status check_recipe_options(const nb_call *call, nb_error *error)
{
    const char *mode = nb_call_text(call, "activations", "static"),
               *observer = nb_call_text(call, "observer", NULL);
    if (nb_call_has(call, "activations") || observer)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a recipe says how weights are stored, and nothing of activations: quantize %s %.60s "
                       "first, then: "
                       "activations %s %s%s%s",
                       call->arguments[0], call->arguments[1], call->arguments[0], mode,
                       observer ? " --observer " : "", observer ? observer : "");
    for (size_t i = 0; i < nb_command_option_count(call->command); i++) {
        const char *name = call->command->options[i].name;
        if (call->options[i].given && !nb_is_recipe_option(name))
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "%.60s is a recipe and says itself how each tensor is stored: leave --%s out",
                           call->arguments[1], name);
    }
    return NB_OK;
}

nb_status nb_quantize_by_recipe(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_recipe *recipe = NULL;
    nb_scope scope = {0};
    const bool whole = strcmp(call->arguments[0], "all") == 0;
    nb_status status = check_recipe_options(call, error);
    if (status == NB_OK)
        status = nb_recipe_read(notebook, call->arguments[1], call, &recipe, error);
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
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "quantize SCOPE with FUNCTION: which function? def f(x) = ... makes one");
    const char *function = call->arguments[2];
    const int n = (int)strcspn(function, "(");
    if (function[n])
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "with takes a function's name alone: def f(x) = %.*s(x, ...) makes one of it", n,
                       function);
    for (size_t i = 0; i < nb_command_option_count(call->command); i++) {
        if (call->options[i].given && strcmp(call->command->options[i].name, "keep") != 0)
            return nb_fail(
                error, NB_ERR_ARGUMENT,
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
    return nb_fail(error, NB_ERR_ARGUMENT, "%s first, then: activations %s %s", call->arguments[1],
                   call->arguments[0], nb_call_text(call, "activations", ""));
}

/* Whether WHAT is known, and has a use for every word and option of the call. */
static nb_status check_call(const nb_call *call, const nb_method *method, nb_error *error)
{
    nb_status status = nb_recipe_check_options(call, error);
    if (status == NB_OK)
        status = method || is_storage(call->arguments[1]) ? nb_method_check_options(call, method, error)
                                                          : unknown_storage(call->arguments[1], error);
    if (status == NB_OK && method)
        status = check_method_mode(call, error);
    if (status == NB_OK && call->n_arguments > 2)
        status = nb_fail(error, NB_ERR_ARGUMENT, "quantize does not know what to do with \"%.60s\": %.*s",
                         call->arguments[2], (int)strcspn(call->command->usage, "\n"), call->command->usage);
    return status;
}

/* The tensors of SCOPE without those of --keep. */
static nb_status resolve_scope(const nb_notebook *notebook, const nb_call *call, nb_scope *scope, nb_error *error)
{
    nb_scope keep = {0};
    const char *kept = nb_call_text(call, "keep", NULL);
    nb_status status = nb_scope_resolve(notebook->model, call->arguments[0], false, scope, error);
    if (status == NB_OK && kept)
        status = nb_scope_resolve(notebook->model, kept, false, &keep, error);
    if (status == NB_OK && kept)
        status = nb_scope_leave_out(scope, &keep, error);
    nb_scope_free(&keep);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    if (!nb_format_find(call->arguments[1]) && nb_is_recipe(call->arguments[1]))
        return nb_quantize_by_recipe(notebook, call, out, error);
    nb_quantizer quantizer;
    nb_scope scope = {0};
    const bool with = strcmp(call->arguments[1], "with") == 0;
    const nb_method *method = nb_method_find(call->arguments[1]);
    nb_status status = with ? check_with(notebook, call, error) : check_call(call, method, error);
    if (status == NB_OK)
        status = resolve_scope(notebook, call, &scope, error);
    if (status == NB_OK && !with && !method)
        status = nb_quantizer_read(call->arguments[1], call, &quantizer, error);
    if (status == NB_OK && with)
        status = nb_quantize_with(notebook, call, &scope, out, error);
    else if (status == NB_OK && method)
        status = method->run(notebook, call, &scope, out, error);
    else if (status == NB_OK)
        status = quantize_scope(notebook, call, &scope, &quantizer, out, error);
    nb_scope_free(&scope);
    return status;
}

const nb_command nb_command_quantize = {
    .name = "quantize",
    .group = "Changing it",
    .usage = "quantize SCOPE absmax|zeropoint [--bits N] [--per tensor|channel|group:N] [--outliers X]\n"
             "quantize SCOPE f16|bf16|f8_e4m3|q8_0|q4_0|q4_k|...\n"
             "quantize SCOPE nf4|fp4 [--per group:N] [--double]\n"
             "quantize SCOPE gptq [--bits N] [--per group:N] [--act-order] [--static-groups] [--damp D] "
             "[--trace]\n"
             "quantize SCOPE hqq [--bits N] [--per group:N] [--scheme absmax]\n"
             "quantize SCOPE awq|zeroquant [--bits N] [--per WHAT] [--format F] [--text FILE] [--tokens N]\n"
             "quantize SCOPE RECIPE [--pure] [--tensor-type \"SCOPE=FORMAT ...\"]\n"
             "quantize SCOPE with FUNCTION",
    .summary = "store tensors in fewer bits; undo brings them back",
    .details = "absmax lays a ruler from -max to max over the numbers that share a scale; zeropoint one "
               "from min to max. What flows into the tensors gets a scale for every 32 numbers of a "
               "token; --activations can make that one a token (token, or dynamic), one for all tokens "
               "(static) or one for each channel (static:channel), as ?activations says. It always starts "
               "from the original numbers, so int4 after int2 is int4 of the original. A scope is a "
               "tensor, a pattern (blk.*.ffn_*), a range (blk.2-5.attn_q), or a word: attention, mlp, "
               "embeddings, head, all (which is attention and mlp). gptq reads a text, and rounds column "
               "by column so that later columns make up for the errors of earlier ones. hqq solves for "
               "scales without any text. With a function of your own (def mine(x) = ...) the model runs "
               "with what it makes of each tensor, as f32. " NB_REMEMBERS_CALIBRATION_TEXT,
    .examples = {"quantize attention absmax --bits 4 --per group:32", "quantize blk.0-3.ffn_* f8_e4m3",
                 "quantize all gptq --bits 3 --per group:64"},
    .source = "Dettmers et al., LLM.int8(), arXiv 2208.07339, section 2; Nagel et al., A White Paper on "
              "Neural Network Quantization, arXiv 2106.08295; Frantar et al., GPTQ, arXiv 2210.17323; Badri "
              "and Shaji, Half-Quadratic Quantization of Large Machine Learning Models, 2023; nf4: Dettmers "
              "et al., QLoRA, arXiv 2305.14314",
    .arguments = {{"SCOPE", NB_WORD_SCOPE, false},
                  {"WHAT", NB_WORD_STORAGE, false},
                  {"FUNCTION", NB_WORD_FUNCTION, true}},
    .options = {NB_QUANTIZE_OPTIONS},
    .needs = NB_NEEDS_MODEL | NB_UNDOABLE,
    .run = run,
};
