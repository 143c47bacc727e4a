#include "formats/anatomy.h"

#include "base/print.h"
#include "formats/small_float.h"

#include <math.h>

/* An f64 as f32, rounded to odd: inexact results get an odd last bit. Rounding such a number to a shorter
 * format then gives what rounding the f64 itself would have given, with no second rounding at ties. */
static float round_to_odd(double value)
{
    float nearest = (float)value;
    if (isnan(value) || (double)nearest == value || isinf(value))
        return nearest;
    uint32_t bits = nb_f32_bits(nearest);
    if (bits % 2 != 0)
        return nearest;
    /* The f32 on the other side of `value` is the odd one; infinity's lower neighbour is odd too. */
    bool away = fabs(value) > fabs((double)nearest);
    return nb_f32_of_bits(away ? bits + 1 : bits - 1);
}

static void write_bits(char *text, uint32_t code, unsigned from, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        text[i] = (char)('0' + (code >> (from + n - 1 - i) & 1));
    text[n] = 0;
}

static double neighbour(const nb_format *format, uint32_t code, bool up)
{
    double value = (double)format->decode(code);
    uint32_t sign = 1U << (format->bits - 1), magnitude = code & (sign - 1);
    if (isnan(value))
        return NAN;
    if (magnitude == 0)
        return up ? format->min_subnormal : -format->min_subnormal;
    bool grows = up == (value > 0);
    uint32_t next = grows ? magnitude + 1 : magnitude - 1;
    if (grows && isinf(value))
        return NAN;
    double result = (double)format->decode(next); /* the code after the largest is infinity or NaN */
    return code & sign ? -result : result;
}

static void float_anatomy(double asked, const nb_format *format, nb_anatomy *out)
{
    float rounded = format->bits == 32 ? (float)asked : round_to_odd(asked);
    unsigned n_fraction = format->mantissa_bits, n_exponent = format->exponent_bits;
    out->code = format->encode(rounded);
    out->value = (double)format->decode(out->code);
    write_bits(out->sign, out->code, n_exponent + n_fraction, 1);
    write_bits(out->exponent, out->code, n_fraction, n_exponent);
    write_bits(out->fraction, out->code, 0, n_fraction);
    int field = (int)(out->code >> n_fraction & ((1U << n_exponent) - 1));
    out->exponent_value = (field ? field : 1) - format->bias;
    out->kind = isnan(out->value)                       ? "NaN"
                : isinf(out->value)                     ? "infinity"
                : out->value == 0                       ? "zero"
                : fabs(out->value) < format->min_normal ? "subnormal"
                                                        : "normal";
    out->below = neighbour(format, out->code, false);
    out->above = neighbour(format, out->code, true);
}

static void int_anatomy(double asked, const nb_format *format, nb_anatomy *out)
{
    double low = -format->max_finite - 1, high = format->max_finite;
    double value = isnan(asked) ? 0 : rint(asked);
    value = value < low ? low : value > high ? high : value;
    out->value = value + 0.0; /* an integer 0 has no sign */
    out->code = (uint32_t)(int32_t)value & ((1U << format->bits) - 1);
    write_bits(out->fraction, out->code, 0, format->bits);
    out->kind = "integer";
    out->below = value > low ? value - 1 : NAN;
    out->above = value < high ? value + 1 : NAN;
}

/* Levels are few: the neighbours are found by looking at all of them. */
static void table_anatomy(double asked, const nb_format *format, nb_anatomy *out)
{
    out->code = format->encode((float)asked);
    out->value = (double)format->decode(out->code);
    write_bits(out->fraction, out->code, 0, format->bits);
    out->kind = "level";
    out->below = out->above = NAN;
    for (uint32_t code = 0; code < 1u << format->bits; code++) {
        const double level = (double)format->levels[code];
        if (level < out->value && !(level < out->below))
            out->below = level;
        if (level > out->value && !(level > out->above))
            out->above = level;
    }
}

void nb_anatomy_of(double value, const nb_format *format, nb_anatomy *out)
{
    *out = (nb_anatomy){.format = format};
    if (format->kind == NB_FORMAT_INT)
        int_anatomy(value, format, out);
    else if (format->kind == NB_FORMAT_TABLE)
        table_anatomy(value, format, out);
    else
        float_anatomy(value, format, out);
    nb_print_exact(out->exact, sizeof out->exact, out->value);
    out->error = isinf(value) && value == out->value ? 0 : out->value - value;
}

void nb_format_range_of(const nb_format *format, nb_format_range *out)
{
    *out = (nb_format_range){0};
    out->max = format->max_finite;
    if (format->kind == NB_FORMAT_INT) {
        out->min = -format->max_finite - 1;
        out->n_values = UINT64_C(1) << format->bits;
        out->epsilon = 1;
        for (double power = 10; power - 1 <= format->max_finite; power *= 10)
            out->decimal_digits++;
        return;
    }
    if (format->kind == NB_FORMAT_BLOCK)
        return; /* no number stands alone */
    out->min = -format->max_finite;
    if (format->kind == NB_FORMAT_TABLE) {
        for (uint32_t code = 0; code < 1u << format->bits; code++) /* two zeros are one value */
            out->n_values += !(format->levels[code] == 0 && code != format->encode(0));
        return;
    }
    out->min_normal = format->min_normal;
    out->min_subnormal = format->min_subnormal;
    /* Codes 0 up to the largest finite one are numbers; both signs, with one zero. */
    uint32_t largest = format->encode((float)format->max_finite);
    out->n_values = 2 * (uint64_t)largest + 1;
    out->epsilon = 1;
    for (unsigned i = 0; i < format->mantissa_bits; i++)
        out->epsilon /= 2;
    /* Every decimal of d digits survives when 10^d < 2^mantissa_bits (Matula 1968). */
    for (double power = 10; power < 1 / out->epsilon; power *= 10)
        out->decimal_digits++;
}
