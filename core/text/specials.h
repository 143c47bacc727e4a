/* Tokens that are cut out of a text before anything else: control tokens if the caller says so, and those
 * that the vocabulary's makers added by hand, always. */
#ifndef NB_TEXT_SPECIALS_H
#define NB_TEXT_SPECIALS_H

#include "base/status.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nb_special {
    nb_string text;
    int32_t token;
    bool is_control;
} nb_special;
typedef struct nb_specials {
    nb_special *sorted; /* by text */
    size_t count, n_user;
    uint32_t first[257]; /* those that start with byte b: sorted[first[b]] to sorted[first[b + 1]] */
} nb_specials;

/* Sorts what was put into `sorted` and builds the index. */
void nb_specials_sort(nb_specials *specials);
/* The longest special token that text[0..n) starts with, or NULL. */
const nb_special *nb_specials_match(const nb_specials *specials, const char *text, size_t n,
                                    bool with_control);

#endif
