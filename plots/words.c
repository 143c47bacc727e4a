#include "plots/words.h"

#include <stdint.h>
#include <string.h>

enum { REPLACEMENT = 0xfffd, ELLIPSIS = 0x2026 };

/* ---- code points ---- */

unsigned nb_rune_next(const char **text)
{
    const unsigned char *s = (const unsigned char *)*text;
    int n_more = s[0] < 0x80 ? 0 : s[0] >= 0xc2 && s[0] < 0xe0 ? 1 : s[0] >= 0xe0 && s[0] < 0xf0 ? 2 : 3;
    if (s[0] >= 0x80 && (s[0] < 0xc2 || s[0] > 0xf4)) {
        *text += 1;
        return REPLACEMENT;
    }
    unsigned rune = n_more == 0 ? s[0] : s[0] & (0x3fu >> n_more);
    for (int i = 1; i <= n_more; i++) {
        if ((s[i] & 0xc0) != 0x80) { /* the terminating zero, too */
            *text += 1;
            return REPLACEMENT;
        }
        rune = rune << 6 | (s[i] & 0x3fu);
    }
    static const unsigned smallest[] = {0, 0x80, 0x800, 0x10000};
    if (rune < smallest[n_more] || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000)) {
        *text += 1;
        return REPLACEMENT;
    }
    *text += n_more + 1;
    return rune;
}

struct range {
    unsigned first, last;
};

static bool is_in(const struct range *ranges, size_t n, unsigned rune)
{
    for (size_t i = 0; i < n; i++)
        if (rune >= ranges[i].first && rune <= ranges[i].last)
            return true;
    return false;
}

bool nb_rune_is_control(unsigned rune)
{
    static const struct range controls[] = {
        {0x00, 0x1f}, {0x7f, 0x9f}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}, {0xfeff, 0xfeff},
    };
    return is_in(controls, sizeof(controls) / sizeof(controls[0]), rune);
}

/* The blocks that matter in names and titles; the Unicode tables have finer ones. */
int nb_rune_columns(unsigned rune)
{
    static const struct range none[] = {
        {0x0300, 0x036f}, {0x200b, 0x200d}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
    };
    static const struct range wide[] = {
        {0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
        {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd},
    };
    if (is_in(none, sizeof(none) / sizeof(none[0]), rune))
        return 0;
    return is_in(wide, sizeof(wide) / sizeof(wide[0]), rune) ? 2 : 1;
}

/* ---- widths ---- */

/* Advance widths of DejaVu Sans and DejaVu Sans Bold, in hundredths of an em, from ' ' to '~'. */
static const uint8_t sans[95] = {
    32, 40, 46, 84, 64, 95, 78, 27, 39,  39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79,
    60, 79, 69, 63, 61, 73, 68, 99, 69,  61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63,
    63, 28, 28, 58, 28, 97, 63, 61, 63,  63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
};
static const uint8_t sans_bold[95] = {
    35, 46, 52, 84, 70, 100, 87, 31,  46,  46, 52, 84, 38, 42, 38, 37, 70, 70, 70, 70, 70, 70,  70, 70,
    70, 70, 40, 40, 84, 84,  84, 58,  100, 77, 76, 73, 83, 68, 68, 82, 84, 37, 37, 77, 64, 100, 84, 85,
    73, 85, 77, 72, 68, 81,  77, 110, 77,  72, 73, 46, 37, 46, 84, 50, 50, 67, 72, 59, 72, 68,  44, 72,
    71, 34, 34, 67, 34, 104, 71, 69,  72,  72, 49, 60, 48, 71, 65, 92, 65, 65, 58, 71, 37, 71,  84,
};

static double other_ems(unsigned rune)
{
    if (rune == 0xb7) /* the middle dot between parts of a subline */
        return 0.38;
    return rune >= 0x2000 ? 1.0 : 0.8 * nb_rune_columns(rune);
}

double nb_width_columns(unsigned rune)
{
    return nb_rune_columns(rune);
}
double nb_width_sans(unsigned rune)
{
    return rune >= 32 && rune < 127 ? sans[rune - 32] / 100.0 : other_ems(rune);
}
double nb_width_sans_bold(unsigned rune)
{
    return rune >= 32 && rune < 127 ? sans_bold[rune - 32] / 100.0 : other_ems(rune);
}

static double span_width(const char *begin, const char *end, nb_rune_width *width)
{
    double total = 0;
    while (begin < end)
        total += width(nb_rune_next(&begin));
    return total;
}

double nb_words_width(const char *text, nb_rune_width *width)
{
    return span_width(text, text + strlen(text), width);
}

/* ---- fitting ---- */

static const char *stand_in(unsigned rune)
{
    switch (rune) {
    case 0xb7:
    case 0x2212:
    case 0x2013:
    case 0x2014:
        return "-";
    case 0xb1:
        return "+/-";
    case 0xd7:
        return "x";
    case ELLIPSIS:
        return "..";
    case 0x2018:
    case 0x2019:
    case 0x2039:
    case 0x203a:
        return "'";
    case 0x2192:
        return "->";
    default:
        return "?";
    }
}

/* Everything that is measured afterwards went through here. */
static void clean(nb_buffer *out, const char *text, bool ascii)
{
    while (*text) {
        unsigned rune = nb_rune_next(&text);
        if (nb_rune_is_control(rune))
            nb_buffer_text(out, "?");
        else if (ascii && rune >= 0x80)
            nb_buffer_text(out, stand_in(rune));
        else
            nb_buffer_rune(out, rune);
    }
}

static void find_longest_word(const char *text, const char **begin, const char **end)
{
    *begin = *end = text;
    for (const char *word = text; *word;) {
        size_t n = strcspn(word, " ");
        if (n > (size_t)(*end - *begin)) {
            *begin = word;
            *end = word + n;
        }
        word += n + (word[n] == ' ');
    }
}

/* The start of `begin`..`end` that fits into `room`. */
static const char *longest_head(const char *begin, const char *end, double room, nb_rune_width *width)
{
    while (begin < end) {
        const char *next = begin;
        room -= width(nb_rune_next(&next));
        if (room < 0)
            break;
        begin = next;
    }
    return begin;
}

/* The tail of it that does. */
static const char *longest_tail(const char *begin, const char *end, double room, nb_rune_width *width)
{
    while (begin < end && span_width(begin, end, width) > room)
        nb_rune_next(&begin);
    return begin;
}

/* "a  b" becomes "a b". */
static void close_gaps(char *text)
{
    char *kept = text;
    for (const char *at = text; *at; at++)
        if (*at != ' ' || at == text || at[-1] != ' ')
            *kept++ = *at;
    *kept = '\0';
}

void nb_words_fit(nb_buffer *out, const char *text, double room, nb_rune_width *width, bool ascii)
{
    nb_buffer cleaned = {0};
    clean(&cleaned, text, ascii);
    if (cleaned.failed) {
        nb_buffer_free(&cleaned);
        out->failed = true;
        return;
    }
    if (cleaned.bytes && nb_words_width(cleaned.bytes, width) > room)
        close_gaps(cleaned.bytes);
    const char *all = cleaned.bytes ? cleaned.bytes : "", *end = all + strlen(all);
    const char *dots = ascii ? ".." : "…";
    double dots_width = nb_words_width(dots, width), excess = nb_words_width(all, width) - room;
    const char *begin_word, *end_word;
    find_longest_word(all, &begin_word, &end_word);
    double word_room = span_width(begin_word, end_word, width) - excess - dots_width;
    if (excess <= 0) {
        nb_buffer_add(out, all, (size_t)(end - all));
    } else if (word_room >= 12 * width('n')) { /* enough of the word is left to know it by */
        const char *tail = longest_tail(begin_word, end_word, 0.6 * word_room, width);
        const char *head =
            longest_head(begin_word, tail, word_room - span_width(tail, end_word, width), width);
        nb_buffer_add(out, all, (size_t)(head - all));
        nb_buffer_text(out, dots);
        nb_buffer_add(out, tail, (size_t)(end - tail));
    } else if (room >= dots_width) {
        const char *head = longest_head(all, end, room - dots_width, width);
        while (head > all && head[-1] == ' ')
            head--;
        nb_buffer_add(out, all, (size_t)(head - all));
        nb_buffer_text(out, dots);
    }
    nb_buffer_free(&cleaned);
}
