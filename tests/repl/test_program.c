/* The program without a terminal: -c, run, pipes and subcommands; what goes where, and how it ends. */
#include "nibble.h"
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

static char program[PATH_MAX], model[512], prose[512];
static char *out, *err; /* of the last run */
static int ended;       /* its exit status */

static char *read_text(const char *path)
{
    size_t size;
    return (char *)read_whole_file(path, &size);
}

/* Runs the program with these words; `input` stands on its standard input. */
static void run(const char *input, ...)
{
    const char *words[32] = {program};
    size_t n = 1;
    char paths[3][512];
    va_list arguments;
    va_start(arguments, input);
    for (const char *word; n < 31 && (word = va_arg(arguments, const char *));)
        words[n++] = word;
    va_end(arguments);
    words[n] = NULL;
    snprintf(paths[0], sizeof paths[0], "%s",
             temporary_file("in", input ? input : "", input ? strlen(input) : 0));
    snprintf(paths[1], sizeof paths[1], "%s", temporary_path("out"));
    snprintf(paths[2], sizeof paths[2], "%s", temporary_path("err"));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!freopen(paths[0], "r", stdin) || !freopen(paths[1], "w", stdout) ||
            !freopen(paths[2], "w", stderr))
            _exit(126);
        execv(program, (char *const *)words);
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    assert_true(WIFEXITED(status));
    ended = WEXITSTATUS(status);
    free(out);
    free(err);
    out = read_text(paths[1]);
    err = read_text(paths[2]);
}

static void succeeded(void)
{
    if (ended != 0 || *err)
        print_error("%s", err);
    assert_int_equal(ended, 0);
    assert_string_equal(err, "");
}

/* One line on standard error that says this, and a status that scripts see. */
static void failed(const char *part)
{
    if (!strstr(err, part))
        print_error("not \"%s\" but: %s", part, err);
    assert_int_not_equal(ended, 0);
    assert_non_null(strstr(err, part));
    assert_int_equal(strncmp(err, "nibble: ", 8), 0);
    assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
}

static void test_cells(void **state)
{
    (void)state;
    run(NULL, "-c", "bits 0.1 f16; range int4", NULL);
    succeeded();
    assert_non_null(strstr(out, "0.0999755859375"));
    assert_non_null(strstr(out, "-8 to 7"));
    assert_null(strchr(out, '\x1b'));
    run(NULL, "-c", "bits 1 f16; quantise all; bits 2 f16", NULL);
    failed("did you mean quantize?");
    assert_non_null(strstr(out, "1 in f16 is 1"));
    assert_null(strstr(out, "2 in f16"));
    run(NULL, "-c", "exit; nonsense", NULL);
    succeeded();
    run(NULL, "-c", "show\x1b[2J", NULL); /* nothing that was typed steers the terminal */
    failed("show?[2J");
}

static void test_pipe(void **state)
{
    (void)state;
    run("# a script\nbits 0.5 \\\n  bf16\n\nrange f16", NULL);
    succeeded();
    assert_non_null(strstr(out, "0.5 in bf16 is 0.5"));
    assert_non_null(strstr(out, "65504"));
    assert_null(strstr(out, "In ["));
    run("bits 1 f16\n\nnonsense\nbits 2 f16\n", NULL);
    failed("standard input, line 3: nothing is called");
    assert_null(strstr(out, "2 in f16"));
    run("generate \"never\nclosed", NULL);
    failed("line 1");
    run("", NULL);
    succeeded();
    assert_string_equal(out, "");
}

static void test_file(void **state)
{
    (void)state;
    char script[600], where[700];
    snprintf(script, sizeof script, "load '%s'\nquantize all absmax --bits 4\ninfo\n", model);
    const char *path = temporary_file("cells", script, strlen(script));
    run(NULL, "run", path, NULL);
    succeeded();
    assert_non_null(strstr(out, "int4 absmax/tensor"));
    path = temporary_file("wrong", "range f16\nrange f61\n", 20);
    run(NULL, "run", path, NULL);
    snprintf(where, sizeof where, "%s, line 2: no format \"f61\": did you mean f16?", path);
    failed(where);
    run("range bf16\n", "run", "-", NULL);
    succeeded();
    run(NULL, "run", "/nowhere/cells", NULL);
    failed("/nowhere/cells");
    run(NULL, "run", NULL);
    failed("nibble run FILE");
}

static void test_words(void **state)
{
    (void)state;
    run(NULL, "--version", NULL);
    succeeded();
    assert_string_equal(out, "nibble " NIBBLE_VERSION "\n");
    run(NULL, "help", NULL);
    succeeded();
    assert_non_null(strstr(out, "nibble perplexity"));
    run(NULL, "help", "generate", NULL);
    succeeded();
    assert_non_null(strstr(out, "--top-k K"));
    run(NULL, "generate", "--help", NULL);
    succeeded();
    run(NULL, "genrate", NULL);
    failed("did you mean nibble generate?");
    run(NULL, "layers", NULL);
    failed("nibble -c 'layers ...'");
    run(NULL, "generate", "-m", model, "-q", NULL);
    failed("has no option -q");
    run(NULL, "-t", "0", "-c", "set", NULL);
    failed("-t wants");
    run(NULL, "--plot", "colour", "-c", "set", NULL);
    failed("--plot takes");
    run(NULL, "-t", "2", "--plot=none", "-c", "set", NULL);
    succeeded();
    assert_non_null(strstr(out, "none"));
    run("info\n", model, NULL); /* a model's name opens the notebook with it */
    succeeded();
    assert_non_null(strstr(out, "parameters"));
}

/* Nothing but the text on standard output; the same text again, on one thread and on two. */
static void test_generate(void **state)
{
    (void)state;
    run(NULL, "generate", "-m", model, "-p", "Once", "-n", "10", NULL);
    succeeded();
    assert_int_equal(strncmp(out, "Once", 4), 0);
    char *first = nb_strdup(out);
    run(NULL, "generate", "-m", model, "-p", "Once", "-n", "10", "-t", "1", "--temp", "0", "-c", "64", NULL);
    succeeded();
    assert_string_equal(out, first);
    free(first);
    run(NULL, "generate", "-m", model, "-p", "Once", "-n", "10", "--temp", "1.5", "--top-k", "40", "--top-p",
        "0.9", "--min-p", "0.01", "--seed", "7", NULL);
    succeeded();
    run(NULL, "generate", "-p", "Once", NULL);
    failed("needs a model: -m FILE");
    run(NULL, "generate", "-m", "/nowhere.gguf", "-p", "x", NULL);
    failed("no file /nowhere.gguf");
    assert_string_equal(out, "");
}

static void test_perplexity(void **state)
{
    (void)state;
    run(NULL, "perplexity", "-m", model, "-f", prose, NULL);
    succeeded();
    assert_non_null(strstr(out, " ± "));
    assert_non_null(strstr(out, "perplexity of prose.txt"));
    run(NULL, "perplexity", "-m", model, NULL);
    failed("-f FILE");
    run(NULL, "perplexity", "-m", model, "-f", "/nowhere", NULL);
    failed("no file /nowhere");
}

static void test_quiz(void **state)
{
    (void)state;
    static const char text[] = "A kite flew.\nWhat flew?\tA kite.\n";
    const char *quiz = temporary_file("quiz.txt", text, sizeof text - 1);
    run(NULL, "quiz", "-m", model, "--text", quiz, NULL);
    succeeded();
    assert_non_null(strstr(out, "of 1 question of quiz.txt"));
    run(NULL, "quiz", "-m", model, NULL);
    failed("--text FILE");
    run(NULL, "quiz", "-m", model, "-f", prose, NULL);
    failed("has no tab");
}

static void test_quantize_and_inspect(void **state)
{
    (void)state;
    char small[512];
    snprintf(small, sizeof small, "%s", temporary_path("small.gguf"));
    run(NULL, "quantize", model, small, "absmax", "--bits", "4", "--per", "group:32", NULL);
    succeeded();
    assert_non_null(strstr(out, "int4 absmax/group:32"));
    assert_non_null(strstr(out, "left as they were"));
    run(NULL, "inspect", small, NULL);
    succeeded();
    assert_non_null(strstr(out, "GGUF version 3"));
    assert_non_null(strstr(out, "general.architecture"));
    assert_non_null(strstr(out, "blk.0.attn_q"));
    run(NULL, "generate", "-m", small, "-p", "Once", "-n", "4", NULL);
    succeeded();
    run(NULL, "quantize", model, small, "f8_e4m3", "--scope", "attention", NULL);
    succeeded();
    run(NULL, "quantize", model, model, "f16", NULL);
    failed("one file");
    run(NULL, "quantize", model, small, "q5_z", NULL);
    failed("q5_z");
    run(NULL, "quantize", model, "/nowhere/at/all.gguf", "f16", NULL);
    failed("/nowhere/at/all.gguf");
    run(NULL, "inspect", prose, NULL);
    failed("prose.txt");
    run(NULL, "inspect", NULL);
    failed("inspect wants FILE");
}

static void test_bench_and_doctor(void **state)
{
    (void)state;
    run(NULL, "bench", "-m", model, "-n", "2", "--prompt-tokens", "8", "--repeat", "1", "-t", "1", NULL);
    succeeded();
    assert_non_null(strstr(out, "decode, 2 tokens"));
    run(NULL, "doctor", NULL);
    succeeded();
    assert_non_null(strstr(out, "fingerprint"));
    assert_non_null(strstr(out, "machines that print the same one"));
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
    run(NULL, "corpus", path, "--stories", "3", "--seed", "1", NULL);
    assert_int_equal(ended, 0);
    assert_string_equal(
        err, "3 stories, 24 words and marks, 100 bytes; entropy 1.0 bits a story, 0.1250 bits a word\n");
    assert_int_equal(strlen(out), 100);
    assert_non_null(strstr(out, "A cat came. A cat went."));
    assert_non_null(strstr(out, " went.\n<|endoftext|>\nA "));
    char *first = nb_strdup(out);
    run(NULL, "corpus", path, "--words", "17", "--seed", "1", "-t", "2", "-o", to, NULL);
    assert_int_equal(ended, 0);
    assert_string_equal(out, "");
    char *written = read_text(to);
    assert_string_equal(written, first);
    free(written);
    free(first);
    run(NULL, "corpus", path, "--quiz", "--bytes", "1", NULL);
    assert_int_equal(ended, 0);
    assert_non_null(strstr(out, " came. Who came? Answer:\t "));
    run(NULL, "corpus", path, "--quiz", "--start", "s", NULL);
    failed("what starts with s asks no question");
    run(NULL, "corpus", path, "--start", "nobody", "-o", to, NULL);
    failed("is no start of this grammar; it has: s, quiz");
    temporary_file("g", "start s\ns:\n  * {t}\n", 19);
    run(NULL, "corpus", path, NULL);
    failed("g:3: there is no rule and no variable t");
    run(NULL, "corpus", NULL);
    failed("GRAMMAR");
}

static void test_closed_pipe(void **state)
{
    (void)state;
    char command[2 * PATH_MAX];
    snprintf(command, sizeof command, "'%s' -c 'help; help; help; formats' 2>'%s' | true", program,
             temporary_path("err"));
    assert_int_equal(system(command), 0);
    char *said = read_text(temporary_path("err"));
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
    free(out);
    free(err);
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
    run(NULL, "tokenizer", "train", learned, "-o", vocabulary, "--tokens", "260", NULL);
    succeeded();
    assert_non_null(strstr(out, "260 tokens"));
    assert_non_null(strstr(out, "in 2 documents: 6 words, 4 of them different"));
    run(NULL, "tokenizer", "show", vocabulary, "-p", "he", NULL);
    succeeded();
    assert_non_null(strstr(out, "2 bytes of text are 2 tokens")); /* BOS, "he" */
    assert_non_null(strstr(out, "258      2  he"));
    run(NULL, "tokenizer", "train", learned, NULL);
    failed("-o FILE.gguf");
    run(NULL, "tokenizer", "train", learned, "-o", vocabulary, "--tokens", "256", NULL);
    failed("257");
    run(NULL, "tokenizer", "train", learned, "-o", learned, NULL);
    failed("is the text, and would be lost");
    run(NULL, "tokenizer", "eat", learned, NULL);
    failed("train or show");
    run(NULL, "tokenizer", "show", learned, NULL);
    failed("GGUF");
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
        cmocka_unit_test(test_bench_and_doctor),
        cmocka_unit_test(test_tokenizer),
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_closed_pipe),
    };
    char here[PATH_MAX];
    (void)argc;
    /* This is BUILD/tests/repl/test_program, the program BUILD/nibble. */
    if (!realpath(argv[0], here)) {
        fprintf(stderr, "%s: where am I?\n", argv[0]);
        return 1;
    }
    for (int up = 0; up < 3; up++)
        *strrchr(here, '/') = '\0';
    snprintf(program, sizeof program, "%.*s/nibble", (int)sizeof program - 10, here);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
