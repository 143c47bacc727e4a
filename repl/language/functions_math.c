/* Functions of numbers one by one, and of all of them at once. */
#include "repl/language/functions.h"
#include "repl/language/machine.h"

#include <math.h>

/* ---- one by one ---- */

static nb_status take(nb_status status, nb_array *made, bool truth, nb_value *out)
{
    if (status == NB_OK) {
        *out = nb_value_array(made);
        out->truth = truth && out->kind == NB_VALUE_ARRAY;
    }
    return status;
}

static nb_status unary_of(nb_application *call, nb_unary op, const nb_value *x, nb_value *out,
                          nb_error *error)
{
    nb_array *made = NULL;
    nb_operand operand;
    if (!nb_value_operand(x, &operand))
        return nb_argument_refuse(call, 0, "a number or an array", error);
    if (!operand.array) {
        *out = nb_value_number(nb_number_unary(op, operand.number));
        return NB_OK;
    }
    const nb_status status = nb_array_unary(&call->language->space, op, operand.array, &made, error);
    return take(status, made, op >= NB_UNARY_NOT, out);
}

static nb_status unary(nb_application *call, nb_value *out, nb_error *error)
{
    return unary_of(call, (nb_unary)call->row->op, &call->values[0], out, error);
}

/* round(x, 2): to a hundredth. */
static nb_status round_to(nb_application *call, nb_value *out, nb_error *error)
{
    double digits = 0;
    if (!nb_argument_given(call, 1))
        return unary(call, out, error);
    nb_value scaled = {0}, rounded = {0};
    nb_status status = nb_argument_whole(call, 1, -20, 20, &digits, error);
    double factor = 1;
    for (int i = 0; i < (int)fabs(digits); i++)
        factor *= 10;
    const nb_value by = nb_value_number(factor);
    const bool up = digits >= 0;
    if (status == NB_OK)
        status = nb_evaluate_binary(call->language, up ? NB_LEXEME_MULTIPLY : NB_LEXEME_DIVIDE,
                                    &call->values[0], &by, &scaled, error);
    if (status == NB_OK)
        status = unary_of(call, NB_UNARY_ROUND, &scaled, &rounded, error);
    if (status == NB_OK)
        status = nb_evaluate_binary(call->language, up ? NB_LEXEME_DIVIDE : NB_LEXEME_MULTIPLY, &rounded, &by,
                                    out, error);
    nb_value_release(&scaled);
    nb_value_release(&rounded);
    return status;
}

static nb_status clamp(nb_application *call, nb_value *out, nb_error *error)
{
    nb_operand x, low, high;
    nb_array *made = NULL;
    nb_status status = nb_argument_operand(call, 0, &x, error);
    if (status == NB_OK)
        status = nb_argument_operand(call, 1, &low, error);
    if (status == NB_OK)
        status = nb_argument_operand(call, 2, &high, error);
    if (status != NB_OK)
        return status;
    if (!x.array && !low.array && !high.array) {
        *out = nb_value_number(nb_number_binary(
            NB_BINARY_MIN, nb_number_binary(NB_BINARY_MAX, x.number, low.number), high.number));
        return NB_OK;
    }
    status = nb_array_clamp(&call->language->space, x, low, high, &made, error);
    return take(status, made, false, out);
}

static nb_status where(nb_application *call, nb_value *out, nb_error *error)
{
    nb_operand part[3];
    nb_array *made = NULL;
    nb_status status = NB_OK;
    for (size_t i = 0; i < 3 && status == NB_OK; i++)
        status = nb_argument_operand(call, i, &part[i], error);
    if (status != NB_OK)
        return status;
    if (!part[0].array && !part[1].array && !part[2].array) {
        *out = nb_value_number(part[0].number != 0 ? part[1].number : part[2].number);
        return NB_OK;
    }
    status = nb_array_where(&call->language->space, part[0], part[1], part[2], &made, error);
    return take(status, made, call->values[1].truth && call->values[2].truth, out);
}

static nb_status softmax(nb_application *call, nb_value *out, nb_error *error)
{
    double axis = -1;
    nb_array_space *space = &call->language->space;
    nb_array *x = NULL, *top = NULL, *shifted = NULL, *powers = NULL, *sum = NULL, *made = NULL;
    nb_status status = nb_argument_array(call, 0, &x, error);
    if (status == NB_OK && nb_argument_given(call, 1))
        status = nb_argument_whole(call, 1, -NB_ARRAY_MAX_DIMS, NB_ARRAY_MAX_DIMS - 1, &axis, error);
    if (status == NB_OK)
        status = nb_array_reduce_axis(space, NB_REDUCE_MAX, x, (int)axis, true, &top, error);
    if (status == NB_OK)
        status =
            nb_array_binary(space, NB_BINARY_SUBTRACT, nb_operand_of(x), nb_operand_of(top), &shifted, error);
    if (status == NB_OK)
        status = nb_array_unary(space, NB_UNARY_EXP, shifted, &powers, error);
    if (status == NB_OK)
        status = nb_array_reduce_axis(space, NB_REDUCE_SUM, powers, (int)axis, true, &sum, error);
    if (status == NB_OK)
        status =
            nb_array_binary(space, NB_BINARY_DIVIDE, nb_operand_of(powers), nb_operand_of(sum), &made, error);
    nb_array **const gone[] = {&x, &top, &shifted, &powers, &sum};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        nb_array_release(gone[i]);
    return take(status, made, false, out);
}

/* ---- all at once ---- */

/* Parameters axis and keep at these places. */
static nb_status reduce_value(nb_application *call, nb_reduction op, size_t axis_at, nb_value *out,
                              nb_error *error)
{
    nb_array_space *space = &call->language->space;
    double axis = 0, keep = 0, number = 0;
    nb_array *x = NULL, *made = NULL;
    nb_status status = nb_argument_array(call, 0, &x, error);
    if (status == NB_OK && nb_argument_given(call, axis_at))
        status = nb_argument_whole(call, axis_at, -NB_ARRAY_MAX_DIMS, NB_ARRAY_MAX_DIMS - 1, &axis, error);
    if (status == NB_OK && nb_argument_given(call, axis_at + 1))
        status = nb_argument_number(call, axis_at + 1, &keep, error);
    if (status == NB_OK && nb_argument_given(call, axis_at)) {
        status = nb_array_reduce_axis(space, op, x, (int)axis, keep != 0, &made, error);
        take(status, made, op == NB_REDUCE_ANY || op == NB_REDUCE_ALL, out);
    } else if (status == NB_OK) {
        status = nb_array_reduce(space, op, x, &number, error);
        if (status == NB_OK)
            *out = nb_value_number(number);
    }
    nb_array_release(&x);
    return status;
}

/* A number is its own sum, mean, ... in f64. */
static nb_status reduce(nb_application *call, nb_value *out, nb_error *error)
{
    const nb_reduction op = (nb_reduction)call->row->op;
    const bool same = op == NB_REDUCE_SUM || op == NB_REDUCE_MEAN || op == NB_REDUCE_PRODUCT ||
                      op == NB_REDUCE_MIN || op == NB_REDUCE_MAX;
    if (same && call->values[0].kind == NB_VALUE_NUMBER && !nb_argument_given(call, 1)) {
        *out = call->values[0];
        return NB_OK;
    }
    return reduce_value(call, op, 1, out, error);
}

/* max(x) of all, max(x, y) of each pair. */
static nb_status extreme(nb_application *call, nb_value *out, nb_error *error)
{
    const nb_reduction op = (nb_reduction)call->row->op;
    nb_array *made = NULL;
    nb_operand a, b;
    if (!nb_argument_given(call, 1)) {
        if (call->values[0].kind == NB_VALUE_NUMBER && !nb_argument_given(call, 2)) {
            *out = call->values[0];
            return NB_OK;
        }
        return reduce_value(call, op, 2, out, error);
    }
    nb_status status = nb_argument_operand(call, 0, &a, error);
    if (status == NB_OK)
        status = nb_argument_operand(call, 1, &b, error);
    if (status == NB_OK && nb_argument_given(call, 2))
        status = nb_fail(error, NB_ERR_ARGUMENT, "%s takes either a second array or an axis, not both: %s",
                         call->row->name, call->row->usage);
    if (status != NB_OK)
        return status;
    const nb_binary pair = op == NB_REDUCE_MAX ? NB_BINARY_MAX : NB_BINARY_MIN;
    if (!a.array && !b.array) {
        *out = nb_value_number(nb_number_binary(pair, a.number, b.number));
        return NB_OK;
    }
    status = nb_array_binary(&call->language->space, pair, a, b, &made, error);
    return take(status, made, false, out);
}

static nb_status quantile(nb_application *call, nb_value *out, nb_error *error)
{
    double q = 0.5, axis = 0, keep = 0, number = 0;
    const bool median = call->row->op == 1;
    const size_t axis_at = median ? 1 : 2;
    nb_array *x = NULL, *made = NULL;
    nb_status status = median ? NB_OK : nb_argument_number(call, 1, &q, error);
    if (status == NB_OK)
        status = nb_argument_array(call, 0, &x, error);
    if (status == NB_OK && nb_argument_given(call, axis_at))
        status = nb_argument_whole(call, axis_at, -NB_ARRAY_MAX_DIMS, NB_ARRAY_MAX_DIMS - 1, &axis, error);
    if (status == NB_OK && nb_argument_given(call, axis_at + 1))
        status = nb_argument_number(call, axis_at + 1, &keep, error);
    if (status == NB_OK && nb_argument_given(call, axis_at)) {
        status = nb_array_quantile_axis(x, q, (int)axis, keep != 0, &made, error);
        take(status, made, false, out);
    } else if (status == NB_OK) {
        status = nb_array_quantile(x, q, &number, error);
        if (status == NB_OK)
            *out = nb_value_number(number);
    }
    nb_array_release(&x);
    return status;
}

#define EACH "Each number"
#define ALL  "All numbers"

const nb_function_row nb_functions_math[] = {
    {"abs", EACH, "abs(x)", "without the sign", "abs([-3, 2])", "[3, 2]", unary, NB_UNARY_ABS, 0, 0},
    {"round", EACH, "round(x, digits=)", "to the nearest whole number, halves to the even one",
     "round([0.5, 1.5, -2.6])", "[0, 2, -3]", round_to, NB_UNARY_ROUND, 0, 0},
    {"floor", EACH, "floor(x)", "down to a whole number", "floor([1.7, -1.2])", "[1, -2]", unary,
     NB_UNARY_FLOOR, 0, 0},
    {"ceil", EACH, "ceil(x)", "up to a whole number", "ceil([1.2, -1.7])", "[2, -1]", unary, NB_UNARY_CEIL, 0,
     0},
    {"trunc", EACH, "trunc(x)", "towards zero to a whole number", "trunc([1.7, -1.7])", "[1, -1]", unary,
     NB_UNARY_TRUNC, 0, 0},
    {"sign", EACH, "sign(x)", "-1, 0 or 1", "sign([-3, 0, 5])", "[-1, 0, 1]", unary, NB_UNARY_SIGN, 0, 0},
    {"sqrt", EACH, "sqrt(x)", "the square root", "sqrt([4, 9])", "[2, 3]", unary, NB_UNARY_SQRT, 0, 0},
    {"exp", EACH, "exp(x)", "e to the power x", "exp(0)", "1", unary, NB_UNARY_EXP, 0, 0},
    {"log", EACH, "log(x)", "the natural logarithm", "log(exp(2))", "2", unary, NB_UNARY_LOG, 0, 0},
    {"log2", EACH, "log2(x)", "the logarithm to base 2", "log2([1, 8])", "[0, 3]", unary, NB_UNARY_LOG2, 0,
     0},
    {"log10", EACH, "log10(x)", "the logarithm to base 10", "log10([1, 100])", "[0, 2]", unary,
     NB_UNARY_LOG10, 0, 0},
    {"sin", EACH, "sin(x)", "the sine of an angle in radians", "sin(0)", "0", unary, NB_UNARY_SIN, 0, 0},
    {"cos", EACH, "cos(x)", "the cosine of an angle in radians", "cos(0)", "1", unary, NB_UNARY_COS, 0, 0},
    {"tanh", EACH, "tanh(x)", "from -1 to 1, steepest at 0", "tanh(0)", "0", unary, NB_UNARY_TANH, 0, 0},
    {"sigmoid", EACH, "sigmoid(x)", "1 / (1 + exp(-x))", "sigmoid(0)", "0.5", unary, NB_UNARY_SIGMOID, 0, 0},
    {"softmax", EACH, "softmax(x, axis=)", "exp(x) as shares of 1, along the last axis unless told",
     "softmax([0, 0])", "[0.5, 0.5]", softmax, 0, 0, 0},
    {"isnan", EACH, "isnan(x)", "where x is not a number", "isnan([1, nan])", "[0, 1]", unary,
     NB_UNARY_IS_NAN, 0, 0},
    {"isfinite", EACH, "isfinite(x)", "where x is neither nan nor inf", "isfinite([1, inf])", "[1, 0]", unary,
     NB_UNARY_IS_FINITE, 0, 0},
    {"clamp", EACH, "clamp(x, low, high)", "cut off below low and above high",
     "clamp([-200, 5, 130], -127, 127)", "[-127, 5, 127]", clamp, 0, 0, 0},
    {"where", EACH, "where(condition, a, b)", "a where the condition holds, b elsewhere",
     "where([1, 0] == 1, 10, 20)", "[10, 20]", where, 0, 0, 0},

    {"sum", ALL, "sum(x, axis=, keep=)",
     "all numbers together, or along an axis; keep=1 leaves its length at 1", "sum([[1, 2], [3, 4]], axis=0)",
     "[4, 6]", reduce, NB_REDUCE_SUM, 0, 0},
    {"mean", ALL, "mean(x, axis=, keep=)", "the average", "mean([1, 2, 6])", "3", reduce, NB_REDUCE_MEAN, 0,
     0},
    {"prod", ALL, "prod(x, axis=, keep=)", "the product", "prod([2, 3, 4])", "24", reduce, NB_REDUCE_PRODUCT,
     0, 0},
    {"min", ALL, "min(x, y=, axis=, keep=)", "the smallest; with y, the smaller of each pair",
     "min([3, -1, 2])", "-1", extreme, NB_REDUCE_MIN, 0, 0},
    {"max", ALL, "max(x, y=, axis=, keep=)", "the largest; with y, the larger of each pair",
     "max([3, -1], 0)", "[3, 0]", extreme, NB_REDUCE_MAX, 0, 0},
    {"var", ALL, "var(x, axis=, keep=)", "the variance: the mean of the squares about the mean",
     "var([1, 3])", "1", reduce, NB_REDUCE_VARIANCE, 0, 0},
    {"std", ALL, "std(x, axis=, keep=)", "the standard deviation: sqrt(var(x))", "std([1, 3])", "1", reduce,
     NB_REDUCE_STD, 0, 0},
    {"norm", ALL, "norm(x, axis=, keep=)", "the length: sqrt(sum(x^2))", "norm([3, 4])", "5", reduce,
     NB_REDUCE_NORM, 0, 0},
    {"median", ALL, "median(x, axis=, keep=)", "the middle one", "median([1, 9, 2])", "2", quantile, 1, 0, 0},
    {"quantile", ALL, "quantile(x, q, axis=, keep=)", "what a share q of the numbers lies below",
     "quantile([0, 1, 2, 3, 4], 0.25)", "1", quantile, 0, 0, 0},
    {"any", ALL, "any(x, axis=, keep=)", "1 if any number is not 0", "any([0, 1] == 1)", "1", reduce,
     NB_REDUCE_ANY, 0, 0},
    {"all", ALL, "all(x, axis=, keep=)", "1 if no number is 0", "all([0, 1] == 1)", "0", reduce,
     NB_REDUCE_ALL, 0, 0},
    {"count", ALL, "count(x, axis=, keep=)", "how many are not 0", "count([5, 1, 7] > 2)", "2", reduce,
     NB_REDUCE_COUNT_TRUE, 0, 0},
    {"argmin", ALL, "argmin(x, axis=, keep=)", "where the smallest is", "argmin([3, 1, 2])", "1", reduce,
     NB_REDUCE_ARGMIN, 0, 0},
    {"argmax", ALL, "argmax(x, axis=, keep=)", "where the largest is", "argmax([3, 1, 2])", "0", reduce,
     NB_REDUCE_ARGMAX, 0, 0},
};
const size_t nb_n_functions_math = sizeof nb_functions_math / sizeof *nb_functions_math;
