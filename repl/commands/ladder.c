#include "repl/commands/ppl.h"
#include "repl/commands/quantize.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RUNGS = 16, HIGHEST_BITS = 8, LOWEST_BITS = 2 };

static const nb_column columns[] = {{"bits", NB_COLUMN_LEFT},           {"a weight", NB_COLUMN_RIGHT},
                                    {"perplexity", NB_COLUMN_RIGHT},    {"against original", NB_COLUMN_RIGHT},
                                    {"against above", NB_COLUMN_RIGHT}, {"same top", NB_COLUMN_RIGHT}};

typedef struct rungs {
    nb_rung done[MAX_RUNGS];
    size_t n_done;
} rungs;

static void keep_rung(void *user, const nb_rung *rung)
{
    rungs *all = user;
    all->done[all->n_done++] = *rung;
}

/* "+0.0123 ± 0.0004" */
static void add_difference(nb_items *out, size_t column, double mean, double standard_error)
{
    int digits = nb_error_digits(standard_error);
    bool clear = fabs(mean) > 3 * standard_error;
    nb_items_cell(out, column, "%s%s ± %s%s", mean > 0 ? "+" : "", nb_fixed(mean, digits).text,
                  nb_fixed(standard_error, digits).text, clear ? " *" : "  ");
}

static void show_ladder(const nb_perplexity *original, const rungs *all, const char *text_name, nb_items *out)
{
    nb_items_table(out, columns, sizeof columns / sizeof *columns);
    int digits = nb_error_digits(original->standard_error);
    nb_items_row(out);
    nb_items_cell(out, 0, "original");
    nb_items_cell(out, 2, "%s ± %s", nb_fixed(original->ppl, digits).text,
                  nb_fixed(original->standard_error, digits).text);
    for (size_t i = 0; i < all->n_done; i++) {
        const nb_rung *rung = &all->done[i];
        digits = nb_error_digits(rung->standard_error);
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", rung->quantizer.format->name);
        nb_items_cell(out, 1, "%s", nb_fixed(rung->bits_per_weight, 2).text);
        nb_items_cell(out, 2, "%s ± %s", nb_fixed(rung->ppl, digits).text,
                      nb_fixed(rung->standard_error, digits).text);
        add_difference(out, 3, rung->paired_mean, rung->paired_error);
        add_difference(out, 4, rung->step_mean, rung->step_error);
        nb_items_cell(out, 5, "%s", nb_percent(rung->top1_agreement).text);
    }
    nb_items_text(out,
                  NB_MUTED "%s of %s; differences of the loss in nats a token, paired; * is beyond 3 "
                           "standard errors" NB_END,
                  nb_text_extent(original).text, text_name);
}

/* One quantizer per width, from --from down to --to. */
static nb_status read_rungs(const nb_call *call, nb_quantizer *out, size_t *n, nb_error *error)
{
    unsigned high = (unsigned)nb_call_number(call, "from", HIGHEST_BITS),
             low = (unsigned)nb_call_number(call, "to", LOWEST_BITS);
    if (low > high)
        return nb_fail(error, NB_ERR_ARGUMENT, "a ladder goes down: --from %u is below --to %u", high, low);
    nb_quantizer first;
    nb_status status = nb_quantizer_read(call->arguments[1], call, &first, error);
    if (status != NB_OK)
        return status;
    if (first.format->kind != NB_FORMAT_INT)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a ladder takes absmax or zeropoint: %s has no widths to climb down",
                       first.format->name);
    *n = 0;
    for (unsigned bits = high; bits >= low; bits--) {
        out[*n] = first;
        out[(*n)++].format = nb_format_int(bits);
    }
    return NB_OK;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_quantizer quantizers[MAX_RUNGS];
    size_t n = 0;
    nb_scope scope = {0};
    nb_mapping *text = NULL;
    nb_perplexity original = {0};
    rungs all = {.n_done = 0};
    nb_status status = read_rungs(call, quantizers, &n, error);
    if (status == NB_OK)
        status = nb_scope_resolve(notebook->model, call->arguments[0], false, &scope, error);
    if (status == NB_OK)
        status = nb_notebook_text(notebook, nb_call_text(call, "text", NULL), "ladder", &text, error);
    if (status == NB_OK)
        status = nb_ladder_climb(notebook->model, &scope, quantizers, n, (const char *)text->data, text->size,
                                 (size_t)nb_call_number(call, "tokens", NB_PPL_TOKENS), keep_rung, &all,
                                 &original, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    if (status == NB_OK) {
        show_ladder(&original, &all, nb_file_name(text->path), out);
        if (*scope.left)
            nb_items_text(out, "In high precision stay: %s.", scope.left);
    }
    nb_perplexity_free(&original);
    nb_mapping_close(&text);
    nb_scope_free(&scope);
    return status;
}

const nb_command nb_command_ladder = {
    .name = "ladder",
    .group = "Measuring",
    .usage = "ladder SCOPE absmax|zeropoint [--per tensor|channel|group:N] [--from N] [--to N] [--text FILE] "
             "[--tokens N]",
    .summary = "fewer and fewer bits, and what each step costs",
    .details = "Stores the scope in each width in turn, measures, and puts the model back. Every rung is "
               "compared token by token with the original and with the rung above it: the paired error says "
               "whether a step is real or noise.",
    .examples = {"ladder all absmax --per channel --text tinystories-sample.txt",
                 "ladder mlp zeropoint --per group:32 --from 4"},
    .arguments = {{"SCOPE", NB_WORD_SCOPE, false}, {"WHAT", NB_WORD_STORAGE, false}},
    .options = {NB_QUANTIZER_OPTIONS,
                {.name = "from",
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = LOWEST_BITS,
                 .high = HIGHEST_BITS,
                 .summary = "bits of the first rung; 8 unless said"},
                {.name = "to",
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = LOWEST_BITS,
                 .high = HIGHEST_BITS,
                 .summary = "bits of the last rung; 2 unless said"},
                NB_TEXT_OPTIONS('n')},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
