#include "repl/commands/subject.h"
#include "repl/commands/table.h"

#include "base/memory.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEVICES = 64 };

static const nb_column columns[] = {{"device", NB_COLUMN_LEFT},
                                    {"holds", NB_COLUMN_FLOW},
                                    {"used", NB_COLUMN_RIGHT},
                                    {"of", NB_COLUMN_RIGHT},
                                    {"free", NB_COLUMN_RIGHT}};

typedef struct fleet {
    nb_device devices[MOST_DEVICES];
    char names[MOST_DEVICES][24];
    size_t n, n_unnamed;
} fleet;

/* ---- the devices ---- */

static bool read_size(const char *text, double *bytes)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"GB", 1e9}, {"GiB", 0x1p30}, {"MB", 1e6}, {"MiB", 0x1p20}, {"TB", 1e12}, {"TiB", 0x1p40}};
    const size_t n = strspn(text, "0123456789.");
    char digits[24];
    double number;
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(text + n, units[i].name) == 0 && nb_word_number(digits, &number)) {
            *bytes = number * units[i].bytes;
            return *bytes <= 1e15;
        }
    }
    return false;
}

static nb_status add_device(fleet *fleet, const char *name, double bytes, nb_error *error)
{
    if (fleet->n == MOST_DEVICES)
        return nb_fail(error, NB_ERR_ARGUMENT, "at most %d devices", MOST_DEVICES);
    char *to = fleet->names[fleet->n];
    if (name)
        snprintf(to, sizeof fleet->names[0], "%s", name);
    else
        snprintf(to, sizeof fleet->names[0], "gpu%zu", fleet->n_unnamed++);
    fleet->devices[fleet->n++] = (nb_device){.name = to, .bytes = bytes};
    return NB_OK;
}

/* "24GB", "2x24GB", "cpu:64GiB", "disk". */
static nb_status read_device(fleet *fleet, const char *word, nb_error *error)
{
    char name[24] = "";
    double bytes;
    unsigned long times = 1;
    const char *size = word, *colon = strchr(word, ':');
    if (strcmp(word, "disk") == 0)
        return add_device(fleet, "disk", INFINITY, error);
    if (colon && (size_t)(colon - word) < sizeof name) {
        memcpy(name, word, (size_t)(colon - word));
        size = colon + 1;
    }
    char *x;
    if (isdigit((unsigned char)*size) && (times = strtoul(size, &x, 10)) > 0 && *x == 'x')
        size = x + 1;
    else
        times = 1;
    if (!read_size(size, &bytes))
        return nb_fail(
            error, NB_ERR_ARGUMENT,
            "\"%.40s\" is no device: 24GB, 2x24GB, cpu:64GB, disk (GB is 1000^3 bytes, GiB 1024^3)", word);
    nb_status status = NB_OK;
    for (unsigned long i = 0; status == NB_OK && i < times; i++)
        status = add_device(fleet, *name ? name : NULL, bytes, error);
    return status;
}

static nb_status read_fleet(fleet *fleet, const char *text, nb_error *error)
{
    nb_status status = NB_OK;
    while (status == NB_OK && *(text += strspn(text, " ,")) != '\0') {
        char word[64];
        const size_t n = strcspn(text, " ,");
        snprintf(word, sizeof word, "%.*s", (int)nb_min_size(n, sizeof word - 1), text);
        status = read_device(fleet, word, error);
        text += n;
    }
    if (status == NB_OK && fleet->n == 0)
        status = nb_fail(error, NB_ERR_ARGUMENT, "plan wants devices: plan llama-7b --on \"2x8GB cpu:32GB\"");
    return status;
}

/* ---- the pieces ---- */

/* Embeddings, layers with their part of the cache, head. A tied head needs its matrix where the last layer
 * runs. */
static double *cut(const nb_subject *subject, double bits, double cache, size_t *n)
{
    const nb_parameters *p = &subject->parameters;
    const uint64_t n_layers = subject->shape.n_layers,
                   head =
                       p->head + (subject->shape.tied ? subject->shape.n_vocab * subject->shape.n_embd : 0);
    double *pieces = nb_calloc(n_layers + 2, sizeof *pieces);
    if (!pieces)
        return NULL;
    pieces[0] = nb_weight_bytes(p->embeddings, bits);
    for (uint64_t i = 0; i < n_layers; i++)
        pieces[1 + i] = nb_weight_bytes(p->layer, bits) + cache / (double)n_layers;
    pieces[1 + n_layers] = nb_weight_bytes(head, bits);
    *n = n_layers + 2;
    return pieces;
}

static void name_pieces(size_t first, size_t n, size_t n_layers, nb_draft *text)
{
    const size_t end = first + n, low = nb_max_size(first, 1), high = nb_min_size(end, n_layers + 1);
    if (n == 0)
        nb_draft_add(text, "nothing");
    if (n && first == 0)
        nb_draft_add(text, "embeddings");
    if (high > low + 1)
        nb_draft_addf(text, "%slayers %zu to %zu", text->n_bytes ? ", " : "", low - 1, high - 2);
    else if (high == low + 1)
        nb_draft_addf(text, "%slayer %zu", text->n_bytes ? ", " : "", low - 1);
    if (n && end == n_layers + 2)
        nb_draft_addf(text, "%shead", text->n_bytes ? ", " : "");
}

static void show_device(const nb_device *device, size_t n_layers, nb_items *out)
{
    nb_draft holds = {0};
    name_pieces(device->first, device->n, n_layers, &holds);
    nb_items_row(out);
    nb_items_cell(out, 0, "%s", device->name);
    nb_items_cell(out, 1, "%s", nb_draft_text(&holds));
    nb_items_cell(out, 2, "%s", nb_memory(device->used).text);
    if (isfinite(device->bytes)) {
        nb_items_cell(out, 3, "%s", nb_memory(device->bytes).text);
        nb_items_cell(out, 4, "%s", nb_memory(device->bytes - device->used).text);
    }
    nb_draft_free(&holds);
}

static void conclude(const nb_subject *subject, const double *pieces, size_t n, size_t placed, nb_items *out)
{
    double missing = 0;
    nb_draft names = {0};
    for (size_t i = placed; i < n; i++)
        missing += pieces[i];
    if (placed == n) {
        nb_items_text(out, NB_STRONG "It fits." NB_END);
        return;
    }
    name_pieces(placed, n - placed, subject->shape.n_layers, &names);
    nb_items_text(out,
                  NB_ALERT "It does not fit." NB_END
                           " %s found no place: %s. Fewer bits (--weights), a shorter "
                           "--context, or another device (cpu:64GB, disk).",
                  nb_draft_text(&names), nb_memory(missing).text);
    nb_draft_free(&names);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_subject subject;
    fleet fleet = {0};
    const nb_format *weights, *cache_format;
    nb_status status =
        nb_subject_read(notebook, call->n_arguments ? call->arguments[0] : NULL, &subject, error);
    if (status == NB_OK)
        status = nb_subject_needs_layers(&subject, "a plan", error);
    if (status == NB_OK)
        status = read_fleet(&fleet, nb_call_text(call, "on", ""), error);
    if (status == NB_OK)
        status = nb_subject_format(call, "weights", &nb_format_f16, &weights, error);
    if (status == NB_OK)
        status = nb_subject_format(call, "cache", &nb_format_f16, &cache_format, error);
    if (status != NB_OK)
        return status;
    const double tokens = nb_call_number(call, "context", (double)subject.shape.n_ctx) *
                          nb_call_number(call, "batch", 1),
                 cache = nb_cache_bytes_per_token(&subject.shape, nb_format_bits_per_weight(cache_format)) *
                         tokens;
    size_t n = 0;
    double *pieces = cut(&subject, nb_format_bits_per_weight(weights), cache, &n);
    if (!pieces)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a plan");
    const size_t placed = nb_place(pieces, n, fleet.devices, fleet.n);
    nb_subject_describe(&subject, out);
    nb_items_text(out, "A layer is %s: %s of weights as %s, %s of cache for %s tokens.",
                  nb_memory(pieces[1]).text,
                  nb_memory(pieces[1] - cache / (double)subject.shape.n_layers).text, weights->name,
                  nb_memory(cache / (double)subject.shape.n_layers).text, nb_count((uint64_t)tokens).text);
    nb_items_table(out, columns, 5);
    for (size_t i = 0; i < fleet.n; i++)
        show_device(&fleet.devices[i], subject.shape.n_layers, out);
    conclude(&subject, pieces, n, placed, out);
    free(pieces);
    return NB_OK;
}

const nb_command nb_command_plan = {
    .name = "plan",
    .group = "Numbers",
    .usage = "plan [MODEL] --on \"DEVICES\" [--weights FORMAT] [--context N]",
    .summary = "which layers go to which device; will it fit",
    .details = "Devices are filled one after the other, as a pipeline of layers runs: 24GB, 2x24GB, "
               "cpu:64GB, disk. GB is "
               "1000^3 bytes, GiB is 1024^3.",
    .examples = {"plan llama-7b --on \"2x8GB cpu:32GB\"", "plan llama-2-70b --on 24GiB --weights q2_k"},
    .arguments = {{"MODEL", NB_WORD_SHAPE, true}},
    .options =
        {{.name = "on", .kind = NB_WORD_TEXT, .value = "DEVICES", .summary = "what there is, in order"},
         {.name = "weights", .kind = NB_WORD_FORMAT, .value = "FORMAT", .summary = "f16 if not said"},
         NB_SEQUENCE_OPTIONS},
    .run = run,
};
