#include "text/specials.h"

#include <stdlib.h>

static int compare_texts(const void *a, const void *b)
{
    const nb_special *left = a, *right = b;
    size_t shorter = left->text.n_bytes < right->text.n_bytes ? left->text.n_bytes : right->text.n_bytes;
    int order = memcmp(left->text.text, right->text.text, shorter);
    if (order == 0) {
        order = (left->text.n_bytes > right->text.n_bytes) - (left->text.n_bytes < right->text.n_bytes);
    }
    return order ? order : (left->token > right->token) - (left->token < right->token);
}

static unsigned first_byte(const nb_special *special)
{
    return (unsigned char)special->text.text[0];
}

void nb_specials_sort(nb_specials *specials)
{
    if (specials->count > 0) {
        qsort(specials->sorted, specials->count, sizeof *specials->sorted, compare_texts);
    }
    size_t at = 0;
    specials->n_user = 0;
    for (unsigned byte = 0; byte <= 256; byte++) {
        for (; at < specials->count && first_byte(&specials->sorted[at]) < byte; at++) {
            specials->n_user += !specials->sorted[at].is_control;
        }
        specials->first[byte] = (uint32_t)at;
    }
}

/* The first of sorted[low..high) whose byte `depth` is at least `byte`; those too short come first. */
static size_t lower_bound(const nb_specials *specials, size_t low, size_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        nb_string text = specials->sorted[middle].text;
        if (text.n_bytes <= depth || (unsigned char)text.text[depth] < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Narrows the sorted range byte by byte; within it, a text that ends here stands first. */
const nb_special *nb_specials_match(const nb_specials *specials, const char *text, size_t n,
                                    bool with_control)
{
    const nb_special *longest = NULL;
    unsigned byte = (unsigned char)text[0];
    size_t low = specials->first[byte], high = specials->first[byte + 1];
    for (size_t depth = 1; low < high; depth++) {
        for (size_t i = low; i < high && specials->sorted[i].text.n_bytes == depth; i++) {
            if (with_control || !specials->sorted[i].is_control) {
                longest = &specials->sorted[i];
                break;
            }
        }
        if (depth == n) {
            break;
        }
        byte = (unsigned char)text[depth];
        low = lower_bound(specials, low, high, depth, byte);
        high = lower_bound(specials, low, high, depth, byte + 1);
    }
    return longest;
}
