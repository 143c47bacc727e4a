#include "formats/scale_search.h"

#include "base/fours.h"
#include "formats/block_parts.h"

#include <math.h>

/* Every lane is a sum of its own, added up in the order that the reference adds in: bits stay equal, and four
 * searches take the time of one. */
typedef nb_four four;
typedef nb_four_int four_int;

/* nb_nearest in every lane, as floats, within low..high. */
static inline four nearest_within(four x, float low, float high)
{
    four_int bits = (four_int)(x + NB_NEAREST_MAGIC) & 0x7fffff;
    four q = __builtin_convertvector(bits - 0x400000, four);
    q = nb_four_choose(q > low, q, nb_four_of(low));
    return nb_four_choose(q < high, q, nb_four_of(high));
}

/* Element i of four rows of n. */
static inline four column(const float *rows, size_t n, size_t i)
{
    return (four){rows[i], rows[n + i], rows[2 * n + i], rows[3 * n + i]};
}

static int clamp(int x, int low, int high)
{
    return x < low ? low : x > high ? high : x;
}

float nb_signed_max(const float *x, size_t n)
{
    /* Every lane remembers its first largest number and where it was. */
    four numbers = {0};
    four_int places = {0}, here = {0, 1, 2, 3};
    for (size_t i = 0; i < n; i += 4, here += 4) {
        four next = nb_four_load(x + i);
        four_int larger = nb_four_abs(next) > nb_four_abs(numbers);
        numbers = nb_four_choose(larger, next, numbers);
        places = (larger & here) | (~larger & places);
    }
    size_t best = 0;
    for (size_t lane = 1; lane < 4; lane++) {
        float size = fabsf(numbers[lane]), best_size = fabsf(numbers[best]);
        if (size > best_size || (size == best_size && places[lane] < places[best]))
            best = lane;
    }
    return numbers[best];
}

float nb_inverse_step(float step)
{
    float inverse = 1 / step;
    return step == 0 || isinf(inverse) || isinf(step) ? 0 : inverse;
}

void nb_min_max(const float *x, size_t n, float *min, float *max)
{
    four lows = nb_four_load(x), highs = lows;
    for (size_t i = 4; i < n; i += 4) {
        four next = nb_four_load(x + i);
        lows = nb_four_choose(next < lows, next, lows);
        highs = nb_four_choose(next > highs, next, highs);
    }
    *min = lows[0];
    *max = highs[0];
    for (size_t lane = 1; lane < 4; lane++) {
        *min = lows[lane] < *min ? lows[lane] : *min;
        *max = highs[lane] > *max ? highs[lane] : *max;
    }
    /* 0 and -0 are equal, and the first of them counts. */
    for (size_t i = 0; i < n && *min == 0; i++)
        if (x[i] == 0) {
            *max = *max == 0 ? x[i] : *max;
            *min = x[i];
            break;
        }
}

float nb_sum_of_squares(const float *x, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

void nb_search_weights(const float *x, const float *importance, float mean_square, size_t n, float *weights)
{
    for (size_t i = 0; i < n; i++)
        weights[i] = importance[i] * sqrtf(mean_square + x[i] * x[i]);
}

/* ---- scale and minimum ---- */

/* Four sub-blocks, one to a lane. */
typedef struct affine_input {
    size_t n;
    four x[NB_SEARCH_WEIGHTS], w[NB_SEARCH_WEIGHTS];
    four min, max, sum_w, sum_x; /* min is at most 0; sum_x: of w x */
} affine_input;

/* A candidate: codes, which are the integers nearest to inverse (x - base), and the scale and minimum that
 * fit them. */
typedef struct affine_fit {
    four inverse, base, scale, min;
    four q[NB_SEARCH_WEIGHTS];
} affine_fit;

static void affine_gather(affine_input *in, const float *x, const float *weights, size_t n)
{
    in->n = n;
    in->min = in->max = column(x, n, 0);
    in->sum_w = in->sum_x = (four){0};
    for (size_t i = 0; i < n; i++) {
        in->x[i] = column(x, n, i);
        in->w[i] = column(weights, n, i);
        in->min = nb_four_choose(in->x[i] < in->min, in->x[i], in->min);
        in->max = nb_four_choose(in->x[i] > in->max, in->x[i], in->max);
        in->sum_w += in->w[i];
        in->sum_x += in->w[i] * in->x[i];
    }
    in->min = nb_four_choose(in->min > 0, (four){0}, in->min);
}

static inline void affine_codes(const affine_input *in, float limit, affine_fit *fit)
{
    for (size_t i = 0; i < in->n; i++)
        fit->q[i] = nearest_within(fit->inverse * (in->x[i] - fit->base), 0, limit);
}

/* Weighted least squares: the line through the points (q, x). A minimum above 0 becomes 0, since the formats
 * have room for -min >= 0 only. Returns where there is such a line. */
static inline four_int affine_line(const affine_input *in, affine_fit *fit)
{
    four sum_q = {0}, sum_qq = {0}, sum_qx = {0};
    for (size_t i = 0; i < in->n; i++) {
        four wq = in->w[i] * fit->q[i];
        sum_q += wq;
        sum_qq += wq * fit->q[i];
        sum_qx += wq * in->x[i];
    }
    four determinant = in->sum_w * sum_qq - sum_q * sum_q;
    fit->scale = (in->sum_w * sum_qx - in->sum_x * sum_q) / determinant;
    fit->min = (sum_qq * in->sum_x - sum_q * sum_qx) / determinant;
    four_int above = fit->min > 0;
    fit->scale = nb_four_choose(above, sum_qx / sum_qq, fit->scale);
    fit->min = nb_four_choose(above, (four){0}, fit->min);
    return determinant > 0;
}

/* The sum of w |e| or w e^2, e = scale q + min - x. */
static inline four affine_error(const affine_input *in, const affine_fit *fit, bool absolute)
{
    four sum = {0};
    for (size_t i = 0; i < in->n; i++) {
        four e = fit->scale * fit->q[i] + fit->min - in->x[i];
        sum += in->w[i] * (absolute ? nb_four_abs(e) : e * e);
    }
    return sum;
}

/* First the obvious line, from the smallest weight at code 0 to the largest at the limit. Then every
 * candidate spreads the weights over a few codes fewer or more, so that other weights share a code, and has a
 * line fitted to its codes; the line whose weights err least stays. */
static void affine_search(const nb_affine_search *search, const affine_input *in, affine_fit *best)
{
    const float limit = (float)search->limit;
    best->inverse = limit / (in->max - in->min);
    best->base = best->min = in->min;
    best->scale = 1 / best->inverse;
    affine_codes(in, limit, best);
    four best_error = affine_error(in, best, search->absolute_error);
    affine_fit fit;
    for (int k = 0; k <= search->n_steps; k++) {
        /* The best minimum so far, not the smallest weight: candidates start from what was learned. */
        fit.base = best->min;
        fit.inverse = (search->first + search->step * (float)k + limit) / (in->max - fit.base);
        affine_codes(in, limit, &fit);
        four_int better = affine_line(in, &fit);
        four error = affine_error(in, &fit, search->absolute_error);
        better &= error < best_error;
        best_error = nb_four_choose(better, error, best_error);
        best->inverse = nb_four_choose(better, fit.inverse, best->inverse);
        best->base = nb_four_choose(better, fit.base, best->base);
        best->scale = nb_four_choose(better, fit.scale, best->scale);
        best->min = nb_four_choose(better, fit.min, best->min);
    }
    affine_codes(in, limit, best); /* every lane those of its best candidate */
}

void nb_search_affine(const nb_affine_search *search, const float *x, const float *weights, float *scales,
                      float *mins, uint8_t *codes)
{
    affine_input in;
    affine_fit best;
    affine_gather(&in, x, weights, search->n);
    affine_search(search, &in, &best);
    for (size_t lane = 0; lane < NB_SEARCH_LANES; lane++) {
        /* All weights equal and not positive (0 among them): the minimum says everything. */
        const bool flat = in.max[lane] == in.min[lane];
        scales[lane] = flat ? 0 : best.scale[lane];
        mins[lane] = flat ? -in.min[lane] : -best.min[lane];
        for (size_t i = 0; i < in.n; i++)
            codes[lane * in.n + i] = flat ? 0 : (uint8_t)best.q[i][lane];
    }
}

size_t nb_search_affine_row(const float *x, const float *importance, size_t n, float mean_square, int limit,
                            float *scales, float *mins, uint8_t *codes)
{
    enum { ALL = NB_SEARCH_LANES * NB_BLOCK };
    const nb_affine_search search = NB_SEARCH_IMPORTANT(NB_BLOCK, limit);
    float padded[ALL] = {0}, weights[ALL] = {0};
    n = n < ALL ? n : ALL;
    memcpy(padded, x, n * sizeof *x);
    nb_search_weights(x, importance, mean_square, n, weights);
    nb_search_affine(&search, padded, weights, scales, mins, codes);
    return n / NB_BLOCK;
}

/* ---- a scale with a sign ---- */

/* Sums over one block for several candidates at once, one to a lane: of w q x and of w q^2. The least-squares
 * scale is their quotient, and what it gains over a scale of 0 is the first one's square over the second. */
enum { CANDIDATES = 20 };
typedef struct fit_sums {
    four qx[CANDIDATES / 4], qq[CANDIDATES / 4];
} fit_sums;

/* Of the candidates 0..n - 1, the first of the best ones. `start` goes first, and comes with its scale. */
static int best_candidate(const fit_sums *sums, int n, int start, float *scale)
{
    int best = start;
    float qx = sums->qx[start / 4][start % 4], qq;
    float gain = *scale * qx;
    for (int k = 0; k < n; k++) {
        qx = sums->qx[k / 4][k % 4];
        qq = sums->qq[k / 4][k % 4];
        if (k != start && qq > 0 && qx * qx > gain * qq) {
            *scale = qx / qq;
            gain = *scale * qx;
            best = k;
        }
    }
    return best;
}

float nb_search_signed(const float *x, const float *weights, size_t n, int limit, uint8_t *codes)
{
    enum { MIDDLE = 9, N = 2 * MIDDLE + 1 };
    memset(codes, 0, n);
    const float max = nb_signed_max(x, n);
    if (fabsf(max) < NB_SEARCH_ZERO)
        return 0;
    /* From nine tenths of a step less than all codes to nine tenths more. */
    four inverse[CANDIDATES / 4] = {{0}};
    for (int k = 0; k < N; k++)
        inverse[k / 4][k % 4] = -((float)limit + 0.1f * (float)(k - MIDDLE)) / max;
    fit_sums sums = {0};
    for (size_t i = 0; i < n; i++) {
        const float w = weights[i], wx = w * x[i];
        for (size_t c = 0; c < CANDIDATES / 4; c++) {
            four q = nearest_within(inverse[c] * x[i], (float)-limit, (float)(limit - 1));
            sums.qx[c] += wx * q;
            sums.qq[c] += w * q * q;
        }
    }
    const float middle_qq = sums.qq[MIDDLE / 4][MIDDLE % 4];
    float scale = middle_qq != 0 ? sums.qx[MIDDLE / 4][MIDDLE % 4] / middle_qq : 0;
    const int best = best_candidate(&sums, N, MIDDLE, &scale);
    for (size_t i = 0; i < n; i++)
        codes[i] =
            (uint8_t)(limit + clamp(nb_nearest(inverse[best / 4][best % 4] * x[i]), -limit, limit - 1));
    return scale;
}

float nb_search_signed_descent(const float *x, size_t n, int limit, uint8_t *codes)
{
    memset(codes, 0, n);
    const float max = nb_signed_max(x, n);
    if (fabsf(max) < NB_SEARCH_ZERO)
        return 0;
    const float inverse = (float)-limit / max;
    int q[NB_SEARCH_WEIGHTS];
    float sum_qx = 0, sum_qq = 0;
    for (size_t i = 0; i < n; i++) {
        q[i] = clamp(nb_nearest(inverse * x[i]), -limit, limit - 1);
        float w = x[i] * x[i], l = (float)q[i];
        sum_qx += w * x[i] * l;
        sum_qq += w * l * l;
    }
    bool changed = true;
    for (int sweep = 0; sweep < 5 && changed; sweep++) {
        changed = false;
        for (size_t i = 0; i < n; i++) {
            /* The sums without this weight give a scale; the weight takes the code nearest by that scale. */
            float w = x[i] * x[i], l = (float)q[i];
            float qx = sum_qx - w * x[i] * l, qq = sum_qq - w * l * l;
            if (!(qx > 0))
                continue;
            int next = clamp(nb_nearest(x[i] * qq / qx), -limit, limit - 1);
            if (next == q[i])
                continue;
            l = (float)next;
            qx += w * x[i] * l;
            qq += w * l * l;
            if (qq > 0 && qx * qx * sum_qq > sum_qx * sum_qx * qq) {
                q[i] = next;
                sum_qx = qx;
                sum_qq = qq;
                changed = true;
            }
        }
    }
    for (size_t i = 0; i < n; i++)
        codes[i] = (uint8_t)(q[i] + limit);
    return sum_qq > 0 ? sum_qx / sum_qq : 0;
}

/* ---- a scale of scales ---- */

/* The candidate 1 / scale whose plain rounding errs least: no least squares yet. */
static float unsigned_start(const float *x, const float *weights, size_t n, int limit, float max)
{
    float best = 0, best_error = 0;
    /* The middle one first: it stays unless another one is better. */
    static const int order[] = {0, -4, -3, -2, -1, 1, 2, 3, 4};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        float inverse = (0.1f * (float)order[k] + (float)limit) / max, scale = 1 / inverse, error = 0;
        for (size_t i = 0; i < n; i++) {
            int q = nb_nearest(inverse * x[i]);
            q = k == 0 ? (uint8_t)q : q < limit ? q : limit;
            float e = x[i] - scale * (float)q;
            error += weights[i] * e * e;
        }
        if (k == 0 || error < best_error) {
            best = inverse;
            best_error = error;
        }
    }
    return best;
}

float nb_search_unsigned(const float *x, const float *weights, size_t n, int limit, uint8_t *codes)
{
    memset(codes, 0, n);
    float max = 0;
    for (size_t i = 0; i < n; i++)
        max = max > x[i] ? max : x[i];
    if (max < NB_SEARCH_ZERO)
        return 0;
    const float inverse = unsigned_start(x, weights, n, limit, max);
    float sum_qx = 0, sum_qq = 0;
    for (size_t i = 0; i < n; i++) {
        int q = nb_nearest(inverse * x[i]);
        q = q < limit ? q : limit;
        codes[i] = (uint8_t)q;
        sum_qx += weights[i] * x[i] * (float)q;
        sum_qq += weights[i] * (float)q * (float)q;
    }
    bool changed = true;
    for (int sweep = 0; sweep < 5 && changed; sweep++) {
        changed = false;
        for (size_t i = 0; i < n; i++) {
            float w = weights[i], l = codes[i];
            float qx = sum_qx - w * x[i] * l, qq = sum_qq - w * l * l;
            if (!(qx > 0 && qq > 0))
                continue;
            int next = nb_nearest(x[i] * qq / qx);
            next = next < limit ? next : limit;
            if (next == codes[i])
                continue;
            qx += w * x[i] * (float)next;
            qq += w * (float)next * (float)next;
            if (qx * qx * sum_qq > sum_qx * sum_qx * qq) {
                codes[i] = (uint8_t)next;
                sum_qx = qx;
                sum_qq = qq;
                changed = true;
            }
        }
    }
    return sum_qq > 0 ? sum_qx / sum_qq : 0;
}

/* ---- a table instead of steps ---- */

/* Half way between neighbours of iq4's table. */
static const float iq4_middles[15] = {-115.5f, -93.5f, -74,   -57,   -42, -28.5f, -16, -4.5f,
                                      7,       19,     31.5f, 45.5f, 61,  79,     101};

/* The table's number nearest to x: the first one plus the gaps below x. */
static inline four iq4_nearest_number(four x)
{
    four number = nb_four_of(nb_iq4_table[0]);
    for (int k = 0; k < 15; k++) {
        four gap = nb_four_of((float)(nb_iq4_table[k + 1] - nb_iq4_table[k]));
        number += (four)(~(x < iq4_middles[k]) & (four_int)gap);
    }
    return number;
}

void nb_iq4_nearest(const float x[32], float inverse_scale, uint8_t codes[32])
{
    for (size_t i = 0; i < 32; i += 4) {
        four scaled = inverse_scale * nb_four_load(x + i);
        four_int places = {0};
        for (int k = 0; k < 15; k++)
            places += 1 + (scaled < iq4_middles[k]); /* a comparison that holds is -1 */
        for (size_t lane = 0; lane < 4; lane++)
            codes[i + lane] = (uint8_t)places[lane];
    }
}

float nb_search_iq4(const float x[32], const float weights[32])
{
    enum { MIDDLE = 7, N = 2 * MIDDLE + 1 };
    const float max = nb_signed_max(x, 32);
    if (fabsf(max) < NB_SEARCH_ZERO)
        return 0;
    /* The largest weight at the table's lower end, -127, and up to seven beside it. */
    four inverse[CANDIDATES / 4] = {{0}};
    for (int k = 0; k < N; k++)
        inverse[k / 4][k % 4] = (float)(k - MIDDLE + nb_iq4_table[0]) / max;
    inverse[N / 4][N % 4] = 1 / (-max / (float)nb_iq4_table[0]);
    fit_sums sums = {0};
    for (size_t i = 0; i < 32; i++) {
        const float w = weights[i];
        for (size_t c = 0; c < 4; c++) {
            four q = iq4_nearest_number(inverse[c] * x[i]), wq = w * q;
            sums.qx[c] += wq * x[i];
            sums.qq[c] += wq * q;
        }
    }
    const float qq = sums.qq[N / 4][N % 4];
    float scale = qq > 0 ? sums.qx[N / 4][N % 4] / qq : 0;
    best_candidate(&sums, N, N, &scale);
    return scale;
}
