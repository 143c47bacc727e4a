/* What inspect shows: published blocks and their numbers, files whose bytes add up, and lines that fit 80
 * columns whatever the file says. */
#include "formats/block_anatomy.h"
#include "repl/commands/inspect.h"
#include "repl/notebook.h"
#include "repl/render.h"
#include "repl/utf8.h"
#include "tests/support/models.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static nb_draft shown; /* of the last command */
static nb_error error;

/* Renders and checks that no line is wider than the screen, and that nothing in it could steer a terminal. */
static void render(const nb_items *items)
{
    nb_screen screen = {.out = stdout, .utf8 = true, .columns = 80, .at_line_start = true};
    nb_render_items(&screen, items, 0, &shown);
    const char *line = nb_draft_text(&shown);
    while (*line) {
        const size_t n = strcspn(line, "\n");
        if (nb_utf8_width(line, n) > 80)
            fail_msg("wider than 80: %.*s", (int)n, line);
        for (size_t i = 0; i < n; i++)
            assert_true((unsigned char)line[i] >= ' ');
        line += n + (line[n] == '\n');
    }
}

static void take(void *user, const nb_items *items, unsigned cell)
{
    (void)user, (void)cell;
    render(items);
}

static nb_notebook *notebook;

static nb_status run(const char *format, ...)
{
    char cell[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cell, sizeof cell, format, arguments);
    va_end(arguments);
    nb_draft_free(&shown);
    return nb_notebook_run(notebook, cell, strlen(cell), take, NULL, &error);
}

static void says(const char *words)
{
    if (!strstr(nb_draft_text(&shown), words))
        fail_msg("does not say \"%s\":\n%s", words, nb_draft_text(&shown));
}

static void refuses(nb_status status, const char *words)
{
    assert_int_not_equal(status, NB_OK);
    if (!strstr(error.text, words))
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static int open_notebook(void **state)
{
    (void)state;
    const nb_context_options options = {.n_threads = 1};
    return nb_notebook_create(&options, &notebook, &error) == NB_OK ? 0 : -1;
}

static int close_notebook(void **state)
{
    (void)state;
    nb_notebook_destroy(&notebook);
    nb_draft_free(&shown);
    return 0;
}

static size_t hex(const char *text, uint8_t *bytes)
{
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++) {
        const char pair[3] = {text[2 * i], text[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

/* What ggml's reference made of ((37i + 11) mod 64 - 32) / 32 in q4_0, q5_0 and mxfp4. */
static const struct {
    const char *name, *block;
    uint32_t type;
} published[] = {
    {"q4_0", "0030730c953fc851ea841da63fd962fb842e", 2},
    {"q5_0", "002c5aad546ae6083b5d80a2d5f72a4c7f91c4e6193b", 6},
    {"mxfp4", "7d9de41bd540bd520ce42ac640ad530cd5", 39},
    {"plain", "0000803f000020c0", 0},
};
enum { N_PUBLISHED = sizeof published / sizeof *published };

static const char *write_published(void)
{
    const char *path = temporary_path("published.gguf");
    uint8_t block[64];
    nb_gguf_writer *w;
    assert_int_equal(nb_gguf_writer_create(path, &w, &error), NB_OK);
    nb_gguf_add_string(w, "general.architecture", "none", NULL);
    nb_gguf_add_string(
        w, "long", "a line\nand one more, long enough that it cannot stand beside its key in one line", NULL);
    nb_gguf_add_u32(w, "general.file_type", 15, NULL);
    nb_gguf_add_array(w, "numbers", NB_GGUF_I16, (int16_t[]){-3, 4}, 2, NULL);
    nb_gguf_add_string_array(w, "strings", (nb_string[]){{"\x1b[31m\x03", 6}, {"\xc3\xa9", 2}}, 2, NULL);
    for (int i = 0; i < N_PUBLISHED; i++)
        assert_int_equal(nb_gguf_add_tensor(w, published[i].name, 1, (uint64_t[]){published[i].type ? 32 : 2},
                                            published[i].type, &error),
                         NB_OK);
    for (int i = 0; i < N_PUBLISHED; i++)
        assert_int_equal(nb_gguf_write_data(w, block, hex(published[i].block, block), &error), NB_OK);
    assert_int_equal(nb_gguf_writer_commit(&w, &error), NB_OK);
    return path;
}

static void a_file_adds_up(void **state)
{
    (void)state;
    const char *path = write_published();
    assert_int_equal(run("inspect '%s'", path), NB_OK);
    says("published.gguf · GGUF version 3");
    says("5 keys, 4 tensors");
    says("2 strings  \"?[31m?\"");
    says("15: mostly Q4_K_M");
    says("2 i16      -3 4");
    says("a line\\nand one more"); /* on one line, cut */
    says("\u2026");
    says("\"?[31m?\" \"\u00e9\"");
    says("q5_0    32     Q5_0    5.5     22        480");
    says("header: magic, version, two counts         24");
    says("= size");
    assert_null(strstr(nb_draft_text(&shown), "unused"));
    size_t size;
    free(read_whole_file(path, &size));
    char text[32], sum[48];
    snprintf(sum, sizeof sum, "%s  = size\n", nb_print_count(text, sizeof text, size));
    says(sum);
    assert_int_equal(run("inspect '%s' --key long", path), NB_OK);
    says("a line\n");
    assert_int_equal(run("inspect '%s' --key strings", path), NB_OK);
    refuses(run("inspect '%s' --key strnigs", path), "did you mean strings?");
}

static void published_blocks_are_drawn(void **state)
{
    (void)state;
    const char *path = write_published();
    assert_int_equal(run("inspect '%s' --hex q4_0 --number 5", path), NB_OK);
    says("block 0 of 1, counted from 0");
    says("32 numbers in 18 bytes, 4.5 bits each");
    says("73 0c 95 3f c8[51]ea 84 1d a6 3f d9 62 fb 84 2e");
    says("3000, as f16 0.125");
    says("0  -0.6250   0.5000  -0.3750   0.8750");
    says("qs[5]  51 = 0101 0001: bits 0 to 3 are 0001");
    says("1 - 8 = -7");
    says("-7 x 0.125 = -0.875");
    assert_int_equal(run("inspect '%s' --hex q4_0 --number 21", path), NB_OK);
    says("51 = 0101 0001: bits 4 to 7 are 0101");
    assert_int_equal(run("inspect '%s' --hex q5_0 --number 1", path), NB_OK);
    says("[5a]ad 54 6a");
    says("bit 1 is 1");
    says("the second in front: 11000 = 24");
    says("8 x 0.0625 = 0.5");
    assert_int_equal(run("inspect '%s' --hex mxfp4", path), NB_OK);
    says("7d = 125: 2^(125 - 127) = 0.25");
    says("-3 x 0.25 = -0.75");
    assert_int_equal(run("inspect '%s' --hex plain --number 1", path), NB_OK);
    says("[00 00 20 c0]");
    says("10000000 = 128: 2^(128 - 127) = 2^1");
    says("- 1.25 x 2^1 = -2.5");
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    const char *path = write_published();
    refuses(run("inspect '%s' --hex q4_1", path), "there is no tensor q4_1: did you mean q4_0?");
    refuses(run("inspect '%s' --hex q4_0 --block 1", path), "has 1 block of 32 numbers, counted from 0");
    refuses(run("inspect '%s' --hex q4_0 --number 32", path), "there is no number 32");
    refuses(run("inspect '%s' --block 1", path), "--hex TENSOR");
    refuses(run("inspect"), "inspect wants FILE");
    assert_int_equal(run("load '%s'", temporary_path("tiny.gguf")), NB_OK);
    assert_int_equal(run("inspect"), NB_OK); /* the model's own file */
    says("tiny.gguf");
    assert_int_equal(run("inspect --hex blk.0.attn_q"), NB_OK); /* names as everywhere in the notebook */
    says("blk.0.attn_q.weight · F16");
}

static void other_files_are_inspected_too(void **state)
{
    (void)state;
    static const llama2c_shape shapes[] = {{24, 36, 2, 6, 3, 270, 40}, {24, 36, 2, 6, 3, -270, 40}};
    for (int own_head = 0; own_head < 2; own_head++) {
        size_t size;
        uint8_t *bytes = make_llama2c(&shapes[own_head], 7, &size);
        char text[32], sum[48];
        const char *path = temporary_file("model.bin", bytes, size);
        free(bytes);
        assert_int_equal(run("inspect '%s'", path), NB_OK);
        snprintf(sum, sizeof sum, "%s  = size\n", nb_print_count(text, sizeof text, size));
        says(sum);
        says("token embeddings                            25,920"); /* 270 * 24 * 4 */
        says("RoPE tables, computed again by all readers     640"); /* 40 * 4 * 4 */
        assert_int_equal(own_head, strstr(nb_draft_text(&shown), "  head  ") != NULL);
        refuses(run("inspect '%s' --hex wq", path), "is no GGUF");
    }
    /* nibble's own formats: the codes' bytes, and how they are read. */
    assert_int_equal(run("load '%s'", temporary_path("tiny.gguf")), NB_OK);
    assert_int_equal(run("quantize attention absmax --bits 4 --per group:32"), NB_OK);
    assert_int_equal(run("save '%s'", temporary_path("small.gguf")), NB_OK);
    assert_int_equal(run("inspect '%s' --hex blk.0.attn_q.codes", temporary_path("small.gguf")), NB_OK);
    says("nibble.tensor.blk.0.attn_q is int4");
}

/* Random bytes in every kind of block, read by the codecs themselves: what is drawn for each number is
 * theirs. */
static void every_kind_is_drawn(void **state)
{
    (void)state;
    uint8_t block[256];
    nb_random random;
    nb_random_seed(&random, 3);
    for (size_t i = 0; i < nb_block_anatomy_count(); i++) {
        const nb_format *format = nb_block_anatomy_at(i)->format;
        const char *path = temporary_path("kind.gguf");
        float values[256];
        char line[64];
        nb_gguf_writer *w;
        for (size_t k = 0; k < format->block_bytes; k++)
            block[k] = (uint8_t)(nb_random_u64(&random) >> 57); /* below 128: scales are finite */
        format->decode_row(block, format->block_size, values);
        assert_int_equal(nb_gguf_writer_create(path, &w, &error), NB_OK);
        nb_gguf_add_tensor(w, "t", 1, (uint64_t[]){format->block_size}, (uint32_t)format->gguf_type, NULL);
        nb_gguf_write_data(w, block, format->block_bytes, NULL);
        assert_int_equal(nb_gguf_writer_commit(&w, &error), NB_OK);
        for (unsigned number = 0; number < format->block_size; number += 31) {
            char text[32];
            assert_int_equal(run("inspect '%s' --hex t --number %u", path, number), NB_OK);
            nb_print_general(text, sizeof text, (double)values[number], 9);
            snprintf(line, sizeof line, " = %s\n", text);
            says(line);
            for (size_t f = 0; f < format->n_fields; f++)
                says(format->fields[f].name);
        }
    }
}

int main(void)
{
    static const nb_synthetic tiny = {.n_layers = 1,
                                      .n_embd = 64,
                                      .n_heads = 4,
                                      .n_kv_heads = 2,
                                      .n_ff = 96,
                                      .n_vocab = 300,
                                      .n_ctx = 32,
                                      .format = &nb_format_f16,
                                      .seed = 5};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_adds_up),
        cmocka_unit_test(published_blocks_are_drawn),
        cmocka_unit_test(what_is_not_there_is_said),
        cmocka_unit_test(other_files_are_inspected_too),
        cmocka_unit_test(every_kind_is_drawn),
    };
    if (nb_synthetic_write(temporary_path("tiny.gguf"), &tiny, &error) != NB_OK)
        return 1;
    return cmocka_run_group_tests_name("inspect", tests, open_notebook, close_notebook);
}
