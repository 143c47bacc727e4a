/* quantize SCOPE gptq and hqq: what they say, and that every other command knows what was made. */
#include "nibble.h"
#include "tests/support/cells.h"
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static void load(cells *c)
{
    nb_draft text = {0};
    for (int i = 0; i < 60; i++)
        nb_draft_addf(&text, "The %d foxes ran %d miles over hill %d. ", i * 7 % 31, i * i % 53, i);
    temporary_file("look.txt", nb_draft_text(&text), strlen(nb_draft_text(&text)));
    nb_draft_free(&text);
    cells_load_tiny(c);
}

static const char *with_text(const char *command)
{
    static char cell[600];
    snprintf(cell, sizeof cell, "%s --text '%s'", command, temporary_path("look.txt"));
    return cell;
}

static void gptq_is_told_everywhere(void **state)
{
    cells *c = *state;
    load(c);
    const uint64_t original = test_state(c->notebook->model);
    says(c, with_text("quantize all gptq --bits 3 --per group:32 --tokens 512"), "14 tensors");
    says(c, "layers blk.0", "GPTQ");
    says(c, "info", "GPTQ from look.txt (512 tokens");
    says(c, "show blk.1.ffn_down", "made by");
    says(c, "undo", "quantize all gptq");
    assert_true(test_state(c->notebook->model) == original);
    says(c, with_text("quantize blk.0.ffn_up gptq --tokens 512 --format q4_0 --act-order --trace"), "moved, in steps");
    says(c, "layers blk.0", "q4_0");
    says(c, "undo", "Taken back");
    says(c, with_text("quantize mlp gptq --tokens 512 --per channel --trace"), "round to nearest");
    says(c, "undo", "Taken back");
    /* few tokens are said */
    says(c, with_text("quantize blk.0.ffn_down gptq --tokens 64 --per group:32"), "more columns than the text has tokens");
    says(c, "undo", "Taken back");
    assert_true(test_state(c->notebook->model) == original);
}

/* show must not call a scale max / 7 that was chosen otherwise, nor set codes beside columns that they are not of. */
static void show_knows_whose_scale_it_is(void **state)
{
    cells *c = *state;
    load(c);
    says(c, "quantize blk.0.ffn_up hqq --bits 2 --per group:32; show blk.0.ffn_up", "which its method chose");
    says(c, "show blk.0.ffn_up", "are clipped to them");
    says(c, "undo; quantize blk.0.ffn_up zeropoint --bits 3 --per group:32; show blk.0.ffn_up", "Its scale is (max - min) / 7");
    says(c, with_text("undo; quantize blk.0.ffn_up gptq --bits 3 --per group:32 --tokens 256 --act-order"), "");
    says(c, "show blk.0.ffn_up", "its columns as they meet the input");
    says(c, "undo", "Taken back");
}

static void hqq_needs_no_text(void **state)
{
    cells *c = *state;
    load(c);
    says(c, "quantize all hqq --bits 3 --per group:32", "By HQQ");
    says(c, "info", "HQQ without data");
    says(c, "quantize all zeropoint --bits 3 --per group:32", "dB worse on average");
    says(c, "help quantize", "quantize SCOPE hqq");
}

static void what_makes_no_sense_is_refused(void **state)
{
    cells *c = *state;
    load(c);
    const uint64_t original = test_state(c->notebook->model);
    refuses(c, "quantize all gptq --text nowhere.txt", "nowhere.txt");
    refuses(c, with_text("quantize all gptq --format f16"), "stands alone");
    refuses(c, with_text("quantize embeddings gptq --per group:32"), "");
    refuses(c, with_text("quantize all gptq --per group:32 --activations static"), "activations all static");
    refuses(c, "quantize all absmax --damp 0.1", "quantize all gptq --damp");
    refuses(c, "quantize all hqq --tokens 100", "hqq has no --tokens");
    refuses(c, "quantize all hqq --per tensor", "--per group:64");
    refuses(c, "quantize all gpqt", "did you mean gptq");
    refuses(c, "quantize all q4_k_m --activations static --observer percentile",
            "activations all static --observer percentile");
    refuses(c, "quantize all q4_k_m --bits 3", "leave --bits out");
    refuses(c, with_text("quantize all q4_k_m"), "leave --text out");
    refuses(c, with_text("quantize all absmax"), "do more than round");
    temporary_file("short.txt", "A fox.", 6);
    char cell[600];
    snprintf(cell, sizeof cell, "quantize all gptq --text '%s'", temporary_path("short.txt"));
    refuses(c, cell, "tokens");
    assert_true(test_state(c->notebook->model) == original);
    assert_int_equal(nb_model_undo_depth(c->notebook->model), 0);
}

/* Methods beside formats on one front; the model and what `undo` knows stay as they were. */
static void a_front_takes_methods(void **state)
{
    cells *c = *state;
    char cell[1200];
    load(c);
    says(c, "quantize blk.0 absmax --bits 8", "7 tensors");
    const uint64_t before = test_state(c->notebook->model);
    snprintf(cell, sizeof cell,
             "pareto --scope mlp --text '%s' --tokens 200 --of \"int3 zeropoint/group:32, hqq --bits 3 --per group:32, "
             "gptq --bits 3 --per group:32 --text '%s' --tokens 512\"",
             temporary_path("look.txt"), temporary_path("look.txt"));
    says(c, cell, "gptq --bits 3 --per group:32");
    assert_true(test_state(c->notebook->model) == before);
    says(c, "undo", "quantize blk.0 absmax");
    snprintf(cell, sizeof cell, "pareto --scope mlp --text '%s' --tokens 200 --of \"gptq --bitz 3\"",
             temporary_path("look.txt"));
    refuses(c, cell, "--bits");
    snprintf(cell, sizeof cell, "pareto --text '%s' --tokens 200 --of \"q8_0, hqq --bits 9\"", temporary_path("look.txt"));
    refuses(c, cell, "from 2 to 8");
    refuses(c, "undo", "nothing to undo");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gptq_is_told_everywhere, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(show_knows_whose_scale_it_is, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(hqq_needs_no_text, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(a_front_takes_methods, cells_open, cells_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
