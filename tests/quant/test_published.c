/* Worked examples that courses and documents publish, with the numbers that they print. */
#include "kernels/kernels.h"
#include "quant/affine.h"
#include "quant/rtn.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static nb_quantizer int_quantizer(unsigned bits, nb_scheme scheme, nb_convention convention)
{
    return (nb_quantizer){
        .format = nb_format_int(bits), .scheme = scheme, .scales_f32 = true, .convention = convention};
}

static void assert_close(double got, double published, double tolerance)
{
    if (!(fabs(got - published) <= tolerance))
        fail_msg("%.10g, but %.10g is published", got, published);
}

static void assert_codes(const int32_t *got, const int *published, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(got[i], published[i]);
}

static double mean_squared_error(const float *x, const float *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sum / (double)n;
}

/* ---- "Quantization in Depth" (DeepLearning.AI with Hugging Face) ---- */

static const float T[9] = {191.6f, -13.5f, 728.6f, 92.14f, 295.5f, -184, 0, 684.6f, 245.5f};

static void depth_given_scale(void **state)
{
    (void)state;
    const nb_affine given = {.scale = 3.5f, .zero = -70, .lowest = -128, .highest = 127};
    const nb_quantizer q = int_quantizer(8, NB_SCHEME_ZEROPOINT, NB_CONVENTION_DIVIDE);
    uint8_t u[9];
    float values[9];
    uint64_t n_clipped = 0, n_zero = 0;
    nb_affine_encode(&given, &q, T, 9, u, values, &n_clipped, &n_zero);
    static const int codes[9] = {-15, -74, 127, -44, 14, -123, -70, 126, 0};
    static const float dequantized[9] = {192.5f, -14, 689.5f, 91, 294, -185.5f, 0, 686, 245};
    for (int i = 0; i < 9; i++) {
        assert_int_equal(u[i] - 128, codes[i]);
        assert_true(values[i] == dequantized[i]);
    }
    assert_int_equal(n_clipped, 1); /* 728.6 */
    assert_int_equal(n_zero, 1);
    assert_close(mean_squared_error(T, values, 9), 170.8753, 5e-5);

    /* The classic bug: code minus zero point in int8, without widening. */
    assert_true(3.5f * (float)(int8_t)(uint8_t)(codes[2] - -70) == -206.5f);
    assert_true(3.5f * (float)(int8_t)(uint8_t)(codes[7] - -70) == -210);
}

static void depth_asymmetric(void **state)
{
    (void)state;
    const nb_quantizer q = int_quantizer(8, NB_SCHEME_ZEROPOINT, NB_CONVENTION_DIVIDE);
    float scale, values[9];
    int32_t zero;
    nb_rtn_group(T, 9, &q, &scale, &zero, NULL, values);
    assert_close((double)scale, 3.578823433670343, 1e-6);
    assert_close(-128 + 184 / (double)scale, -76.5866, 2e-4); /* it is -76.58645 */
    assert_int_equal(zero, -77);
    assert_close(mean_squared_error(T, values, 9), 1.5730, 5e-5);
}

static void depth_symmetric(void **state)
{
    (void)state;
    const nb_quantizer q = int_quantizer(8, NB_SCHEME_ABSMAX, NB_CONVENTION_DIVIDE);
    float scale, values[9];
    nb_rtn_group(T, 9, &q, &scale, NULL, NULL, values);
    assert_close((double)scale, 5.73701, 5e-6);
    assert_close(mean_squared_error(T, values, 9), 2.5091912746429443, 1e-6);

    static const double row_scales[3] = {5.7370, 2.3268, 5.3906};
    static const int row_codes[9] = {33, -2, 127, 40, 127, -79, 0, 127, 46};
    int32_t codes[9];
    for (int row = 0; row < 3; row++) {
        nb_rtn_group(T + 3 * row, 3, &q, &scale, NULL, codes + 3 * row, values + 3 * row);
        assert_close((double)scale, row_scales[row], 5e-5);
    }
    assert_codes(codes, row_codes, 9);
    assert_close(mean_squared_error(T, values, 9), 1.8084441423416138, 1e-6);

    float column[3], column_values[3];
    double error = 0;
    for (int col = 0; col < 3; col++) {
        for (int row = 0; row < 3; row++)
            column[row] = T[3 * row + col];
        nb_rtn_group(column, 3, &q, NULL, NULL, NULL, column_values);
        error += mean_squared_error(column, column_values, 3) / 3;
    }
    assert_close(error, 1.0781488418579102, 1e-6);
}

/* int8 weights, f32 activations, through the engine's own matmul on every level of this CPU. */
static void depth_w8a32(void **state)
{
    (void)state;
    static const float w[9] = {-2, -1.13f, .42f, -1.51f, .25f, 1.62f, .23f, 1.35f, 2.15f}, x[3] = {1, 2, 3};
    static const int codes[9] = {-118, -67, 25, -89, 15, 96, 14, 80, 127};
    static const double published[3] = {-2.9965, 3.8768, 9.3957}, in_float[3] = {-3, 3.85, 9.38};
    nb_quantizer q = int_quantizer(8, NB_SCHEME_ABSMAX, NB_CONVENTION_DIVIDE);
    q.activations = NB_ACTIVATIONS_F32;
    nb_quantizer plain = {.format = &nb_format_f32};
    const nb_source source = {&nb_format_f32, w, 3, 3, NULL, NULL, NULL};
    for (size_t level = 0; level < nb_kernels_count(); level++) {
        nb_context *context;
        nb_context_options options = {.n_threads = 1, .level = nb_kernels_at(level)->name};
        if (nb_context_create(&options, &context, NULL) != NB_OK)
            continue; /* not on this CPU */
        const nb_quantizer *const quantizers[2] = {&q, &plain};
        for (int k = 0; k < 2; k++) {
            nb_packed *packed;
            assert_int_equal(nb_rtn_quantize(context, "W", &source, quantizers[k], &packed, NULL, NULL),
                             NB_OK);
            if (k == 0) {
                uint8_t u[NB_ROWS * 3], zeros[NB_ROWS];
                float scales[NB_ROWS];
                nb_packed_get_int(packed, 0, u, scales, zeros);
                for (int i = 0; i < 9; i++)
                    assert_int_equal(u[i] - 128, codes[i]);
                assert_close((double)scales[0], 0.016929134609192376, 1e-9);
            }
            nb_acts_buffer acts = {0};
            float y[3];
            assert_int_equal(nb_acts_prepare(context, &acts, x, 1, 3, 3, false, NULL), NB_OK);
            nb_matmul(context, packed, &acts.acts, y, 3);
            for (int i = 0; i < 3; i++)
                assert_close((double)y[i], k == 0 ? published[i] : in_float[i], 5e-5);
            nb_acts_buffer_free(&acts);
            nb_packed_destroy(&packed);
        }
        nb_context_destroy(&context);
    }
}

/* Four 2-bit codes in a byte, the first in the low bits: the bit plane's byte holds columns 0, 8,
 * 16 and 24. */
static void depth_two_bit_packing(void **state)
{
    (void)state;
    static const uint8_t four[2][4] = {{1, 0, 3, 2}, {3, 3, 3, 3}}, byte[2] = {177, 255};
    const nb_quantizer q = int_quantizer(2, NB_SCHEME_ABSMAX, NB_CONVENTION_DIVIDE);
    for (int k = 0; k < 2; k++) {
        nb_packed *packed;
        uint8_t codes[NB_ROWS * NB_BLOCK] = {0};
        float scales[NB_ROWS] = {0};
        assert_int_equal(nb_packed_create(&q, 1, NB_BLOCK, &packed, NULL), NB_OK);
        for (int i = 0; i < 4; i++)
            codes[8 * i] = four[k][i];
        nb_packed_set_int(packed, 0, codes, scales, NULL);
        assert_int_equal(packed->codes[0], byte[k]);
        nb_packed_destroy(&packed);
    }
}

/* ---- "Introduction to Weight Quantization" (M. Labonne) ---- */

static void labonne_article(void **state)
{
    (void)state;
    nb_quantizer q = int_quantizer(8, NB_SCHEME_ABSMAX, NB_CONVENTION_LABONNE);
    const float x[3] = {0.1f, 3.2f, -3.0f};
    float scale, values[3];
    int32_t zero, codes[3];
    nb_rtn_group(x, 3, &q, &scale, &zero, codes, values);
    assert_int_equal(codes[0], 4);
    assert_close((double)values[0], 0.1008, 5e-5);
    assert_close((double)values[0] - 0.1, 0.000787, 5e-7);

    q.scheme = NB_SCHEME_ZEROPOINT;
    nb_rtn_group(x, 3, &q, &scale, &zero, codes, values);
    assert_close(1 / (double)scale, 41.13, 5e-3);
    assert_int_equal(zero, -5);
    assert_int_equal(codes[0], -1);
    assert_close((double)values[0], 0.09725, 5e-6);

    const float list[8] = {1.2f, -.5f, -4.3f, 1.2f, -3.1f, .8f, 2.4f, 5.4f};
    static const int list_codes[8] = {28, -12, -101, 28, -73, 19, 56, 127};
    int32_t eight[8];
    q.scheme = NB_SCHEME_ABSMAX;
    nb_rtn_group(list, 8, &q, &scale, NULL, eight, NULL);
    assert_close(1 / (double)scale, 23.5185, 5e-5);
    assert_codes(eight, list_codes, 8);
}

static void labonne_notebook(void **state)
{
    (void)state;
    const float x[5] = {-1.2f, .3f, .75f, 2.4f, 0};
    static const int absmax[5] = {-64, 16, 40, 127, 0}, affine[5] = {-128, -22, 10, 127, -43};
    static const double back[5] = {-1.2, .2964706, .7482353, 2.4, 0};
    nb_quantizer q = int_quantizer(8, NB_SCHEME_ABSMAX, NB_CONVENTION_LABONNE);
    float scale, values[5];
    int32_t zero, codes[5];
    nb_rtn_group(x, 5, &q, &scale, &zero, codes, values);
    assert_close(1 / (double)scale, 52.91666, 1e-5);
    assert_codes(codes, absmax, 5);
    q.scheme = NB_SCHEME_ZEROPOINT;
    nb_rtn_group(x, 5, &q, &scale, &zero, codes, values);
    assert_close(1 / (double)scale, 70.83333, 1e-5);
    assert_int_equal(zero, -43);
    assert_codes(codes, affine, 5);
    for (int i = 0; i < 5; i++)
        assert_close((double)values[i], back[i], 5e-7);

    /* All numbers above 0: the zero point leaves int8, and the notebook keeps it. */
    const float positive[3] = {2, 2.5f, 3};
    nb_rtn_group(positive, 3, &q, &scale, &zero, codes, values);
    assert_int_equal(zero, -638);
    assert_true(codes[0] == -128 && codes[2] == 127);
    assert_close((double)values[0], 2, 1e-6);
    assert_close((double)values[2], 3, 1e-6);
    /* Its range of a constant is 1. */
    const float constant[2] = {-.5f, -.5f};
    nb_rtn_group(constant, 2, &q, &scale, &zero, codes, values);
    assert_true(scale == 1 / 255.0f && zero == 0 && codes[0] == -128);
}

/* ---- ONNX DynamicQuantizeLinear, whose codes are ours plus 128 ---- */

static void onnx_dynamic(void **state)
{
    (void)state;
    const nb_quantizer q = int_quantizer(8, NB_SCHEME_ZEROPOINT, NB_CONVENTION_DIVIDE);
    const float x[5] = {-1.2f, .3f, .75f, 2.4f, 0}, positive[3] = {.5f, 1, 2};
    static const int codes[5] = {0 - 128, 106 - 128, 138 - 128, 255 - 128, 85 - 128},
                     three[3] = {-64, -1, 127};
    float scale;
    int32_t zero, got[5];
    nb_rtn_group(x, 5, &q, &scale, &zero, got, NULL);
    assert_true(scale == .0141176479f);
    assert_int_equal(zero, 85 - 128);
    assert_codes(got, codes, 5);
    nb_rtn_group(positive, 3, &q, &scale, &zero, got, NULL);
    assert_true(scale == .00784313772f);
    assert_int_equal(zero, 0 - 128);
    assert_codes(got, three, 3);
}

static void int4_restricted(void **state)
{
    (void)state;
    const nb_quantizer q = int_quantizer(4, NB_SCHEME_ABSMAX, NB_CONVENTION_DIVIDE);
    const float x[5] = {-1.2f, .3f, .75f, 2.4f, 0};
    static const int codes[5] = {-4, 1, 2, 7, 0};
    float scale, values[5];
    int32_t got[5];
    nb_rtn_group(x, 5, &q, &scale, NULL, got, values);
    assert_close((double)scale, .342857, 5e-7);
    assert_codes(got, codes, 5);
    assert_close(mean_squared_error(x, values, 5), .007071, 5e-7);
}

/* Y = s_a s_b (sum (qa - z_a)(qb - z_b)): both operands with a zero point, sums in integers. */
static void integer_matmul_with_zero_points(void **state)
{
    (void)state;
    const nb_quantizer q = int_quantizer(8, NB_SCHEME_ZEROPOINT, NB_CONVENTION_DIVIDE);
    const float a[6] = {1, -2, .5f, .25f, 3, -1.5f}, b[6] = {.5f, -1, 2, .25f, -.75f, 1.5f};
    static const int a_codes[6] = {153, 0, 128, 115, 255, 26}, b_codes[6] = {127, 0, 255, 106, 21, 213};
    static const int raw[4] = {22119, 27264, 80176, 32568}, corrected[4] = {-16862, -3149, 31420, -7620};
    static const double y[4] = {-3.889735, -.726413, 7.247982, -1.757785};
    float a_scale, b_scale;
    int32_t a_zero, b_zero, qa[6], qb[6];
    nb_rtn_group(a, 6, &q, &a_scale, &a_zero, qa, NULL);
    nb_rtn_group(b, 6, &q, &b_scale, &b_zero, qb, NULL);
    assert_close((double)a_scale, .019607843, 1e-9);
    assert_close((double)b_scale, .011764706, 1e-9);
    assert_int_equal(a_zero + 128, 102);
    assert_int_equal(b_zero + 128, 85);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(qa[i] + 128, a_codes[i]);
        assert_int_equal(qb[i] + 128, b_codes[i]);
    }
    for (int m = 0; m < 2; m++)
        for (int n = 0; n < 2; n++) {
            int plain = 0, sum = 0;
            for (int k = 0; k < 3; k++) {
                plain += (qa[3 * m + k] + 128) * (qb[2 * k + n] + 128);
                sum += (qa[3 * m + k] - a_zero) * (qb[2 * k + n] - b_zero);
            }
            assert_int_equal(plain, raw[2 * m + n]);
            assert_int_equal(sum, corrected[2 * m + n]);
            assert_close((double)(a_scale * b_scale * (float)sum), y[2 * m + n], 1e-6);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth_given_scale),     cmocka_unit_test(depth_asymmetric),
        cmocka_unit_test(depth_symmetric),       cmocka_unit_test(depth_w8a32),
        cmocka_unit_test(depth_two_bit_packing), cmocka_unit_test(labonne_article),
        cmocka_unit_test(labonne_notebook),      cmocka_unit_test(onnx_dynamic),
        cmocka_unit_test(int4_restricted),       cmocka_unit_test(integer_matmul_with_zero_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
