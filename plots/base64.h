/* Bytes as letters (RFC 4648, section 4). */
#ifndef NB_PLOTS_BASE64_H
#define NB_PLOTS_BASE64_H

#include "plots/buffer.h"

#include <stdint.h>

void nb_base64(nb_buffer *out, const uint8_t *bytes, size_t n);

#endif
