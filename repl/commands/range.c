#include "repl/commands/table.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <math.h>

static const nb_column columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};

static void add_row(nb_items *out, const char *name)
{
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "%s" NB_END, name);
}

static void add_number(nb_items *out, const char *name, double value)
{
    add_row(out, name);
    nb_items_cell(out, 1, "%s", nb_general(value, 9).text);
}

/* A block's bytes, field by field. */
static nb_status show_block(const nb_format *format, nb_items *out)
{
    static const nb_column block_columns[] = {
        {"bytes", NB_COLUMN_LEFT}, {"field", NB_COLUMN_LEFT}, {"what it is", NB_COLUMN_FLOW}};
    nb_items_text(out, NB_STRONG "%s" NB_END " · %s", format->name, format->summary);
    nb_items_table(out, block_columns, 3);
    for (size_t i = 0; i < format->n_fields; i++) {
        const nb_block_field *field = &format->fields[i];
        nb_items_row(out);
        if (field->n_bytes == 1)
            nb_items_cell(out, 0, NB_MUTED "%u" NB_END, field->offset);
        else
            nb_items_cell(out, 0, NB_MUTED "%u to %u" NB_END, field->offset, field->offset + field->n_bytes - 1);
        nb_items_cell(out, 1, NB_STRONG "%s" NB_END, field->name);
        nb_items_cell(out, 2, "%s", field->what);
    }
    nb_items_text(out, "%u bytes for %u weights: %s bits a weight, with everything.", (unsigned)format->block_bytes,
                  (unsigned)format->block_size,
                  nb_general(8.0 * format->block_bytes / format->block_size, 6).text);
    return NB_OK;
}

/* The levels from the lowest up, each with what becomes it. */
static nb_status show_levels(const nb_format *format, nb_items *out)
{
    static const nb_column level_columns[] = {{"code", NB_COLUMN_LEFT},
                                              {"level", NB_COLUMN_RIGHT},
                                              {"is met from", NB_COLUMN_RIGHT},
                                              {"to", NB_COLUMN_RIGHT}};
    nb_anatomy now;
    nb_items_text(out, NB_STRONG "%s" NB_END " · %s", format->name, format->summary);
    nb_items_table(out, level_columns, 4);
    for (double at = -1; !isnan(at); at = now.above) {
        nb_anatomy_of(at, format, &now);
        nb_items_row(out);
        nb_items_cell(out, 0, NB_MUTED "%s" NB_END, now.fraction);
        nb_items_cell(out, 1, NB_STRONG "%s" NB_END, nb_fixed(now.value, 5).text);
        nb_items_cell(out, 2, "%s", nb_fixed(isnan(now.below) ? -1 : (now.value + now.below) / 2, 5).text);
        nb_items_cell(out, 3, "%s", nb_fixed(isnan(now.above) ? 1 : (now.value + now.above) / 2, 5).text);
    }
    nb_items_text(out, "A weight is divided by the largest of its group, whose size is kept as an f32; --double keeps "
                       "that in 8 bits too.   " NB_COMMAND "plot staircase %s" NB_END "   draws them", format->name);
    return NB_OK;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)notebook;
    const nb_format *format;
    nb_status status = nb_notebook_format(call->arguments[0], &format, error);
    if (status != NB_OK)
        return status;
    if (format->kind == NB_FORMAT_BLOCK)
        return show_block(format, out);
    if (format->kind == NB_FORMAT_TABLE)
        return show_levels(format, out);
    nb_format_range range;
    nb_format_range_of(format, &range);
    nb_items_text(out, NB_STRONG "%s" NB_END " · %s", format->name, format->summary);
    nb_items_table(out, columns, 2);
    add_row(out, "from, to");
    nb_items_cell(out, 1, "%s to %s", nb_general(range.min, 9).text, nb_general(range.max, 9).text);
    add_row(out, "different values");
    nb_items_cell(out, 1, "%s, in %u bits", nb_count(range.n_values).text, format->bits);
    if (format->kind == NB_FORMAT_FLOAT) {
        add_number(out, "smallest normal", range.min_normal);
        add_number(out, "smallest above 0", range.min_subnormal);
        add_number(out, "gap above 1", range.epsilon);
        add_row(out, "decimal digits");
        nb_items_cell(out, 1, "%d that survive a round trip", range.decimal_digits);
        add_row(out, "infinity");
        nb_items_cell(out, 1, "%s",
                      format->has_infinity ? "yes" : "none: numbers that are too large become the largest");
        if (format->needs_scale)
            nb_items_text(out, "A tensor stored so has one scale that maps its largest number to %s.",
                          nb_general(range.max, 9).text);
        return NB_OK;
    }
    nb_items_text(out,
                  "absmax leaves %s unused so that both sides match: codes %s to %s, steps of max / %s. "
                  "zeropoint uses all %s codes for min to max.",
                  nb_general(range.min, 9).text, nb_general(-range.max, 9).text,
                  nb_general(range.max, 9).text, nb_general(range.max, 9).text,
                  nb_count(range.n_values).text);
    return NB_OK;
}

const nb_command nb_command_range = {
    .name = "range",
    .group = "Numbers",
    .usage = "range FORMAT",
    .summary = "what a format can say: its ends, and how finely",
    .examples = {"range int4", "range f8_e4m3", "range nf4"},
    .source = "IEEE 754-2019; OCP 8-bit Floating Point Specification (OFP8), 2023",
    .arguments = {{"FORMAT", NB_WORD_FORMAT, false}},
    .run = run,
};
