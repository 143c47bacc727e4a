/* The Pareto front: what is on it. */
#include "quant/front.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void marks_what_nothing_beats(void **state)
{
    (void)state;
    /*                          bytes, ppl */
    nb_way_cost costs[] = {{.n_bytes = 400, .ppl = 2.0},  /* best */
                           {.n_bytes = 200, .ppl = 2.5},  /* smaller */
                           {.n_bytes = 300, .ppl = 2.5},  /* larger, and no better */
                           {.n_bytes = 200, .ppl = 2.6},  /* as small, but worse */
                           {.n_bytes = 100, .ppl = 9.0},  /* smallest */
                           {.n_bytes = 100, .ppl = 9.0},  /* the same again */
                           {.n_bytes = 50, .ppl = NAN}};
    static const bool on[] = {true, true, false, false, true, true, false};
    nb_front_mark(costs, 7);
    for (size_t i = 0; i < 7; i++)
        if (costs[i].on_front != on[i])
            fail_msg("cost %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(marks_what_nothing_beats)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
