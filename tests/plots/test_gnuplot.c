/* gnuplot as it should be, missing, dying, hanging, flooding: nibble goes on and files stay whole. */
#include "plots/gnuplot.h"
#include "plots/plots.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const double before[] = {1, 40, 900, 60, 2}, after[] = {0, 80, 5000, 90, 0};
static const nb_figure figure = {
    .kind = NB_FIGURE_HISTOGRAM,
    .headline = "Weights before and after",
    .subline = "blk.0.attn_q · 1,003 weights",
    .x_label = "weight",
    .y_label = "weights per bin",
    .x_low = -0.5,
    .x_high = 0.5,
    .n = 5,
    .before = {"before (f16)", before},
    .after = {"after (int4)", after},
    .sentence = "Most weights < 0.1 & round to 0.",
};
static char real_path[4096];

static int remember_path(void **state)
{
    (void)state;
    snprintf(real_path, sizeof(real_path), "%s", getenv("PATH"));
    return 0;
}

static int restore_path(void **state)
{
    (void)state;
    return setenv("PATH", real_path, 1);
}

/* A shell script of that name comes first in PATH. */
static void pretend(const char *script)
{
    char text[1024], path[8192];
    snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
    snprintf(path, sizeof(path), "%s", temporary_file("gnuplot", text, strlen(text)));
    assert_int_equal(chmod(path, 0755), 0);
    *strrchr(path, '/') = '\0';
    strcat(strcat(path, ":"), real_path);
    assert_int_equal(setenv("PATH", path, 1), 0);
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static nb_gnuplot_end run(const char *script, int limit_ms, nb_error *error)
{
    nb_gnuplot_end end;
    char *out;
    size_t n_out;
    nb_status status = nb_gnuplot_run(script, strlen(script), limit_ms, &out, &n_out, &end, error);
    assert_int_equal(status == NB_OK, end == NB_GNUPLOT_DONE);
    assert_int_equal(status == NB_OK, out != NULL);
    free(out);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, not even a dead one */
    return end;
}

static void test_output(void **state)
{
    (void)state;
    static const char script[] = "set print '-'\nprint 'hello'\n";
    char *out, version[64];
    size_t n_out;
    assert_int_equal(nb_gnuplot_run(script, sizeof(script) - 1, 5000, &out, &n_out, NULL, NULL), NB_OK);
    assert_int_equal(n_out, 6);
    assert_string_equal(out, "hello\n");
    free(out);
    nb_gnuplot_version(version, sizeof(version));
    assert_non_null(strstr(version, " patchlevel "));
    assert_null(strchr(version, '\n'));
}

/* It carries on after an error; the exit status tells. */
static void test_error_in_script(void **state)
{
    (void)state;
    nb_error error = {""};
    assert_int_equal(run("no_such_command\nset print '-'\nprint 'went on'\n", 5000, &error),
                     NB_GNUPLOT_FAILED);
    assert_non_null(strstr(error.text, "gnuplot gave up with status 1: line 0: invalid command"));
}

static void test_missing(void **state)
{
    (void)state;
    nb_error error = {""};
    char version[16] = "x";
    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(run("plot 1\n", 5000, &error), NB_GNUPLOT_MISSING);
    assert_string_equal(error.text, "gnuplot is not installed; install gnuplot-nox");
    nb_gnuplot_version(version, sizeof(version));
    assert_string_equal(version, "");
    pretend("exit 127");
    assert_int_equal(run("plot 1\n", 5000, NULL), NB_GNUPLOT_MISSING);
}

static void test_dies(void **state)
{
    (void)state;
    static char long_script[1 << 20];
    nb_error error = {""};
    signal(SIGPIPE, SIG_DFL); /* it would end this program */
    memset(long_script, '\n', sizeof(long_script) - 1);
    pretend("echo half of it; kill -9 $$");
    assert_int_equal(run(long_script, 5000, &error), NB_GNUPLOT_FAILED);
    assert_string_equal(error.text, "gnuplot died of signal 9 before the figure was done");
    pretend("read line; echo half of it; exit 3"); /* stops reading: writing to it breaks the pipe */
    assert_int_equal(run(long_script, 5000, &error), NB_GNUPLOT_FAILED);
    assert_string_equal(error.text, "gnuplot gave up with status 3");
    pretend("printf 'line 7: \\033[2Jbad\\n' >&2; exit 1");
    assert_int_equal(run("x\n", 5000, &error), NB_GNUPLOT_FAILED);
    assert_string_equal(error.text, "gnuplot gave up with status 1: line 7: ?[2Jbad");
    sigset_t pending;
    sigpending(&pending);
    assert_false(sigismember(&pending, SIGPIPE));
}

/* Whatever it started ended with it. */
static void check_group_is_gone(const char *path)
{
    char *text = read_whole_text(path);
    pid_t group = (pid_t)atol(text);
    long deadline = now_ms() + 5000; /* the dead are counted until somebody asks for them */
    assert_true(group > 1);
    while (kill(-group, 0) == 0 && now_ms() < deadline)
        usleep(5000);
    assert_int_equal(kill(-group, 0), -1);
    free(text);
}

static void test_hangs(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "sleep 100",                                     /* never reads */
        "cat >/dev/null; sleep 100",                     /* reads, never ends */
        "exec >&- 2>&-; sleep 100",                      /* closes its streams and lives on */
        "trap '' TERM INT; sleep 100 & sleep 100; wait", /* starts others that hold them */
        "sleep 100 & exit 0",
    };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        nb_error error = {""};
        char script[512];
        const char *group = temporary_path("group");
        snprintf(script, sizeof(script), "echo $$ >'%s'; %s", group, scripts[i]);
        pretend(script);
        long begin = now_ms();
        assert_int_equal(run("plot 1\n", 150, &error), NB_GNUPLOT_LATE);
        assert_true(now_ms() - begin < 3000);
        assert_string_equal(error.text, "gnuplot was stopped: the figure was not done after 150 ms");
        check_group_is_gone(group);
    }
}

/* Whoever writes a lot before reading all of its input would deadlock with one who writes first. */
static void test_floods(void **state)
{
    (void)state;
    static char long_script[1 << 20];
    nb_error error = {""};
    memset(long_script, '\n', sizeof(long_script) - 1);
    pretend("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; cat >/dev/null");
    assert_int_equal(run(long_script, 20000, &error), NB_GNUPLOT_DONE);
    pretend("while :; do echo forever; done"); /* yes(1) may be faster than any limit on time */
    assert_int_equal(run("plot 1\n", 300, &error), NB_GNUPLOT_LATE);
}

static void test_environment(void **state)
{
    (void)state;
    static const char script[] = "plot 1\n";
    char *out;
    size_t n_out;
    setenv("GNUTERM", "x11", 1);
    setenv("LC_NUMERIC", "de_DE.UTF-8", 1);
    setenv("LANGUAGE", "de", 1);
    pretend("cat >/dev/null; echo $1; env | grep -E '^(GNUTERM|LC_|LANG)'");
    assert_int_equal(nb_gnuplot_run(script, sizeof(script) - 1, 5000, &out, &n_out, NULL, NULL), NB_OK);
    assert_string_equal(out, "-d\nLC_ALL=C.UTF-8\n");
    free(out);
    unsetenv("GNUTERM");
    unsetenv("LC_NUMERIC");
    unsetenv("LANGUAGE");
}

/* ---- what stands on it ---- */

static void test_saves(void **state)
{
    (void)state;
    static const uint8_t magic[] = {0x89, 'P', 'N', 'G', 13, 10, 26, 10},
                         end[] = {'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    nb_error error = {""};
    const char *png = temporary_path("figure.png"), *svg = temporary_path("figure.SVG");
    size_t n;
    assert_int_equal(nb_figure_save(&figure, png, &error), NB_OK);
    uint8_t *bytes = read_whole_file(png, &n);
    assert_true(n > 1000);
    assert_memory_equal(bytes, magic, sizeof(magic));
    assert_memory_equal(bytes + n - sizeof(end), end, sizeof(end));
    static const uint8_t size[] = {0, 0, 5, 0, 0, 0, 2, 0xd0}; /* 1280 x 720 in the header chunk */
    assert_memory_equal(bytes + 16, size, sizeof(size));
    free(bytes);
    assert_int_equal(nb_figure_save(&figure, svg, &error), NB_OK);
    char *text = (char *)read_whole_file(svg, &n);
    assert_non_null(strstr(text, "<title>Most weights &lt; 0.1 &amp; round to 0.</title>"));
    assert_non_null(strstr(text, "font-weight=\"bold\""));
    assert_null(strstr(text, "DejaVu Sans\""));
    assert_non_null(strstr(text, "Weights before and after"));
    assert_non_null(strstr(text, "</svg>"));
    free(text);
    assert_int_equal(nb_figure_save(&figure, temporary_path("figure.pdf"), &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "is saved as .png or .svg"));
    assert_int_equal(nb_figure_save(&figure, "/nonexistent/figure.png", &error), NB_ERR_IO);
}

static void test_old_file_stays(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "exit 1",
        "printf '\\211PNG\\r\\n\\032\\nhalf'; kill -9 $$",
        "exit 0",
        "cat >/dev/null; echo no picture",
        "printf '\\211PNG\\r\\n\\032\\nmore'; exit 1",
    };
    const char *path = temporary_file("old.png", "precious", 8);
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        nb_error error = {""};
        size_t n, n_files;
        pretend(scripts[i]);
        n_files = temporary_count();
        assert_int_not_equal(nb_figure_save(&figure, path, &error), NB_OK);
        assert_true(strlen(error.text) > 0);
        uint8_t *bytes = read_whole_file(path, &n);
        assert_int_equal(n, 8);
        assert_memory_equal(bytes, "precious", 8);
        free(bytes);
        assert_int_equal(temporary_count(), n_files);
    }
}

static char *render(nb_picture picture, const char **notice)
{
    nb_terminal terminal = {.is_terminal = true, .utf8 = true, .picture = picture, .columns = 80, .rows = 24};
    char *out;
    size_t n;
    assert_int_equal(nb_figure_render(&figure, &terminal, &out, &n, notice, NULL), NB_OK);
    assert_int_equal(strlen(out), n); /* none of the forms has a zero byte */
    return out;
}

static void test_renders(void **state)
{
    (void)state;
    const char *notice;
    char *kitty = render(NB_PICTURE_KITTY, &notice);
    assert_memory_equal(kitty, "\033_Ga=T,f=100,q=2,c=79,r=21,m=1;iVBORw0KGgo", 42);
    assert_string_equal(notice, "");
    char *sixel = render(NB_PICTURE_SIXEL, &notice);
    assert_memory_equal(sixel, "\033P", 2);
    assert_non_null(strstr(sixel, "\033\\"));
    assert_string_equal(notice, "");
    char *braille = render(NB_PICTURE_BRAILLE, &notice);
    assert_non_null(strstr(braille, "⣿"));
    assert_string_equal(notice, "");
    free(kitty);
    free(sixel);
    free(braille);
}

/* A picture that cannot be had gives way to characters, and the notice says why. */
static void test_falls_back(void **state)
{
    (void)state;
    static const nb_picture pictures[] = {NB_PICTURE_KITTY, NB_PICTURE_SIXEL, NB_PICTURE_BRAILLE};
    const char *notice;
    for (size_t i = 0; i < 3; i++) {
        setenv("PATH", "/nonexistent", 1);
        char *out = render(pictures[i], &notice);
        assert_non_null(strstr(out, "█"));
        assert_non_null(strstr(out, "Weights before and after"));
        assert_non_null(strstr(notice, "not installed"));
        free(out);
        pretend("kill -9 $$");
        out = render(pictures[i], &notice);
        assert_non_null(strstr(out, "█"));
        assert_non_null(strstr(notice, "failed"));
        free(out);
    }
    /* A gnuplot without sixel still draws dots. */
    pretend("read a; case \"$a\" in *) ;; esac; t=$(cat); case \"$t\" in *sixelgd*) exit 1;; esac;"
            "printf 'P4\\n160 64\\n'; head -c 1280 /dev/zero | tr '\\000' '\\377';"
            "printf 'P4\\n160 64\\n'; head -c 1280 /dev/zero");
    char *out = render(NB_PICTURE_SIXEL, &notice);
    assert_non_null(strstr(out, "⣿⣿⣿⣿⣿⣿⣿⣿"));
    assert_non_null(strstr(notice, "failed"));
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_output, restore_path),
        cmocka_unit_test_teardown(test_error_in_script, restore_path),
        cmocka_unit_test_teardown(test_missing, restore_path),
        cmocka_unit_test_teardown(test_dies, restore_path),
        cmocka_unit_test_teardown(test_hangs, restore_path),
        cmocka_unit_test_teardown(test_floods, restore_path),
        cmocka_unit_test_teardown(test_environment, restore_path),
        cmocka_unit_test_teardown(test_saves, restore_path),
        cmocka_unit_test_teardown(test_old_file_stays, restore_path),
        cmocka_unit_test_teardown(test_renders, restore_path),
        cmocka_unit_test_teardown(test_falls_back, restore_path),
    };
    return cmocka_run_group_tests(tests, remember_path, NULL);
}
