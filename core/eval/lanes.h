/* Sums in f64 by the contract: element i of a row goes to lane i mod 16, lanes fold 16 -> 8 -> 4 -> 2 -> 1. */
#ifndef NB_EVAL_LANES_H
#define NB_EVAL_LANES_H

enum { NB_LANES = 16 };

static inline double nb_lanes_fold(double lanes[NB_LANES])
{
    for (int half = NB_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

#endif
