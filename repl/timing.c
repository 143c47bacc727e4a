#include "repl/timing.h"

#include "repl/numbers.h"

#include <stdio.h>
#include <string.h>

nb_timing nb_timing_read(const char *text, size_t n, size_t *at)
{
    static const struct {
        const char *word;
        nb_timing timing;
    } words[] = {{"%timeit", NB_TIMING_OFTEN}, {"%time", NB_TIMING_ONCE}};
    size_t begin = *at;
    while (begin < n && strchr(" \t\n", text[begin]) && text[begin])
        begin++;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].word);
        if (n - begin > length && memcmp(text + begin, words[i].word, length) == 0 &&
            (text[begin + length] == ' ' || text[begin + length] == '\t')) {
            *at = begin + length;
            return words[i].timing;
        }
    }
    return NB_TIMING_NONE;
}

typedef struct time_text {
    char text[48];
} time_text;

/* "12.3 ms" */
static time_text time_of(double seconds)
{
    static const struct {
        double size;
        const char *unit;
    } units[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "\u00b5s"}, {0, "ns"}};
    time_text out;
    size_t i = 0;
    while (seconds < units[i].size)
        i++;
    double size = units[i].size > 0 ? units[i].size : 1e-9;
    snprintf(out.text, sizeof out.text, "%s %s", nb_general(seconds / size, 3).text, units[i].unit);
    return out;
}

static nb_status run_round(nb_timed_fn *run, void *user, size_t times, double *seconds, nb_error *error)
{
    nb_status status = NB_OK;
    double begin = nb_seconds_now();
    for (size_t i = 0; status == NB_OK && i < times; i++) {
        nb_items items = {0};
        status = run(user, &items, error);
        nb_items_free(&items);
    }
    *seconds = (nb_seconds_now() - begin) / (double)times;
    return status;
}

static nb_status run_often(nb_notebook *notebook, nb_timed_fn *run, void *user, nb_items *items, nb_error *error)
{
    enum { ROUNDS = 7 };
    const double round_seconds = 0.05, most_times = 1e6;
    double first, best = 0, worst = 0;
    nb_status status = run_round(run, user, 1, &first, error); /* wakes caches and threads too */
    if (status == NB_OK && first < round_seconds)
        status = run_round(run, user, 1, &first, error);
    double wanted = first > 0 ? round_seconds / first : most_times;
    size_t times = wanted < 1 ? 1 : (size_t)(wanted < most_times ? wanted : most_times);
    for (uint64_t round = 0; status == NB_OK && round < ROUNDS; round++) {
        double seconds;
        status = run_round(run, user, times, &seconds, error);
        if (status == NB_OK)
            status = nb_context_tick(notebook->context, "timing", round + 1, ROUNDS, "rounds", error);
        best = round == 0 || seconds < best ? seconds : best;
        worst = seconds > worst ? seconds : worst;
    }
    if (status == NB_OK)
        nb_items_text(items, NB_MEASURED "%s" NB_END " at best, up to " NB_MEASURED "%s" NB_END " · %d rounds of "
                      NB_MEASURED "%s runs" NB_END, time_of(best).text, time_of(worst).text, ROUNDS,
                      nb_count(times).text);
    return status;
}

nb_status nb_timing_run(nb_notebook *notebook, nb_timing timing, nb_timed_fn *run, void *user, nb_items *items,
                        nb_error *error)
{
    if (timing == NB_TIMING_OFTEN)
        return run_often(notebook, run, user, items, error);
    double begin = nb_seconds_now();
    nb_status status = run(user, items, error);
    double seconds = nb_seconds_now() - begin;
    if (status == NB_OK && timing == NB_TIMING_ONCE)
        nb_items_text(items, NB_MUTED "took " NB_END NB_MEASURED "%s" NB_END, time_of(seconds).text);
    return status;
}
