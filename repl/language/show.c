#include "repl/language/show.h"

#include "base/decimal.h"
#include "repl/describe.h"
#include "repl/language/machine.h"
#include "repl/numbers.h"

#include <math.h>
#include <string.h>

enum { DIGITS = 8, CUT_DIGITS = 4 /* where most are left out anyway */, THRESHOLD = 1000, EDGE = 3 };

/* ---- numbers ---- */

void nb_show_number(double number, nb_draft *out)
{
    if (number == rint(number) && fabs(number) < 1e16)
        nb_draft_add(out, nb_fixed(number == 0 ? 0 : number, 0).text);
    else
        nb_draft_add(out, nb_general(number, DIGITS).text);
}

/* How all numbers of an array are written, so that they align. */
typedef struct layout {
    bool whole;      /* no point at all */
    bool scientific; /* 1.5e-05 */
    int most;        /* decimals that are allowed */
    int decimals;    /* most that a number needs of them */
    size_t left;     /* width up to the point */
    size_t width;    /* of every number */
} layout;

/* Fewest digits that read back as the same f32, in d.ddd form: how many there are, and the
 * exponent of ten. */
static void shortest(float value, int *n_digits, int *exponent)
{
    char text[40];
    nb_print_f32(text, sizeof text, fabsf(value));
    int before = 0, leading = 0, digits = 0, trailing = 0, power = 0;
    bool dot = false, started = false;
    const char *c = text;
    for (; *c && *c != 'e'; c++) {
        if (*c == '.') {
            dot = true;
            continue;
        }
        started |= *c != '0';
        if (!started) {
            leading += dot;
            continue;
        }
        digits++;
        before += !dot;
        trailing = *c == '0' ? trailing + 1 : 0;
    }
    if (*c == 'e') {
        const bool negative = c[1] == '-';
        for (c += 1 + (c[1] == '-' || c[1] == '+'); *c; c++)
            power = power * 10 + (*c - '0');
        power = negative ? -power : power;
    }
    *n_digits = digits - trailing > 0 ? digits - trailing : 1;
    *exponent = (before ? before - 1 : -1 - leading) + power;
}

static int least_int(int a, int b)
{
    return a < b ? a : b;
}

/* Decimals that a number needs of so many at most. Where more were cut, zeros may be left at the end. */
static int decimals_of(float value, int most)
{
    int n_digits, exponent;
    if (!isfinite(value) || value == 0)
        return 0;
    shortest(value, &n_digits, &exponent);
    const int wanted = n_digits - 1 - exponent;
    if (wanted <= 0)
        return 0;
    if (wanted <= most)
        return wanted;
    const nb_number cut = nb_fixed((double)value, most);
    int zeros = 0;
    for (size_t i = strlen(cut.text); i > 0 && cut.text[i - 1] == '0'; i--)
        zeros++;
    return most - zeros;
}

static int mantissa_decimals_of(float value, int most)
{
    int n_digits, exponent;
    if (!isfinite(value) || value == 0)
        return 0;
    shortest(value, &n_digits, &exponent);
    return least_int(n_digits - 1, most);
}

/* d.ddde-05 with so many decimals, from the correctly rounded digits. */
static nb_number scientific(double value, int decimals)
{
    nb_number out;
    nb_decimal decimal;
    uint64_t mantissa;
    int exponent;
    size_t n = 0;
    nb_f64_split(value, &mantissa, &exponent);
    nb_decimal_from_binary(mantissa, exponent, &decimal);
    nb_decimal_round(&decimal, decimals + 1);
    if (signbit(value))
        out.text[n++] = '-';
    for (int i = 0; i <= decimals; i++) {
        out.text[n++] = (char)('0' + (i < decimal.n_digits ? decimal.digits[i] : 0));
        if (i == 0)
            out.text[n++] = '.';
    }
    const int power = decimal.n_digits ? decimal.point - 1 : 0, size = power < 0 ? -power : power;
    out.text[n++] = 'e';
    out.text[n++] = power < 0 ? '-' : '+';
    if (size >= 100)
        out.text[n++] = (char)('0' + size / 100);
    out.text[n++] = (char)('0' + size / 10 % 10);
    out.text[n++] = (char)('0' + size % 10);
    out.text[n] = '\0';
    return out;
}

/* Among numbers with points a whole one has a point too, if it is to be `padded`. */
static nb_number one_number(const layout *how, float value, bool padded)
{
    const double x = value == 0 ? 0 : (double)value;
    if (!isfinite(value))
        return nb_general(x, 3);
    if (how->whole)
        return nb_fixed(x, 0);
    if (how->scientific)
        return scientific(x, how->decimals);
    nb_number out = nb_fixed(x, least_int(decimals_of(value, how->most), how->decimals));
    size_t n = strlen(out.text);
    if (padded && !strchr(out.text, '.')) {
        out.text[n++] = '.';
        out.text[n] = '\0';
    }
    return out;
}

/* ---- which numbers are shown ---- */

/* Index `i` of those shown in a dimension, and how many those are: all, or the first and last three. */
static size_t count_shown(size_t length, bool cut)
{
    return cut && length > 2 * EDGE ? 2 * EDGE : length;
}
static size_t shown_at(size_t length, bool cut, size_t i)
{
    return cut && length > 2 * EDGE && i >= EDGE ? length - 2 * EDGE + i : i;
}

/* The second half is for compilers, which cannot know that there are no more dimensions than that. */
static bool is_last(const nb_array *x, int dim)
{
    return dim + 1 == x->n_dims || dim + 1 == NB_ARRAY_MAX_DIMS;
}

typedef void visit_fn(void *user, float value);

static void visit(const nb_array *x, bool cut, int dim, size_t offset, visit_fn *each, void *user)
{
    const size_t n = count_shown(x->dims[dim], cut);
    for (size_t i = 0; i < n; i++) {
        const size_t at = offset * x->dims[dim] + shown_at(x->dims[dim], cut, i);
        if (is_last(x, dim))
            each(user, x->data[at]);
        else
            visit(x, cut, dim + 1, at, each, user);
    }
}

typedef struct extent {
    float largest, smallest; /* magnitudes of the finite ones but 0 */
    bool any, odd;           /* odd: neither whole nor small enough to be written so */
    int most, decimals, mantissa_decimals;
} extent;

static void measure(void *user, float value)
{
    extent *e = user;
    const float size = fabsf(value);
    if (!isfinite(value)) {
        e->odd = true;
        return;
    }
    e->odd |= value != rintf(value) || size >= 1e8f;
    if (value == 0)
        return;
    e->largest = !e->any || size > e->largest ? size : e->largest;
    e->smallest = !e->any || size < e->smallest ? size : e->smallest;
    e->any = true;
    const int decimals = decimals_of(value, e->most), mantissa = mantissa_decimals_of(value, e->most);
    e->decimals = decimals > e->decimals ? decimals : e->decimals;
    e->mantissa_decimals = mantissa > e->mantissa_decimals ? mantissa : e->mantissa_decimals;
}

typedef struct widths {
    const layout *how;
    size_t left, right; /* of the point */
    size_t odd;         /* of nan and inf, which have none */
} widths;

static void measure_width(void *user, float value)
{
    widths *w = user;
    const nb_number text = one_number(w->how, value, true);
    const size_t n = strlen(text.text), left = strcspn(text.text, ".");
    if (!isfinite(value)) {
        w->odd = nb_max_size(w->odd, n);
        return;
    }
    w->left = nb_max_size(w->left, left);
    w->right = nb_max_size(w->right, n - left);
}

/* numpy's rule: scientific where a number is 1e8 or more, below 1e-4, or they span more
 * than a thousandfold. */
static layout lay_out(const nb_array *x, bool cut)
{
    extent e = {.most = cut ? CUT_DIGITS : DIGITS};
    layout how = {.most = e.most};
    visit(x, cut, 0, 0, measure, &e);
    how.whole = !e.odd;
    how.scientific =
        e.odd && e.any &&
        (e.largest >= 1e8f || (double)e.smallest < 1e-4 || (double)e.largest / (double)e.smallest > 1000);
    how.decimals = how.scientific ? e.mantissa_decimals : e.decimals;
    widths w = {.how = &how};
    visit(x, cut, 0, 0, measure_width, &w);
    how.left = w.left + w.right < w.odd ? w.odd - w.right : w.left;
    how.width = how.left + w.right;
    return how;
}

/* ---- rows ---- */

static bool add_line(const nb_array *x, const layout *how, nb_draft *out)
{
    nb_draft line = {0};
    nb_draft_add(&line, "[");
    for (size_t i = 0; i < x->size && line.n_bytes <= NB_SHOW_WIDTH; i++)
        nb_draft_addf(&line, "%s%s", i ? ", " : "", one_number(how, x->data[i], false).text);
    nb_draft_add(&line, "]");
    const bool fits = line.n_bytes <= NB_SHOW_WIDTH && !line.failed;
    if (fits)
        nb_draft_add(out, nb_draft_text(&line));
    nb_draft_free(&line);
    return fits;
}

static void add_aligned(const layout *how, float value, nb_draft *out)
{
    const nb_number text = one_number(how, value, true);
    const size_t n = strlen(text.text);
    size_t before = how->width - n;
    if (isfinite(value) && !how->whole)
        before = how->left - strcspn(text.text, ".");
    nb_draft_repeat(out, " ", before);
    nb_draft_add(out, text.text);
    nb_draft_repeat(out, " ", how->width - n - before);
}

static size_t column_of(const nb_draft *out)
{
    size_t n = 0;
    while (n < out->n_bytes && out->text[out->n_bytes - 1 - n] != '\n')
        n++;
    return n;
}

/* A new line, after which `dim` + 1 brackets stand open. */
static void break_line(int dim, nb_draft *out)
{
    nb_draft_add(out, "\n");
    nb_draft_repeat(out, " ", (size_t)dim + 1);
}

static void add_row(const nb_array *x, const layout *how, bool cut, size_t offset, nb_draft *out)
{
    const int dim = x->n_dims - 1;
    const size_t length = x->dims[dim], n = count_shown(length, cut);
    for (size_t i = 0; i < n; i++) {
        const bool gap = i == EDGE && n < length;
        if (i)
            nb_draft_add(out, ",");
        if (gap)
            nb_draft_add(out, " ...,");
        if (i && column_of(out) + 1 + how->width + (size_t)(i + 1 == n ? x->n_dims : 1) > NB_SHOW_WIDTH)
            break_line(dim, out);
        else if (i)
            nb_draft_add(out, " ");
        add_aligned(how, x->data[offset * length + shown_at(length, cut, i)], out);
    }
}

static void add_block(const nb_array *x, const layout *how, bool cut, int dim, size_t offset, nb_draft *out)
{
    const size_t length = x->dims[dim], n = count_shown(length, cut);
    nb_draft_add(out, "[");
    if (is_last(x, dim)) {
        add_row(x, how, cut, offset, out);
    } else {
        for (size_t i = 0; i < n; i++) {
            if (i) {
                nb_draft_add(out, ",");
                if (i == EDGE && n < length) {
                    break_line(dim, out);
                    nb_draft_add(out, "...,");
                }
                for (int empty = dim + 2; empty < x->n_dims; empty++)
                    nb_draft_add(out, "\n");
                break_line(dim, out);
            }
            add_block(x, how, cut, dim + 1, offset * length + shown_at(length, cut, i), out);
        }
    }
    nb_draft_add(out, "]");
}

void nb_show_array(const nb_array *x, nb_draft *out)
{
    char shape[96];
    if (x->size == 0) {
        if (x->n_dims == 1)
            nb_draft_add(out, "[]");
        else
            nb_draft_addf(out, "[] (%s)", nb_array_shape(x, shape, sizeof shape));
        return;
    }
    const bool cut = x->size > THRESHOLD;
    const layout how = lay_out(x, cut);
    if (x->n_dims == 1 && !cut && add_line(x, &how, out))
        return;
    add_block(x, &how, cut, 0, 0, out);
}

/* ---- values ---- */

/* On one line if all fits there; otherwise each on its own. */
static void show_list(const nb_list *list, nb_draft *out)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        nb_draft text = {0};
        for (size_t i = 0; i < list->count; i++) {
            nb_draft_add(&text, i == 0 ? "" : attempt ? ",\n" : ", ");
            nb_show_value(&list->values[i], false, &text);
        }
        const bool fits = text.n_bytes <= NB_SHOW_WIDTH && !strchr(nb_draft_text(&text), '\n');
        if (fits || attempt)
            nb_draft_add(out, nb_draft_text(&text));
        out->failed |= text.failed;
        nb_draft_free(&text);
        if (fits)
            return;
    }
}

void nb_show_value(const nb_value *value, bool alone, nb_draft *out)
{
    switch (value->kind) {
    case NB_VALUE_NONE:
        break;
    case NB_VALUE_NUMBER:
        nb_show_number(value->number, out);
        break;
    case NB_VALUE_TEXT:
        nb_draft_add(out, alone ? "" : "\"");
        nb_draft_add_written(out, (nb_string){value->text->bytes, value->text->n_bytes});
        nb_draft_add(out, alone ? "" : "\"");
        break;
    case NB_VALUE_ARRAY:
        nb_show_array(value->array, out);
        break;
    case NB_VALUE_FUNCTION:
        if (value->function->row)
            nb_draft_addf(out, "function %s", value->function->row->usage);
        else
            nb_draft_addf(out, "function %s, of your own", value->function->def->text);
        break;
    case NB_VALUE_LIST:
        show_list(value->list, out);
        break;
    }
}

void nb_show_summary(const nb_array *x, nb_draft *out)
{
    static const nb_reduction ops[] = {NB_REDUCE_MIN, NB_REDUCE_MAX, NB_REDUCE_MEAN, NB_REDUCE_STD};
    static const char *const words[] = {", from ", " to ", ", mean ", ", std "};
    static const int digits[] = {4, 4, 3, 4};
    char shape[96];
    nb_draft_addf(out, "%s%s", nb_array_shape(x, shape, sizeof shape), x->n_dims == 1 ? " numbers" : "");
    for (size_t i = 0; x->size && i < 4; i++) {
        double number = 0;
        if (nb_array_reduce(x->space, ops[i], x, &number, NULL) == NB_OK)
            nb_draft_addf(out, "%s%s", words[i], nb_general(number, digits[i]).text);
    }
}
