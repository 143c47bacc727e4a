#include "repl/commands/ppl.h"
#include "repl/commands/quantize.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BAR_COLUMNS = 20 };

/* Parts of the model, each quantized alone. */
typedef struct parts {
    size_t n;
    char (*names)[80];
    nb_scope *scopes;
    nb_quantizer *quantizers; /* one for each tensor of the largest part, all alike */
    nb_way *ways;
    nb_way_cost *costs;
    uint64_t *n_bytes; /* of the part as it is now */
} parts;

static void parts_free(parts *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->scopes[i].tensors);
    free(p->names);
    free(p->scopes);
    free(p->quantizers);
    free(p->ways);
    free(p->costs);
    free(p->n_bytes);
}

static nb_status parts_create(parts *p, const nb_scope *scope, const nb_quantizer *quantizer, nb_error *error)
{
    const size_t n = scope->count;
    *p = (parts){.names = nb_calloc(n, sizeof *p->names),
                 .scopes = nb_calloc(n, sizeof *p->scopes),
                 .quantizers = nb_calloc(n, sizeof *p->quantizers),
                 .ways = nb_calloc(n, sizeof *p->ways),
                 .costs = nb_calloc(n, sizeof *p->costs),
                 .n_bytes = nb_calloc(n, sizeof *p->n_bytes)};
    if (!p->names || !p->scopes || !p->quantizers || !p->ways || !p->costs || !p->n_bytes)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a list of %zu tensors", n);
    for (size_t i = 0; i < n; i++)
        p->quantizers[i] = *quantizer;
    return NB_OK;
}

/* To which part a tensor belongs: "blk.3", "attn_v", or its own name. */
static void name_part(const nb_tensor *tensor, const char *by, char *name, size_t size)
{
    const char *dot = strrchr(tensor->name, '.');
    if (strcmp(by, "layer") == 0 && tensor->layer >= 0)
        snprintf(name, size, "blk.%d", tensor->layer);
    else if (strcmp(by, "kind") == 0 && dot)
        snprintf(name, size, "%s", dot + 1);
    else
        snprintf(name, size, "%s", tensor->name);
}

static nb_status split(parts *p, const nb_model *model, const nb_scope *scope, const char *by, nb_error *error)
{
    for (size_t i = 0; i < scope->count; i++) {
        const nb_tensor *tensor = nb_model_tensor(model, scope->tensors[i]);
        char name[sizeof *p->names];
        size_t part = 0;
        name_part(tensor, by, name, sizeof name);
        while (part < p->n && strcmp(p->names[part], name) != 0)
            part++;
        nb_scope *into = &p->scopes[part];
        if (part == p->n) {
            into->tensors = nb_calloc(scope->count, sizeof *into->tensors);
            if (!into->tensors)
                return nb_fail(error, NB_ERR_MEMORY, "no memory for a list of %zu tensors", scope->count);
            memcpy(p->names[part], name, sizeof name);
            p->n++;
        }
        into->tensors[into->count++] = scope->tensors[i];
        p->n_bytes[part] += nb_tensor_n_bytes(tensor);
    }
    for (size_t i = 0; i < p->n; i++)
        p->ways[i] = (nb_way){.name = p->names[i], .scope = &p->scopes[i], .quantizers = p->quantizers};
    return NB_OK;
}

static const nb_column columns[] = {{"alone", NB_COLUMN_LEFT},
                                    {"now", NB_COLUMN_RIGHT},
                                    {"perplexity", NB_COLUMN_RIGHT},
                                    {"increase, paired", NB_COLUMN_RIGHT},
                                    {"", NB_COLUMN_LEFT}};

/* As long as the loss is beside the largest of the table. */
static void add_bar(nb_items *out, size_t column, double share)
{
    char bar[BAR_COLUMNS * 3 + 1] = "";
    const int n = share > 0 ? (int)ceil(share * BAR_COLUMNS) : 0;
    for (int i = 0; i < n && i < BAR_COLUMNS; i++)
        memcpy(bar + 3 * i, "▇", 4);
    nb_items_cell(out, column, "%s", bar);
}

/* Which part loses most, and whether that is sure: 3 paired standard errors, as everywhere. */
static void conclude(const parts *p, size_t worst, const nb_call *call, const nb_perplexity *original, nb_items *out)
{
    const double lost = p->costs[worst].paired_mean, error = p->costs[worst].paired_error;
    const double asked = nb_call_number(call, "tokens", NB_WAYS_TOKENS);
    const bool by_kind = strcmp(nb_call_text(call, "by", "layer"), "kind") == 0 && p->scopes[worst].count > 1;
    const char *name = p->names[worst], *most = p->n > 1 ? " most," : "";
    if (lost > 3 * error) {
        if (p->n > 1)
            nb_items_text(out, "Most sensitive: " NB_STRONG "%s" NB_END ".   " NB_COMMAND "--keep %s%s" NB_END
                               "   with quantize spares it",
                          name, by_kind ? "*." : "", name);
        return;
    }
    if (lost > 0)
        nb_items_text(out, NB_STRONG "%s" NB_END " loses%s %s standard errors: less than 3 may be chance.", name, most,
                      nb_fixed(lost / error, 1).text);
    else
        nb_items_text(out, "This text shows no loss: try fewer bits.");
    if (asked > 0 && (double)original->n_tokens >= asked)
        nb_items_text(out, NB_COMMAND "--tokens 0" NB_END "   reads all of the text, which tells more");
    else
        nb_items_text(out, "A longer text tells more.");
}

static void show(const parts *p, const nb_call *call, const nb_quantizer *quantizer, const nb_perplexity *original,
                 const char *text_name, nb_items *out)
{
    double largest = 0;
    size_t worst = 0;
    char storage[96];
    for (size_t i = 0; i < p->n; i++)
        if (p->costs[i].paired_mean > largest) {
            largest = p->costs[i].paired_mean;
            worst = i;
        }
    nb_items_table(out, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < p->n; i++) {
        const nb_way_cost *cost = &p->costs[i];
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", p->names[i]);
        nb_items_cell(out, 1, "%s", nb_bytes(p->n_bytes[i]).text);
        nb_items_cell(out, 2, "%s", nb_perplexity_text(cost->ppl).text);
        nb_items_cell(out, 3, "%s", nb_increase_text(cost, original).text);
        add_bar(out, 4, largest > 0 ? cost->paired_mean / largest : 0);
    }
    nb_quantizer_describe(quantizer, storage, sizeof storage);
    nb_items_text(out, NB_MUTED "each alone as %s, the rest as it is; %s of %s, perplexity %s as it is now" NB_END,
                  storage, nb_text_extent(original).text, text_name, nb_perplexity_text(original->ppl).text);
    conclude(p, worst, call, original, out);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_quantizer quantizer;
    nb_scope scope = {0};
    parts p = {0};
    nb_perplexity original = {0};
    const char *text_name;
    nb_status status = nb_quantizer_read(call->arguments[1], call, &quantizer, error);
    if (status == NB_OK)
        status = nb_scope_resolve(notebook->model, call->arguments[0], false, &scope, error);
    if (status == NB_OK)
        status = parts_create(&p, &scope, &quantizer, error);
    if (status == NB_OK)
        status = split(&p, notebook->model, &scope, nb_call_text(call, "by", "layer"), error);
    if (status == NB_OK)
        status = nb_measure_ways(notebook, call, p.ways, p.n, &original, p.costs, &text_name, error);
    if (status == NB_OK)
        show(&p, call, &quantizer, &original, text_name, out);
    nb_perplexity_free(&original);
    parts_free(&p);
    nb_scope_free(&scope);
    return status;
}

const nb_command nb_command_sensitivity = {
    .name = "sensitivity",
    .group = "Measuring",
    .usage = "sensitivity SCOPE WHAT [--bits N] [--per tensor|channel|group:N] [--by layer|kind|tensor] [--text FILE]\n"
             "            [--tokens N]",
    .summary = "which layers mind: each alone in fewer bits",
    .details = "Quantizes each layer (or each kind of matrix, or each tensor) of the scope alone, measures, and puts it "
               "back. Those that lose much are worth more bits than the others. A loss of less than 3 paired standard "
               "errors may be chance.",
    .examples = {"sensitivity all absmax --bits 3 --per group:64", "sensitivity all,embeddings q2_k --by kind",
                 "sensitivity blk.0 absmax --bits 2 --per group:32 --by tensor"},
    .arguments = {{"SCOPE", NB_WORD_SCOPE, false}, {"WHAT", NB_WORD_STORAGE, false}},
    .options = {NB_QUANTIZER_OPTIONS,
                {.name = "by",
                 .kind = NB_WORD_CHOICE,
                 .value = "layer|kind|tensor",
                 .choices = "layer kind tensor",
                 .summary = "what is quantized together; a layer unless said"},
                NB_WAYS_TEXT_OPTIONS},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
