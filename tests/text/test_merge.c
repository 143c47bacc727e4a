/* The merging loop beside the definition: look at all neighbours, merge the best, start again. */
#include "text/merge.h"

#include "base/memory.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_BASE 5 /* symbols that texts are made of; merged ones follow */

/* Merges of random earlier symbols; priorities repeat, so that ties happen. */
static size_t random_pairs(nb_random *random, nb_pair *pairs, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        nb_pair pair = {.left = (uint32_t)nb_random_below(random, N_BASE + i),
                        .right = (uint32_t)nb_random_below(random, N_BASE + i),
                        .priority = (uint32_t)nb_random_below(random, count),
                        .merged = (uint32_t)(N_BASE + i)};
        bool known = false;
        for (size_t k = 0; k < n; k++) {
            known |= pairs[k].left == pair.left && pairs[k].right == pair.right;
        }
        if (!known) {
            pairs[n++] = pair;
        }
    }
    return n;
}

static size_t merge_slowly(const nb_pair *pairs, size_t n_pairs, uint32_t *symbols, uint32_t *starts,
                           size_t n)
{
    for (;;) {
        const nb_pair *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            for (size_t k = 0; k < n_pairs; k++) {
                if (pairs[k].left == symbols[i] && pairs[k].right == symbols[i + 1] &&
                    (!best || pairs[k].priority < best->priority)) {
                    best = &pairs[k];
                    at = i;
                }
            }
        }
        if (!best) {
            return n;
        }
        symbols[at] = best->merged;
        n--;
        memmove(symbols + at + 1, symbols + at + 2, (n - at - 1) * sizeof *symbols);
        memmove(starts + at + 1, starts + at + 2, (n - at - 1) * sizeof *starts);
    }
}

static void test_random_texts(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 1);
    nb_merge_piece piece = {0};
    for (int round = 0; round < 400; round++) {
        nb_pair pairs[40];
        size_t n_pairs = random_pairs(&random, pairs, 1 + nb_random_below(&random, 40));
        nb_pair_table table;
        assert_true(nb_pair_table_create(&table, 1)); /* and grows */
        for (size_t i = 0; i < n_pairs; i++) {
            assert_true(nb_pair_table_add(&table, pairs[i]));
        }
        size_t n = 1 + nb_random_below(&random, round % 2 ? 60 : 300);
        uint32_t symbols[300], starts[300];
        assert_int_equal(nb_merge_reserve(&piece, n, NULL), NB_OK);
        piece.count = n;
        for (size_t i = 0; i < n; i++) {
            bool none = nb_random_below(&random, 50) == 0;
            piece.symbols[i] = symbols[i] = none ? NB_NO_SYMBOL : (uint32_t)nb_random_below(&random, N_BASE);
            piece.starts[i] = starts[i] = (uint32_t)(3 * i);
        }
        assert_int_equal(nb_merge(&table, &piece, NULL), NB_OK);
        n = merge_slowly(pairs, n_pairs, symbols, starts, n);
        assert_int_equal(piece.count, n);
        assert_memory_equal(piece.symbols, symbols, n * sizeof *symbols);
        assert_memory_equal(piece.starts, starts, n * sizeof *starts);
        nb_pair_table_free(&table);
    }
    nb_merge_free(&piece);
}

/* A million equal symbols: a loop that rescans would take hours. */
static void test_long_run(void **state)
{
    (void)state;
    nb_pair_table table;
    assert_true(nb_pair_table_create(&table, 8));
    for (uint32_t i = 0; i < 8; i++) {
        assert_true(nb_pair_table_add(&table, (nb_pair){i, i, i, i + 1}));
    }
    nb_merge_piece piece = {0};
    size_t n = 1000001;
    assert_int_equal(nb_merge_reserve(&piece, n, NULL), NB_OK);
    memset(piece.symbols, 0, n * sizeof *piece.symbols);
    memset(piece.starts, 0, n * sizeof *piece.starts);
    piece.count = n;
    assert_int_equal(nb_merge(&table, &piece, NULL), NB_OK);
    /* 1000001 = 3906 * 256 + 64 + 1 */
    assert_int_equal(piece.count, 3908);
    assert_int_equal(piece.symbols[0], 8);
    assert_int_equal(piece.symbols[3905], 8);
    assert_int_equal(piece.symbols[3906], 6);
    assert_int_equal(piece.symbols[3907], 0);
    nb_merge_free(&piece);
    nb_pair_table_free(&table);
}

static void test_symbol_table(void **state)
{
    (void)state;
    enum { N = 5000 };
    static char texts[N][12];
    static nb_string strings[N];
    nb_symbol_table table;
    assert_true(nb_symbol_table_create(&table, strings, 0)); /* and grows */
    for (uint32_t i = 0; i < N; i++) {
        size_t length = 1 + i % 11;
        memset(texts[i], 'x', length);
        memcpy(texts[i], &i, length < 4 ? length : 4);
        strings[i] = (nb_string){texts[i], length};
        assert_true(nb_symbol_table_add(&table, i));
    }
    for (uint32_t i = 0; i < N; i++) {
        uint32_t first = 0;
        size_t length = 1 + i % 11;
        while (1 + first % 11 != length || memcmp(texts[first], texts[i], length) != 0) {
            first++;
        }
        assert_int_equal(nb_symbol_table_find(&table, texts[i], length), first);
    }
    assert_int_equal(nb_symbol_table_find(&table, "absent", 6), NB_NO_SYMBOL);
    assert_int_equal(nb_symbol_table_find(&table, "", 0), NB_NO_SYMBOL);
    nb_symbol_table_free(&table);
}

static void test_no_memory(void **state)
{
    (void)state;
    nb_merge_piece piece = {0};
    for (long fail = 1; fail <= 6; fail++) {
        nb_memory_fail_after(fail);
        nb_error error;
        assert_int_equal(nb_merge_reserve(&piece, 100000, &error), NB_ERR_MEMORY);
        assert_non_null(strstr(error.text, "memory"));
    }
    nb_memory_fail_after(0);
    assert_int_equal(nb_merge_reserve(&piece, 100000, NULL), NB_OK);
    nb_merge_free(&piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_texts),
        cmocka_unit_test(test_long_run),
        cmocka_unit_test(test_symbol_table),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
