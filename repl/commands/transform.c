#include "repl/commands/transform.h"

#include "repl/commands/calibrate.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/nearest.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_CHANNELS = 16, GAIN = 64, SEED = 1, MOST_SHOWN = 16, PROBE_TOKENS = 16 };

/* ---- what it does to the logits ---- */

nb_status nb_transform_probe(nb_model *model, nb_weights weights, float **out, nb_error *error)
{
    const nb_hparams *shape = nb_model_hparams(model);
    const size_t n = nb_min_size(PROBE_TOKENS, shape->n_ctx);
    int32_t tokens[PROBE_TOKENS];
    nb_session *session = NULL;
    const float *logits = NULL;
    for (size_t i = 0; i < n; i++)
        tokens[i] = (int32_t)((1 + 7919 * i) % shape->n_vocab);
    *out = nb_calloc(shape->n_vocab, sizeof **out);
    nb_status status = *out ? nb_session_create(model, weights, n, &session, error)
                            : nb_fail(error, NB_ERR_MEMORY, "no memory for the logits of one token");
    if (status == NB_OK)
        status = nb_session_eval(session, tokens, n, NB_LOGITS_LAST, &logits, error);
    if (status == NB_OK)
        memcpy(*out, logits, shape->n_vocab * sizeof **out);
    nb_session_destroy(&session);
    return status;
}

/* Where more than the last places of f32 may move: the file's format rounds what was multiplied. */
static const char *rounding_of(const nb_model *model)
{
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const nb_tensor *t = nb_model_tensor(model, i);
        if ((t->transforms || t->input) && !t->is_vector && t->source_format && t->source_format != &nb_format_f32)
            return t->source_format == &nb_format_bf16 ? ": what was multiplied is rounded to bf16 again"
                                                       : ": what was multiplied is rounded to f16 again";
    }
    return ": the last places of f32";
}

static void describe_difference(const nb_model *model, const float *before, const float *after, nb_items *out)
{
    const size_t n = nb_model_hparams(model)->n_vocab;
    double largest = 0, difference = 0;
    for (size_t i = 0; i < n; i++) {
        const double size = fabs((double)before[i]), moved = fabs((double)after[i] - (double)before[i]);
        largest = size > largest ? size : largest;
        difference = moved > difference || isnan(moved) ? moved : difference;
    }
    if (isnan(difference))
        nb_items_text(out, "the model's logits are no numbers: it does not compute on the words that were tried");
    else if (difference > 0)
        nb_items_text(out, "the unquantized model's logits move by %s at most, of %s%s",
                      nb_general(difference, 2).text, nb_general(largest, 3).text, rounding_of(model));
    else
        nb_items_text(out, "the unquantized model's logits keep their bits");
}

void nb_transform_describe_difference(nb_model *model, nb_weights weights, const float *before, nb_items *out)
{
    float *after = NULL;
    /* what is done is done: a wish to stop now costs this line only */
    if (nb_transform_probe(model, weights, &after, NULL) == NB_OK)
        describe_difference(model, before, after, out);
    free(after);
}

/* ---- inject-outliers ---- */

static const nb_column columns[] = {
    {"norm", NB_COLUMN_LEFT}, {"channel", NB_COLUMN_RIGHT}, {"gain", NB_COLUMN_RIGHT}};

static void describe_outliers(const nb_model *model, const nb_outlier *made, size_t n, nb_items *out)
{
    const size_t shown = n > MOST_SHOWN ? MOST_SHOWN : n;
    nb_items_table(out, columns, 3);
    for (size_t i = 0; i < shown; i++) {
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", nb_model_tensor(model, made[i].norm)->name);
        nb_items_cell(out, 1, "%zu", made[i].channel);
        nb_items_cell(out, 2, "%s", nb_general((double)made[i].gain, 4).text);
    }
    nb_items_text(
        out,
        "%s channel%s%s: what the norm makes of it is multiplied, and the columns that read it are divided",
        nb_count(n).text, n == 1 ? "" : "s", n > shown ? ", of which these are the first" : "");
}

static nb_status inject_outliers(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_model *model = notebook->model;
    const nb_outlier_options options = {.n_channels = (size_t)nb_call_number(call, "channels", N_CHANNELS),
                                        .gain = nb_call_number(call, "gain", GAIN),
                                        .seed = (uint64_t)nb_call_number(call, "seed", SEED)};
    float *before = NULL;
    nb_outlier *made = nb_calloc(options.n_channels, sizeof *made);
    nb_status status = made ? nb_transform_probe(model, NB_WEIGHTS_ORIGINAL, &before, error)
                            : nb_fail(error, NB_ERR_MEMORY, "no memory for a list of channels");
    if (status == NB_OK)
        status = nb_model_inject_outliers(model, &options, made, error);
    if (status == NB_OK) {
        nb_notebook_note_undo(notebook, call);
        describe_outliers(model, made, options.n_channels, out);
        nb_transform_describe_difference(model, NB_WEIGHTS_ORIGINAL, before, out);
    }
    free(before);
    free(made);
    return status;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    nb_run_fn *run;
} transforms[] = {
    {"inject-outliers", inject_outliers},
    {"smooth", nb_transform_smooth},
    {"awq-scale", nb_transform_awq},
    {"rotate", nb_transform_rotate},
};
enum { N_TRANSFORMS = sizeof transforms / sizeof *transforms };

const char *nb_transform_name(size_t index)
{
    return index < N_TRANSFORMS ? transforms[index].name : NULL;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_nearest nearest;
    nb_nearest_start(&nearest, call->arguments[0]);
    for (size_t i = 0; i < N_TRANSFORMS; i++) {
        if (strcmp(call->arguments[0], transforms[i].name) == 0)
            return transforms[i].run(notebook, call, out, error);
        nb_nearest_offer(&nearest, transforms[i].name);
    }
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "no transform is called \"%.60s\": did you mean %s?",
                       call->arguments[0], nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "no transform is called \"%.60s\": help transform tells which there are",
                   call->arguments[0]);
}

const nb_command nb_command_transform = {
    .name = "transform",
    .group = "Changing it",
    .usage = "transform inject-outliers [--channels N] [--gain G] [--seed S]\n"
             "transform smooth [--alpha A] [--text FILE] [--tokens N]\n"
             "transform awq-scale [--bits N] [--per WHAT] [--scheme absmax] [--duo] [--text FILE] [--tokens N]\n"
             "transform rotate [--seed S] [--text FILE] [--tokens N]",
    .summary = "rewrite tensors so that f32 computes the same",
    .details =
        "inject-outliers gives a small model what large ones have: a few channels whose activations are far "
        "larger than the rest. It multiplies randomly chosen weights of the norms before attention and "
        "before the MLP by powers of two of at most G, and divides the columns that read them.\n"
        "smooth reads a text, divides each channel that a norm makes by max|x|^A / max|w|^(1-A), and multiplies "
        "the columns that read it: what is hard to quantize in the activations goes into the weights. Then quantize "
        "all absmax --per tensor with --activations token is the paper's O1, with --activations static its O3; O2, one "
        "scale for what is read at once, would let a token depend on its neighbours.\n"
        "awq-scale multiplies columns that meet large activations, as far as that makes the error of the block "
        "smaller once its weights have N bits; norms, attn_v and ffn_up are divided.\n"
        "rotate mixes the channels of every matrix's input, and its columns, by random signs and a Hadamard matrix, so that "
        "no channel stands out: activations are turned before each product.\n"
        "Tensors that are quantized are quantized again. " NB_COMMAND "undo" NB_END " takes a transform back; " NB_COMMAND
        "restore" NB_END " and the original of " NB_COMMAND "compare" NB_END " speak of formats and keep it. " NB_REMEMBERS_CALIBRATION_TEXT,
    .examples = {"transform inject-outliers --channels 8 --gain 100 --seed 3", "transform smooth --alpha 0.5",
                 "transform awq-scale --bits 3 --per group:64"},
    .source = "Dettmers et al., LLM.int8(), arXiv 2208.07339, section 4; Xiao et al., SmoothQuant, arXiv 2211.10438; Lin et "
              "al., AWQ, arXiv 2306.00978; Ashkboos et al., QuaRot, arXiv 2404.00456",
    .arguments = {{"WHAT", NB_WORD_TRANSFORM, false}},
    .options = {{.name = "channels",
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1e6,
                 .summary = "how many, over all norms; 16 unless said"},
                {.name = "gain",
                 .kind = NB_WORD_NUMBER,
                 .value = "G",
                 .low = 2,
                 .high = NB_OUTLIER_MOST_GAIN,
                 .summary = "the largest gain; 64 unless said"},
                {.name = "seed",
                 .kind = NB_WORD_COUNT,
                 .value = "S",
                 .low = 0,
                 .high = 9007199254740992.0,
                 .summary = "the same seed gives the same channels, or signs; 1 unless said"},
                {.name = "alpha",
                 .kind = NB_WORD_NUMBER,
                 .value = "A",
                 .low = 0,
                 .high = 1,
                 .summary = "smooth: how much of it the weights take; 0.5 unless said"},
                NB_CALIBRATION_TEXT_OPTIONS(16, "4,096 for smooth, 1,024 for awq-scale unless said"),
                {.name = "bits",
                 .letter = 'b',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 2,
                 .high = 8,
                 .summary = "awq-scale: bits of a code that the factors are to suit; 4 unless said"},
                {.name = "per",
                 .kind = NB_WORD_PER,
                 .value = "WHAT",
                 .summary = "awq-scale: share a scale per tensor, channel or group:N; group:128 unless said"},
                {.name = "scheme",
                 .kind = NB_WORD_CHOICE,
                 .value = "WHAT",
                 .choices = "zeropoint absmax",
                 .summary = "awq-scale: zeropoint unless said"},
                {.name = "duo", .kind = NB_WORD_FLAG, .summary = "awq-scale: factors from weights too, as AutoAWQ has them"}},
    .needs = NB_NEEDS_MODEL | NB_UNDOABLE,
    .run = run,
};
