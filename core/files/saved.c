#include "files/saved.h"

#include "base/memory.h"
#include "kernels/packed.h"
#include "model/architecture.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char key_prefix[] = "nibble.tensor.", made_prefix[] = "nibble.made.";

enum { GGML_F32 = 0, GGML_F16 = 1, GGML_I8 = 24, GGML_I32 = 26, MOST_PROVENANCE = 1024 };

bool nb_saved_is(const nb_gguf *gguf, const char *name)
{
    char codes[80];
    snprintf(codes, sizeof codes, "%s.codes", name);
    return nb_gguf_find_tensor(gguf, codes) != NULL;
}

bool nb_saved_is_plain(const nb_tensor *tensor)
{
    return tensor->is_vector || tensor->quantizer.format->gguf_type >= 0;
}

/* ---- codes in rows of bits ---- */

static size_t row_bytes_of(unsigned bits, size_t n_cols)
{
    return n_cols / 8 * bits + (n_cols % 8 * bits + 7) / 8;
}

static void pack_bits(const uint8_t *codes, size_t n, unsigned bits, uint8_t *out)
{
    uint32_t pending = 0;
    unsigned n_pending = 0;
    for (size_t i = 0; i < n; i++) {
        pending |= (uint32_t)codes[i] << n_pending;
        for (n_pending += bits; n_pending >= 8; n_pending -= 8, pending >>= 8)
            *out++ = (uint8_t)pending;
    }
    if (n_pending > 0)
        *out = (uint8_t)pending;
}

static void unpack_bits(const uint8_t *in, size_t n, unsigned bits, uint8_t *codes)
{
    const uint32_t mask = (1u << bits) - 1;
    uint32_t pending = 0;
    unsigned n_pending = 0;
    for (size_t i = 0; i < n; i++, pending >>= bits, n_pending -= bits) {
        for (; n_pending < bits; n_pending += 8)
            pending |= (uint32_t)*in++ << n_pending;
        codes[i] = (uint8_t)(pending & mask);
    }
}

/* ---- the pieces of one tensor ---- */

/* What the file must hold for a quantizer and a shape. */
typedef struct shape {
    bool is_int, is_table, has_zeros, nested;
    unsigned bits;
    size_t row_bytes;
    size_t n_scales; /* of a row; per tensor 1 */
    bool per_tensor;
    uint32_t scale_type; /* ggml's */
    size_t n_nested;     /* scales of scales */
} shape;

static const nb_format *scale_format(const nb_quantizer *q)
{
    return q->format->kind != NB_FORMAT_INT || q->scales_f32 ? &nb_format_f32 : &nb_format_f16;
}

static shape shape_of(const nb_quantizer *q, size_t n_rows, size_t n_cols)
{
    shape s = {.is_int = q->format->kind == NB_FORMAT_INT,
               .is_table = q->format->kind == NB_FORMAT_TABLE,
               .nested = q->double_scales,
               .bits = q->format->bits,
               .n_scales = 1};
    s.has_zeros = s.is_int && q->scheme == NB_SCHEME_ZEROPOINT;
    s.row_bytes = row_bytes_of(s.bits, n_cols);
    s.per_tensor = q->granularity == NB_PER_TENSOR;
    if (q->granularity == NB_PER_GROUP)
        s.n_scales = nb_div_up(n_cols, q->group);
    s.scale_type = s.nested ? (uint32_t)GGML_I8 : (uint32_t)scale_format(q)->gguf_type;
    s.n_nested = nb_n_nested(n_rows * s.n_scales);
    return s;
}

/* ---- reading ---- */

typedef struct reader {
    const nb_gguf *gguf;
    const nb_tensor *tensor;
    nb_packed *packed;
    shape shape;
    const uint8_t *codes, *scales, *zeros; /* zeros: NULL unless there are any */
    const uint8_t *nested, *offset;        /* the same */
    uint8_t *scratch;                      /* a slot a thread, for the pieces below */
    size_t slot_bytes, codes_offset, zeros_offset;
    atomic_bool out_of_range;
} reader;

/* The piece's bytes, or NULL and a sentence. */
static const uint8_t *find_piece(const reader *r, const char *suffix, uint32_t type, size_t n_cols,
                                 size_t n_rows, nb_error *error)
{
    char name[80];
    snprintf(name, sizeof name, "%s%s", r->tensor->name, suffix);
    const nb_gguf_tensor *t = nb_gguf_find_tensor(r->gguf, name);
    if (!t || t->type != type || t->dims[0] != n_cols || t->dims[1] != n_rows || t->dims[2] != 1 ||
        t->dims[3] != 1) {
        nb_fail(error, NB_ERR_FILE, "%s: %s should be %s, %zu x %zu, going by %s%s; %s", r->gguf->path, name,
                nb_ggml_type_name(type), n_rows, n_cols, key_prefix, r->tensor->name,
                t ? "the file was changed or damaged" : "it is missing");
        return NULL;
    }
    return r->gguf->data + t->offset;
}

static nb_status find_pieces(reader *r, nb_error *error)
{
    const shape *s = &r->shape;
    const size_t n_rows = r->tensor->n_rows, scale_rows = s->per_tensor ? 1 : n_rows;
    r->codes = find_piece(r, ".codes", GGML_I8, s->row_bytes, n_rows, error);
    if (!r->codes)
        return NB_ERR_FILE;
    r->scales = find_piece(r, ".scale", s->scale_type, s->n_scales, scale_rows, error);
    if (!r->scales)
        return NB_ERR_FILE;
    if (s->has_zeros)
        r->zeros = find_piece(r, ".zero", GGML_I8, s->n_scales, scale_rows, error);
    if (s->nested)
        r->nested = find_piece(r, ".nested", GGML_F32, s->n_nested, 1, error);
    if (r->nested)
        r->offset = find_piece(r, ".offset", GGML_F32, 1, 1, error);
    return (s->has_zeros && !r->zeros) || (s->nested && !r->offset) ? NB_ERR_FILE : NB_OK;
}

/* A row's scales and zero points; the same for every row where there is one of each. */
static void read_scales(const reader *r, size_t row, float *scales, uint8_t *zeros, bool *bad)
{
    const shape *s = &r->shape;
    const int middle = 1 << (s->bits - 1);
    const size_t first = s->per_tensor ? 0 : row * s->n_scales;
    const nb_format *format = scale_format(&r->packed->quantizer);
    if (s->nested)
        return;
    nb_format_decode_row(format, r->scales + first * (format->bits / 8), s->n_scales, scales);
    for (size_t i = 0; i < s->n_scales && s->has_zeros; i++) {
        const int zero = (int8_t)r->zeros[first + i];
        *bad = *bad || zero < -middle || zero >= middle;
        zeros[i] = (uint8_t)(zero + middle);
    }
}

/* absmax leaves out the code furthest below zero, and kernels may count on that. */
static bool has_lowest(const uint8_t *codes, size_t n)
{
    bool found = false;
    for (size_t i = 0; i < n; i++)
        found |= codes[i] == 0;
    return found;
}

static void read_groups(void *job, size_t begin, size_t end, unsigned thread)
{
    reader *r = job;
    const shape *s = &r->shape;
    const size_t n_cols = r->tensor->n_cols;
    uint8_t *slot = r->scratch + thread * r->slot_bytes;
    float *scales = (float *)(void *)slot;
    uint8_t *codes = slot + r->codes_offset, *zeros = slot + r->zeros_offset;
    for (size_t group = begin; group < end; group++) {
        bool bad = false;
        const size_t first = group * NB_ROWS, n = nb_min_size(NB_ROWS, r->tensor->n_rows - first);
        for (size_t i = 0; i < n; i++) {
            unpack_bits(r->codes + (first + i) * s->row_bytes, n_cols, s->bits, codes + i * n_cols);
            read_scales(r, first + i, scales + i * s->n_scales, zeros + i * s->n_scales, &bad);
            bad = bad || (s->is_int && !s->has_zeros && has_lowest(codes + i * n_cols, n_cols));
        }
        if (bad)
            atomic_store(&r->out_of_range, true);
        else if (s->is_table)
            nb_packed_set_table(r->packed, group, codes, scales);
        else
            nb_packed_set_int(r->packed, group, codes, scales, s->has_zeros ? zeros : NULL);
    }
}

/* Double quantization: the scales' codes, and what they are scaled by. */
static nb_status read_nested(reader *r, nb_error *error)
{
    float *nested = nb_calloc(r->shape.n_nested, sizeof *nested), offset;
    if (!nested)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its scales", r->tensor->name);
    nb_format_decode_row(&nb_format_f32, r->nested, r->shape.n_nested, nested);
    nb_format_decode_row(&nb_format_f32, r->offset, 1, &offset);
    nb_packed_set_nested(r->packed, r->scales, nested, offset);
    free(nested);
    return NB_OK;
}

/* INT and TABLE. */
static nb_status read_int(nb_context *context, reader *r, nb_error *error)
{
    const size_t n_scales = NB_ROWS * r->shape.n_scales, n_codes = NB_ROWS * r->tensor->n_cols;
    r->codes_offset = n_scales * sizeof(float);
    r->zeros_offset = r->codes_offset + n_codes;
    r->slot_bytes = nb_round_up(r->zeros_offset + n_scales, 64);
    r->scratch = nb_aligned_calloc(nb_pool_size(context->pool), r->slot_bytes);
    if (!r->scratch)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to unpack it", r->tensor->name);
    nb_parallel(context->pool, r->packed->n_row_groups, 4, read_groups, r);
    nb_aligned_free(r->scratch);
    if (r->shape.nested)
        return read_nested(r, error);
    if (atomic_load(&r->out_of_range))
        return nb_fail(error, NB_ERR_FILE,
                       "%s: %s has codes or zero points that its quantizer cannot make; the file is damaged",
                       r->gguf->path, r->tensor->name);
    return NB_OK;
}

static void read_float(reader *r)
{
    nb_format_decode_row(&nb_format_f32, r->scales, 1, &r->packed->tensor_scale);
    for (size_t group = 0; group < r->packed->n_row_groups; group++)
        nb_packed_set_float(r->packed, group, r->codes + group * NB_ROWS * r->shape.row_bytes,
                            r->shape.row_bytes);
}

/* The columns in f16, if there are any. Which they are is said beside what happens to activations. */
static nb_status read_outliers(const reader *r, nb_error *error)
{
    char name[80];
    snprintf(name, sizeof name, "%s.outlier_columns", r->tensor->name);
    const nb_gguf_tensor *listed = nb_gguf_find_tensor(r->gguf, name);
    if (!listed)
        return NB_OK;
    const size_t n = (size_t)listed->dims[0], row_bytes = n * sizeof(uint16_t);
    const uint8_t *bytes = find_piece(r, ".outlier_columns", GGML_I32, n, 1, error);
    const uint8_t *rows = bytes ? find_piece(r, ".outliers", GGML_F16, n, r->tensor->n_rows, error) : NULL;
    if (!rows)
        return NB_ERR_FILE;
    uint32_t *columns = nb_calloc(n, sizeof *columns);
    if (!columns)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for %zu outliers", r->tensor->name, n);
    memcpy(columns, bytes, n * sizeof *columns);
    nb_status status = NB_OK;
    if (!r->shape.is_int || !nb_quantizer_wants_int8(&r->packed->quantizer))
        status = nb_fail(error, NB_ERR_FILE, "%s: %s has outliers and no int8 activations; the file is damaged",
                         r->gguf->path, r->tensor->name);
    for (size_t i = 0; status == NB_OK && i < n; i++)
        if (columns[i] >= r->tensor->n_cols || (i > 0 && columns[i] <= columns[i - 1]))
            status = nb_fail(error, NB_ERR_FILE, "%s: %s lists column %u, which does not belong; the file is damaged",
                             r->gguf->path, name, (unsigned)columns[i]);
    if (status == NB_OK)
        status = nb_packed_add_outliers(r->packed, columns, n, error);
    for (size_t group = 0; status == NB_OK && group < r->packed->n_row_groups; group++)
        nb_packed_set_float(r->packed->outliers, group, rows + group * NB_ROWS * row_bytes, row_bytes);
    free(columns);
    return status;
}

static nb_status read_quantizer(const nb_gguf *gguf, const char *name, nb_quantizer *out, nb_error *error)
{
    char key[96], text[96];
    nb_string description;
    nb_error why = {""};
    snprintf(key, sizeof key, "%s%s", key_prefix, name);
    if (!nb_gguf_string(gguf, key, &description))
        return nb_fail(error, NB_ERR_FILE, "%s: %s.codes is there, but no key %s says what they mean",
                       gguf->path, name, key);
    nb_string_show(description, text, sizeof text);
    if (nb_quantizer_parse(text, out, &why) != NB_OK || nb_quantizer_check(out, &why) != NB_OK)
        return nb_fail(error, NB_ERR_FILE, "%s: key %s: %s", gguf->path, key, why.text);
    if (out->format->gguf_type >= 0)
        return nb_fail(error, NB_ERR_FILE, "%s: key %s is %s, which GGUF keeps plainly; the file is damaged",
                       gguf->path, key, text);
    return NB_OK;
}

nb_status nb_saved_read(nb_context *context, const nb_gguf *gguf, nb_tensor *tensor, nb_error *error)
{
    nb_status status = read_quantizer(gguf, tensor->name, &tensor->quantizer, error);
    if (status != NB_OK)
        return status;
    reader r = {.gguf = gguf, .tensor = tensor, .shape = shape_of(&tensor->quantizer, tensor->n_rows, tensor->n_cols)};
    status = find_pieces(&r, error);
    if (status == NB_OK)
        status = nb_packed_create(&tensor->quantizer, tensor->n_rows, tensor->n_cols, &r.packed, error);
    if (status != NB_OK)
        return status;
    if (r.shape.is_int || r.shape.is_table)
        status = read_int(context, &r, error);
    else
        read_float(&r);
    if (status == NB_OK)
        status = read_outliers(&r, error);
    if (status == NB_OK && gguf->mapping)
        status = nb_mapping_check(gguf->mapping, error);
    if (status == NB_OK)
        tensor->packed = r.packed;
    else
        nb_packed_destroy(&r.packed);
    return status;
}

nb_status nb_saved_read_provenance(const nb_gguf *gguf, nb_tensor *tensor, nb_error *error)
{
    char key[96];
    nb_string said;
    snprintf(key, sizeof key, "%s%s", made_prefix, tensor->name);
    if (!nb_gguf_string(gguf, key, &said))
        return NB_OK;
    const size_t size = nb_min_size(said.n_bytes, MOST_PROVENANCE) + 1;
    char *text = nb_calloc(size, 1);
    if (!text)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for what it says of %s", gguf->path, tensor->name);
    tensor->source_provenance = nb_string_show(said, text, size);
    return NB_OK;
}

/* ---- writing ---- */

static nb_status write_provenance(const nb_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    char key[96];
    const char *said = nb_tensor_provenance(t);
    if (!said)
        return NB_OK;
    snprintf(key, sizeof key, "%s%s", made_prefix, t->name);
    return nb_gguf_add_string(writer, key, said, error);
}

static nb_status declare(nb_gguf_writer *writer, const char *name, const char *suffix, size_t n_cols,
                         size_t n_rows, bool is_vector, uint32_t type, nb_error *error)
{
    char full[80];
    uint64_t dims[2] = {n_cols, n_rows};
    snprintf(full, sizeof full, "%s%s", name, suffix);
    return nb_gguf_add_tensor(writer, full, is_vector ? 1 : 2, dims, type, error);
}

nb_status nb_saved_declare(const nb_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    nb_status status = write_provenance(t, writer, error);
    if (status != NB_OK)
        return status;
    if (nb_saved_is_plain(t)) {
        const nb_format *format = t->is_vector ? &nb_format_f32 : t->quantizer.format;
        return declare(writer, t->name, nb_tensor_suffix(t->name), t->n_cols, t->n_rows, t->is_vector,
                       (uint32_t)format->gguf_type, error);
    }
    const shape s = shape_of(&t->quantizer, t->n_rows, t->n_cols);
    const size_t scale_rows = s.per_tensor ? 1 : t->n_rows;
    char key[96], text[96];
    snprintf(key, sizeof key, "%s%s", key_prefix, t->name);
    status = nb_gguf_add_string(writer, key, nb_quantizer_describe(&t->quantizer, text, sizeof text), error);
    if (status == NB_OK)
        status = declare(writer, t->name, ".codes", s.row_bytes, t->n_rows, false, GGML_I8, error);
    if (status == NB_OK)
        status =
            declare(writer, t->name, ".scale", s.n_scales, scale_rows, s.per_tensor, s.scale_type, error);
    if (status == NB_OK && s.has_zeros)
        status = declare(writer, t->name, ".zero", s.n_scales, scale_rows, s.per_tensor, GGML_I8, error);
    if (status == NB_OK && s.nested)
        status = declare(writer, t->name, ".nested", s.n_nested, 1, true, GGML_F32, error);
    if (status == NB_OK && s.nested)
        status = declare(writer, t->name, ".offset", 1, 1, true, GGML_F32, error);
    if (status == NB_OK && t->packed->outliers)
        status = declare(writer, t->name, ".outliers", t->packed->outliers->n_cols, t->n_rows, false, GGML_F16, error);
    return status;
}

/* The codes go out as they come; scales and zero points follow them in the file, so they are gathered. */
typedef struct gathered {
    uint8_t *codes; /* [16][n_cols] */
    uint8_t *row;   /* [row_bytes] */
    float *scales;  /* [n_row_groups][16][n_scales] */
    uint8_t *zeros; /* likewise; zeros of u, or codes of scales */
} gathered;

static nb_status write_codes(nb_context *context, const nb_tensor *t, const shape *s, gathered *g,
                             nb_gguf_writer *writer, nb_error *error)
{
    const nb_packed *p = t->packed;
    nb_status status = NB_OK;
    for (size_t group = 0; group < p->n_row_groups && status == NB_OK; group++) {
        const size_t first = group * NB_ROWS, n = nb_min_size(NB_ROWS, t->n_rows - first);
        if (s->is_table)
            nb_packed_get_table(p, group, g->codes, g->scales + first * s->n_scales);
        else
            nb_packed_get_int(p, group, g->codes, g->scales + first * s->n_scales,
                              s->has_zeros ? g->zeros + first * s->n_scales : NULL);
        for (size_t i = 0; i < n && status == NB_OK; i++) {
            pack_bits(g->codes + i * t->n_cols, t->n_cols, s->bits, g->row);
            status = nb_gguf_write_data(writer, g->row, s->row_bytes, error);
        }
        if (status == NB_OK && group % 64 == 0)
            status = nb_context_tick(context, "saving", first, t->n_rows, "rows", error);
    }
    return status;
}

static nb_status write_scales(const nb_tensor *t, const shape *s, gathered *g, nb_gguf_writer *writer,
                              nb_error *error)
{
    enum { CHUNK = 512 };
    uint8_t chunk[CHUNK * sizeof(float)];
    const nb_format *format = scale_format(&t->quantizer);
    const size_t count = s->per_tensor ? 1 : t->n_rows * s->n_scales;
    const int middle = 1 << (s->bits - 1);
    nb_status status = NB_OK;
    for (size_t i = 0; i < count && status == NB_OK; i += CHUNK) {
        const size_t n = nb_min_size(CHUNK, count - i);
        nb_format_encode_row(format, g->scales + i, n, chunk);
        status = nb_gguf_write_data(writer, chunk, n * (format->bits / 8), error);
    }
    for (size_t i = 0; i < count && s->has_zeros; i++)
        g->zeros[i] = (uint8_t)(int8_t)(g->zeros[i] - middle);
    if (status == NB_OK && s->has_zeros)
        status = nb_gguf_write_data(writer, g->zeros, count, error);
    return status;
}

/* Double quantization: the scales' codes, row by row, and what they are scaled by. */
static nb_status write_nested(const nb_tensor *t, const shape *s, gathered *g, nb_gguf_writer *writer, nb_error *error)
{
    const nb_packed *p = t->packed;
    for (size_t row = 0; row < t->n_rows; row++)
        for (size_t i = 0; i < s->n_scales; i++)
            g->zeros[row * s->n_scales + i] =
                p->scale_codes[row / NB_ROWS * p->scale_stride + i * NB_ROWS + row % NB_ROWS];
    nb_status status = nb_gguf_write_data(writer, g->zeros, t->n_rows * s->n_scales, error);
    if (status == NB_OK)
        status = nb_gguf_write_data(writer, p->scales, s->n_nested * sizeof(float), error);
    return status == NB_OK ? nb_gguf_write_data(writer, &p->scale_offset, sizeof(float), error) : status;
}

static nb_status write_outliers(const nb_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    const nb_packed *p = t->packed->outliers;
    const size_t row_bytes = p->n_cols * sizeof(uint16_t);
    uint8_t *rows = nb_calloc(NB_ROWS, row_bytes);
    nb_status status = rows ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "%s: no memory to save it", t->name);
    for (size_t group = 0; group < p->n_row_groups && status == NB_OK; group++) {
        nb_packed_get_float(p, group, rows, row_bytes);
        status = nb_gguf_write_data(writer, rows, nb_min_size(NB_ROWS, p->n_rows - group * NB_ROWS) * row_bytes, error);
    }
    free(rows);
    return status;
}

static nb_status write_int(nb_context *context, const nb_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    const shape s = shape_of(&t->quantizer, t->n_rows, t->n_cols);
    const size_t n_padded = t->packed->n_row_groups * NB_ROWS;
    gathered g = {
        .codes = nb_calloc(NB_ROWS, t->n_cols),
        .row = nb_calloc(1, s.row_bytes),
        .scales = nb_calloc(n_padded * s.n_scales, sizeof *g.scales),
        .zeros = nb_calloc(n_padded, s.n_scales),
    };
    nb_status status = NB_OK;
    if (!g.codes || !g.row || !g.scales || !g.zeros)
        status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory to save it", t->name);
    if (status == NB_OK)
        status = write_codes(context, t, &s, &g, writer, error);
    if (status == NB_OK)
        status = (s.nested ? write_nested : write_scales)(t, &s, &g, writer, error);
    if (status == NB_OK && t->packed->outliers)
        status = write_outliers(t, writer, error);
    free(g.codes);
    free(g.row);
    free(g.scales);
    free(g.zeros);
    return status;
}

static nb_status write_rows(nb_context *context, const nb_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    const size_t row_bytes = nb_format_row_bytes(t->quantizer.format, t->n_cols);
    uint8_t *rows = nb_calloc(NB_ROWS, row_bytes);
    if (!rows)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to save it", t->name);
    nb_status status = NB_OK;
    for (size_t group = 0; group < t->packed->n_row_groups && status == NB_OK; group++) {
        const size_t first = group * NB_ROWS, n = nb_min_size(NB_ROWS, t->n_rows - first);
        nb_packed_get_rows(t->packed, group, rows, row_bytes);
        status = nb_gguf_write_data(writer, rows, n * row_bytes, error);
        if (status == NB_OK && group % 64 == 0)
            status = nb_context_tick(context, "saving", first, t->n_rows, "rows", error);
    }
    free(rows);
    if (status == NB_OK && !nb_saved_is_plain(t))
        status = nb_gguf_write_data(writer, &t->packed->tensor_scale, sizeof(float), error);
    return status;
}

nb_status nb_saved_write(nb_context *context, const nb_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    if (t->is_vector)
        return nb_gguf_write_data(writer, t->vector, t->n_cols * sizeof *t->vector, error);
    const nb_format_kind kind = t->quantizer.format->kind;
    return kind == NB_FORMAT_INT || kind == NB_FORMAT_TABLE ? write_int(context, t, writer, error)
                                                            : write_rows(context, t, writer, error);
}
