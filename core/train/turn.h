/* Transposing small pieces of f32 matrices. */
#ifndef NB_TRAIN_TURN_H
#define NB_TRAIN_TURN_H

#include "base/fours.h"

static inline void nb_turn_4x4(const float *from, size_t from_stride, float *to, size_t to_stride)
{
    const nb_four a = nb_four_load(from), b = nb_four_load(from + from_stride);
    const nb_four c = nb_four_load(from + 2 * from_stride), d = nb_four_load(from + 3 * from_stride);
    const nb_four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const nb_four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const nb_four turned[4] = {
        __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
        __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
    for (size_t i = 0; i < 4; i++)
        memcpy(to + i * to_stride, &turned[i], sizeof turned[i]);
}

/* to[c][r] = from[r][c] for r < n_rows, c < n_cols. */
static inline void nb_turn(const float *from, size_t from_stride, size_t n_rows, size_t n_cols, float *to,
                           size_t to_stride)
{
    const size_t whole_rows = n_rows / 4 * 4, whole_cols = n_cols / 4 * 4;
    for (size_t c = 0; c < whole_cols; c += 4)
        for (size_t r = 0; r < whole_rows; r += 4)
            nb_turn_4x4(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
    for (size_t r = whole_rows; r < n_rows; r++)
        for (size_t c = 0; c < whole_cols; c++)
            to[c * to_stride + r] = from[r * from_stride + c];
    for (size_t c = whole_cols; c < n_cols; c++)
        for (size_t r = 0; r < n_rows; r++)
            to[c * to_stride + r] = from[r * from_stride + c];
}

#endif
