#include "eval/evaluate.h"
#include "eval/lanes.h"
#include "math/math.h"

#include <math.h>

/* Four lanes of everything at once fit the registers of every CPU, so a row is walked four times, a quarter
 * of its numbers each. */
enum { QUARTER = NB_LANES / 4 };

typedef struct row_sums {
    double signal[NB_LANES], noise[NB_LANES], dot[NB_LANES], other[NB_LANES], max[NB_LANES];
} row_sums;

static inline void add_number(row_sums *sums, size_t lane, float x_value, float y_value)
{
    double x = (double)x_value, y = (double)y_value, difference = x - y;
    sums->signal[lane] += x * x;
    sums->noise[lane] += difference * difference;
    sums->dot[lane] += x * y;
    sums->other[lane] += y * y;
    double error = fabs(difference);
    sums->max[lane] = error > sums->max[lane] ? error : sums->max[lane];
}

/* Lanes first ... first + 3 of the whole 16s among n numbers. */
static void add_quarter(row_sums *restrict sums, size_t first, const float *restrict x,
                        const float *restrict y, size_t n)
{
    double signal[QUARTER] = {0}, noise[QUARTER] = {0}, dot[QUARTER] = {0}, other[QUARTER] = {0},
           max[QUARTER] = {0};
    for (size_t i = first; i < n; i += NB_LANES) {
        for (size_t lane = 0; lane < QUARTER; lane++) {
            double a = (double)x[i + lane], b = (double)y[i + lane], difference = a - b,
                   error = fabs(difference);
            signal[lane] += a * a;
            noise[lane] += difference * difference;
            dot[lane] += a * b;
            other[lane] += b * b;
            max[lane] = error > max[lane] ? error : max[lane];
        }
    }
    for (size_t lane = 0; lane < QUARTER; lane++) {
        sums->signal[first + lane] = signal[lane];
        sums->noise[first + lane] = noise[lane];
        sums->dot[first + lane] = dot[lane];
        sums->other[first + lane] = other[lane];
        sums->max[first + lane] = max[lane];
    }
}

void nb_error_sums_add(nb_error_sums *sums, const float *x, const float *y, size_t n)
{
    row_sums row;
    size_t whole = n / NB_LANES * NB_LANES;
    for (size_t first = 0; first < NB_LANES; first += QUARTER)
        add_quarter(&row, first, x, y, whole);
    for (size_t i = whole; i < n; i++)
        add_number(&row, i % NB_LANES, x[i], y[i]);
    for (int lane = 0; lane < NB_LANES; lane++)
        sums->max_error = row.max[lane] > sums->max_error ? row.max[lane] : sums->max_error;
    sums->signal += nb_lanes_fold(row.signal);
    sums->noise += nb_lanes_fold(row.noise);
    sums->dot += nb_lanes_fold(row.dot);
    sums->other += nb_lanes_fold(row.other);
    sums->n += n;
}

double nb_error_sqnr(const nb_error_sums *sums)
{
    if (!(sums->signal > 0))
        return NAN;
    if (sums->noise == 0)
        return INFINITY;
    static const double ln_10 = 2.302585092994045684;
    return 10 * nb_log(sums->signal / sums->noise) / ln_10;
}

double nb_error_mse(const nb_error_sums *sums)
{
    return sums->n ? sums->noise / (double)sums->n : NAN;
}

double nb_error_cosine(const nb_error_sums *sums)
{
    return sums->signal > 0 && sums->other > 0 ? sums->dot / (sqrt(sums->signal) * sqrt(sums->other)) : NAN;
}

void nb_paired_difference(const float *losses_a, const float *losses_b, size_t n, double *mean,
                          double *standard_error)
{
    double lanes[NB_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % NB_LANES] += (double)losses_b[i] - (double)losses_a[i];
    *mean = n ? nb_lanes_fold(lanes) / (double)n : NAN;

    double squares[NB_LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        double deviation = (double)losses_b[i] - (double)losses_a[i] - *mean;
        squares[i % NB_LANES] += deviation * deviation;
    }
    *standard_error = n > 1 ? sqrt(nb_lanes_fold(squares) / ((double)(n - 1) * (double)n)) : NAN;
}
