/* A growing run of bytes. A failed allocation is remembered: append freely, ask once at the end. */
#ifndef NB_PLOTS_BUFFER_H
#define NB_PLOTS_BUFFER_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct nb_buffer {
    char *bytes; /* ends in a zero that n_bytes does not count; NULL while empty */
    size_t n_bytes, capacity;
    bool failed;
} nb_buffer;

void nb_buffer_add(nb_buffer *buffer, const void *bytes, size_t n_bytes);
void nb_buffer_text(nb_buffer *buffer, const char *text);
void nb_buffer_format(nb_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `value` as the shortest decimal that reads back the same, whatever the locale; NaN as "NaN". */
void nb_buffer_number(nb_buffer *buffer, double value);
/* One code point as UTF-8. */
void nb_buffer_rune(nb_buffer *buffer, unsigned rune);
void nb_buffer_free(nb_buffer *buffer);
/* Hands the bytes to the caller (who frees them), or says that memory ran out. */
nb_status nb_buffer_take(nb_buffer *buffer, char **bytes, size_t *n_bytes, nb_error *error);

#endif
