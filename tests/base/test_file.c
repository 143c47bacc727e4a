/* Mappings that outlive their file, and writes that never tear. */
#include "base/file.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/nibble-file-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails if anything was left behind */
}

static void put(const char *text)
{
    nb_writer *writer;
    assert_int_equal(nb_writer_open(path, &writer, NULL), NB_OK);
    assert_int_equal(nb_writer_write(writer, text, strlen(text), NULL), NB_OK);
    assert_int_equal(nb_writer_commit(&writer, NULL), NB_OK);
    assert_null(writer);
}

static void assert_holds(const char *text)
{
    nb_mapping *mapping;
    assert_int_equal(nb_mapping_open(path, &mapping, NULL), NB_OK);
    assert_int_equal(mapping->size, strlen(text));
    assert_memory_equal(mapping->data, text, mapping->size);
    nb_mapping_close(&mapping);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    put("one");
    assert_holds("one");
    chmod(path, 0640);
    put("another");
    assert_holds("another");
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
}

static void an_aborted_write_leaves_the_old_file(void **state)
{
    (void)state;
    put("old");
    nb_writer *writer;
    assert_int_equal(nb_writer_open(path, &writer, NULL), NB_OK);
    assert_int_equal(nb_writer_write(writer, "new", 3, NULL), NB_OK);
    nb_writer_abort(&writer);
    assert_holds("old");
}

static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    put("old");
    struct rlimit unlimited, small = {1 << 20, 1 << 20};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    small.rlim_max = unlimited.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    nb_writer *writer;
    nb_error error = {""};
    assert_int_equal(nb_writer_open(path, &writer, NULL), NB_OK);
    static const char block[1 << 16];
    nb_status status = NB_OK;
    for (int i = 0; i < 64 && status == NB_OK; i++)
        status = nb_writer_write(writer, block, sizeof block, &error);
    nb_writer_abort(&writer);
    setrlimit(RLIMIT_FSIZE, &unlimited);
    assert_int_equal(status, NB_ERR_IO);
    assert_non_null(strstr(error.text, path));
    assert_non_null(strstr(error.text, "as it was"));
    assert_holds("old");
}

static void a_truncated_mapping_is_a_sentence(void **state)
{
    (void)state;
    nb_writer *writer;
    assert_int_equal(nb_writer_open(path, &writer, NULL), NB_OK);
    static uint8_t block[100000];
    memset(block, 7, sizeof block);
    assert_int_equal(nb_writer_write(writer, block, sizeof block, NULL), NB_OK);
    assert_int_equal(nb_writer_commit(&writer, NULL), NB_OK);
    nb_mapping *mapping;
    assert_int_equal(nb_mapping_open(path, &mapping, NULL), NB_OK);
    assert_int_equal(mapping->data[99999], 7);
    assert_int_equal(nb_mapping_check(mapping, NULL), NB_OK);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(((const volatile uint8_t *)mapping->data)[99999], 0);
    nb_error error;
    assert_int_equal(nb_mapping_check(mapping, &error), NB_ERR_IO);
    assert_non_null(strstr(error.text, "changed while it was in use"));
    nb_mapping_close(&mapping);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    nb_mapping *mapping;
    nb_error error;
    assert_int_equal(nb_mapping_open(folder, &mapping, &error), NB_ERR_FILE);
    assert_non_null(strstr(error.text, "folder"));
    assert_int_equal(nb_mapping_open("/nowhere/at/all", &mapping, &error), NB_ERR_IO);
    assert_int_equal(nb_mapping_open("/dev/null", &mapping, &error), NB_ERR_FILE);
    put("");
    assert_int_equal(nb_mapping_open(path, &mapping, &error), NB_ERR_FILE);
    assert_non_null(strstr(error.text, "empty"));
    nb_writer *writer;
    assert_int_equal(nb_writer_open(folder, &writer, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_writer_open("/nowhere/at/all", &writer, &error), NB_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(an_aborted_write_leaves_the_old_file),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(a_truncated_mapping_is_a_sentence),
        cmocka_unit_test(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests_name("file", tests, make_folder, remove_folder);
}
