/* .npy files as numpy 1.24 writes them, and broken ones. */
#include "files/npy.h"

#include "base/memory.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static nb_context *context;
static nb_array_space space;
static nb_error error;

static int open_space(void **state)
{
    (void)state;
    const nb_context_options options = {.n_threads = 1};
    if (nb_context_create(&options, &context, &error) != NB_OK)
        return -1;
    space = (nb_array_space){.context = context, .limit_bytes = 1 << 20};
    return 0;
}

static int close_space(void **state)
{
    (void)state;
    nb_context_destroy(&context);
    return space.used_bytes == 0 ? 0 : -1;
}

/* A file's bytes: header text as it stands, blanks to a multiple of 64 as numpy does, then the numbers. */
typedef struct file {
    uint8_t bytes[1024];
    size_t n_bytes;
} file;

static file make(int version, const char *header, const void *data, size_t n_bytes)
{
    file f = {.n_bytes = 0};
    const size_t begin = version == 1 ? 10 : 12, length = strlen(header);
    size_t end = begin + length;
    memcpy(f.bytes, "\x93NUMPY", 6);
    f.bytes[6] = (uint8_t)version;
    memcpy(f.bytes + begin, header, length);
    while ((end + 1) % 64 != 0)
        f.bytes[end++] = ' ';
    f.bytes[end++] = '\n';
    f.bytes[8] = (uint8_t)((end - begin) & 0xff);
    f.bytes[9] = (uint8_t)((end - begin) >> 8);
    memcpy(f.bytes + end, data, n_bytes);
    f.n_bytes = end + n_bytes;
    return f;
}

/* Reads from a buffer that ends where the file does, so that a sanitizer sees a read beyond it. */
static nb_status read_bytes(const void *bytes, size_t n_bytes, nb_array **out)
{
    void *copy = malloc(n_bytes ? n_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n_bytes);
    nb_status status = nb_npy_read(&space, copy, n_bytes, "x.npy", out, &error);
    free(copy);
    return status;
}

static void expect_numbers(const file *f, int n_dims, const size_t *dims, const double *want)
{
    nb_array *x;
    if (read_bytes(f->bytes, f->n_bytes, &x) != NB_OK)
        fail_msg("%s", error.text);
    assert_int_equal(x->n_dims, n_dims);
    for (int d = 0; d < n_dims; d++)
        assert_int_equal(x->dims[d], dims[d]);
    for (size_t i = 0; i < x->size; i++)
        if (x->data[i] != (float)want[i] && !(isnan(x->data[i]) && isnan(want[i])))
            fail_msg("number %zu is %.9g, not %.9g", i, (double)x->data[i], want[i]);
    nb_array_release(&x);
}

static void expect_refusal(const void *bytes, size_t n_bytes, nb_status status, const char *words)
{
    nb_array *x;
    assert_int_equal(read_bytes(bytes, n_bytes, &x), status);
    assert_null(x);
    assert_int_equal(strncmp(error.text, "x.npy", 5), 0);
    if (!strstr(error.text, words))
        fail_msg("'%s' does not hold '%s'", error.text, words);
}

static void expect_header_refused(const char *header, nb_status status, const char *words)
{
    const file f = make(1, header, "\0\0\0\0\0\0\0\0", 8);
    expect_refusal(f.bytes, f.n_bytes, status, words);
}

/* numpy.lib.format.write_array's own bytes, in hexadecimal as far as the numbers go. */
static void test_numpy_files(void **state)
{
    (void)state;
    static const uint8_t f4[] = {0, 0, 0x80, 0x3f, 0, 0, 0,    0x40, 0, 0, 0x40, 0x40,
                                 0, 0, 0x80, 0x40, 0, 0, 0xa0, 0x40, 0, 0, 0xd0, 0x40};
    static const uint8_t f8[] = {0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0x40, 0x10, 0, 0, 0, 0, 0, 0,
                                 0x40, 0,    0, 0, 0, 0, 0, 0, 0x40, 0x14, 0, 0, 0, 0, 0, 0,
                                 0x40, 8,    0, 0, 0, 0, 0, 0, 0x40, 0x1a, 0, 0, 0, 0, 0, 0};
    static const uint8_t i8[] = {1,    0,    0,    0,    0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff,
                                 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0,    1,    0,    0};
    const double want[] = {1, 2, 3, 4, 5, 6.5}, integers[] = {1, -2, 1099511627777.0};
    const size_t two_three[] = {2, 3}, three[] = {3};
    file f = make(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", f4, sizeof f4);
    assert_int_equal(f.n_bytes, 152); /* as long as numpy's */
    expect_numbers(&f, 2, two_three, want);
    f = make(1, "{'descr': '>f8', 'fortran_order': True, 'shape': (2, 3), }", f8, sizeof f8);
    expect_numbers(&f, 2, two_three, want);
    f = make(2, "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }", i8, sizeof i8);
    expect_numbers(&f, 1, three, integers);
    f = make(3, "{'descr': '<f2', 'fortran_order': False, 'shape': (), }", "\0\x3e", 2);
    expect_numbers(&f, 0, NULL, (const double[]){1.5});
    f = make(1, "{'shape': (3L,), 'descr': \"|i1\", 'fortran_order': False}", "\x01\xff\x80", 3);
    expect_numbers(&f, 1, three, (const double[]){1, -1, -128});
    f = make(1, "{'descr': '>u2', 'fortran_order': False, 'shape': (3,), }", "\x01\x02\xff\xff\0\x07", 6);
    expect_numbers(&f, 1, three, (const double[]){258, 65535, 7});
    f = make(1, "{'descr': '>i4', 'fortran_order': False, 'shape': (1,), }", "\xff\xff\xff\xfe", 4);
    expect_numbers(&f, 1, (const size_t[]){1}, (const double[]){-2});
    f = make(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", "\0\x01\x02", 3);
    expect_numbers(&f, 1, three, (const double[]){0, 1, 1});
    f = make(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }", "", 0);
    expect_numbers(&f, 2, (const size_t[]){0, 3}, NULL);
    f = make(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }", "\x01\x7e\0\xfc\x01\0", 6);
    expect_numbers(&f, 1, three, (const double[]){NAN, -INFINITY, 0x1p-24});
}

static void test_broken_files(void **state)
{
    (void)state;
    static const uint8_t numbers[24] = {0};
    const file whole =
        make(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", numbers, sizeof numbers);
    for (size_t n = 0; n < whole.n_bytes; n++) { /* cut short anywhere */
        nb_array *x;
        assert_int_equal(read_bytes(whole.bytes, n, &x), NB_ERR_FILE);
        assert_null(x);
    }
    file longer = whole;
    expect_refusal(longer.bytes, whole.n_bytes + 2, NB_ERR_FILE,
                   "2 bytes follow the 24 that its shape takes");
    expect_refusal("PK\3\4 and so on", 14, NB_ERR_UNSUPPORTED, "archive of arrays (.npz)");
    expect_refusal("GGUF and so on", 14, NB_ERR_FILE, "is no .npy file");
    longer.bytes[6] = 4;
    expect_refusal(longer.bytes, longer.n_bytes, NB_ERR_UNSUPPORTED, "version 4");
    longer = whole;
    longer.bytes[9] = 0x7f;
    expect_refusal(longer.bytes, longer.n_bytes, NB_ERR_FILE, "ends inside its header");
    expect_header_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8), }",
                          NB_ERR_FILE, "cut short");
    expect_header_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
                          NB_ERR_FILE, "something else than lengths");
    expect_header_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 2), }",
                          NB_ERR_UNSUPPORTED, "more than 4 dimensions");
    expect_header_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", NB_ERR_FILE,
                          "lengths");
    expect_header_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2 }", NB_ERR_FILE,
                          "does not end");
    expect_header_refused("{'descr': '<f4', 'fortran_order': False}", NB_ERR_FILE, "lacks");
    expect_header_refused("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }", NB_ERR_FILE,
                          "True nor False");
    expect_header_refused("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", NB_ERR_UNSUPPORTED,
                          "elements of type '<c8'");
    expect_header_refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
                          NB_ERR_UNSUPPORTED, "records");
    expect_header_refused("{'descr': '<f4', 'owner': 'me', }", NB_ERR_FILE, "a key beside");
    expect_header_refused("hello", NB_ERR_FILE, "no dictionary");
    /* Two million numbers are within the file's right, but not within this space's limit. */
    static uint8_t many[2000200];
    const file head = make(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2000000,), }", "", 0);
    memcpy(many, head.bytes, head.n_bytes);
    nb_array *x;
    assert_int_equal(nb_npy_read(&space, many, head.n_bytes + 2000000, "x.npy", &x, &error), NB_ERR_MEMORY);
}

static void test_save(void **state)
{
    (void)state;
    const double values[] = {1, -2, 0.5, NAN, INFINITY, 6};
    nb_array *flat, *x, *back;
    assert_int_equal(nb_array_from(&space, values, 6, &flat, &error), NB_OK);
    static const struct {
        int n_dims;
        size_t dims[4];
        const char *header;
    } shapes[] = {
        {1, {6}, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }"},
        {2, {2, 3}, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"},
        {4, {1, 3, 1, 2}, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 1, 2), }"},
    };
    for (size_t s = 0; s < 3; s++) {
        const char *path = temporary_path("saved.npy");
        size_t n_bytes;
        assert_int_equal(nb_array_reshape(flat, shapes[s].n_dims, shapes[s].dims, &x, &error), NB_OK);
        assert_int_equal(nb_npy_save(x, path, &error), NB_OK);
        const file want = make(1, shapes[s].header, x->data, 6 * sizeof(float));
        uint8_t *bytes = read_whole_file(path, &n_bytes);
        assert_int_equal(n_bytes, want.n_bytes);
        assert_memory_equal(bytes, want.bytes, n_bytes);
        free(bytes);
        assert_int_equal(nb_npy_load(&space, path, &back, &error), NB_OK);
        assert_memory_equal(back->data, x->data, 6 * sizeof(float));
        assert_memory_equal(back->dims, x->dims, sizeof x->dims);
        nb_array_release(&back);
        nb_array_release(&x);
    }
    assert_int_equal(nb_npy_save(flat, "/nowhere/at/all.npy", &error), NB_ERR_IO);
    assert_int_equal(nb_npy_load(&space, temporary_path("missing.npy"), &back, &error), NB_ERR_IO);
    assert_null(back);
    for (long nth = 1; nth < 6; nth++) {
        nb_memory_fail_after(nth);
        nb_status status = nb_npy_load(&space, temporary_path("saved.npy"), &back, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || (status == NB_ERR_MEMORY && !back));
        nb_array_release(&back);
    }
    assert_int_equal(temporary_count(), 1);
    nb_array_release(&flat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numpy_files),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_save),
    };
    return cmocka_run_group_tests(tests, open_space, close_space);
}
