/* Text that grows. A failed allocation is remembered, so that a caller may append many times and ask once. */
#ifndef NB_REPL_DRAFT_H
#define NB_REPL_DRAFT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct nb_draft {
    char *text; /* always terminated once something was appended; NULL before */
    size_t n_bytes, capacity;
    bool failed;
} nb_draft;

void nb_draft_append(nb_draft *draft, const char *text, size_t n_bytes);
void nb_draft_add(nb_draft *draft, const char *text);
void nb_draft_addf(nb_draft *draft, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nb_draft_repeat(nb_draft *draft, const char *text, size_t times);
/* What was appended so far, "" if nothing. */
const char *nb_draft_text(const nb_draft *draft);
/* Hands the text over (free with free()); NULL if an allocation failed. The draft is empty again. */
char *nb_draft_take(nb_draft *draft);
void nb_draft_free(nb_draft *draft);

#endif
