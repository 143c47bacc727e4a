#include "base/decimal.h"

#include <string.h>

/* A natural number in base 10^9, least limb first. 2^1030 takes 35 limbs; (2^60) * 5^1080 takes 86. */
enum { LIMB_DIGITS = 9, MAX_LIMBS = 88 };
#define LIMB_BASE UINT64_C(1000000000)

typedef struct natural {
    int n_limbs;
    uint32_t limbs[MAX_LIMBS];
} natural;

static void natural_multiply(natural *x, uint32_t factor)
{
    uint64_t carry = 0;
    for (int i = 0; i < x->n_limbs; i++) {
        uint64_t product = (uint64_t)x->limbs[i] * factor + carry;
        x->limbs[i] = (uint32_t)(product % LIMB_BASE);
        carry = product / LIMB_BASE;
    }
    while (carry) {
        x->limbs[x->n_limbs++] = (uint32_t)(carry % LIMB_BASE);
        carry /= LIMB_BASE;
    }
}

/* x *= base^exponent, several factors at a time; base^step must be below 2^32. */
static void natural_multiply_power(natural *x, uint32_t base, int exponent, int step)
{
    uint32_t big = 1;
    for (int i = 0; i < step; i++)
        big *= base;
    for (; exponent >= step; exponent -= step)
        natural_multiply(x, big);
    for (; exponent > 0; exponent--)
        natural_multiply(x, base);
}

static void trim_trailing_zeros(nb_decimal *decimal)
{
    while (decimal->n_digits > 0 && decimal->digits[decimal->n_digits - 1] == 0)
        decimal->n_digits--;
    if (decimal->n_digits == 0)
        decimal->point = 0;
}

void nb_decimal_from_binary(uint64_t mantissa, int exponent, nb_decimal *out)
{
    *out = (nb_decimal){0};
    if (mantissa == 0)
        return;
    for (; mantissa % 2 == 0; mantissa /= 2)
        exponent++;
    natural x = {0};
    for (; mantissa; mantissa /= LIMB_BASE)
        x.limbs[x.n_limbs++] = (uint32_t)(mantissa % LIMB_BASE);
    /* m * 2^-e is m * 5^e / 10^e: the same digits, with the point e places to the left. */
    if (exponent > 0)
        natural_multiply_power(&x, 2, exponent, 31);
    else
        natural_multiply_power(&x, 5, -exponent, 13);

    bool leading = true;
    for (int i = x.n_limbs - 1; i >= 0; i--) {
        uint32_t divisor = (uint32_t)(LIMB_BASE / 10);
        for (uint32_t rest = x.limbs[i]; divisor; rest %= divisor, divisor /= 10) {
            uint8_t digit = (uint8_t)(rest / divisor);
            leading = leading && digit == 0;
            if (!leading)
                out->digits[out->n_digits++] = digit;
        }
    }
    out->point = out->n_digits + (exponent < 0 ? exponent : 0);
    trim_trailing_zeros(out);
}

/* Adds one to the last of the `n_digits` digits that are kept. */
static void increment(nb_decimal *decimal, int n_digits)
{
    decimal->n_digits = n_digits;
    while (decimal->n_digits > 0 && decimal->digits[decimal->n_digits - 1] == 9)
        decimal->n_digits--;
    if (decimal->n_digits > 0) {
        decimal->digits[decimal->n_digits - 1]++;
        return;
    }
    decimal->digits[0] = 1; /* 999 became 1000 */
    decimal->n_digits = 1;
    decimal->point++;
}

void nb_decimal_round(nb_decimal *decimal, int n_digits)
{
    if (n_digits >= decimal->n_digits)
        return;
    if (n_digits < 0) {
        decimal->n_digits = 0; /* less than a tenth of the unit */
        decimal->point = 0;
        return;
    }
    int next = decimal->digits[n_digits];
    bool beyond = decimal->more || decimal->n_digits > n_digits + 1;
    bool odd = n_digits > 0 && decimal->digits[n_digits - 1] % 2 != 0;
    bool up = next > 5 || (next == 5 && (beyond || odd));
    decimal->more = false;
    if (up) {
        increment(decimal, n_digits);
    } else {
        decimal->n_digits = n_digits;
        trim_trailing_zeros(decimal);
    }
}

void nb_decimal_round_up(nb_decimal *decimal, int n_digits)
{
    while (decimal->n_digits < n_digits)
        decimal->digits[decimal->n_digits++] = 0;
    increment(decimal, n_digits);
}

int nb_decimal_compare(const nb_decimal *a, const nb_decimal *b)
{
    if (a->n_digits == 0 || b->n_digits == 0)
        return (a->n_digits != 0) - (b->n_digits != 0);
    if (a->point != b->point)
        return a->point < b->point ? -1 : 1;
    int n = a->n_digits < b->n_digits ? a->n_digits : b->n_digits;
    int order = memcmp(a->digits, b->digits, (size_t)n);
    if (order != 0)
        return order;
    if (a->n_digits != b->n_digits)
        return a->n_digits < b->n_digits ? -1 : 1;
    return (a->more ? 1 : 0) - (b->more ? 1 : 0);
}

void nb_f64_split(double value, uint64_t *mantissa, int *exponent)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int field = (int)(bits >> 52 & 0x7ff);
    *mantissa = bits & ((UINT64_C(1) << 52) - 1);
    if (field != 0)
        *mantissa |= UINT64_C(1) << 52;
    *exponent = (field == 0 ? 1 : field) - 1075;
}
