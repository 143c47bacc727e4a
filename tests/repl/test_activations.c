/* calibrate, activations, and quantize --activations: what a person types, and what it answers. */
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

static void calibrate(cells *c)
{
    char cell[600];
    snprintf(cell, sizeof cell, "calibrate --text '%s' --tokens 640", cells_text());
    says(c, cell, "9 inputs of matrices · seen.txt, 640 tokens in 10 sequences");
}

static void test_nothing_without_a_text(void **state)
{
    cells *c = *state;
    refuses(c, "calibrate", "load");
    cells_load_tiny(c);
    refuses(c, "calibrate", "--text");
    refuses(c, "quantize all absmax --activations static", "--text");
    gives(c, "bits(blk.0.attn_q)", "16");
}

static void test_it_shows_what_flows(void **state)
{
    cells *c = *state;
    cells_load_tiny(c);
    calibrate(c);
    says(c, "activations", "blk.0.attn_k, attn_v, attn_q");
    says(c, "activations", "entropy");
    says(c, "activations blk.1.ffn_down", "blk.1.ffn_down");
    says(c, "activations blk.1.ffn_down --rows", "in steps of");
    refuses(c, "activations blk.0.attn_norm", "activations flow into matrices");
    refuses(c, "activations blk.0.attn_q statik", "did you mean static?");
}

static void test_modes(void **state)
{
    cells *c = *state;
    cells_load_tiny(c);
    calibrate(c);
    says(c, "quantize all absmax --per channel --activations static --observer percentile",
         "Activations: int8, one static scale (percentile of seen.txt, 640");
    says(c, "layers blk.0", "activations int8, one static");
    says(c, "activations attention token", "8 tensors · int8, one scale a token");
    says(c, "undo", "activations attention token");
    says(c, "activations all static:channel", "int8, a static scale a channel");
    says(c, "activations all blocks", "a scale for every 32 of a token");
    says(c, "quantize mlp q8_0 --activations token", "Activations: int8, one scale a token.");
    refuses(c, "quantize all f16 --activations token", "f32");
    refuses(c, "quantize all absmax --observer mse", "goes with --activations static or static:channel");
    refuses(c, "quantize all absmax --activations dynamic --observer mse", "goes with --activations static");
    refuses(c, "activations all token --observer mse", "goes with static or static:channel");
    refuses(c, "activations all blocks --observer ema", "goes with static or static:channel");
    says(c, "quantize attention absmax --activations dynamic", "Activations: int8, one scale a token");
    says(c, "quantize mlp absmax --activations int8; activations mlp dynamic",
         "6 tensors · int8, one scale a token");
    refuses(c, "activations mlp dynamik", "did you mean dynamic?");
    says(c, "restore all", "");
    refuses(c, "activations all token", "quantize it to integers first");
}

/* Each channel's scale by every observer: two of them always, the others with what calibrate --channels
 * records. */
static void test_channels(void **state)
{
    cells *c = *state;
    char cell[600];
    cells_load_tiny(c);
    refuses(c, "quantize all absmax --activations static:channel --observer mse", "calibrate --channels");
    calibrate(c);
    says(c, "quantize all absmax --per channel --activations static:channel", "(each channel's largest of");
    says(c, "activations all static:channel --observer minmax", "(each channel's largest of");
    says(c, "activations attention static:channel --observer ema", "(each channel's ema of");
    refuses(c, "activations all static:channel --observer mse",
            "static:channel by mse looks at a histogram of every channel: calibrate --channels records them");
    refuses(c, "activations all static:channel --observer percentile", "calibrate --channels");
    refuses(c, "quantize all absmax --activations static:channel --observer entropy", "calibrate --channels");
    says(c, "layers blk.0", "activations int8, a static");
    snprintf(cell, sizeof cell, "calibrate --channels --tokens 640 --save '%s'",
             temporary_path("channels.calibration"));
    says(c, cell, "With a histogram of each of ");
    static const char *const observers[] = {"percentile", "mse", "entropy", "ema"};
    for (size_t i = 0; i < 4; i++) {
        char want[80];
        snprintf(cell, sizeof cell, "activations all static:channel --observer %s", observers[i]);
        snprintf(want, sizeof want, "(each channel's %s of", observers[i]);
        says(c, cell, want);
        snprintf(cell, sizeof cell, "quantize mlp absmax --activations static:channel --observer %s",
                 observers[i]);
        says(c, cell, want);
    }
    snprintf(cell, sizeof cell,
             "quantize mlp absmax --activations static:channel --observer mse --tokens 64 --text '%s'",
             cells_text());
    refuses(c, cell, "calibrate --channels");
    calibrate(c);
    refuses(c, "activations all static:channel --observer mse", "calibrate --channels");
    snprintf(cell, sizeof cell, "calibrate --load '%s'", temporary_path("channels.calibration"));
    says(c, cell, "With a histogram of each of ");
    says(c, "activations all static:channel --observer mse", "each channel's mse");
    snprintf(cell, sizeof cell, "calibrate --channels --load '%s'", temporary_path("channels.calibration"));
    refuses(c, cell, "--channels out");
    snprintf(cell, sizeof cell, "save '%s'; load '%s'; layers blk.0", temporary_path("channels.gguf"),
             temporary_path("channels.gguf"));
    says(c, cell, "int8, a static");
}

/* A transform changes what flows: the calibration is made again, and static scales do not survive it. */
static void test_transforms(void **state)
{
    cells *c = *state;
    cells_load_tiny(c);
    calibrate(c);
    says(c, "quantize attention absmax --activations static", "Activations: int8, one static scale (mse of seen.txt");
    refuses(c, "transform inject-outliers --channels 2", "restore it first");
    says(c, "restore attention; transform inject-outliers --channels 2 --gain 8", "the unquantized model's logits");
    says(c, "quantize all absmax --per channel --activations static", "calibrated with seen.txt");
}

/* Two texts: one that a model is calibrated with, one that it is measured on. Neither becomes the other. */
static void test_texts_stay_apart(void **state)
{
    cells *c = *state;
    char cell[600], text[512];
    cells_load_tiny(c);
    snprintf(text, sizeof text, "%s", cells_text());
    snprintf(cell, sizeof cell, "imatrix --text '%s' --tokens 256", text);
    says(c, cell, "seen.txt");
    refuses(c, "ppl", "ppl needs a text");
    says(c, "set text", "none yet");
    says(c, "set calibration", "seen.txt");
    says(c, "calibrate --tokens 128", "seen.txt");
    temporary_file("measured.txt", "A fox ran over the hill and came back again.", 44);
    snprintf(cell, sizeof cell, "ppl --text '%s'", temporary_path("measured.txt"));
    says(c, cell, "measured.txt");
    says(c, "calibrate --tokens 128", "seen.txt");
    says(c, "imatrix --tokens 256", "seen.txt");
    says(c, "transform smooth --tokens 128; undo", "seen.txt");
    calibrate(c);
    says(c, "ppl", "measured.txt");
    snprintf(cell, sizeof cell, "quantize all gptq --per group:32 --tokens 128 --text '%s'; undo", text);
    says(c, cell, "seen.txt");
    says(c, "ppl", "measured.txt");
    /* the setting is what the next calibration reads */
    temporary_file("other.txt", text, strlen(text));
    snprintf(cell, sizeof cell, "set calibration '%s'", temporary_path("other.txt"));
    says(c, cell, "other.txt");
    says(c, "quantize attention absmax --activations static", "calibrated with other.txt");
    says(c, "help calibrate", "is another text, and stays");
}

/* A lesson that begins with `load story` finds its texts, whatever the lesson before it set. */
static void test_story_brings_its_texts(void **state)
{
    cells *c = *state;
    char cell[600];
    setenv("NIBBLE_LESSONS", "lessons", 1);
    says(c, "load story", "5 layers");
    assert_null(strstr(nb_draft_text(&c->shown), "own texts again"));
    says(c, "set calibration", "story/calibration.txt");
    const char *notes = "A fox ran over the hill and came back again. The dog saw it, ran after it and came back too.";
    temporary_file("notes.md", notes, strlen(notes));
    snprintf(cell, sizeof cell, "calibrate --text '%s'", temporary_path("notes.md"));
    says(c, cell, "notes.md");
    snprintf(cell, sizeof cell, "ppl --text '%s'", temporary_path("notes.md"));
    says(c, cell, "notes.md");
    says(c, "load story", "its own texts again");
    says(c, "set calibration", "story/calibration.txt");
    says(c, "set text", "story/evaluation.txt");
    says(c, "load story", "5 layers");
    assert_null(strstr(nb_draft_text(&c->shown), "own texts again"));
    unsetenv("NIBBLE_LESSONS");
}

/* What a recipe cannot say is said when it is saved. */
static void test_recipes_say_what_they_lack(void **state)
{
    cells *c = *state;
    char cell[600];
    cells_load_tiny(c);
    calibrate(c);
    snprintf(cell, sizeof cell, "recipe save '%s'", temporary_path("kept.recipe"));
    says(c, "quantize attention absmax --bits 4", "");
    says(c, cell, "does the same to a model");
    says(c, "activations attention static", "seen.txt");
    says(c, cell, "Not in it: scales and outliers of");
    says(c, "quantize mlp hqq --bits 4 --per group:32", "By HQQ");
    says(c, cell, "Not in it: codes that a method");
    says(c, "def twice(x) = 2 * x", "");
    says(c, "quantize blk.0.ffn_up with twice", "");
    refuses(c, cell, "blk.0.ffn_up is simulated");
}

static void test_files(void **state)
{
    cells *c = *state;
    char cell[600];
    cells_load_tiny(c);
    calibrate(c);
    snprintf(cell, sizeof cell, "calibrate --tokens 320 --save '%s'", temporary_path("kept.calibration"));
    says(c, cell, "kept.calibration");
    calibrate(c);
    snprintf(cell, sizeof cell, "calibrate --load '%s'", temporary_path("kept.calibration"));
    says(c, cell, "seen.txt, 320 tokens");
    snprintf(cell, sizeof cell, "calibrate --load '%s'", temporary_path("tiny.gguf"));
    refuses(c, cell, "is no calibration");
    snprintf(cell, sizeof cell, "quantize all absmax --activations static; save '%s'", temporary_path("static.gguf"));
    assert_int_equal(cells_run(c, cell), NB_OK);
    snprintf(cell, sizeof cell, "load '%s'; layers blk.0", temporary_path("static.gguf"));
    says(c, cell, "int8, one static scale");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_without_a_text, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(test_it_shows_what_flows, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(test_modes, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(test_channels, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(test_transforms, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(test_texts_stay_apart, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(test_story_brings_its_texts, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(test_recipes_say_what_they_lack, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(test_files, cells_open, cells_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
