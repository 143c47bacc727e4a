/* Pieces of the HTML page. What comes in is text from anywhere; what goes out has no script, no address that runs
 * one, and nothing to fetch. */
#ifndef NB_REPL_DOCUMENT_HTML_H
#define NB_REPL_DOCUMENT_HTML_H

#include "repl/draft.h"
#include "repl/items.h"

/* text[0..n) with <, >, & and " as entities, control characters as spaces, broken UTF-8 replaced. */
void nb_html_escape(nb_draft *out, const char *text, size_t n);
/* A text with the marks of items.h as spans. */
void nb_html_marked(nb_draft *out, const char *text);
/* An image as data inside the page. */
void nb_html_data(nb_draft *out, const char *type, const void *bytes, size_t n_bytes);

/* Markdown. Pictures are looked for beside the document at `path`; one that cannot be had is its sentence. */
void nb_html_prose(nb_draft *out, const char *text, const char *path);

typedef struct nb_html_figures {
    size_t n, n_undrawn;
} nb_html_figures;
void nb_html_items(nb_draft *out, const nb_items *items, nb_html_figures *figures);

/* A cell's own text, its comments, texts and command in colour. */
void nb_html_code(nb_draft *out, const char *text);

/* Lines of the style sheet; NULL beyond. */
extern const char *const nb_html_style[];

#endif
