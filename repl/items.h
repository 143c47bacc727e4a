/* What a command returns: typed items, never printed text. Renderers write them (render.h: the terminal).
 * Each value is exact, the same on every machine, or measured: a time, a speed, this CPU, its
 * memory, a path. */
#ifndef NB_REPL_ITEMS_H
#define NB_REPL_ITEMS_H

#include "plots/plots.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Marks inside texts and table cells. A span runs to NB_END; spans do not nest. */
#define NB_MEASURED "\x01" /* differs from machine to machine */
#define NB_COMMAND  "\x02" /* something to type */
#define NB_STRONG   "\x03"
#define NB_MUTED    "\x04"
#define NB_ALERT    "\x05"
#define NB_END      "\x06"
#define NB_EMPHASIS "\x07"

typedef enum nb_item_kind {
    NB_ITEM_TEXT,
    NB_ITEM_LITERAL,
    NB_ITEM_TABLE,
    NB_ITEM_FIGURE,
    NB_ITEM_VALUE,
    NB_ITEM_MARKDOWN,
} nb_item_kind;

typedef enum nb_column_kind {
    NB_COLUMN_LEFT,
    NB_COLUMN_RIGHT,
    NB_COLUMN_WRAP,  /* left; breaks between words where the table is too wide */
    NB_COLUMN_FLOW,  /* left; prose that takes what is left of the width and gives first */
    NB_COLUMN_CUT,   /* left; gives first, as FLOW does, but stays on one line */
    NB_COLUMN_SPARK, /* cells hold counts, drawn as a sparkline */
} nb_column_kind;

typedef struct nb_column {
    const char *title; /* static; "" for none */
    nb_column_kind kind;
} nb_column;

/* Counts of a sparkline's cell. They divide into 5, 7, 11 and 15 bars: odd numbers, so that zero
 * has its own. */
enum { NB_SPARK_BINS = 1155 };

typedef struct nb_cell {
    char *text;       /* NULL: empty */
    uint64_t *counts; /* NB_COLUMN_SPARK: [NB_SPARK_BINS], or NULL */
} nb_cell;

typedef struct nb_table {
    const nb_column *columns; /* static */
    size_t n_columns, n_rows;
    nb_cell *cells; /* [n_rows][n_columns] */
} nb_table;

typedef struct nb_item {
    nb_item_kind kind;
    /* TEXT: prose, wrapped; lines as they stand. LITERAL: what a model wrote or a shell said, no marks in it.
     * VALUE: the value itself, with its unit. MARKDOWN: what a lesson says, as it stands in its file. */
    char *text;
    double number; /* what it is for expressions, `_`; NaN: nothing */
    bool streamed; /* LITERAL: a terminal has shown it already */
    nb_table table;
    nb_figure figure; /* every pointer owned by the item */
} nb_item;

typedef struct nb_items {
    nb_item *items;
    size_t count, capacity;
    bool failed; /* an allocation failed; what follows is dropped */
} nb_items;

void nb_items_free(nb_items *items);
/* Appends what `from` holds, and empties it. */
void nb_items_move(nb_items *into, nb_items *from);
/* Bytes that they take. */
size_t nb_items_size(const nb_items *items);

void nb_items_text(nb_items *items, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nb_items_value(nb_items *items, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nb_items_markdown(nb_items *items, const char *text, size_t n_bytes);
/* The last item is that number for expressions, which can go on with it as `_`. */
void nb_items_set_number(nb_items *items, double number);
/* A value that is. */
void nb_items_number(nb_items *items, double number, const char *format, ...) __attribute__((format(printf, 3, 4)));
void nb_items_literal(nb_items *items, const char *text, size_t n_bytes, bool streamed);
/* Copies the figure and all that it points to. */
void nb_items_figure(nb_items *items, const nb_figure *figure);

/* A table, then its rows cell by cell. `columns` must outlive the items: static. */
void nb_items_table(nb_items *items, const nb_column *columns, size_t n_columns);
void nb_items_row(nb_items *items);
void nb_items_cell(nb_items *items, size_t column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void nb_items_spark(nb_items *items, size_t column, const uint64_t *counts);

#endif
