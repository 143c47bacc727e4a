#include "base/decimal.h"
#include "base/print.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes one digit of the number; `after_point` moves the point instead of growing the whole part. */
static void take_digit(nb_decimal *d, int digit, bool after_point)
{
    enum { FAR = 100000000 }; /* keeps absurdly long texts from overflowing */
    if (d->n_digits == 0 && digit == 0) {
        if (after_point && d->point > -FAR)
            d->point--;
        return;
    }
    if (d->n_digits < NB_DECIMAL_MAX_DIGITS)
        d->digits[d->n_digits++] = (uint8_t)digit;
    else if (digit != 0)
        d->more = true;
    if (!after_point && d->point < FAR)
        d->point++;
}

/* [digits][.digits][e[sign]digits]; returns the bytes read, 0 if there is no digit. */
static size_t read_decimal(const char *text, nb_decimal *d)
{
    size_t i = 0;
    bool any = false;
    for (; is_digit(text[i]); i++, any = true)
        take_digit(d, text[i] - '0', false);
    if (text[i] == '.' && (any || is_digit(text[i + 1])))
        for (i++; is_digit(text[i]); i++, any = true)
            take_digit(d, text[i] - '0', true);
    if (!any)
        return 0;
    if (text[i] == 'e' || text[i] == 'E') {
        size_t j = i + 1;
        bool negative = text[j] == '-';
        if (text[j] == '-' || text[j] == '+')
            j++;
        int exponent = 0;
        if (is_digit(text[j])) {
            for (; is_digit(text[j]); j++)
                if (exponent < 100000000)
                    exponent = exponent * 10 + (text[j] - '0');
            d->point += negative ? -exponent : exponent;
            i = j;
        }
    }
    while (!d->more && d->n_digits > 0 && d->digits[d->n_digits - 1] == 0)
        d->n_digits--;
    return i;
}

/* A few units in the last place off at most, or 0, or infinity. */
static double estimate(const nb_decimal *d)
{
    static const double powers[] = {1e1, 1e2, 1e4, 1e8, 1e16, 1e32, 1e64, 1e128, 1e256};
    uint64_t leading = 0;
    int n = d->n_digits < 17 ? d->n_digits : 17;
    for (int i = 0; i < n; i++)
        leading = leading * 10 + d->digits[i];
    double value = (double)leading;
    int exponent = d->point - n;
    bool negative = exponent < 0;
    unsigned magnitude = (unsigned)(negative ? -exponent : exponent);
    for (int i = 8; i >= 0; i--) /* large powers first: what a subnormal loses shrinks again */
        if (magnitude >> i & 1)
            value = negative ? value / powers[i] : value * powers[i];
    return value;
}

static double next_up(double value) /* of a finite one that is not negative */
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits++;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

static double next_down(double value) /* of one above 0, infinity too */
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits--;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

/* Where d lies beside the midpoint of `value` and the next larger f64: below 0, 0, above 0. */
static int beside_upper_midpoint(const nb_decimal *d, double value)
{
    uint64_t mantissa;
    int exponent;
    nb_f64_split(value, &mantissa, &exponent);
    nb_decimal midpoint;
    nb_decimal_from_binary(2 * mantissa + 1, exponent - 1, &midpoint);
    return nb_decimal_compare(d, &midpoint);
}

static bool is_odd(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 1;
}

static double nearest(const nb_decimal *d)
{
    if (d->n_digits == 0 || d->point < -330)
        return 0;
    if (d->point > 310)
        return INFINITY;
    /* Up to 2^53 and 10^22 both factors are exact, so that one operation rounds once. */
    if (d->n_digits <= 15 && d->point - d->n_digits >= -22 && d->point - d->n_digits <= 22) {
        static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
        uint64_t whole = 0;
        for (int i = 0; i < d->n_digits; i++)
            whole = whole * 10 + d->digits[i];
        int exponent = d->point - d->n_digits;
        return exponent < 0 ? (double)whole / exact[-exponent] : (double)whole * exact[exponent];
    }
    double value = estimate(d);
    if (isinf(value))
        value = next_down(value);
    for (;;) { /* up while the midpoint above lies below d, or on it and the tie goes to the even one above */
        int side = beside_upper_midpoint(d, value);
        if (side < 0 || (side == 0 && !is_odd(value)))
            break;
        value = next_up(value);
        if (isinf(value))
            return value;
    }
    while (value > 0) { /* and down likewise */
        double below = next_down(value);
        int side = beside_upper_midpoint(d, below);
        if (side > 0 || (side == 0 && is_odd(below)))
            break;
        value = below;
    }
    return value;
}

size_t nb_parse_f64(const char *text, double *value)
{
    size_t sign = text[0] == '-' || text[0] == '+';
    nb_decimal d = {0};
    size_t n = read_decimal(text + sign, &d);
    if (n == 0)
        return 0;
    double magnitude = nearest(&d);
    *value = text[0] == '-' ? -magnitude : magnitude;
    return sign + n;
}
