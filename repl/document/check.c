/* The lines of a check block. */
#include "repl/document/reader.h"

#include "base/memory.h"
#include "repl/nearest.h"

#include <stdlib.h>
#include <string.h>

static const char *const keys[] = {"ask", "want", "wrong", "hint", "do", "try"};
enum { N_KEYS = sizeof keys / sizeof *keys };

typedef struct reading {
    const nb_document *document;
    nb_check *check;
    size_t line;
    nb_draft ask, solution;
    nb_error *error;
} reading;

static nb_status no_memory(const reading *r)
{
    return nb_fail(r->error, NB_ERR_MEMORY, "no memory to read %.200s", r->document->name);
}

static char *trimmed(const char *text, size_t n)
{
    while (n && strchr(" \t\n", *text))
        text++, n--;
    while (n && strchr(" \t\n", text[n - 1]))
        n--;
    return nb_format_text("%.*s", (int)n, text);
}

/* The bar between a condition and its sentence: outside quotes and brackets. n if there is none. */
static size_t find_bar(const char *text, size_t n)
{
    char quote = 0;
    size_t depth = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (quote) {
            if (c == '\\' && i + 1 < n)
                i++;
            else if (c == quote)
                quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (strchr("([{", c)) {
            depth++;
        } else if (strchr(")]}", c)) {
            depth -= depth > 0;
        } else if (c == '|' && depth == 0) {
            return i;
        }
    }
    return n;
}

static nb_status add_answer(const reading *r, nb_answer **answers, size_t *count, const char *text, bool wants_sentence)
{
    size_t n = strlen(text), bar = find_bar(text, n);
    nb_answer answer = {.line = r->line, .condition = trimmed(text, bar)};
    if (bar < n)
        answer.sentence = trimmed(text + bar + 1, n - bar - 1);
    nb_answer *grown = answer.condition && (bar == n || answer.sentence)
                           ? nb_realloc(*answers, *count + 1, sizeof *grown)
                           : NULL;
    if (!grown) {
        free(answer.condition);
        free(answer.sentence);
        return no_memory(r);
    }
    *answers = grown;
    grown[(*count)++] = answer;
    if (!*answer.condition || (wants_sentence && (!answer.sentence || !*answer.sentence)))
        return nb_fail(r->error, NB_ERR_FILE,
                       wants_sentence ? "%.200s, line %zu: say what to answer: \"wrong: s == 1 | SENTENCE\""
                                      : "%.200s, line %zu: a condition is missing: \"want: s == 5.4 / 127\"",
                       r->document->name, r->line);
    return NB_OK;
}

static nb_status add_hint(const reading *r, const char *text)
{
    nb_check *check = r->check;
    char **hints = nb_realloc(check->hints, check->n_hints + 1, sizeof *hints);
    if (!hints)
        return no_memory(r);
    check->hints = hints;
    hints[check->n_hints] = nb_strdup(text);
    return hints[check->n_hints] ? (check->n_hints++, NB_OK) : no_memory(r);
}

/* A mistake that the `wrong` before it is about; several lines are one cell. */
static nb_status add_example(const reading *r, const char *text)
{
    nb_check *check = r->check;
    if (check->n_wrongs == 0)
        return nb_fail(r->error, NB_ERR_FILE, "%.200s, line %zu: \"try\" shows the mistake of a \"wrong\" line before it",
                       r->document->name, r->line);
    nb_answer *wrong = &check->wrongs[check->n_wrongs - 1];
    char *example = nb_format_text("%s%s%s", wrong->example ? wrong->example : "", wrong->example ? "\n" : "", text);
    if (!example)
        return no_memory(r);
    free(wrong->example);
    wrong->example = example;
    return NB_OK;
}

static nb_status take(reading *r, size_t key, const char *text)
{
    nb_draft *lines = key == 0 ? &r->ask : &r->solution;
    switch (key) {
    case 1:
        return add_answer(r, &r->check->wants, &r->check->n_wants, text, false);
    case 2:
        return add_answer(r, &r->check->wrongs, &r->check->n_wrongs, text, true);
    case 3:
        return add_hint(r, text);
    case 5:
        return add_example(r, text);
    default:
        nb_draft_addf(lines, "%s%s", lines->n_bytes ? "\n" : "", text);
        return lines->failed ? no_memory(r) : NB_OK;
    }
}

static nb_status unknown_key(const reading *r, const char *text, size_t n)
{
    char name[32];
    nb_nearest nearest;
    size_t length = nb_min_size(nb_min_size(strcspn(text, ": \t\n"), n), sizeof name - 1);
    memcpy(name, text, length);
    name[length] = '\0';
    nb_nearest_start(&nearest, name);
    for (size_t i = 0; i < N_KEYS; i++)
        nb_nearest_offer(&nearest, keys[i]);
    if (nearest.best)
        return nb_fail(r->error, NB_ERR_FILE, "%.200s, line %zu: a check has no \"%s\": did you mean %s?",
                       r->document->name, r->line, name, nearest.best);
    return nb_fail(r->error, NB_ERR_FILE,
                   "%.200s, line %zu: \"%s\" is none of ask, want, wrong, try, hint and do; a line that goes on is indented",
                   r->document->name, r->line, name);
}

/* A line and the indented ones after it: text[0..n). */
static nb_status read_entry(reading *r, const char *text, size_t n)
{
    const char *colon = memchr(text, ':', n);
    size_t key = 0;
    for (; key < N_KEYS; key++) {
        if (colon && (size_t)(colon - text) == strlen(keys[key]) && memcmp(text, keys[key], strlen(keys[key])) == 0)
            break;
    }
    if (key == N_KEYS)
        return unknown_key(r, text, n);
    nb_draft value = {0};
    for (const char *at = colon + 1, *end = text + n; at < end;) {
        size_t length = nb_min_size(strcspn(at, "\n"), (size_t)(end - at)), blanks = strspn(at, " \t");
        if (blanks < length) {
            if (value.n_bytes)
                nb_draft_add(&value, key == 0 || key >= 4 ? "\n" : " ");
            size_t shown = length;
            while (strchr(" \t", at[shown - 1]))
                shown--;
            /* The lines of a cell keep their own indentation. */
            size_t skipped = key >= 4 && value.n_bytes ? nb_min_size(blanks, 4) : blanks;
            nb_draft_append(&value, at + skipped, shown - skipped);
        }
        at += length + 1;
    }
    nb_status status = value.failed ? no_memory(r) : take(r, key, nb_draft_text(&value));
    nb_draft_free(&value);
    return status;
}

static nb_status read_entries(reading *r, const nb_block *block)
{
    nb_status status = NB_OK;
    r->line = block->text_line;
    for (const char *at = block->text; status == NB_OK && *at;) {
        size_t n = strcspn(at, "\n") + 1, n_lines = 1;
        bool blank = strspn(at, " \t") + 1 >= n;
        while (!blank && (at[n] == ' ' || at[n] == '\t')) {
            n += strcspn(at + n, "\n") + 1;
            n_lines++;
        }
        if (!blank)
            status = read_entry(r, at, n);
        at += n;
        r->line += n_lines;
    }
    return status;
}

nb_status nb_check_read(const nb_document *document, nb_block *block, nb_error *error)
{
    nb_check *check = block->check = nb_calloc(1, sizeof *check);
    reading r = {.document = document, .check = check, .error = error};
    if (!check)
        return no_memory(&r);
    nb_status status = read_entries(&r, block);
    if (status == NB_OK) {
        nb_draft_add(&r.ask, "");
        check->name = nb_strdup(block->info);
        check->ask = nb_draft_take(&r.ask);
        check->solution = r.solution.n_bytes ? nb_draft_take(&r.solution) : NULL;
        if (!check->name || !check->ask)
            status = no_memory(&r);
    }
    nb_draft_free(&r.ask);
    nb_draft_free(&r.solution);
    if (status != NB_OK)
        return status;
    if (!*check->name)
        return nb_fail(error, NB_ERR_FILE, "%.200s, line %zu: a check needs a name: ```check step", document->name,
                       block->line);
    if (!*check->ask || check->n_wants == 0)
        return nb_fail(error, NB_ERR_FILE, "%.200s, line %zu: the check %.60s has no \"%s\" line", document->name,
                       block->line, check->name, *check->ask ? "want: CONDITION" : "ask: QUESTION");
    return NB_OK;
}

const char *nb_check_solution(const nb_check *check)
{
    return check->solution  ? check->solution
           : check->n_hints ? check->hints[check->n_hints - 1]
                            : NULL;
}

static void free_answers(nb_answer *answers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(answers[i].condition);
        free(answers[i].sentence);
        free(answers[i].example);
    }
    free(answers);
}

void nb_check_destroy(nb_check **check)
{
    nb_check *gone = *check;
    if (!gone)
        return;
    free_answers(gone->wants, gone->n_wants);
    free_answers(gone->wrongs, gone->n_wrongs);
    for (size_t i = 0; i < gone->n_hints; i++)
        free(gone->hints[i]);
    free(gone->hints);
    free(gone->name);
    free(gone->ask);
    free(gone->solution);
    free(gone);
    *check = NULL;
}
