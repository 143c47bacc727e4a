/* Every lesson that comes with nibble, taken as a learner would who makes every mistake that it knows. Run
 * from the root of the tree. */
#include "repl/lesson/lesson.h"
#include "repl/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static void test_every_lesson(void **state)
{
    (void)state;
    nb_catalog catalog;
    nb_error error = {""};
    assert_int_equal(nb_catalog_read(&catalog, &error), NB_OK);
    assert_true(catalog.n >= 3);
    for (size_t i = 0; i < catalog.n; i++) {
        const nb_lesson_entry *entry = &catalog.entries[i];
        nb_context_options options = {.n_threads = 2};
        nb_items items = {0};
        assert_true(i == 0 || entry->number > catalog.entries[i - 1].number);
        assert_true(*entry->goal && *entry->minutes);
        if (nb_lesson_examine(&options, entry->path, &items, &error) != NB_OK)
            fail_msg("%s", error.text);
        /* Its summary and nothing else: what was remarked stands before it. */
        if (items.count != 1)
            fail_msg("%s: %s", entry->id, items.items[0].text);
        print_message("%s\n", items.items[0].text);
        nb_items_free(&items);
    }
    nb_catalog_free(&catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_lesson)};
    setenv("NIBBLE_LESSONS", "lessons", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
