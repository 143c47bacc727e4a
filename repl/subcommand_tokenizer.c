/* nibble tokenizer: learn a vocabulary from text, and see what a vocabulary makes of one. */
#include "repl/commands/save.h"
#include "repl/describe.h"
#include "repl/notebook.h"
#include "repl/numbers.h"
#include "repl/subcommands.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TOKENS = 2048, MOST_TEXTS = NB_MAX_ARGUMENTS - 1 };

/* ---- train ---- */

static void describe_trained(const char *path, const nb_bpe_trained *made, size_t wanted, double seconds,
                             nb_items *out)
{
    const nb_vocabulary *v = &made->vocabulary;
    nb_items_text(out, "%s: %s tokens, byte-level bpe (%s): " NB_DOCUMENT_MARK ", 256 bytes, %s merges",
                  nb_file_name(path), nb_count(v->n_tokens).text, v->pre, nb_count(v->n_merges).text);
    nb_items_text(out, "learned from %s in %s document%s: %s words, %s of them different",
                  nb_bytes(made->n_bytes).text, nb_count(made->n_documents).text,
                  made->n_documents == 1 ? "" : "s", nb_count(made->n_words).text,
                  nb_count(made->n_distinct_words).text);
    nb_items_text(out, "the text becomes %s tokens, %s bytes a token · " NB_MEASURED "%s s" NB_END,
                  nb_count(made->n_text_tokens).text,
                  nb_fixed((double)made->n_bytes / (double)made->n_text_tokens, 2).text,
                  nb_fixed(seconds, 2).text);
    if (v->n_tokens < wanted)
        nb_items_text(
            out, "%s were asked for, but no pair of tokens occurs twice any more: more text teaches more",
            nb_count(wanted).text);
}

static nb_status train_and_save(nb_notebook *notebook, const nb_call *call, const nb_string *texts,
                                size_t n_texts, nb_items *out, nb_error *error)
{
    const char *path = nb_call_text(call, "output", NULL);
    const nb_bpe_options options = {.n_tokens = (size_t)nb_call_number(call, "tokens", DEFAULT_TOKENS),
                                    .pre = nb_call_text(call, "pre", NULL)};
    const double start = nb_seconds_now();
    nb_bpe_trained made;
    nb_status status = nb_bpe_train(notebook->context, texts, n_texts, &options, &made, error);
    if (status != NB_OK)
        return status;
    status = nb_vocabulary_save(&made.vocabulary, path, error);
    if (status == NB_OK)
        describe_trained(path, &made, options.n_tokens, nb_seconds_now() - start, out);
    nb_bpe_trained_free(&made);
    return status;
}

static nb_status run_train(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_mapping *mappings[MOST_TEXTS] = {NULL};
    nb_string texts[MOST_TEXTS];
    const size_t n_texts = call->n_arguments - 1;
    if (!nb_call_has(call, "output"))
        return nb_fail(error, NB_ERR_ARGUMENT, "tokenizer train wants a file to write: -o FILE.gguf");
    nb_status status = NB_OK;
    for (size_t i = 0; i < n_texts && status == NB_OK; i++) {
        char *path = NULL;
        status = nb_notebook_path(notebook, call->arguments[i + 1], true, &path, error);
        if (status == NB_OK && nb_same_file(path, nb_call_text(call, "output", NULL)))
            status = nb_fail(error, NB_ERR_ARGUMENT,
                             "%s is the text, and would be lost: give the vocabulary another name", path);
        if (status == NB_OK)
            status = nb_mapping_open(path, &mappings[i], error);
        if (status == NB_OK)
            texts[i] = (nb_string){(const char *)mappings[i]->data, mappings[i]->size};
        free(path);
    }
    if (status == NB_OK)
        status = train_and_save(notebook, call, texts, n_texts, out, error);
    for (size_t i = 0; i < n_texts; i++) {
        if (status == NB_OK)
            status = nb_mapping_check(mappings[i], error);
        nb_mapping_close(&mappings[i]);
    }
    return status;
}

/* ---- show ---- */

static const nb_column piece_columns[] = {
    {"token", NB_COLUMN_RIGHT}, {"bytes", NB_COLUMN_RIGHT}, {"as the vocabulary spells it", NB_COLUMN_LEFT}};

static void add_pieces(const nb_tokenizer *tokenizer, const nb_tokens *tokens, nb_items *out)
{
    nb_items_table(out, piece_columns, 3);
    for (size_t i = 0; i < tokens->count; i++) {
        const int32_t previous = i > 0 ? tokens->ids[i - 1] : -1;
        const nb_string text = nb_tokenizer_text(tokenizer, tokens->ids[i]);
        nb_items_row(out);
        nb_items_cell(out, 0, "%d", (int)tokens->ids[i]);
        nb_items_cell(out, 1, "%zu", nb_tokenizer_piece(tokenizer, previous, tokens->ids[i]).n_bytes);
        nb_items_cell(out, 2, "%.*s", (int)nb_min_size(text.n_bytes, 120), text.text);
    }
}

static nb_status show_text(const nb_tokenizer *tokenizer, const char *text, nb_items *out, nb_error *error)
{
    nb_tokens tokens = {0};
    nb_status status = nb_tokenizer_encode(tokenizer, text, strlen(text), true, false, &tokens, error);
    if (status == NB_OK) {
        nb_items_text(out, "%s bytes of text are %s tokens", nb_count(strlen(text)).text,
                      nb_count(tokens.count).text);
        add_pieces(tokenizer, &tokens, out);
    }
    nb_tokens_free(&tokens);
    return status;
}

static nb_status run_show(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *text = nb_call_text(call, "prompt", NULL);
    char *path = NULL;
    nb_tokenizer *tokenizer = NULL;
    if (call->n_arguments != 2)
        return nb_fail(
            error, NB_ERR_ARGUMENT,
            "tokenizer show wants one GGUF file, a model or a vocabulary: tokenizer show FILE -p TEXT");
    nb_status status = nb_notebook_path(notebook, call->arguments[1], true, &path, error);
    if (status == NB_OK)
        status = nb_tokenizer_load(path, &tokenizer, error);
    if (status == NB_OK) {
        nb_items_text(out, "%s: %s, %s tokens", nb_file_name(path), nb_tokenizer_kind(tokenizer),
                      nb_count(nb_tokenizer_size(tokenizer)).text);
        status = text ? show_text(tokenizer, text, out, error) : NB_OK;
    }
    nb_tokenizer_destroy(&tokenizer);
    free(path);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    if (strcmp(call->arguments[0], "train") == 0)
        return run_train(notebook, call, out, error);
    if (strcmp(call->arguments[0], "show") == 0)
        return run_show(notebook, call, out, error);
    return nb_fail(error, NB_ERR_ARGUMENT, "tokenizer does not know what \"%.60s\" is: train or show",
                   call->arguments[0]);
}

const nb_command nb_subcommand_tokenizer = {
    .name = "tokenizer",
    .usage = "nibble tokenizer train TEXT [TEXT] [TEXT] -o FILE.gguf [--tokens N] [--pre NAME]\n"
             "nibble tokenizer show FILE [-p TEXT]",
    .summary = "learn a byte-level BPE vocabulary from text; see what a vocabulary makes of a text",
    .details =
        "Documents in a text are parted by lines that say " NB_DOCUMENT_MARK ", which becomes token 0 and "
        "is not learned from. Then come the 256 bytes, then a token for every merge of the two "
        "neighbours that occur most often within a word. The file has no tensors.",
    .examples = {"nibble tokenizer train stories.txt -o story-vocab.gguf --tokens 2048",
                 "nibble tokenizer show story-vocab.gguf -p \"Once upon a time\""},
    .source = "Sennrich et al., Neural machine translation of rare words with subword units, 2016",
    .arguments = {{"train or show", NB_WORD_TEXT, false},
                  {"FILE", NB_WORD_FILE, false},
                  {"FILE", NB_WORD_FILE, true},
                  {"FILE", NB_WORD_FILE, true}},
    .options = {{.name = "output",
                 .letter = 'o',
                 .kind = NB_WORD_NEW_FILE,
                 .value = "FILE",
                 .summary = "the vocabulary to write"},
                {.name = "tokens",
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = NB_BPE_LEAST_TOKENS,
                 .high = NB_BPE_MOST_TOKENS,
                 .summary = "size of the vocabulary; 2,048 unless said"},
                {.name = "pre",
                 .kind = NB_WORD_TEXT,
                 .value = "NAME",
                 .summary = "the pre-tokenizer that cuts words; gpt-2 unless said"},
                {.name = "prompt",
                 .letter = 'p',
                 .kind = NB_WORD_TEXT,
                 .value = "TEXT",
                 .summary = "show: what to cut into tokens"}},
    .needs = NB_WRITES_FILES,
    .run = run,
};
