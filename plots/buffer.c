#include "plots/buffer.h"

#include "base/memory.h"
#include "base/print.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(nb_buffer *buffer, size_t n_more)
{
    size_t needed;
    if (buffer->failed)
        return false;
    if (!nb_add_size(buffer->n_bytes, n_more, &needed) || !nb_add_size(needed, 1, &needed)) {
        buffer->failed = true;
        return false;
    }
    if (needed <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity;
    while (capacity < needed && nb_mul_size(capacity, 2, &capacity))
        continue;
    char *bytes = nb_realloc(buffer->bytes, capacity < needed ? needed : capacity, 1);
    if (!bytes) {
        buffer->failed = true;
        return false;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

void nb_buffer_add(nb_buffer *buffer, const void *bytes, size_t n_bytes)
{
    if (n_bytes == 0 || !reserve(buffer, n_bytes))
        return;
    memcpy(buffer->bytes + buffer->n_bytes, bytes, n_bytes);
    buffer->n_bytes += n_bytes;
    buffer->bytes[buffer->n_bytes] = '\0';
}

void nb_buffer_text(nb_buffer *buffer, const char *text)
{
    nb_buffer_add(buffer, text, strlen(text));
}

void nb_buffer_format(nb_buffer *buffer, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof(text))
        buffer->failed = true;
    else
        nb_buffer_add(buffer, text, (size_t)n);
}

void nb_buffer_number(nb_buffer *buffer, double value)
{
    char text[32];
    nb_buffer_text(buffer, isnan(value) ? "NaN" : nb_print_f64(text, sizeof(text), value));
}

void nb_buffer_rune(nb_buffer *buffer, unsigned rune)
{
    unsigned char text[4];
    size_t n = 0;
    if (rune < 0x80) {
        text[n++] = (unsigned char)rune;
    } else if (rune < 0x800) {
        text[n++] = (unsigned char)(0xc0 | rune >> 6);
    } else if (rune < 0x10000) {
        text[n++] = (unsigned char)(0xe0 | rune >> 12);
        text[n++] = (unsigned char)(0x80 | (rune >> 6 & 0x3f));
    } else {
        text[n++] = (unsigned char)(0xf0 | (rune >> 18 & 7));
        text[n++] = (unsigned char)(0x80 | (rune >> 12 & 0x3f));
        text[n++] = (unsigned char)(0x80 | (rune >> 6 & 0x3f));
    }
    if (rune >= 0x80)
        text[n++] = (unsigned char)(0x80 | (rune & 0x3f));
    nb_buffer_add(buffer, text, n);
}

void nb_buffer_free(nb_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (nb_buffer){0};
}

nb_status nb_buffer_take(nb_buffer *buffer, char **bytes, size_t *n_bytes, nb_error *error)
{
    if (!buffer->failed && !buffer->bytes)
        reserve(buffer, 0);
    if (buffer->failed) {
        nb_buffer_free(buffer);
        return nb_fail(error, NB_ERR_MEMORY, "no memory left to draw the figure");
    }
    buffer->bytes[buffer->n_bytes] = '\0';
    *bytes = buffer->bytes;
    *n_bytes = buffer->n_bytes;
    *buffer = (nb_buffer){0};
    return NB_OK;
}
