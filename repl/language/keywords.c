/* Help for the words that are neither commands nor functions. */
#include "repl/language/language.h"

#include <string.h>

static const struct {
    const char *words, *usage, *summary, *example;
} rows[] = {
    {"def return", "def NAME(x, y=1) = EXPRESSION\ndef NAME(x, y=1) ... return EXPRESSION ... end",
     "a function of your own, in one line or over several; a call may leave out y, which is 1 then",
     "def mine(x, bits=4)\n  s = max(abs(x)) / (2^(bits-1) - 1)\n  return round(x / s) * s\nend"},
    {"if elif else", "if CONDITION ... elif CONDITION ... else ... end",
     "does what stands under the first condition that holds; a condition is a number, and holds unless it is 0",
     "if max(abs(x)) > 6\n  x = clamp(x, -6, 6)\nend"},
    {"for in", "for NAME in EXPRESSION ... end",
     "once for each number of a vector, row of a matrix or item of a list; break leaves it, continue goes on with "
     "the next",
     "for bits in [8, 4, 2]\n  print(bits, 2^bits)\nend"},
    {"while break continue", "while CONDITION ... end",
     "as long as the condition holds; break leaves it, continue goes on with the next round, Ctrl-C stops it",
     "n = 0\nwhile 2^n < 1000\n  n = n + 1\nend"},
    {"end", "def ... end    if ... end    for ... end    while ... end", "where a block over several lines is over",
     "for i in range(3)\n  print(i)\nend"},
    {"and or not", "A and B    A or B    not A", "1 or 0; of an array, for each number",
     "sum(x > 1 and x < 2)"},
};

static bool has_word(const char *words, const char *name)
{
    const size_t n = strlen(name);
    for (const char *at = words; *at; at += strspn(at, " ")) {
        const size_t length = strcspn(at, " ");
        if (length == n && memcmp(at, name, n) == 0)
            return true;
        at += length;
    }
    return false;
}

bool nb_keyword_describe(const char *name, nb_items *out)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!has_word(rows[i].words, name))
            continue;
        nb_items_text(out, NB_STRONG "%s" NB_END "\n%s", rows[i].usage, rows[i].summary);
        nb_items_text(out, "For example:\n" NB_COMMAND "%s" NB_END, rows[i].example);
        return true;
    }
    return false;
}
