/* Reading and writing GGUF: the published bytes, every kind of value, and files that are cut short or lie. */
#include "base/memory.h"
#include "files/gguf.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

/* A file as ggml's own reader accepts it: two keys and a tensor "t" = [1, -2]. */
static const uint8_t golden[192] = "GGUF\3\0\0\0"                                          /* version */
                                   "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"                      /* tensors, keys */
                                   "\x14\0\0\0\0\0\0\0general.architecture\10\0\0\0"       /* a string */
                                   "\5\0\0\0\0\0\0\0llama"                                 /* of 5 bytes */
                                   "\x11\0\0\0\0\0\0\0general.alignment\4\0\0\0\x20\0\0\0" /* a u32 of 32 */
                                   "\1\0\0\0\0\0\0\0t\2\0\0\0"                             /* 2 dimensions */
                                   "\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"   /* 2 columns, 1 row */
                                   "\0\0\0\0\0\0\0\0\0\0\0\0"           /* F32, at 0 of the data */
                                   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" /* up to a multiple of 32 */
                                   "\0\0\x80\x3f\0\0\0\xc0";            /* 1, -2; padded too */
enum {
    AT_VERSION = 4,
    AT_N_TENSORS = 8,
    AT_N_VALUES = 16,
    AT_KEY_LENGTH = 24,
    AT_VALUE_TYPE = 52,
    AT_TEXT_LENGTH = 56,
    AT_ALIGNMENT = 98,
    AT_N_DIMS = 111,
    AT_DIMS = 115,
    AT_TYPE = 131,
    AT_OFFSET = 135,
    END_OF_DATA = 168,
};

static void says(const nb_error *error, const char *words)
{
    if (!strstr(error->text, words))
        fail_msg("\"%s\" does not say \"%s\"", error->text, words);
}

/* The golden file with `size` bytes at `at` changed must be refused with a sentence that has `words`. */
static void refused(size_t at, uint64_t value, size_t size, const char *words)
{
    uint8_t bytes[sizeof golden];
    nb_gguf *gguf;
    nb_error error = {""};
    memcpy(bytes, golden, sizeof golden);
    memcpy(bytes + at, &value, size);
    assert_int_not_equal(nb_gguf_open_memory(bytes, sizeof bytes, "bad.gguf", &gguf, &error), NB_OK);
    assert_null(gguf);
    says(&error, "bad.gguf");
    says(&error, words);
}

static void golden_bytes_are_read(void **state)
{
    (void)state;
    nb_gguf *gguf;
    nb_error error;
    nb_string text;
    uint64_t alignment;
    float numbers[2];
    assert_int_equal(nb_gguf_open(temporary_file("golden.gguf", golden, sizeof golden), &gguf, &error),
                     NB_OK);
    assert_int_equal(gguf->version, 3);
    assert_int_equal(gguf->n_values, 2);
    assert_int_equal(gguf->n_tensors, 1);
    assert_int_equal(gguf->files[0].data_offset, 160);
    assert_true(nb_gguf_string(gguf, "general.architecture", &text));
    assert_true(nb_string_equal(text, "llama"));
    assert_true(nb_gguf_u64(gguf, "general.alignment", &alignment));
    assert_int_equal(alignment, 32);
    const nb_gguf_tensor *t = nb_gguf_find_tensor(gguf, "t");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->dims[0], 2);
    assert_int_equal(t->dims[1], 1);
    assert_string_equal(nb_ggml_type_name(t->type), "F32");
    assert_int_equal(t->offset, 160);
    assert_int_equal(t->n_bytes, 8);
    memcpy(numbers, gguf->data + t->offset, sizeof numbers);
    assert_true(numbers[0] == 1.0f && numbers[1] == -2.0f);
    assert_null(nb_gguf_find(gguf, "general.name"));
    assert_null(nb_gguf_find_tensor(gguf, "u"));
    assert_false(nb_gguf_u64(gguf, "general.architecture", &alignment));
    nb_gguf_close(&gguf);
    assert_null(gguf);
}

static void golden_bytes_are_written(void **state)
{
    (void)state;
    nb_gguf_writer *w;
    nb_error error;
    const char *path = temporary_path("written.gguf");
    const float numbers[2] = {1.0f, -2.0f};
    assert_int_equal(nb_gguf_writer_create(path, &w, &error), NB_OK);
    assert_int_equal(nb_gguf_add_string(w, "general.architecture", "gpt2", &error), NB_OK);
    assert_int_equal(nb_gguf_add_u32(w, "general.alignment", 32, &error), NB_OK);
    assert_int_equal(nb_gguf_add_string(w, "general.architecture", "llama", &error), NB_OK); /* replaces */
    assert_int_equal(nb_gguf_add_tensor(w, "t", 2, (uint64_t[]){2, 1}, 0, &error), NB_OK);
    assert_int_equal(nb_gguf_write_data(w, numbers, 3, &error), NB_OK); /* pieces of any size */
    assert_int_equal(nb_gguf_write_data(w, (const uint8_t *)numbers + 3, 5, &error), NB_OK);
    assert_int_equal(nb_gguf_writer_commit(&w, &error), NB_OK);
    size_t size;
    uint8_t *bytes = read_whole_file(path, &size);
    assert_int_equal(size, sizeof golden);
    assert_memory_equal(bytes, golden, sizeof golden);
    free(bytes);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    /* An allocation of exactly the file's size: reading beyond it is seen by the sanitizers. */
    for (size_t size = 0; size < END_OF_DATA; size++) {
        uint8_t *bytes = malloc(size + (size == 0));
        nb_gguf *gguf;
        nb_error error = {""};
        assert_non_null(bytes);
        memcpy(bytes, golden, size);
        assert_int_not_equal(nb_gguf_open_memory(bytes, size, "cut.gguf", &gguf, &error), NB_OK);
        says(&error, "cut.gguf");
        free(bytes);
    }
}

static void lies_are_refused(void **state)
{
    (void)state;
    refused(0, 'X', 1, "not a GGUF");
    refused(AT_VERSION, 1, 4, "version 1");
    refused(AT_VERSION, 4, 4, "version 4");
    refused(AT_VERSION, 0x03000000, 4, "big-endian");
    refused(AT_N_TENSORS, UINT64_C(1) << 60, 8, "1152921504606846976 tensors");
    refused(AT_N_VALUES, UINT64_C(1) << 60, 8, "1152921504606846976 keys");
    refused(AT_N_VALUES, UINT64_MAX, 8, "cannot hold");
    refused(AT_N_TENSORS, 2, 8, "beyond the end"); /* the second one is all zeros */
    refused(AT_KEY_LENGTH, UINT64_MAX, 8, "cut short");
    refused(AT_VALUE_TYPE, 77, 4, "type that GGUF 3 does not have");
    refused(AT_TEXT_LENGTH, UINT64_C(1) << 40, 8, "cut short");
    refused(AT_ALIGNMENT, 48, 4, "power of two");
    refused(AT_ALIGNMENT, 0, 4, "power of two");
    refused(AT_ALIGNMENT, 4, 4, "power of two");
    refused(AT_ALIGNMENT, UINT64_C(1) << 31, 4, "cut short before its data");
    refused(AT_N_DIMS, 5, 4, "more than 4 dimensions");
    refused(AT_DIMS, 9, 8, "beyond the end"); /* 36 bytes, and 32 are left */
    refused(AT_DIMS, UINT64_C(1) << 60, 8, "beyond the end");
    refused(AT_DIMS, UINT64_C(1) << 62, 8, "than any file can hold");
    refused(AT_DIMS + 8, UINT64_C(1) << 62, 8, "than any file can hold");
    refused(AT_TYPE, 2, 4, "blocks");
    refused(AT_OFFSET, 16, 8, "multiple of the file's alignment");
    refused(AT_OFFSET, 32, 8, "beyond the end");
    refused(AT_OFFSET, UINT64_MAX - 31, 8, "beyond the end");
}

static void version_2_and_unknown_types_are_read(void **state)
{
    (void)state;
    uint8_t bytes[sizeof golden];
    nb_gguf *gguf;
    nb_error error;
    memcpy(bytes, golden, sizeof golden);
    bytes[AT_VERSION] = 2;
    bytes[AT_TYPE] = 99;
    assert_int_equal(nb_gguf_open_memory(bytes, sizeof bytes, "v2", &gguf, &error), NB_OK);
    assert_string_equal(nb_ggml_type_name(gguf->tensors[0].type), "unknown");
    assert_int_equal(gguf->tensors[0].n_bytes, 0);
    nb_gguf_close(&gguf);
    /* Even a tensor of unknown size starts inside the file. */
    assert_int_equal(nb_gguf_open_memory(bytes, 159, "v2", &gguf, &error), NB_ERR_FILE);
    says(&error, "cut short before its data");
}

static const char *write_near_twins(const char *name)
{
    const char *path = temporary_path(name);
    nb_gguf_writer *w;
    assert_int_equal(nb_gguf_writer_create(path, &w, NULL), NB_OK);
    assert_int_equal(nb_gguf_add_u32(w, "same.key.a", 1, NULL), NB_OK);
    assert_int_equal(nb_gguf_add_u32(w, "same.key.b", 1, NULL), NB_OK);
    assert_int_equal(nb_gguf_add_tensor(w, "twin.a", 1, (uint64_t[]){1}, 0, NULL), NB_OK);
    assert_int_equal(nb_gguf_add_tensor(w, "twin.b", 1, (uint64_t[]){1}, 0, NULL), NB_OK);
    assert_int_equal(nb_gguf_write_data(w, (float[]){1, 2}, 8, NULL), NB_OK);
    assert_int_equal(nb_gguf_writer_commit(&w, NULL), NB_OK);
    return path;
}

static void twins_are_refused(void **state)
{
    (void)state;
    static const char *const names[2] = {"same.key.b", "twin.b"};
    for (int i = 0; i < 2; i++) {
        size_t size, at = 0;
        nb_gguf *gguf;
        nb_error error;
        uint8_t *bytes = read_whole_file(write_near_twins("twins.gguf"), &size);
        while (memcmp(bytes + at, names[i], strlen(names[i])) != 0)
            at++;
        bytes[at + strlen(names[i]) - 1] = 'a';
        assert_int_equal(nb_gguf_open_memory(bytes, size, "twins", &gguf, &error), NB_ERR_FILE);
        says(&error, "is there twice");
        free(bytes);
    }
}

/* Arrays in arrays, arrays of unknown types, arrays that are too long, truth values of 2. */
static void odd_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t value[21];
        const char *words;
    } cases[] = {
        {{9, 0, 0, 0, 9, 0, 0, 0, 1}, "longer than the file"}, /* of arrays: 12 bytes, and 5 are left */
        {{9, 0, 0, 0, 13, 0, 0, 0, 1}, "does not have"},
        {{9, 0, 0, 0, 12, 0, 0, 0, 1}, "longer than the file"}, /* 8 bytes, and 5 are left */
        {{9, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20}, "longer than the file"},
        {{9, 0, 0, 0, 8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "longer than the file"},
        {{7, 0, 0, 0, 2}, "neither 0 nor 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[24 + 9 + 21] = {'G', 'G', 'U', 'F', 3, [16] = 1, [24] = 1, [32] = 'k'};
        nb_gguf *gguf;
        nb_error error;
        memcpy(bytes + 33, cases[i].value, sizeof cases[i].value);
        assert_int_equal(nb_gguf_open_memory(bytes, sizeof bytes, "odd", &gguf, &error), NB_ERR_FILE);
        says(&error, cases[i].words);
    }
}

static void a_writer_that_stops_leaves_the_old_file(void **state)
{
    (void)state;
    const char *path = temporary_file("old.gguf", "old", 3);
    size_t before = temporary_count(), size;
    nb_gguf_writer *w;
    nb_error error;
    assert_int_equal(nb_gguf_writer_create(path, &w, &error), NB_OK);
    assert_int_equal(nb_gguf_add_tensor(w, "t", 1, (uint64_t[]){2}, 0, &error), NB_OK);
    assert_int_equal(nb_gguf_write_data(w, "1234", 4, &error), NB_OK);
    assert_int_equal(nb_gguf_writer_commit(&w, &error), NB_ERR_STATE); /* half of t is missing */
    says(&error, "numbers of t are missing");
    assert_null(w);
    assert_int_equal(nb_gguf_writer_create(path, &w, &error), NB_OK);
    assert_int_equal(nb_gguf_write_data(w, "1234", 4, &error), NB_ERR_STATE);
    nb_gguf_writer_abort(&w);
    assert_int_equal(nb_gguf_writer_create(path, &w, &error), NB_OK);
    assert_int_equal(nb_gguf_add_tensor(w, "q", 1, (uint64_t[]){33}, 2, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_gguf_add_tensor(w, "q", 2, (uint64_t[]){UINT64_MAX, 2}, 0, &error), NB_ERR_ARGUMENT);
    nb_gguf_writer_abort(&w);
    uint8_t *bytes = read_whole_file(path, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "old", 3);
    assert_int_equal(temporary_count(), before);
    free(bytes);
}

static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    nb_gguf *gguf = NULL;
    nb_error error;
    nb_status status = NB_ERR_MEMORY;
    long n = 0;
    while (status != NB_OK) {
        nb_memory_fail_after(++n);
        status = nb_gguf_open_memory(golden, sizeof golden, "golden", &gguf, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || (status == NB_ERR_MEMORY && !gguf));
    }
    assert_true(n > 5);
    nb_gguf_close(&gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_bytes_are_read),
        cmocka_unit_test(golden_bytes_are_written),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(version_2_and_unknown_types_are_read),
        cmocka_unit_test(twins_are_refused),
        cmocka_unit_test(odd_values_are_refused),
        cmocka_unit_test(a_writer_that_stops_leaves_the_old_file),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
