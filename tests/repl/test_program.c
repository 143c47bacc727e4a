/* The program without a terminal: -c, run, pipes and subcommands; what goes where, and how it ends. */
#include "nibble.h"
#include "tests/support/program.h"
#include "tests/support/temporary.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static char model[512], prose[512];

static void test_cells(void **state)
{
    (void)state;
    program_run(NULL, "-c", "bits 0.1 f16; range int4", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "0.0999755859375"));
    assert_non_null(strstr(program_out, "-8 to 7"));
    assert_null(strchr(program_out, '\x1b'));
    program_run(NULL, "-c", "bits 1 f16; quantise all; bits 2 f16", NULL);
    program_failed("did you mean quantize?");
    assert_non_null(strstr(program_out, "1 in f16 is 1"));
    assert_null(strstr(program_out, "2 in f16"));
    program_run(NULL, "-c", "exit; nonsense", NULL);
    program_succeeded();
    program_run(NULL, "-c", "show\x1b[2J", NULL); /* nothing that was typed steers the terminal */
    program_failed("show?[2J");
}

static void test_pipe(void **state)
{
    (void)state;
    program_run("# a script\nbits 0.5 \\\n  bf16\n\nrange f16", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "0.5 in bf16 is 0.5"));
    assert_non_null(strstr(program_out, "65504"));
    assert_null(strstr(program_out, "In ["));
    program_run("bits 1 f16\n\nnonsense\nbits 2 f16\n", NULL);
    program_failed("standard input, line 3: nothing is called");
    assert_null(strstr(program_out, "2 in f16"));
    program_run("generate \"never\nclosed", NULL);
    program_failed("line 1");
    program_run("", NULL);
    program_succeeded();
    assert_string_equal(program_out, "");
}

static void test_file(void **state)
{
    (void)state;
    char script[600], where[700];
    snprintf(script, sizeof script, "load '%s'\nquantize all absmax --bits 4\ninfo\n", model);
    const char *path = temporary_file("cells", script, strlen(script));
    program_run(NULL, "run", path, NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "int4 absmax/tensor"));
    path = temporary_file("wrong", "range f16\nrange f61\n", 20);
    program_run(NULL, "run", path, NULL);
    snprintf(where, sizeof where, "%s, line 2: no format \"f61\": did you mean f16?", path);
    program_failed(where);
    program_run("range bf16\n", "run", "-", NULL);
    program_succeeded();
    program_run(NULL, "run", "/nowhere/cells", NULL);
    program_failed("/nowhere/cells");
    program_run(NULL, "run", NULL);
    program_failed("nibble run FILE");
}

static void test_words(void **state)
{
    (void)state;
    program_run(NULL, "--version", NULL);
    program_succeeded();
    assert_string_equal(program_out, "nibble " NIBBLE_VERSION "\n");
    program_run(NULL, "help", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "nibble perplexity"));
    program_run(NULL, "help", "generate", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "--top-k K"));
    program_run(NULL, "generate", "--help", NULL);
    program_succeeded();
    program_run(NULL, "genrate", NULL);
    program_failed("did you mean nibble generate?");
    program_run(NULL, "layers", NULL);
    program_failed("nibble -c 'layers ...'");
    program_run(NULL, "generate", "-m", model, "-q", NULL);
    program_failed("has no option -q");
    program_run(NULL, "-t", "0", "-c", "set", NULL);
    program_failed("-t wants");
    program_run(NULL, "--plot", "colour", "-c", "set", NULL);
    program_failed("--plot takes");
    program_run(NULL, "-t", "2", "--plot=none", "-c", "set", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "none"));
    program_run("info\n", model, NULL); /* a model's name opens the notebook with it */
    program_succeeded();
    assert_non_null(strstr(program_out, "parameters"));
}

/* Nothing but the text on standard output; the same text again, on one thread and on two. */
static void test_generate(void **state)
{
    (void)state;
    program_run(NULL, "generate", "-m", model, "-p", "Once", "-n", "10", NULL);
    program_succeeded();
    assert_int_equal(strncmp(program_out, "Once", 4), 0);
    char *first = nb_strdup(program_out);
    program_run(NULL, "generate", "-m", model, "-p", "Once", "-n", "10", "-t", "1", "--temp", "0", "-c", "64", NULL);
    program_succeeded();
    assert_string_equal(program_out, first);
    free(first);
    program_run(NULL, "generate", "-m", model, "-p", "Once", "-n", "10", "--temp", "1.5", "--top-k", "40", "--top-p",
        "0.9", "--min-p", "0.01", "--seed", "7", NULL);
    program_succeeded();
    program_run(NULL, "generate", "-p", "Once", NULL);
    program_failed("needs a model: -m FILE");
    program_run(NULL, "generate", "-m", "/nowhere.gguf", "-p", "x", NULL);
    program_failed("no file /nowhere.gguf");
    assert_string_equal(program_out, "");
}

static void test_perplexity(void **state)
{
    (void)state;
    program_run(NULL, "perplexity", "-m", model, "-f", prose, NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, " ± "));
    assert_non_null(strstr(program_out, "perplexity of prose.txt"));
    program_run(NULL, "perplexity", "-m", model, NULL);
    program_failed("-f FILE");
    program_run(NULL, "perplexity", "-m", model, "-f", "/nowhere", NULL);
    program_failed("no file /nowhere");
}

static void test_quiz(void **state)
{
    (void)state;
    static const char text[] = "A kite flew.\nWhat flew?\tA kite.\n";
    const char *quiz = temporary_file("quiz.txt", text, sizeof text - 1);
    program_run(NULL, "quiz", "-m", model, "--text", quiz, NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "of 1 question of quiz.txt"));
    program_run(NULL, "quiz", "-m", model, NULL);
    program_failed("--text FILE");
    program_run(NULL, "quiz", "-m", model, "-f", prose, NULL);
    program_failed("has no tab");
}

static void test_quantize_and_inspect(void **state)
{
    (void)state;
    char small[512];
    snprintf(small, sizeof small, "%s", temporary_path("small.gguf"));
    program_run(NULL, "quantize", model, small, "absmax", "--bits", "4", "--per", "group:32", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "int4 absmax/group:32"));
    assert_non_null(strstr(program_out, "In high precision stay"));
    assert_null(strstr(program_out, "compare")); /* no cell comes after it */
    program_run(NULL, "inspect", small, NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "GGUF version 3"));
    assert_non_null(strstr(program_out, "general.architecture"));
    assert_non_null(strstr(program_out, "blk.0.attn_q"));
    program_run(NULL, "generate", "-m", small, "-p", "Once", "-n", "4", NULL);
    program_succeeded();
    program_run(NULL, "quantize", model, small, "f8_e4m3", "--scope", "attention", NULL);
    program_succeeded();
    program_run(NULL, "quantize", model, model, "f16", NULL);
    program_failed("one file");
    program_run(NULL, "quantize", model, small, "q5_z", NULL);
    program_failed("q5_z");
    program_run(NULL, "quantize", model, "/nowhere/at/all.gguf", "f16", NULL);
    program_failed("/nowhere/at/all.gguf");
    program_run(NULL, "inspect", prose, NULL);
    program_failed("prose.txt");
    program_run(NULL, "inspect", NULL);
    program_failed("inspect wants FILE");
}

/* The bytes of a file; freed by the caller. */
static char *bytes_of(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *n = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*n);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

static void same_bytes(const char *path, const char *other)
{
    size_t n, n_other;
    char *bytes = bytes_of(path, &n), *of_other = bytes_of(other, &n_other);
    assert_int_equal(n, n_other);
    assert_memory_equal(bytes, of_other, n);
    free(bytes);
    free(of_other);
}

/* quantize IN OUT METHOD writes the very file that the notebook's quantize and save do. */
static void writes_as_the_notebook(const char *method, const char *bits, const char *provenance)
{
    char out[512], saved[512], cell[2400];
    snprintf(out, sizeof out, "%s", temporary_path("method.gguf"));
    snprintf(saved, sizeof saved, "%s", temporary_path("saved.gguf"));
    program_run(NULL, "quantize", model, out, method, bits, "--per=group:32", "--text", prose, "--tokens", "256", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "method.gguf"));
    snprintf(cell, sizeof cell, "load '%s'; quantize all %s %s --per group:32 --text '%s' --tokens 256; save '%s'", model,
             method, bits, prose, saved);
    program_run(NULL, "-c", cell, NULL);
    program_succeeded();
    same_bytes(out, saved);
    snprintf(cell, sizeof cell, "load '%s'; info", out);
    program_run(NULL, "-c", cell, NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, provenance));
}

static void test_quantize_by_methods(void **state)
{
    (void)state;
    char out[512];
    writes_as_the_notebook("gptq", "--bits=3", "GPTQ from prose.txt");
    writes_as_the_notebook("awq", "--bits=3", "AWQ from prose.txt");
    writes_as_the_notebook("zeroquant", "--steps=2", "distillation from prose.txt");
    snprintf(out, sizeof out, "%s", temporary_path("method.gguf"));
    program_run(NULL, "quantize", model, out, "absmax", "--activations", "static", "--observer", "minmax", "-f", prose,
                "--tokens", "128", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "minmax of prose.txt"));
    program_run(NULL, "quantize", model, out, "gptq", "--format", "q4_0", "--text", prose, "--scope", "attention", NULL);
    program_succeeded();
    program_run(NULL, "inspect", out, NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "Q4_0"));
}

/* A recipe stores the file's tensors without packing what they were; those that it keeps are packed before the end. */
static void test_quantize_by_recipe(void **state)
{
    (void)state;
    char out[512], saved[512], cell[2400];
    snprintf(out, sizeof out, "%s", temporary_path("recipe.gguf"));
    snprintf(saved, sizeof saved, "%s", temporary_path("saved.gguf"));
    program_run(NULL, "quantize", model, out, "q8_0", "--keep", "blk.0", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "q8_0 and f"));
    snprintf(cell, sizeof cell, "load '%s'; recipe apply q8_0 --keep blk.0; save '%s'", model, saved);
    program_run(NULL, "-c", cell, NULL);
    program_succeeded();
    same_bytes(out, saved);
}

/* What stood at OUT is untouched by a run that fails, early or late. */
static void test_quantize_refuses(void **state)
{
    (void)state;
    char out[512];
    snprintf(out, sizeof out, "%s", temporary_path("refused.gguf"));
    program_run(NULL, "quantize", model, out, "hqq", "--bits", "3", "--per", "group:32", NULL);
    program_succeeded();
    size_t n_before, n_after;
    char *before = bytes_of(out, &n_before);
    program_run(NULL, "quantize", model, out, "gptq", NULL);
    program_failed("--text FILE");
    program_run(NULL, "quantize", model, out, "gptq", "--text", "/nowhere.txt", NULL);
    program_failed("/nowhere.txt");
    program_run(NULL, "quantize", model, out, "hqq", "--text", prose, NULL);
    program_failed("hqq has no --text");
    program_run(NULL, "quantize", model, out, "absmax", "--text", prose, NULL);
    program_failed("--text is for methods");
    program_run(NULL, "quantize", model, out, "gpqt", NULL);
    program_failed("did you mean gptq");
    program_run(NULL, "quantize", model, out, "q8_0", "--observer", "mse", NULL);
    program_failed("nothing of activations");
    char *after = bytes_of(out, &n_after);
    assert_int_equal(n_before, n_after);
    assert_memory_equal(before, after, n_before);
    free(before);
    free(after);
    program_run(NULL, "quantize", model, "/nowhere/at/all.gguf", "gptq", "--text", prose, NULL);
    program_failed("/nowhere/at/all.gguf");
}

static void test_bench_and_doctor(void **state)
{
    (void)state;
    program_run(NULL, "bench", "-m", model, "-n", "2", "--prompt-tokens", "8", "--repeat", "1", "-t", "1", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "decode, 2 tokens"));
    program_run(NULL, "doctor", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "fingerprint"));
    assert_non_null(strstr(program_out, "machines that print the same one"));
}

/* A reader who has heard enough ends the run: no sentence, no signal. */
static void test_corpus(void **state)
{
    (void)state;
    static const char grammar[] =
        "start s quiz\ntable t: n\n  cat\n  dog\ns:\n  * [x: t] a/an {x} came. a/an {x} went.\n"
        "quiz:\n  * [x: t] a {x} came. who came? answer: <{x}>.\n";
    char path[512], to[512];
    snprintf(path, sizeof path, "%s", temporary_file("g", grammar, sizeof grammar - 1));
    snprintf(to, sizeof to, "%s", temporary_path("corpus"));
    program_run(NULL, "corpus", path, "--stories", "3", "--seed", "1", NULL);
    assert_int_equal(program_status, 0);
    assert_string_equal(
        program_err, "3 stories, 24 words and marks, 100 bytes; entropy 1.0 bits a story, 0.1250 bits a word\n");
    assert_int_equal(strlen(program_out), 100);
    assert_non_null(strstr(program_out, "A cat came. A cat went."));
    assert_non_null(strstr(program_out, " went.\n<|endoftext|>\nA "));
    char *first = nb_strdup(program_out);
    program_run(NULL, "corpus", path, "--words", "17", "--seed", "1", "-t", "2", "-o", to, NULL);
    assert_int_equal(program_status, 0);
    assert_string_equal(program_out, "");
    char *written = read_whole_text(to);
    assert_string_equal(written, first);
    free(written);
    free(first);
    program_run(NULL, "corpus", path, "--quiz", "--bytes", "1", NULL);
    assert_int_equal(program_status, 0);
    assert_non_null(strstr(program_out, " came. Who came? Answer:\t "));
    program_run(NULL, "corpus", path, "--quiz", "--start", "s", NULL);
    program_failed("what starts with s asks no question");
    program_run(NULL, "corpus", path, "--start", "nobody", "-o", to, NULL);
    program_failed("is no start of this grammar; it has: s, quiz");
    temporary_file("g", "start s\ns:\n  * {t}\n", 19);
    program_run(NULL, "corpus", path, NULL);
    program_failed("g:3: there is no rule and no variable t");
    program_run(NULL, "corpus", NULL);
    program_failed("GRAMMAR");
}

static void test_closed_pipe(void **state)
{
    (void)state;
    char command[2 * PATH_MAX];
    snprintf(command, sizeof command, "'%s' -c 'help; help; help; formats' 2>'%s' | true", program,
             temporary_path("err"));
    assert_int_equal(system(command), 0);
    char *said = read_whole_text(temporary_path("err"));
    assert_string_equal(said, "");
    free(said);
}

static int set_up(void **state)
{
    (void)state;
    nb_error error;
    nb_synthetic small = {.n_layers = 2,
                          .n_embd = 64,
                          .n_heads = 4,
                          .n_kv_heads = 2,
                          .n_ff = 96,
                          .n_vocab = 300,
                          .n_ctx = 128,
                          .format = &nb_format_f16,
                          .seed = 11};
    static const char text[] = "Once upon a time there was a kite that flew over the hill.\n";
    snprintf(model, sizeof model, "%s", temporary_path("story.gguf"));
    snprintf(prose, sizeof prose, "%s", temporary_file("prose.txt", text, sizeof text - 1));
    return nb_synthetic_write(model, &small, &error) == NB_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    program_forget();
    return 0;
}

static void test_tokenizer(void **state)
{
    (void)state;
#ifdef NB_HAVE_PCRE2
    char vocabulary[512];
    static const char text[] = "<|endoftext|>\nthe cat the cat\n<|endoftext|>\nthe hat\n";
    const char *learned = temporary_file("learned.txt", text, sizeof text - 1);
    snprintf(vocabulary, sizeof vocabulary, "%s", temporary_path("vocabulary.gguf"));
    program_run(NULL, "tokenizer", "train", learned, "-o", vocabulary, "--tokens", "260", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "260 tokens"));
    assert_non_null(strstr(program_out, "in 2 documents: 6 words, 4 of them different"));
    program_run(NULL, "tokenizer", "show", vocabulary, "-p", "he", NULL);
    program_succeeded();
    assert_non_null(strstr(program_out, "2 bytes of text are 2 tokens")); /* BOS, "he" */
    assert_non_null(strstr(program_out, "258      2  he"));
    program_run(NULL, "tokenizer", "train", learned, NULL);
    program_failed("-o FILE.gguf");
    program_run(NULL, "tokenizer", "train", learned, "-o", vocabulary, "--tokens", "256", NULL);
    program_failed("257");
    program_run(NULL, "tokenizer", "train", learned, "-o", learned, NULL);
    program_failed("is the text, and would be lost");
    program_run(NULL, "tokenizer", "eat", learned, NULL);
    program_failed("train or show");
    program_run(NULL, "tokenizer", "show", learned, NULL);
    program_failed("GGUF");
#else
    skip();
#endif
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_generate),
        cmocka_unit_test(test_perplexity),
        cmocka_unit_test(test_quiz),
        cmocka_unit_test(test_quantize_and_inspect),
        cmocka_unit_test(test_quantize_by_methods),
        cmocka_unit_test(test_quantize_by_recipe),
        cmocka_unit_test(test_quantize_refuses),
        cmocka_unit_test(test_bench_and_doctor),
        cmocka_unit_test(test_tokenizer),
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_closed_pipe),
    };
    (void)argc;
    if (!program_find(argv[0]))
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
