/* The table of formats, its f32 row, and each row against its own claims. */
#include "base/random.h"
#include "formats/format.h"
#include "formats/tables.h"
#include "quant/rtn.h"

#include "tests/formats/check_float.h"

static void table(void **state)
{
    (void)state;
    static const char *const names[] = {"f32",  "f16",  "bf16", "f8_e4m3", "f8_e5m2", "int8",
                                        "int7", "int6", "int5", "int4",    "int3",    "int2",
                                        "q8_0", "q5_1", "q5_0", "q4_1",    "q4_0",    "q6_k",
                                        "q5_k", "q4_k", "q3_k", "q2_k",    "iq4_nl",  "iq4_xs",
                                        "mxfp4", "nvfp4", "tq2_0", "tq1_0", "nf4", "fp4"};
    assert_int_equal(nb_format_count(), sizeof names / sizeof *names);
    for (size_t i = 0; i < nb_format_count(); i++) {
        const nb_format *format = nb_format_at(i);
        assert_string_equal(format->name, names[i]);
        assert_ptr_equal(nb_format_find(names[i]), format);
        assert_true(format->summary && format->source && format->lesson);
        if (format->kind == NB_FORMAT_INT) {
            assert_ptr_equal(nb_format_int(format->bits), format);
            assert_true(format->max_finite == (1 << (format->bits - 1)) - 1);
        } else if (format->kind == NB_FORMAT_TABLE) {
            assert_true(format->levels && format->encode && format->decode && format->gguf_type < 0);
        } else if (format->kind == NB_FORMAT_BLOCK) {
            assert_true(format->encode_blocks && format->decode_row && format->gguf_type >= 0);
            size_t end = 0; /* the fields are the block, without a gap */
            for (size_t k = 0; k < format->n_fields; k++, end += format->fields[k - 1].n_bytes)
                assert_int_equal(format->fields[k].offset, end);
            assert_int_equal(end, format->block_bytes);
        } else {
            assert_int_equal(1 + format->exponent_bits + format->mantissa_bits, format->bits);
            assert_true(format->encode && format->decode && format->encode_row && format->decode_row);
            assert_true(format->min_normal == ldexp(1, 1 - format->bias));
            assert_true(format->min_subnormal == ldexp(format->min_normal, -(int)format->mantissa_bits));
            assert_true((double)format->decode(format->encode((float)format->max_finite)) ==
                        format->max_finite);
        }
    }
    assert_null(nb_format_at(nb_format_count()));
    static const char *const none[] = {"", "int", "int1", "int9", "int16", "F16", "f16 ", "q4_9", "Q4_0"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(nb_format_find(none[i]));
    assert_null(nb_format_int(0));
    assert_null(nb_format_int(1));
    assert_null(nb_format_int(9));
    assert_null(nb_format_int(-1u));
}

static void f32_is_its_bits(void **state)
{
    (void)state;
    static const uint32_t bits[] = {0,          0x80000000, 1,          0x3f800000,
                                    0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc12345};
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        assert_int_equal(nb_format_f32.encode(of_bits(bits[i])), bits[i]);
        assert_int_equal(bits_of(nb_format_f32.decode(bits[i])), bits[i]);
    }
    check_rows(&nb_format_f32);
}

/* Root of the mean squared error over the root of the mean square, of normal weights: below the row's claim,
 * and not far below it, so that the claim says something. */
static void keeps_its_error_bound(void **state)
{
    (void)state;
    enum { N = 64 * 1024, GROUP = 32 };
    static float x[N], y[N];
    nb_random random;
    nb_random_seed(&random, 11);
    for (size_t i = 0; i < N; i++)
        x[i] = (float)nb_random_normal(&random);
    for (size_t f = 0; f < nb_format_count(); f++) {
        const nb_format *format = nb_format_at(f);
        nb_quantizer q = nb_quantizer_of(format);
        if (format->kind == NB_FORMAT_INT)
            q = (nb_quantizer){format, NB_SCHEME_ABSMAX, NB_PER_GROUP, GROUP, false, 0, 0, false};
        size_t step = format->kind == NB_FORMAT_INT ? GROUP : format->kind == NB_FORMAT_TABLE ? NB_TABLE_GROUP : N;
        static uint8_t blocks[2 * N];
        if (format->kind == NB_FORMAT_BLOCK) {
            format->encode_blocks(x, N, NULL, blocks);
            format->decode_row(blocks, N, y);
        }
        for (size_t i = 0; i < N && format->kind != NB_FORMAT_BLOCK; i += step)
            nb_rtn_group(x + i, step, &q, NULL, NULL, NULL, y + i);
        double signal = 0, noise = 0;
        for (size_t i = 0; i < N; i++) {
            signal += (double)x[i] * (double)x[i];
            noise += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        }
        double error = sqrt(noise / signal);
        if (error > (double)format->max_rel_rmse || error < 0.85 * (double)format->max_rel_rmse)
            fail_msg("%s: relative error %g, the table says %g", format->name, error,
                     (double)format->max_rel_rmse);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(f32_is_its_bits),
        cmocka_unit_test(keeps_its_error_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
