#include "formats/format.h"
#include "formats/small_float.h"

#include <float.h>

static uint32_t f32_encode(float value)
{
    return nb_f32_bits(value);
}
static float f32_decode(uint32_t code)
{
    return nb_f32_of_bits(code);
}
static void f32_encode_row(const float *values, size_t n, void *codes)
{
    memcpy(codes, values, n * sizeof *values);
}
static void f32_decode_row(const void *codes, size_t n, float *values)
{
    memcpy(values, codes, n * sizeof *values);
}

const nb_format nb_format_f32 = {
    .name = "f32",
    .summary = "32-bit float: what models are trained in; about 7 decimal digits",
    .source = "IEEE 754-2019, binary32",
    .lesson = "floats",
    .kind = NB_FORMAT_FLOAT,
    .bits = 32,
    .exponent_bits = 8,
    .mantissa_bits = 23,
    .bias = 127,
    .max_finite = FLT_MAX,
    .min_normal = FLT_MIN,
    .min_subnormal = 0x1p-149,
    .has_infinity = true,
    .gguf_type = 0,
    .max_rel_rmse = 0,
    .encode = f32_encode,
    .decode = f32_decode,
    .encode_row = f32_encode_row,
    .decode_row = f32_decode_row,
};
