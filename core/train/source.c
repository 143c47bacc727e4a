#include "train/source.h"

#include "base/memory.h"
#include "base/random.h"
#include "text/documents.h"
#include "text/grammar.h"

#include <stdlib.h>
#include <string.h>

typedef struct piece {
    size_t begin, end;
    bool ends; /* its document ends with it */
} piece;

struct nb_train_source {
    const nb_tokenizer *tokenizer;
    size_t n_ctx;
    uint64_t seed;
    float answer_weight;
    nb_grammar *grammar;
    char *path, *start;
    nb_story story;   /* of a grammar, the last document */
    nb_tokens tokens; /* of a text file, all; of a grammar, the last document */
    piece *pieces;
    size_t n_pieces, capacity;
    size_t *order; /* [n_pieces]: of round `round` */
    uint64_t round;
};

/* ---- a text file ---- */

static nb_status add_piece(nb_train_source *s, piece p, nb_error *error)
{
    if (s->n_pieces == s->capacity) {
        const size_t capacity = s->capacity ? 2 * s->capacity : 1024;
        piece *pieces = nb_realloc(s->pieces, capacity, sizeof *pieces);
        if (!pieces)
            return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its documents", s->path);
        s->pieces = pieces;
        s->capacity = capacity;
    }
    s->pieces[s->n_pieces++] = p;
    return NB_OK;
}

/* A piece has as many inputs as the context holds: BOS and its tokens, or all but the last of them where the
 * document goes on. */
static nb_status cut_document(nb_train_source *s, nb_string document, nb_error *error)
{
    size_t begin = s->tokens.count;
    nb_status status =
        nb_tokenizer_encode(s->tokenizer, document.text, document.n_bytes, false, false, &s->tokens, error);
    while (status == NB_OK && begin < s->tokens.count) {
        const size_t left = s->tokens.count - begin;
        const bool ends = left < s->n_ctx;
        const size_t n = ends ? left : s->n_ctx;
        status = add_piece(s, (piece){begin, begin + n, ends}, error);
        begin += n;
    }
    return status;
}

static void shuffle(nb_train_source *s, uint64_t round)
{
    nb_random random;
    nb_random_seed(&random, s->seed + round);
    for (size_t i = 0; i < s->n_pieces; i++)
        s->order[i] = i;
    for (size_t i = s->n_pieces; i > 1; i--) {
        const size_t other = (size_t)nb_random_below(&random, i), kept = s->order[i - 1];
        s->order[i - 1] = s->order[other];
        s->order[other] = kept;
    }
    s->round = round;
}

static nb_status open_text(nb_train_source *s, nb_error *error)
{
    nb_mapping *file;
    nb_status status = nb_mapping_open(s->path, &file, error);
    if (status != NB_OK)
        return status;
    const nb_string text = {(const char *)file->data, file->size};
    nb_string document;
    for (size_t at = 0; status == NB_OK && nb_document_next(text, &at, &document);)
        status = cut_document(s, document, error);
    if (status == NB_OK)
        status = nb_mapping_check(file, error);
    nb_mapping_close(&file);
    if (status == NB_OK && s->n_pieces == 0)
        status = nb_fail(error, NB_ERR_FILE, "%s: there is no text in it to learn from", s->path);
    s->order = nb_calloc(s->n_pieces, sizeof *s->order);
    if (status == NB_OK && !s->order)
        status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its documents", s->path);
    if (status == NB_OK)
        shuffle(s, 0);
    return status;
}

/* ---- both ---- */

nb_status nb_train_source_open(const nb_train_config *config, const nb_tokenizer *tokenizer, nb_train_source **out,
                         nb_error *error)
{
    *out = NULL;
    if (nb_tokenizer_bos(tokenizer) < 0 || nb_tokenizer_eos(tokenizer) < 0)
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "%s: training needs a tokenizer with tokens for the begin and the end of a text",
                       config->tokenizer);
    nb_train_source *s = nb_calloc(1, sizeof *s);
    if (!s)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to read training text");
    s->tokenizer = tokenizer;
    s->n_ctx = config->hparams.n_ctx;
    s->seed = config->corpus_seed;
    s->answer_weight = (float)config->answer_weight;
    s->path = nb_train_config_path(config, config->grammar ? config->grammar : config->text);
    s->start = nb_strdup(config->start);
    nb_status status = s->path && s->start ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory to read training text");
    if (status == NB_OK)
        status = config->grammar ? nb_grammar_open(s->path, &s->grammar, error) : open_text(s, error);
    if (status != NB_OK)
        nb_train_source_close(&s);
    *out = s;
    return status;
}

void nb_train_source_close(nb_train_source **source)
{
    nb_train_source *s = *source;
    if (!s)
        return;
    nb_grammar_close(&s->grammar);
    nb_story_free(&s->story);
    nb_tokens_free(&s->tokens);
    free(s->pieces);
    free(s->order);
    free(s->path);
    free(s->start);
    free(s);
    *source = NULL;
}

/* Tokens of sequence `index`, in the source's storage. */
static nb_status get_sequence(nb_train_source *s, uint64_t index, const int32_t **ids, size_t *n, bool *ends,
                              nb_error *error)
{
    if (!s->grammar) {
        if (index / s->n_pieces != s->round)
            shuffle(s, index / s->n_pieces);
        const piece *p = &s->pieces[s->order[index % s->n_pieces]];
        *ids = s->tokens.ids + p->begin;
        *n = p->end - p->begin;
        *ends = p->ends;
        return NB_OK;
    }
    nb_story_free(&s->story);
    nb_status status = nb_grammar_expand(s->grammar, s->start, s->seed, index, &s->story, error);
    s->tokens.count = 0;
    if (status == NB_OK)
        status = nb_tokenizer_encode(s->tokenizer, s->story.text, s->story.n_bytes, false, false, &s->tokens, error);
    if (status == NB_OK && s->tokens.count >= s->n_ctx)
        status = nb_fail(error, NB_ERR_ARGUMENT, "%s: story %llu of seed %llu has %zu tokens; n_ctx = %zu is too short",
                         s->path, (unsigned long long)index, (unsigned long long)s->seed, s->tokens.count, s->n_ctx);
    *ids = s->tokens.ids;
    *n = s->tokens.count;
    *ends = true;
    return status;
}

/* Weights of the n tokens of the last document. A token belongs to an answer if it holds a byte of one. */
static void weigh(const nb_train_source *s, const int32_t *ids, size_t n, float *weights)
{
    size_t at = 0, answer = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t end = at + nb_tokenizer_piece(s->tokenizer, i > 0 ? ids[i - 1] : -1, ids[i]).n_bytes;
        while (answer < s->story.n_answers && s->story.answers[answer].end <= at)
            answer++;
        const bool inside = answer < s->story.n_answers && s->story.answers[answer].begin < end;
        weights[i] = inside ? s->answer_weight : 1.0f;
        at = end;
    }
}

/* ---- batches ---- */

nb_status nb_batch_create(size_t max_tokens, nb_batch *out, nb_error *error)
{
    *out = (nb_batch){.max_tokens = max_tokens};
    out->begins = nb_calloc(max_tokens + 1, sizeof *out->begins);
    out->part_begins = nb_calloc(max_tokens + 1, sizeof *out->part_begins);
    out->inputs = nb_calloc(max_tokens, sizeof *out->inputs);
    out->targets = nb_calloc(max_tokens, sizeof *out->targets);
    out->weights = nb_calloc(max_tokens, sizeof *out->weights);
    if (out->begins && out->part_begins && out->inputs && out->targets && out->weights)
        return NB_OK;
    nb_batch_free(out);
    return nb_fail(error, NB_ERR_MEMORY, "no memory for a batch of %zu tokens", max_tokens);
}

void nb_batch_free(nb_batch *batch)
{
    free(batch->begins);
    free(batch->part_begins);
    free(batch->inputs);
    free(batch->targets);
    free(batch->weights);
    *batch = (nb_batch){0};
}

nb_status nb_batch_fill(nb_batch *batch, nb_train_source *source, uint64_t *next, nb_error *error)
{
    size_t n_sequences = 0, n_tokens = 0;
    batch->total_weight = 0;
    for (;;) {
        const int32_t *ids;
        size_t n;
        bool ends;
        nb_status status = get_sequence(source, *next, &ids, &n, &ends, error);
        if (status != NB_OK)
            return status;
        const size_t length = ends ? n + 1 : n;
        if (length > batch->max_tokens - n_tokens)
            break;
        int32_t *inputs = batch->inputs + n_tokens, *targets = batch->targets + n_tokens;
        inputs[0] = nb_tokenizer_bos(source->tokenizer);
        memcpy(inputs + 1, ids, (length - 1) * sizeof *ids);
        memcpy(targets, ids, n * sizeof *ids);
        float *weights = batch->weights + n_tokens;
        weigh(source, ids, n, weights);
        if (ends) {
            targets[n] = nb_tokenizer_eos(source->tokenizer);
            weights[n] = 1.0f;
        }
        for (size_t i = 0; i < length; i++)
            batch->total_weight += (double)weights[i];
        batch->begins[n_sequences++] = n_tokens;
        n_tokens += length;
        (*next)++;
    }
    batch->begins[n_sequences] = n_tokens;
    batch->sequences = (nb_sequences){n_sequences, n_tokens, batch->begins, batch->inputs, batch->targets,
                                      batch->weights};
    return NB_OK;
}

nb_sequences nb_batch_part(nb_batch *batch, size_t first, size_t max_tokens)
{
    const nb_sequences *all = &batch->sequences;
    const size_t begin = all->begins[first];
    size_t n = 1;
    while (first + n < all->n_sequences && all->begins[first + n + 1] - begin <= max_tokens)
        n++;
    for (size_t i = 0; i <= n; i++)
        batch->part_begins[i] = all->begins[first + i] - begin;
    return (nb_sequences){n, batch->part_begins[n], batch->part_begins, all->inputs + begin, all->targets + begin,
                          all->weights + begin};
}
