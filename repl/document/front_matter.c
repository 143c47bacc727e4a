/* Front matter: `key: value` lines between two lines of ---, a corner of YAML that a person can write unaided. */
#include "repl/document/reader.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 16 };

typedef struct line {
    const char *text; /* without blanks around it */
    size_t n, indent, n_whole;
} line;

static line line_at(const char *text, size_t n)
{
    const char *newline = n ? memchr(text, '\n', n) : NULL;
    line l = {.text = text, .n = newline ? (size_t)(newline - text) : n};
    l.n_whole = l.n + (newline != NULL);
    while (l.n && strchr(" \t\r", l.text[l.n - 1]))
        l.n--;
    while (l.n && (*l.text == ' ' || *l.text == '\t'))
        l.text++, l.n--, l.indent++;
    return l;
}

static bool is_rule(const line *l)
{
    return l->indent == 0 && l->n == 3 && memcmp(l->text, "---", 3) == 0;
}

/* text[0..n) without blanks around it, and without quotes around all of it. */
static char *value_of(const char *text, size_t n)
{
    while (n && (*text == ' ' || *text == '\t'))
        text++, n--;
    if (n >= 2 && (*text == '"' || *text == '\'') && text[n - 1] == *text && !memchr(text + 1, *text, n - 2))
        text++, n -= 2;
    return nb_format_text("%.*s", (int)n, text);
}

static nb_status add_entry(nb_document *document, char *key, char *value, size_t number, nb_error *error)
{
    nb_front_entry *front =
        key && value ? nb_realloc(document->front, document->n_front + 1, sizeof *front) : NULL;
    if (!front) {
        free(key);
        free(value);
        return nb_fail(error, NB_ERR_MEMORY, "no memory to read %.200s", document->name);
    }
    document->front = front;
    front[document->n_front++] = (nb_front_entry){key, value, number};
    return NB_OK;
}

/* "- item" under a key makes the key's value a list. */
static nb_status add_item(nb_document *document, const line *l, nb_error *error)
{
    nb_front_entry *entry = &document->front[document->n_front - 1];
    size_t n = strlen(entry->value);
    char *item = value_of(l->text + 1, l->n - 1);
    char *list = !item           ? NULL
                 : n && entry->value[n - 1] == ']' ? nb_format_text("%.*s, %s]", (int)(n - 1), entry->value, item)
                                 : nb_format_text("[%s]", item);
    free(item);
    if (!list)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to read %.200s", document->name);
    free(entry->value);
    entry->value = list;
    return NB_OK;
}

/* Entry that an indented line belongs to: the last one without indentation. */
static const nb_front_entry *parent_of(const nb_document *document)
{
    for (size_t i = document->n_front; i-- > 0;) {
        if (!strchr(document->front[i].key, '.'))
            return &document->front[i];
    }
    return NULL;
}

static nb_status read_entry(nb_document *document, const line *l, size_t number, nb_error *error)
{
    const nb_front_entry *parent = l->indent ? parent_of(document) : NULL;
    bool is_item = l->n >= 2 && l->text[0] == '-' && l->text[1] == ' ';
    const char *colon = memchr(l->text, ':', l->n);
    if (is_item && document->n_front)
        return add_item(document, l, error);
    if (!colon || colon == l->text || (l->indent && !parent))
        return nb_fail(error, NB_ERR_FILE,
                       "%.200s, line %zu: front matter is lines like \"title: First cells\" between two lines of ---",
                       document->name, number);
    int n_key = (int)(colon - l->text);
    while (n_key > 1 && (l->text[n_key - 1] == ' ' || l->text[n_key - 1] == '\t'))
        n_key--;
    char *key = parent ? nb_format_text("%s.%.*s", parent->key, n_key, l->text)
                       : nb_format_text("%.*s", n_key, l->text);
    if (key && nb_document_value(document, key)) {
        nb_status status = nb_fail(error, NB_ERR_FILE, "%.200s, line %zu: the front matter has a \"%.60s\" already",
                                   document->name, number, key);
        free(key);
        return status;
    }
    return add_entry(document, key, value_of(colon + 1, (size_t)(l->text + l->n - colon) - 1), number, error);
}

nb_status nb_front_read(nb_document *document, const char *text, size_t n, size_t *n_head, size_t *number,
                        nb_error *error)
{
    size_t at = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    line l = line_at(text + at, n - at);
    *n_head = at;
    if (!is_rule(&l))
        return NB_OK;
    nb_status status = NB_OK;
    at += l.n_whole;
    while (status == NB_OK && at < n && at < MOST_BYTES) {
        l = line_at(text + at, n - at);
        at += l.n_whole;
        ++*number;
        if (is_rule(&l)) {
            *n_head = at;
            ++*number;
            return NB_OK;
        }
        if (l.n && *l.text != '#')
            status = read_entry(document, &l, *number, error);
    }
    if (status == NB_OK)
        status = nb_fail(error, NB_ERR_FILE,
                         "%.200s, line 1: the front matter that starts here is never closed; end it with a line of ---",
                         document->name);
    return status;
}

const char *nb_document_value(const nb_document *document, const char *key)
{
    for (size_t i = 0; i < document->n_front; i++) {
        if (strcmp(document->front[i].key, key) == 0)
            return document->front[i].value;
    }
    return NULL;
}

char *nb_front_item(const char *value, size_t index)
{
    size_t n = strlen(value);
    bool list = n >= 2 && value[0] == '[' && value[n - 1] == ']';
    if (!list)
        return index == 0 && n ? value_of(value, n) : NULL;
    const char *at = value + 1, *end = value + n - 1;
    for (;; index--) {
        char quote = 0;
        const char *begin = at;
        while (at < end && (quote || *at != ',')) {
            if (quote ? *at == quote : *at == '"' || *at == '\'')
                quote = quote ? 0 : *at;
            at++;
        }
        while (begin < at && (*begin == ' ' || *begin == '\t'))
            begin++;
        size_t length = (size_t)(at - begin);
        while (length && (begin[length - 1] == ' ' || begin[length - 1] == '\t'))
            length--;
        if (index == 0)
            return length || at < end ? value_of(begin, length) : NULL;
        if (at == end)
            return NULL;
        at++;
    }
}
