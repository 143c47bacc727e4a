/* One block of a tensor: its bytes by field, the scales in them, every code and number, and one number from
 * its bits to its value. */
#include "formats/block_anatomy.h"
#include "repl/commands/inspect.h"
#include "repl/commands/inspect_plain.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_A_LINE = 16 };

/* ---- which block ---- */

static nb_status find_tensor(const nb_gguf *gguf, const char *name, const nb_gguf_tensor **out,
                             nb_error *error)
{
    char full[160], best[64] = "";
    nb_nearest nearest;
    snprintf(full, sizeof full, "%.150s.weight", name);
    *out = nb_gguf_find_tensor(gguf, name);
    if (!*out)
        *out = nb_gguf_find_tensor(gguf, full);
    if (*out)
        return NB_OK;
    nb_nearest_start(&nearest, name);
    for (uint64_t i = 0; i < gguf->n_tensors; i++)
        nb_inspect_offer(&nearest, gguf->tensors[i].name, best);
    return nb_fail(error, NB_ERR_ARGUMENT, "%s: there is no tensor %.80s%s%s%s", gguf->path, name,
                   *best ? ": did you mean " : "", best, *best ? "?" : "");
}

/* Of plain types, which have blocks of one number, so many are shown together. */
static nb_status find_block(const nb_gguf *gguf, const nb_gguf_tensor *tensor, uint64_t index,
                            nb_shown_block *out, nb_error *error)
{
    char name[80];
    uint32_t block_elems, block_bytes;
    nb_string_show(tensor->name, name, sizeof name);
    if (!nb_ggml_type_size(tensor->type, &block_elems, &block_bytes))
        return nb_fail(error, NB_ERR_UNSUPPORTED, "%s: %s is of type %" PRIu32 ", which nibble does not know",
                       gguf->path, name, tensor->type);
    const uint64_t n_numbers = tensor->n_bytes / block_bytes * block_elems;
    const uint64_t size = block_elems > 1 ? block_elems : NB_SHOWN_NUMBERS;
    const uint64_t n_blocks = n_numbers / size + (n_numbers % size != 0);
    if (index >= n_blocks)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s: %s has %" PRIu64 " block%s of %" PRIu64
                       " numbers, counted from 0, so there is no block "
                       "%" PRIu64,
                       gguf->path, name, n_blocks, n_blocks == 1 ? "" : "s", size, index);
    *out = (nb_shown_block){.tensor = tensor, .index = index, .count = n_blocks, .first = index * size};
    out->n_numbers = (unsigned)(size < n_numbers - out->first ? size : n_numbers - out->first);
    out->n_bytes = out->n_numbers / block_elems * block_bytes;
    out->offset = out->first / block_elems * block_bytes;
    out->data = gguf->data + tensor->offset + out->offset;
    return NB_OK;
}

static void show_headline(const nb_gguf *gguf, const nb_shown_block *b, nb_items *out)
{
    const nb_gguf_tensor *t = b->tensor;
    const nb_gguf_file *file = &gguf->files[0];
    char name[96];
    while (file + 1 < gguf->files + gguf->n_files && t->offset >= file[1].begin)
        file++;
    const uint64_t last = b->first + b->n_numbers - 1, cols = t->dims[0];
    const uint64_t begin = t->offset + b->offset - file->begin;
    nb_items_text(out, NB_STRONG "%s" NB_END " · " NB_STRONG "%s" NB_END " · block %s of %s, counted from 0",
                  nb_string_show(t->name, name, sizeof name), nb_ggml_type_name(t->type),
                  nb_count(b->index).text, nb_count(b->count).text);
    nb_draft place = {0};
    if (b->first / cols == last / cols)
        nb_draft_addf(&place, "row %" PRIu64 ", columns %" PRIu64 " to %" PRIu64, b->first / cols,
                      b->first % cols, last % cols);
    else
        nb_draft_addf(&place, "row %" PRIu64 ", column %" PRIu64 ", to row %" PRIu64 ", column %" PRIu64,
                      b->first / cols, b->first % cols, last / cols, last % cols);
    nb_items_text(out, "%s: %u number%s in %u byte%s, %s bits each", nb_draft_text(&place), b->n_numbers,
                  b->n_numbers == 1 ? "" : "s", b->n_bytes, b->n_bytes == 1 ? "" : "s",
                  nb_general(8.0 * b->n_bytes / b->n_numbers, 5).text);
    nb_items_text(out, NB_MUTED "bytes %s to %s of %.80s" NB_END "\n ", nb_count(begin).text,
                  nb_count(begin + b->n_bytes - 1).text, nb_file_name(file->path));
    nb_draft_free(&place);
}

/* ---- bytes ---- */

static bool holds(const nb_block_number *number, unsigned byte)
{
    for (unsigned k = 0; k < number->n_pieces; k++) {
        if (number->pieces[k].byte == byte)
            return true;
    }
    return false;
}

static const nb_column hex_columns[] = {
    {"field", NB_COLUMN_LEFT}, {"at", NB_COLUMN_RIGHT}, {"bytes", NB_COLUMN_LEFT}};

/* A field's bytes; those of the number that is followed stand in brackets. */
static void show_field_bytes(const uint8_t *block, const nb_block_field *field,
                             const nb_block_number *followed, nb_items *out)
{
    for (unsigned line = 0; line < field->n_bytes; line += BYTES_A_LINE) {
        const unsigned begin = field->offset + line;
        const unsigned end = begin + (unsigned)nb_min_size(BYTES_A_LINE, field->n_bytes - line);
        nb_draft text = {0};
        for (unsigned i = begin; i < end; i++) {
            const bool here = followed && holds(followed, i),
                       before = i > begin && followed && holds(followed, i - 1);
            nb_draft_addf(&text, here ? "%s" NB_ALERT "[%02x" NB_END : "%s%02x",
                          before ? NB_ALERT "]" NB_END
                          : here ? ""
                                 : " ",
                          block[i]);
        }
        if (followed && holds(followed, end - 1))
            nb_draft_add(&text, NB_ALERT "]" NB_END);
        nb_items_row(out);
        if (line == 0)
            nb_items_cell(out, 0, NB_STRONG "%s" NB_END, field->name);
        nb_items_cell(out, 1, NB_MUTED "%u" NB_END, begin);
        nb_items_cell(out, 2, "%s", nb_draft_text(&text));
        nb_draft_free(&text);
    }
}

static const nb_column field_columns[] = {
    {"field", NB_COLUMN_LEFT}, {"bytes", NB_COLUMN_RIGHT}, {"what it is", NB_COLUMN_FLOW}};

static void show_fields(const nb_format *format, const uint8_t *block, const nb_block_number *followed,
                        nb_items *out)
{
    nb_items_table(out, field_columns, 3);
    for (size_t i = 0; i < format->n_fields; i++) {
        nb_items_row(out);
        nb_items_cell(out, 0, NB_STRONG "%s" NB_END, format->fields[i].name);
        nb_items_cell(out, 1, "%u", format->fields[i].n_bytes);
        nb_items_cell(out, 2, "%s", format->fields[i].what);
    }
    nb_items_text(out, " ");
    nb_items_table(out, hex_columns, 3);
    for (size_t i = 0; i < format->n_fields; i++)
        show_field_bytes(block, &format->fields[i], followed, out);
    nb_items_text(out, " ");
}

/* ---- scales ---- */

static const nb_column line_columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};

static void add_line(nb_items *out, const char *name)
{
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "%s" NB_END, name);
}

static bool is_half(const nb_block_field *field)
{
    static const char *const names[] = {"d", "m", "dmin"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (field->n_bytes == 2 && strcmp(field->name, names[i]) == 0)
            return true;
    }
    return false;
}

/* The f16 numbers that the whole block shares. */
static void show_halves(const nb_format *format, const uint8_t *block, nb_items *out)
{
    nb_items_table(out, line_columns, 2);
    for (size_t i = 0; i < format->n_fields; i++) {
        const nb_block_field *field = &format->fields[i];
        const uint8_t *bytes = block + field->offset;
        if (!is_half(field))
            continue;
        const uint16_t code = (uint16_t)(bytes[0] | bytes[1] << 8);
        add_line(out, field->name);
        nb_items_cell(out, 1, "%02x %02x, the last byte first: %04x, as f16 " NB_STRONG "%s" NB_END, bytes[0],
                      bytes[1], code, nb_general((double)nb_f32_from_f16(code), 9).text);
    }
}

static const nb_column factor_columns[] = {
    {"sub-block", NB_COLUMN_RIGHT},      {"numbers", NB_COLUMN_RIGHT}, {"sc", NB_COLUMN_RIGHT},
    {"scale = d x sc", NB_COLUMN_RIGHT}, {"m", NB_COLUMN_RIGHT},       {"min = dmin x m", NB_COLUMN_RIGHT}};
static const nb_column byte_scale_columns[] = {{"sub-block", NB_COLUMN_RIGHT},
                                               {"numbers", NB_COLUMN_RIGHT},
                                               {"byte", NB_COLUMN_RIGHT},
                                               {"scale", NB_COLUMN_RIGHT}};

/* The scale as readers of the format's paper know it: the table's entries may count halves. */
static double scale_of(const nb_block_anatomy *a, const nb_sub_block *shared)
{
    return a->rule == NB_LEVEL_TABLE ? (double)shared->scale / (double)a->table_unit : (double)shared->scale;
}

static void show_sub_blocks(const nb_block_anatomy *a, const uint8_t *block, unsigned followed, nb_items *out)
{
    const unsigned n = a->format->block_size / a->sub_block_size;
    nb_sub_block shared;
    a->share(block, 0, &shared);
    const bool bytes = shared.factor_byte >= 0;
    if (!a->has_factors && !bytes)
        return;
    if (!bytes)
        nb_items_text(out, " ");
    nb_items_table(out, bytes ? byte_scale_columns : factor_columns, bytes || !a->has_min ? 4 : 6);
    for (unsigned s = 0; s < n; s++) {
        a->share(block, s, &shared);
        nb_items_row(out);
        nb_items_cell(out, 0, s == followed ? NB_ALERT "%u" NB_END : "%u", s);
        nb_items_cell(out, 1, "%u to %u", s * a->sub_block_size, (s + 1) * a->sub_block_size - 1);
        if (bytes)
            nb_items_cell(out, 2, "%02x", block[shared.factor_byte]);
        else
            nb_items_cell(out, 2, "%d", shared.factor);
        nb_items_cell(out, 3, "%s", nb_general(scale_of(a, &shared), 6).text);
        if (a->has_min_factors) {
            nb_items_cell(out, 4, "%d", shared.min_factor);
            nb_items_cell(out, 5, "%s", nb_general(-(double)shared.min, 6).text);
        }
    }
}

/* ---- codes and numbers ---- */

enum { CODES_A_LINE = 16, VALUES_A_LINE = 8 };

static const nb_column code_columns[1 + CODES_A_LINE] = {
    {"code", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT},
    {"", NB_COLUMN_RIGHT},     {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT},
    {"", NB_COLUMN_RIGHT},     {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT},
    {"", NB_COLUMN_RIGHT},     {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT},
    {"", NB_COLUMN_RIGHT},
};

static void show_codes(const nb_block_anatomy *a, const uint8_t *block, unsigned followed, nb_items *out)
{
    nb_items_text(out, " ");
    nb_items_table(out, code_columns, 1 + CODES_A_LINE);
    for (unsigned i = 0; i < a->format->block_size; i++) {
        nb_block_number number;
        nb_block_number_of(a, block, i, &number);
        if (i % CODES_A_LINE == 0) {
            nb_items_row(out);
            nb_items_cell(out, 0, NB_MUTED "%u" NB_END, i);
        }
        const int shown = a->rule == NB_LEVEL_SIGNED ? number.level : (int)number.code;
        nb_items_cell(out, 1 + i % CODES_A_LINE, i == followed ? NB_ALERT "%d" NB_END : "%d", shown);
    }
}

static const nb_column value_columns[1 + VALUES_A_LINE] = {
    {"value", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT},
    {"", NB_COLUMN_RIGHT},      {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT},
    {"", NB_COLUMN_RIGHT},      {"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_RIGHT},
};

/* So many digits that eight numbers fit a line of 80 columns. */
static nb_number short_number(double value, double largest)
{
    if (largest > 0 && (largest < 1e-3 || largest >= 1e4))
        return nb_general(value, 2);
    return nb_fixed(value, largest < 0.1 ? 5 : largest < 100 ? 4 : 2);
}

void nb_inspect_values(const double *values, unsigned n, unsigned followed, nb_items *out)
{
    double largest = 0;
    for (unsigned i = 0; i < n; i++) {
        const double size = values[i] < 0 ? -values[i] : values[i];
        if (size > largest && size <= 1.7976931348623157e308)
            largest = size;
    }
    nb_items_text(out, " ");
    nb_items_table(out, value_columns, 1 + VALUES_A_LINE);
    for (unsigned i = 0; i < n; i++) {
        if (i % VALUES_A_LINE == 0) {
            nb_items_row(out);
            nb_items_cell(out, 0, NB_MUTED "%u" NB_END, i);
        }
        nb_items_cell(out, 1 + i % VALUES_A_LINE, i == followed ? NB_ALERT "%s" NB_END : "%s",
                      short_number(values[i], largest).text);
    }
}

static void show_values(const nb_block_anatomy *a, const uint8_t *block, unsigned followed, nb_items *out)
{
    double values[256];
    for (unsigned i = 0; i < a->format->block_size; i++) {
        nb_block_number number;
        nb_block_number_of(a, block, i, &number);
        values[i] = (double)number.value;
    }
    nb_inspect_values(values, a->format->block_size, followed, out);
}

/* ---- one number, from its bits to its value ---- */

void nb_inspect_bits(uint64_t value, unsigned n_bits, bool in_fours, nb_draft *out)
{
    for (unsigned i = n_bits; i-- > 0;)
        nb_draft_addf(out, "%c%s", value >> i & 1 ? '1' : '0', in_fours && i % 4 == 0 && i > 0 ? " " : "");
}

/* "qs[5]" */
static void add_place(const nb_format *format, unsigned byte, nb_draft *out)
{
    for (size_t i = 0; i < format->n_fields; i++) {
        const nb_block_field *field = &format->fields[i];
        if (byte - field->offset < field->n_bytes)
            nb_draft_addf(out, "%s[%u]", field->name, byte - field->offset);
    }
}

static void follow_piece(const nb_format *format, const nb_block_bits *piece, unsigned byte, nb_items *out)
{
    nb_draft place = {0}, bits = {0}, taken = {0};
    add_place(format, piece->byte, &place);
    nb_inspect_bits(byte, 8, true, &bits);
    nb_inspect_bits(byte >> piece->shift, piece->n_bits, false, &taken);
    add_line(out, nb_draft_text(&place));
    if (piece->n_bits == 8)
        nb_items_cell(out, 1, "%02x = %s = %u", byte, nb_draft_text(&bits), byte);
    else if (piece->n_bits == 1)
        nb_items_cell(out, 1, "%02x = %s: bit %u is " NB_ALERT "%s" NB_END, byte, nb_draft_text(&bits),
                      piece->shift, nb_draft_text(&taken));
    else
        nb_items_cell(out, 1, "%02x = %s: bits %u to %u are " NB_ALERT "%s" NB_END, byte,
                      nb_draft_text(&bits), piece->shift, piece->shift + piece->n_bits - 1,
                      nb_draft_text(&taken));
    nb_draft_free(&place);
    nb_draft_free(&bits);
    nb_draft_free(&taken);
}

static void follow_code(const nb_block_anatomy *a, const nb_block_number *number, nb_items *out)
{
    nb_draft bits = {0};
    unsigned n_bits = 0;
    for (unsigned k = 0; k < number->n_pieces; k++)
        n_bits += number->pieces[k].n_bits;
    nb_inspect_bits(number->code, n_bits, false, &bits);
    add_line(out, "code");
    if (a->rule == NB_LEVEL_TERNARY)
        nb_items_cell(out, 1,
                      "digit %u of 5 in base 3: byte x 3^%u, the low 8 bits, x 3, over 256 is " NB_STRONG
                      "%u" NB_END,
                      number->pieces[0].place + 1, number->pieces[0].place, number->code);
    else
        nb_items_cell(out, 1, "%s%s = " NB_STRONG "%u" NB_END,
                      number->n_pieces > 1 ? "the second in front: " : "", nb_draft_text(&bits),
                      number->code);
    nb_draft_free(&bits);
}

static void follow_level(const nb_block_anatomy *a, const nb_block_number *number, nb_items *out)
{
    const int code = (int)number->code;
    if (a->rule == NB_LEVEL_OFFSET && a->offset == 0)
        return;
    add_line(out, "level");
    if (a->rule == NB_LEVEL_OFFSET)
        nb_items_cell(out, 1, "%d - %d = " NB_STRONG "%d" NB_END, code, a->offset, number->level);
    else if (a->rule == NB_LEVEL_TERNARY)
        nb_items_cell(out, 1, "%d - 1 = " NB_STRONG "%d" NB_END, code, number->level);
    else if (a->rule == NB_LEVEL_TABLE)
        nb_items_cell(out, 1, "entry %d of the format's table is " NB_STRONG "%s" NB_END, code,
                      nb_general((double)number->level * (double)a->table_unit, 4).text);
    else if (number->level < 0)
        nb_items_cell(out, 1, "the first bit is a sign: %d - 256 = " NB_STRONG "%d" NB_END, code,
                      number->level);
    else
        nb_items_cell(out, 1, NB_STRONG "%d" NB_END, number->level);
}

static void follow_scale(const nb_block_anatomy *a, const uint8_t *block, const nb_block_number *number,
                         nb_items *out)
{
    const nb_sub_block *shared = &number->shared;
    const nb_number scale = nb_general(scale_of(a, shared), 9);
    add_line(out, "scale");
    if (a->has_factors)
        nb_items_cell(out, 1, "of sub-block %u: d x sc = %s x %d = " NB_STRONG "%s" NB_END, number->sub_block,
                      nb_general((double)shared->d, 9).text, shared->factor, scale.text);
    else if (shared->factor_byte >= 0 && a->sub_block_size == a->format->block_size)
        nb_items_cell(out, 1, "e = %02x = %d: 2^(%d - 127) = " NB_STRONG "%s" NB_END, block[0], block[0],
                      block[0], scale.text);
    else if (shared->factor_byte >= 0)
        nb_items_cell(out, 1, "of sub-block %u: %02x as e4m3 is " NB_STRONG "%s" NB_END, number->sub_block,
                      block[shared->factor_byte], scale.text);
    else
        nb_items_cell(out, 1, "d = " NB_STRONG "%s" NB_END, scale.text);
    if (!a->has_min)
        return;
    add_line(out, "minimum");
    if (a->has_min_factors)
        nb_items_cell(out, 1, "of sub-block %u: dmin x m = %s x %d = " NB_STRONG "%s" NB_END,
                      number->sub_block, nb_general((double)shared->dmin, 9).text, shared->min_factor,
                      nb_general(-(double)shared->min, 9).text);
    else
        nb_items_cell(out, 1, "m = " NB_STRONG "%s" NB_END, nb_general((double)shared->min, 9).text);
}

static void follow(const nb_block_anatomy *a, const nb_shown_block *b, const nb_block_number *number,
                   unsigned index, nb_items *out)
{
    const nb_sub_block *shared = &number->shared;
    nb_items_text(out, "\nNumber %u, column %" PRIu64 ", from its bits to its value:", index,
                  (b->first + index) % b->tensor->dims[0]);
    nb_items_table(out, line_columns, 2);
    for (unsigned k = 0; k < number->n_pieces; k++)
        follow_piece(a->format, &number->pieces[k], b->data[number->pieces[k].byte], out);
    if (a->rule != NB_LEVEL_SIGNED)
        follow_code(a, number, out);
    follow_level(a, number, out);
    follow_scale(a, b->data, number, out);
    const double unit = a->rule == NB_LEVEL_TABLE ? (double)a->table_unit : 1;
    nb_draft text = {0};
    nb_draft_addf(&text, "%s x %s", nb_general((double)number->level * unit, 4).text,
                  nb_general(scale_of(a, shared), 9).text);
    if (a->has_min_factors)
        nb_draft_addf(&text, " - %s", nb_general(-(double)shared->min, 9).text);
    else if (a->has_min)
        nb_draft_addf(&text, " %c %s", shared->min < 0 ? '-' : '+',
                      nb_general(shared->min < 0 ? -(double)shared->min : (double)shared->min, 9).text);
    add_line(out, "value");
    nb_items_cell(out, 1, "%s = " NB_STRONG "%s" NB_END, nb_draft_text(&text),
                  nb_general((double)number->value, 9).text);
    nb_draft_free(&text);
}

/* ---- all of it ---- */

static void show_block(const nb_block_anatomy *a, const nb_shown_block *b, unsigned followed, nb_items *out)
{
    nb_block_number number;
    nb_block_number_of(a, b->data, followed, &number);
    show_fields(a->format, b->data, &number, out);
    show_halves(a->format, b->data, out);
    show_sub_blocks(a, b->data, number.sub_block, out);
    show_codes(a, b->data, followed, out);
    show_values(a, b->data, followed, out);
    follow(a, b, &number, followed, out);
}

/* nibble's own formats lie in a file as bytes of codes, and a key says how to read them. */
static void show_meaning(const nb_gguf *gguf, const nb_gguf_tensor *tensor, nb_items *out)
{
    static const char suffix[] = ".codes";
    char name[80], key[96], text[96];
    nb_string description;
    nb_string_show(tensor->name, name, sizeof name);
    const size_t n = strlen(name), n_suffix = sizeof suffix - 1;
    if (n <= n_suffix || strcmp(name + n - n_suffix, suffix) != 0)
        return;
    name[n - n_suffix] = '\0';
    snprintf(key, sizeof key, "nibble.tensor.%.79s", name);
    if (nb_gguf_string(gguf, key, &description))
        nb_items_text(out,
                      "\nThese bytes are codes of nibble's own: %s is %s. A row's codes follow each other "
                      "from the lowest "
                      "bit on, and its scales are in %s.scale.",
                      key, nb_string_show(description, text, sizeof text), name);
}

/* A block that only its size is known of. */
static void show_bare(const nb_shown_block *b, nb_items *out)
{
    const nb_block_field whole = {"block", "", 0, b->n_bytes};
    nb_items_table(out, hex_columns, 3);
    show_field_bytes(b->data, &whole, NULL, out);
    nb_items_text(out, "nibble knows how large a block of %s is, but not how to read its numbers.",
                  nb_ggml_type_name(b->tensor->type));
}

nb_status nb_inspect_block(const nb_gguf *gguf, const char *tensor, uint64_t block, uint64_t number,
                           nb_items *out, nb_error *error)
{
    const nb_gguf_tensor *found;
    nb_shown_block b;
    nb_status status = find_tensor(gguf, tensor, &found, error);
    if (status == NB_OK)
        status = find_block(gguf, found, block, &b, error);
    if (status != NB_OK)
        return status;
    if (number >= b.n_numbers)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a block of %s holds %u numbers, counted from 0, so there is no number %" PRIu64,
                       nb_ggml_type_name(found->type), b.n_numbers, number);
    show_headline(gguf, &b, out);
    const nb_block_anatomy *a = nb_block_anatomy_find(found->type);
    if (a)
        show_block(a, &b, (unsigned)number, out);
    else if (!nb_inspect_plain(&b, (unsigned)number, out))
        show_bare(&b, out);
    show_meaning(gguf, found, out);
    if (b.index + 1 < b.count && b.index == 0)
        nb_items_text(out, "\nAnother block: " NB_COMMAND "--block 1" NB_END "   another number: " NB_COMMAND
                           "--number 1" NB_END);
    return NB_OK;
}
