#include "repl/commands/table.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <math.h>
#include <string.h>

static const nb_column field_columns[] = {{"sign", NB_COLUMN_LEFT},
                                          {"exponent", NB_COLUMN_LEFT},
                                          {"fraction", NB_COLUMN_LEFT},
                                          {"", NB_COLUMN_LEFT}};
static const nb_column int_columns[] = {{"two's complement", NB_COLUMN_LEFT}, {"", NB_COLUMN_LEFT}};
static const nb_column table_columns[] = {{"code", NB_COLUMN_LEFT}, {"", NB_COLUMN_LEFT}};
static const nb_column fact_columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};

static void show_fields(const nb_anatomy *a, nb_items *out)
{
    const bool is_table = a->format->kind == NB_FORMAT_TABLE, is_int = a->format->kind == NB_FORMAT_INT || is_table;
    nb_items_table(out, is_table ? table_columns : is_int ? int_columns : field_columns, is_int ? 2 : 4);
    nb_items_row(out);
    if (is_int) {
        nb_items_cell(out, 0, NB_STRONG "%s" NB_END, a->fraction);
    } else {
        nb_items_cell(out, 0, NB_ALERT "%s" NB_END, a->sign);
        nb_items_cell(out, 1, NB_COMMAND "%s" NB_END, a->exponent);
        nb_items_cell(out, 2, NB_STRONG "%s" NB_END, a->fraction);
    }
    nb_items_cell(out, is_int ? 1 : 3, NB_MUTED "%u bits, %s" NB_END, a->format->bits, a->kind);
}

/* "+1.1001100110 (binary) x 2^-4": what the fields mean. */
static void show_reading(const nb_anatomy *a, nb_items *out)
{
    if (a->format->kind != NB_FORMAT_FLOAT || !isfinite(a->value))
        return;
    if (strcmp(a->kind, "zero") == 0) {
        nb_items_text(out, "Exponent and fraction all 0 is zero, with a sign.");
        return;
    }
    bool normal = strcmp(a->kind, "normal") == 0;
    int exponent = a->exponent_value;
    nb_number mantissa = nb_general(ldexp(fabs(a->value), -exponent), 12);
    const char *sign = a->value < 0 ? "-" : "+";
    if (normal)
        nb_items_text(out,
                      "%s %s x 2^%d: a hidden 1. stands before the fraction, and the exponent is kept with "
                      "%d added: %d.",
                      sign, mantissa.text, exponent, a->format->bias, exponent + a->format->bias);
    else
        nb_items_text(out,
                      "%s %s x 2^%d: the exponent's bits are all 0, so no 1. is hidden before the fraction.",
                      sign, mantissa.text, exponent);
}

static void add_fact(nb_items *out, const char *name)
{
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "%s" NB_END, name);
}

static void show_facts(const nb_anatomy *a, double asked, nb_items *out)
{
    nb_items_table(out, fact_columns, 2);
    add_fact(out, "exactly");
    nb_items_cell(out, 1, "%s", a->exact);
    if (!isfinite(asked))
        return;
    add_fact(out, "error");
    if (a->error == 0)
        nb_items_cell(out, 1, "none: %s can say %s exactly", a->format->name, nb_general(asked, 12).text);
    else if (asked != 0 && isfinite(a->error))
        nb_items_cell(out, 1, "%s, or %s %% of the number", nb_general(a->error, 6).text,
                      nb_general(fabs(100 * a->error / asked), 3).text);
    else
        nb_items_cell(out, 1, "%s", nb_general(a->error, 6).text);
    add_fact(out, "neighbours");
    nb_items_cell(out, 1, "%s and %s", isnan(a->below) ? "none below" : nb_general(a->below, 12).text,
                  isnan(a->above) ? "none above" : nb_general(a->above, 12).text);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)notebook;
    double value;
    const nb_format *format = &nb_format_f32;
    if (!nb_word_number(call->arguments[0], &value))
        return nb_fail(error, NB_ERR_ARGUMENT, "bits takes a number first, not \"%.60s\": bits 0.1 f16",
                       call->arguments[0]);
    if (call->n_arguments > 1) {
        nb_status status = nb_notebook_format(call->arguments[1], &format, error);
        if (status != NB_OK)
            return status;
    }
    if (format->kind == NB_FORMAT_BLOCK)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "no number stands alone in %s: %u share a block, with its scales; range %s shows one", format->name,
                       (unsigned)format->block_size, format->name);
    nb_anatomy anatomy;
    nb_anatomy_of(value, format, &anatomy);
    nb_items_text(out, "%s in %s is " NB_STRONG "%s" NB_END, call->arguments[0], format->name,
                  nb_general(anatomy.value, 9).text);
    show_fields(&anatomy, out);
    show_reading(&anatomy, out);
    show_facts(&anatomy, value, out);
    if (format->kind == NB_FORMAT_TABLE)
        nb_items_text(out,
                      "Code %u of %s's table, whose levels lie from -1 to 1: a weight gets there divided by the largest "
                      "of its group. " NB_COMMAND "range %s" NB_END "   lists them",
                      anatomy.code, format->name, format->name);
    if (format->kind == NB_FORMAT_INT)
        nb_items_text(out,
                      "%s holds whole numbers: a weight gets there by a scale. " NB_COMMAND "range %s" NB_END,
                      format->name, format->name);
    return NB_OK;
}

const nb_command nb_command_bits = {
    .name = "bits",
    .group = "Numbers",
    .usage = "bits NUMBER [FORMAT]",
    .summary = "one number in a format: bits, exact value, error",
    .examples = {"bits 0.1 f16", "bits 0.1 f8_e4m3", "bits -3 int4"},
    .source = "IEEE 754-2019; OCP 8-bit Floating Point Specification (OFP8), 2023",
    .arguments = {{"NUMBER", NB_WORD_TEXT, false}, {"FORMAT", NB_WORD_FORMAT, true}},
    .run = run,
};
