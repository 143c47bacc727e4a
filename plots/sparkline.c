#include "plots/plots.h"

#include <string.h>

/* Each cell is scaled to the highest count; what is there shows at least the lowest mark. */
void nb_sparkline(const uint64_t *counts, size_t n, bool utf8, char *text, size_t size)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const marks[] = {" ", ".", ":", "-", "=", "+", "*", "#", "%"};
    uint64_t highest = 0;
    size_t used = 0;
    if (size == 0)
        return;
    for (size_t i = 0; i < n; i++)
        highest = counts[i] > highest ? counts[i] : highest;
    for (size_t i = 0; i < n; i++) {
        int level = 0;
        if (counts[i] > 0) {
            level = (int)(8 * ((double)counts[i] / (double)highest) + 0.5);
            level = level < 1 ? 1 : level > 8 ? 8 : level;
        }
        const char *mark = (utf8 ? blocks : marks)[level];
        size_t n_bytes = strlen(mark);
        if (used + n_bytes >= size)
            break;
        memcpy(text + used, mark, n_bytes);
        used += n_bytes;
    }
    text[used] = '\0';
}
