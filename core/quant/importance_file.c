/* llama.cpp's importance files, of both forms.
 *
 *   GGUF   per matrix NAME.weight: NAME.weight.in_sum2 F32 {columns, 1}, NAME.weight.counts F32 {1, 1};
 *          imatrix.datasets (strings), imatrix.chunk_count, imatrix.chunk_size
 *   older  i32 entries; each: i32 length, NAME.weight, i32 chunks, i32 columns, f32 [columns] of mean x^2 times
 *          chunks; then i32 chunks, i32 length, the text's name. All little-endian; the end may be missing. */
#include "base/file.h"
#include "base/memory.h"
#include "files/gguf.h"
#include "quant/importance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 256, MOST_COLUMNS = 1 << 24 };

static bool ends_with(const char *text, size_t n, const char *end)
{
    const size_t m = strlen(end);
    return n >= m && memcmp(text + n - m, end, m) == 0;
}

/* A copy without ".weight". */
static char *plain_name(const char *text, size_t n)
{
    if (ends_with(text, n, ".weight"))
        n -= strlen(".weight");
    char *name = nb_calloc(n + 1, 1);
    return name ? memcpy(name, text, n) : NULL;
}

/* The next entry, with room for its numbers; NULL when memory is short. */
static nb_importance_entry *add_entry(nb_importance *made, const char *name, size_t n, size_t n_cols)
{
    nb_importance_entry *grown = nb_realloc(made->entries, made->n_entries + 1, sizeof *grown);
    if (!grown)
        return NULL;
    made->entries = grown;
    nb_importance_entry *entry = &grown[made->n_entries];
    *entry = (nb_importance_entry){
        .name = plain_name(name, n), .n_cols = n_cols, .squares = nb_calloc(n_cols, sizeof(float))};
    made->n_entries++; /* destroyed with the rest, whatever it has */
    return entry->name && entry->squares ? entry : NULL;
}

static nb_status check_numbers(const nb_importance_entry *entry, const char *path, nb_error *error)
{
    bool fine = isfinite(entry->n_tokens) && entry->n_tokens >= 0;
    for (size_t i = 0; fine && i < entry->n_cols; i++)
        fine = isfinite(entry->squares[i]) && entry->squares[i] >= 0;
    return fine ? NB_OK
                : nb_fail(error, NB_ERR_FILE,
                          "%s: %s has a sum of squares that is negative or no number; make the file again", path,
                          entry->name);
}

static nb_status no_memory(const char *path, nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for an importance matrix", path);
}

/* ---- the older form ---- */

typedef struct cursor {
    const uint8_t *data;
    size_t size, at;
} cursor;

static bool take_i32(cursor *c, int32_t *out)
{
    if (c->size - c->at < 4)
        return false;
    const uint8_t *p = c->data + c->at;
    *out = (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    c->at += 4;
    return true;
}

static nb_status read_entry(cursor *c, const char *path, nb_importance *made, nb_error *error)
{
    int32_t length = 0, n_calls = 0, n_cols = 0;
    const char *name = NULL;
    bool fine = take_i32(c, &length) && length > 0 && length < LONGEST_NAME && (size_t)length <= c->size - c->at;
    if (fine) {
        name = (const char *)c->data + c->at;
        c->at += (size_t)length;
        fine = take_i32(c, &n_calls) && take_i32(c, &n_cols) && n_calls >= 0 && n_cols > 0 &&
               n_cols <= MOST_COLUMNS && (size_t)n_cols <= (c->size - c->at) / 4;
    }
    if (!fine)
        return nb_fail(error, NB_ERR_FILE, "%s: no importance matrix, or a file that was cut: entry %zu, at byte %zu",
                       path, made->n_entries, c->at);
    nb_importance_entry *entry = add_entry(made, name, (size_t)length, (size_t)n_cols);
    if (!entry)
        return no_memory(path, error);
    entry->n_tokens = (float)n_calls;
    nb_format_decode_row(&nb_format_f32, c->data + c->at, (size_t)n_cols, entry->squares);
    c->at += 4 * (size_t)n_cols;
    return check_numbers(entry, path, error);
}

static nb_status read_older(const nb_mapping *file, nb_importance *made, nb_error *error)
{
    cursor c = {file->data, file->size, 0};
    int32_t n_entries = 0, n_chunks = 0, length = 0;
    if (!take_i32(&c, &n_entries) || n_entries <= 0)
        return nb_fail(error, NB_ERR_FILE, "%s: this is no importance matrix", file->path);
    nb_status status = NB_OK;
    for (int32_t i = 0; i < n_entries && status == NB_OK; i++)
        status = read_entry(&c, file->path, made, error);
    if (status == NB_OK && take_i32(&c, &n_chunks) && n_chunks > 0)
        made->n_chunks = (uint32_t)n_chunks;
    if (status == NB_OK && take_i32(&c, &length) && length > 0 && (size_t)length <= c.size - c.at)
        made->text = plain_name((const char *)c.data + c.at, (size_t)length);
    return status;
}

/* ---- GGUF ---- */

static const float *floats_of(const nb_gguf *gguf, const nb_gguf_tensor *tensor, uint64_t n)
{
    const bool fits = tensor && tensor->type == 0 && tensor->dims[0] == n && tensor->dims[1] == 1 &&
                      tensor->dims[2] == 1 && tensor->dims[3] == 1;
    return fits ? (const float *)(const void *)(gguf->data + tensor->offset) : NULL;
}

static nb_status read_tensor(const nb_gguf *gguf, const nb_gguf_tensor *sums, nb_importance *made, nb_error *error)
{
    static const char end[] = ".in_sum2";
    const size_t n = sums->name.n_bytes;
    if (!ends_with(sums->name.text, n, end))
        return NB_OK;
    char shown[80], counts[LONGEST_NAME + 16];
    const size_t stem = n - strlen(end);
    snprintf(counts, sizeof counts, "%.*s.counts", (int)nb_min_size(stem, LONGEST_NAME), sums->name.text);
    const float *squares = sums->dims[0] <= MOST_COLUMNS ? floats_of(gguf, sums, sums->dims[0]) : NULL;
    const float *count = floats_of(gguf, nb_gguf_find_tensor(gguf, counts), 1);
    if (!squares || !count)
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "%s: %s is no F32 row with one .counts beside it; matrices of experts are not read yet",
                       gguf->path, nb_string_show(sums->name, shown, sizeof shown));
    nb_importance_entry *entry = add_entry(made, sums->name.text, stem, (size_t)sums->dims[0]);
    if (!entry)
        return no_memory(gguf->path, error);
    nb_format_decode_row(&nb_format_f32, squares, entry->n_cols, entry->squares);
    nb_format_decode_row(&nb_format_f32, count, 1, &entry->n_tokens);
    return check_numbers(entry, gguf->path, error);
}

static nb_status read_gguf(const char *path, nb_importance *made, nb_error *error)
{
    nb_gguf *gguf = NULL;
    uint64_t number;
    nb_status status = nb_gguf_open(path, &gguf, error);
    if (status != NB_OK)
        return status;
    for (uint64_t i = 0; i < gguf->n_tensors && status == NB_OK; i++)
        status = read_tensor(gguf, &gguf->tensors[i], made, error);
    if (status == NB_OK && made->n_entries == 0)
        status = nb_fail(error, NB_ERR_FILE, "%s: a GGUF without importance (no tensor ends in .in_sum2)", path);
    if (nb_gguf_u64(gguf, "imatrix.chunk_count", &number) && number <= UINT32_MAX)
        made->n_chunks = (uint32_t)number;
    if (nb_gguf_u64(gguf, "imatrix.chunk_size", &number) && number <= UINT32_MAX)
        made->chunk_tokens = (uint32_t)number;
    const nb_gguf_value *texts = nb_gguf_find(gguf, "imatrix.datasets");
    if (status == NB_OK && texts && texts->type == NB_GGUF_ARRAY && texts->element_type == NB_GGUF_STRING &&
        texts->count == 1) {
        nb_string text;
        if (nb_gguf_array_strings(texts, &text))
            made->text = plain_name(text.text, text.n_bytes);
    }
    nb_gguf_close(&gguf);
    return status;
}

nb_status nb_importance_open(const char *path, nb_importance **out, nb_error *error)
{
    nb_mapping *file;
    *out = NULL;
    nb_status status = nb_mapping_open(path, &file, error);
    if (status != NB_OK)
        return status;
    nb_importance *made = nb_calloc(1, sizeof *made);
    if (!made)
        status = no_memory(path, error);
    else if (nb_gguf_probe(file->data, file->size))
        status = read_gguf(path, made, error);
    else
        status = read_older(file, made, error);
    if (status == NB_OK && !made->text && !(made->text = nb_calloc(1, 1)))
        status = no_memory(path, error);
    if (status == NB_OK)
        status = nb_mapping_check(file, error);
    nb_mapping_close(&file);
    if (status == NB_OK)
        *out = made;
    else
        nb_importance_destroy(&made);
    return status;
}

/* ---- writing ---- */

static nb_status put_i32(nb_writer *w, int32_t value, nb_error *error)
{
    const uint32_t v = (uint32_t)value;
    const uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    return nb_writer_write(w, bytes, sizeof bytes, error);
}

static nb_status put_text(nb_writer *w, const char *text, const char *end, nb_error *error)
{
    nb_status status = put_i32(w, (int32_t)(strlen(text) + strlen(end)), error);
    if (status == NB_OK)
        status = nb_writer_write(w, text, strlen(text), error);
    return status == NB_OK ? nb_writer_write(w, end, strlen(end), error) : status;
}

static nb_status put_entry(nb_writer *w, const nb_importance_entry *entry, int32_t n_chunks, nb_error *error)
{
    nb_status status = put_text(w, entry->name, ".weight", error);
    if (status == NB_OK)
        status = put_i32(w, n_chunks, error);
    if (status == NB_OK)
        status = put_i32(w, (int32_t)entry->n_cols, error);
    for (size_t i = 0; i < entry->n_cols && status == NB_OK; i++) {
        const float value = entry->n_tokens > 0 ? entry->squares[i] / entry->n_tokens * (float)n_chunks : 0.0f;
        uint8_t code[4];
        nb_format_encode_row(&nb_format_f32, &value, 1, code);
        status = nb_writer_write(w, code, sizeof code, error);
    }
    return status;
}

static nb_status save_older(const nb_importance *importance, const char *path, nb_error *error)
{
    nb_writer *w;
    const int32_t n_chunks = importance->n_chunks ? (int32_t)importance->n_chunks : 1;
    nb_status status = nb_writer_open(path, &w, error);
    if (status != NB_OK)
        return status;
    status = put_i32(w, (int32_t)importance->n_entries, error);
    for (size_t i = 0; i < importance->n_entries && status == NB_OK; i++)
        status = put_entry(w, &importance->entries[i], n_chunks, error);
    if (status == NB_OK)
        status = put_i32(w, n_chunks, error);
    if (status == NB_OK)
        status = put_text(w, importance->text, "", error);
    if (status == NB_OK)
        return nb_writer_commit(&w, error);
    nb_writer_abort(&w);
    return status;
}

static nb_status declare(const nb_importance *importance, nb_gguf_writer *w, nb_error *error)
{
    const nb_string text = {importance->text, strlen(importance->text)};
    nb_status status = nb_gguf_add_string(w, "general.type", "imatrix", error);
    if (status == NB_OK)
        status = nb_gguf_add_string_array(w, "imatrix.datasets", &text, 1, error);
    if (status == NB_OK)
        status = nb_gguf_add_u32(w, "imatrix.chunk_count", importance->n_chunks, error);
    if (status == NB_OK)
        status = nb_gguf_add_u32(w, "imatrix.chunk_size", importance->chunk_tokens, error);
    for (size_t i = 0; i < importance->n_entries && status == NB_OK; i++) {
        const nb_importance_entry *entry = &importance->entries[i];
        const uint64_t dims[2] = {entry->n_cols, 1}, one[2] = {1, 1};
        char name[LONGEST_NAME + 32];
        snprintf(name, sizeof name, "%.*s.weight.in_sum2", LONGEST_NAME, entry->name);
        status = nb_gguf_add_tensor(w, name, 2, dims, 0, error);
        snprintf(name, sizeof name, "%.*s.weight.counts", LONGEST_NAME, entry->name);
        if (status == NB_OK)
            status = nb_gguf_add_tensor(w, name, 2, one, 0, error);
    }
    return status;
}

static nb_status put_floats(nb_gguf_writer *w, const float *values, size_t n, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < n && status == NB_OK; i++) {
        uint8_t code[4];
        nb_format_encode_row(&nb_format_f32, &values[i], 1, code);
        status = nb_gguf_write_data(w, code, sizeof code, error);
    }
    return status;
}

static nb_status save_gguf(const nb_importance *importance, const char *path, nb_error *error)
{
    nb_gguf_writer *w;
    nb_status status = nb_gguf_writer_create(path, &w, error);
    if (status != NB_OK)
        return status;
    status = declare(importance, w, error);
    for (size_t i = 0; i < importance->n_entries && status == NB_OK; i++) {
        status = put_floats(w, importance->entries[i].squares, importance->entries[i].n_cols, error);
        if (status == NB_OK)
            status = put_floats(w, &importance->entries[i].n_tokens, 1, error);
    }
    if (status == NB_OK)
        return nb_gguf_writer_commit(&w, error);
    nb_gguf_writer_abort(&w);
    return status;
}

nb_status nb_importance_save(const nb_importance *importance, const char *path, nb_error *error)
{
    return ends_with(path, strlen(path), ".dat") ? save_older(importance, path, error)
                                                  : save_gguf(importance, path, error);
}
