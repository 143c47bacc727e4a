#include "repl/commands/inspect.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys and tensors ---- */

enum { SHOWN = 120 }; /* bytes of a value; what does not fit beside its key is cut by the table */

static const nb_column key_columns[] = {
    {"key", NB_COLUMN_LEFT}, {"type", NB_COLUMN_LEFT}, {"value", NB_COLUMN_CUT}};

static void show_keys(const nb_gguf *gguf, nb_items *out)
{
    nb_items_table(out, key_columns, 3);
    for (uint64_t i = 0; i < gguf->n_values; i++) {
        const nb_gguf_value *value = &gguf->values[i];
        char key[96];
        uint64_t number;
        nb_draft type = {0}, text = {0};
        nb_inspect_type(value, &type);
        nb_inspect_value(value, SHOWN, &text);
        nb_string_show(value->key, key, sizeof key);
        const char *name = NULL;
        if (strcmp(key, "general.file_type") == 0 && nb_gguf_value_u64(value, &number))
            name = nb_gguf_file_type_name(number);
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", key);
        nb_items_cell(out, 1, NB_MUTED "%s" NB_END, nb_draft_text(&type));
        nb_items_cell(out, 2, "%s%s%s", nb_draft_text(&text), name ? ": mostly " : "", name ? name : "");
        nb_draft_free(&type);
        nb_draft_free(&text);
    }
}

static const nb_column tensor_columns[] = {{"tensor", NB_COLUMN_LEFT}, {"shape", NB_COLUMN_LEFT},
                                           {"type", NB_COLUMN_LEFT},   {"bits", NB_COLUMN_RIGHT},
                                           {"bytes", NB_COLUMN_RIGHT}, {"from byte", NB_COLUMN_RIGHT}};

static void show_tensor(const nb_gguf *gguf, const nb_gguf_span *span, nb_items *out)
{
    const nb_gguf_tensor *tensor = &gguf->tensors[span->tensor];
    char name[96];
    uint32_t block_elems, block_bytes;
    nb_draft shape = {0};
    for (uint32_t d = tensor->n_dims; d-- > 0;)
        nb_draft_addf(&shape, "%" PRIu64 "%s", tensor->dims[d], d ? " x " : "");
    nb_items_row(out);
    nb_items_cell(out, 0, "%s", nb_string_show(tensor->name, name, sizeof name));
    nb_items_cell(out, 1, "%s", nb_draft_text(&shape));
    if (nb_ggml_type_size(tensor->type, &block_elems, &block_bytes)) {
        nb_items_cell(out, 2, NB_STRONG "%s" NB_END, nb_ggml_type_name(tensor->type));
        nb_items_cell(out, 3, "%s", nb_general(8.0 * block_bytes / block_elems, 5).text);
    } else {
        nb_items_cell(out, 2, NB_ALERT "type %" PRIu32 NB_END, tensor->type);
        nb_items_cell(out, 3, "?");
    }
    nb_items_cell(out, 4, "%s", nb_count(span->n_bytes).text);
    nb_items_cell(out, 5, NB_MUTED "%s" NB_END, nb_count(span->offset).text);
    nb_draft_free(&shape);
}

static void show_tensors(const nb_gguf *gguf, const nb_gguf_span *spans, size_t count, nb_items *out)
{
    if (gguf->n_tensors == 0)
        return;
    nb_items_text(out, " ");
    nb_items_table(out, tensor_columns, sizeof tensor_columns / sizeof *tensor_columns);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].kind == NB_SPAN_TENSOR)
            show_tensor(gguf, &spans[i], out);
    }
}

static const nb_column file_columns[] = {{"file", NB_COLUMN_LEFT},
                                         {"bytes", NB_COLUMN_RIGHT},
                                         {"keys", NB_COLUMN_RIGHT},
                                         {"tensors", NB_COLUMN_RIGHT}};

static void show_files(const nb_gguf *gguf, nb_items *out)
{
    nb_items_table(out, file_columns, 4);
    for (size_t i = 0; i < gguf->n_files; i++) {
        const nb_gguf_file *file = &gguf->files[i];
        nb_items_row(out);
        nb_items_cell(out, 0, "%.96s", nb_file_name(file->path));
        nb_items_cell(out, 1, "%s", nb_count(file->size).text);
        nb_items_cell(out, 2, "%s", nb_count(file->n_values).text);
        nb_items_cell(out, 3, "%s", nb_count(file->n_tensors).text);
    }
    nb_items_text(out, NB_MUTED
                  "The keys of the first file are the model's; the others say only which file they "
                  "are. Bytes below count from the start of the file that a tensor is in." NB_END "\n ");
}

/* ---- every byte ---- */

/* What spans add up to: a row for each kind, and for each type of tensor. */
typedef struct total {
    nb_gguf_span_kind kind;
    uint32_t type; /* TENSOR */
    uint64_t count, n_bytes;
} total;

enum { MOST_TOTALS = 64 };

static total *total_of(total *totals, size_t *n, nb_gguf_span_kind kind, uint32_t type)
{
    for (size_t i = 0; i < *n; i++) {
        if (totals[i].kind == kind && totals[i].type == type)
            return &totals[i];
    }
    if (*n == MOST_TOTALS)
        return &totals[*n - 1];
    totals[*n] = (total){.kind = kind, .type = type};
    return &totals[(*n)++];
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void describe_total(const nb_gguf *gguf, const total *t, nb_draft *out)
{
    const uint64_t n = t->count;
    switch (t->kind) {
    case NB_SPAN_HEADER:
        nb_draft_addf(out, "header%s: magic, version, two counts", plural(n));
        break;
    case NB_SPAN_KEYS:
        nb_draft_add(out, "keys and their values");
        break;
    case NB_SPAN_INFOS:
        nb_draft_add(out, "tensor infos: name, shape, type, place");
        break;
    case NB_SPAN_PADDING:
        nb_draft_addf(out, "padding to multiples of %" PRIu64, gguf->files[0].alignment);
        break;
    case NB_SPAN_TENSOR:
        nb_draft_addf(out, "%s tensor%s of ", nb_count(n).text, plural(n));
        if (strcmp(nb_ggml_type_name(t->type), "unknown") == 0)
            nb_draft_addf(out, "type %" PRIu32 ", which nibble does not know, at most", t->type);
        else
            nb_draft_addf(out, "%s", nb_ggml_type_name(t->type));
        break;
    case NB_SPAN_UNUSED:
        nb_draft_add(out, "unused: nothing in the file speaks of them");
        break;
    }
}

static const nb_column byte_columns[] = {
    {"where the bytes are", NB_COLUMN_LEFT}, {"bytes", NB_COLUMN_RIGHT}, {"share", NB_COLUMN_RIGHT}};

static void show_totals(const nb_gguf *gguf, const total *totals, size_t n, uint64_t size, nb_items *out)
{
    uint64_t sum = 0;
    nb_items_table(out, byte_columns, 3);
    for (size_t i = 0; i < n; i++) {
        nb_draft text = {0};
        describe_total(gguf, &totals[i], &text);
        sum += totals[i].n_bytes;
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", nb_draft_text(&text));
        nb_items_cell(out, 1, "%s", nb_count(totals[i].n_bytes).text);
        nb_items_cell(out, 2, "%s", nb_percent((double)totals[i].n_bytes / (double)size).text);
        nb_draft_free(&text);
    }
    nb_items_row(out);
    nb_items_cell(out, 0, NB_STRONG "together" NB_END);
    nb_items_cell(out, 1, NB_STRONG "%s" NB_END, nb_count(sum).text);
    nb_items_cell(out, 2, "%s", sum == size ? "= size" : NB_ALERT "not the size" NB_END);
}

/* Bytes that should be zeros and are not, or that belong to nobody, may hide something. */
static void show_oddities(const nb_gguf *gguf, const nb_gguf_span *spans, size_t count, nb_items *out)
{
    enum { MOST_LISTED = 3 };
    size_t n_unused = 0;
    uint64_t n_dirty = 0;
    for (size_t i = 0; i < count; i++) {
        const nb_gguf_file *file = &gguf->files[spans[i].file];
        const uint8_t *data = gguf->data + file->begin + spans[i].offset;
        for (uint64_t k = 0; spans[i].kind == NB_SPAN_PADDING && k < spans[i].n_bytes; k++)
            n_dirty += data[k] != 0;
        if (spans[i].kind == NB_SPAN_UNUSED && n_unused++ < MOST_LISTED)
            nb_items_text(out, NB_ALERT "%s bytes from byte %s of %.80s on are unused." NB_END,
                          nb_count(spans[i].n_bytes).text, nb_count(spans[i].offset).text,
                          nb_file_name(file->path));
    }
    if (n_unused > MOST_LISTED)
        nb_items_text(out, NB_ALERT "%s more places are unused." NB_END,
                      nb_count(n_unused - MOST_LISTED).text);
    if (n_dirty > 0)
        nb_items_text(out, NB_ALERT "%s bytes of padding are not zero." NB_END, nb_count(n_dirty).text);
}

static void show_bytes(const nb_gguf *gguf, const nb_gguf_span *spans, size_t count, nb_items *out)
{
    total totals[MOST_TOTALS];
    size_t n = 0;
    uint64_t size = 0;
    for (size_t i = 0; i < gguf->n_files; i++)
        size += gguf->files[i].size;
    static const nb_gguf_span_kind order[] = {NB_SPAN_HEADER,  NB_SPAN_KEYS,   NB_SPAN_INFOS,
                                              NB_SPAN_PADDING, NB_SPAN_TENSOR, NB_SPAN_UNUSED};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        for (size_t i = 0; i < count; i++) {
            if (spans[i].kind != order[k])
                continue;
            const uint32_t type = order[k] == NB_SPAN_TENSOR ? gguf->tensors[spans[i].tensor].type : 0;
            total *t = total_of(totals, &n, order[k], type);
            t->count++;
            t->n_bytes += spans[i].n_bytes;
        }
    }
    nb_items_text(out, " ");
    show_totals(gguf, totals, n, size, out);
    show_oddities(gguf, spans, count, out);
}

/* ---- a whole file ---- */

static uint64_t size_of_all(const nb_gguf *gguf)
{
    uint64_t size = 0;
    for (size_t i = 0; i < gguf->n_files; i++)
        size += gguf->files[i].size;
    return size;
}

/* Where to look next: the first matrix. */
static void suggest(const nb_gguf *gguf, const char *name, nb_items *out)
{
    char tensor[96];
    for (uint64_t i = 0; i < gguf->n_tensors; i++) {
        const nb_gguf_tensor *t = &gguf->tensors[i];
        if (t->n_dims < 2 || t->n_bytes == 0)
            continue;
        nb_items_text(out, "\nIts numbers, bit by bit: " NB_COMMAND "inspect %s --hex %s" NB_END, name,
                      nb_string_show(t->name, tensor, sizeof tensor));
        return;
    }
}

nb_status nb_inspect_gguf(const nb_gguf *gguf, const char *name, nb_items *out, nb_error *error)
{
    nb_gguf_span *spans;
    size_t count;
    nb_status status = nb_gguf_spans(gguf, &spans, &count, error);
    if (status != NB_OK)
        return status;
    nb_items_text(out, NB_STRONG "%s" NB_END " · GGUF version %" PRIu32 " · %s · %s key%s, %s tensor%s\n ",
                  nb_file_name(name), gguf->version, nb_bytes(size_of_all(gguf)).text,
                  nb_count(gguf->n_values).text, plural(gguf->n_values), nb_count(gguf->n_tensors).text,
                  plural(gguf->n_tensors));
    if (gguf->n_files > 1)
        show_files(gguf, out);
    show_keys(gguf, out);
    show_tensors(gguf, spans, count, out);
    show_bytes(gguf, spans, count, out);
    suggest(gguf, name, out);
    free(spans);
    return NB_OK;
}

/* ---- the command ---- */

static const nb_column llama2c_columns[] = {{"what", NB_COLUMN_LEFT},
                                            {"bytes", NB_COLUMN_RIGHT},
                                            {"share", NB_COLUMN_RIGHT},
                                            {"from byte", NB_COLUMN_RIGHT}};

static void show_run(const char *what, uint64_t begin, uint64_t end, uint64_t size, nb_items *out)
{
    nb_items_row(out);
    nb_items_cell(out, 0, "%s", what);
    nb_items_cell(out, 1, "%s", nb_count(end - begin).text);
    nb_items_cell(out, 2, "%s", nb_percent((double)(end - begin) / (double)size).text);
    nb_items_cell(out, 3, NB_MUTED "%s" NB_END, nb_count(begin).text);
}

/* The weights have neither names nor shapes in the file: each ends where the next begins. */
static void show_llama2c_bytes(const nb_llama2c *model, nb_items *out)
{
    const float *norm_end = model->output_norm + model->dim;
    const struct {
        const char *name;
        const float *begin;
    } runs[] = {{"token embeddings", model->token_embd},
                {"attention norms, all layers", model->attn_norm},
                {"attention queries", model->wq},
                {"attention keys", model->wk},
                {"attention values", model->wv},
                {"attention outputs", model->wo},
                {"feed-forward norms", model->ffn_norm},
                {"feed-forward gates", model->w1_gate},
                {"feed-forward down", model->w2_down},
                {"feed-forward up", model->w3_up},
                {"last norm", model->output_norm},
                {"RoPE tables, computed again by all readers", norm_end},
                {"head", model->shared_classifier ? NULL : model->output}};
    const uint64_t size = model->mapping->size;
    const size_t n = sizeof runs / sizeof *runs - (model->shared_classifier ? 1 : 0);
    nb_items_text(out, " ");
    nb_items_table(out, llama2c_columns, 4);
    show_run("header: seven 32-bit numbers", 0, 28, size, out);
    for (size_t i = 0; i < n; i++) {
        const uint64_t begin = (uint64_t)((const uint8_t *)runs[i].begin - model->mapping->data);
        const uint64_t end =
            i + 1 < n ? (uint64_t)((const uint8_t *)runs[i + 1].begin - model->mapping->data) : size;
        show_run(runs[i].name, begin, end, size, out);
    }
    nb_items_row(out);
    nb_items_cell(out, 0, NB_STRONG "together" NB_END);
    nb_items_cell(out, 1, NB_STRONG "%s" NB_END, nb_count(size).text);
    nb_items_cell(out, 2, "= size");
}

static nb_status inspect_llama2c(const char *path, nb_items *out, nb_error *error)
{
    static const nb_column columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_RIGHT}};
    nb_llama2c *model = NULL;
    nb_status status = nb_llama2c_open(path, &model, error);
    if (status != NB_OK)
        return status;
    const struct {
        const char *name;
        uint32_t value;
    } rows[] = {
        {"dim", model->dim},         {"hidden_dim", model->hidden_dim}, {"n_layers", model->n_layers},
        {"n_heads", model->n_heads}, {"n_kv_heads", model->n_kv_heads}, {"vocab_size", model->vocab_size},
        {"seq_len", model->seq_len}};
    nb_items_text(out, NB_STRONG "%s" NB_END " · llama2.c model, version 0 · %s of f32\n ",
                  nb_file_name(path), nb_bytes(model->mapping->size).text);
    nb_items_table(out, columns, 2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", rows[i].name);
        nb_items_cell(out, 1, "%u", rows[i].value);
    }
    show_llama2c_bytes(model, out);
    if (model->shared_classifier)
        nb_items_text(out, "The token embeddings are the head too.");
    nb_llama2c_close(&model);
    return NB_OK;
}

static nb_status inspect_opened(const nb_gguf *gguf, const char *name, const nb_call *call, nb_items *out,
                                nb_error *error)
{
    const char *key = nb_call_text(call, "key", NULL), *tensor = nb_call_text(call, "hex", NULL);
    nb_status status;
    if (!tensor && (nb_call_has(call, "block") || nb_call_has(call, "number")))
        return nb_fail(error, NB_ERR_ARGUMENT, "--block and --number are of a tensor: add --hex TENSOR");
    if (key)
        status = nb_inspect_key(gguf, key, out, error);
    else if (tensor)
        status = nb_inspect_block(gguf, tensor, (uint64_t)nb_call_number(call, "block", 0),
                                  (uint64_t)nb_call_number(call, "number", 0), out, error);
    else
        status = nb_inspect_gguf(gguf, name, out, error);
    return status == NB_OK && gguf->mapping ? nb_mapping_check(gguf->mapping, error) : status;
}

/* The file that was named, or the one that the model came from. */
static nb_status find_path(nb_notebook *notebook, const nb_call *call, char **path, nb_error *error)
{
    if (call->n_arguments > 0)
        return nb_notebook_path(notebook, call->arguments[0], true, path, error);
    if (!notebook->model)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "inspect wants FILE, or a model that is loaded: inspect model.gguf");
    *path = nb_strdup(nb_model_path(notebook->model));
    return *path ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory to open the model's file");
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    char *path = NULL;
    nb_mapping *mapping = NULL;
    nb_gguf *gguf = NULL;
    nb_status status = find_path(notebook, call, &path, error);
    if (status == NB_OK)
        status = nb_mapping_open(path, &mapping, error);
    const bool is_gguf = status == NB_OK && nb_gguf_probe(mapping->data, mapping->size);
    nb_mapping_close(&mapping);
    if (status == NB_OK && !is_gguf) {
        if (nb_call_has(call, "hex") || nb_call_has(call, "key"))
            status = nb_fail(error, NB_ERR_ARGUMENT, "%s is no GGUF: --hex and --key are for those", path);
        else
            status = inspect_llama2c(path, out, error);
    } else if (status == NB_OK) {
        status = nb_gguf_open(path, &gguf, error);
        if (status == NB_OK)
            status =
                inspect_opened(gguf, call->n_arguments > 0 ? call->arguments[0] : path, call, out, error);
        nb_gguf_close(&gguf);
    }
    free(path);
    return status;
}

const nb_command nb_command_inspect = {
    .name = "inspect",
    .group = "A model",
    .usage = "inspect [FILE] [--key KEY] [--hex TENSOR [--block N] [--number N]]",
    .summary = "inside a model file: keys, tensors, bytes, bits",
    .details =
        "Of a GGUF it lists the keys and the tensors and accounts for every byte of the file. --hex TENSOR "
        "draws "
        "one block of that tensor: its bytes, what they mean, and one number from its bits to its value. Of "
        "a "
        "llama2.c model it shows the header. Without FILE it opens the file of the model that is loaded.",
    .examples = {"inspect model.gguf", "inspect model.gguf --hex blk.0.attn_q.weight --block 3",
                 "inspect model.gguf --key tokenizer.chat_template"},
    .source = "GGUF: ggml, docs/gguf.md; blocks: ggml-common.h",
    .arguments = {{"FILE", NB_WORD_FILE, true}},
    .options =
        {{.name = "key", .kind = NB_WORD_TEXT, .value = "KEY", .summary = "one key's value, all of it"},
         {.name = "hex", .kind = NB_WORD_TEXT, .value = "TENSOR", .summary = "draw a block of this tensor"},
         {.name = "block",
          .kind = NB_WORD_COUNT,
          .value = "N",
          .low = 0,
          .high = 9007199254740992.0,
          .summary = "which block, counted from 0"},
         {.name = "number",
          .kind = NB_WORD_COUNT,
          .value = "N",
          .low = 0,
          .high = 9007199254740992.0,
          .summary = "which of its numbers is followed, counted from 0"}},
    .run = run,
};
