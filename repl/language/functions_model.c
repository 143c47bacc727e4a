/* Functions of the loaded model. */
#include "repl/language/functions.h"
#include "repl/language/machine.h"

#include "repl/commands/ppl.h"
#include "repl/describe.h"
#include "repl/notebook.h"

#include <stdlib.h>
#include <string.h>

static const nb_model *model_of(const nb_application *call)
{
    return call->language->notebook->model;
}

static nb_status name_of(const nb_application *call, const char **out, nb_error *error)
{
    if (call->values[0].kind == NB_VALUE_TEXT)
        return nb_argument_text(call, 0, out, error);
    if (call->values[0].kind == NB_VALUE_ARRAY)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s takes the name of a tensor, and this is %s: a variable holds numbers, not where they came "
                       "from. Name the tensor itself: %s(blk.0.attn_q)",
                       call->row->name, nb_value_describe(&call->values[0]).text, call->row->name);
    return nb_fail(error, NB_ERR_ARGUMENT, "%s takes the name of a tensor, not %s: %s", call->row->name,
                   nb_value_describe(&call->values[0]).text, call->row->example);
}

/* op 1: as it was; 0: as it is stored now */
static nb_status tensor(nb_application *call, nb_value *out, nb_error *error)
{
    const char *name;
    const nb_status status = name_of(call, &name, error);
    return status == NB_OK ? nb_name_tensor(call->language, name, call->row->op, out, error) : status;
}

static nb_status format(nb_application *call, nb_value *out, nb_error *error)
{
    const char *name;
    const nb_tensor *found;
    nb_status status = name_of(call, &name, error);
    if (status == NB_OK)
        status = nb_notebook_tensor(call->language->notebook, name, &found, error);
    if (status != NB_OK)
        return status;
    const nb_storage_text text = nb_describe_storage(found);
    return nb_value_text(text.text, strlen(text.text), out, error);
}

/* The matrices of a scope, as `quantize` takes them; norms and biases only where it names nothing else. */
static nb_status matrices_of(const nb_model *model, const char *name, nb_scope *out, nb_error *error)
{
    nb_error no_matrix;
    if (nb_scope_resolve(model, name, false, out, &no_matrix) == NB_OK)
        return NB_OK;
    return nb_scope_resolve(model, name, true, out, error);
}

/* op 0: bytes; 1: bits a weight. Without a scope of the whole model, norms too. */
static nb_status bytes(nb_application *call, nb_value *out, nb_error *error)
{
    const nb_model *model = model_of(call);
    const char *name = NULL;
    uint64_t n_bytes = nb_model_n_bytes(model), n_weights = nb_model_n_parameters(model);
    if (nb_argument_given(call, 0)) {
        nb_scope scope = {0};
        nb_status status = name_of(call, &name, error);
        if (status == NB_OK)
            status = matrices_of(model, name, &scope, error);
        if (status != NB_OK)
            return status;
        n_bytes = n_weights = 0;
        for (size_t i = 0; i < scope.count; i++) {
            const nb_tensor *found = nb_model_tensor(model, scope.tensors[i]);
            n_bytes += nb_tensor_n_bytes(found);
            n_weights += nb_tensor_n_weights(found);
        }
        nb_scope_free(&scope);
    }
    *out = nb_value_number(call->row->op ? nb_bits_per_weight(n_bytes, n_weights) : (double)n_bytes);
    return NB_OK;
}

/* Names of a scope's tensors, to go over. */
static nb_status tensors(nb_application *call, nb_value *out, nb_error *error)
{
    const char *name = "all";
    nb_scope scope = {0};
    nb_status status = nb_argument_given(call, 0) ? name_of(call, &name, error) : NB_OK;
    if (status == NB_OK)
        status = nb_scope_resolve(model_of(call), name, false, &scope, error);
    nb_value *names = status == NB_OK ? nb_calloc(scope.count + 1, sizeof *names) : NULL;
    if (status == NB_OK && !names)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for %zu names", scope.count);
    size_t n = 0;
    for (; status == NB_OK && n < scope.count; n++) {
        const char *text = nb_model_tensor(model_of(call), scope.tensors[n])->name;
        status = nb_value_text(text, strlen(text), &names[n], error);
    }
    if (status == NB_OK)
        status = nb_value_list(names, n, out, error);
    else
        for (size_t i = 0; i < n; i++)
            nb_value_release(&names[i]);
    free(names);
    nb_scope_free(&scope);
    return status;
}

static nb_status loss_array(const nb_application *call, const nb_perplexity *measured, nb_value *out, nb_error *error)
{
    nb_array *made = NULL;
    nb_status status = nb_array_create(&call->language->space, 1, &measured->n_tokens, &made, error);
    if (status != NB_OK)
        return status;
    memcpy(made->data, measured->losses, measured->n_tokens * sizeof *made->data);
    *out = nb_value_array(made);
    return NB_OK;
}

/* ppl, and losses (op 1). */
static nb_status ppl(nb_application *call, nb_value *out, nb_error *error)
{
    nb_notebook *notebook = call->language->notebook;
    const char *path = NULL;
    double n_tokens = NB_PPL_TOKENS;
    nb_mapping *text = NULL;
    nb_perplexity measured = {0};
    nb_status status = nb_argument_given(call, 0) ? nb_argument_text(call, 0, &path, error) : NB_OK;
    if (status == NB_OK && nb_argument_given(call, 1))
        status = nb_argument_whole(call, 1, 0, 1e15, &n_tokens, error);
    if (status == NB_OK)
        status = nb_notebook_text(notebook, path, call->row->name, &text, error);
    if (status == NB_OK)
        status = nb_perplexity_measure(notebook->model, NB_WEIGHTS_CURRENT, (const char *)text->data,
                                       text->size, (size_t)n_tokens, &measured, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    if (status == NB_OK && call->row->op)
        status = loss_array(call, &measured, out, error);
    else if (status == NB_OK)
        *out = nb_value_number(measured.ppl);
    nb_perplexity_free(&measured);
    nb_mapping_close(&text);
    return status;
}

/* ---- what flows through it ---- */

static nb_status encode(const nb_application *call, const char *text, size_t n_bytes, nb_tokens *out,
                        nb_error *error)
{
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model_of(call));
    if (!tokenizer)
        return nb_fail(error, NB_ERR_STATE, "%s came without a tokenizer, so it cannot read text",
                       nb_model_name(model_of(call)));
    nb_status status = nb_tokenizer_encode(tokenizer, text, n_bytes, true, false, out, error);
    if (status == NB_OK && out->count == 0)
        status = nb_fail(error, NB_ERR_ARGUMENT, "%s: the text is empty", call->row->name);
    return status;
}

static nb_status tokens(nb_application *call, nb_value *out, nb_error *error)
{
    const char *text;
    nb_tokens ids = {0};
    nb_array *made = NULL;
    nb_status status = nb_argument_text(call, 0, &text, error);
    if (status == NB_OK)
        status = encode(call, text, strlen(text), &ids, error);
    if (status == NB_OK)
        status = nb_array_create(&call->language->space, 1, &ids.count, &made, error);
    for (size_t i = 0; status == NB_OK && i < ids.count; i++)
        made->data[i] = (float)ids.ids[i];
    if (status == NB_OK)
        *out = nb_value_array(made);
    nb_tokens_free(&ids);
    return status;
}

/* After the last token of a text: a number for each token of the vocabulary. */
static nb_status logits(nb_application *call, nb_value *out, nb_error *error)
{
    nb_model *model = call->language->notebook->model;
    const size_t n_vocab = nb_model_hparams(model)->n_vocab, n_ctx = nb_model_hparams(model)->n_ctx;
    const char *text;
    const float *computed = NULL;
    nb_tokens ids = {0};
    nb_session *session = NULL;
    nb_array *made = NULL;
    nb_status status = nb_argument_text(call, 0, &text, error);
    if (status == NB_OK)
        status = encode(call, text, strlen(text), &ids, error);
    if (status == NB_OK && ids.count > n_ctx)
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "logits: the text has %zu tokens, and the model's context %zu", ids.count, n_ctx);
    if (status == NB_OK)
        status = nb_session_create(model, NB_WEIGHTS_CURRENT, ids.count, &session, error);
    if (status == NB_OK)
        status = nb_session_eval(session, ids.ids, ids.count, NB_LOGITS_LAST, &computed, error);
    if (status == NB_OK)
        status = nb_array_create(&call->language->space, 1, &n_vocab, &made, error);
    if (status == NB_OK) {
        memcpy(made->data, computed, n_vocab * sizeof *computed);
        *out = nb_value_array(made);
    }
    nb_session_destroy(&session);
    nb_tokens_free(&ids);
    return status;
}

enum { MOST_TOKENS = 128 }; /* that activations reads unless told otherwise */

/* The tokens of parameter `text`, or of the text that ppl reads, `most` of them. */
static nb_status tokens_to_read(const nb_application *call, size_t most, nb_tokens *out, nb_error *error)
{
    const char *text;
    nb_mapping *file = NULL;
    nb_status status;
    if (nb_argument_given(call, 1)) {
        status = nb_argument_text(call, 1, &text, error);
        if (status == NB_OK)
            status = encode(call, text, strlen(text), out, error);
    } else if (call->language->notebook->settings.text) {
        enum { BYTES_A_TOKEN = 64 };
        status = nb_notebook_text(call->language->notebook, NULL, "activations", &file, error);
        if (status == NB_OK)
            status = encode(call, (const char *)file->data, nb_min_size(file->size, most * BYTES_A_TOKEN),
                            out, error);
        if (status == NB_OK)
            status = nb_mapping_check(file, error);
    } else {
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "activations needs a text: activations(T, \"Once upon a time\"), or "
                       "set text FILE");
    }
    nb_mapping_close(&file);
    out->count = nb_min_size(out->count, most);
    return status;
}

/* What flows into a matrix: a row for each token. */
static nb_status activations(nb_application *call, nb_value *out, nb_error *error)
{
    nb_model *model = call->language->notebook->model;
    const char *name;
    const nb_tensor *found = NULL;
    double most = MOST_TOKENS;
    nb_tokens ids = {0};
    nb_array *made = NULL;
    nb_status status = name_of(call, &name, error);
    if (status == NB_OK)
        status = nb_notebook_tensor(call->language->notebook, name, &found, error);
    if (status == NB_OK && nb_argument_given(call, 2))
        status = nb_argument_whole(call, 2, 1, 1e6, &most, error);
    if (status == NB_OK)
        status = tokens_to_read(call, nb_min_size((size_t)most, nb_model_hparams(model)->n_ctx), &ids, error);
    if (status == NB_OK) {
        const size_t dims[2] = {ids.count, found->n_cols};
        status = nb_array_create(&call->language->space, 2, dims, &made, error);
    }
    if (status == NB_OK)
        status = nb_activations_collect(model, (size_t)nb_model_find_tensor(model, found->name), ids.ids,
                                        ids.count, made->data, error);
    if (status == NB_OK)
        *out = nb_value_array(made);
    else
        nb_array_release(&made);
    nb_tokens_free(&ids);
    return status;
}

static nb_status token_text(nb_application *call, nb_value *out, nb_error *error)
{
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model_of(call));
    double id;
    if (!tokenizer)
        return nb_fail(error, NB_ERR_STATE, "%s came without a tokenizer", nb_model_name(model_of(call)));
    const nb_status status =
        nb_argument_whole(call, 0, 0, (double)nb_tokenizer_size(tokenizer) - 1, &id, error);
    if (status != NB_OK)
        return status;
    const nb_string piece = nb_tokenizer_piece(tokenizer, -1, (int32_t)id),
                    spelled = nb_tokenizer_text(tokenizer, (int32_t)id),
                    shown = piece.n_bytes ? piece : spelled;
    return nb_value_text(shown.text, shown.n_bytes, out, error);
}

#define MODEL "The model"

const nb_function_row nb_functions_model[] = {
    {"tensor", MODEL, "tensor(T)", "a tensor's numbers as stored now; its bare name is the same",
     "max(tensor(\"blk.0.attn_q\")) > 0", "1", tensor, 0, 1, 1},
    {"original", MODEL, "original(T)", "a tensor's numbers as they were before it was quantized",
     "mse(original(blk.0.attn_q), blk.0.attn_q)", "0", tensor, 1, 1, 1},
    {"format", MODEL, "format(T)", "how a tensor is stored, as text", "format(blk.0.attn_q)", NULL, format, 0,
     1, 1},
    {"bits", MODEL, "bits(scope=)", "bits a weight of a scope, scales included; of the whole model",
     "bits(attention)", NULL, bytes, 1, 1, 1},
    {"bytes", MODEL, "bytes(scope=)", "bytes that a scope takes; that the whole model takes", "bytes(mlp)",
     NULL, bytes, 0, 1, 1},
    {"tensors", MODEL, "tensors(scope=)", "the names of a scope's tensors, for loops",
     "len(tensors(attention)) > 3", "1", tensors, 0, 1, 1},
    {"ppl", MODEL, "ppl(text=, tokens=)", "perplexity on a text, as the command of that name",
     "ppl(tokens=64) > 1", "1", ppl, 0, 0, 1},
    {"losses", MODEL, "losses(text=, tokens=)", "what each token of a text costs, in nats: ppl is exp of their mean",
     "len(losses(tokens=64))", "64", ppl, 1, 0, 1},
    {"activations", MODEL, "activations(T, text=, tokens=)",
     "what flows into a matrix: a row for each token of a text",
     "len(activations(blk.0.attn_q, \"Once upon\")) > 1", "1", activations, 0, 1, 1},
    {"tokens", MODEL, "tokens(text)", "the ids of a text's tokens, BOS first if the model wants it",
     "len(tokens(\"Once upon a time\")) > 1", "1", tokens, 0, 0, 1},
    {"token_text", MODEL, "token_text(id)", "what a token stands for", "token_text(argmax(logits(\"Once\")))",
     NULL, token_text, 0, 0, 1},
    {"logits", MODEL, "logits(text)", "what the model says of every token that could come next",
     "size(logits(\"Once\")) > 1", "1", logits, 0, 0, 1},
};
const size_t nb_n_functions_model = sizeof nb_functions_model / sizeof *nb_functions_model;
