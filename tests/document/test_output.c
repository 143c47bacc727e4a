/* Outputs as documents record them, how they are compared, and how they are exchanged. */
#include "base/memory.h"
#include "repl/document/compare.h"
#include "repl/document/figure_data.h"
#include "repl/document/output.h"
#include "repl/document/record.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

#define M(text) NB_MEASURED_OPEN text NB_MEASURED_CLOSE

static void agree(const char *recorded, const char *now)
{
    nb_difference difference;
    if (!nb_outputs_agree(recorded, now, &difference))
        fail_msg("\"%s\" and \"%s\" should agree", recorded, now);
    nb_difference_free(&difference);
}

/* The first difference is in this line, and shows these. */
static void differ(const char *recorded, const char *now, size_t line, const char *a, const char *b)
{
    nb_difference difference;
    assert_false(nb_outputs_agree(recorded, now, &difference));
    assert_int_equal(difference.line, line);
    assert_string_equal(difference.recorded, a);
    assert_string_equal(difference.now, b);
    nb_difference_free(&difference);
}

static void test_exact(void **state)
{
    (void)state;
    agree("", "");
    agree("a\nb\n", "a\nb\n");
    differ("1.0\n2.0\n", "1.0\n2.00\n", 1, "2.0", "2.00");
    differ("a b\n", "a  b\n", 0, "a b", "a  b"); /* to the bit, blanks too */
    differ("a\n", "a\nb\n", 1, "", "b");
    differ("a\nb\n", "a\n", 1, "b", "");
    differ("a\n", "", 0, "a", "");
    differ("ppl 15.53\n", "ppl 15.54\n", 0, "ppl 15.53", "ppl 15.54");
}

static void test_measured(void **state)
{
    (void)state;
    agree("at " M("2,410 tokens/s") "\n", "at " M("98 tokens/s") "\n");
    agree("took " M("12.3 ms") "\n", "took " M("1.2 s") "\n");
    agree("took " M("1.2e-05 s") "\n", "took " M("940 ns") "\n");
    agree(M("1.02 MiB") " free\n", M("17 GB") " free\n");
    agree(M("Intel Xeon, 2.6 GHz") "\n", M("AMD 64-Core") "\n"); /* words: that there are some */
    agree(M("2 threads") "\n", M("1 thread") "\n");
    agree(M("81.4 %") "\n", M("7 %") "\n");
    agree(M("14 Gop/s int8, 9 Gop/s f32") "\n", M("812 Gop/s int8, 80 Gop/s f32") "\n");
    agree("a   " M("7") "  b\n", "a   " M("12,345") " b\n");      /* a table with another width */
    agree("one two " M("3 s") "\nfour\n", "one two\n" M("300 s") " four\n"); /* wrapped elsewhere */
    differ(M("3 s") "\n", M("3 tokens") "\n", 0, M("3 s"), M("3 tokens"));
    differ(M("3 tokens/s") "\n", M("3 tokens") "\n", 0, M("3 tokens/s"), M("3 tokens"));
    differ(M("3 s") "\n", "3 s\n", 0, M("3 s"), "3 s");
    differ("x " M("3 s") "\n", "x\n", 0, "x " M("3 s"), "");
    differ("x " M("3 s") "\nppl 3.1\n", "x " M("4 s") "\nppl 3.2\n", 1, "ppl 3.1", "ppl 3.2");
    differ(M("3 s") "\n", M("a while") "\n", 0, M("3 s"), M("a while"));
    differ(M("x86") "\n", M("") "\n", 0, M("x86"), M(""));
}

static const nb_column columns[] = {{"tensor", NB_COLUMN_LEFT}, {"bits", NB_COLUMN_RIGHT}, {"speed", NB_COLUMN_RIGHT}};

static void fill(nb_items *items)
{
    nb_items_text(items, NB_STRONG "story" NB_END " is small, and this line is long enough that it has to be broken "
                         "between two words at eighty columns");
    nb_items_table(items, columns, 3);
    nb_items_row(items);
    nb_items_cell(items, 0, "blk.0.attn_q");
    nb_items_cell(items, 1, "4.50");
    nb_items_cell(items, 2, NB_MEASURED "%d" NB_END, 2410);
    nb_items_row(items);
    nb_items_cell(items, 0, "head");
    nb_items_cell(items, 1, "16");
    nb_items_cell(items, 2, NB_MEASURED "%d" NB_END, 7);
    nb_items_literal(items, "Once\n\nupon \x1b[2J", 15, true);
    nb_items_value(items, NB_STRONG "%s" NB_END " nats", "0.312");
}

static void test_text(void **state)
{
    (void)state;
    nb_items items = {0};
    nb_pieces pieces;
    fill(&items);
    nb_pieces_make(&items, NULL, &pieces);
    assert_false(pieces.failed);
    assert_int_equal(pieces.count, 1);
    assert_null(pieces.pieces[0].figure);
    assert_string_equal(pieces.pieces[0].text,
                        "story is small, and this line is long enough that it has to be broken between\n"
                        "two words at eighty columns\n"
                        "tensor        bits   speed\n"
                        "blk.0.attn_q  4.50  \u27e82410\u27e9\n"
                        "head            16     \u27e87\u27e9\n"
                        "Once\n\nupon ?[2J\n"
                        "0.312 nats\n");
    nb_pieces_free(&pieces);
    nb_items_free(&items);
}

static nb_figure bell(void)
{
    static const double heights[5] = {1, 4, 6.5, 4, 1};
    return (nb_figure){.kind = NB_FIGURE_CURVE,
                       .headline = "a <bell> & more",
                       .x_label = "x",
                       .y_label = "y",
                       .x_low = -2,
                       .x_high = 2,
                       .n = 5,
                       .before = {"heights", heights},
                       .sentence = "A curve [small]."};
}

static void test_pieces(void **state)
{
    (void)state;
    nb_items items = {0};
    nb_pieces pieces;
    nb_figure figure = bell();
    nb_items_text(&items, "one");
    nb_items_text(&items, "two");
    nb_items_figure(&items, &figure);
    nb_items_text(&items, "three");
    nb_pieces_make(&items, "it failed", &pieces);
    assert_int_equal(pieces.count, 3);
    assert_string_equal(pieces.pieces[0].text, "one\ntwo\n");
    assert_non_null(pieces.pieces[1].figure);
    assert_string_equal(pieces.pieces[1].text, "A curve [small].");
    assert_string_equal(pieces.pieces[2].text, "three\nit failed\n");
    nb_pieces_free(&pieces);
    nb_items_free(&items);
}

static void test_figure_data(void **state)
{
    (void)state;
    nb_figure figure = bell();
    nb_draft data = {0};
    nb_error error;
    char *kept;
    const char *path = temporary_path("bell.svg");
    nb_figure_data(&figure, &data);
    assert_string_equal(nb_draft_text(&data), "kind curve\nheadline a <bell> & more\nx x\ny y\nrange 0:  -2 2\n"
                                              "axis linear\nbefore heights\nbefore 0:  1 4 6.5 4 1\n");
    if (nb_figure_record(&figure, path, &error) != NB_OK)
        fail_msg("%s", error.text);
    assert_int_equal(nb_figure_recorded(path, &kept, &error), NB_OK);
    assert_string_equal(kept, data.text);
    free(kept);
    path = temporary_file("plain.svg", "<svg></svg>", 11);
    assert_int_equal(nb_figure_recorded(path, &kept, &error), NB_ERR_FILE);
    assert_non_null(strstr(error.text, "carries no data"));
    assert_null(kept);
    nb_draft_free(&data);
}

/* What only some figures have is data too: a heatmap's cells, where stairs end. */
static void test_figure_data_of_kinds(void **state)
{
    (void)state;
    const double cells[] = {1, -2, NAN, 4};
    nb_draft data = {0};
    const nb_figure heatmap = {.kind = NB_FIGURE_HEATMAP, .x_low = -0.5, .x_high = 1.5, .y_low = -0.5, .y_high = 1.5,
                               .cells = cells, .n_rows = 2, .n_columns = 2};
    nb_figure_data(&heatmap, &data);
    assert_string_equal(nb_draft_text(&data), "kind heatmap\nrange 0:  -0.5 1.5\naxis linear\nrows 0:  -0.5 1.5\n"
                                              "cells 2 x 2\ncells 0:  1 -2 NaN 4\n");
    nb_draft_free(&data);
    const double q[] = {0, 1};
    const nb_figure stairs = {.kind = NB_FIGURE_STAIRCASE, .x_high = 1, .n = 2, .before = {"Q(x)", q}, .clip_high = 2};
    nb_figure_data(&stairs, &data);
    assert_string_equal(nb_draft_text(&data), "kind staircase\nrange 0:  0 1\naxis linear\nbefore Q(x)\n"
                                              "before 0:  0 1\nclip 0:  0 2\n");
    nb_draft_free(&data);
}

/* A document at a path of its own, so that figures have a folder. */
static nb_document *document_of(const char *text)
{
    nb_document *document;
    nb_error error;
    if (nb_document_parse(text, strlen(text), temporary_path("notes.md"), &document, &error) != NB_OK)
        fail_msg("%s", error.text);
    return document;
}

static void becomes(const char *before, const nb_items *items, const char *after)
{
    nb_document *document = document_of(before);
    nb_pieces pieces;
    nb_draft text = {0};
    nb_error error;
    size_t cell = 0, n_figures = 0;
    while (document->blocks[cell].kind != NB_BLOCK_CELL)
        cell++;
    nb_pieces_make(items, NULL, &pieces);
    if (nb_outputs_replace(document, cell, &pieces, &n_figures, &error) != NB_OK)
        fail_msg("%s", error.text);
    nb_document_write(document, &text);
    assert_string_equal(nb_draft_text(&text), after);
    size_t line;
    char *recorded, *now;
    nb_document *again = document_of(nb_draft_text(&text)); /* it is read back as what was written */
    assert_true(nb_outputs_match(again, cell, &pieces, &line, &recorded, &now));
    nb_document_close(&again);
    nb_draft_free(&text);
    nb_pieces_free(&pieces);
    nb_document_close(&document);
}

static void test_replace(void **state)
{
    (void)state;
    nb_items one = {0}, pictured = {0}, none = {0};
    nb_figure figure = bell();
    nb_items_text(&one, "1");
    becomes("```nibble\nx\n```", &one, "```nibble\nx\n```\n```output\n1\n```\n");
    becomes("a\n\n```nibble\nx\n```\n\nb\n", &one, "a\n\n```nibble\nx\n```\n```output\n1\n```\n\nb\n");
    becomes("```nibble\nx\n```\n\n```output\n2\n```\n\n\nb", &one, "```nibble\nx\n```\n```output\n1\n```\n\n\nb");
    becomes("```nibble\nx\n```\n```output\n2\n```\n\nb\n", &none, "```nibble\nx\n```\n\nb\n");
    becomes("```nibble\r\nx\r\n```\r\n\r\nb\r\n", &one, "```nibble\r\nx\r\n```\r\n```output\r\n1\r\n```\r\n\r\nb\r\n");
    nb_items_text(&pictured, "```");
    nb_items_figure(&pictured, &figure);
    nb_items_figure(&pictured, &figure);
    becomes("```nibble\nx\n```\nb\n", &pictured,
            "```nibble\nx\n```\n````output\n```\n````\n\n![A curve \\[small\\].](figures/notes-1.svg)\n\n"
            "![A curve \\[small\\].](figures/notes-2.svg)\nb\n");
    nb_items_free(&one);
    nb_items_free(&pictured);
}

static void test_figure_differs(void **state)
{
    (void)state;
    nb_items items = {0}, other = {0};
    nb_figure figure = bell(), taller = bell();
    const double heights[5] = {1, 4, 6.75, 4, 1};
    taller.before.values = heights;
    nb_items_figure(&items, &figure);
    nb_items_figure(&other, &taller);
    becomes("```nibble\nx\n```\n", &items, "```nibble\nx\n```\n\n![A curve \\[small\\].](figures/notes-1.svg)\n");
    nb_document *document = document_of("```nibble\nx\n```\n\n![A curve \\[small\\].](figures/notes-1.svg)\n");
    nb_pieces pieces;
    size_t line;
    char *recorded, *now;
    nb_pieces_make(&other, NULL, &pieces);
    assert_false(nb_outputs_match(document, 0, &pieces, &line, &recorded, &now));
    assert_int_equal(line, 5);
    assert_string_equal(recorded, "before 0:  1 4 6.5 4 1");
    assert_string_equal(now, "before 0:  1 4 6.75 4 1");
    free(recorded);
    free(now);
    nb_pieces_free(&pieces);
    nb_items_free(&items);
    nb_items_free(&other);
    nb_document_close(&document);
}

static void test_memory(void **state)
{
    (void)state;
    nb_items items = {0};
    fill(&items);
    for (long n = 1;; n++) {
        nb_pieces pieces;
        nb_memory_fail_after(n);
        nb_pieces_make(&items, "an error", &pieces);
        nb_memory_fail_after(0);
        bool whole = !pieces.failed;
        nb_pieces_free(&pieces);
        if (whole)
            break;
        assert_true(n < 1000);
    }
    nb_items_free(&items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),   cmocka_unit_test(test_measured),       cmocka_unit_test(test_text),
        cmocka_unit_test(test_pieces),  cmocka_unit_test(test_figure_data),    cmocka_unit_test(test_replace),
        cmocka_unit_test(test_figure_differs), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_figure_data_of_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
