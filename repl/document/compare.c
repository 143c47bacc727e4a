#include "repl/document/compare.h"

#include "repl/document/output.h"
#include "repl/draft.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- lines ---- */

static char *line_of(const char *text, size_t line)
{
    while (line && *text) {
        text += strcspn(text, "\n");
        text += *text == '\n';
        line--;
    }
    return nb_format_text("%.*s", (int)strcspn(text, "\n"), text);
}

static bool disagree(const char *recorded, size_t line, const char *now, size_t now_line, nb_difference *out)
{
    *out = (nb_difference){line, line_of(recorded, line), line_of(now, now_line)};
    return false;
}

static bool lines_agree(const char *recorded, const char *now, nb_difference *out)
{
    const char *a = recorded, *b = now;
    for (size_t line = 0; *a || *b; line++) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n != m || memcmp(a, b, n) != 0 || !*a || !*b)
            return disagree(recorded, line, now, line, out);
        a += n + (a[n] == '\n');
        b += m + (b[m] == '\n');
    }
    return true;
}

/* ---- units ---- */

typedef struct unit {
    const char *name, *kind;
} unit;

static const unit units[] = {
    {"B", "bytes"},   {"bytes", "bytes"}, {"kB", "bytes"},  {"MB", "bytes"},   {"GB", "bytes"},      {"TB", "bytes"},
    {"KiB", "bytes"}, {"MiB", "bytes"},   {"GiB", "bytes"}, {"ns", "seconds"}, {"us", "seconds"},
    {"\u00b5s", "seconds"}, {"\u03bcs", "seconds"}, {"ms", "seconds"}, {"s", "seconds"},
    {"min", "seconds"}, {"h", "seconds"},
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

static bool starts_number(const char *at)
{
    at += *at == '+' || *at == '-';
    return *at >= '0' && *at <= '9';
}

/* The bytes of a number with its group marks, decimals and exponent. */
static size_t number_length(const char *at)
{
    const char *begin = at;
    at += *at == '+' || *at == '-';
    while ((*at >= '0' && *at <= '9') || ((*at == ',' || *at == '.') && at[1] >= '0' && at[1] <= '9'))
        at++;
    if ((*at == 'e' || *at == 'E') && starts_number(at + 1))
        at += 1 + number_length(at + 1);
    return (size_t)(at - begin);
}

/* One word of a unit, up to a blank or a slash: its dimension, or itself in the singular. */
static void add_unit(const char *word, size_t n, nb_draft *out)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strlen(units[i].name) == n && memcmp(units[i].name, word, n) == 0) {
            nb_draft_add(out, units[i].kind);
            return;
        }
    }
    nb_draft_append(out, word, n > 2 && word[n - 1] == 's' ? n - 1 : n);
}

/* What must stay of a measured value: of a number its unit, of words that there are any. */
static void add_shape(const char *at, size_t n, nb_draft *out)
{
    const char *end = at + n;
    while (at < end && is_blank(*at))
        at++;
    bool numeric = at < end && starts_number(at), started = true;
    nb_draft_add(out, n == 0 ? NB_MEASURED_OPEN "nothing" : NB_MEASURED_OPEN);
    while (numeric && at < end) {
        if (is_blank(*at)) {
            started = true;
            at++;
        } else if (started && starts_number(at)) {
            nb_draft_add(out, "# ");
            at += number_length(at);
        } else {
            size_t length = 1;
            while (at + length < end && !is_blank(at[length]) && at[length] != '/' && at[length] != ',')
                length++;
            add_unit(at, length, out);
            at += length;
            started = false;
        }
    }
    nb_draft_add(out, NB_MEASURED_CLOSE);
}

/* ---- words ---- */

typedef struct reading {
    const char *text;
    size_t at, line;
} reading;

/* The next word and its line, measured values in it by their shape; false at the end. */
static bool next_word(reading *r, nb_draft *word, size_t *line)
{
    const size_t n_open = strlen(NB_MEASURED_OPEN), n_close = strlen(NB_MEASURED_CLOSE);
    word->n_bytes = 0;
    while (is_blank(r->text[r->at]))
        r->line += r->text[r->at++] == '\n';
    *line = r->line;
    if (!r->text[r->at])
        return false;
    while (r->text[r->at] && !is_blank(r->text[r->at])) {
        const char *at = r->text + r->at;
        const char *close = strncmp(at, NB_MEASURED_OPEN, n_open) == 0 ? strstr(at, NB_MEASURED_CLOSE) : NULL;
        if (!close) {
            nb_draft_append(word, at, 1);
            r->at++;
            continue;
        }
        add_shape(at + n_open, (size_t)(close - at) - n_open, word);
        for (const char *c = at; c < close; c++)
            r->line += *c == '\n';
        r->at += (size_t)(close - at) + n_close;
    }
    return true;
}

static bool words_agree(const char *recorded, const char *now, nb_difference *out)
{
    reading a = {.text = recorded}, b = {.text = now};
    nb_draft word_a = {0}, word_b = {0};
    bool agree = true, more = true;
    while (agree && more) {
        size_t line_a, line_b;
        bool more_a = next_word(&a, &word_a, &line_a), more_b = next_word(&b, &word_b, &line_b);
        more = more_a && more_b;
        if (word_a.failed || word_b.failed || more_a != more_b ||
            (more && strcmp(word_a.text, word_b.text) != 0))
            agree = disagree(recorded, line_a, now, line_b, out);
    }
    nb_draft_free(&word_a);
    nb_draft_free(&word_b);
    return agree;
}

bool nb_outputs_agree(const char *recorded, const char *now, nb_difference *out)
{
    *out = (nb_difference){0};
    if (strstr(recorded, NB_MEASURED_OPEN) || strstr(now, NB_MEASURED_OPEN))
        return words_agree(recorded, now, out);
    return lines_agree(recorded, now, out);
}

void nb_difference_free(nb_difference *difference)
{
    free(difference->recorded);
    free(difference->now);
    *difference = (nb_difference){0};
}
