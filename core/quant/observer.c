#include "quant/observer.h"

#include "base/memory.h"
#include "math/math.h"

#include <math.h>
#include <string.h>

static const char *const names[NB_OBSERVERS] = {"minmax", "ema", "percentile", "mse", "entropy"};

const char *nb_observer_name(nb_observer observer)
{
    return names[observer];
}

bool nb_observer_find(const char *name, nb_observer *out)
{
    for (int i = 0; i < NB_OBSERVERS; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (nb_observer)i;
            return true;
        }
    return false;
}

bool nb_observer_wants_histogram(nb_observer observer)
{
    return observer != NB_OBSERVER_MINMAX && observer != NB_OBSERVER_EMA;
}

static uint64_t sum_of(const uint64_t *bins, size_t begin, size_t end)
{
    uint64_t sum = 0;
    for (size_t i = begin; i < end; i++)
        sum += bins[i];
    return sum;
}

size_t nb_histogram_percentile(const uint64_t *bins, size_t n, double percent)
{
    const double wanted = percent / 100.0 * (double)sum_of(bins, 0, n);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += bins[i];
        if ((double)sum >= wanted)
            return i;
    }
    return n - 1;
}

/* ---- entropy ---- */

/* The bins as divergence sees them: the first one may be another number. */
typedef struct view {
    const uint64_t *bins;
    size_t n;
    uint64_t first;
} view;

static uint64_t at(const view *v, size_t i)
{
    return i == 0 ? v->first : v->bins[i];
}

/* One level's part: bins [begin, end) of the first i; `beyond` is what lies above them all. */
static double level_divergence(const view *v, size_t begin, size_t end, size_t i, uint64_t beyond, double total)
{
    uint64_t sum = 0;
    size_t n_filled = 0;
    double divergence = 0.0;
    for (size_t b = begin; b < end; b++) {
        sum += at(v, b);
        n_filled += at(v, b) > 0;
    }
    const double kept = total - (double)beyond;
    for (size_t b = begin; b < end; b++) {
        const uint64_t count = at(v, b) + (b == i - 1 ? beyond : 0);
        if (count == 0)
            continue;
        if (at(v, b) == 0)
            return INFINITY;
        const double p = (double)count / total, q = (double)sum / (double)n_filled / kept;
        divergence += p * nb_log(p / q);
    }
    return divergence;
}

static double divergence_of(const view *v, size_t i, size_t levels, uint64_t beyond, double total)
{
    double divergence = 0.0;
    size_t begin = 0;
    for (size_t k = 0; k < levels; k++) {
        const size_t end = (size_t)rint((double)(k + 1) * (double)i / (double)levels);
        divergence += level_divergence(v, begin, end, i, beyond, total);
        begin = end;
    }
    return divergence;
}

double nb_histogram_divergence(const uint64_t *bins, size_t n, size_t i, size_t levels)
{
    const view v = {bins, n, bins[0]};
    return divergence_of(&v, i, levels, sum_of(bins, i, n), (double)sum_of(bins, 0, n));
}

enum { N_KNOWN = 4096 };

/* x log x, remembered where x is small. */
static double times_log(double *known, uint64_t x)
{
    if (x < 2)
        return 0.0;
    if (x >= N_KNOWN)
        return (double)x * nb_log((double)x);
    if (known[x] == 0.0)
        known[x] = (double)x * nb_log((double)x);
    return known[x];
}

/* The sum over all levels of p log q, without what is the same in all of them, times -total. */
static double level_logs(const view *v, size_t i, size_t levels, uint64_t beyond, double *known)
{
    double logs = 0.0;
    size_t begin = 0;
    for (size_t k = 0; k < levels; k++) {
        const size_t end = (size_t)rint((double)(k + 1) * (double)i / (double)levels);
        uint64_t sum = 0, n_filled = 0;
        for (size_t b = begin; b < end; b++) {
            sum += at(v, b);
            n_filled += at(v, b) > 0;
        }
        if (sum > 0) {
            const double p = (double)(sum + (end == i ? beyond : 0));
            logs += p * (times_log(known, n_filled) / (double)n_filled - times_log(known, sum) / (double)sum);
        }
        begin = end;
    }
    return logs;
}

/* Of numbers that differ by less, rounding decides which is less. */
#define SAME_DIVERGENCE 1e-12

/* The divergence above, as sums of x log x of counts, which come again and again. */
size_t nb_histogram_entropy(const uint64_t *bins, size_t n, size_t least, size_t levels)
{
    double known[N_KNOWN] = {0};
    const view v = {bins, n, n > 1 ? bins[1] : bins[0]};
    const uint64_t total = sum_of(bins, 1, n) + v.first;
    uint64_t beyond = total;
    size_t best = n;
    double lowest = INFINITY, own = 0.0;
    for (size_t i = 1; i <= n; i++) {
        const uint64_t last = at(&v, i - 1);
        beyond -= last;
        const uint64_t kept = total - beyond;
        own += times_log(known, last);
        if (i < nb_min_size(least, n) || kept == 0 || (last == 0 && beyond > 0))
            continue;
        const double clipped = own - times_log(known, last) + times_log(known, last + beyond);
        const double divergence = (clipped + level_logs(&v, i, levels, beyond, known)) / (double)total +
                                  nb_log((double)kept / (double)total);
        if (divergence <= lowest + SAME_DIVERGENCE) {
            lowest = divergence < lowest ? divergence : lowest;
            best = i;
        }
    }
    return best;
}

/* ---- mean square ---- */

size_t nb_histogram_mse(const uint64_t *bins, size_t n, size_t least, size_t levels)
{
    size_t best = n - 1;
    double lowest = INFINITY;
    for (size_t i = nb_min_size(least, n - 1); i < n; i++) {
        const double scale = ((double)i + 0.5) / (double)levels;
        double error = 0.0;
        for (size_t b = 0; b < n && error < lowest; b++) {
            if (bins[b] == 0)
                continue;
            const double x = (double)b + 0.5, code = rint(x / scale);
            const double off = scale * (code > (double)levels ? (double)levels : code) - x;
            error += (double)bins[b] * off * off;
        }
        if (error < lowest) {
            lowest = error;
            best = i;
        }
    }
    return best;
}

/* The squared error of s = scale, where bin b's numbers lie evenly in [b, b + 1); `enough` ends it. All up to
 * x lose code * scale^3 / 12 + (x - code * scale)^3 / 3. */
static double even_error(const uint64_t *bins, size_t n, double scale, double levels, double enough)
{
    const double of_step = scale * scale * scale / 12.0;
    double error = 0.0, before = 0.0, code = 0.0;
    for (size_t b = 0; b < n && error < enough; b++) {
        const double x = (double)(b + 1);
        while (code < levels && x > (code + 0.5) * scale)
            code++;
        const double off = x - code * scale, now = code * of_step + off * off * off / 3.0;
        error += (double)bins[b] * (now - before);
        before = now;
    }
    return error;
}

size_t nb_histogram_mse_even(const uint64_t *bins, size_t n, size_t least, size_t levels)
{
    while (n > least && bins[n - 1] == 0)
        n--;
    size_t best = n;
    double lowest = INFINITY;
    for (size_t i = nb_min_size(least, n); i <= n; i++) {
        const double error = even_error(bins, n, (double)i / (double)levels, (double)levels, lowest);
        if (error < lowest) {
            lowest = error;
            best = i;
        }
    }
    return best;
}
