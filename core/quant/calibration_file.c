/* Calibrations in files: GGUF with keys and tensors of nibble's own.
 *
 *   nibble.calibration.version  u32   2: 1 had no averages
 *   nibble.calibration.text, .text_digest, .model_digest, .sequences, .tokens, .entries
 *   nibble.calibration.channel_bins   u64   512 with histograms of channels, 0 without
 *   nibble.calibration.I.tensors      names of the tensors that read entry I, with spaces between
 *   I.range     F64 {6}: low, high, the moving average's low and high, a bin's width, tokens
 *   I.bins      F64 {2048}: counts
 *   I.channels  F32 {columns, 3}: largest, mean of |x|, mean of x^2
 *   I.averages  F64 {columns, 2}: a channel's moving average's low and high
 *   I.rows      F32 {columns, rows}
 * and with histograms of channels
 *   I.channel_bins    I32 {512, columns}: counts, unsigned
 *   I.channel_scales  F32 {columns}: bins to 1, powers of two */
#include "files/gguf.h"
#include "quant/calibration.h"

#include "base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name) "nibble.calibration." name

enum { VERSION = 2, GGML_F32 = 0, GGML_I32 = 26, GGML_F64 = 28 };
enum { N_RANGE = 6, KEY_SIZE = 64, NAMES_SIZE = 512 };

static const char *numbered(char *text, const char *prefix, size_t i, const char *suffix)
{
    snprintf(text, KEY_SIZE, "%s%zu.%s", prefix, i, suffix);
    return text;
}

/* ---- writing ---- */

static nb_status add_keys(const nb_calibration *c, const nb_model *model, nb_gguf_writer *w, nb_error *error)
{
    nb_status status = nb_gguf_add_u32(w, KEY("version"), VERSION, error);
    if (status == NB_OK)
        status = nb_gguf_add_string(w, KEY("text"), c->text, error);
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{KEY("text_digest"), c->text_digest},
                   {KEY("model_digest"), c->model_digest},
                   {KEY("sequences"), c->n_sequences},
                   {KEY("tokens"), c->n_tokens},
                   {KEY("entries"), c->n_entries},
                   {KEY("channel_bins"), c->by_channel ? NB_OBSERVER_CHANNEL_BINS : 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && status == NB_OK; i++)
        status = nb_gguf_add_u64(w, numbers[i].key, numbers[i].value, error);
    for (size_t i = 0; i < c->n_entries && status == NB_OK; i++) {
        char key[KEY_SIZE], names[NAMES_SIZE] = "";
        size_t used = 0;
        for (size_t k = 0; k < c->entries[i].n_tensors && used < sizeof names; k++)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", k ? " " : "",
                                     model->tensors[c->entries[i].tensors[k]].name);
        status = nb_gguf_add_string(w, numbered(key, KEY(""), i, "tensors"), names, error);
    }
    return status;
}

static nb_status declare(nb_gguf_writer *w, size_t i, const char *what, size_t n_cols, size_t n_rows, uint32_t type,
                         nb_error *error)
{
    char name[KEY_SIZE];
    const uint64_t dims[2] = {n_cols, n_rows};
    return nb_gguf_add_tensor(w, numbered(name, "", i, what), n_rows > 1 ? 2 : 1, dims, type, error);
}

static nb_status declare_entry(const nb_calibration_entry *e, size_t i, nb_gguf_writer *w, nb_error *error)
{
    const struct {
        const char *what;
        size_t n_cols, n_rows;
        uint32_t type;
    } pieces[] = {{"range", N_RANGE, 1, GGML_F64},
                  {"bins", NB_OBSERVER_BINS, 1, GGML_F64},
                  {"channels", e->n_cols, 3, GGML_F32},
                  {"averages", e->n_cols, 2, GGML_F64},
                  {"rows", e->n_cols, e->n_rows, GGML_F32},
                  {"channel_bins", NB_OBSERVER_CHANNEL_BINS, e->n_cols, GGML_I32},
                  {"channel_scales", e->n_cols, 1, GGML_F32}};
    const size_t n = sizeof pieces / sizeof *pieces - (e->histograms ? 0 : 2);
    nb_status status = NB_OK;
    for (size_t k = 0; k < n && status == NB_OK; k++)
        status = declare(w, i, pieces[k].what, pieces[k].n_cols, pieces[k].n_rows, pieces[k].type, error);
    return status;
}

static nb_status write_histograms(const nb_channel_histograms *h, nb_gguf_writer *w, nb_error *error)
{
    nb_status status =
        nb_gguf_write_data(w, h->bins, h->n_channels * NB_OBSERVER_CHANNEL_BINS * sizeof *h->bins, error);
    return status == NB_OK
               ? nb_gguf_write_data(w, h->bins_per_unit, h->n_channels * sizeof *h->bins_per_unit, error)
               : status;
}

static nb_status write_entry(const nb_calibration_entry *e, nb_gguf_writer *w, nb_error *error)
{
    const double range[N_RANGE] = {(double)e->low, (double)e->high, e->ema_low,
                                   e->ema_high,    e->width,        (double)e->n_tokens};
    double bins[NB_OBSERVER_BINS];
    for (size_t i = 0; i < NB_OBSERVER_BINS; i++)
        bins[i] = (double)e->bins[i];
    const struct {
        const void *data;
        size_t n_bytes;
    } pieces[] = {{range, sizeof range},
                  {bins, sizeof bins},
                  {e->channel_max, e->n_cols * sizeof(float)},
                  {e->channel_mean, e->n_cols * sizeof(float)},
                  {e->channel_square, e->n_cols * sizeof(float)},
                  {e->channel_ema_low, e->n_cols * sizeof(double)},
                  {e->channel_ema_high, e->n_cols * sizeof(double)},
                  {e->rows, e->n_rows * e->n_cols * sizeof(float)}};
    nb_status status = NB_OK;
    for (size_t k = 0; k < sizeof pieces / sizeof *pieces && status == NB_OK; k++)
        status = nb_gguf_write_data(w, pieces[k].data, pieces[k].n_bytes, error);
    return status == NB_OK && e->histograms ? write_histograms(e->histograms, w, error) : status;
}

nb_status nb_calibration_save(const nb_calibration *calibration, const nb_model *model, const char *path,
                              nb_error *error)
{
    nb_gguf_writer *w;
    nb_status status = nb_calibration_check(calibration, model, error);
    if (status == NB_OK)
        status = nb_gguf_writer_create(path, &w, error);
    if (status != NB_OK)
        return status;
    status = add_keys(calibration, model, w, error);
    for (size_t i = 0; i < calibration->n_entries && status == NB_OK; i++)
        status = declare_entry(&calibration->entries[i], i, w, error);
    for (size_t i = 0; i < calibration->n_entries && status == NB_OK; i++)
        status = write_entry(&calibration->entries[i], w, error);
    if (status == NB_OK)
        return nb_gguf_writer_commit(&w, error);
    nb_gguf_writer_abort(&w);
    return status;
}

/* ---- reading ---- */

static nb_status damaged(const nb_gguf *g, const char *what, nb_error *error)
{
    return nb_fail(error, NB_ERR_FILE, "%s: %s is missing or not as a calibration has it; calibrate again", g->path, what);
}

static nb_status read_keys(const nb_gguf *g, nb_calibration *c, uint64_t *n_entries, nb_error *error)
{
    uint64_t version, sequences, n_tokens, channel_bins;
    char text[256];
    nb_string name;
    if (!nb_gguf_u64(g, KEY("version"), &version))
        return nb_fail(error, NB_ERR_FILE, "%s is no calibration: calibrate --save FILE makes one", g->path);
    if (version > VERSION)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "%s: a calibration of version %" PRIu64 "; this nibble reads up to %d",
                       g->path, version, VERSION);
    if (version < VERSION)
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "%s: a calibration of version %" PRIu64
                       ", which knows no channel's average: calibrate again",
                       g->path, version);
    if (!nb_gguf_string(g, KEY("text"), &name) || !nb_gguf_u64(g, KEY("text_digest"), &c->text_digest) ||
        !nb_gguf_u64(g, KEY("model_digest"), &c->model_digest) ||
        !nb_gguf_u64(g, KEY("sequences"), &sequences) || !nb_gguf_u64(g, KEY("tokens"), &n_tokens) ||
        !nb_gguf_u64(g, KEY("entries"), n_entries) || !nb_gguf_u64(g, KEY("channel_bins"), &channel_bins) ||
        *n_entries > g->n_tensors || sequences > UINT32_MAX || n_tokens > UINT32_MAX ||
        (channel_bins != 0 && channel_bins != NB_OBSERVER_CHANNEL_BINS))
        return damaged(g, "a key", error);
    c->by_channel = channel_bins > 0;
    c->n_sequences = (size_t)sequences;
    c->n_tokens = (size_t)n_tokens;
    c->text = nb_strdup(nb_string_show(name, text, sizeof text));
    return c->text ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "%s: no memory to load it", g->path);
}

/* The piece's bytes, and how many rows it has. */
static const uint8_t *find_rows(const nb_gguf *g, size_t i, const char *what, uint32_t type, size_t n_cols,
                                uint64_t *n_rows)
{
    char name[KEY_SIZE];
    const nb_gguf_tensor *t = nb_gguf_find_tensor(g, numbered(name, "", i, what));
    if (!t || t->type != type || t->dims[0] != n_cols || t->dims[2] != 1 || t->dims[3] != 1)
        return NULL;
    *n_rows = t->dims[1];
    return g->data + t->offset;
}

/* The same of a piece that has so many rows. */
static const uint8_t *find(const nb_gguf *g, size_t i, const char *what, uint32_t type, size_t n_cols,
                           size_t n_rows)
{
    uint64_t found = 0;
    const uint8_t *data = find_rows(g, i, what, type, n_cols, &found);
    return found == n_rows ? data : NULL;
}

static bool is_range(const double *r)
{
    for (size_t k = 0; k < N_RANGE; k++)
        if (!isfinite(r[k]))
            return false;
    return r[0] <= r[1] && r[4] > 0.0 && r[5] >= 0.0 && r[5] < 0x1p53;
}

static nb_status read_range(const nb_gguf *g, size_t i, nb_calibration_entry *e, nb_error *error)
{
    double range[N_RANGE];
    const uint8_t *range_at = find(g, i, "range", GGML_F64, N_RANGE, 1),
                  *bins_at = find(g, i, "bins", GGML_F64, NB_OBSERVER_BINS, 1);
    if (!range_at || !bins_at)
        return damaged(g, "a range or its bins", error);
    memcpy(range, range_at, sizeof range);
    if (!is_range(range))
        return damaged(g, "a range", error);
    e->low = (float)range[0];
    e->high = (float)range[1];
    e->ema_low = range[2];
    e->ema_high = range[3];
    e->width = range[4];
    e->n_tokens = (uint64_t)range[5];
    for (size_t b = 0; b < NB_OBSERVER_BINS; b++) {
        double count;
        memcpy(&count, bins_at + b * sizeof count, sizeof count);
        if (!(count >= 0.0 && count < 0x1p53))
            return damaged(g, "a count", error);
        e->bins[b] = (uint64_t)count;
    }
    return NB_OK;
}

static bool is_channel(const nb_calibration_entry *e, size_t j)
{
    return e->channel_max[j] >= 0.0f && !isinf(e->channel_max[j]) && e->channel_mean[j] >= 0.0f &&
           e->channel_square[j] >= 0.0f && isfinite(e->channel_ema_low[j]) &&
           isfinite(e->channel_ema_high[j]) && e->channel_ema_low[j] <= e->channel_ema_high[j];
}

static nb_status read_channels(const nb_gguf *g, size_t i, nb_calibration_entry *e, nb_error *error)
{
    uint64_t n_rows = 0;
    const size_t n_bytes = e->n_cols * sizeof(float), n_average_bytes = e->n_cols * sizeof(double);
    const uint8_t *channels = find(g, i, "channels", GGML_F32, e->n_cols, 3),
                  *averages = find(g, i, "averages", GGML_F64, e->n_cols, 2),
                  *rows = find_rows(g, i, "rows", GGML_F32, e->n_cols, &n_rows);
    if (!channels || !averages || !rows || n_rows > NB_CALIBRATION_ROWS)
        return damaged(g, "a layer's channels", error);
    memcpy(e->channel_max, channels, n_bytes);
    memcpy(e->channel_mean, channels + n_bytes, n_bytes);
    memcpy(e->channel_square, channels + 2 * n_bytes, n_bytes);
    memcpy(e->channel_ema_low, averages, n_average_bytes);
    memcpy(e->channel_ema_high, averages + n_average_bytes, n_average_bytes);
    e->n_rows = (size_t)n_rows;
    memcpy(e->rows, rows, e->n_rows * n_bytes);
    for (size_t j = 0; j < e->n_cols; j++)
        if (!is_channel(e, j))
            return damaged(g, "a channel", error);
    return NB_OK;
}

static nb_status read_histograms(const nb_gguf *g, size_t i, nb_calibration_entry *e, nb_error *error)
{
    nb_channel_histograms *h = e->histograms;
    const uint8_t *bins = find(g, i, "channel_bins", GGML_I32, NB_OBSERVER_CHANNEL_BINS, e->n_cols),
                  *scales = find(g, i, "channel_scales", GGML_F32, e->n_cols, 1);
    if (!bins || !scales)
        return damaged(g, "channels' histograms", error);
    memcpy(h->bins, bins, e->n_cols * NB_OBSERVER_CHANNEL_BINS * sizeof *h->bins);
    memcpy(h->bins_per_unit, scales, e->n_cols * sizeof *h->bins_per_unit);
    for (size_t j = 0; j < e->n_cols; j++)
        if (!nb_channel_histogram_check(h, j, e->n_tokens, e->channel_max[j]))
            return damaged(g, "a channel's histogram", error);
    return NB_OK;
}

static nb_status read_names(const nb_gguf *g, size_t i, const nb_model *model, nb_calibration_entry *e, nb_error *error)
{
    char key[KEY_SIZE], names[NAMES_SIZE], *rest = names;
    nb_string found;
    if (!nb_gguf_string(g, numbered(key, KEY(""), i, "tensors"), &found))
        return damaged(g, key, error);
    nb_string_show(found, names, sizeof names);
    while (*rest) {
        char *name = rest;
        rest += strcspn(rest, " ");
        if (*rest)
            *rest++ = '\0';
        const long index = nb_model_find_tensor(model, name);
        if (index < 0 || e->n_tensors == NB_TENSORS_AT_ONCE)
            return nb_fail(error, NB_ERR_FILE, "%s: it speaks of %s, which this model does not have", g->path, name);
        e->tensors[e->n_tensors++] = (size_t)index;
    }
    if (e->n_tensors == 0)
        return damaged(g, key, error);
    e->n_cols = model->tensors[e->tensors[0]].n_cols;
    return NB_OK;
}

static nb_status read_entry(const nb_gguf *g, size_t i, const nb_model *model, bool by_channel,
                            nb_calibration_entry *e, nb_error *error)
{
    nb_status status = read_names(g, i, model, e, error);
    if (status != NB_OK)
        return status;
    e->bins = nb_calloc(NB_OBSERVER_BINS, sizeof *e->bins);
    e->channel_max = nb_calloc(e->n_cols, sizeof(float));
    e->channel_mean = nb_calloc(e->n_cols, sizeof(float));
    e->channel_square = nb_calloc(e->n_cols, sizeof(float));
    e->channel_ema_low = nb_calloc(e->n_cols, sizeof(double));
    e->channel_ema_high = nb_calloc(e->n_cols, sizeof(double));
    e->rows = nb_calloc(NB_CALIBRATION_ROWS, e->n_cols * sizeof(float));
    if (by_channel)
        e->histograms = nb_channel_histograms_create(e->n_cols);
    if (!e->bins || !e->channel_max || !e->channel_mean || !e->channel_square || !e->channel_ema_low ||
        !e->channel_ema_high || !e->rows || (by_channel && !e->histograms))
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to load it", g->path);
    status = read_range(g, i, e, error);
    if (status == NB_OK)
        status = read_channels(g, i, e, error);
    return status == NB_OK && by_channel ? read_histograms(g, i, e, error) : status;
}

nb_status nb_calibration_load(const nb_model *model, const char *path, nb_calibration **out, nb_error *error)
{
    nb_gguf *g;
    uint64_t n_entries = 0;
    *out = NULL;
    nb_status status = nb_gguf_open(path, &g, error);
    if (status != NB_OK)
        return status;
    nb_calibration *made = nb_calloc(1, sizeof *made);
    status = made ? read_keys(g, made, &n_entries, error)
                  : nb_fail(error, NB_ERR_MEMORY, "%s: no memory to load it", path);
    if (status == NB_OK)
        status = nb_calibration_check(made, model, error);
    if (status == NB_OK && !(made->entries = nb_calloc((size_t)n_entries + 1, sizeof *made->entries)))
        status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory to load it", path);
    while (status == NB_OK && made->n_entries < n_entries) {
        const size_t i = made->n_entries++;
        status = read_entry(g, i, model, made->by_channel, &made->entries[i], error);
    }
    if (status == NB_OK && g->mapping)
        status = nb_mapping_check(g->mapping, error);
    nb_gguf_close(&g);
    if (status == NB_OK)
        *out = made;
    else
        nb_calibration_destroy(&made);
    return status;
}
