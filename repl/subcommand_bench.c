/* nibble bench: how fast a model runs here, beside what this machine could do. */
#include "repl/describe.h"
#include "repl/notebook.h"
#include "repl/numbers.h"
#include "repl/subcommands.h"

#include "eval/bench.h"

static const nb_column columns[] = {{"", NB_COLUMN_LEFT},
                                    {"tokens/s", NB_COLUMN_RIGHT},
                                    {"of the limit", NB_COLUMN_RIGHT},
                                    {"the limit", NB_COLUMN_FLOW}};

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_bench bench;
    nb_bench_options options = {.n_prompt = (size_t)nb_call_number(call, "prompt-tokens", 0),
                                .n_generate = (size_t)nb_call_number(call, "n", 0),
                                .n_repeats = (size_t)nb_call_number(call, "repeat", 0)};
    nb_status status = nb_subcommand_load(notebook, call, error);
    if (status == NB_OK)
        status = nb_bench_model(notebook->model, &options, &bench, error);
    if (status != NB_OK)
        return status;
    nb_draft storage = {0};
    nb_describe_model_storage(notebook->model, &storage);
    nb_items_text(out, "%s · %s · %s · " NB_MEASURED "%s, %zu threads" NB_END, nb_model_name(notebook->model),
                  nb_draft_text(&storage), nb_bytes(nb_model_n_bytes(notebook->model)).text,
                  notebook->context->kernels->title, bench.n_threads);
    nb_draft_free(&storage);
    nb_items_table(out, columns, 4);
    nb_items_row(out);
    nb_items_cell(out, 0, "decode, %zu tokens", bench.n_generate);
    nb_items_cell(out, 1, NB_MEASURED "%s" NB_END, nb_rate(bench.decode_rate).text);
    nb_items_cell(out, 2, NB_MEASURED "%s" NB_END, nb_percent(bench.decode_share).text);
    nb_items_cell(out, 3, "%s a token at " NB_MEASURED "%s/s" NB_END, nb_bytes(bench.decode_bytes).text,
                  nb_bytes((uint64_t)bench.bandwidth).text);
    nb_items_row(out);
    nb_items_cell(out, 0, "prefill, %zu tokens", bench.n_prompt);
    nb_items_cell(out, 1, NB_MEASURED "%s" NB_END, nb_rate(bench.prefill_rate).text);
    nb_items_cell(out, 2, NB_MEASURED "%s" NB_END, nb_percent(bench.prefill_share).text);
    nb_items_cell(out, 3, NB_MEASURED "%s Gop/s int8, %s Gop/s f32" NB_END,
                  nb_rate(bench.int8_peak * 1e-9).text, nb_rate(bench.fma_peak * 1e-9).text);
    nb_items_text(out, "Medians of %zu runs; the limits were measured in the same run.", bench.n_repeats);
    return NB_OK;
}

const nb_command nb_subcommand_bench = {
    .name = "bench",
    .usage = "nibble bench -m FILE [-t N] [-n N] [--repeat N]",
    .summary = "tokens per second, beside what this machine's memory and multipliers allow",
    .examples = {"nibble bench -m model.gguf -t 2"},
    .options = {NB_MODEL_OPTIONS,
                {.name = "n",
                 .alias = "tokens",
                 .letter = 'n',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1e6,
                 .summary = "tokens of a decode run"},
                {.name = "prompt-tokens",
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1e6,
                 .summary = "tokens of a prefill run"},
                {.name = "repeat",
                 .letter = 'r',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1000,
                 .summary = "runs, of which the median counts"}},
    .run = run,
};
