#include "plots/kitty.h"

enum { CHUNK_BYTES = 3072 }; /* 4096 letters of base64 */

static void add_base64(nb_buffer *out, const uint8_t *bytes, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[CHUNK_BYTES / 3 * 4];
    size_t used = 0;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        unsigned bits = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                        (left > 2 ? bytes[i + 2] : 0u);
        text[used++] = letters[bits >> 18];
        text[used++] = letters[bits >> 12 & 63];
        text[used++] = left > 1 ? letters[bits >> 6 & 63] : '=';
        text[used++] = left > 2 ? letters[bits & 63] : '=';
    }
    nb_buffer_add(out, text, used);
}

void nb_kitty_show(nb_buffer *out, const uint8_t *png, size_t n_bytes, int columns, int rows)
{
    for (size_t offset = 0; offset < n_bytes; offset += CHUNK_BYTES) {
        size_t n = n_bytes - offset < CHUNK_BYTES ? n_bytes - offset : CHUNK_BYTES;
        bool more = offset + n < n_bytes;
        nb_buffer_text(out, "\033_G");
        if (offset == 0) {
            nb_buffer_text(out, "a=T,f=100,q=2,");
            if (columns > 0 && rows > 0)
                nb_buffer_format(out, "c=%d,r=%d,", columns, rows);
        }
        nb_buffer_format(out, "m=%d;", more);
        add_base64(out, png + offset, n);
        nb_buffer_text(out, "\033\\");
    }
}
