#include "repl/commands/transform.h"

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

/* The logits of the original after a few tokens, whichever: allocated, [n_vocab]. */
static nb_status probe(nb_model *model, float **out, nb_error *error)
{
    const nb_hparams *shape = nb_model_hparams(model);
    const size_t n = nb_min_size(PROBE_TOKENS, shape->n_ctx);
    int32_t tokens[PROBE_TOKENS];
    nb_session *session = NULL;
    const float *logits = NULL;
    for (size_t i = 0; i < n; i++)
        tokens[i] = (int32_t)((1 + 7919 * i) % shape->n_vocab);
    *out = nb_calloc(shape->n_vocab, sizeof **out);
    nb_status status = *out ? nb_session_create(model, NB_WEIGHTS_ORIGINAL, n, &session, error)
                            : nb_fail(error, NB_ERR_MEMORY, "no memory for the logits of one token");
    if (status == NB_OK)
        status = nb_session_eval(session, tokens, n, NB_LOGITS_LAST, &logits, error);
    if (status == NB_OK)
        memcpy(*out, logits, shape->n_vocab * sizeof **out);
    nb_session_destroy(&session);
    return status;
}

static void describe_difference(const float *before, const float *after, size_t n, nb_items *out)
{
    double largest = 0, difference = 0;
    for (size_t i = 0; i < n; i++) {
        const double size = fabs((double)before[i]), moved = fabs((double)after[i] - (double)before[i]);
        largest = size > largest ? size : largest;
        difference = moved > difference ? moved : difference;
    }
    if (difference > 0)
        nb_items_text(out, "the unquantized model's logits move by %s at most, of %s",
                      nb_general(difference, 2).text, nb_general(largest, 3).text);
    else
        nb_items_text(out, "the unquantized model's logits keep their bits");
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
    float *before = NULL, *after = NULL;
    nb_outlier *made = nb_calloc(options.n_channels, sizeof *made);
    nb_status status = made ? probe(model, &before, error)
                            : nb_fail(error, NB_ERR_MEMORY, "no memory for a list of channels");
    if (status == NB_OK)
        status = nb_model_inject_outliers(model, &options, made, error);
    if (status == NB_OK) {
        nb_notebook_note_undo(notebook, call);
        describe_outliers(model, made, options.n_channels, out);
        /* what is done is done: a wish to stop now costs this line only */
        if (probe(model, &after, NULL) == NB_OK)
            describe_difference(before, after, nb_model_hparams(model)->n_vocab, out);
    }
    free(before);
    free(after);
    free(made);
    return status;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    nb_run_fn *run;
} transforms[] = {
    {"inject-outliers", inject_outliers},
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
    .usage = "transform inject-outliers [--channels N] [--gain G] [--seed S]",
    .summary = "rewrite tensors so that f32 computes the same",
    .details =
        "inject-outliers gives a small model what large ones have: a few channels whose activations are far "
        "larger than the rest. It multiplies randomly chosen weights of the norms before attention and "
        "before "
        "the MLP by powers of two of at most G, and divides the columns that read them. Tensors that are "
        "quantized are quantized again. " NB_COMMAND "undo" NB_END " takes a transform back; " NB_COMMAND
        "restore" NB_END " and the original of " NB_COMMAND "compare" NB_END " speak of formats and keep it.",
    .examples = {"transform inject-outliers", "transform inject-outliers --channels 8 --gain 100 --seed 3"},
    .source = "Dettmers et al., LLM.int8(), 2022, section 4",
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
                 .summary = "the same seed gives the same channels; 1 unless said"}},
    .needs = NB_NEEDS_MODEL | NB_UNDOABLE,
    .run = run,
};
