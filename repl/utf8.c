#include "repl/utf8.h"

uint32_t nb_utf8_decode(const char *text, size_t n, size_t *used)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text[0];
    *used = 1;
    if (first < 0x80)
        return first;
    size_t length = first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
    if (length == 0 || first >= 0xf8 || length > n)
        return 0xfffd;
    uint32_t code_point = first & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        unsigned char next = (unsigned char)text[i];
        if ((next & 0xc0) != 0x80)
            return 0xfffd;
        code_point = code_point << 6 | (next & 0x3f);
    }
    if (code_point < smallest[length] || code_point > 0x10ffff ||
        (code_point >= 0xd800 && code_point < 0xe000))
        return 0xfffd;
    *used = length;
    return code_point;
}

typedef struct range {
    uint32_t first, last;
} range;

/* Blocks rather than single characters: what terminals agree on. Source: Unicode, EastAsianWidth.txt (W and
 * F). */
static const range wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x2614, 0x2615},   {0x2648, 0x2653},
    {0x26aa, 0x26ab},   {0x26bd, 0x26be},   {0x26c4, 0x26c5},   {0x2705, 0x2705},   {0x270a, 0x270b},
    {0x2728, 0x2728},   {0x274c, 0x274c},   {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},
    {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xa960, 0xa97c},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe10, 0xfe19},   {0xfe30, 0xfe6f},   {0xff01, 0xff60},   {0xffe0, 0xffe6},   {0x16fe0, 0x18aff},
    {0x1b000, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a},
    {0x1f200, 0x1f320}, {0x1f32d, 0x1f335}, {0x1f337, 0x1f37c}, {0x1f37e, 0x1f393}, {0x1f3a0, 0x1f3ca},
    {0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0}, {0x1f3f8, 0x1f43e}, {0x1f440, 0x1f440}, {0x1f442, 0x1f4fc},
    {0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f567}, {0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4}, {0x1f5fb, 0x1f64f},
    {0x1f680, 0x1f6c5}, {0x1f6cc, 0x1f6cc}, {0x1f6d0, 0x1f6d7}, {0x1f6dc, 0x1f6df}, {0x1f6eb, 0x1f6ec},
    {0x1f6f4, 0x1f6fc}, {0x1f7e0, 0x1f7f0}, {0x1f90c, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

static const range combining[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489},   {0x0591, 0x05bd},   {0x0610, 0x061a}, {0x064b, 0x065f},
    {0x0900, 0x0902}, {0x093c, 0x093c},   {0x0941, 0x0948},   {0x094d, 0x094d}, {0x0e31, 0x0e31},
    {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e},   {0x1ab0, 0x1aff},   {0x1dc0, 0x1dff}, {0x200b, 0x200f},
    {0x202a, 0x202e}, {0x2060, 0x2064},   {0x20d0, 0x20ff},   {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
    {0xfeff, 0xfeff}, {0x1f3fb, 0x1f3ff}, {0xe0100, 0xe01ef},
};

static bool in_ranges(uint32_t code_point, const range *ranges, size_t n)
{
    size_t low = 0;
    while (low < n) {
        size_t middle = low + (n - low) / 2;
        if (code_point < ranges[middle].first)
            n = middle;
        else if (code_point > ranges[middle].last)
            low = middle + 1;
        else
            return true;
    }
    return false;
}

int nb_utf8_columns(uint32_t code_point)
{
    if (code_point < 0x20)
        return code_point >= 1 && code_point <= 7 ? 0 : 1; /* the marks of items.h; others are shown as '?' */
    if (code_point < 0x300)
        return 1;
    if (in_ranges(code_point, combining, sizeof combining / sizeof *combining))
        return 0;
    return in_ranges(code_point, wide, sizeof wide / sizeof *wide) ? 2 : 1;
}

size_t nb_utf8_width(const char *text, size_t n)
{
    size_t width = 0, used;
    for (size_t i = 0; i < n; i += used)
        width += (size_t)nb_utf8_columns(nb_utf8_decode(text + i, n - i, &used));
    return width;
}

size_t nb_utf8_fit(const char *text, size_t n, size_t columns, bool at_words)
{
    size_t width = 0, used, after_blank = 0;
    for (size_t i = 0; i < n; i += used) {
        uint32_t code_point = nb_utf8_decode(text + i, n - i, &used);
        if (code_point == '\n')
            return i + 1;
        width += (size_t)nb_utf8_columns(code_point);
        if (width > columns && i > 0) {
            if (at_words && code_point == ' ')
                return i + 1; /* a blank may hang over the edge: it is not shown */
            return at_words && after_blank ? after_blank : i;
        }
        if (code_point == ' ')
            after_blank = i + 1;
    }
    return n;
}
