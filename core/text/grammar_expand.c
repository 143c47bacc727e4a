/* Walking a grammar: every choice costs -log2 of its probability among what the conditions leave. */
#include "base/memory.h"
#include "base/random.h"
#include "math/math.h"
#include "text/grammar_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* What no story needs: rules inside rules, rows and alternatives looked at, bytes. */
enum { MAX_DEPTH = 400, MAX_STEPS = 5000000, MAX_BYTES = 1 << 20 };

static const double LOG2_E = 0x1.71547652b82fep+0; /* 1 / ln 2 */

/* What a variable holds: a row of a table, and whether the text has told yet. */
typedef struct binding {
    uint32_t table, row; /* table NB_NONE: nothing yet */
    bool hidden;
} binding;

typedef struct expansion {
    const nb_grammar *grammar;
    nb_error *error;
    nb_choose_fn *choose;
    void *user;
    binding *bindings; /* [n_variables] */
    uint32_t *candidates;
    nb_story_text out;
    double bits;
    size_t n_hidden, n_steps;
    unsigned depth;
    bool in_answer;
    nb_span *answers;
    size_t n_answers, answers_capacity;
} expansion;

bool nb_grammar_cell_passes(const nb_grammar *grammar, const nb_table_cell *cell, nb_test test, uint32_t text)
{
    if (test == NB_TEST_EQUAL || test == NB_TEST_DIFFERENT) {
        return (cell->text == text) == (test == NB_TEST_EQUAL);
    }
    bool has = false;
    for (uint32_t i = 0; i < cell->n_words; i++) {
        has = has || grammar->words[cell->first_word + i] == text;
    }
    return has == (test == NB_TEST_HAS);
}

static const nb_table_cell *cell_of(const nb_grammar *grammar, uint32_t table, uint32_t row, uint32_t column)
{
    const nb_grammar_table *t = &grammar->tables[table];
    return &t->cells[row * t->n_columns + nb_grammar_column(t, column)];
}

static const char *variable_name(const expansion *e, uint32_t variable)
{
    return nb_grammar_string(e->grammar, e->grammar->variables[variable].name);
}

static nb_status need(expansion *e, nb_place place, uint32_t variable)
{
    if (e->bindings[variable].table != NB_NONE) {
        return NB_OK;
    }
    return nb_grammar_fail(e->grammar, place, e->error, "nothing has been drawn for %s yet",
                           variable_name(e, variable));
}

/* ---- conditions ---- */

/* A candidate row, or (table NB_NONE) an alternative. The variables that it names must hold rows. */
static bool passes(const expansion *e, const nb_condition *condition, uint32_t table, uint32_t row)
{
    const binding *right = condition->right_text == NB_NONE ? &e->bindings[condition->right_variable] : NULL;
    if (condition->test == NB_TEST_NOT_ROW) {
        return right->table != table || right->row != row;
    }
    if (condition->left_variable != NB_NONE) {
        table = e->bindings[condition->left_variable].table;
        row = e->bindings[condition->left_variable].row;
    }
    uint32_t text = right ? cell_of(e->grammar, right->table, right->row, condition->right_column)->text
                          : condition->right_text;
    return nb_grammar_cell_passes(e->grammar, cell_of(e->grammar, table, row, condition->left_column),
                                  condition->test, text);
}

static nb_status need_all(expansion *e, const nb_condition *conditions, size_t count)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < count && status == NB_OK; i++) {
        if (conditions[i].left_variable != NB_NONE) {
            status = need(e, conditions[i].place, conditions[i].left_variable);
        }
        if (status == NB_OK && conditions[i].right_text == NB_NONE) {
            status = need(e, conditions[i].place, conditions[i].right_variable);
        }
    }
    return status;
}

static bool all_pass(const expansion *e, const nb_condition *conditions, size_t count, uint32_t table,
                     uint32_t row)
{
    for (size_t i = 0; i < count; i++) {
        if (!passes(e, &conditions[i], table, row)) {
            return false;
        }
    }
    return true;
}

/* ---- choices ---- */

/* A number below `total`; its own costs are counted by the caller. */
static uint64_t choose(expansion *e, uint64_t total)
{
    return total > 1 ? e->choose(e->user, total) : 0;
}

static void pay(expansion *e, uint64_t weight, uint64_t total)
{
    if (weight < total) {
        e->bits += nb_log((double)total / (double)weight) * LOG2_E;
    }
}

static void forget(expansion *e, uint32_t variable)
{
    e->n_hidden += e->bindings[variable].hidden;
    e->bindings[variable].hidden = false;
}

static nb_status draw(expansion *e, const nb_piece *piece)
{
    const nb_grammar_table *table = &e->grammar->tables[piece->other];
    nb_status status = need_all(e, piece->conditions, piece->n_conditions);
    if (status != NB_OK) {
        return status;
    }
    size_t count = 0;
    e->n_steps += table->n_rows;
    for (size_t row = 0; row < table->n_rows; row++) {
        if (all_pass(e, piece->conditions, piece->n_conditions, piece->other, (uint32_t)row)) {
            e->candidates[count++] = (uint32_t)row;
        }
    }
    if (count == 0) {
        return nb_grammar_fail(e->grammar, piece->place, e->error, "no row of table %s is left for %s",
                               nb_grammar_string(e->grammar, table->name), variable_name(e, piece->target));
    }
    forget(e, piece->target);
    e->bindings[piece->target] = (binding){piece->other, e->candidates[choose(e, count)], count > 1};
    pay(e, 1, count);
    return NB_OK;
}

/* The alternative that is taken, among those whose conditions hold. */
static nb_status pick(expansion *e, const nb_rule *rule, const nb_alternative **out)
{
    uint64_t total = 0;
    e->n_steps += rule->n_alternatives;
    for (size_t i = 0; i < rule->n_alternatives; i++) {
        const nb_alternative *a = &rule->alternatives[i];
        nb_status status = need_all(e, a->conditions, a->n_conditions);
        if (status != NB_OK) {
            return status;
        }
        total += all_pass(e, a->conditions, a->n_conditions, NB_NONE, 0) ? a->weight : 0;
    }
    if (total == 0) {
        return nb_grammar_fail(e->grammar, rule->place, e->error, "no alternative of %s meets its conditions",
                               rule->name == NB_NONE ? "this choice"
                                                     : nb_grammar_string(e->grammar, rule->name));
    }
    uint64_t number = choose(e, total);
    for (size_t i = 0;; i++) {
        const nb_alternative *a = &rule->alternatives[i];
        if (!all_pass(e, a->conditions, a->n_conditions, NB_NONE, 0)) {
            continue;
        }
        if (number < a->weight) {
            pay(e, a->weight, total);
            *out = a;
            return NB_OK;
        }
        number -= a->weight;
    }
}

/* ---- pieces ---- */

static void add(expansion *e, uint32_t text)
{
    nb_string s = e->grammar->strings[text];
    nb_story_text_add(&e->out, s.text, s.n_bytes);
}

static nb_status show(expansion *e, const nb_piece *piece)
{
    nb_status status = need(e, piece->place, piece->target);
    if (status == NB_OK) {
        binding *b = &e->bindings[piece->target];
        add(e, cell_of(e->grammar, b->table, b->row, piece->column)->text);
        b->hidden = false;
    }
    return status;
}

/* The name is copied, and the duty to show it moves along. */
static nb_status alias(expansion *e, const nb_piece *piece)
{
    nb_status status = need(e, piece->place, piece->other);
    if (status == NB_OK && piece->target != piece->other) {
        forget(e, piece->target);
        e->bindings[piece->target] = e->bindings[piece->other];
        e->bindings[piece->other].hidden = false;
    }
    return status;
}

static nb_status begin_answer(expansion *e)
{
    nb_story_text_settle(&e->out);
    if (e->n_answers == e->answers_capacity) {
        const size_t capacity = e->answers_capacity ? 2 * e->answers_capacity : 8;
        nb_span *grown = nb_realloc(e->answers, capacity, sizeof *grown);
        if (!grown)
            return nb_grammar_no_memory(e->error);
        e->answers = grown;
        e->answers_capacity = capacity;
    }
    e->answers[e->n_answers++] = (nb_span){e->out.n_bytes, e->out.n_bytes};
    return NB_OK;
}

static nb_status end_answer(expansion *e, const nb_piece *piece)
{
    nb_span *answer = &e->answers[e->n_answers - 1];
    answer->end = e->out.n_bytes;
    if (answer->begin < 2 || answer->end == answer->begin || e->out.text[answer->begin - 1] != ' ')
        return nb_grammar_fail(e->grammar, piece->place, e->error,
                               "an answer stands after a space, and is not empty");
    return NB_OK;
}

static nb_status answer(expansion *e, const nb_piece *piece)
{
    bool begins = piece->kind == NB_PIECE_ANSWER_BEGIN;
    if (begins == e->in_answer)
        return nb_grammar_fail(e->grammar, piece->place, e->error, "an <answer> stands in another");
    e->in_answer = begins;
    return begins ? begin_answer(e) : end_answer(e, piece);
}

static nb_status expand_rule(expansion *e, uint32_t index, nb_place place);

static nb_status expand_piece(expansion *e, const nb_piece *piece)
{
    switch (piece->kind) {
    case NB_PIECE_TEXT:
        add(e, piece->name);
        return NB_OK;
    case NB_PIECE_SHOW:
        return show(e, piece);
    case NB_PIECE_DRAW:
        return draw(e, piece);
    case NB_PIECE_ALIAS:
        return alias(e, piece);
    case NB_PIECE_ANSWER_BEGIN:
    case NB_PIECE_ANSWER_END:
        return answer(e, piece);
    default:
        return expand_rule(e, piece->target, piece->place);
    }
}

static nb_status check_growth(const expansion *e, nb_place place)
{
    if (e->out.failed) {
        return nb_grammar_no_memory(e->error);
    }
    if (e->depth > MAX_DEPTH || e->n_steps > MAX_STEPS || e->out.n_bytes > MAX_BYTES) {
        return nb_grammar_fail(e->grammar, place, e->error, "this story grows without end");
    }
    return NB_OK;
}

static nb_status expand_rule(expansion *e, uint32_t index, nb_place place)
{
    const nb_alternative *alternative = NULL;
    e->depth++;
    nb_status status = check_growth(e, place);
    if (status == NB_OK) {
        status = pick(e, &e->grammar->rules[index], &alternative);
    }
    for (size_t i = 0; status == NB_OK && i < alternative->n_pieces; i++) {
        status = expand_piece(e, &alternative->pieces[i]);
        if (status == NB_OK) {
            status = check_growth(e, alternative->pieces[i].place);
        }
    }
    e->depth--;
    return status;
}

/* ---- a whole story ---- */

static nb_status prepare(expansion *e)
{
    const nb_grammar *grammar = e->grammar;
    size_t n_rows = 0;
    for (size_t t = 0; t < grammar->n_tables; t++) {
        n_rows = nb_max_size(n_rows, grammar->tables[t].n_rows);
    }
    e->bindings = nb_calloc(grammar->n_variables + 1, sizeof *e->bindings);
    e->candidates = nb_calloc(n_rows + 1, sizeof *e->candidates);
    if (!e->bindings || !e->candidates) {
        return nb_grammar_no_memory(e->error);
    }
    for (size_t i = 0; i < grammar->n_variables; i++) {
        e->bindings[i].table = NB_NONE;
    }
    e->out.capital = true;
    return NB_OK;
}

static nb_status finish(expansion *e, const nb_rule *rule, nb_story *story)
{
    for (size_t i = 0; i < e->grammar->n_variables; i++) {
        forget(e, (uint32_t)i);
    }
    if (e->in_answer) {
        return nb_grammar_fail(e->grammar, rule->place, e->error, "an <answer> is not closed");
    }
    if (!e->out.text) { /* a story without a word is text too */
        e->out.text = nb_calloc(1, 1);
    }
    if (e->out.failed || !e->out.text) {
        return nb_grammar_no_memory(e->error);
    }
    size_t n = e->out.n_bytes;
    e->out.text[n] = '\0';
    *story = (nb_story){.text = e->out.text,
                        .n_bytes = n,
                        .bits = e->bits,
                        .n_hidden = e->n_hidden,
                        .answers = e->answers,
                        .n_answers = e->n_answers,
                        .answer_begin = e->n_answers ? e->answers[e->n_answers - 1].begin : n,
                        .answer_end = e->n_answers ? e->answers[e->n_answers - 1].end : n};
    e->out.text = NULL;
    e->answers = NULL;
    return NB_OK;
}

static nb_status no_start(const nb_grammar *grammar, const char *start, nb_error *error)
{
    char names[200] = "";
    for (size_t i = 0, n = 0; i < grammar->n_starts && n < sizeof names; i++) {
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "",
                              nb_grammar_start(grammar, i));
    }
    return nb_fail(error, NB_ERR_ARGUMENT, "\"%.60s\" is no start of this grammar; it has: %s", start, names);
}

nb_status nb_grammar_expand_with(const nb_grammar *grammar, const char *start, nb_choose_fn *choose,
                                 void *user, nb_story *story, nb_error *error)
{
    *story = (nb_story){0};
    uint32_t found = NB_NONE;
    for (size_t i = 0; i < grammar->n_starts; i++) {
        found = strcmp(nb_grammar_start(grammar, i), start) == 0 ? grammar->starts[i] : found;
    }
    if (found == NB_NONE) {
        return no_start(grammar, start, error);
    }
    const nb_rule *rule = &grammar->rules[found];
    expansion e = {.grammar = grammar, .error = error, .choose = choose, .user = user};
    nb_status status = prepare(&e);
    if (status == NB_OK) {
        status = expand_rule(&e, found, rule->place);
    }
    if (status == NB_OK) {
        status = finish(&e, rule, story);
    }
    free(e.out.text);
    free(e.answers);
    free(e.bindings);
    free(e.candidates);
    return status;
}

static uint64_t choose_at_random(void *user, uint64_t total)
{
    return nb_random_below(user, total);
}

/* The finalizer of splitmix64: neighbouring numbers become unrelated ones. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

nb_status nb_grammar_expand(const nb_grammar *grammar, const char *start, uint64_t seed, uint64_t index,
                            nb_story *story, nb_error *error)
{
    nb_random random;
    nb_random_seed(&random, mix(mix(seed + 0x9e3779b97f4a7c15u) + index));
    return nb_grammar_expand_with(grammar, start, choose_at_random, &random, story, error);
}
