#include "repl/draft.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(nb_draft *draft, size_t more)
{
    size_t wanted;
    if (!draft->failed && nb_add_size(draft->n_bytes, more, &wanted) && nb_add_size(wanted, 1, &wanted)) {
        if (wanted <= draft->capacity)
            return true;
        size_t capacity = nb_max_size(nb_max_size(64, wanted), draft->capacity + draft->capacity / 2);
        char *text = nb_realloc(draft->text, capacity, 1);
        if (text) {
            draft->text = text;
            draft->capacity = capacity;
            return true;
        }
    }
    draft->failed = true;
    return false;
}

void nb_draft_append(nb_draft *draft, const char *text, size_t n_bytes)
{
    if (!reserve(draft, n_bytes))
        return;
    if (n_bytes)
        memcpy(draft->text + draft->n_bytes, text, n_bytes);
    draft->n_bytes += n_bytes;
    draft->text[draft->n_bytes] = '\0';
}

void nb_draft_add(nb_draft *draft, const char *text)
{
    nb_draft_append(draft, text, strlen(text));
}

void nb_draft_addf(nb_draft *draft, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (n < 0) {
        draft->failed = true;
    } else if (reserve(draft, (size_t)n)) {
        vsnprintf(draft->text + draft->n_bytes, (size_t)n + 1, format, again);
        draft->n_bytes += (size_t)n;
    }
    va_end(again);
}

void nb_draft_repeat(nb_draft *draft, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        nb_draft_add(draft, text);
}

const char *nb_draft_text(const nb_draft *draft)
{
    return draft->text ? draft->text : "";
}

char *nb_draft_take(nb_draft *draft)
{
    nb_draft_append(draft, "", 0);
    char *text = draft->failed ? NULL : draft->text;
    if (!text)
        free(draft->text);
    *draft = (nb_draft){0};
    return text;
}

void nb_draft_free(nb_draft *draft)
{
    free(draft->text);
    *draft = (nb_draft){0};
}
