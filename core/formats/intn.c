#include "formats/intn.h"

/* N-bit two's complement codes, packed in N bits each, with scales (and zero points) beside them. */
#define INT_FORMAT(n, text, rmse)                                                                            \
    {                                                                                                        \
        .name = "int" #n, .summary = text, .source = "uniform affine quantization", .lesson = "integers",    \
        .kind = NB_FORMAT_INT, .bits = n, .max_finite = (1 << (n - 1)) - 1, .gguf_type = -1,                 \
        .max_rel_rmse = rmse                                                                                 \
    }

const nb_format nb_format_ints[] = {
    INT_FORMAT(2, "2-bit integers with scales: 3 or 4 values", 0.68f),
    INT_FORMAT(3, "3-bit integers with scales: 7 or 8 values", 0.235f),
    INT_FORMAT(4, "4-bit integers with scales: 15 or 16 values", 0.101f),
    INT_FORMAT(5, "5-bit integers with scales: 31 or 32 values", 0.047f),
    INT_FORMAT(6, "6-bit integers with scales: 63 or 64 values", 0.023f),
    INT_FORMAT(7, "7-bit integers with scales: 127 or 128 values", 0.0113f),
    INT_FORMAT(8, "8-bit integers with scales: 255 or 256 values", 0.0056f),
};
