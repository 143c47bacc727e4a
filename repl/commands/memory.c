#include "repl/commands/subject.h"
#include "repl/commands/table.h"

#include <math.h>
#include <string.h>

static const nb_column weight_columns[] = {{"weights as", NB_COLUMN_LEFT},
                                           {"bits", NB_COLUMN_RIGHT},
                                           {"bytes", NB_COLUMN_RIGHT},
                                           {"with the cache", NB_COLUMN_RIGHT}};
static const nb_column plain_columns[] = {
    {"weights as", NB_COLUMN_LEFT}, {"bits", NB_COLUMN_RIGHT}, {"bytes", NB_COLUMN_RIGHT}};
static const nb_column training_columns[] = {{"on each device", NB_COLUMN_LEFT},
                                             {"a parameter", NB_COLUMN_RIGHT},
                                             {"bytes", NB_COLUMN_RIGHT},
                                             {"", NB_COLUMN_FLOW}};

static double cache_bytes(const nb_subject *subject, const nb_call *call, const nb_format *cache)
{
    const double context = nb_call_number(call, "context", (double)subject->shape.n_ctx);
    return nb_cache_bytes_per_token(&subject->shape, nb_format_bits_per_weight(cache)) * context *
           nb_call_number(call, "batch", 1);
}

/* ---- to write with ---- */

static void add_weights(const nb_subject *subject, const nb_format *format, double cache, nb_items *out)
{
    const double bits = nb_format_bits_per_weight(format),
                 bytes = nb_weight_bytes(subject->parameters.total, bits);
    nb_items_row(out);
    nb_items_cell(out, 0, "%s", format->name);
    nb_items_cell(out, 1, "%s", nb_fixed(bits, 2).text);
    nb_items_cell(out, 2, "%s", nb_memory(bytes).text);
    if (subject->shape.n_layers)
        nb_items_cell(out, 3, "%s", nb_memory(bytes + cache).text);
}

static void explain_cache(const nb_subject *subject, const nb_call *call, const nb_format *format,
                          double cache, nb_items *out)
{
    const double batch = nb_call_number(call, "batch", 1);
    nb_draft many = {0};
    if (batch > 1)
        nb_draft_addf(&many, " of each of %s sequences", nb_count((uint64_t)batch).text);
    nb_items_text(
        out, "The cache keeps %s of every token as %s: %s for %s tokens%s.",
        nb_memory(nb_cache_bytes_per_token(&subject->shape, nb_format_bits_per_weight(format))).text,
        format->name, nb_memory(cache).text,
        nb_count((uint64_t)nb_call_number(call, "context", (double)subject->shape.n_ctx)).text,
        nb_draft_text(&many));
    nb_draft_free(&many);
}

static nb_status show_writing(const nb_subject *subject, const nb_call *call, nb_items *out, nb_error *error)
{
    static const char *const usual[] = {"f32", "f16", "int8", "q4_k", "int4", "int2"};
    const nb_format *weights, *cache_format;
    nb_status status = nb_subject_format(call, "weights", NULL, &weights, error);
    if (status == NB_OK)
        status = nb_subject_format(call, "cache", &nb_format_f16, &cache_format, error);
    if (status == NB_OK &&
        (nb_call_has(call, "context") || nb_call_has(call, "batch") || nb_call_has(call, "cache")))
        status = nb_subject_needs_layers(subject, "the cache", error);
    if (status != NB_OK)
        return status;
    const bool has_cache = subject->shape.n_layers;
    const double cache = has_cache ? cache_bytes(subject, call, cache_format) : 0;
    nb_subject_describe(subject, out);
    nb_items_table(out, has_cache ? weight_columns : plain_columns, has_cache ? 4 : 3);
    for (size_t i = 0; !weights && i < sizeof usual / sizeof *usual; i++)
        add_weights(subject, nb_format_find(usual[i]), cache, out);
    if (weights)
        add_weights(subject, weights, cache, out);
    if (!weights || weights->kind == NB_FORMAT_INT)
        nb_items_text(out,
                      "intN counts the codes alone; a 16-bit scale for every 32 adds half a bit a weight.");
    if (has_cache)
        explain_cache(subject, call, cache_format, cache, out);
    return NB_OK;
}

/* ---- to train ---- */

static void add_part(const char *name, double per_parameter, double bytes, const char *note, nb_items *out)
{
    nb_items_row(out);
    nb_items_cell(out, 0, "%s", name);
    if (per_parameter > 0)
        nb_items_cell(out, 1, "%s", nb_general(per_parameter, 3).text);
    nb_items_cell(out, 2, "%s", nb_memory(bytes).text);
    nb_items_cell(out, 3, NB_MUTED "%s" NB_END, note);
}

static const char *split_note(const nb_training *training, unsigned stage)
{
    return training->offload && stage < 3                       ? "in the computer's memory"
           : training->zero >= stage && training->n_devices > 1 ? "its share"
                                                                : "";
}

static nb_recompute recompute_of(const char *word)
{
    return strcmp(word, "layers") == 0      ? NB_RECOMPUTE_LAYERS
           : strcmp(word, "attention") == 0 ? NB_RECOMPUTE_ATTENTION
                                            : NB_RECOMPUTE_NOTHING;
}

static nb_status show_training(const nb_subject *subject, const nb_call *call, nb_items *out, nb_error *error)
{
    const nb_training training = {.optimizer = nb_optimizer_find(nb_call_text(call, "train", "adamw")),
                                  .zero = (unsigned)nb_call_number(call, "zero", 0),
                                  .n_devices = nb_call_number(call, "devices", 1),
                                  .offload = nb_call_has(call, "offload")};
    if (training.zero && training.n_devices < 2)
        return nb_fail(error, NB_ERR_ARGUMENT, "ZeRO splits among devices: --zero %u --devices 8",
                       training.zero);
    const nb_optimizer_row *row = training.optimizer;
    const nb_training_bytes bytes = nb_training_memory(subject->parameters.total, &training);
    const double context = nb_call_number(call, "context", (double)subject->shape.n_ctx),
                 batch = nb_call_number(call, "batch", 1), n = (double)subject->parameters.total;
    const char *recompute = nb_call_text(call, "recompute", "nothing");
    double device = bytes.device;
    nb_subject_describe(subject, out);
    nb_items_table(out, training_columns, 4);
    add_part("weights", bytes.weights / n, bytes.weights, split_note(&training, 3), out);
    if (!training.offload) {
        add_part("gradients", bytes.gradients / n, bytes.gradients, split_note(&training, 2), out);
        add_part("optimizer's state", bytes.state / n, bytes.state, split_note(&training, 1), out);
    }
    if (subject->shape.n_layers) {
        const double kept = nb_activation_bytes(&subject->shape, context, batch, recompute_of(recompute));
        nb_number tokens = nb_count((uint64_t)(context * batch));
        nb_draft note = {0};
        nb_draft_addf(&note, "of %s tokens%s%s", tokens.text,
                      strcmp(recompute, "nothing") == 0 ? "" : ", computing again: ",
                      strcmp(recompute, "nothing") == 0 ? "" : recompute);
        add_part("activations", 0, kept, nb_draft_text(&note), out);
        nb_draft_free(&note);
        device += kept;
    }
    add_part(NB_STRONG "together" NB_END, device / n, device, "", out);
    if (training.offload)
        add_part("in the computer's memory", bytes.host / n, bytes.host, "gradients and optimizer's state",
                 out);
    nb_items_text(out, "%s: %s.%s", row->name, row->summary,
                  subject->shape.n_layers ? " Activations as a GPT layer keeps them in 16 bits; an estimate."
                                          : "");
    return NB_OK;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_subject subject;
    nb_status status =
        nb_subject_read(notebook, call->n_arguments ? call->arguments[0] : NULL, &subject, error);
    if (status != NB_OK)
        return status;
    const bool trains = nb_call_has(call, "train");
    static const char *const of_training[] = {"devices", "zero", "recompute", "offload"};
    for (size_t i = 0; !trains && i < sizeof of_training / sizeof *of_training; i++) {
        if (nb_call_has(call, of_training[i]))
            return nb_fail(error, NB_ERR_ARGUMENT, "--%s speaks of training: add --train adamw",
                           of_training[i]);
    }
    return trains ? show_training(&subject, call, out, error) : show_writing(&subject, call, out, error);
}

const nb_command nb_command_memory = {
    .name = "memory",
    .group = "Numbers",
    .usage = "memory [MODEL] [--weights FORMAT] [--context N] | --train OPTIMIZER",
    .summary = "what a model takes: weights, cache, training",
    .details = "MODEL is a published one (llama-7b), a number of parameters (7B), or else the loaded one.",
    .examples = {"memory llama-7b", "memory llama-7b --weights int4 --context 4096 --batch 8",
                 "memory llama-7b --train adamw --devices 8 --zero 2"},
    .source = "Rajbhandari et al. 2020, ZeRO; Korthikanti et al. 2022; Ren et al. 2021, ZeRO-Offload",
    .arguments = {{"MODEL", NB_WORD_SHAPE, true}},
    .options = {{.name = "weights", .kind = NB_WORD_FORMAT, .value = "FORMAT", .summary = "this format only"},
                NB_SEQUENCE_OPTIONS,
                {.name = "train",
                 .kind = NB_WORD_CHOICE,
                 .value = "OPTIMIZER",
                 .summary = "what training takes: adamw, adamw-f32, adamw-8bit, sgd",
                 .choices = "adamw adamw-f32 adamw-8bit sgd"},
                {.name = "devices",
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .summary = "that train side by side, each on batches of its own",
                 .low = 1,
                 .high = 1e6},
                {.name = "zero",
                 .kind = NB_WORD_COUNT,
                 .value = "0..3",
                 .summary = "they share: 1 the optimizer's state, 2 gradients too, 3 weights too",
                 .low = 0,
                 .high = 3},
                {.name = "recompute",
                 .kind = NB_WORD_CHOICE,
                 .value = "WHAT",
                 .summary = "computed again instead of kept: nothing, attention, layers (checkpointing)",
                 .choices = "nothing attention layers"},
                {.name = "offload",
                 .kind = NB_WORD_FLAG,
                 .summary = "gradients and optimizer's state live in the computer's memory"}},
    .run = run,
};
