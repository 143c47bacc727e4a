/* transform smooth, awq-scale and rotate, quantize awq and zeroquant: what a person types, and what it answers. */
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

/* The command with the text that it reads. */
static const char *with_text(const char *command)
{
    static char cell[700];
    snprintf(cell, sizeof cell, "%s --text '%s' --tokens 320", command, cells_text());
    return cell;
}

static void test_transforms_tell_what_they_did(void **state)
{
    cells *c = *state;
    refuses(c, "transform smooth", "load");
    cells_load_tiny(c);
    refuses(c, "transform smooth", "--text");
    refuses(c, with_text("transform smoth"), "did you mean smooth?");
    refuses(c, with_text("transform smooth --alpha 2"), "from 0 to 1");
    says(c, with_text("transform smooth"), "the unquantized model's logits move by");
    says(c, "transform smooth", "seen.txt, 3,716 tokens"); /* the text is remembered */
    says(c, "compare", "The transformed model beside its file:");
    says(c, "undo", "transform smooth");
    says(c, with_text("transform awq-scale --bits 3 --per group:32"), "chosen for int3 zeropoint/group:32");
    says(c, with_text("transform awq-scale --scheme absmax --duo"), "int4 absmax/group:128");
    says(c, with_text("transform rotate --seed 4"), "14 matrices, by seen.txt, 320 tokens");
    refuses(c, with_text("transform rotate"), "rotated already");
    says(c, "show blk.0.attn_q", "smooth --alpha 0.5, 320 tokens, digest ");
    says(c, "show blk.0.attn_q", "rotated in blocks of 64");
    says(c, "undo; undo; undo; undo", "Taken back: transform smooth");
    gives(c, "bits(blk.0.attn_q)", "16");
}

static void test_methods_are_chosen_by_name(void **state)
{
    cells *c = *state;
    cells_load_tiny(c);
    refuses(c, with_text("quantize all awk"), "did you mean awq?");
    refuses(c, with_text("quantize all awq --steps 3"), "awq has no --steps");
    refuses(c, with_text("quantize all absmax"), "for methods that do more than round");
    refuses(c, with_text("quantize all awq --format q4_0 --bits 3"), "leave --bits out");
    refuses(c, with_text("quantize all awq --per group:33"), "a group of 33 does not fit");
    refuses(c, with_text("quantize embeddings awq"), "no matrix of the blocks");
    says(c, with_text("quantize all awq --bits 3 --per group:32"), "int3 zeropoint/group:32");
    says(c, "show blk.0.ffn_up", "AWQ from seen.txt (320 tokens, digest ");
    says(c, with_text("quantize mlp awq --format q4_0"), "q4_0");
    says(c, with_text("quantize all zeroquant --per group:32 --steps 4"), "int4 absmax/group:32");
    says(c, "show blk.1.attn_v", "layer-by-layer distillation from seen.txt (320");
    says(c, "undo; undo; undo", "Taken back: quantize all awq");
    gives(c, "bits(blk.0.attn_q)", "16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_transforms_tell_what_they_did, cells_open, cells_close),
        cmocka_unit_test_setup_teardown(test_methods_are_chosen_by_name, cells_open, cells_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
