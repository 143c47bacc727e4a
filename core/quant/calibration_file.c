/* Calibrations in files: GGUF with keys and tensors of nibble's own.
 *
 *   nibble.calibration.version  u32   1
 *   nibble.calibration.text, .text_digest, .model_digest, .sequences, .tokens, .entries
 *   nibble.calibration.I.tensors      names of the tensors that read entry I, with spaces between
 *   I.range     F64 {6}: low, high, the moving average's low and high, a bin's width, tokens
 *   I.bins      F64 {2048}: counts
 *   I.channels  F32 {columns, 3}: largest, mean of |x|, mean of x^2
 *   I.rows      F32 {columns, rows} */
#include "files/gguf.h"
#include "quant/calibration.h"

#include "base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name) "nibble.calibration." name

enum { VERSION = 1, GGML_F32 = 0, GGML_F64 = 28, N_RANGE = 6, KEY_SIZE = 64, NAMES_SIZE = 512 };

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
                   {KEY("entries"), c->n_entries}};
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
    nb_status status = declare(w, i, "range", N_RANGE, 1, GGML_F64, error);
    if (status == NB_OK)
        status = declare(w, i, "bins", NB_OBSERVER_BINS, 1, GGML_F64, error);
    if (status == NB_OK)
        status = declare(w, i, "channels", e->n_cols, 3, GGML_F32, error);
    return status == NB_OK ? declare(w, i, "rows", e->n_cols, e->n_rows, GGML_F32, error) : status;
}

static nb_status write_entry(const nb_calibration_entry *e, nb_gguf_writer *w, nb_error *error)
{
    const double range[N_RANGE] = {(double)e->low, (double)e->high, e->ema_low,
                                   e->ema_high,    e->width,        (double)e->n_tokens};
    double bins[NB_OBSERVER_BINS];
    for (size_t i = 0; i < NB_OBSERVER_BINS; i++)
        bins[i] = (double)e->bins[i];
    const float *const channels[] = {e->channel_max, e->channel_mean, e->channel_square};
    nb_status status = nb_gguf_write_data(w, range, sizeof range, error);
    if (status == NB_OK)
        status = nb_gguf_write_data(w, bins, sizeof bins, error);
    for (size_t i = 0; i < 3 && status == NB_OK; i++)
        status = nb_gguf_write_data(w, channels[i], e->n_cols * sizeof(float), error);
    return status == NB_OK ? nb_gguf_write_data(w, e->rows, e->n_rows * e->n_cols * sizeof(float), error) : status;
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
    uint64_t version, sequences, n_tokens;
    char text[256];
    nb_string name;
    if (!nb_gguf_u64(g, KEY("version"), &version))
        return nb_fail(error, NB_ERR_FILE, "%s is no calibration: calibrate --save FILE makes one", g->path);
    if (version > VERSION)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "%s: a calibration of version %" PRIu64 "; this nibble reads up to %d",
                       g->path, version, VERSION);
    if (!nb_gguf_string(g, KEY("text"), &name) || !nb_gguf_u64(g, KEY("text_digest"), &c->text_digest) ||
        !nb_gguf_u64(g, KEY("model_digest"), &c->model_digest) || !nb_gguf_u64(g, KEY("sequences"), &sequences) ||
        !nb_gguf_u64(g, KEY("tokens"), &n_tokens) || !nb_gguf_u64(g, KEY("entries"), n_entries) ||
        *n_entries > g->n_tensors || sequences > UINT32_MAX || n_tokens > UINT32_MAX)
        return damaged(g, "a key", error);
    c->n_sequences = (size_t)sequences;
    c->n_tokens = (size_t)n_tokens;
    c->text = nb_strdup(nb_string_show(name, text, sizeof text));
    return c->text ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "%s: no memory to load it", g->path);
}

/* The piece's bytes; its rows are told where n_rows is not. */
static const uint8_t *find(const nb_gguf *g, size_t i, const char *what, uint32_t type, size_t n_cols, size_t *n_rows)
{
    char name[KEY_SIZE];
    const nb_gguf_tensor *t = nb_gguf_find_tensor(g, numbered(name, "", i, what));
    if (!t || t->type != type || t->dims[0] != n_cols || t->dims[2] != 1 || t->dims[3] != 1 ||
        (n_rows ? t->dims[1] > NB_CALIBRATION_ROWS : t->dims[1] != 1))
        return NULL;
    if (n_rows)
        *n_rows = (size_t)t->dims[1];
    return g->data + t->offset;
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
    const uint8_t *range_at = find(g, i, "range", GGML_F64, N_RANGE, NULL),
                  *bins_at = find(g, i, "bins", GGML_F64, NB_OBSERVER_BINS, NULL);
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

static nb_status read_channels(const nb_gguf *g, size_t i, nb_calibration_entry *e, nb_error *error)
{
    size_t three = 0, n_rows = 0;
    const size_t n_bytes = e->n_cols * sizeof(float);
    const uint8_t *channels = find(g, i, "channels", GGML_F32, e->n_cols, &three),
                  *rows = find(g, i, "rows", GGML_F32, e->n_cols, &n_rows);
    if (!channels || !rows || three != 3)
        return damaged(g, "a layer's channels", error);
    memcpy(e->channel_max, channels, n_bytes);
    memcpy(e->channel_mean, channels + n_bytes, n_bytes);
    memcpy(e->channel_square, channels + 2 * n_bytes, n_bytes);
    memcpy(e->rows, rows, n_rows * n_bytes);
    e->n_rows = n_rows;
    for (size_t j = 0; j < e->n_cols; j++)
        if (!(e->channel_max[j] >= 0.0f) || !(e->channel_mean[j] >= 0.0f) || !(e->channel_square[j] >= 0.0f) ||
            isinf(e->channel_max[j]))
            return damaged(g, "a channel", error);
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

static nb_status read_entry(const nb_gguf *g, size_t i, const nb_model *model, nb_calibration_entry *e, nb_error *error)
{
    nb_status status = read_names(g, i, model, e, error);
    if (status != NB_OK)
        return status;
    e->bins = nb_calloc(NB_OBSERVER_BINS, sizeof *e->bins);
    e->channel_max = nb_calloc(e->n_cols, sizeof(float));
    e->channel_mean = nb_calloc(e->n_cols, sizeof(float));
    e->channel_square = nb_calloc(e->n_cols, sizeof(float));
    e->rows = nb_calloc(NB_CALIBRATION_ROWS, e->n_cols * sizeof(float));
    if (!e->bins || !e->channel_max || !e->channel_mean || !e->channel_square || !e->rows)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to load it", g->path);
    status = read_range(g, i, e, error);
    return status == NB_OK ? read_channels(g, i, e, error) : status;
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
        status = read_entry(g, i, model, &made->entries[i], error);
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
