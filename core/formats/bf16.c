#include "formats/format.h"
#include "formats/small_float.h"

/* The upper half of an f32: the same exponent, so the same range, and 7 bits of fraction. */
static inline uint32_t encode(uint32_t bits)
{
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    /* Rounding would carry some NaNs into infinity or past the sign. */
    uint32_t is_nan = 0U - (uint32_t)((bits & 0x7fffffff) > 0x7f800000);
    return nb_select_u32(is_nan, bits >> 16 | 0x40, rounded);
}

static inline uint32_t decode(uint32_t code)
{
    uint32_t is_nan = 0U - (uint32_t)((code & 0x7fff) > 0x7f80);
    return code << 16 | (is_nan & 0x00400000);
}

uint16_t nb_bf16_from_f32(float value)
{
    return (uint16_t)encode(nb_f32_bits(value));
}
float nb_f32_from_bf16(uint16_t code)
{
    return nb_f32_of_bits(decode(code));
}

static uint32_t bf16_encode(float value)
{
    return encode(nb_f32_bits(value));
}
static float bf16_decode(uint32_t code)
{
    return nb_f32_of_bits(decode(code & 0xffff));
}

static void bf16_encode_row(const float *values, size_t n, void *codes)
{
    uint8_t *out = codes;
    for (size_t i = 0; i < n; i++) {
        uint16_t code = (uint16_t)encode(nb_f32_bits(values[i]));
        memcpy(out + 2 * i, &code, sizeof code);
    }
}

static void bf16_decode_row(const void *codes, size_t n, float *values)
{
    const uint8_t *in = codes;
    for (size_t i = 0; i < n; i++) {
        uint16_t code;
        memcpy(&code, in + 2 * i, sizeof code);
        values[i] = nb_f32_of_bits(decode(code));
    }
}

const nb_format nb_format_bf16 = {
    .name = "bf16",
    .summary = "16-bit float with the range of f32 and 2 digits",
    .source = "Google Brain float (upper half of IEEE 754 binary32)",
    .lesson = "floats",
    .kind = NB_FORMAT_FLOAT,
    .bits = 16,
    .exponent_bits = 8,
    .mantissa_bits = 7,
    .bias = 127,
    .max_finite = 0x1.fep127,
    .min_normal = 0x1p-126,
    .min_subnormal = 0x1p-133,
    .has_infinity = true,
    .gguf_type = 30,
    .max_rel_rmse = 1.75e-3f,
    .encode = bf16_encode,
    .decode = bf16_decode,
    .encode_row = bf16_encode_row,
    .decode_row = bf16_decode_row,
};
