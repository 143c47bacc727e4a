#include "formats/format.h"
#include "formats/small_float.h"

/* sign eeeee ffffffffff: bias 15, subnormals down to 2^-24, infinity 7c00, NaN above. */
static inline uint32_t encode(uint32_t bits)
{
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t code = nb_small_float_round(magnitude, 10, 15);
    code = code < 0x7c00 ? code : 0x7c00; /* from 65520 on: infinity */
    uint32_t is_nan = 0U - (uint32_t)(magnitude > 0x7f800000);
    return sign | nb_select_u32(is_nan, 0x7e00 | (magnitude >> 13 & 0x3ff), code);
}

static inline uint32_t decode(uint32_t code)
{
    uint32_t sign = (code & 0x8000) << 16, magnitude = code & 0x7fff;
    uint32_t bits = nb_small_float_widen(magnitude, 10, 15);
    uint32_t is_special = 0U - (uint32_t)(magnitude >= 0x7c00);
    uint32_t is_nan = 0U - (uint32_t)(magnitude > 0x7c00);
    return sign | bits | (is_special & 0x7f800000) | (is_nan & 0x00400000);
}

uint16_t nb_f16_from_f32(float value)
{
    return (uint16_t)encode(nb_f32_bits(value));
}
float nb_f32_from_f16(uint16_t code)
{
    return nb_f32_of_bits(decode(code));
}

static uint32_t f16_encode(float value)
{
    return encode(nb_f32_bits(value));
}
static float f16_decode(uint32_t code)
{
    return nb_f32_of_bits(decode(code & 0xffff));
}

static void f16_encode_row(const float *values, size_t n, void *codes)
{
    uint8_t *out = codes;
    for (size_t i = 0; i < n; i++) {
        uint16_t code = (uint16_t)encode(nb_f32_bits(values[i]));
        memcpy(out + 2 * i, &code, sizeof code);
    }
}

static void f16_decode_row(const void *codes, size_t n, float *values)
{
    const uint8_t *in = codes;
    for (size_t i = 0; i < n; i++) {
        uint16_t code;
        memcpy(&code, in + 2 * i, sizeof code);
        values[i] = nb_f32_of_bits(decode(code));
    }
}

const nb_format nb_format_f16 = {
    .name = "f16",
    .summary = "16-bit float: 3 digits, nothing beyond 65504",
    .source = "IEEE 754-2019, binary16",
    .lesson = "floats",
    .kind = NB_FORMAT_FLOAT,
    .bits = 16,
    .exponent_bits = 5,
    .mantissa_bits = 10,
    .bias = 15,
    .max_finite = 65504,
    .min_normal = 0x1p-14,
    .min_subnormal = 0x1p-24,
    .has_infinity = true,
    .gguf_type = 1,
    .max_rel_rmse = 2.2e-4f,
    .encode = f16_encode,
    .decode = f16_decode,
    .encode_row = f16_encode_row,
    .decode_row = f16_decode_row,
};
