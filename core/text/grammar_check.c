/* What a grammar must keep before anything is expanded from it. */
#include "base/memory.h"
#include "text/grammar_parts.h"

#include <stdlib.h>

typedef struct checker {
    nb_grammar *grammar;
    nb_error *error;
} checker;

static const char *string(const checker *c, uint32_t name)
{
    return nb_grammar_string(c->grammar, name);
}

/* Calls `visit` for every piece; stops at the first that fails. */
static nb_status each_piece(checker *c, nb_status (*visit)(checker *, nb_piece *))
{
    for (size_t r = 0; r < c->grammar->n_rules; r++) {
        nb_rule *rule = &c->grammar->rules[r];
        for (size_t a = 0; a < rule->n_alternatives; a++) {
            for (size_t p = 0; p < rule->alternatives[a].n_pieces; p++) {
                nb_status status = visit(c, &rule->alternatives[a].pieces[p]);
                if (status != NB_OK) {
                    return status;
                }
            }
        }
    }
    return NB_OK;
}

/* ---- variables ---- */

static nb_status declare(checker *c, nb_piece *piece)
{
    if (piece->kind != NB_PIECE_DRAW && piece->kind != NB_PIECE_ALIAS) {
        return NB_OK;
    }
    nb_grammar *grammar = c->grammar;
    if (nb_grammar_find_rule(grammar, piece->target) != NB_NONE) {
        return nb_grammar_fail(grammar, piece->place, c->error,
                               "%s is a rule, so it cannot be a variable too", string(c, piece->target));
    }
    uint32_t found = nb_grammar_find_variable(grammar, piece->target);
    if (found == NB_NONE) {
        nb_variable *added =
            nb_grammar_append((void **)&grammar->variables, &grammar->n_variables, sizeof *added);
        if (!added) {
            return nb_grammar_no_memory(c->error);
        }
        *added = (nb_variable){.name = piece->target, .place = piece->place};
        found = (uint32_t)grammar->n_variables - 1;
    }
    piece->target = found;
    return NB_OK;
}

static nb_status find_variable(checker *c, nb_place place, uint32_t *name)
{
    uint32_t found = nb_grammar_find_variable(c->grammar, *name);
    if (found == NB_NONE) {
        return nb_grammar_fail(c->grammar, place, c->error, "nothing is ever drawn for a variable %s",
                               string(c, *name));
    }
    *name = found;
    c->grammar->variables[found].used = true;
    return NB_OK;
}

/* ---- names become numbers ---- */

static nb_status resolve_draw(checker *c, nb_piece *piece)
{
    nb_grammar *grammar = c->grammar;
    piece->other = nb_grammar_find_table(grammar, piece->name);
    if (piece->other == NB_NONE) {
        return nb_grammar_fail(grammar, piece->place, c->error, "there is no table %s",
                               string(c, piece->name));
    }
    grammar->tables[piece->other].used = true;
    grammar->variables[piece->target].tables |= (uint64_t)1 << piece->other;
    for (size_t i = 0; i < piece->n_conditions; i++) {
        nb_condition *condition = &piece->conditions[i];
        if (condition->right_text == NB_NONE) {
            nb_status status = find_variable(c, condition->place, &condition->right_variable);
            if (status != NB_OK) {
                return status;
            }
        }
    }
    return NB_OK;
}

static nb_status resolve_name(checker *c, nb_piece *piece)
{
    uint32_t rule = nb_grammar_find_rule(c->grammar, piece->name);
    if (piece->column == NB_NONE && rule != NB_NONE) {
        piece->kind = NB_PIECE_RULE;
        piece->target = rule;
        return NB_OK;
    }
    uint32_t variable = nb_grammar_find_variable(c->grammar, piece->name);
    if (variable == NB_NONE) {
        return nb_grammar_fail(c->grammar, piece->place, c->error, "there is no rule and no variable %s",
                               string(c, piece->name));
    }
    c->grammar->variables[variable].used = true;
    piece->kind = NB_PIECE_SHOW;
    piece->target = variable;
    return NB_OK;
}

static nb_status resolve(checker *c, nb_piece *piece)
{
    switch (piece->kind) {
    case NB_PIECE_NAME:
        return resolve_name(c, piece);
    case NB_PIECE_DRAW:
        return resolve_draw(c, piece);
    case NB_PIECE_ALIAS:
        piece->other = piece->name;
        return find_variable(c, piece->place, &piece->other);
    default:
        return NB_OK;
    }
}

static nb_status resolve_conditions(checker *c)
{
    for (size_t r = 0; r < c->grammar->n_rules; r++) {
        nb_rule *rule = &c->grammar->rules[r];
        for (size_t a = 0; a < rule->n_alternatives; a++) {
            nb_alternative *alternative = &rule->alternatives[a];
            for (size_t i = 0; i < alternative->n_conditions; i++) {
                nb_condition *condition = &alternative->conditions[i];
                nb_status status = find_variable(c, condition->place, &condition->left_variable);
                if (status == NB_OK && condition->right_text == NB_NONE) {
                    status = find_variable(c, condition->place, &condition->right_variable);
                }
                if (status != NB_OK) {
                    return status;
                }
            }
        }
    }
    return NB_OK;
}

/* Which tables a variable's row may be of, through [a = b]. */
static void spread_tables(nb_grammar *grammar)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t r = 0; r < grammar->n_rules; r++) {
            for (size_t a = 0; a < grammar->rules[r].n_alternatives; a++) {
                const nb_alternative *alternative = &grammar->rules[r].alternatives[a];
                for (size_t p = 0; p < alternative->n_pieces; p++) {
                    const nb_piece *piece = &alternative->pieces[p];
                    if (piece->kind != NB_PIECE_ALIAS) {
                        continue;
                    }
                    nb_variable *to = &grammar->variables[piece->target];
                    uint64_t joined = to->tables | grammar->variables[piece->other].tables;
                    changed = changed || joined != to->tables;
                    to->tables = joined;
                }
            }
        }
    }
}

/* ---- columns ---- */

/* Every table in the set must have the column; where a word is to be compared, one of their
 * cells must pass. */
static nb_status check_column(checker *c, nb_place place, uint64_t tables, uint32_t column,
                              const nb_condition *compared)
{
    const nb_grammar *grammar = c->grammar;
    bool found = !compared || compared->right_text == NB_NONE;
    nb_test test = compared && (compared->test == NB_TEST_HAS || compared->test == NB_TEST_LACKS)
                       ? NB_TEST_HAS
                       : NB_TEST_EQUAL;
    for (size_t t = 0; t < grammar->n_tables; t++) {
        const nb_grammar_table *table = &grammar->tables[t];
        size_t index = nb_grammar_column(table, column);
        if (!(tables >> t & 1)) {
            continue;
        }
        if (index == table->n_columns) {
            return nb_grammar_fail(grammar, place, c->error, "table %s has no column %s",
                                   string(c, table->name), string(c, column));
        }
        for (size_t row = 0; row < table->n_rows && !found; row++) {
            found = nb_grammar_cell_passes(grammar, &table->cells[row * table->n_columns + index], test,
                                           compared->right_text);
        }
    }
    if (!found) {
        return nb_grammar_fail(grammar, place, c->error, "no row has \"%s\" there",
                               string(c, compared->right_text));
    }
    return NB_OK;
}

static nb_status check_condition(checker *c, const nb_condition *condition, uint64_t left_tables)
{
    nb_status status = NB_OK;
    if (condition->test != NB_TEST_NOT_ROW) {
        status = check_column(c, condition->place, left_tables, condition->left_column, condition);
    }
    if (status == NB_OK && condition->right_text == NB_NONE) {
        status = check_column(c, condition->place, c->grammar->variables[condition->right_variable].tables,
                              condition->right_column, NULL);
    }
    return status;
}

/* Words alone must leave a row. */
static nb_status check_rows_left(checker *c, const nb_piece *piece)
{
    const nb_grammar_table *table = &c->grammar->tables[piece->other];
    for (size_t row = 0; row < table->n_rows; row++) {
        bool passes = true;
        for (size_t i = 0; i < piece->n_conditions && passes; i++) {
            const nb_condition *condition = &piece->conditions[i];
            if (condition->right_text != NB_NONE) {
                size_t column = nb_grammar_column(table, condition->left_column);
                passes = nb_grammar_cell_passes(c->grammar, &table->cells[row * table->n_columns + column],
                                                condition->test, condition->right_text);
            }
        }
        if (passes) {
            return NB_OK;
        }
    }
    return nb_grammar_fail(c->grammar, piece->place, c->error, "no row of table %s meets these conditions",
                           string(c, table->name));
}

static nb_status check_piece(checker *c, nb_piece *piece)
{
    if (piece->kind == NB_PIECE_SHOW) {
        return check_column(c, piece->place, c->grammar->variables[piece->target].tables, piece->column,
                            NULL);
    }
    if (piece->kind != NB_PIECE_DRAW) {
        return NB_OK;
    }
    for (size_t i = 0; i < piece->n_conditions; i++) {
        nb_status status = check_condition(c, &piece->conditions[i], (uint64_t)1 << piece->other);
        if (status != NB_OK) {
            return status;
        }
    }
    return check_rows_left(c, piece);
}

/* ---- rules ---- */

/* Two alternatives with the same text would share a probability that neither knows of. Where both have
 * conditions, these may keep them apart. */
static nb_status check_differences(checker *c, const nb_rule *rule)
{
    for (size_t i = 0; i < rule->n_alternatives; i++) {
        for (size_t j = 0; j < i; j++) {
            const nb_alternative *a = &rule->alternatives[i], *b = &rule->alternatives[j];
            if (a->source == b->source && (a->n_conditions == 0 || b->n_conditions == 0)) {
                return nb_grammar_fail(
                    c->grammar, a->place, c->error,
                    "two alternatives of %s read the same (\"%.60s\"); give one of them the "
                    "weight of both",
                    rule->name == NB_NONE ? "this choice" : string(c, rule->name), string(c, a->source));
            }
        }
    }
    return NB_OK;
}

static nb_status check_rule(checker *c, const nb_rule *rule)
{
    if (rule->n_alternatives == 0) {
        return nb_grammar_fail(c->grammar, rule->place, c->error, "rule %s has no alternative",
                               string(c, rule->name));
    }
    for (size_t a = 0; a < rule->n_alternatives; a++) {
        const nb_alternative *alternative = &rule->alternatives[a];
        for (size_t i = 0; i < alternative->n_conditions; i++) {
            const nb_condition *condition = &alternative->conditions[i];
            nb_status status =
                check_condition(c, condition, c->grammar->variables[condition->left_variable].tables);
            if (status != NB_OK) {
                return status;
            }
        }
    }
    return check_differences(c, rule);
}

static bool alternative_ends(const nb_grammar *grammar, const nb_alternative *alternative)
{
    for (size_t p = 0; p < alternative->n_pieces; p++) {
        const nb_piece *piece = &alternative->pieces[p];
        if (piece->kind == NB_PIECE_RULE && !grammar->rules[piece->target].ends) {
            return false;
        }
    }
    return true;
}

/* A rule ends if one of its alternatives consists of what ends. */
static nb_status check_endings(checker *c)
{
    nb_grammar *grammar = c->grammar;
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t r = grammar->n_rules; r-- > 0;) {
            nb_rule *rule = &grammar->rules[r];
            for (size_t a = 0; a < rule->n_alternatives && !rule->ends; a++) {
                rule->ends = alternative_ends(grammar, &rule->alternatives[a]);
                changed = changed || rule->ends;
            }
        }
    }
    for (size_t r = 0; r < grammar->n_rules; r++) {
        const nb_rule *rule = &grammar->rules[r];
        if (!rule->ends && rule->name != NB_NONE) {
            return nb_grammar_fail(grammar, rule->place, c->error,
                                   "rule %s can never end: each of its alternatives leads back to it",
                                   string(c, rule->name));
        }
    }
    return NB_OK;
}

/* ---- what nothing uses ---- */

static void reach(nb_grammar *grammar)
{
    for (size_t i = 0; i < grammar->n_starts; i++) {
        grammar->rules[grammar->starts[i]].reached = true;
    }
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t r = 0; r < grammar->n_rules; r++) {
            const nb_rule *rule = &grammar->rules[r];
            for (size_t a = 0; rule->reached && a < rule->n_alternatives; a++) {
                for (size_t p = 0; p < rule->alternatives[a].n_pieces; p++) {
                    const nb_piece *piece = &rule->alternatives[a].pieces[p];
                    if (piece->kind == NB_PIECE_RULE && !grammar->rules[piece->target].reached) {
                        grammar->rules[piece->target].reached = changed = true;
                    }
                }
            }
        }
    }
}

static nb_status check_uses(checker *c)
{
    nb_grammar *grammar = c->grammar;
    reach(grammar);
    for (size_t r = 0; r < grammar->n_rules; r++) {
        if (!grammar->rules[r].reached && grammar->rules[r].name != NB_NONE) {
            return nb_grammar_fail(grammar, grammar->rules[r].place, c->error,
                                   "no start leads to rule %s; use it, or leave it out",
                                   string(c, grammar->rules[r].name));
        }
    }
    for (size_t t = 0; t < grammar->n_tables; t++) {
        if (!grammar->tables[t].used) {
            return nb_grammar_fail(grammar, grammar->tables[t].place, c->error, "nothing draws from table %s",
                                   string(c, grammar->tables[t].name));
        }
    }
    for (size_t v = 0; v < grammar->n_variables; v++) {
        if (!grammar->variables[v].used) {
            return nb_grammar_fail(grammar, grammar->variables[v].place, c->error,
                                   "%s is drawn, but nothing ever uses it",
                                   string(c, grammar->variables[v].name));
        }
    }
    return NB_OK;
}

static nb_status check_starts(checker *c)
{
    nb_grammar *grammar = c->grammar;
    if (grammar->n_starts == 0) {
        return nb_fail(c->error, NB_ERR_FILE, "%s: no line says where to begin: start NAME",
                       grammar->files[0]);
    }
    for (size_t i = 0; i < grammar->n_starts; i++) {
        uint32_t rule = nb_grammar_find_rule(grammar, grammar->starts[i]);
        if (rule == NB_NONE) {
            return nb_grammar_fail(grammar, grammar->start_places[i], c->error, "there is no rule %s",
                                   string(c, grammar->starts[i]));
        }
        grammar->starts[i] = rule;
    }
    return NB_OK;
}

static nb_status check_table(checker *c, const nb_grammar_table *table)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        for (size_t j = 0; j < i; j++) {
            if (table->cells[i * table->n_columns].text == table->cells[j * table->n_columns].text) {
                return nb_grammar_fail(c->grammar, table->places[i], c->error,
                                       "table %s has a row \"%s\" already", string(c, table->name),
                                       string(c, table->cells[i * table->n_columns].text));
            }
        }
    }
    return table->n_rows > 0 ? NB_OK
                             : nb_grammar_fail(c->grammar, table->place, c->error, "table %s has no rows",
                                               string(c, table->name));
}

nb_status nb_grammar_check(nb_grammar *grammar, nb_error *error)
{
    checker c = {grammar, error};
    nb_status status = check_starts(&c);
    for (size_t t = 0; t < grammar->n_tables && status == NB_OK; t++) {
        status = check_table(&c, &grammar->tables[t]);
    }
    if (status == NB_OK) {
        status = each_piece(&c, declare);
    }
    if (status == NB_OK) {
        status = each_piece(&c, resolve);
    }
    if (status == NB_OK) {
        status = resolve_conditions(&c);
    }
    if (status == NB_OK) {
        spread_tables(grammar);
        status = each_piece(&c, check_piece);
    }
    for (size_t r = 0; r < grammar->n_rules && status == NB_OK; r++) {
        status = check_rule(&c, &grammar->rules[r]);
    }
    if (status == NB_OK) {
        status = check_endings(&c);
    }
    return status == NB_OK ? check_uses(&c) : status;
}
