/* Fetching the next panel's codes while one is multiplied: they come from memory, which would otherwise be
 * idle meanwhile and be waited for afterwards. */
#ifndef NB_KERNELS_FETCH_H
#define NB_KERNELS_FETCH_H

#include "base/memory.h"
#include "kernels/packed.h"

enum { NB_FETCH_LINE = 64 };

/* Lines of some row groups that are not asked for yet. */
typedef struct nb_fetch {
    const uint8_t *group;
    size_t group_bytes, n_groups;
    size_t line, n_lines; /* of a row group */
    size_t lines_at_once;
} nb_fetch;

/* n_bytes of each of n_groups row groups, from byte `first` of `group` on, to be asked for
 * in n_times calls. */
static inline nb_fetch nb_fetch_plan(const nb_packed *w, size_t group, size_t n_groups, size_t first,
                                     size_t n_bytes, size_t n_times)
{
    nb_fetch fetch = {.group_bytes = w->row_group_bytes, .n_groups = n_groups};
    fetch.group = w->codes + group * w->row_group_bytes + first;
    fetch.n_lines = nb_div_up(n_bytes, NB_FETCH_LINE);
    fetch.lines_at_once = nb_div_up(fetch.n_lines * n_groups, n_times);
    return fetch;
}

static inline void nb_fetch_some(nb_fetch *fetch)
{
    for (size_t i = 0; i < fetch->lines_at_once && fetch->n_groups > 0; i++) {
        __builtin_prefetch(fetch->group + NB_FETCH_LINE * fetch->line, 0, 2);
        if (++fetch->line == fetch->n_lines) {
            fetch->line = 0;
            fetch->group += fetch->group_bytes;
            fetch->n_groups--;
        }
    }
}

#endif
