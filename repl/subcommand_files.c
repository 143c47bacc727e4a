/* nibble quantize, nibble inspect. */
#include "repl/commands/quantize.h"
#include "repl/describe.h"
#include "repl/numbers.h"
#include "repl/subcommands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- quantize ---- */

static nb_status quantize_model(nb_notebook *notebook, const nb_call *call, const nb_quantizer *quantizer,
                                nb_items *out, nb_error *error)
{
    nb_scope scope = {0}, keep = {0};
    const char *kept = nb_call_text(call, "keep", NULL);
    nb_status status =
        nb_scope_resolve(notebook->model, nb_call_text(call, "scope", "all"), false, &scope, error);
    if (status == NB_OK && kept)
        status = nb_scope_resolve(notebook->model, kept, false, &keep, error);
    if (status == NB_OK && kept)
        status = nb_scope_leave_out(&scope, &keep, error);
    uint64_t before = nb_model_n_bytes(notebook->model);
    if (status == NB_OK)
        status = nb_model_quantize(notebook->model, &scope, quantizer, NULL, error);
    if (status == NB_OK)
        status = nb_model_save(notebook->model, call->arguments[1], error);
    if (status == NB_OK) {
        uint64_t after = nb_model_n_bytes(notebook->model);
        char name[96];
        nb_items_text(out, "%s: %zu tensors %s, %s -> %s, %s bits a weight", call->arguments[1], scope.count,
                      nb_quantizer_describe(quantizer, name, sizeof name), nb_bytes(before).text,
                      nb_bytes(after).text,
                      nb_fixed(nb_bits_per_weight(after, nb_model_n_parameters(notebook->model)), 2).text);
        if (*scope.left)
            nb_items_text(out, "left as they were: %s", scope.left);
    }
    nb_scope_free(&scope);
    nb_scope_free(&keep);
    return status;
}

static nb_status run_quantize(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_quantizer quantizer;
    char *path = NULL;
    nb_status status = nb_quantizer_read(call->arguments[2], call, &quantizer, error);
    if (status == NB_OK)
        status = nb_notebook_path(notebook, call->arguments[0], true, &path, error);
    if (status == NB_OK && nb_same_file(path, call->arguments[1]))
        status =
            nb_fail(error, NB_ERR_ARGUMENT,
                    "IN and OUT are one file, and its original numbers would be lost: give OUT another name");
    nb_load_options options = {.tokenizer = nb_call_text(call, "tokenizer", NULL)};
    if (status == NB_OK)
        status = nb_model_load(notebook->context, path, &options, &notebook->model, error);
    free(path);
    return status == NB_OK ? quantize_model(notebook, call, &quantizer, out, error) : status;
}

const nb_command nb_subcommand_quantize = {
    .name = "quantize",
    .usage =
        "nibble quantize IN OUT absmax|zeropoint [--bits N] [--per tensor|channel|group:N] [--scope SCOPE]\n"
        "nibble quantize IN OUT f16|bf16|f8_e4m3|f8_e5m2",
    .summary = "write a model in fewer bits",
    .examples = {"nibble quantize model.gguf small.gguf absmax --bits 4 --per group:32",
                 "nibble quantize model.gguf half.gguf f16"},
    .arguments = {{"IN", NB_WORD_FILE, false},
                  {"OUT", NB_WORD_NEW_FILE, false},
                  {"WHAT", NB_WORD_STORAGE, false}},
    .options =
        {NB_QUANTIZER_OPTIONS,
         {.name = "scope",
          .kind = NB_WORD_SCOPE,
          .value = "SCOPE",
          .summary = "which tensors; all unless said"},
         {.name = "keep", .kind = NB_WORD_SCOPE, .value = "SCOPE", .summary = "leave these as they are"},
         {.name = "tokenizer",
          .kind = NB_WORD_FILE,
          .value = "FILE",
          .summary = "the tokenizer.bin of a llama2.c model"},
         NB_THREADS_OPTION},
    .needs = NB_WRITES_FILES,
    .run = run_quantize,
};

/* ---- inspect ---- */

static const nb_column key_columns[] = {
    {"key", NB_COLUMN_LEFT}, {"type", NB_COLUMN_LEFT}, {"value", NB_COLUMN_FLOW}};
static const nb_column tensor_columns[] = {{"tensor", NB_COLUMN_LEFT},
                                           {"shape", NB_COLUMN_LEFT},
                                           {"type", NB_COLUMN_LEFT},
                                           {"bytes", NB_COLUMN_RIGHT}};

static void add_string(nb_draft *out, nb_string text)
{
    enum { SHOWN = 60 };
    size_t n = nb_min_size(text.n_bytes, SHOWN);
    for (size_t i = 0; i < n; i++)
        nb_draft_append(out, (unsigned char)text.text[i] < 0x20 ? " " : text.text + i, 1);
    if (text.n_bytes > n)
        nb_draft_addf(out, " ... (%zu bytes)", text.n_bytes);
}

static void describe_value(const nb_gguf *gguf, const nb_gguf_value *value, const char *key, nb_draft *out)
{
    nb_string text;
    bool truth;
    uint64_t whole;
    double number;
    if (value->type == NB_GGUF_ARRAY)
        nb_draft_addf(out, "%s of %s", nb_count(value->count).text, nb_gguf_type_name(value->element_type));
    else if (value->type == NB_GGUF_STRING && nb_gguf_string(gguf, key, &text))
        add_string(out, text);
    else if (value->type == NB_GGUF_BOOL && nb_gguf_bool(gguf, key, &truth))
        nb_draft_add(out, truth ? "true" : "false");
    else if (value->type != NB_GGUF_F32 && nb_gguf_u64(gguf, key, &whole))
        nb_draft_addf(out, "%llu", (unsigned long long)whole);
    else if (nb_gguf_f64(gguf, key, &number))
        nb_draft_add(out, nb_general(number, 9).text);
}

static nb_status inspect_gguf(const char *path, nb_items *out, nb_error *error)
{
    nb_gguf *gguf = NULL;
    nb_status status = nb_gguf_open(path, &gguf, error);
    if (status != NB_OK)
        return status;
    nb_items_text(out, "%s · GGUF version %u · %s · %s keys, %s tensors", nb_file_name(path), gguf->version,
                  nb_bytes(gguf->mapping->size).text, nb_count(gguf->n_values).text,
                  nb_count(gguf->n_tensors).text);
    nb_items_table(out, key_columns, 3);
    for (uint64_t i = 0; i < gguf->n_values; i++) {
        const nb_gguf_value *value = &gguf->values[i];
        nb_draft key = {0}, text = {0};
        nb_draft_append(&key, value->key.text, value->key.n_bytes);
        describe_value(gguf, value, nb_draft_text(&key), &text);
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", nb_draft_text(&key));
        nb_items_cell(out, 1, "%s", nb_gguf_type_name(value->type));
        nb_items_cell(out, 2, "%s", nb_draft_text(&text));
        nb_draft_free(&key);
        nb_draft_free(&text);
    }
    nb_items_table(out, tensor_columns, 4);
    for (uint64_t i = 0; i < gguf->n_tensors; i++) {
        const nb_gguf_tensor *tensor = &gguf->tensors[i];
        nb_draft shape = {0};
        for (uint32_t d = tensor->n_dims; d-- > 0;)
            nb_draft_addf(&shape, "%llu%s", (unsigned long long)tensor->dims[d], d ? " x " : "");
        nb_items_row(out);
        nb_items_cell(out, 0, "%.*s", (int)nb_min_size(tensor->name.n_bytes, 120), tensor->name.text);
        nb_items_cell(out, 1, "%s", nb_draft_text(&shape));
        nb_items_cell(out, 2, "%s", nb_ggml_type_name(tensor->type));
        nb_items_cell(out, 3, "%s", nb_count(tensor->n_bytes).text);
        nb_draft_free(&shape);
    }
    nb_gguf_close(&gguf);
    return NB_OK;
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
    nb_items_text(out, "%s · llama2.c model, version 0 · %s of f32 · %s", nb_file_name(path),
                  nb_bytes(model->mapping->size).text,
                  model->shared_classifier ? "embeddings and head are one tensor"
                                           : "the head is a tensor of its own");
    nb_items_table(out, columns, 2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", rows[i].name);
        nb_items_cell(out, 1, "%u", rows[i].value);
    }
    nb_llama2c_close(&model);
    return NB_OK;
}

static nb_status run_inspect(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    char *path = NULL;
    nb_mapping *mapping = NULL;
    nb_status status = nb_notebook_path(notebook, call->arguments[0], true, &path, error);
    if (status == NB_OK)
        status = nb_mapping_open(path, &mapping, error);
    bool is_gguf = status == NB_OK && nb_gguf_probe(mapping->data, mapping->size);
    nb_mapping_close(&mapping);
    if (status == NB_OK)
        status = is_gguf ? inspect_gguf(path, out, error) : inspect_llama2c(path, out, error);
    free(path);
    return status;
}

const nb_command nb_subcommand_inspect = {
    .name = "inspect",
    .usage = "nibble inspect FILE",
    .summary = "what is in a model file: keys and tensors of a GGUF, the header of a llama2.c model",
    .examples = {"nibble inspect model.gguf"},
    .arguments = {{"FILE", NB_WORD_FILE, false}},
    .run = run_inspect,
};
