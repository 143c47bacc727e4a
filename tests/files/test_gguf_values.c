/* Every kind of value: written, read as what it is and as what else it can be, and copied. */
#include "files/gguf.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

/* Writes one value with nb_gguf_add_value, which is how types without a function of their own get into a
 * file. */
static void add(nb_gguf_writer *w, const char *key, nb_gguf_type type, const void *data, size_t size)
{
    nb_gguf_value value = {.key = nb_string_of(key), .type = type, .count = 1, .data = data, .n_bytes = size};
    assert_int_equal(nb_gguf_add_value(w, &value, NULL), NB_OK);
}

static nb_gguf *write_values(void)
{
    const char *path = temporary_path("values.gguf");
    nb_gguf_writer *w;
    nb_gguf *gguf;
    nb_error error;
    assert_int_equal(nb_gguf_writer_create(path, &w, &error), NB_OK);
    add(w, "u8", NB_GGUF_U8, (uint8_t[]){200}, 1);
    add(w, "i8", NB_GGUF_I8, (int8_t[]){-3}, 1);
    add(w, "u16", NB_GGUF_U16, (uint16_t[]){60000}, 2);
    add(w, "i16", NB_GGUF_I16, (int16_t[]){-30000}, 2);
    add(w, "i32", NB_GGUF_I32, (int32_t[]){7}, 4);
    add(w, "i64", NB_GGUF_I64, (int64_t[]){-1}, 8);
    add(w, "f64", NB_GGUF_F64, (double[]){0.1}, 8);
    add(w, "whole", NB_GGUF_F64, (double[]){4096.0}, 8);
    assert_int_equal(nb_gguf_add_number(w, "minus", NB_GGUF_I16, (int16_t[]){-2}, &error), NB_OK);
    assert_int_equal(nb_gguf_add_array(w, "wide", NB_GGUF_U64, (uint64_t[]){UINT64_MAX, 3}, 2, &error),
                     NB_OK);
    add(w, "huge", NB_GGUF_F64, (double[]){18446744073709551616.0}, 8);
    assert_int_equal(nb_gguf_add_u64(w, "u64", UINT64_MAX, &error), NB_OK);
    assert_int_equal(nb_gguf_add_f32(w, "f32", -0.5f, &error), NB_OK);
    assert_int_equal(nb_gguf_add_bool(w, "yes", true, &error), NB_OK);
    assert_int_equal(nb_gguf_add_bool(w, "no", false, &error), NB_OK);
    assert_int_equal(nb_gguf_add_f32_array(w, "floats", (float[]){1.5f, 2.0f}, 2, &error), NB_OK);
    assert_int_equal(nb_gguf_add_i32_array(w, "ints", (int32_t[]){-1, 5}, 2, &error), NB_OK);
    assert_int_equal(
        nb_gguf_add_string_array(w, "strings", (nb_string[]){{"a", 1}, {"", 0}, {"b\0c", 3}}, 3, &error),
        NB_OK);
    assert_int_equal(nb_gguf_add_f32_array(w, "empty", NULL, 0, &error), NB_OK);
    assert_int_equal(nb_gguf_writer_commit(&w, &error), NB_OK);
    assert_int_equal(nb_gguf_open(path, &gguf, &error), NB_OK);
    return gguf;
}

static void check_values(const nb_gguf *gguf)
{
    static const struct {
        const char *key;
        double value;
        bool is_u64;
    } numbers[] = {
        {"u8", 200, true},
        {"i8", -3, false},
        {"u16", 60000, true},
        {"i16", -30000, false},
        {"i32", 7, true},
        {"i64", -1, false},
        {"f64", 0.1, false},
        {"minus", -2, false},
        {"whole", 4096, true},
        {"f32", -0.5, false},
        {"u64", 18446744073709551615.0, true},
        {"huge", 18446744073709551616.0, false},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        double f;
        uint64_t u;
        assert_true(nb_gguf_f64(gguf, numbers[i].key, &f));
        assert_true(f == numbers[i].value);
        assert_int_equal(nb_gguf_u64(gguf, numbers[i].key, &u), numbers[i].is_u64);
        assert_true(!numbers[i].is_u64 || (double)u == numbers[i].value);
    }
    bool flag;
    assert_true(nb_gguf_bool(gguf, "yes", &flag) && flag);
    assert_true(nb_gguf_bool(gguf, "no", &flag) && !flag);
    assert_false(nb_gguf_bool(gguf, "u8", &flag));
}

static void check_arrays(const nb_gguf *gguf)
{
    double f;
    int64_t i;
    uint64_t u;
    nb_string strings[3];
    const nb_gguf_value *floats = nb_gguf_find(gguf, "floats"), *ints = nb_gguf_find(gguf, "ints");
    assert_true(nb_gguf_array_f64(floats, 0, &f) && f == 1.5);
    assert_false(nb_gguf_array_u64(floats, 0, &u));
    assert_true(nb_gguf_array_u64(floats, 1, &u) && u == 2);
    assert_true(nb_gguf_array_u64(nb_gguf_find(gguf, "wide"), 0, &u) && u == UINT64_MAX);
    assert_false(nb_gguf_array_f64(floats, 2, &f));
    assert_true(nb_gguf_array_i64(ints, 0, &i) && i == -1);
    assert_false(nb_gguf_array_u64(ints, 0, &u));
    assert_false(nb_gguf_array_f64(nb_gguf_find(gguf, "empty"), 0, &f));
    assert_false(nb_gguf_array_f64(nb_gguf_find(gguf, "f32"), 0, &f));
    assert_false(nb_gguf_array_strings(ints, strings));
    assert_true(nb_gguf_array_strings(nb_gguf_find(gguf, "strings"), strings));
    assert_true(nb_string_equal(strings[0], "a") && strings[1].n_bytes == 0);
    assert_int_equal(strings[2].n_bytes, 3);
    assert_memory_equal(strings[2].text, "b\0c", 3);
}

static void every_value_comes_back(void **state)
{
    (void)state;
    nb_gguf *gguf = write_values();
    check_values(gguf);
    check_arrays(gguf);
    /* Copied value by value into another file, it has the same bytes. */
    nb_gguf_writer *w;
    nb_error error;
    const char *copy = temporary_path("copy.gguf");
    assert_int_equal(nb_gguf_writer_create(copy, &w, &error), NB_OK);
    for (uint64_t i = 0; i < gguf->n_values; i++)
        assert_int_equal(nb_gguf_add_value(w, &gguf->values[i], &error), NB_OK);
    assert_int_equal(nb_gguf_writer_commit(&w, &error), NB_OK);
    size_t size;
    uint8_t *bytes = read_whole_file(copy, &size);
    assert_int_equal(size, gguf->size);
    assert_memory_equal(bytes, gguf->data, size);
    free(bytes);
    nb_gguf_close(&gguf);
}

/* [["a", ""], [[7]], []] byte by byte, since the writer makes none: read, walked, and copied as it stands. */
static void arrays_of_arrays_are_kept(void **state)
{
    (void)state;
    static const uint8_t file[] = {'G', 'G', 'U', 'F', 3, 0, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0,   1,
                                   0,   0,   0,   0,   0, 0, 0, 1, 0,   0, 0, 0, 0, 0, 0, 'k', 9,
                                   0,   0,   0,   9,   0, 0, 0, 3, 0,   0, 0, 0, 0, 0, 0, /* three arrays */
                                   8,   0,   0,   0,   2, 0, 0, 0, 0,   0, 0, 0,          /* two strings */
                                   1,   0,   0,   0,   0, 0, 0, 0, 'a', 0, 0, 0, 0, 0, 0, 0,   0,
                                   9,   0,   0,   0,   1, 0, 0, 0, 0,   0, 0, 0,       /* an array */
                                   2,   0,   0,   0,   1, 0, 0, 0, 0,   0, 0, 0, 7, 0, /* of a u16 */
                                   0,   0,   0,   0,   0, 0, 0, 0, 0,   0, 0, 0};      /* no u8 */
    nb_gguf *gguf;
    nb_gguf_value array, inner, element;
    nb_error error = {""};
    uint64_t number;
    size_t at = 0, inside = 0;
    if (nb_gguf_open_memory(file, sizeof file, "nested", &gguf, &error) != NB_OK)
        fail_msg("%s", error.text);
    const nb_gguf_value *value = nb_gguf_find(gguf, "k");
    assert_int_equal(value->element_type, NB_GGUF_ARRAY);
    assert_int_equal(value->count, 3);
    assert_int_equal(value->n_bytes, sizeof file - 49);
    assert_false(nb_gguf_array_u64(value, 0, &number));
    assert_true(nb_gguf_array_next(value, &at, &array));
    assert_true(array.element_type == NB_GGUF_STRING && array.count == 2);
    assert_true(nb_gguf_array_next(&array, &inside, &element) && element.n_bytes == 1 &&
                *element.data == 'a');
    assert_true(nb_gguf_array_next(&array, &inside, &element) && element.n_bytes == 0);
    assert_false(nb_gguf_array_next(&array, &inside, &element));
    assert_true(nb_gguf_array_next(value, &at, &array) && array.element_type == NB_GGUF_ARRAY);
    inside = 0;
    assert_true(nb_gguf_array_next(&array, &inside, &inner) && inner.element_type == NB_GGUF_U16);
    inside = 0;
    assert_true(nb_gguf_array_next(&inner, &inside, &element));
    assert_true(nb_gguf_value_u64(&element, &number) && number == 7);
    assert_true(nb_gguf_array_next(value, &at, &array) && array.count == 0);
    inside = 0;
    assert_false(nb_gguf_array_next(&array, &inside, &element));
    assert_false(nb_gguf_array_next(value, &at, &array));
    /* The same bytes come out. */
    nb_gguf_writer *w;
    const char *path = temporary_path("nested.gguf");
    assert_int_equal(nb_gguf_writer_create(path, &w, NULL), NB_OK);
    assert_int_equal(nb_gguf_add_value(w, value, NULL), NB_OK);
    assert_int_equal(nb_gguf_writer_commit(&w, NULL), NB_OK);
    uint8_t *bytes = read_whole_file(path, &at);
    assert_true(at >= sizeof file);
    assert_memory_equal(bytes, file, sizeof file);
    free(bytes);
    nb_gguf_close(&gguf);
}

/* Arrays of arrays of arrays ..., 9 deep, are not worth the stack. */
static void depth_has_an_end(void **state)
{
    (void)state;
    for (int depth = 7; depth < 11; depth++) {
        uint8_t file[256] = {'G', 'G', 'U', 'F', 3, [16] = 1, [24] = 1, [32] = 'k', [33] = 9};
        nb_gguf *gguf;
        nb_error error = {""};
        for (int i = 0; i < depth; i++)
            file[37 + 12 * i] = i + 1 < depth ? 9 : 0, file[41 + 12 * i] = i + 1 < depth;
        nb_status status = nb_gguf_open_memory(file, 37 + 12 * (size_t)depth, "deep", &gguf, &error);
        assert_int_equal(status, depth <= NB_GGUF_MAX_DEPTH ? NB_OK : NB_ERR_FILE);
        assert_true(status == NB_OK || strstr(error.text, "8 deep"));
        nb_gguf_close(&gguf);
    }
}

/* Ids and sizes by the specification; what is unknown has a name and no size. */
static void types_have_names_and_sizes(void **state)
{
    (void)state;
    static const struct {
        uint32_t id, elems, bytes;
        const char *name;
    } known[] = {{0, 1, 4, "F32"},       {1, 1, 2, "F16"},       {2, 32, 18, "Q4_0"}, {8, 32, 34, "Q8_0"},
                 {12, 256, 144, "Q4_K"}, {14, 256, 210, "Q6_K"}, {24, 1, 1, "I8"},    {30, 1, 2, "BF16"},
                 {39, 32, 17, "MXFP4"},  {40, 64, 36, "NVFP4"}};
    uint32_t elems, bytes;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_true(nb_ggml_type_size(known[i].id, &elems, &bytes));
        assert_true(elems == known[i].elems && bytes == known[i].bytes);
        assert_string_equal(nb_ggml_type_name(known[i].id), known[i].name);
    }
    assert_false(nb_ggml_type_size(4, &elems, &bytes)); /* taken out of ggml */
    assert_false(nb_ggml_type_size(UINT32_MAX, &elems, &bytes));
    assert_string_equal(nb_ggml_type_name(UINT32_MAX), "unknown");
    uint32_t file_type;
    assert_true(nb_gguf_file_type_of(8, &file_type) && file_type == 7);
    assert_string_equal(nb_gguf_file_type_name(7), "Q8_0");
    assert_true(nb_gguf_file_type_of(12, &file_type) && file_type == 15);
    assert_string_equal(nb_gguf_file_type_name(15), "Q4_K_M");
    assert_false(nb_gguf_file_type_of(24, &file_type)); /* I8 */
    assert_null(nb_gguf_file_type_name(4));
    assert_string_equal(nb_gguf_type_name(NB_GGUF_I64), "i64");
    assert_string_equal(nb_gguf_type_name(NB_GGUF_TYPE_COUNT), "unknown");
}

static void names_are_made_fit_to_be_shown(void **state)
{
    (void)state;
    char text[8];
    assert_string_equal(nb_string_show((nb_string){"a\0b\033[1m", 7}, text, sizeof text), "a?b?[1m");
    assert_string_equal(nb_string_show(nb_string_of("much longer"), text, sizeof text), "much lo");
    assert_string_equal(nb_string_show((nb_string){NULL, 0}, text, sizeof text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_comes_back),
        cmocka_unit_test(arrays_of_arrays_are_kept),
        cmocka_unit_test(depth_has_an_end),
        cmocka_unit_test(types_have_names_and_sizes),
        cmocka_unit_test(names_are_made_fit_to_be_shown),
    };
    return cmocka_run_group_tests_name("gguf_values", tests, NULL, NULL);
}
