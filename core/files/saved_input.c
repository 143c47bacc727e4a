/* What a tensor does with its activations, beside its codes. */
#include "files/saved.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char key_prefix[] = "nibble.input.";
static const char *const scalings[] = {"blocks", "tokens", "static"}; /* by nb_input_scaling */

enum { GGML_F32 = 0, GGML_I8 = 24, GGML_I32 = 26, MOST_PIECES = 6 };

/* A piece of an input: what is in the file where the input has it. */
typedef struct piece {
    const char *suffix;
    uint32_t type;
    size_t count, n_bytes;
    const void *data; /* NULL: there is none */
} piece;

/* The signs take a byte each. */
static size_t pieces_of(const nb_input *input, const int8_t *signs, piece *pieces)
{
    const size_t n = input->n_cols;
    const piece all[MOST_PIECES] = {
        {".divisors", GGML_F32, n, n * 4, input->divisors},
        {".signs", GGML_I8, n, n, input->signs ? signs : NULL},
        {".input_scales", GGML_F32, n, n * 4, input->scales},
        {".perm", GGML_I32, n, n * 4, input->order},
        {".outlier_columns", GGML_I32, input->n_outliers, input->n_outliers * 4, input->outliers},
        {".input_scale", GGML_F32, 1, 4, input->scaling == NB_INPUT_STATIC ? &input->scale : NULL},
    };
    size_t count = 0;
    for (size_t i = 0; i < MOST_PIECES; i++)
        if (all[i].data)
            pieces[count++] = all[i];
    return count;
}

/* ---- writing ---- */

nb_status nb_saved_input_declare(const nb_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    if (!t->input)
        return NB_OK;
    static const int8_t no_signs[1];
    piece pieces[MOST_PIECES];
    char key[96], text[NB_INPUT_WHAT + 32];
    snprintf(key, sizeof key, "%s%s", key_prefix, t->name);
    snprintf(text, sizeof text, "%s %" PRIu32 " %s", scalings[t->input->scaling], t->input->hadamard, t->input->what);
    nb_status status = nb_gguf_add_string(writer, key, text, error);
    const size_t count = pieces_of(t->input, no_signs, pieces);
    for (size_t i = 0; i < count && status == NB_OK; i++) {
        char name[80];
        const uint64_t dims[1] = {pieces[i].count};
        snprintf(name, sizeof name, "%s%s", t->name, pieces[i].suffix);
        status = nb_gguf_add_tensor(writer, name, 1, dims, pieces[i].type, error);
    }
    return status;
}

nb_status nb_saved_input_write(const nb_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    if (!t->input)
        return NB_OK;
    piece pieces[MOST_PIECES];
    int8_t *signs = nb_calloc(t->n_cols, 1);
    if (!signs)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to save it", t->name);
    for (size_t i = 0; t->input->signs && i < t->n_cols; i++)
        signs[i] = t->input->signs[i] < 0.0f ? -1 : 1;
    nb_status status = NB_OK;
    const size_t count = pieces_of(t->input, signs, pieces);
    for (size_t i = 0; i < count && status == NB_OK; i++)
        status = nb_gguf_write_data(writer, pieces[i].data, pieces[i].n_bytes, error);
    free(signs);
    return status;
}

/* ---- reading ---- */

typedef struct reader {
    const nb_gguf *gguf;
    const nb_tensor *tensor;
    nb_input *input;
    void *scratch; /* for a piece of n_cols numbers */
} reader;

/* Copies the piece into r->scratch, which is aligned. *there is false if the file has none. */
static nb_status read_piece(const reader *r, const char *suffix, uint32_t type, size_t count, size_t size, bool *there,
                            nb_error *error)
{
    char name[80];
    snprintf(name, sizeof name, "%s%s", r->tensor->name, suffix);
    const nb_gguf_tensor *t = nb_gguf_find_tensor(r->gguf, name);
    *there = t != NULL;
    if (!t)
        return NB_OK;
    if (t->type != type || t->dims[0] != count || t->dims[1] != 1 || t->dims[2] != 1 || t->dims[3] != 1)
        return nb_fail(error, NB_ERR_FILE, "%s: %s should be %s, %zu numbers; the file was changed or damaged",
                       r->gguf->path, name, nb_ggml_type_name(type), count);
    memcpy(r->scratch, r->gguf->data + t->offset, count * size);
    return NB_OK;
}

static nb_status read_pieces(const reader *r, uint32_t hadamard, nb_error *error)
{
    const size_t n = r->tensor->n_cols;
    nb_input *input = r->input;
    bool there;
    nb_status status = read_piece(r, ".divisors", GGML_F32, n, 4, &there, error);
    if (status == NB_OK && there)
        status = nb_input_set_divisors(input, r->scratch, error);
    if (status == NB_OK)
        status = read_piece(r, ".input_scales", GGML_F32, n, 4, &there, error);
    if (status == NB_OK && there)
        status = nb_input_set_scales(input, r->scratch, error);
    if (status == NB_OK)
        status = read_piece(r, ".perm", GGML_I32, n, 4, &there, error);
    if (status == NB_OK && there)
        status = nb_input_set_order(input, r->scratch, error);
    if (status == NB_OK && r->tensor->packed && r->tensor->packed->outliers) /* saved.c has read them with the codes */
        status = nb_input_set_outliers(input, r->tensor->packed->outlier_columns, r->tensor->packed->outliers->n_cols,
                                       error);
    if (status == NB_OK)
        status = read_piece(r, ".input_scale", GGML_F32, 1, 4, &there, error);
    if (status == NB_OK && there != (input->scaling == NB_INPUT_STATIC))
        status = nb_fail(error, NB_ERR_FILE, "static activations and %s.input_scale go together", r->tensor->name);
    if (status == NB_OK && there)
        status = nb_input_set_static(input, *(const float *)r->scratch, error);
    if (status == NB_OK)
        status = read_piece(r, ".signs", GGML_I8, n, 1, &there, error);
    if (status == NB_OK && there != (hadamard != 0))
        status = nb_fail(error, NB_ERR_FILE, "a rotation and %s.signs go together", r->tensor->name);
    if (status == NB_OK && there)
        status = nb_input_set_hadamard(input, hadamard, 0, error);
    for (size_t i = 0; status == NB_OK && there && i < n; i++) {
        const int8_t sign = ((const int8_t *)r->scratch)[i];
        if (sign != 1 && sign != -1)
            status = nb_fail(error, NB_ERR_FILE, "the sign of column %zu is %d", i, sign);
        else
            input->signs[i] = sign;
    }
    return status;
}

/* "static 64 mse of calibration.txt, 4,096 tokens" */
static bool parse_key(const char *text, nb_input *input, uint32_t *hadamard)
{
    char scaling[16];
    int used = 0;
    if (sscanf(text, "%15s %" SCNu32 " %n", scaling, hadamard, &used) != 2)
        return false;
    snprintf(input->what, sizeof input->what, "%s", text + used);
    for (int i = 0; i < 3; i++)
        if (strcmp(scaling, scalings[i]) == 0) {
            input->scaling = (nb_input_scaling)i;
            return true;
        }
    return false;
}

nb_status nb_saved_input_read(const nb_gguf *gguf, nb_tensor *tensor, nb_error *error)
{
    char key[96], text[NB_INPUT_WHAT + 32];
    nb_string found;
    uint32_t hadamard = 0;
    nb_error why = {""};
    snprintf(key, sizeof key, "%s%s", key_prefix, tensor->name);
    if (!nb_gguf_string(gguf, key, &found))
        return tensor->packed && tensor->packed->outliers
                   ? nb_fail(error, NB_ERR_FILE, "%s: %s has outliers, but no key %s; the file is damaged", gguf->path,
                             tensor->name, key)
                   : NB_OK;
    nb_string_show(found, text, sizeof text);
    reader r = {.gguf = gguf,
                .tensor = tensor,
                .input = nb_input_create(tensor->n_cols),
                .scratch = nb_calloc(tensor->n_cols, sizeof(float))};
    nb_status status = NB_OK;
    if (!r.input || !r.scratch)
        status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory to load %s", gguf->path, tensor->name);
    else if (!parse_key(text, r.input, &hadamard))
        status = nb_fail(error, NB_ERR_FILE, "%s: key %s is '%.60s', which says nothing; the file is damaged", gguf->path,
                         key, text);
    else if (read_pieces(&r, hadamard, &why) != NB_OK)
        status = nb_fail(error, NB_ERR_FILE, "%s: %s: %s", gguf->path, tensor->name, why.text);
    free(r.scratch);
    if (status == NB_OK)
        tensor->input = r.input;
    else
        nb_input_destroy(&r.input);
    return status;
}
