#include "eval/evaluate.h"
#include "eval/lanes.h"
#include "math/math.h"

#include <math.h>

/* One sum at a time, so that its lanes stay in registers. */

/* sum x[i] * y[i] */
static double sum_products(const float *x, const float *y, size_t n)
{
    double lanes[NB_LANES] = {0};
    size_t i = 0;
    for (; i + NB_LANES <= n; i += NB_LANES)
        for (int lane = 0; lane < NB_LANES; lane++)
            lanes[lane] += (double)x[i + lane] * (double)y[i + lane];
    for (int lane = 0; i < n; i++, lane++)
        lanes[lane] += (double)x[i] * (double)y[i];
    return nb_lanes_fold(lanes);
}

/* sum (x[i] - y[i])^2 */
static double sum_squared_differences(const float *x, const float *y, size_t n)
{
    double lanes[NB_LANES] = {0};
    size_t i = 0;
    for (; i + NB_LANES <= n; i += NB_LANES) {
        for (int lane = 0; lane < NB_LANES; lane++) {
            double difference = (double)x[i + lane] - (double)y[i + lane];
            lanes[lane] += difference * difference;
        }
    }
    for (int lane = 0; i < n; i++, lane++) {
        double difference = (double)x[i] - (double)y[i];
        lanes[lane] += difference * difference;
    }
    return nb_lanes_fold(lanes);
}

static double max_difference(const float *x, const float *y, size_t n)
{
    double lanes[NB_LANES] = {0};
    size_t i = 0;
    for (; i + NB_LANES <= n; i += NB_LANES) {
        for (int lane = 0; lane < NB_LANES; lane++) {
            double difference = fabs((double)x[i + lane] - (double)y[i + lane]);
            lanes[lane] = difference > lanes[lane] ? difference : lanes[lane];
        }
    }
    for (; i < n; i++) {
        double difference = fabs((double)x[i] - (double)y[i]);
        lanes[0] = difference > lanes[0] ? difference : lanes[0];
    }
    double max = 0;
    for (int lane = 0; lane < NB_LANES; lane++)
        max = lanes[lane] > max ? lanes[lane] : max;
    return max;
}

void nb_error_sums_add(nb_error_sums *sums, const float *x, const float *y, size_t n)
{
    sums->signal += sum_products(x, x, n);
    sums->noise += sum_squared_differences(x, y, n);
    sums->dot += sum_products(x, y, n);
    sums->other += sum_products(y, y, n);
    double max = max_difference(x, y, n);
    sums->max_error = max > sums->max_error ? max : sums->max_error;
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
