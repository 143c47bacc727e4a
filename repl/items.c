#include "repl/items.h"

#include "base/memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void figure_free(nb_figure *figure)
{
    const char *texts[] = {figure->headline, figure->subline,      figure->x_label,     figure->y_label,
                           figure->note,     figure->before.label, figure->after.label, figure->sentence};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free((char *)texts[i]);
    free((double *)figure->before.values);
    free((double *)figure->after.values);
    for (size_t i = 0; figure->points && i < figure->n; i++)
        free((char *)(uintptr_t)figure->points[i].name);
    free((nb_figure_point *)(uintptr_t)figure->points);
    free((double *)(uintptr_t)figure->cells);
}

static void item_free(nb_item *item)
{
    free(item->text);
    for (size_t i = 0; i < item->table.n_rows * item->table.n_columns; i++) {
        free(item->table.cells[i].text);
        free(item->table.cells[i].counts);
    }
    free(item->table.cells);
    if (item->kind == NB_ITEM_FIGURE)
        figure_free(&item->figure);
}

void nb_items_free(nb_items *items)
{
    for (size_t i = 0; i < items->count; i++)
        item_free(&items->items[i]);
    free(items->items);
    *items = (nb_items){0};
}

void nb_items_move(nb_items *into, nb_items *from)
{
    const size_t wanted = into->count + from->count;
    nb_item *grown = into->items;
    if (wanted > into->capacity)
        grown = nb_realloc(into->items, wanted, sizeof *grown);
    if (wanted > into->capacity && !grown) {
        into->failed = true;
        nb_items_free(from);
        return;
    }
    into->items = grown;
    into->capacity = nb_max_size(into->capacity, wanted);
    for (size_t i = 0; i < from->count; i++)
        into->items[into->count++] = from->items[i];
    into->failed = into->failed || from->failed;
    free(from->items);
    *from = (nb_items){0};
}

size_t nb_items_size(const nb_items *items)
{
    size_t size = items->capacity * sizeof *items->items;
    for (size_t i = 0; i < items->count; i++) {
        const nb_item *item = &items->items[i];
        const nb_table *table = &item->table;
        size += item->text ? strlen(item->text) + 1 : 0;
        for (size_t c = 0; c < table->n_rows * table->n_columns; c++) {
            size += sizeof *table->cells + (table->cells[c].text ? strlen(table->cells[c].text) + 1 : 0);
            size += table->cells[c].counts ? NB_SPARK_BINS * sizeof *table->cells[c].counts : 0;
        }
        if (item->kind == NB_ITEM_FIGURE)
            size += item->figure.n * sizeof(double) * (1 + (item->figure.after.values != NULL));
    }
    return size;
}

static nb_item *add(nb_items *items, nb_item_kind kind)
{
    if (items->failed)
        return NULL;
    if (items->count == items->capacity) {
        size_t capacity = items->capacity ? 2 * items->capacity : 4;
        nb_item *grown = nb_realloc(items->items, capacity, sizeof *grown);
        if (!grown) {
            items->failed = true;
            return NULL;
        }
        items->items = grown;
        items->capacity = capacity;
    }
    nb_item *item = &items->items[items->count++];
    *item = (nb_item){.kind = kind, .number = (double)NAN};
    return item;
}

/* vasprintf by our own allocator, so that tests can make it fail. */
static char *format_text(nb_items *items, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    char *text = n < 0 ? NULL : nb_calloc((size_t)n + 1, 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, again);
    else
        items->failed = true;
    va_end(again);
    return text;
}

void nb_items_text(nb_items *items, const char *format, ...)
{
    nb_item *item = add(items, NB_ITEM_TEXT);
    va_list arguments;
    va_start(arguments, format);
    if (item)
        item->text = format_text(items, format, arguments);
    va_end(arguments);
}

void nb_items_value(nb_items *items, const char *format, ...)
{
    nb_item *item = add(items, NB_ITEM_VALUE);
    va_list arguments;
    va_start(arguments, format);
    if (item)
        item->text = format_text(items, format, arguments);
    va_end(arguments);
}

void nb_items_markdown(nb_items *items, const char *text, size_t n_bytes)
{
    nb_item *item = add(items, NB_ITEM_MARKDOWN);
    if (!item)
        return;
    item->text = nb_calloc(n_bytes + 1, 1);
    if (item->text)
        memcpy(item->text, text, n_bytes);
    else
        items->failed = true;
}

void nb_items_set_number(nb_items *items, double number)
{
    if (items->count && !items->failed)
        items->items[items->count - 1].number = number;
}

void nb_items_number(nb_items *items, double number, const char *format, ...)
{
    nb_item *item = add(items, NB_ITEM_VALUE);
    va_list arguments;
    va_start(arguments, format);
    if (item) {
        item->number = number;
        item->text = format_text(items, format, arguments);
    }
    va_end(arguments);
}

/* Texts end at their terminator, so a zero byte among a model's bytes is shown as what stands for one. */
void nb_items_literal(nb_items *items, const char *text, size_t n_bytes, bool streamed)
{
    nb_item *item = add(items, NB_ITEM_LITERAL);
    if (!item)
        return;
    item->streamed = streamed;
    item->text = nb_calloc(n_bytes + 1, 1);
    if (!item->text) {
        items->failed = true;
        return;
    }
    for (size_t i = 0; i < n_bytes; i++)
        item->text[i] = text[i] ? text[i] : '?';
}

static const char *copy_text(nb_items *items, const char *text)
{
    char *copy = text ? nb_strdup(text) : NULL;
    if (text && !copy)
        items->failed = true;
    return copy;
}

static const double *copy_values(nb_items *items, const double *values, size_t n)
{
    double *copy = values ? nb_calloc(n ? n : 1, sizeof *copy) : NULL;
    if (copy)
        memcpy(copy, values, n * sizeof *copy);
    else if (values)
        items->failed = true;
    return copy;
}

static const nb_figure_point *copy_points(nb_items *items, const nb_figure_point *points, size_t n)
{
    nb_figure_point *copy = points ? nb_calloc(n ? n : 1, sizeof *copy) : NULL;
    if (points && !copy)
        items->failed = true;
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = points[i];
        copy[i].name = copy_text(items, points[i].name);
    }
    return copy;
}

void nb_items_figure(nb_items *items, const nb_figure *figure)
{
    nb_item *item = add(items, NB_ITEM_FIGURE);
    if (!item)
        return;
    nb_figure *copy = &item->figure;
    *copy = *figure;
    copy->headline = copy_text(items, figure->headline);
    copy->subline = copy_text(items, figure->subline);
    copy->x_label = copy_text(items, figure->x_label);
    copy->y_label = copy_text(items, figure->y_label);
    copy->note = copy_text(items, figure->note);
    copy->sentence = copy_text(items, figure->sentence);
    copy->before.label = copy_text(items, figure->before.label);
    copy->after.label = copy_text(items, figure->after.label);
    copy->before.values = copy_values(items, figure->before.values, figure->n);
    copy->after.values = copy_values(items, figure->after.values, figure->n);
    copy->points = copy_points(items, figure->points, figure->n);
    copy->cells = copy_values(items, figure->cells, figure->n_rows * figure->n_columns);
}

void nb_items_table(nb_items *items, const nb_column *columns, size_t n_columns)
{
    nb_item *item = add(items, NB_ITEM_TABLE);
    if (item)
        item->table = (nb_table){.columns = columns, .n_columns = n_columns};
}

static nb_table *last_table(nb_items *items)
{
    if (items->failed || items->count == 0 || items->items[items->count - 1].kind != NB_ITEM_TABLE)
        return NULL;
    return &items->items[items->count - 1].table;
}

void nb_items_row(nb_items *items)
{
    nb_table *table = last_table(items);
    if (!table)
        return;
    nb_cell *cells = nb_realloc(table->cells, (table->n_rows + 1) * table->n_columns, sizeof *cells);
    if (!cells) {
        items->failed = true;
        return;
    }
    memset(cells + table->n_rows * table->n_columns, 0, table->n_columns * sizeof *cells);
    table->cells = cells;
    table->n_rows++;
}

static nb_cell *last_cell(nb_items *items, size_t column)
{
    nb_table *table = last_table(items);
    if (!table || table->n_rows == 0 || column >= table->n_columns)
        return NULL;
    return &table->cells[(table->n_rows - 1) * table->n_columns + column];
}

void nb_items_cell(nb_items *items, size_t column, const char *format, ...)
{
    nb_cell *cell = last_cell(items, column);
    va_list arguments;
    va_start(arguments, format);
    if (cell) {
        free(cell->text);
        cell->text = format_text(items, format, arguments);
    }
    va_end(arguments);
}

void nb_items_spark(nb_items *items, size_t column, const uint64_t *counts)
{
    nb_cell *cell = last_cell(items, column);
    if (!cell || cell->counts)
        return;
    cell->counts = nb_calloc(NB_SPARK_BINS, sizeof *cell->counts);
    if (cell->counts)
        memcpy(cell->counts, counts, NB_SPARK_BINS * sizeof *counts);
    else
        items->failed = true;
}
