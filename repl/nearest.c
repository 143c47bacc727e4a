#include "repl/nearest.h"

#include <string.h>

enum { LONGEST = 63 };

static unsigned char folded(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned nb_edit_distance(const char *a, const char *b)
{
    size_t n = strnlen(a, LONGEST), m = strnlen(b, LONGEST);
    unsigned rows[3][LONGEST + 1];
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above_that = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned replaced = above[j - 1] + (folded(a[i - 1]) != folded(b[j - 1]));
            row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
                folded(a[i - 2]) == folded(b[j - 1]))
                row[j] = least(row[j], above_that[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

void nb_nearest_start(nb_nearest *nearest, const char *wanted)
{
    /* One edit in three letters may be a slip; more is another word. */
    size_t n = strnlen(wanted, LONGEST);
    *nearest = (nb_nearest){.wanted = wanted, .distance = (unsigned)(n < 3 ? 1 : n / 3) + 1};
    if (n == 0)
        nearest->distance = 0;
}

void nb_nearest_offer(nb_nearest *nearest, const char *name)
{
    unsigned distance = nb_edit_distance(nearest->wanted, name);
    /* A name that begins as typed is meant more often than its length tells: "quant" is quantize. */
    size_t n = strnlen(nearest->wanted, LONGEST);
    if (n >= 3 && strncmp(nearest->wanted, name, n) == 0)
        distance = least(distance, 1);
    if (distance < nearest->distance && distance < strlen(name)) {
        nearest->distance = distance;
        nearest->best = name;
    }
}
