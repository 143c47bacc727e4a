#include "repl/commands/inspect_plain.h"

#include "repl/numbers.h"

#include <math.h>
#include <string.h>

/* A ggml type of single numbers. Floats are sign, exponent, fraction; integers have neither of
 * the last two. */
typedef struct plain_type {
    uint32_t type;
    unsigned n_bytes, exponent_bits, fraction_bits;
} plain_type;

static const plain_type plain_types[] = {
    {0, 4, 8, 23}, {1, 2, 5, 10}, {30, 2, 8, 7}, {28, 8, 11, 52}, /* F32, F16, BF16, F64 */
    {24, 1, 0, 0}, {25, 2, 0, 0}, {26, 4, 0, 0}, {27, 8, 0, 0},   /* I8 to I64 */
};

static const plain_type *find_type(uint32_t type)
{
    for (size_t i = 0; i < sizeof plain_types / sizeof *plain_types; i++) {
        if (plain_types[i].type == type)
            return &plain_types[i];
    }
    return NULL;
}

/* Little-endian, as everything in the file. */
static uint64_t code_at(const plain_type *type, const uint8_t *data, unsigned index)
{
    uint64_t code = 0;
    for (unsigned i = type->n_bytes; i-- > 0;)
        code = code << 8 | data[(size_t)index * type->n_bytes + i];
    return code;
}

static unsigned exponent_of(const plain_type *type, uint64_t code)
{
    return (unsigned)(code >> type->fraction_bits & ((UINT64_C(1) << type->exponent_bits) - 1));
}

static uint64_t fraction_of(const plain_type *type, uint64_t code)
{
    return code & ((UINT64_C(1) << type->fraction_bits) - 1);
}

static int bias_of(const plain_type *type)
{
    return (1 << (type->exponent_bits - 1)) - 1;
}

/* By the definition of the bits, so that it does not lean on what it explains. */
static double value_of(const plain_type *type, uint64_t code)
{
    const unsigned top = 8 * type->n_bytes - 1;
    const bool negative = code >> top & 1;
    if (type->exponent_bits == 0)
        return negative ? -(double)((~code & ((UINT64_C(1) << top) - 1)) + 1) : (double)code;
    const unsigned exponent = exponent_of(type, code);
    const uint64_t fraction = fraction_of(type, code);
    double size = (double)fraction / (double)(UINT64_C(1) << type->fraction_bits);
    if (exponent == (1u << type->exponent_bits) - 1)
        size = fraction ? NAN : INFINITY;
    else
        size = exponent ? ldexp(1 + size, (int)exponent - bias_of(type)) : ldexp(size, 1 - bias_of(type));
    return negative ? -size : size;
}

static const nb_column hex_columns[] = {{"number", NB_COLUMN_RIGHT}, {"bytes", NB_COLUMN_LEFT}};

static void show_bytes(const plain_type *type, const nb_shown_block *b, unsigned followed, nb_items *out)
{
    const unsigned a_line = 16 / type->n_bytes;
    nb_draft text = {0};
    nb_items_table(out, hex_columns, 2);
    for (unsigned i = 0; i < b->n_numbers; i++) {
        if (i % a_line == 0) {
            nb_items_row(out);
            nb_items_cell(out, 0, NB_MUTED "%u" NB_END, i);
        }
        nb_draft_add(&text, i % a_line ? "  " : "");
        nb_draft_add(&text, i == followed ? NB_ALERT "[" : "");
        for (unsigned k = 0; k < type->n_bytes; k++)
            nb_draft_addf(&text, "%s%02x", k ? " " : "", b->data[i * type->n_bytes + k]);
        nb_draft_add(&text, i == followed ? "]" NB_END : "");
        if (i % a_line == a_line - 1 || i + 1 == b->n_numbers) {
            nb_items_cell(out, 1, "%s", nb_draft_text(&text));
            nb_draft_free(&text);
        }
    }
}

static const nb_column line_columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};

static void add_line(nb_items *out, const char *name)
{
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "%s" NB_END, name);
}

static void follow_float(const plain_type *type, uint64_t code, nb_items *out)
{
    nb_draft exponent_bits = {0}, fraction_bits = {0};
    const unsigned exponent = exponent_of(type, code);
    const uint64_t fraction = fraction_of(type, code);
    const double part = (double)fraction / (double)(UINT64_C(1) << type->fraction_bits);
    const char *sign = code >> (8 * type->n_bytes - 1) & 1 ? "-" : "+";
    nb_inspect_bits(exponent, type->exponent_bits, false, &exponent_bits);
    nb_inspect_bits(fraction, type->fraction_bits, false, &fraction_bits);
    add_line(out, "sign");
    nb_items_cell(out, 1, "%s: %s", *sign == '-' ? "1" : "0", sign);
    add_line(out, "exponent");
    if (exponent == (1u << type->exponent_bits) - 1)
        nb_items_cell(out, 1, "%s: all ones, infinity or no number", nb_draft_text(&exponent_bits));
    else if (exponent == 0)
        nb_items_cell(out, 1, "%s: all zeros, 2^%d and no hidden 1", nb_draft_text(&exponent_bits),
                      1 - bias_of(type));
    else
        nb_items_cell(out, 1, "%s = %u: 2^(%u - %d) = 2^%d", nb_draft_text(&exponent_bits), exponent,
                      exponent, bias_of(type), (int)exponent - bias_of(type));
    add_line(out, "fraction");
    nb_items_cell(out, 1, "%s / 2^%u = %s", nb_draft_text(&fraction_bits), type->fraction_bits,
                  nb_general(part, 9).text);
    add_line(out, "value");
    if (exponent == (1u << type->exponent_bits) - 1)
        nb_items_cell(out, 1, NB_STRONG "%s" NB_END, nb_general(value_of(type, code), 9).text);
    else
        nb_items_cell(out, 1, "%s %s x 2^%d = " NB_STRONG "%s" NB_END, sign,
                      nb_general(exponent ? 1 + part : part, 9).text,
                      (int)(exponent ? exponent : 1) - bias_of(type),
                      nb_general(value_of(type, code), 9).text);
    nb_draft_free(&exponent_bits);
    nb_draft_free(&fraction_bits);
}

static void follow(const plain_type *type, const nb_shown_block *b, unsigned index, nb_items *out)
{
    const uint64_t code = code_at(type, b->data, index);
    nb_draft bits = {0};
    nb_inspect_bits(code, 8 * type->n_bytes, true, &bits);
    nb_items_text(out, "\nNumber %u, from its bits to its value:", index);
    nb_items_table(out, line_columns, 2);
    if (type->n_bytes > 1) {
        add_line(out, "code");
        nb_items_cell(out, 1, "%0*llx: the bytes, the last one first", (int)(2 * type->n_bytes),
                      (unsigned long long)code);
    }
    add_line(out, "bits");
    nb_items_cell(out, 1, "%s", nb_draft_text(&bits));
    nb_draft_free(&bits);
    if (type->exponent_bits > 0) {
        follow_float(type, code, out);
        return;
    }
    add_line(out, "value");
    nb_items_cell(out, 1, "%s" NB_STRONG "%s" NB_END, value_of(type, code) < 0 ? "two's complement: " : "",
                  nb_general(value_of(type, code), 17).text);
}

bool nb_inspect_plain(const nb_shown_block *b, unsigned followed, nb_items *out)
{
    const plain_type *type = find_type(b->tensor->type);
    double values[NB_SHOWN_NUMBERS];
    if (!type)
        return false;
    for (unsigned i = 0; i < b->n_numbers; i++)
        values[i] = value_of(type, code_at(type, b->data, i));
    show_bytes(type, b, followed, out);
    nb_inspect_values(values, b->n_numbers, followed, out);
    follow(type, b, followed, out);
    return true;
}
