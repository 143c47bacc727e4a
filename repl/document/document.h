/* A notebook or a lesson as a file: Markdown with cells, their recorded outputs and checks. The reader keeps
 * every byte, so that a document which nobody changed is written back as it was.
 *
 *   ---                        front matter: a key and its value a line
 *   title: Absmax by hand
 *   ---
 *   Prose, as Markdown has it.
 *
 *   ```nibble                  a cell; words after `nibble` are its options
 *   q = round(x / s)
 *   ```
 *   ```output                  what it gave when it was recorded
 *   [28, -12, -101]
 *   ```
 *   ![A histogram of q.](figures/absmax-1.svg)
 *
 *   ```check step              a question; see nb_check
 *   ask: The distance between two marks. Put it in `s`.
 *   want: s == 5.4 / 127 +- 1e-6
 *   ```
 *
 * Fences of other kinds, and all of these inside lists, quotes and HTML comments, are prose. */
#ifndef NB_REPL_DOCUMENT_H
#define NB_REPL_DOCUMENT_H

#include "base/status.h"
#include "repl/draft.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum nb_block_kind {
    NB_BLOCK_PROSE,
    NB_BLOCK_CELL,
    NB_BLOCK_OUTPUT, /* of the cell before it */
    NB_BLOCK_CHECK,
    NB_BLOCK_FIGURE, /* of the cell before it: an image in a folder `figures`, alone on its line */
} nb_block_kind;

/* `COND | SENTENCE` of a check; the bar may not stand inside quotes or brackets of COND. */
typedef struct nb_answer {
    char *condition; /* an expression */
    char *sentence;  /* what to say when it holds; NULL: none */
    char *example;   /* wrong: a cell that makes this mistake; NULL: none */
    size_t line;
} nb_answer;

/* A question: lines of `key: text`, each going on in the indented lines after it.
 *   ask:   the question, as Markdown; lines of several `ask:` are joined by newlines
 *   want:  COND [| SENTENCE]; all of them must hold
 *   wrong: COND | SENTENCE; the first that holds says which mistake was made
 *   try:   a line of a cell that makes the mistake of the `wrong` before it, for tests
 *   hint:  one of up to as many as there are, in order
 *   do:    a line of the cell that does it; `skip` runs them */
typedef struct nb_check {
    char *name;
    char *ask;
    nb_answer *wants, *wrongs;
    size_t n_wants, n_wrongs;
    char **hints;
    size_t n_hints;
    char *solution; /* lines of `do:`; NULL: none */
} nb_check;

typedef struct nb_block {
    nb_block_kind kind;
    size_t line;      /* where it starts in the file, from 1: the fence, the first line of prose */
    size_t text_line; /* where `text` starts */
    char *source;     /* its bytes in the file, with the blank lines after it */
    size_t n_source;
    char *text; /* PROSE: Markdown. CELL, OUTPUT, CHECK: the lines inside the fence. FIGURE: the picture's path.
                   Lines end in \n, the last one too, except a FIGURE's; indentation of the fence is gone */
    char *info; /* CELL: its options; CHECK: its name; FIGURE: the alternative text; otherwise "" */
    nb_check *check; /* CHECK; otherwise NULL */
} nb_block;

typedef struct nb_front_entry {
    char *key;   /* of an indented line: that of the line above it, a dot, and its own */
    char *value; /* without quotes around all of it */
    size_t line;
} nb_front_entry;

typedef struct nb_document {
    char *name; /* for errors: its path */
    char *head; /* bytes before the first block: front matter, blank lines */
    nb_front_entry *front;
    size_t n_front;
    nb_block *blocks;
    size_t n_blocks, capacity;
    const char *newline; /* "\n" or "\r\n", as the file has it; static */
} nb_document;

/* Errors name the file, the line and what to do. `name` stands for the path in them. */
nb_status nb_document_open(const char *path, nb_document **out, nb_error *error);
nb_status nb_document_parse(const char *text, size_t n_bytes, const char *name, nb_document **out, nb_error *error);
void nb_document_close(nb_document **document);

/* The value of a key of the front matter; NULL if it has none. */
const char *nb_document_value(const nb_document *document, const char *key);
/* Item `index` of a value that is a list, "[lesson 3, lesson 4]", or the value itself as the only item. Allocated;
 * NULL after the last one, or without memory. */
char *nb_front_item(const char *value, size_t index);
/* Whether a cell's options have this word. */
bool nb_block_has_option(const nb_block *block, const char *option);

/* The cell that does what a check asks: its `do:` lines, or its last hint; NULL if there is neither. Borrowed. */
const char *nb_check_solution(const nb_check *check);

/* The document's bytes. */
void nb_document_write(const nb_document *document, nb_draft *out);
/* The same into a file, which is replaced only once the new one is whole. */
nb_status nb_document_save(const nb_document *document, const char *path, nb_error *error);
/* Any text into a file, in the same way. */
nb_status nb_write_whole(const char *path, const char *text, size_t n_bytes, nb_error *error);

#endif
