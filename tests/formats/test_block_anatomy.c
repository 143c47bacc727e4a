/* Blocks taken apart number by number give what their codecs give, bit for bit, for every kind of block; two
 * ways that share nothing but the scales' smallest steps. And published numbers. */
#include "base/random.h"
#include "formats/block_anatomy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

enum { MOST = 256, ROUNDS = 400 };

static void fill(nb_random *random, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(nb_random_u64(random) >> 56);
}

static void numbers_agree_with_the_codecs(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 11);
    for (size_t k = 0; k < nb_block_anatomy_count(); k++) {
        const nb_block_anatomy *a = nb_block_anatomy_at(k);
        for (int round = 0; round < ROUNDS; round++) {
            uint8_t block[MOST];
            float values[MOST];
            fill(&random, block, a->format->block_bytes);
            a->format->decode_row(block, a->format->block_size, values);
            for (unsigned i = 0; i < a->format->block_size; i++) {
                nb_block_number number;
                nb_block_number_of(a, block, i, &number);
                const bool both_nan = number.value != number.value && values[i] != values[i];
                if (!both_nan && memcmp(&number.value, &values[i], sizeof values[i]) != 0)
                    fail_msg("%s number %u: %g, and the codec says %g", a->format->name, i,
                             (double)number.value, (double)values[i]);
            }
        }
    }
}

/* Every bit of a block belongs to codes or to scales: flipping a bit that a number names changes that
 * number's code, and no other bit of the codes does. */
static void pieces_are_where_the_code_is(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 12);
    for (size_t k = 0; k < nb_block_anatomy_count(); k++) {
        const nb_block_anatomy *a = nb_block_anatomy_at(k);
        uint8_t block[MOST];
        fill(&random, block, a->format->block_bytes);
        if (a->rule == NB_LEVEL_TERNARY)
            continue; /* its digits share bytes */
        uint8_t used[MOST] = {0};
        unsigned n_used = 0;
        for (unsigned i = 0; i < a->format->block_size; i++) {
            nb_block_number before, after;
            nb_block_number_of(a, block, i, &before);
            for (unsigned p = 0; p < before.n_pieces; p++) {
                const nb_block_bits *b = &before.pieces[p];
                for (unsigned bit = b->shift; bit < b->shift + b->n_bits; bit++) {
                    assert_int_equal(used[b->byte] >> bit & 1, 0); /* nobody else's */
                    used[b->byte] |= (uint8_t)(1u << bit);
                    n_used++;
                    block[b->byte] ^= (uint8_t)(1u << bit);
                    nb_block_number_of(a, block, i, &after);
                    block[b->byte] ^= (uint8_t)(1u << bit);
                    assert_int_equal(before.code ^ after.code, 1u << (bit - b->shift + b->place));
                }
            }
        }
        assert_int_equal(n_used, a->format->bits * a->format->block_size);
    }
}

static void hex(const char *text, uint8_t *bytes)
{
    for (; *text; text += 2) {
        const char pair[3] = {text[0], text[1], 0};
        *bytes++ = (uint8_t)strtoul(pair, NULL, 16);
    }
}

/* The first four numbers of a row that ggml's reference quantized: -0.65625, 0.5, -0.34375, 0.8125. */
static void published_blocks_are_read(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        const char *block;
        double values[4];
    } known[] = {
        {2, "0030730c953fc851ea841da63fd962fb842e", {-0.625, 0.5, -0.375, 0.875}},
        {3, "113000bc730c952ec851ea731da63fc862fb841d", {-0.618774, 0.524902, -0.364624, 0.779053}},
        {6, "002c5aad546ae6083b5d80a2d5f72a4c7f91c4e6193b", {-0.625, 0.5, -0.3125, 0.8125}},
        {39, "7d9de41bd540bd520ce42ac640ad530cd5", {-0.75, 0.5, -0.375, 0.75}},
        {20, "1320620da42fc841eb731db52fd951fc831e", {-0.660469, 0.549065, -0.389915, 0.899193}},
    };
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        uint8_t block[64];
        hex(known[k].block, block);
        for (unsigned i = 0; i < 4; i++) {
            nb_block_number number;
            nb_block_number_of(nb_block_anatomy_find(known[k].type), block, i, &number);
            const double off = (double)number.value - known[k].values[i];
            assert_true(off < 5e-7 && off > -5e-7);
        }
    }
    assert_null(nb_block_anatomy_find(0));
    assert_null(nb_block_anatomy_find(16));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_agree_with_the_codecs),
        cmocka_unit_test(pieces_are_where_the_code_is),
        cmocka_unit_test(published_blocks_are_read),
    };
    return cmocka_run_group_tests_name("block_anatomy", tests, NULL, NULL);
}
