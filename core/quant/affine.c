#include "quant/affine.h"

#include "formats/small_float.h"

#include <float.h>
#include <math.h>

/* ---- ranges ---- */

/* Signed integers that order like the floats whose bits they are: negative floats have their magnitude
 * flipped. Infinity and NaN lie beyond every number on either side, so that one integer maximum finds all
 * three. */
static inline int32_t key_of(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ (bits < 0 ? INT32_MAX : 0);
}

static float number_of(int32_t key)
{
    int32_t bits = key ^ (key < 0 ? INT32_MAX : 0);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

nb_range nb_range_empty(void)
{
    return (nb_range){INT32_MAX, INT32_MIN};
}

void nb_range_add(nb_range *range, const float *x, size_t n)
{
    int32_t low = range->low_key, high = range->high_key;
    for (size_t i = 0; i < n; i++) {
        int32_t key = key_of(x[i]);
        low = key < low ? key : low;
        high = key > high ? key : high;
    }
    range->low_key = low;
    range->high_key = high;
}

void nb_range_merge(nb_range *range, const nb_range *other)
{
    range->low_key = other->low_key < range->low_key ? other->low_key : range->low_key;
    range->high_key = other->high_key > range->high_key ? other->high_key : range->high_key;
}

bool nb_range_is_finite(const nb_range *range)
{
    return range->high_key < key_of(INFINITY) && range->low_key > key_of(-INFINITY);
}

float nb_range_low(const nb_range *range)
{
    return number_of(range->low_key);
}
float nb_range_high(const nb_range *range)
{
    return number_of(range->high_key);
}

float nb_range_absmax(const nb_range *range)
{
    float low = fabsf(nb_range_low(range)), high = fabsf(nb_range_high(range));
    return high > low ? high : low;
}

/* ---- scales ---- */

/* The scale as it will be stored: above 0, and finite unless it is too large. */
static float stored_scale(float scale, const nb_quantizer *quantizer)
{
    if (quantizer->scales_f32)
        return scale > 0 ? scale : 0x1p-149f;
    float rounded = nb_f32_from_f16(nb_f16_from_f32(scale));
    return rounded > 0 ? rounded : 0x1p-24f;
}

static nb_affine_problem take_scale(nb_affine *affine, float scale, const nb_quantizer *quantizer)
{
    affine->scale = stored_scale(scale, quantizer);
    if (affine->scale < INFINITY)
        return NB_AFFINE_FINE;
    affine->wanted = scale;
    affine->scale = quantizer->scales_f32 ? FLT_MAX : 65504;
    return NB_AFFINE_SCALE;
}

/* s = max / 127. */
static nb_affine_problem choose_dividing(const nb_range *range, const nb_quantizer *quantizer, nb_affine *out)
{
    if (quantizer->scheme == NB_SCHEME_ABSMAX)
        return take_scale(out, nb_range_absmax(range) / (float)out->highest, quantizer);
    float low = nb_range_low(range), high = nb_range_high(range);
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
    nb_affine_problem problem =
        take_scale(out, (high - low) / (float)(out->highest - out->lowest), quantizer);
    float zero = rintf((float)out->lowest - low / out->scale);
    zero = zero > (float)out->lowest ? zero : (float)out->lowest;
    zero = zero < (float)out->highest ? zero : (float)out->highest;
    out->zero = (int32_t)zero;
    return problem;
}

/* m = 127 / max. A stored scale is 1 / m, and with f16 scales m is what the rounded one says. */
static nb_affine_problem choose_multiplying(const nb_range *range, const nb_quantizer *quantizer,
                                            nb_affine *out)
{
    bool absmax = quantizer->scheme == NB_SCHEME_ABSMAX;
    float low = nb_range_low(range);
    float span = absmax ? nb_range_absmax(range) : nb_range_high(range) - low;
    float multiplier = (float)(absmax ? out->highest : out->highest - out->lowest) / (span == 0 ? 1 : span);
    multiplier = multiplier < FLT_MAX ? multiplier : FLT_MAX;
    nb_affine_problem problem = take_scale(out, 1 / multiplier, quantizer);
    out->multiplier = quantizer->scales_f32 && problem == NB_AFFINE_FINE ? multiplier : 1 / out->scale;
    if (absmax)
        return problem;
    float zero = rintf(-out->multiplier * low + (float)out->lowest);
    if (problem == NB_AFFINE_FINE && !(zero >= (float)out->lowest && zero <= (float)out->highest)) {
        out->wanted = zero;
        problem = NB_AFFINE_ZERO;
    }
    zero = zero > -1e9f ? zero : -1e9f;
    out->zero = (int32_t)(zero < 1e9f ? zero : 1e9f);
    return problem;
}

nb_affine_problem nb_affine_choose(const nb_range *range, const nb_quantizer *quantizer, nb_affine *out)
{
    int32_t half = (int32_t)1 << (quantizer->format->bits - 1);
    *out =
        (nb_affine){.lowest = quantizer->scheme == NB_SCHEME_ABSMAX ? 1 - half : -half, .highest = half - 1};
    if (nb_range_absmax(range) == 0)
        return NB_AFFINE_FINE; /* scale 0: every code is 0 and stands for 0 */
    return quantizer->convention == NB_CONVENTION_LABONNE ? choose_multiplying(range, quantizer, out)
                                                          : choose_dividing(range, quantizer, out);
}

float nb_tensor_scale_of(float absmax, const nb_format *format)
{
    if (!format->needs_scale || absmax == 0)
        return 1;
    float scale = absmax / (float)format->max_finite;
    return scale > 0 ? scale : 0x1p-149f;
}

/* ---- codes ---- */

/* rint for |x| up to 2^22, in two additions that every CPU does four or more at a time: near 1.5 * 2^23 the
 * last place is 1. What is larger, and NaN, becomes 2^22 with its sign, which is beyond any code. Compared as
 * integers: float comparisons may trap, and compilers then keep the branch. */
static inline int32_t round_to_int(float x)
{
    const float magic = 0x1.8p23f;
    const int32_t limit = 0x4a800000; /* 2^22 */
    int32_t bits, magnitude;
    memcpy(&bits, &x, sizeof bits);
    magnitude = bits & INT32_MAX;
    magnitude = magnitude < limit ? magnitude : limit;
    bits = magnitude | (bits & INT32_MIN);
    memcpy(&x, &bits, sizeof x);
    return (int32_t)((x + magic) - magic);
}

/* Numbers are taken so many at a time, codes still in the fastest cache when they are stored. */
enum { TILE = 512 };

/* Rounded, not yet clamped: q[n]. */
static void round_tile(const nb_affine *affine, const float *restrict x, size_t n, int32_t *restrict q)
{
    const float scale = affine->scale, multiplier = affine->multiplier, offset = (float)affine->zero;
    const int32_t zero = affine->zero;
    if (multiplier != 0) {
        for (size_t i = 0; i < n; i++)
            q[i] = round_to_int(x[i] * multiplier + offset);
    } else {
        for (size_t i = 0; i < n; i++)
            q[i] = round_to_int(x[i] / scale) + zero;
    }
}

/* Clamped codes, unsigned by adding `bias`, and what they stand for. Counts are 32 bits wide so that they
 * vectorize. */
static void store_tile(const nb_affine *affine, int32_t bias, const int32_t *restrict q, size_t n,
                       uint8_t *restrict u, float *restrict w, uint64_t *n_clipped, uint64_t *n_zero)
{
    const float scale = affine->scale;
    const int32_t zero = affine->zero, lowest = affine->lowest, highest = affine->highest;
    uint32_t clipped = 0, zeros = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t code = q[i] > lowest ? q[i] : lowest;
        code = code < highest ? code : highest;
        clipped += (uint32_t)(code != q[i]);
        zeros += (uint32_t)(code == zero);
        u[i] = (uint8_t)(code + bias);
        w[i] = scale * (float)(code - zero);
    }
    *n_clipped += clipped;
    *n_zero += zeros;
}

void nb_affine_encode(const nb_affine *affine, const nb_quantizer *quantizer, const float *x, size_t n,
                      uint8_t *u, float *w, uint64_t *n_clipped, uint64_t *n_zero)
{
    int32_t bias = (int32_t)1 << (quantizer->format->bits - 1), q[TILE];
    if (affine->scale == 0) {
        memset(u, bias, n);
        memset(w, 0, n * sizeof *w);
        *n_zero += n;
        return;
    }
    for (size_t i = 0; i < n; i += TILE) {
        size_t n_now = n - i < TILE ? n - i : TILE;
        round_tile(affine, x + i, n_now, q);
        store_tile(affine, bias, q, n_now, u + i, w + i, n_clipped, n_zero);
    }
}
