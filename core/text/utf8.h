/* UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef NB_TEXT_UTF8_H
#define NB_TEXT_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed sequence that text[0..n) starts with; 0 if it starts with none. */
size_t nb_utf8_sequence(const char *text, size_t n);
/* The longest well-formed beginning of text[0..n), in bytes. */
size_t nb_utf8_valid_prefix(const char *text, size_t n);
/* Bytes of the character at text[0..n), n > 0, where a byte that belongs to no sequence counts as one. */
static inline size_t nb_utf8_step(const char *text, size_t n)
{
    if ((unsigned char)text[0] < 0x80) {
        return 1;
    }
    size_t length = nb_utf8_sequence(text, n);
    return length ? length : 1;
}

#endif
