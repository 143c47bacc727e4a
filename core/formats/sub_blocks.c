#include "formats/sub_blocks.h"

#include <math.h>

/* What a weight's error counts when nobody said: about its size, so that large ones, which matter most, fit
 * best. */
static void plain_weights(const nb_sub_block_plan *plan, const float *x, float *weights)
{
    const size_t n = plan->plain.n;
    for (size_t s = 0; s < NB_SUPER_BLOCK; s += n) {
        float rms = plan->add_rms ? sqrtf(nb_sum_of_squares(x + s, n) / (float)n) : 0;
        for (size_t i = s; i < s + n; i++)
            weights[i] = rms + fabsf(x[i]);
    }
}

/* Integers for numbers that are not negative, the largest one at the limit. Returns what a step is worth. */
static float plain_integers(const float *numbers, size_t n, int limit, uint8_t *integers)
{
    float max = 0;
    for (size_t s = 0; s < n; s++)
        max = numbers[s] > max ? numbers[s] : max;
    float inverse = max > 0 ? (float)limit / max : 0;
    for (size_t s = 0; s < n; s++)
        integers[s] = (uint8_t)nb_nearest(inverse * numbers[s]);
    return max / (float)limit;
}

void nb_sub_blocks_search(const nb_sub_block_plan *plan, const float *x, const float *importance,
                          nb_sub_blocks *out)
{
    const nb_affine_search *search = importance ? &plan->important : &plan->plain;
    const size_t n = search->n, n_subs = NB_SUPER_BLOCK / n;
    float weights[NB_SUPER_BLOCK], scales[NB_MAX_SUBS], mins[NB_MAX_SUBS];
    if (importance)
        nb_search_weights(x, importance,
                          plan->mean_square * nb_sum_of_squares(x, NB_SUPER_BLOCK) / NB_SUPER_BLOCK,
                          NB_SUPER_BLOCK, weights);
    else
        plain_weights(plan, x, weights);
    for (size_t s = 0; s < n_subs; s += NB_SEARCH_LANES)
        nb_search_affine(search, x + s * n, weights + s * n, scales + s, mins + s, out->codes + s * n);

    float d, dmin;
    if (importance) {
        /* A sub-block's scale counts as much as its weights together. */
        float sums[NB_MAX_SUBS] = {0};
        for (size_t i = 0; i < NB_SUPER_BLOCK; i++)
            sums[i / n] += weights[i];
        d = nb_search_unsigned(scales, sums, n_subs, plan->scale_limit, out->scales);
        dmin = nb_search_unsigned(mins, sums, n_subs, plan->scale_limit, out->mins);
    } else {
        d = plain_integers(scales, n_subs, plan->scale_limit, out->scales);
        dmin = plain_integers(mins, n_subs, plan->scale_limit, out->mins);
    }
    nb_write_f16(d, out->d);
    nb_write_f16(dmin, out->dmin);
}

void nb_sub_blocks_recode(const nb_sub_block_plan *plan, const float *x, const uint8_t *scales,
                          const uint8_t *mins, nb_sub_blocks *blocks)
{
    const size_t n = plan->plain.n;
    const int limit = plan->plain.limit;
    const float d = nb_read_f16(blocks->d), dmin = nb_read_f16(blocks->dmin);
    for (size_t s = 0; s < NB_SUPER_BLOCK / n; s++) {
        float scale = d * (float)scales[s], min = dmin * (float)mins[s];
        if (scale == 0)
            continue; /* every code says the same */
        for (size_t i = s * n; i < (s + 1) * n; i++) {
            int q = nb_nearest((x[i] + min) / scale);
            blocks->codes[i] = (uint8_t)(q < 0 ? 0 : q > limit ? limit : q);
        }
    }
}
