/* Joining an expansion's texts into sentences. */
#include "base/memory.h"
#include "text/grammar_parts.h"

#include <stdlib.h>

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}
static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void put(nb_story_text *out, char c)
{
    if (out->n_bytes + 1 >= out->capacity) {
        size_t capacity = out->capacity ? 2 * out->capacity : 1024;
        char *larger = nb_realloc(out->text, capacity, 1);
        if (!larger) {
            out->failed = true;
            return;
        }
        out->text = larger;
        out->capacity = capacity;
    }
    out->text[out->n_bytes++] = c;
}

void nb_story_text_settle(nb_story_text *out)
{
    if (out->space && out->n_bytes > 0 && out->text[out->n_bytes - 1] != '\n') {
        put(out, ' ');
    }
    out->space = false;
}

/* An article waits for the first letter of the word after it. */
static void put_letter(nb_story_text *out, char c)
{
    if (out->article) {
        if (strchr("aeiouAEIOU", c)) {
            put(out, 'n');
        }
        out->article = false;
    }
    nb_story_text_settle(out);
    put(out, out->capital && is_lower(c) ? (char)(c - 'a' + 'A') : c);
    out->capital = false;
}

static void put_article(nb_story_text *out)
{
    nb_story_text_settle(out);
    put(out, out->capital ? 'A' : 'a');
    out->capital = false;
    out->article = true;
}

/* A quote opens a sentence, but goes on with one after a comma: "Yes," said Mia, "but how?" What closes one
 * after ! or ? may go on too: "Oh!" said Mia. */
static void put_quote(nb_story_text *out)
{
    char last = out->n_bytes > 0 ? out->text[out->n_bytes - 1] : '\n';
    if (out->quoted) {
        out->capital = last == '.';
    } else {
        nb_story_text_settle(out);
        out->capital = out->capital || last != ',';
    }
    out->quoted = !out->quoted;
    out->space = false;
    put(out, '"');
}

void nb_story_text_add(nb_story_text *out, const char *text, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes && !out->failed; i++) {
        char c = text[i];
        if (c == ' ') {
            out->space = true;
        } else if (c == '\n') {
            out->space = false;
            out->capital = true;
            put(out, c);
        } else if (c == NB_MARK_CAPITAL) {
            out->capital = true;
        } else if (c == NB_MARK_ARTICLE) {
            put_article(out);
        } else if (c == '"') {
            put_quote(out);
        } else if (strchr(".!?,;:", c)) {
            out->space = false;
            out->capital = c == '.' || c == '!' || c == '?';
            put(out, c);
        } else if (is_lower(c) || is_upper(c) || is_digit(c)) {
            put_letter(out, c);
        } else {
            nb_story_text_settle(out);
            put(out, c);
        }
        out->article = out->article && (c == ' ' || c == NB_MARK_CAPITAL || c == NB_MARK_ARTICLE);
    }
}

size_t nb_count_words(const char *text, size_t n_bytes)
{
    size_t count = 0;
    bool inside = false;
    for (size_t i = 0; i < n_bytes; i++) {
        char c = text[i];
        bool of_word = is_lower(c) || is_upper(c) || is_digit(c) || c == '\'' || c == '-' || (c & 0x80);
        bool printed = (unsigned char)c > ' ' && c != 0x7f;
        count += of_word ? !inside : printed;
        inside = of_word;
    }
    return count;
}
