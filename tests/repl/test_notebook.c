/* The real program in a real terminal: the session of a learner, typed into tmux and read off its screen.
 * Each step waits for the next prompt, with a deadline, never for a fixed time. */
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
#include <time.h>
#include <unistd.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { DEADLINE = 60, SCREEN = 1 << 18, WORDS = 32 };

static char program[PATH_MAX], server[64], folder[512];
static char screen[SCREEN];

/* ---- tmux ---- */

/* Runs tmux with these words; what it prints goes to `out` if that is not NULL. True if it succeeded. */
static bool tmux_words(const char *const *words, char *out, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        if (!out)
            fclose(stderr);
        execvp("tmux", (char *const *)words);
        _exit(127);
    }
    close(ends[1]);
    size_t n = 0;
    char spill[256];
    for (;;) {
        bool room = out && n + 1 < size;
        ssize_t got = read(ends[0], room ? out + n : spill, room ? size - n - 1 : sizeof spill);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            break;
        n += room && got > 0 ? (size_t)got : 0;
    }
    close(ends[0]);
    if (out)
        out[n] = '\0';
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool tmux(char *out, size_t size, ...)
{
    const char *words[WORDS] = {"tmux", "-L", server, "-f", "/dev/null", "-u"};
    size_t n = 6;
    va_list arguments;
    va_start(arguments, size);
    for (const char *word; n + 1 < WORDS && (word = va_arg(arguments, const char *));)
        words[n++] = word;
    va_end(arguments);
    return tmux_words(words, out, size);
}

static void keys(const char *name)
{
    assert_true(tmux(NULL, 0, "send-keys", "-t", "nb", name, NULL));
}
static void type(const char *text)
{
    assert_true(tmux(NULL, 0, "send-keys", "-t", "nb", "-l", text, NULL));
}

/* The screen and what scrolled off it, rows joined where the terminal broke them. */
static const char *capture(void)
{
    assert_true(tmux(screen, sizeof screen, "capture-pane", "-p", "-J", "-S", "-2000", "-t", "nb", NULL));
    return screen;
}

static void pause_briefly(void)
{
    struct timespec time = {0, 20 * 1000 * 1000};
    nanosleep(&time, NULL);
}

/* True if the last row with anything on it starts with `text`. */
static bool last_row_starts(const char *all, const char *text)
{
    const char *last = all;
    for (const char *row = all; *row; row += strcspn(row, "\n") + (row[strcspn(row, "\n")] != '\0')) {
        if (strspn(row, " \n") < strcspn(row, "\n"))
            last = row;
    }
    return strncmp(last, text, strlen(text)) == 0;
}

static void fail_with_screen(const char *waiting_for)
{
    print_error("waited for: %s\non the screen:\n%s\n", waiting_for, screen);
    fail();
}

static void wait_until_last_row(const char *text)
{
    time_t begin = time(NULL);
    while (!last_row_starts(capture(), text)) {
        if (time(NULL) - begin > DEADLINE)
            fail_with_screen(text);
        pause_briefly();
    }
}

static void wait_until_shown(const char *text)
{
    time_t begin = time(NULL);
    while (!strstr(capture(), text)) {
        if (time(NULL) - begin > DEADLINE)
            fail_with_screen(text);
        pause_briefly();
    }
}

/* ---- the notebook ---- */

static unsigned cell_number;

static void wait_for_prompt(unsigned number)
{
    char prompt[32];
    snprintf(prompt, sizeof prompt, "In [%u]:", number);
    wait_until_last_row(prompt);
    cell_number = number;
}

/* What stands below the last `In [number]:`. */
static const char *output_of(unsigned number)
{
    char prompt[32];
    snprintf(prompt, sizeof prompt, "In [%u]:", number);
    const char *found = NULL;
    for (const char *at = capture(); (at = strstr(at, prompt)); at++)
        found = at;
    if (!found)
        fail_with_screen(prompt);
    return found;
}

/* Types a cell, waits until it is done, and returns what it showed. */
static const char *cell(const char *text)
{
    unsigned number = cell_number;
    type(text);
    keys("Enter");
    wait_for_prompt(number + 1);
    return output_of(number);
}

static void shows(const char *text, const char *part)
{
    const char *output = cell(text);
    if (!strstr(output, part))
        fail_with_screen(part);
}

/* `before` is shell text in front of the program: limits, variables. */
static void start(const char *before)
{
    char command[3 * PATH_MAX]; /* the shell must outlive the Ctrl-C that it gets too */
    static int n_servers;
    cell_number = 1;
    if (n_servers > 0)
        tmux(NULL, 0, "kill-server", NULL);
    /* a new name: a server that is leaving would still answer to its own */
    snprintf(server, sizeof server, "nibble-test-%ld-%d", (long)getpid(), n_servers++);
    snprintf(command, sizeof command,
             "trap : INT; cd '%s' && export XDG_DATA_HOME='%s/data' LC_ALL=C.UTF-8 NIBBLE_ISA= && %s '%s' -t "
             "2; echo left with $?; cat",
             folder, folder, before, program);
    assert_true(
        tmux(NULL, 0, "new-session", "-d", "-s", "nb", "-x", "80", "-y", "24", "sh", "-c", command, NULL));
    wait_for_prompt(1);
}

static void leave(void)
{
    keys("C-d");
    wait_until_last_row("left with 0");
    tmux(NULL, 0, "kill-server", NULL);
}

static void write_text(const char *name, size_t n_bytes)
{
    static const char sentence[] = "Once upon a time there was a kite that flew over the hill. ";
    char *text = malloc(n_bytes);
    assert_non_null(text);
    for (size_t i = 0; i < n_bytes; i++)
        text[i] = sentence[i % (sizeof sentence - 1)];
    temporary_file(name, text, n_bytes);
    free(text);
}

static int set_up(void **state)
{
    (void)state;
    nb_error error;
    nb_synthetic small = {.n_layers = 3,
                          .n_embd = 64,
                          .n_heads = 4,
                          .n_kv_heads = 2,
                          .n_ff = 96,
                          .n_vocab = 300,
                          .n_ctx = 16384,
                          .format = &nb_format_f16,
                          .seed = 11};
    nb_synthetic large = {.n_layers = 4,
                          .n_embd = 512,
                          .n_heads = 8,
                          .n_kv_heads = 8,
                          .n_ff = 1536,
                          .n_vocab = 8000,
                          .n_ctx = 256,
                          .format = &nb_format_f32,
                          .seed = 12};
    snprintf(folder, sizeof folder, "%s", temporary_path("x"));
    *strrchr(folder, '/') = '\0';
    assert_int_equal(nb_synthetic_write(temporary_path("story.gguf"), &small, &error), NB_OK);
    assert_int_equal(nb_synthetic_write(temporary_path("large.gguf"), &large, &error), NB_OK);
    write_text("short.txt", 3000);
    write_text("long.txt", 600000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tmux(NULL, 0, "kill-server", NULL);
    return 0;
}

/* ---- sessions ---- */

/* The session at the top of the task, command by command. */
static void test_session(void **state)
{
    (void)state;
    start("");
    wait_until_shown("no model yet");
    shows("load story.gguf", "3 layers, 64 wide, 4 heads, 16,384 tokens");
    shows("info", "parameters");
    shows("layers", "blk.0-2.attn_q");
    shows("layers blk.1", "blk.1.ffn_down");
    shows("show blk.0.attn_q", "64 x 64");
    shows("bits 0.1 f16", "01011");
    shows("range int4", "-8 to 7");
    shows("bits = 4; bits * 2", ": 8");
    shows("range(3)", ": [0, 1, 2]");
    shows("quantize attention absmax --bits 4 --per tensor", "int4 absmax/tensor");
    shows("compare --write 8", "first differing token");
    shows("quantize attention absmax --bits 4 --per group:32", "int4 absmax/group:32");
    shows("quantise mlp gptq", "no command \"quantise\": did you mean quantize?");
    shows("quantize mlp absmax --per group:48", "48");
    shows("layers blk.0", "int4 absmax/group:32");
    shows("undo", "Taken back");
    shows("restore all", "as in the file again");
    shows("quantize mlp zeropoint --bits 3 --per channel --activations f32",
          "int3 zeropoint/channel, f32 activations");
    shows("hist blk.0.ffn_up", "before (f16)");
    shows("ppl --text short.txt", "perplexity of short.txt");
    assert_non_null(strstr(output_of(cell_number - 1), "Out[20]: "));
    shows("compare --write 8", "KL divergence");
    shows("generate \"Once upon\" --tokens 20 --temperature 0.8 --seed 4", "20 tokens");
    shows("save small.gguf", "small.gguf");
    shows("load small.gguf", "int3 zeropoint/channel");
    shows("help", "open a language model");
    shows("?quantize", "absmax lays a ruler");
    shows("!echo from the shell", "from the shell");
    shows("history --last 3", "?quantize");
    shows("set seed 7", "seed is 7");
    shows("doctor", "fingerprint");
    leave();
}

/* Enter opens the first lesson; its cells stand at the prompt, one of two lines too, and can be edited there. */
static void test_lesson(void **state)
{
    (void)state;
    static const char lesson[] = "---\ntitle: Rulers\n---\nFour weights.\n\n```nibble\nx = [1, -3, 2]\n```\n\n"
                                 "```check step\nask: The largest into `m`.\nwant: m == 3\n```\n\n"
                                 "```nibble\ns = m / 127\ns * 127\n```\n\nThat was all.\n";
    char before[sizeof folder + 32];
    temporary_file("01-rulers.md", lesson, sizeof lesson - 1);
    snprintf(before, sizeof before, "NIBBLE_LESSONS='%s'", folder);
    start(before);
    wait_until_shown("Enter opens lesson 1: Rulers");
    keys("Enter");
    wait_until_last_row("In [2]: x = [1, -3, 2]");
    wait_until_shown("Four weights.");
    for (int i = 0; i < 2; i++)
        keys("BSpace");
    type("5]");
    keys("Enter");
    wait_for_prompt(3);
    wait_until_shown("Your turn (1 of 1). The largest into m.");
    shows("x[2]", "Out[3]: 5");
    type("m = 3");
    keys("Enter");
    wait_until_last_row("s * 127");
    wait_until_shown("Right.");
    keys("Enter");
    wait_until_shown("That was all.");
    wait_until_shown("Out[5]: 3");
    wait_for_prompt(6);
    leave();
}

static void test_keys(void **state)
{
    (void)state;
    start("");
    /* Tab: a command, a file, a tensor, an option, and what is ambiguous */
    type("loa");
    keys("Tab");
    type("story");
    keys("Tab");
    wait_until_last_row("In [1]: load story.gguf");
    keys("Enter");
    wait_for_prompt(2);
    type("show blk.1.attn_o");
    keys("Tab");
    keys("Enter");
    wait_for_prompt(3);
    assert_non_null(strstr(output_of(2), "blk.1.attn_output"));
    type("show blk.");
    keys("Tab");
    wait_until_shown("blk.0.  blk.1.  blk.2.");
    /* Ctrl-C drops the line and keeps the cell's number */
    keys("C-c");
    wait_until_last_row("In [3]:");
    type("bits 2 f16 and no more");
    keys("C-c");
    wait_until_last_row("In [3]:");
    shows("bits 4 bf16", "4 in bf16 is 4");
    /* Ctrl-R finds an earlier cell, of this notebook */
    keys("C-r");
    type("attn_out");
    wait_until_shown("bck:attn_out");
    keys("Enter");
    wait_for_prompt(5);
    assert_non_null(strstr(output_of(4), "show blk.1.attn_output"));
    /* a cell of two lines, and a pasted one */
    type("bits 1 \\");
    keys("Enter");
    wait_until_last_row("   ...:");
    type("f16");
    keys("Enter");
    wait_for_prompt(6);
    assert_non_null(strstr(output_of(5), "1 in f16 is 1"));
    assert_true(tmux(NULL, 0, "set-buffer", "-b", "cells", "range f16\nrange bf16\n", NULL));
    assert_true(tmux(NULL, 0, "paste-buffer", "-p", "-b", "cells", "-t", "nb", NULL));
    wait_until_last_row("range bf16");
    keys("Enter");
    wait_for_prompt(7);
    assert_non_null(strstr(output_of(6), "bf16 · "));
    leave();
    /* and Ctrl-R finds it another day */
    start("");
    keys("C-r");
    type("attn_out");
    wait_until_last_row("bck:attn_out");
    keys("Enter");
    wait_for_prompt(2);
    assert_non_null(strstr(output_of(1), "show blk.1.attn_output"));
    leave();
}

/* Ctrl-C stops the cell; the notebook and the model go on. */
static void test_interrupts(void **state)
{
    (void)state;
    start("");
    shows("load story.gguf; quantize all absmax --bits 4", "int4 absmax/tensor");
    type("ppl --text long.txt --tokens 0");
    keys("Enter");
    wait_until_shown(" s left");
    keys("C-c");
    wait_for_prompt(3);
    assert_non_null(strstr(output_of(2), "stopped after "));
    assert_null(strstr(output_of(2), "Out[2]"));
    type("generate \"Once\" --tokens 16000 --temperature 1");
    keys("Enter");
    wait_until_shown("Once");
    for (int i = 0; i < 10; i++)
        pause_briefly();
    keys("C-c");
    wait_for_prompt(4);
    /* a load that may be done before the key comes: either way a model is there afterwards */
    type("load large.gguf");
    keys("Enter");
    keys("C-c");
    wait_until_last_row("In [");
    time_t begin = time(NULL);
    while (!last_row_starts(capture(), "In [5]:") && time(NULL) - begin < DEADLINE)
        pause_briefly();
    wait_for_prompt(5);
    shows("info", "parameters");
    /* and what the shell runs */
    type("!echo begun; sleep 60");
    keys("Enter");
    wait_until_shown("begun\n");
    keys("C-c");
    wait_for_prompt(7);
    /* and a loop that would never end; what was assigned before stays */
    type("n = 5; while 1");
    keys("Enter");
    wait_until_last_row("   ...:");
    type("end");
    keys("Enter");
    wait_until_shown("Ctrl-C stops");
    keys("C-c");
    wait_for_prompt(8);
    assert_non_null(strstr(output_of(7), "stopped; variables keep"));
    shows("n", "Out[8]: 5");
    leave();
}

/* gnuplot that is not there costs a picture, not the notebook. */
static void test_without_gnuplot(void **state)
{
    (void)state;
    start("PATH=/nowhere");
    shows("load story.gguf", "3 layers");
    shows("hist blk.0.attn_q", "blk.0.attn_q");
    shows("hist blk.0.attn_q --png picture.png", "gnuplot");
    assert_int_not_equal(access(temporary_path("picture.png"), F_OK), 0);
    shows("doctor", "missing");
    shows("info", "parameters");
    leave();
}

/* A disk that is full while saving: one sentence, and the file from before is what it was. */
static void test_full_disk(void **state)
{
    (void)state;
    const char *path = temporary_file("kept.gguf", "the file from before", 20);
    size_t files = temporary_count();
    start("ulimit -f 16;");
    shows("load story.gguf; quantize all absmax --bits 8", "int8 absmax/tensor");
    shows("save kept.gguf", "kept.gguf");
    shows("info", "int8 absmax/tensor");
    leave();
    size_t size;
    uint8_t *kept = read_whole_file(path, &size);
    assert_int_equal(size, 20);
    assert_memory_equal(kept, "the file from before", 20);
    free(kept);
    assert_int_equal(temporary_count(), files);
}

static void test_plain_terminal(void **state)
{
    (void)state;
    start("TERM=dumb NO_COLOR=1");
    shows("load story.gguf", "3 layers");
    shows("hist blk.0.attn_q --bins 20", "blk.0.attn_q");
    leave();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session),    cmocka_unit_test(test_lesson), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_interrupts), cmocka_unit_test(test_without_gnuplot),
        cmocka_unit_test(test_full_disk),  cmocka_unit_test(test_plain_terminal),
    };
    char here[PATH_MAX];
    (void)argc;
    /* This is BUILD/tests/repl/test_notebook, the program BUILD/nibble. */
    if (!realpath(argv[0], here)) {
        fprintf(stderr, "%s: where am I?\n", argv[0]);
        return 1;
    }
    for (int up = 0; up < 3; up++)
        *strrchr(here, '/') = '\0';
    snprintf(program, sizeof program, "%.*s/nibble", (int)sizeof program - 10, here);
    if (system("tmux -V >/dev/null 2>&1") != 0) {
        printf("test_notebook: skipped, for want of tmux\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
