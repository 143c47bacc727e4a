#include "base/print.h"

#include "base/decimal.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* ---- a bounded piece of text ---- */

typedef struct writer {
    char *text;
    size_t size;
    size_t n; /* wanted so far, without the terminator; may exceed size */
} writer;

static writer writer_of(char *text, size_t size)
{
    if (size)
        text[0] = 0;
    return (writer){text, size, 0};
}

static void put(writer *out, char c)
{
    if (out->n + 1 < out->size) {
        out->text[out->n] = c;
        out->text[out->n + 1] = 0;
    }
    out->n++;
}

static void put_text(writer *out, const char *text)
{
    while (*text)
        put(out, *text++);
}

static void put_count(writer *out, uint64_t value, bool commas)
{
    char digits[20];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n-- > 0) {
        put(out, digits[n]);
        if (commas && n > 0 && n % 3 == 0)
            put(out, ',');
    }
}

/* ---- decimals in the two forms ---- */

/* The digit at 10^-place of the unit: place 1 is the first after the point. */
static char digit_at(const nb_decimal *d, int place)
{
    int i = d->point - 1 + place;
    return (char)('0' + (i >= 0 && i < d->n_digits ? d->digits[i] : 0));
}

static void put_plain(writer *out, const nb_decimal *d, int places)
{
    if (d->point <= 0)
        put(out, '0');
    for (int place = 1 - d->point; place <= 0; place++)
        put(out, digit_at(d, place));
    if (places > 0)
        put(out, '.');
    for (int place = 1; place <= places; place++)
        put(out, digit_at(d, place));
}

static void put_scientific(writer *out, const nb_decimal *d)
{
    put(out, (char)('0' + d->digits[0]));
    if (d->n_digits > 1)
        put(out, '.');
    for (int i = 1; i < d->n_digits; i++)
        put(out, (char)('0' + d->digits[i]));
    int exponent = d->point - 1;
    put(out, 'e');
    put(out, exponent < 0 ? '-' : '+');
    unsigned magnitude = (unsigned)(exponent < 0 ? -exponent : exponent);
    if (magnitude < 10)
        put(out, '0');
    put_count(out, magnitude, false);
}

/* As %g: plain where the exponent is in [-4, precision). */
static void put_general(writer *out, const nb_decimal *d, int precision)
{
    int exponent = d->point - 1;
    if (d->n_digits == 0)
        put(out, '0');
    else if (exponent >= -4 && exponent < precision)
        put_plain(out, d, d->n_digits > d->point ? d->n_digits - d->point : 0);
    else
        put_scientific(out, d);
}

/* Writes the sign, and "nan" or "inf" altogether; true if the number was one of these. */
static bool put_special(writer *out, double value)
{
    if (isnan(value)) {
        put_text(out, "nan");
        return true;
    }
    if (signbit(value))
        put(out, '-');
    if (isinf(value))
        put_text(out, "inf");
    return isinf(value);
}

static void decimal_of(double value, nb_decimal *out)
{
    uint64_t mantissa;
    int exponent;
    nb_f64_split(value, &mantissa, &exponent);
    nb_decimal_from_binary(mantissa, exponent, out);
}

char *nb_print_fixed(char *text, size_t size, double value, int digits)
{
    writer out = writer_of(text, size);
    if (put_special(&out, value))
        return text;
    nb_decimal d;
    decimal_of(value, &d);
    if (digits < 0)
        digits = 0;
    if (digits > 1100)
        digits = 1100; /* no f64 has more */
    nb_decimal_round(&d, d.point + digits);
    put_plain(&out, &d, digits);
    if (out.n < size)
        return text;
    return nb_print_general(text, size, value, digits < 1 ? 1 : digits > 17 ? 17 : digits);
}

char *nb_print_general(char *text, size_t size, double value, int digits)
{
    writer out = writer_of(text, size);
    if (put_special(&out, value))
        return text;
    nb_decimal d;
    decimal_of(value, &d);
    if (digits < 1)
        digits = 1;
    nb_decimal_round(&d, digits);
    put_general(&out, &d, digits);
    return text;
}

char *nb_print_exact(char *text, size_t size, double value)
{
    writer out = writer_of(text, size);
    if (put_special(&out, value))
        return text;
    nb_decimal d;
    decimal_of(value, &d);
    put_plain(&out, &d, d.n_digits > d.point ? d.n_digits - d.point : 0);
    return text;
}

/* ---- the shortest that reads back ---- */

/* The fewest digits inside the interval of reals that round to mantissa * 2^exponent. Its ends are the
 * midpoints to the neighbours, and belong to it when the mantissa is even. `narrow_below`: the number is a
 * power of two whose lower neighbour is half as far away as the upper one. */
static void shortest(uint64_t mantissa, int exponent, bool narrow_below, nb_decimal *out)
{
    nb_decimal value, low, high;
    nb_decimal_from_binary(mantissa, exponent, &value);
    nb_decimal_from_binary(4 * mantissa - (narrow_below ? 1 : 2), exponent - 2, &low);
    nb_decimal_from_binary(4 * mantissa + 2, exponent - 2, &high);
    int closed = mantissa % 2 == 0;

    for (int n = 1; n < value.n_digits; n++) {
        /* The nearest number of n digits; where the interval is lopsided, the one above may fit when that
         * does not. */
        for (int above = 0; above < 2; above++) {
            *out = value;
            if (above)
                nb_decimal_round_up(out, n);
            else
                nb_decimal_round(out, n);
            if (nb_decimal_compare(out, &low) + closed > 0 && nb_decimal_compare(out, &high) - closed < 0)
                return;
        }
    }
    *out = value;
}

char *nb_print_f64(char *text, size_t size, double value)
{
    writer out = writer_of(text, size);
    if (put_special(&out, value))
        return text;
    uint64_t mantissa;
    int exponent;
    nb_f64_split(value, &mantissa, &exponent);
    nb_decimal d = {0};
    if (mantissa)
        shortest(mantissa, exponent, mantissa == UINT64_C(1) << 52 && exponent > -1074, &d);
    put_general(&out, &d, 17);
    return text;
}

char *nb_print_f32(char *text, size_t size, float value)
{
    writer out = writer_of(text, size);
    if (put_special(&out, value))
        return text;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t field = bits >> 23 & 0xff, mantissa = bits & 0x7fffff;
    if (field)
        mantissa |= 0x800000;
    nb_decimal d = {0};
    if (mantissa)
        shortest(mantissa, (int)(field ? field : 1) - 150, mantissa == 0x800000 && field > 1, &d);
    put_general(&out, &d, 9);
    return text;
}

/* ---- counts and bytes ---- */

char *nb_print_count(char *text, size_t size, uint64_t value)
{
    writer out = writer_of(text, size);
    put_count(&out, value, true);
    return text;
}

/* n / d to nearest, halves up, without overflow. */
static uint64_t divide_to_nearest(uint64_t n, uint64_t d)
{
    return n / d + (n % d >= d - d / 2);
}

char *nb_print_bytes(char *text, size_t size, uint64_t n_bytes)
{
    static const char *const units[] = {" B", " kB", " MB", " GB", " TB", " PB", " EB"};
    writer out = writer_of(text, size);
    uint64_t unit = 1;
    int i = 0;
    while (divide_to_nearest(n_bytes, unit) >= 2000) {
        unit *= 1000;
        i++;
    }
    /* From here on n_bytes is at least 2 units, or counted in single bytes. */
    int places = unit == 1 ? 0 : 2;
    uint64_t step = unit == 1 ? 1 : unit / 100;
    while (places > 0 && divide_to_nearest(n_bytes, step) >= 1000) {
        places--;
        step *= 10;
    }
    uint64_t n_steps = divide_to_nearest(n_bytes, step), steps_a_unit = unit / step;
    put_count(&out, n_steps / steps_a_unit, false);
    if (places > 0) {
        uint64_t rest = n_steps % steps_a_unit;
        put(&out, '.');
        if (places == 2 && rest < 10)
            put(&out, '0');
        put_count(&out, rest, false);
    }
    put_text(&out, units[i]);
    return text;
}
