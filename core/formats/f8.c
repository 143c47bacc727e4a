#include "formats/format.h"
#include "formats/small_float.h"

/* Both 8-bit floats of the Open Compute Project. Encoding saturates: whatever lies beyond the largest finite
 * number, infinity too, becomes that number. NaN stays NaN. */

/* seeeefff: bias 7. No infinity; 7f is NaN, and the rest of the top binade are numbers, so 448 is the
 * largest. */
static inline uint32_t e4m3_encode(uint32_t bits)
{
    uint32_t sign = bits >> 24 & 0x80, magnitude = bits & 0x7fffffff;
    uint32_t code = nb_small_float_round(magnitude, 3, 7);
    code = code < 0x7e ? code : 0x7e;
    uint32_t is_nan = 0U - (uint32_t)(magnitude > 0x7f800000);
    return sign | nb_select_u32(is_nan, 0x7f, code);
}

static inline uint32_t e4m3_decode(uint32_t code)
{
    uint32_t sign = (code & 0x80) << 24, magnitude = code & 0x7f;
    uint32_t is_nan = 0U - (uint32_t)(magnitude == 0x7f);
    return sign | nb_select_u32(is_nan, 0x7fc00000, nb_small_float_widen(magnitude, 3, 7));
}

/* seeeeeff: bias 15, an f16 without its lower byte. 7c is infinity (never encoded), 7d to 7f are NaN. */
static inline uint32_t e5m2_encode(uint32_t bits)
{
    uint32_t sign = bits >> 24 & 0x80, magnitude = bits & 0x7fffffff;
    uint32_t code = nb_small_float_round(magnitude, 2, 15);
    code = code < 0x7b ? code : 0x7b;
    uint32_t is_nan = 0U - (uint32_t)(magnitude > 0x7f800000);
    return sign | nb_select_u32(is_nan, 0x7f, code);
}

static inline uint32_t e5m2_decode(uint32_t code)
{
    uint32_t sign = (code & 0x80) << 24, magnitude = code & 0x7f;
    uint32_t is_special = 0U - (uint32_t)(magnitude >= 0x7c);
    uint32_t is_nan = 0U - (uint32_t)(magnitude > 0x7c);
    uint32_t special = 0x7f800000 | (is_nan & 0x00400000);
    return sign | nb_select_u32(is_special, special, nb_small_float_widen(magnitude, 2, 15));
}

static uint32_t f8_e4m3_encode(float value)
{
    return e4m3_encode(nb_f32_bits(value));
}
static float f8_e4m3_decode(uint32_t code)
{
    return nb_f32_of_bits(e4m3_decode(code & 0xff));
}
static uint32_t f8_e5m2_encode(float value)
{
    return e5m2_encode(nb_f32_bits(value));
}
static float f8_e5m2_decode(uint32_t code)
{
    return nb_f32_of_bits(e5m2_decode(code & 0xff));
}

static void f8_e4m3_encode_row(const float *values, size_t n, void *codes)
{
    uint8_t *out = codes;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)e4m3_encode(nb_f32_bits(values[i]));
}

static void f8_e4m3_decode_row(const void *codes, size_t n, float *values)
{
    const uint8_t *in = codes;
    for (size_t i = 0; i < n; i++)
        values[i] = nb_f32_of_bits(e4m3_decode(in[i]));
}

static void f8_e5m2_encode_row(const float *values, size_t n, void *codes)
{
    uint8_t *out = codes;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)e5m2_encode(nb_f32_bits(values[i]));
}

static void f8_e5m2_decode_row(const void *codes, size_t n, float *values)
{
    const uint8_t *in = codes;
    for (size_t i = 0; i < n; i++)
        values[i] = nb_f32_of_bits(e5m2_decode(in[i]));
}

const nb_format nb_format_f8_e4m3 = {
    .name = "f8_e4m3",
    .summary = "8-bit float, 4 bits of exponent: up to 448, for weights and activations",
    .source = "OCP 8-bit Floating Point Specification, E4M3",
    .lesson = "floats",
    .kind = NB_FORMAT_FLOAT,
    .bits = 8,
    .exponent_bits = 4,
    .mantissa_bits = 3,
    .bias = 7,
    .max_finite = 448,
    .min_normal = 0x1p-6,
    .min_subnormal = 0x1p-9,
    .has_infinity = false,
    .needs_scale = true,
    .gguf_type = -1,
    .max_rel_rmse = 0.028f,
    .encode = f8_e4m3_encode,
    .decode = f8_e4m3_decode,
    .encode_row = f8_e4m3_encode_row,
    .decode_row = f8_e4m3_decode_row,
};

const nb_format nb_format_f8_e5m2 = {
    .name = "f8_e5m2",
    .summary = "8-bit float, 5 bits of exponent: up to 57344, coarser; for gradients",
    .source = "OCP 8-bit Floating Point Specification, E5M2",
    .lesson = "floats",
    .kind = NB_FORMAT_FLOAT,
    .bits = 8,
    .exponent_bits = 5,
    .mantissa_bits = 2,
    .bias = 15,
    .max_finite = 57344,
    .min_normal = 0x1p-14,
    .min_subnormal = 0x1p-16,
    .has_infinity = true,
    .needs_scale = true,
    .gguf_type = -1,
    .max_rel_rmse = 0.055f,
    .encode = f8_e5m2_encode,
    .decode = f8_e5m2_decode,
    .encode_row = f8_e5m2_encode_row,
    .decode_row = f8_e5m2_decode_row,
};
