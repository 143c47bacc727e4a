/* Lists of quantizers: where one ends and the next begins. */
#include "repl/language/quantizer_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

/* The items of the list, with a bar behind each. */
static void parts(const char *list, const char *wanted)
{
    char item[NB_LISTED_BYTES], all[1000] = "";
    nb_error error = {""};
    size_t used = 0;
    assert_int_equal(nb_quantizer_list_next(&list, item, &error), NB_OK);
    while (*item) {
        used += (size_t)snprintf(all + used, sizeof all - used, "%s|", item);
        assert_true(used < sizeof all);
        assert_int_equal(nb_quantizer_list_next(&list, item, &error), NB_OK);
    }
    assert_string_equal(all, wanted);
    assert_true(*list == '\0' || strspn(list, ", \t\n") == strlen(list));
}

static void test_parting(void **state)
{
    (void)state;
    parts("q4_k", "q4_k|");
    parts("q3_k, q4_k,q5_k ,  q6_k", "q3_k|q4_k|q5_k|q6_k|");
    parts(" ,, q3_k,\n\tq4_k, ,", "q3_k|q4_k|");
    parts("nf4 group:64, double", "nf4 group:64, double|");
    parts("nf4 ,double,nf4", "nf4, double|nf4|");
    parts("int4 absmax/group:32, f32 activations, f32 scales, labonne, q4_0",
          "int4 absmax/group:32, f32 activations, f32 scales, labonne|q4_0|");
    parts("f32, f32 scales, f16", "f32, f32 scales|f16|"); /* f32 alone is a format */
    parts("int3, zeropoint, group:64, f8_e4m3", "int3, zeropoint, group:64|f8_e4m3|");
    parts("mine.recipe, q4_0 pure, double x, q9", "mine.recipe|q4_0 pure|double x|q9|");
    parts("double, nf4", "double|nf4|"); /* for the sentence that it is no format */
    parts("", "");
    parts(" , ", "");
}

/* As many bytes as there is room for, and one more: alone, and as the second part. */
static void test_long(void **state)
{
    (void)state;
    char list[2 * NB_LISTED_BYTES], item[NB_LISTED_BYTES];
    nb_error error = {""};
    memset(list, 'x', sizeof list);
    list[NB_LISTED_BYTES - 3] = '\0';
    const char *at = list;
    assert_int_equal(nb_quantizer_list_next(&at, item, &error), NB_OK);
    assert_string_equal(item, list);
    list[NB_LISTED_BYTES - 3] = 'x';
    list[NB_LISTED_BYTES - 2] = '\0';
    at = list;
    assert_int_equal(nb_quantizer_list_next(&at, item, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "too long"));

    /* options without end */
    size_t used = (size_t)snprintf(list, sizeof list, "nf4");
    while (used + 10 < sizeof list)
        used += (size_t)snprintf(list + used, sizeof list - used, ", double");
    at = list;
    assert_int_equal(nb_quantizer_list_next(&at, item, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "too long"));
}

static void test_words(void **state)
{
    (void)state;
    nb_quantizer q, same;
    nb_error error = {""};
    assert_int_equal(nb_quantizer_of_words("double, group:128, nf4", &q, &error), NB_OK);
    assert_int_equal(nb_quantizer_parse("nf4 group:128, double", &same, &error), NB_OK);
    assert_true(nb_quantizer_equal(&q, &same));
    assert_int_equal(nb_quantizer_of_words("nf4, double, double", &q, &error), NB_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parting),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
