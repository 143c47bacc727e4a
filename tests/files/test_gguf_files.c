/* Files as a whole: every byte accounted for, gaps and overlaps, and models split into several files. The
 * files are made here byte by byte. */
#include "base/memory.h"
#include "files/gguf.h"
#include "tests/support/files.h"
#include "tests/support/models.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the standard ones above first. */
#include <cmocka.h>

/* Bytes that are put one after the other. */
typedef struct image {
    uint8_t bytes[4096];
    size_t n;
} image;

static void put(image *f, uint64_t value, size_t size)
{
    memcpy(f->bytes + f->n, &value, size);
    f->n += size;
}

static void put_text(image *f, const char *text)
{
    put(f, strlen(text), 8);
    memcpy(f->bytes + f->n, text, strlen(text));
    f->n += strlen(text);
}

static void pad(image *f)
{
    while (f->n % 32)
        f->bytes[f->n++] = 0;
}

static void begin(image *f, uint64_t n_tensors, uint64_t n_values)
{
    f->n = 0;
    memcpy(f->bytes, "GGUF", 4);
    f->n = 4;
    put(f, 3, 4);
    put(f, n_tensors, 8);
    put(f, n_values, 8);
}

static void put_info(image *f, const char *name, uint64_t n, uint32_t type, uint64_t offset)
{
    put_text(f, name);
    put(f, 1, 4);
    put(f, n, 8);
    put(f, type, 4);
    put(f, offset, 8);
}

/* ---- every byte ---- */

static void check_spans(const nb_gguf *gguf)
{
    nb_gguf_span *spans;
    size_t count, file = 0;
    uint64_t at = 0;
    assert_int_equal(nb_gguf_spans(gguf, &spans, &count, NULL), NB_OK);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].file != file) {
            assert_int_equal(at, gguf->files[file].size);
            assert_int_equal(spans[i].file, ++file);
            at = 0;
        }
        assert_int_equal(spans[i].offset, at);
        at += spans[i].n_bytes;
    }
    assert_int_equal(file + 1, gguf->n_files);
    assert_int_equal(at, gguf->files[file].size);
    free(spans);
}

/* a: 3 numbers and padding; a gap of 64 that nobody speaks of; b, out of order; c of an unknown
 * type; a tail. */
static void gaps_are_accounted_for(void **state)
{
    (void)state;
    static const struct {
        nb_gguf_span_kind kind;
        uint64_t offset, n_bytes, tensor;
    } expected[] = {
        {NB_SPAN_HEADER, 0, 24, 0},   {NB_SPAN_INFOS, 24, 99, 0},    {NB_SPAN_PADDING, 123, 5, 0},
        {NB_SPAN_TENSOR, 128, 12, 1}, {NB_SPAN_PADDING, 140, 20, 0}, {NB_SPAN_UNUSED, 160, 64, 0},
        {NB_SPAN_TENSOR, 224, 32, 0}, {NB_SPAN_TENSOR, 256, 40, 2},
    };
    image f;
    nb_gguf *gguf;
    nb_gguf_span *spans;
    size_t count;
    begin(&f, 3, 0);
    put_info(&f, "b", 8, 0, 96);
    put_info(&f, "a", 3, 0, 0);
    put_info(&f, "c", 7, 99, 128);
    pad(&f);
    memset(f.bytes + f.n, 1, 168);
    f.n += 168;
    assert_int_equal(nb_gguf_open_memory(f.bytes, f.n, "gaps", &gguf, NULL), NB_OK);
    check_spans(gguf);
    assert_int_equal(nb_gguf_spans(gguf, &spans, &count, NULL), NB_OK);
    assert_int_equal(count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(spans[i].kind, expected[i].kind);
        assert_int_equal(spans[i].offset, expected[i].offset);
        assert_int_equal(spans[i].n_bytes, expected[i].n_bytes);
        assert_int_equal(spans[i].tensor, expected[i].tensor);
    }
    free(spans);
    nb_gguf_close(&gguf);
}

static void overlaps_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t n[2], offsets[2];
        bool fits;
    } cases[] = {
        {{8, 8}, {0, 32}, true},  {{9, 8}, {0, 32}, false},  {{8, 8}, {32, 0}, true},
        {{8, 9}, {32, 0}, false}, {{8, 8}, {0, 0}, false},   {{0, 8}, {0, 0}, true},
        {{0, 0}, {64, 64}, true}, {{16, 0}, {0, 32}, false}, {{16, 4}, {0, 32}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        image f;
        nb_gguf *gguf;
        nb_error error = {""};
        begin(&f, 2, 0);
        put_info(&f, "first", cases[i].n[0], 0, cases[i].offsets[0]);
        put_info(&f, "second", cases[i].n[1], 0, cases[i].offsets[1]);
        pad(&f);
        memset(f.bytes + f.n, 0, 96);
        nb_status status = nb_gguf_open_memory(f.bytes, f.n + 96, "two", &gguf, &error);
        assert_int_equal(status, cases[i].fits ? NB_OK : NB_ERR_FILE);
        assert_true(status == NB_OK || (strstr(error.text, "inside the numbers of") &&
                                        strstr(error.text, "first") && strstr(error.text, "second")));
        if (status == NB_OK)
            check_spans(gguf);
        nb_gguf_close(&gguf);
    }
}

/* A kilobyte that claims 2^60 of anything is refused before anything is allocated for it. */
static void a_small_file_with_a_large_claim(void **state)
{
    (void)state;
    const uint64_t huge = UINT64_C(1) << 60;
    for (int i = 0; i < 2; i++) {
        image f;
        nb_gguf *gguf;
        nb_error error = {""};
        begin(&f, i ? 0 : huge, i ? huge : 0);
        memset(f.bytes + f.n, 0, 1024 - f.n);
        assert_int_equal(nb_gguf_open_memory(f.bytes, 1024, "small", &gguf, &error), NB_ERR_FILE);
        assert_non_null(strstr(error.text, "1152921504606846976"));
        assert_non_null(strstr(error.text, "1024 bytes cannot hold"));
    }
}

/* ---- split models ---- */

static void put_key(image *f, const char *name, uint32_t type, uint64_t value, size_t size)
{
    put_text(f, name);
    put(f, type, 4);
    put(f, value, size);
}

/* File `index` of `count`: one tensor "t<index>" of 32 times the number index + 1; the first file has a key
 * more. Returns its path. */
static const char *write_part(const char *name, uint16_t index, uint16_t count, int32_t n_tensors)
{
    image f;
    char tensor[8];
    snprintf(tensor, sizeof tensor, "t%u", index);
    begin(&f, 1, index == 0 ? 4 : 3);
    put_key(&f, "split.no", NB_GGUF_U16, index, 2);
    put_key(&f, "split.count", NB_GGUF_U16, count, 2);
    put_key(&f, "split.tensors.count", NB_GGUF_I32, (uint32_t)n_tensors, 4);
    if (index == 0)
        put_key(&f, "answer", NB_GGUF_U8, 42, 1);
    put_info(&f, tensor, 32, 24, 0);
    pad(&f);
    memset(f.bytes + f.n, index + 1, 32);
    return temporary_file(name, f.bytes, f.n + 32);
}

static const char *const names[3] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                     "m-00003-of-00003.gguf"};

static void any_file_opens_all(void **state)
{
    (void)state;
    const char *paths[3];
    for (uint16_t i = 0; i < 3; i++)
        paths[i] = write_part(names[i], i, 3, 3);
    for (int i = 0; i < 3; i++) {
        nb_gguf *gguf;
        nb_error error = {""};
        uint64_t answer;
        if (nb_gguf_open(paths[i], &gguf, &error) != NB_OK)
            fail_msg("%s", error.text);
        assert_int_equal(gguf->n_files, 3);
        assert_int_equal(gguf->n_tensors, 3);
        assert_true(nb_gguf_u64(gguf, "answer", &answer) && answer == 42);
        for (int k = 0; k < 3; k++) {
            char name[16];
            snprintf(name, sizeof name, "t%d", k);
            const nb_gguf_tensor *t = nb_gguf_find_tensor(gguf, name);
            assert_non_null(t);
            assert_int_equal(gguf->data[t->offset], k + 1);
            assert_int_equal(gguf->data[t->offset + 31], k + 1);
            assert_int_equal(gguf->files[k].first_tensor, k);
            assert_string_equal(gguf->files[k].path, paths[k]);
        }
        check_spans(gguf);
        nb_gguf_close(&gguf);
    }
}

static void refused(const char *path, nb_status expected, const char *words)
{
    nb_gguf *gguf;
    nb_error error = {""};
    nb_status status = nb_gguf_open(path, &gguf, &error);
    assert_null(gguf);
    if (status != expected || !strstr(error.text, words))
        fail_msg("status %d, \"%s\" does not say \"%s\"", status, error.text, words);
}

static void what_is_wrong_with_a_set_is_said(void **state)
{
    (void)state;
    const char *first = write_part(names[0], 0, 3, 3), *second = write_part(names[1], 1, 3, 3);
    unlink(temporary_path(names[2]));
    refused(first, NB_ERR_IO, "1 is missing beside it: m-00003-of-00003.gguf");
    refused(second, NB_ERR_IO, "split into 3 files");
    write_part(names[2], 1, 3, 3); /* a copy of the second under the third's name */
    refused(first, NB_ERR_FILE, "says that it is file 2 of 3");
    write_part(names[2], 2, 4, 3);
    refused(first, NB_ERR_FILE, "file 3 of 4");
    write_part(names[2], 2, 3, 3);
    write_part(names[0], 0, 3, 9);
    refused(second, NB_ERR_FILE, "hold 3 tensors together and should hold 9");
    refused(write_part("renamed.gguf", 0, 3, 3), NB_ERR_FILE, "should end in -00001-of-00003.gguf");
    refused(write_part("odd-00004-of-00003.gguf", 3, 3, 3), NB_ERR_FILE, "do not say which of how many");
    temporary_file(names[2], "GGUF", 4);
    write_part(names[0], 0, 3, 3);
    refused(first, NB_ERR_FILE, "m-00003-of-00003.gguf: at byte 4");
    /* One file alone is no set, and what is in memory stays alone. */
    nb_gguf *gguf;
    size_t size;
    assert_int_equal(nb_gguf_open(write_part("alone.gguf", 0, 1, 1), &gguf, NULL), NB_OK);
    nb_gguf_close(&gguf);
    uint8_t *bytes = read_whole_file(first, &size);
    assert_int_equal(nb_gguf_open_memory(bytes, size, "part", &gguf, NULL), NB_OK);
    assert_int_equal(gguf->n_files, 1);
    nb_gguf_close(&gguf);
    free(bytes);
}

/* A file that shrinks while the set is open is read as zeros, and the check says so. */
static void a_file_that_is_cut_is_noticed(void **state)
{
    (void)state;
    const char *path = NULL;
    for (uint16_t i = 0; i < 3; i++)
        path = write_part(names[i], i, 3, 3);
    nb_gguf *gguf;
    nb_error error = {""};
    assert_int_equal(nb_gguf_open(path, &gguf, &error), NB_OK);
    const nb_gguf_tensor *t = nb_gguf_find_tensor(gguf, "t1");
    assert_int_equal(truncate(temporary_path(names[1]), 0), 0);
    assert_int_equal(((const volatile uint8_t *)gguf->data)[t->offset], 0);
    assert_int_equal(nb_mapping_check(gguf->mapping, &error), NB_ERR_IO);
    assert_non_null(strstr(error.text, "changed while it was in use"));
    nb_gguf_close(&gguf);
}

static void a_set_without_memory(void **state)
{
    (void)state;
    const char *path = NULL;
    for (uint16_t i = 0; i < 3; i++)
        path = write_part(names[i], i, 3, 3);
    nb_gguf *gguf = NULL;
    nb_status status = NB_ERR_MEMORY;
    long n = 0;
    while (status != NB_OK) {
        nb_memory_fail_after(++n);
        status = nb_gguf_open(path, &gguf, NULL);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || (status == NB_ERR_MEMORY && !gguf));
    }
    assert_true(n > 30);
    nb_gguf_close(&gguf);
}

static void same_numbers(const nb_model *a, const nb_model *b)
{
    static float rows[2][512];
    assert_int_equal(nb_model_tensor_count(a), nb_model_tensor_count(b));
    for (size_t i = 0; i < nb_model_tensor_count(a); i++) {
        const nb_tensor *s = nb_model_tensor(a, i), *t = nb_model_tensor(b, i);
        assert_true(s->n_rows == t->n_rows && s->n_cols == t->n_cols && s->n_cols <= 512);
        for (size_t row = 0; row < s->n_rows; row++) {
            nb_tensor_current_row(s, row, rows[0]);
            nb_tensor_current_row(t, row, rows[1]);
            assert_memory_equal(rows[0], rows[1], s->n_cols * sizeof(float));
        }
    }
}

/* A whole model, its tensors dealt out to two files, has the same numbers. */
static void a_split_model_loads(void **state)
{
    (void)state;
    nb_gguf *g;
    nb_gguf_writer *w;
    const char *source = make_gguf("whole.gguf", &ragged_shape);
    static const char *const parts[2] = {"p-00001-of-00002.gguf", "p-00002-of-00002.gguf"};
    assert_int_equal(nb_gguf_open(source, &g, NULL), NB_OK);
    for (uint16_t part = 0; part < 2; part++) {
        assert_int_equal(nb_gguf_writer_create(temporary_path(parts[part]), &w, NULL), NB_OK);
        for (uint64_t i = 0; part == 0 && i < g->n_values; i++)
            assert_int_equal(nb_gguf_add_value(w, &g->values[i], NULL), NB_OK);
        assert_int_equal(nb_gguf_add_number(w, "split.no", NB_GGUF_U16, &part, NULL), NB_OK);
        assert_int_equal(nb_gguf_add_number(w, "split.count", NB_GGUF_U16, (uint16_t[]){2}, NULL), NB_OK);
        for (int data = 0; data < 2; data++)
            for (uint64_t i = part; i < g->n_tensors; i += 2) {
                const nb_gguf_tensor *t = &g->tensors[i];
                char name[64];
                nb_string_show(t->name, name, sizeof name);
                assert_int_equal(data ? nb_gguf_write_data(w, g->data + t->offset, t->n_bytes, NULL)
                                      : nb_gguf_add_tensor(w, name, t->n_dims, t->dims, t->type, NULL),
                                 NB_OK);
            }
        assert_int_equal(nb_gguf_writer_commit(&w, NULL), NB_OK);
    }
    nb_gguf_close(&g);
    nb_model *whole = load_file(source, NULL), *split = load_file(temporary_path(parts[1]), NULL);
    same_numbers(whole, split);
    /* Saved, it is one file. */
    const char *saved = temporary_path("joined.gguf");
    save_file(split, saved);
    nb_model_destroy(&split);
    split = load_file(saved, NULL);
    same_numbers(whole, split);
    assert_int_equal(nb_gguf_open(saved, &g, NULL), NB_OK);
    assert_int_equal(g->n_files, 1);
    assert_null(nb_gguf_find(g, "split.count"));
    nb_gguf_close(&g);
    nb_model_destroy(&whole);
    nb_model_destroy(&split);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_are_accounted_for),
        cmocka_unit_test(overlaps_are_refused),
        cmocka_unit_test(a_small_file_with_a_large_claim),
        cmocka_unit_test(any_file_opens_all),
        cmocka_unit_test(what_is_wrong_with_a_set_is_said),
        cmocka_unit_test(a_file_that_is_cut_is_noticed),
        cmocka_unit_test(a_set_without_memory),
        cmocka_unit_test(a_split_model_loads),
    };
    return cmocka_run_group_tests_name("gguf_files", tests, file_context_create, file_context_destroy);
}
