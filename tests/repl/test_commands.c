/* The commands, driven in process: what they say, what they change, and that a mistake changes nothing. */
#include "repl/commands/ppl.h"
#include "repl/language/language.h"
#include "repl/notebook.h"
#include "repl/settings.h"
#include "tests/support/cells.h"
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static const char calibration[] = "Once upon a time there was a lake, and by the lake there lived a man who had a boat and "
                                  "a dog. Every day he took the dog out in the boat, and every day the dog jumped out.";

static const nb_synthetic tiny = {.n_layers = 3,
                                  .n_embd = 64,
                                  .n_heads = 4,
                                  .n_kv_heads = 2,
                                  .n_ff = 96,
                                  .n_vocab = 300,
                                  .n_ctx = 128,
                                  .format = &nb_format_f16,
                                  .seed = 5};

static const char *model; /* the file */

static int open_cells(void **state)
{
    model = temporary_path("tiny.gguf");
    assert_int_equal(nb_synthetic_write(model, &tiny, NULL), NB_OK);
    return cells_open(state);
}

static void load(cells *d)
{
    char cell[600];
    snprintf(cell, sizeof cell, "load '%s'", model);
    says(d, cell, "llama · 3 layers, 64 wide, 4 heads, 128 tokens");
}

/* ---- rows ---- */

/* Every row says enough to be helped with, and its own examples and usage name what it has. */
static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < nb_command_count(); i++) {
        const nb_command *command = nb_command_at(i);
        assert_true(command->name && command->usage && command->summary && command->group && command->run);
        assert_int_equal(strncmp(command->usage, command->name, strlen(command->name)), 0);
        assert_non_null(command->examples[0]);
        assert_true(strlen(command->summary) <= 54);
        assert_ptr_equal(nb_command_find(command->name), command);
        bool optional = false;
        for (size_t a = 0; a < nb_command_argument_count(command); a++) {
            assert_true(!optional || command->arguments[a].optional);
            optional = command->arguments[a].optional;
        }
        for (size_t o = 0; o < nb_command_option_count(command); o++) {
            const nb_option *option = &command->options[o];
            assert_non_null(option->summary);
            assert_int_equal(option->kind == NB_WORD_FLAG, option->value == NULL);
            assert_int_equal(option->kind == NB_WORD_CHOICE, option->choices != NULL);
            assert_true(option->kind != NB_WORD_COUNT || option->high > option->low);
        }
    }
    assert_ptr_equal(nb_command_find("quit"), nb_command_find("exit"));
}

/* An example that does not read by its own row would teach a mistake. */
static void test_examples_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < nb_command_count(); i++) {
        const nb_command *command = nb_command_at(i);
        for (size_t e = 0; e < 3 && command->examples[e]; e++) {
            nb_line line;
            nb_call call;
            size_t at = 0;
            const char *text = command->examples[e];
            assert_int_equal(nb_parse_line(text, strlen(text), &at, &line, NULL), NB_OK);
            if (line.kind == NB_LINE_COMMAND) {
                assert_string_equal(line.words[0].text, command->name);
                assert_int_equal(nb_call_read(command, line.words + 1, line.n_words - 1, &call, NULL), NB_OK);
            }
            nb_line_free(&line);
        }
    }
}

static void test_help(void **state)
{
    cells *d = *state;
    cells_run(d, "help");
    size_t lines = 0;
    for (const char *c = nb_draft_text(&d->shown); *c; c++)
        lines += *c == '\n';
    assert_true(lines < 24); /* a terminal of 80 x 24 shows it all */
    for (size_t i = 0; i < nb_command_count(); i++) {
        char cell[64];
        assert_non_null(strstr(nb_draft_text(&d->shown), nb_command_at(i)->name));
        snprintf(cell, sizeof cell, "?%s", nb_command_at(i)->name);
        assert_int_equal(nb_notebook_run(d->notebook, cell, strlen(cell), NULL, NULL, &d->error), NB_OK);
    }
    says(d, "quantize?", "arXiv 2208.07339");
    says(d, "help hist", "--bins N");
    says(d, "hist --help", "--bins N"); /* though it wants a tensor and a model */
    says(d, "hist -h", "--bins N");
    says(d, "quantize all --help", "quantize SCOPE absmax|zeropoint");
    says(d, "?def", "def mine(x, bits=4)");
    for (size_t i = 0; nb_keyword_at(i); i++) { /* none that help does not know */
        char cell[40];
        snprintf(cell, sizeof cell, "help %s", nb_keyword_at(i));
        says(d, cell, "For example:");
    }
    refuses(d, "?whle", "did you mean while?");
}

/* ---- typos ---- */

static void test_typos(void **state)
{
    cells *d = *state;
    refuses(d, "quantise mlp gptq", "no command \"quantise\": did you mean quantize?");
    refuses(d, "frobnicate", "help lists the commands");
    refuses(d, "no\"such\nthing\"", "no command \"nosuch thing\"");
    refuses(d, "bits 0.1 f61", "did you mean f16?");
    refuses(d, "set treads 2", "did you mean threads?");
    refuses(d, "set plot brail", "did you mean braille?");
    refuses(d, "history --lst 3", "did you mean --last?");
    refuses(d, "undo --hard", "undo takes no options");
    load(d);
    refuses(d, "show blk.0.atn_q", "did you mean blk.0.attn_q?");
    refuses(d, "layers attenton", "did you mean attention?");
    refuses(d, "quantize mlp absmx", "did you mean absmax?");
    refuses(d, "quantize mlp absmax --per grp:32", "did you mean");
    refuses(d, "quantize mlp absmax --activations f23", "did you mean f32?");
    says(d, "bits = 4; bits * 2", "8");
    says(d, "range(3)", "[0, 1, 2]");
    char cell[600];
    snprintf(cell, sizeof cell, "load '%.*stniy.gguf'", (int)(strlen(model) - strlen("tiny.gguf")),
             model);
    refuses(d, cell, "did you mean");
    says(d, "info", "shape"); /* and the model is still there */
}

static void test_bad_values(void **state)
{
    cells *d = *state;
    load(d);
    refuses(d, "quantize", "quantize wants SCOPE");
    refuses(d, "quantize mlp", "quantize wants WHAT");
    refuses(d, "quantize mlp absmax --bits 9", "from 2 to 8");
    refuses(d, "quantize mlp absmax --bits 3.5", "a whole number");
    refuses(d, "quantize mlp absmax --bits", "wants a value");
    refuses(d, "quantize mlp absmax --bits --per channel", "wants a value");
    refuses(d, "quantize mlp absmax --per group:48", "48");
    refuses(d, "quantize mlp absmax --per group:0", "--per");
    refuses(d, "quantize mlp f16 --bits 4", "--bits is for absmax and zeropoint");
    refuses(d, "quantize mlp int4 --bits 5", "int4 has 4 bits");
    refuses(d, "quantize mlp absmax --keep mlp", "leaves nothing");
    refuses(d, "quantize output_norm absmax", "vector");
    refuses(d, "quantize mlp absmax now", "does not know what to do with \"now\"");
    refuses(d, "generate", "generate wants PROMPT");
    refuses(d, "generate x --temperature -1", "--temperature takes a number from 0 to 100");
    refuses(d, "generate x --temperature nan", "--temperature");
    refuses(d, "generate \"x", "never closed");
    refuses(d, "hist blk.0.attn_q --log=yes", "--log stands alone");
    refuses(d, "hist blk.0.attn_q --png x.gif", ".png");
    refuses(d, "ppl", "needs a text");
    refuses(d, "save tiny.txt", "save writes GGUF files");
    refuses(d, "undo", "nothing to undo");
    refuses(d, "bits x", "takes a number");
    refuses(d, "help quantise", "did you mean quantize?");
    refuses(d, "!ls", "may not run other programs"); /* nobody gave it a shell */
    assert_int_equal(nb_model_undo_depth(d->notebook->model), 0);
    assert_false(nb_notebook_changed(d->notebook));
}

static void test_needs_a_model(void **state)
{
    cells *d = *state;
    static const char *const typed[] = {
        "info", "layers",     "show x", "hist x",  "quantize all absmax", "restore all", "transform x",
        "undo", "generate x", "chat x", "ppl",    "compare", "save x.gguf"};
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++)
        refuses(d, typed[i], "none is loaded yet");
}

/* ---- what they do ---- */

static void test_numbers(void **state)
{
    cells *d = *state;
    says(d, "bits 0.1 f16", "01011     1001100110");
    says(d, "bits 0.1 f16", "0.0999755859375");
    says(d, "bits 0.1", "0.100000001490116119384765625");
    says(d, "bits -3 int4", "1101");
    says(d, "bits 1e9 f8_e4m3", "448");
    says(d, "bits nan f16", "NaN");
    says(d, "bits -inf f32", "infinity");
    says(d, "range int4", "-8 to 7");
    says(d, "range f16", "65504");
    says(d, "range f8_e5m2", "57344");
    cells_run(d, "formats");
    for (size_t i = 0; i < nb_format_count(); i++)
        assert_non_null(strstr(nb_draft_text(&d->shown), nb_format_at(i)->name));
}

static void test_load_alone(void **state)
{
    cells *d = *state;
    says(d, "load", "GGUF");
    refuses(d, "load /nowhere/at/all.gguf", "no file");
    load(d);
    refuses(d, "load /dev/null", "");
    says(d, "info", "tiny"); /* what failed to load took nothing away */
}

static void test_quantizing(void **state)
{
    cells *d = *state;
    load(d);
    uint64_t before = nb_model_n_bytes(d->notebook->model);
    says(d, "quantize attention absmax --bits 4 --per group:32", "12 tensors · int4 absmax/group:32 · ");
    says(d, "layers blk.1", "int4 absmax/group:32");
    assert_true(nb_model_n_bytes(d->notebook->model) < before);
    says(d, "quantize attention absmax --bits 8 --per channel", "dB better");
    says(d, "quantize all zeropoint --bits 3 --keep attention", "9 tensors · int3 zeropoint/tensor");
    assert_int_equal(nb_model_undo_depth(d->notebook->model), 3);
    says(d, "undo", "Taken back: quantize all zeropoint --bits 3 --keep attention");
    says(d, "undo", "--bits 8");
    says(d, "show blk.1.attn_q", "int4 absmax/group:32");
    says(d, "undo", "0 more to take back");
    assert_int_equal(nb_model_n_bytes(d->notebook->model), before);
    assert_false(nb_notebook_changed(d->notebook));
    says(d, "quantize mlp f8_e4m3; restore mlp", "9 tensors as in the file again");
    says(d, "restore all", "already");
    says(d, "quantize all int4; restore blk.0.attn_q", "1 tensor as in the file again");
    says(d, "quantize head bf16", "1 tensor ");
}

/* nf4 and fp4 wherever formats are spoken of, and outliers of LLM.int8(). */
static void test_tables(void **state)
{
    cells *d = *state;
    says(d, "range nf4", "0.69619");
    says(d, "range fp4", "0.66667");
    says(d, "bits 0.3 nf4", "Code 11 of nf4's table");
    says(d, "codes([0.12, -0.5, 0.31, 0, -0.07, 0.25, -0.22, 0.44], \"nf4\")", "[10, 0, 13, 7, 5, 12, 3, 15]");
    says(d, "scales([0.12, -0.5], \"nf4\")", "0.5");
    says(d, "scales([0.12, -0.5], \"double, group:64 nf4\")", "0.5");
    refuses(d, "scales([0.12, -0.5], \"nf4 absmax\")", "absmax");
    refuses(d, "zero_points([0.12, -0.5], \"nf4\")", "int formats");
    load(d);
    says(d, "quantize attention nf4", "12 tensors · nf4 group:64 · ");
    says(d, "show blk.0.attn_q", "bitsandbytes keeps two codes");
    says(d, "quantize attention nf4 --double", "nf4 group:64, double");
    says(d, "show blk.0.attn_q", ", itself kept");
    says(d, "quantize attention fp4 --per group:32", "fp4 group:32");
    says(d, "undo; undo; undo", "0 more to");
    refuses(d, "quantize attention nf4 --per tensor", "group:64");
    refuses(d, "quantize attention nf4 --per group:33", "33");
    refuses(d, "quantize attention nf4 --bits 4", "has 4 bits");
    refuses(d, "quantize attention nf4 --activations int8", "int4");
    refuses(d, "quantize attention int4 --double", "nf4 and fp4");
    const char *text = temporary_file("calibration.txt", calibration, sizeof calibration - 1);
    char cell[700];
    snprintf(cell, sizeof cell, "calibrate --text '%s'", text);
    says(d, cell, "calibration.txt");
    says(d, "outliers attention --threshold 1", "columns of activations");
    says(d, "outliers --threshold 1000", "No activation reaches 1000");
    says(d, "quantize attention int8 --outliers 2", "12 tensors · int8 absmax/tensor");
    says(d, "activations attention token", "in f16");
    refuses(d, "activations attention static", "static scales");
    says(d, "undo; undo", "0 more to");
    /* where one keeps more than another, not only the first one's or the worst one's number is said */
    size_t most = 0, fewest = SIZE_MAX;
    says(d, "quantize all int8 --outliers 2", "up to ");
    for (size_t i = 0; i < nb_model_tensor_count(d->notebook->model); i++) {
        const nb_tensor *tensor = nb_model_tensor(d->notebook->model, i);
        const size_t n = tensor->input && tensor->input->outliers ? tensor->input->n_outliers : 0;
        if (tensor->is_vector || !strncmp(tensor->name, "token_embd", 10) || !strncmp(tensor->name, "output", 6))
            continue;
        most = n > most ? n : most;
        fewest = n < fewest ? n : fewest;
    }
    assert_true(fewest < most);
    snprintf(cell, sizeof cell, "up to %zu columns in f16", most);
    assert_non_null(strstr(nb_draft_text(&d->shown), cell));
    says(d, "activations all token", cell);
    says(d, "undo; undo", "Taken back");
    refuses(d, "quantize attention nf4 --outliers 2", "int8 --per channel");
    refuses(d, "outliers --threshold 0", "above 0");
}

static void test_transforming(void **state)
{
    cells *d = *state;
    load(d);
    says(d, "transform inject-outliers --channels 5 --gain 64 --seed 2", "5 channels: what the norm makes");
    says(d, "transform inject-outliers --channels 5 --gain 64 --seed 2", "unquantized model's logits move by 0.000");
    says(d, "transform inject-outliers --channels 20", "of which these are the first");
    says(d, "info", "inject-outliers --channels 5 --gain 64 --seed 2, inject-outliers");
    says(d, "info", "of 21 tensors");
    says(d, "layers mlp", ", transformed");
    says(d, "show blk.0.attn_q", "--gain 64 --seed 1");
    says(d, "restore all", "already, but for the transforms");
    says(d, "quantize all int8; restore all", "as in the file again, but for the transforms");
    says(d, "undo; undo; undo", "Taken back: transform inject-outliers --channels 20");
    refuses(d, "transform inject-outlier", "did you mean inject-outliers?");
    refuses(d, "transform nonsense", "help transform");
    refuses(d, "transform inject-outliers --channels 1000000", "have room for 1 to");
    refuses(d, "transform inject-outliers --gain 1", "--gain takes a number from 2 to 1024");
    assert_int_equal(nb_model_undo_depth(d->notebook->model), 2);
}

/* Both conventions are explained where a scale is shown. */
static void test_showing(void **state)
{
    cells *d = *state;
    load(d);
    says(d, "show blk.0.attn_q", "64 x 64");
    says(d, "show output_norm", "never quantized");
    says(d, "quantize blk.0.attn_q absmax --bits 8; show blk.0.attn_q", "max / 127");
    assert_non_null(strstr(nb_draft_text(&d->shown), "127 / max"));
    says(d, "quantize blk.0.attn_q zeropoint --bits 4; show blk.0.attn_q", "zero point");
    says(d, "quantize blk.0.attn_q absmax --convention labonne; show blk.0.attn_q", "127 / max");
    says(d, "quantize blk.0.attn_q f8_e4m3; show blk.0.attn_q", "448");
    says(d, "show blk.0.attn_q.weight", "blk.0.attn_q");
}

static void check_width(const char *text)
{
    for (; *text; text += strcspn(text, "\n") + 1) {
        size_t columns = 0;
        for (const char *c = text; *c && *c != '\n'; c++)
            columns += ((unsigned char)*c & 0xc0) != 0x80;
        assert_true(columns <= 80);
        if (!text[strcspn(text, "\n")])
            break;
    }
}

/* Two digits of an error, and never more than six decimals. */
static void test_error_digits(void **state)
{
    (void)state;
    static const struct {
        double error;
        int digits;
    } cases[] = {{0.021, 3}, {0.5, 2},      {0.999, 2}, {1, 1},       {9.99, 1},
                 {10, 0},    {12345, 0},    {1e-9, 6},  {0.01, 3},    {0.1, 2},
                 {0, 3},     {INFINITY, 3}, {NAN, 3},   {0.00099, 5}, {0.001, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(nb_error_digits(cases[i].error), cases[i].digits);
}

static void test_documents(void **state)
{
    cells *d = *state;
    char cell[600];
    load(d);
    static const char text[] = "a kite flew\n<|endoftext|>\nit came back\n<|endoftext|>\n";
    snprintf(cell, sizeof cell, "ppl --text '%s'", temporary_file("parted.txt", text, sizeof text - 1));
    says(d, cell, "tokens in 2 documents");
    says(d, "ladder mlp absmax --from 4 --to 4", "tokens in 2 documents of");
    says(d, "quantize mlp int4; compare --write 2", "tokens in 2 documents of");
}

/* Every way in which the model can be stored, and the model as it was afterwards. */
static void test_pareto(void **state)
{
    cells *d = *state;
    char cell[600];
    load(d);
    static const char text[] = "a kite flew\n<|endoftext|>\nit came back\n<|endoftext|>\n";
    says(d, "quantize mlp int3", "int3");
    snprintf(cell, sizeof cell, "pareto --text '%s'", temporary_file("parted.txt", text, sizeof text - 1));
    says(d, cell, "more are larger and no better");
    assert_null(strstr(nb_draft_text(&d->shown), "  int8 zeropoint/group:32")); /* one of them */
    assert_non_null(strstr(nb_draft_text(&d->shown), "The model is quantized now"));
    check_width(nb_draft_text(&d->shown));
    says(d, "pareto --all", "int4 absmax/group:32");
    assert_non_null(strstr(nb_draft_text(&d->shown), "int8 zeropoint/group:32"));
    assert_non_null(strstr(nb_draft_text(&d->shown), "q8_0"));
    check_width(nb_draft_text(&d->shown));
    says(d, "info", "int3 absmax");
    says(d, "undo", "");
    says(d, "pareto --of \"q8_0, int2 absmax/channel\"", "int2 absmax/channel");
    assert_null(strstr(nb_draft_text(&d->shown), "quantized now"));
    assert_null(strstr(nb_draft_text(&d->shown), "int4"));
    says(d, "sensitivity all absmax --bits 2", "blk.1");
    assert_null(strstr(nb_draft_text(&d->shown), "blk.1."));
    check_width(nb_draft_text(&d->shown));
    says(d, "sensitivity all int3 --by kind", "ffn_down");
    says(d, "sensitivity blk.1 int3 --by tensor", "blk.1.ffn_down");
    assert_non_null(strstr(nb_draft_text(&d->shown), "Most sensitive: "));
    says(d, "sensitivity all f16", "This text shows no loss: try fewer bits.");
    assert_non_null(strstr(nb_draft_text(&d->shown), "A longer text tells more."));
    says(d, "sensitivity blk.0,blk.2 int8 --tokens 6", "blk.2 loses most, ");
    assert_non_null(strstr(nb_draft_text(&d->shown), " standard errors: less than 3 may be chance."));
    assert_non_null(strstr(nb_draft_text(&d->shown), "--tokens 0   reads all of the text"));
    check_width(nb_draft_text(&d->shown));
    says(d, "info", "f16 · ");
    refuses(d, "sensitivity all absmax --by lair", "layer");
    refuses(d, "pareto --of q9_9", "q9_9");
    refuses(d, "pareto --of ,", "parted by commas");
}

static void test_quiz(void **state)
{
    cells *d = *state;
    char cell[600];
    load(d);
    refuses(d, "quiz", "quiz --text FILE");
    refuses(d, "quiz --text /nowhere", "no file");
    static const char text[] =
        "A kite flew.\nWhat flew?\t a kite.\n<|endoftext|>\nWhat?\t a kite\n<|endoftext|>\n"
        "Who flew it?\t Mia.\n";
    const char *path = temporary_file("quiz.txt", text, sizeof text - 1);
    snprintf(cell, sizeof cell, "quiz --text '%s'", path);
    says(d, cell, "of 3 questions of quiz.txt");
    assert_non_null(strstr(nb_draft_text(&d->shown), "Always saying \"a kite\" would get 66.7 %"));
    assert_non_null(strstr(nb_draft_text(&d->shown), "What flew?"));
    assert_null(strstr(nb_draft_text(&d->shown), "A kite flew.")); /* the last line is enough */
    says(d, "quiz --show 1 --questions 2", "of 2 questions");
    assert_null(strstr(nb_draft_text(&d->shown), "asks them all"));
    says(d, "quiz --show 0", "of 3 questions");
    assert_null(strstr(nb_draft_text(&d->shown), "What flew?"));
    says(d, "quantize all int2; quiz", "quantized wrote");
    assert_non_null(strstr(nb_draft_text(&d->shown), "difference"));
    says(d, "undo; quiz", "the model wrote");
    refuses(d, "quiz --questions -1", "--questions");
    snprintf(cell, sizeof cell, "quiz --text '%s'", temporary_file("bad.txt", "no tab\n", 7));
    refuses(d, cell, "document 1, from line 1, has no tab");
    atomic_store(&d->notebook->context->cancel, true);
    snprintf(cell, sizeof cell, "quiz '%s'", path);
    assert_int_equal(cells_run(d, cell), NB_ERR_CANCELLED);
    says(d, cell, "of 3 questions");
}

/* No screen is wider than 80 columns. */
static void test_width(void **state)
{
    cells *d = *state;
    load(d);
    const char *text =
        temporary_file("text.txt", "Once upon a time there was a kite. It flew and flew.\n", 52);
    const char *questions = temporary_file(
        "quiz.txt",
        "A kite flew.\nWhat flew?\tA kite.\n<|endoftext|>\nWho?\tMia and her long \xc3\xa9t\xc3\xa9", 73);
    char ppl[600], compare[600], ladder[600], quiz[600];
    snprintf(quiz, sizeof quiz, "quiz --text '%s'", questions);
    snprintf(ppl, sizeof ppl, "ppl --text '%s'", text);
    snprintf(compare, sizeof compare, "compare --text '%s' --write 8", text);
    snprintf(ladder, sizeof ladder, "ladder mlp absmax --per group:32 --from 3 --text '%s'", text);
    const char *const typed[] = {ladder,
                                 "quantize attention zeropoint --bits 4 --per group:32 --activations f32",
                                 "quantize mlp absmax --bits 2",
                                 "layers",
                                 "layers all",
                                 "show blk.2.attn_v",
                                 "info",
                                 "help",
                                 "help quantize",
                                 "formats",
                                 "range f8_e4m3",
                                 "bits 1e-40 f32",
                                 "hist blk.0.ffn_up",
                                 ppl,
                                 compare,
                                 quiz,
                                 "help quiz",
                                 "history",
                                 "set",
                                 "load",
                                 "undo"};
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
        assert_int_equal(cells_run(d, typed[i]), NB_OK);
        assert_true(d->shown.n_bytes > 0);
        check_width(nb_draft_text(&d->shown));
    }
}

/* The synthetic model says nonsense, but a conversation grows by it. */
static void test_chat(void **state)
{
    cells *d = *state;
    char first[2048];
    load(d);
    refuses(d, "chat Hello", "came without a chat template");
    refuses(d, "chat Hello --template alpaca", "there are phi4, chatml");
    assert_int_equal(d->notebook->chat.n_turns, 0);
    says(d, "chat Hello --template phi3 --tokens 6", "6 tokens");
    assert_int_equal(d->notebook->chat.n_turns, 2);
    assert_string_equal(d->notebook->chat.turns[0].text, "Hello");
    snprintf(first, sizeof first, "%s", d->notebook->chat.turns[1].text);
    says(d, "chat \"And now?\" --tokens 3", "3 tokens");
    assert_int_equal(d->notebook->chat.n_turns, 4);
    refuses(d, "chat \"I say </s> now\"", "</s>");
    assert_int_equal(d->notebook->chat.n_turns, 4);
    says(d, "chat Hello --template phi3 --tokens 6", "6 tokens"); /* anew: the same again */
    assert_int_equal(d->notebook->chat.n_turns, 2);
    assert_string_equal(d->notebook->chat.turns[1].text, first);
    says(d, "chat Hello --template gemma --system Rhyme --tokens 2", "2 tokens");
    assert_int_equal(d->notebook->chat.n_turns, 3);
    load(d);
    assert_int_equal(d->notebook->chat.n_turns, 0);
}

static void test_text(void **state)
{
    cells *d = *state;
    char cell[600];
    char first[2048];
    load(d);
    says(d, "generate \"Once upon\" --tokens 12", "Once upon");
    snprintf(first, sizeof first, "%.*s", (int)strcspn(strstr(nb_draft_text(&d->shown), "Once"), "\n"),
             strstr(nb_draft_text(&d->shown), "Once"));
    says(d, "set threads 1; generate \"Once upon\" --tokens 12", first); /* the same on one thread */
    says(d, "generate \"Once\" --temperature 0.9 --seed 3 --top-k 5 --tokens 4",
         "temperature 0.9, top-k 5, seed 3");
    says(d, "compare", "Nothing is quantized yet");
    says(d, "quantize all absmax --bits 2; compare --write 5", "With a text it also measures");
    const char *text =
        temporary_file("text.txt", "Once upon a time there was a kite. It flew and flew.\n", 52);
    snprintf(cell, sizeof cell, "ppl --text '%s'", text);
    says(d, cell, "perplexity of text.txt");
    assert_non_null(strstr(nb_draft_text(&d->shown), "± "));
    says(d, "ppl", "perplexity of text.txt"); /* remembered */
    says(d, "compare --write 5", "KL divergence");
    assert_non_null(strstr(nb_draft_text(&d->shown), "same top token"));
    says(d, "set text", "text.txt");
    snprintf(cell, sizeof cell, "ppl '%s'", temporary_file("empty.txt", "", 0));
    refuses(d, cell, "empty");
}

/* What was asked to stop stops, and leaves everything as it was. */
static void test_cancel(void **state)
{
    cells *d = *state;
    load(d);
    uint64_t before = nb_model_n_bytes(d->notebook->model);
    static const char *const typed[] = {"quantize all absmax --bits 4", "generate x --tokens 50", "layers"};
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
        atomic_store(&d->notebook->context->cancel, true);
        assert_int_equal(cells_run(d, typed[i]), NB_ERR_CANCELLED);
        assert_int_equal(nb_model_n_bytes(d->notebook->model), before);
        assert_int_equal(nb_model_undo_depth(d->notebook->model), 0);
        assert_int_equal(cells_run(d, "info"), NB_OK);
    }
    char cell[600];
    snprintf(cell, sizeof cell, "load '%s'", model);
    atomic_store(&d->notebook->context->cancel, true);
    assert_int_equal(cells_run(d, cell), NB_ERR_CANCELLED);
    assert_int_equal(cells_run(d, "info"), NB_OK);
}

static void test_save(void **state)
{
    cells *d = *state;
    char cell[1200];
    char saved[512];
    snprintf(saved, sizeof saved, "%s", temporary_path("saved.gguf"));
    load(d);
    snprintf(cell, sizeof cell, "save '%s'", model);
    refuses(d, cell, "--force");
    says(d, "quantize all absmax --bits 5 --per group:32; quantize head f8_e5m2; generate Once --tokens 8",
         "Once");
    char *text = nb_strdup(strstr(nb_draft_text(&d->shown), "Once"));
    text[strcspn(text, "\n")] = '\0';
    snprintf(cell, sizeof cell, "save '%s'", saved);
    says(d, cell, "saved.gguf");
    snprintf(cell, sizeof cell, "load '%s'; generate Once --tokens 8", saved);
    says(d, cell, text);
    says(d, "layers", "int5 absmax/group:32");
    free(text);
}

static void test_settings(void **state)
{
    cells *d = *state;
    cells_run(d, "set");
    for (size_t i = 0; i < nb_setting_count(); i++)
        assert_non_null(strstr(nb_draft_text(&d->shown), nb_setting_at(i)->name));
    says(d, "set threads 1", "threads is 1");
    says(d, "set seed 77", "seed is 77");
    assert_int_equal(d->notebook->settings.sampling.seed, 77);
    says(d, "set plot none; set plot", "plot is none");
    refuses(d, "set threads 0", "from 1 to 256");
    refuses(d, "set top-p 2", "top-p");
    refuses(d, "set text /nowhere", "no file");
}

static void test_history_and_leaving(void **state)
{
    cells *d = *state;
    cells_run(d, "bits 1");
    cells_run(d, "nonsense here");
    cells_run(d, "range f16\nrange bf16");
    says(d, "history", "nonsense here");
    says(d, "history --last 3", "range bf16");
    assert_null(strstr(nb_draft_text(&d->shown), "nonsense"));
    assert_int_equal(nb_notebook_next(d->notebook), 6);
    cells_run(d, "exit; bits 1");
    assert_true(d->notebook->leave);
    assert_int_equal(d->shown.n_bytes, 0);
}

/* A cell stops at its first mistake; what came before it stands. */
static void test_several_commands(void **state)
{
    cells *d = *state;
    refuses(d, "bits 1 f16; nonsense; bits 2 f16", "nothing is called \"nonsense\"");
    assert_non_null(strstr(nb_draft_text(&d->shown), "1 in f16 is 1"));
    assert_null(strstr(nb_draft_text(&d->shown), "2 in f16"));
}

static void test_confined(void **state)
{
    cells *d = *state;
    char folder[512];
    snprintf(folder, sizeof folder, "%.*s", (int)(strlen(model) - strlen("/tiny.gguf")), model);
    d->notebook->confined = true;
    d->notebook->folder = folder;
    refuses(d, "load /etc/passwd", "its own folder");
    refuses(d, "load ../tiny.gguf", "its own folder");
    refuses(d, "!ls", "may not run");
    says(d, "load tiny.gguf", "3 layers");
    refuses(d, "save /tmp/x.gguf", "its own folder");
    says(d, "save confined.gguf", "confined.gguf");
}

/* ---- the Tab key ---- */

static void test_completion(void **state)
{
    cells *d = *state;
    completes(d, "qua", "quantize");
    completes(d, "quant", "quantize");
    completes(d, "quanti", "quantize");
    completes(d, "x = quanti", "quantile( quantized(");
    completes(d, "info; qua", "quantize");
    completes(d, "?qua", "quantile quantize quantized");
    completes(d, "help qua", "quantile quantize quantized");
    completes(d, "s", "save sensitivity set show skip submit");
    completes(d, "transform in", "inject-outliers");
    completes(d, "bits 0.1 f8", "f8_e4m3 f8_e5m2");
    completes(d, "set pl", "plot");
    completes(d, "set plot b", "braille");
    completes(d, "quantize a", ""); /* no model, no tensors */
    completes(d, "nonsense a", "");
    completes(d, "!l", "");
    load(d);
    completes(d, "quantize a", "all attention");
    completes(d, "quantize attention,m", "attention,mlp");
    completes(d, "quantize attention z", "zeropoint zeroquant");
    completes(d, "quantize attention absmax --p", "--per --pure");
    completes(d, "quantize attention absmax --per c", "channel");
    completes(d, "quantize attention absmax --activations ", "dynamic f32 int8 static static:channel token");
    completes(d, "quantize attention absmax --bits 4 --keep blk.0.attn_o", "blk.0.attn_output");
    completes(d, "show ", "blk. output output_norm token_embd"); /* many: up to the next dot */
    completes(d, "show blk.1.ffn_d", "blk.1.ffn_down");
    completes(d, "show blk.1.ffn_down ", "");
    char cell[600], found[600];
    snprintf(cell, sizeof cell, "load %.*s", (int)strlen(model) - 6, model);
    snprintf(found, sizeof found, "%s", model);
    completes(d, cell, found);
    temporary_file("with blank.gguf", "x", 1);
    snprintf(cell, sizeof cell, "load %.*swith", (int)(strlen(model) - strlen("tiny.gguf")), model);
    snprintf(found, sizeof found, "\"%.*swith blank.gguf", (int)(strlen(model) - strlen("tiny.gguf")),
             model);
    completes(d, cell, found);
}

/* Allocations that fail anywhere in a cell are survived: a sentence, and the notebook goes on. */
static void test_memory(void **state)
{
    cells *d = *state;
    load(d);
    static const char *const typed[] = {"quantize attention absmax --bits 4",
                                        "layers",
                                        "show blk.0.attn_q",
                                        "help",
                                        "bits 0.1 f16",
                                        "info",
                                        "generate Once --tokens 2"};
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
        nb_status status = NB_ERR_MEMORY;
        for (long n = 1; status != NB_OK && n < 3000; n += 1 + n / 8) {
            nb_memory_fail_after(n);
            status = nb_notebook_run(d->notebook, typed[i], strlen(typed[i]), NULL, NULL, &d->error);
            nb_memory_fail_after(0);
            assert_true(status == NB_OK || status == NB_ERR_MEMORY);
        }
        assert_int_equal(cells_run(d, "info"), NB_OK);
    }
}

#define test(function) cmocka_unit_test_setup_teardown(function, open_cells, cells_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_examples_read),
        test(test_help),
        test(test_typos),
        test(test_bad_values),
        test(test_needs_a_model),
        test(test_numbers),
        test(test_load_alone),
        test(test_quantizing),
        test(test_tables),
        test(test_transforming),
        test(test_showing),
        cmocka_unit_test(test_error_digits),
        test(test_documents),
        test(test_pareto),
        test(test_quiz),
        test(test_width),
        test(test_chat),
        test(test_text),
        test(test_cancel),
        test(test_save),
        test(test_settings),
        test(test_history_and_leaving),
        test(test_several_commands),
        test(test_confined),
        test(test_completion),
        test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
