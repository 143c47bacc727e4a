#include "plots/kitty.h"

#include "plots/base64.h"

enum { CHUNK_BYTES = 3072 }; /* 4096 letters of base64 */

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
        nb_base64(out, png + offset, n);
        nb_buffer_text(out, "\033\\");
    }
}
