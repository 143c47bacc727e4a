/* The kitty graphics protocol: PNG bytes in base64, in escape sequences. */
#ifndef NB_PLOTS_KITTY_H
#define NB_PLOTS_KITTY_H

#include "plots/buffer.h"

#include <stdint.h>

/* Shows a PNG at the cursor over `columns` by `rows` cells (0: its own size), quietly (no reply), in chunks
 * of at most 4096 bytes of base64. */
void nb_kitty_show(nb_buffer *out, const uint8_t *png, size_t n_bytes, int columns, int rows);

#endif
