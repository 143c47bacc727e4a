/* How far static scales reach. */
#include "quant/calibration.h"

#include <float.h>
#include <math.h>

enum { LEVELS = 127 };

float nb_calibration_reach(const nb_calibration_entry *e, nb_observer observer)
{
    double reach = 0.0;
    switch (observer) {
    case NB_OBSERVER_EMA:
        reach = fmax(-e->ema_low, e->ema_high);
        break;
    case NB_OBSERVER_PERCENTILE:
        reach =
            e->width * (double)(1 + nb_histogram_percentile(e->bins, NB_OBSERVER_BINS, NB_OBSERVER_PERCENT));
        break;
    case NB_OBSERVER_MSE:
        reach = e->width *
                (0.5 + (double)nb_histogram_mse(e->bins, NB_OBSERVER_BINS, NB_OBSERVER_LEAST_BINS, LEVELS));
        break;
    case NB_OBSERVER_ENTROPY:
        reach = e->width *
                (double)nb_histogram_entropy(e->bins, NB_OBSERVER_BINS, NB_OBSERVER_LEAST_BINS, LEVELS + 1);
        break;
    default:
        break;
    }
    const double largest = fmax((double)-e->low, (double)e->high);
    if (observer == NB_OBSERVER_MINMAX || reach > largest)
        reach = largest;
    return reach > (double)FLT_MIN * LEVELS ? (float)reach : FLT_MIN * LEVELS;
}

typedef struct reach_job {
    const nb_calibration_entry *entry;
    nb_observer observer;
    float *reaches;
} reach_job;

static void reach_channels(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const reach_job *job = user;
    const nb_calibration_entry *e = job->entry;
    for (size_t j = begin; j < end; j++) {
        const double largest = (double)e->channel_max[j];
        double reach = largest;
        if (job->observer == NB_OBSERVER_EMA)
            reach = fmax(-e->channel_ema_low[j], e->channel_ema_high[j]);
        else if (nb_observer_wants_histogram(job->observer) && largest > 0.0)
            reach = nb_channel_histogram_reach(e->histograms, j, job->observer, LEVELS);
        job->reaches[j] = (float)fmin(reach, largest);
    }
}

void nb_calibration_reach_channels(const nb_calibration_entry *entry, nb_observer observer, nb_pool *pool,
                                   float *reaches)
{
    reach_job job = {entry, observer, reaches};
    nb_parallel(pool, entry->n_cols, 1, reach_channels, &job);
}

nb_status nb_activation_check_observer(nb_activation_mode mode, nb_observer observer,
                                       const nb_calibration *calibration, nb_error *error)
{
    if (mode != NB_ACTIVATION_CHANNELS || !nb_observer_wants_histogram(observer) ||
        (calibration && calibration->by_channel))
        return NB_OK;
    return nb_fail(
        error, NB_ERR_STATE,
        "static:channel by %s looks at a histogram of every channel: calibrate --channels records them",
        nb_observer_name(observer));
}
