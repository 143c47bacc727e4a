/* Learning merges. All distinct words lie behind one another as lists of symbols; every pair of neighbours
 * knows how often it occurs and where, so that a merge touches the places where it happens and nothing else.
 *
 * Every merge makes a new token. Two could spell the same one only if the same bytes were merged in two ways;
 * but within a stretch that no merge crosses, the merges are the same wherever it stands. */
#include "text/bpe_learn.h"

#include "base/memory.h"
#include "text/symbols.h"

#include <stdlib.h>

#define NONE UINT32_MAX

enum { LEAST_COUNT = 2 /* a pair that occurs once teaches nothing */, TICK_MERGES = 16 };

typedef struct pair {
    uint32_t left, right;
    uint64_t count;   /* in the text as it stands */
    uint64_t queued;  /* the count of its valid entry in the queue; 0: none */
    uint32_t stamp;   /* the step that last saw it grow */
    uint32_t *places; /* positions of `left`; some no longer hold the pair */
    size_t n_places, capacity;
} pair;

/* What the next merge is taken from: the count at the time, and the pair. An entry whose count is not the
 * pair's `queued` was overtaken by another. */
typedef struct candidate {
    uint64_t count;
    uint32_t left, right;
    size_t pair;
} candidate;

typedef struct learner {
    nb_bpe_learned *out;
    const nb_bpe_lesson *lesson;
    nb_error *error;
    size_t n_positions;
    /* by position, one for each byte of the words */
    uint32_t *symbols; /* NONE: swallowed by the symbol before */
    uint32_t *next, *previous, *word;
    size_t *word_begins; /* [n_words] */
    nb_pair_table index; /* `merged` is the number of a pair */
    pair *pairs;
    size_t n_pairs, pairs_capacity;
    candidate *queue; /* a binary heap, the best first */
    size_t n_queue, queue_capacity;
    size_t *grown; /* pairs whose count rose in this step */
    size_t n_grown, grown_capacity;
    uint32_t step;
    size_t merges_capacity, pieces_capacity;
} learner;

static nb_status no_memory(learner *l)
{
    return nb_fail(l->error, NB_ERR_MEMORY, "there is no memory left to learn a vocabulary from this text");
}

/* Room for one more element in the array that `array` points to. */
static bool room(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    void *elements;
    memcpy(&elements, array, sizeof elements);
    const size_t larger = nb_max_size(16, *capacity + *capacity / 2);
    elements = nb_realloc(elements, larger, size);
    if (!elements)
        return false;
    memcpy(array, &elements, sizeof elements);
    *capacity = larger;
    return true;
}

/* ---- the queue ---- */

/* More often first, then the smaller left token, then the smaller right one: no two pairs are equal. */
static bool is_before(const candidate *a, const candidate *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static nb_status queue_push(learner *l, size_t number)
{
    pair *p = &l->pairs[number];
    if (!room(&l->queue, l->n_queue, &l->queue_capacity, sizeof *l->queue))
        return no_memory(l);
    const candidate added = {p->count, p->left, p->right, number};
    size_t at = l->n_queue++;
    for (; at > 0 && is_before(&added, &l->queue[(at - 1) / 2]); at = (at - 1) / 2)
        l->queue[at] = l->queue[(at - 1) / 2];
    l->queue[at] = added;
    p->queued = p->count;
    return NB_OK;
}

static candidate queue_pop(learner *l)
{
    const candidate best = l->queue[0], last = l->queue[--l->n_queue];
    size_t at = 0;
    for (size_t child = 1; child < l->n_queue; child = 2 * at + 1) {
        child += child + 1 < l->n_queue && is_before(&l->queue[child + 1], &l->queue[child]);
        if (!is_before(&l->queue[child], &last))
            break;
        l->queue[at] = l->queue[child];
        at = child;
    }
    l->queue[at] = last;
    return best;
}

/* The pair to merge next, or NONE. Counts that fell since they were queued are queued anew. */
static nb_status queue_best(learner *l, size_t *out)
{
    *out = NONE;
    while (l->n_queue > 0) {
        const candidate best = queue_pop(l);
        pair *p = &l->pairs[best.pair];
        if (best.count != p->queued)
            continue;
        if (p->count == best.count) {
            *out = best.pair;
            return NB_OK;
        }
        p->queued = 0;
        if (p->count < LEAST_COUNT)
            continue;
        nb_status status = queue_push(l, best.pair);
        if (status != NB_OK)
            return status;
    }
    return NB_OK;
}

/* ---- pairs ---- */

static pair *find_pair(const learner *l, uint32_t left, uint32_t right)
{
    const nb_pair *found = nb_pair_table_find(&l->index, left, right);
    return found ? &l->pairs[found->merged] : NULL;
}

static nb_status pair_of(learner *l, uint32_t left, uint32_t right, size_t *out)
{
    const nb_pair *found = nb_pair_table_find(&l->index, left, right);
    if (found) {
        *out = found->merged;
        return NB_OK;
    }
    *out = l->n_pairs;
    if (l->n_pairs >= NONE || !room(&l->pairs, l->n_pairs, &l->pairs_capacity, sizeof *l->pairs) ||
        !nb_pair_table_add(&l->index, (nb_pair){left, right, 0, (uint32_t)l->n_pairs}))
        return no_memory(l);
    l->pairs[l->n_pairs++] = (pair){.left = left, .right = right};
    return NB_OK;
}

static uint64_t weight(const learner *l, uint32_t at)
{
    return l->lesson->counts[l->word[at]];
}

/* The pair that begins at this position is there now. */
static nb_status appear(learner *l, uint32_t at)
{
    size_t number;
    nb_status status = pair_of(l, l->symbols[at], l->symbols[l->next[at]], &number);
    if (status != NB_OK)
        return status;
    pair *p = &l->pairs[number];
    p->count += weight(l, at);
    if (!room(&p->places, p->n_places, &p->capacity, sizeof *p->places) ||
        !room(&l->grown, l->n_grown, &l->grown_capacity, sizeof *l->grown))
        return no_memory(l);
    p->places[p->n_places++] = at;
    if (p->stamp != l->step) {
        p->stamp = l->step;
        l->grown[l->n_grown++] = number;
    }
    return NB_OK;
}

static void vanish(learner *l, uint32_t at)
{
    find_pair(l, l->symbols[at], l->symbols[l->next[at]])->count -= weight(l, at);
}

/* Gives those that grew their place in the queue. */
static nb_status queue_grown(learner *l)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < l->n_grown && status == NB_OK; i++) {
        const pair *p = &l->pairs[l->grown[i]];
        if (p->count >= LEAST_COUNT && p->count > p->queued)
            status = queue_push(l, l->grown[i]);
    }
    l->n_grown = 0;
    l->step++;
    return status;
}

/* ---- merging ---- */

static nb_status merge_one(learner *l, uint32_t at, uint32_t merged)
{
    const uint32_t before = l->previous[at], swallowed = l->next[at], after = l->next[swallowed];
    if (before != NONE)
        vanish(l, before);
    vanish(l, at);
    if (after != NONE)
        vanish(l, swallowed);
    l->symbols[at] = merged;
    l->symbols[swallowed] = NONE;
    l->next[at] = after;
    if (after != NONE)
        l->previous[after] = at;
    nb_status status = before != NONE ? appear(l, before) : NB_OK;
    return status == NB_OK && after != NONE ? appear(l, at) : status;
}

/* The token that two others become; its bytes are those of a word from this position on. */
static nb_status add_token(learner *l, uint32_t left, uint32_t right, uint32_t at)
{
    nb_bpe_learned *out = l->out;
    const uint32_t word = l->word[at];
    if (!room(&out->pieces, out->n_tokens, &l->pieces_capacity, sizeof *out->pieces) ||
        !room(&out->merges, out->n_merges, &l->merges_capacity, sizeof *out->merges))
        return no_memory(l);
    out->merges[out->n_merges++] = (nb_bpe_merge){left, right, (uint32_t)out->n_tokens};
    out->pieces[out->n_tokens++] = (nb_string){l->lesson->words[word].text + (at - l->word_begins[word]),
                                               out->pieces[left].n_bytes + out->pieces[right].n_bytes};
    return NB_OK;
}

static bool holds_pair(const learner *l, uint32_t at, uint32_t left, uint32_t right)
{
    return l->symbols[at] == left && l->next[at] != NONE && l->symbols[l->next[at]] == right;
}

/* A pair's places are in the order of the text where that matters: two equal symbols can overlap with the
 * next two, and all of them came up in the step that made the symbol. */
static nb_status merge_pair(learner *l, size_t number)
{
    pair *p = &l->pairs[number];
    const uint32_t left = p->left, right = p->right, merged = (uint32_t)l->out->n_tokens;
    uint32_t *places = p->places;
    const size_t n_places = p->n_places;
    p->places = NULL; /* `pairs` may move */
    p->n_places = p->capacity = 0;
    nb_status status = NB_OK;
    for (size_t i = 0; i < n_places && status == NB_OK; i++) {
        if (!holds_pair(l, places[i], left, right))
            continue;
        if (l->out->n_tokens == merged)
            status = add_token(l, left, right, places[i]);
        if (status == NB_OK)
            status = merge_one(l, places[i], merged);
    }
    free(places);
    return status == NB_OK ? queue_grown(l) : status;
}

/* ---- the whole ---- */

static nb_status lay_out_words(learner *l)
{
    const nb_bpe_lesson *lesson = l->lesson;
    for (size_t w = 0; w < lesson->n_words; w++)
        if (!nb_add_size(l->n_positions, lesson->words[w].n_bytes, &l->n_positions) || l->n_positions >= NONE)
            return nb_fail(l->error, NB_ERR_ARGUMENT,
                           "the different words of this text are 4 GB or more; learn from a part of it");
    l->symbols = nb_calloc(l->n_positions, sizeof *l->symbols);
    l->next = nb_calloc(l->n_positions, sizeof *l->next);
    l->previous = nb_calloc(l->n_positions, sizeof *l->previous);
    l->word = nb_calloc(l->n_positions, sizeof *l->word);
    l->word_begins = nb_calloc(lesson->n_words, sizeof *l->word_begins);
    if (!l->symbols || !l->next || !l->previous || !l->word || !l->word_begins)
        return no_memory(l);
    uint32_t at = 0;
    for (size_t w = 0; w < lesson->n_words; w++) {
        const nb_string word = lesson->words[w];
        l->word_begins[w] = at;
        for (size_t i = 0; i < word.n_bytes; i++, at++) {
            l->symbols[at] = lesson->byte_tokens[(unsigned char)word.text[i]];
            l->previous[at] = i > 0 ? at - 1 : NONE;
            l->next[at] = i + 1 < word.n_bytes ? at + 1 : NONE;
            l->word[at] = (uint32_t)w;
        }
    }
    return NB_OK;
}

static nb_status copy_first_tokens(learner *l)
{
    nb_bpe_learned *out = l->out;
    const nb_bpe_lesson *lesson = l->lesson;
    l->pieces_capacity = lesson->n_tokens;
    out->pieces = nb_calloc(lesson->n_tokens, sizeof *out->pieces);
    if (!out->pieces || !nb_pair_table_create(&l->index, 65536))
        return no_memory(l);
    memcpy(out->pieces, lesson->pieces, lesson->n_tokens * sizeof *out->pieces);
    out->n_tokens = lesson->n_tokens;
    return NB_OK;
}

static nb_status learn(nb_context *context, learner *l)
{
    nb_bpe_learned *out = l->out;
    const size_t wanted = l->lesson->wanted, had = out->n_tokens;
    l->step = 1; /* no pair has this stamp yet */
    nb_status status = NB_OK;
    for (uint32_t at = 0; at < l->n_positions && status == NB_OK; at++)
        if (l->next[at] != NONE)
            status = appear(l, at);
    if (status == NB_OK)
        status = queue_grown(l);
    while (status == NB_OK && out->n_tokens < wanted) {
        size_t best;
        if (out->n_merges % TICK_MERGES == 0)
            status =
                nb_context_tick(context, "merging", out->n_tokens - had, wanted - had, "tokens", l->error);
        if (status == NB_OK)
            status = queue_best(l, &best);
        if (status != NB_OK || best == NONE)
            break;
        status = merge_pair(l, best);
    }
    for (uint32_t at = 0; at < l->n_positions; at++)
        out->n_text_tokens += l->symbols[at] != NONE ? weight(l, at) : 0;
    return status;
}

static void learner_free(learner *l)
{
    for (size_t i = 0; i < l->n_pairs; i++)
        free(l->pairs[i].places);
    free(l->pairs);
    free(l->symbols);
    free(l->next);
    free(l->previous);
    free(l->word);
    free(l->word_begins);
    free(l->queue);
    free(l->grown);
    nb_pair_table_free(&l->index);
}

nb_status nb_bpe_learn(nb_context *context, const nb_bpe_lesson *lesson, nb_bpe_learned *out, nb_error *error)
{
    learner l = {.out = out, .lesson = lesson, .error = error};
    *out = (nb_bpe_learned){0};
    nb_status status = lay_out_words(&l);
    status = status ? status : copy_first_tokens(&l);
    status = status ? status : learn(context, &l);
    learner_free(&l);
    if (status != NB_OK)
        nb_bpe_learned_free(out);
    return status;
}

void nb_bpe_learned_free(nb_bpe_learned *learned)
{
    free(learned->merges);
    free(learned->pieces);
    *learned = (nb_bpe_learned){0};
}
