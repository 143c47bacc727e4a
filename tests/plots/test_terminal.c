/* Asking a terminal: a pseudo-terminal whose other end answers as the real ones do, late, or never. */
#define _XOPEN_SOURCE 700 /* posix_openpt */
#include "plots/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char kitty_reply[] =
    "\033_Gi=31;OK\033\\\033[6;36;18t\033]11;rgb:1e1e/2222/2727\033\\\033[?62;c";
static const char xterm_reply[] = "\033[6;17;8t\033]11;rgb:ffff/ffff/ffff\033\\\033[?63;1;2;4;6;9;15;22c";

static void test_replies(void **state)
{
    (void)state;
    nb_terminal kitty = {.picture = NB_PICTURE_BRAILLE}, xterm = kitty, tmux = kitty, odd = kitty;
    nb_terminal_read_replies(kitty_reply, &kitty);
    assert_int_equal(kitty.picture, NB_PICTURE_KITTY);
    assert_int_equal(kitty.cell_height, 36);
    assert_int_equal(kitty.cell_width, 18);
    assert_true(kitty.dark);
    xterm.dark = true;
    nb_terminal_read_replies(xterm_reply, &xterm);
    assert_int_equal(xterm.picture, NB_PICTURE_SIXEL);
    assert_int_equal(xterm.cell_height, 17);
    assert_int_equal(xterm.cell_width, 8);
    assert_false(xterm.dark);
    nb_terminal_read_replies("\033[?1;2c", &tmux);
    assert_int_equal(tmux.picture, NB_PICTURE_BRAILLE);
    /* 4 as the first number is what the terminal is (a VT132), and 14 or 41 are not 4. */
    nb_terminal_read_replies(
        "\033[?4;14;41;6c\033_Gi=31;ENOTSUPPORTED\033\\\033[6;0;99999t\033]11;rgb:zz/0\033\\", &odd);
    assert_int_equal(odd.picture, NB_PICTURE_BRAILLE);
    assert_int_equal(odd.cell_height, 0);
    nb_terminal_read_replies("", &odd);
    nb_terminal_read_replies("\033[?62;4", &odd); /* cut off */
    assert_int_equal(odd.picture, NB_PICTURE_BRAILLE);
}

/* What the child found out, through a pipe. */
typedef struct finding {
    nb_terminal terminal;
    bool mode_restored, mask_restored;
    int n_left_over; /* bytes that a program would now read as typed */
    long elapsed_ms;
} finding;

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void child_main(const char *name, int report, bool ask_kitty)
{
    finding found = {.terminal = {.picture = NB_PICTURE_BRAILLE}};
    struct termios before, after, raw;
    sigset_t mask;
    char typed[256];
    setsid();
    int fd = open(name, O_RDWR); /* a session's first terminal becomes its own */
    ioctl(fd, TIOCSCTTY, 0);
    tcgetattr(fd, &before);
    usleep(30000); /* so that what is typed ahead has come */
    long begin = now_ms();
    nb_terminal_ask(fd, ask_kitty, 300, &found.terminal);
    found.elapsed_ms = now_ms() - begin;
    tcgetattr(fd, &after);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    found.mode_restored = before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag &&
                          before.c_oflag == after.c_oflag &&
                          memcmp(before.c_cc, after.c_cc, sizeof(before.c_cc)) == 0;
    found.mask_restored = !sigismember(&mask, SIGINT) && !sigismember(&mask, SIGTERM);
    raw = after;
    raw.c_lflag &= ~(tcflag_t)ICANON;
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(fd, TCSANOW, &raw);
    ssize_t n = read(fd, typed, sizeof(typed));
    found.n_left_over = (int)n;
    if (write(report, &found, sizeof(found)) != (ssize_t)sizeof(found))
        _exit(2);
    _exit(0);
}

/* Runs nb_terminal_ask in a session of its own, with the other end answering `reply` once asked. `question`
 * gets what was asked. */
static finding ask(const char *reply, const char *typed_ahead, bool ask_kitty, char *question, size_t size)
{
    finding found;
    int ends[2], status, master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 && pipe(ends) == 0);
    int keep_open = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (typed_ahead)
        assert_int_equal(write(master, typed_ahead, strlen(typed_ahead)), strlen(typed_ahead));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child_main(ptsname(master), ends[1], ask_kitty);
    close(ends[1]);
    size_t n_asked = 0;
    for (bool answered = false;;) {
        struct pollfd fds[2] = {{.fd = master, .events = POLLIN}, {.fd = ends[0], .events = POLLIN}};
        assert_true(poll(fds, 2, 5000) > 0);
        if (fds[0].revents & POLLIN) {
            ssize_t n = read(master, question + n_asked, size - 1 - n_asked);
            assert_true(n > 0);
            n_asked += (size_t)n;
            question[n_asked] = '\0';
            if (!answered && reply && strstr(question, "\033[c")) {
                for (size_t i = 0; i < strlen(reply); i++) /* a byte at a time, as a slow line does */
                    assert_int_equal(write(master, reply + i, 1), 1);
                answered = true;
            }
        } else if (fds[1].revents) {
            break;
        }
    }
    question[n_asked] = '\0';
    assert_int_equal(read(ends[0], &found, sizeof(found)), sizeof(found));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(keep_open);
    close(master);
    assert_true(found.mode_restored);
    assert_true(found.mask_restored);
    return found;
}

static void test_kitty(void **state)
{
    (void)state;
    char question[512] = "";
    finding found = ask(kitty_reply, NULL, true, question, sizeof(question));
    assert_string_equal(question, "\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\033\\\033[16t\033]11;?\033\\\033[c");
    assert_int_equal(found.terminal.picture, NB_PICTURE_KITTY);
    assert_int_equal(found.n_left_over, 0);
}

static void test_sixel(void **state)
{
    (void)state;
    char question[512] = "";
    finding found = ask(xterm_reply, NULL, false, question, sizeof(question));
    assert_null(strstr(question, "\033_G")); /* tmux would take it for a title */
    assert_int_equal(found.terminal.picture, NB_PICTURE_SIXEL);
    assert_int_equal(found.n_left_over, 0);
    assert_true(found.elapsed_ms < 250); /* an answer ends the waiting */
}

static void test_silence(void **state)
{
    (void)state;
    char question[512] = "";
    finding found = ask(NULL, NULL, true, question, sizeof(question));
    assert_int_equal(found.terminal.picture, NB_PICTURE_BRAILLE);
    assert_true(found.elapsed_ms >= 290 && found.elapsed_ms < 2000);
}

/* What somebody typed before nibble was ready is theirs. */
static void test_typed_ahead(void **state)
{
    (void)state;
    char question[512] = "";
    finding found = ask(kitty_reply, "load story\n", true, question, sizeof(question));
    assert_null(strchr(question, '\033'));
    assert_int_equal(found.n_left_over, 11);
}

static void test_no_terminal(void **state)
{
    (void)state;
    nb_terminal terminal = {.picture = NB_PICTURE_BRAILLE};
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    nb_terminal_ask(ends[1], true, 300, &terminal);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    assert_int_equal(read(ends[0], &byte, 1), -1); /* nothing was asked of it */
    assert_int_equal(terminal.picture, NB_PICTURE_BRAILLE);
    close(ends[0]);
    close(ends[1]);
}

/* Standard output of a test is a file or a pipe here: plain text, no colour, 80 columns, at once. */
static void test_probe_off_a_terminal(void **state)
{
    (void)state;
    nb_terminal terminal;
    int saved = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY);
    fflush(stdout);
    dup2(null, STDOUT_FILENO);
    long begin = now_ms();
    nb_terminal_probe(&terminal);
    long elapsed = now_ms() - begin;
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(null);
    assert_false(terminal.is_terminal);
    assert_false(terminal.colour);
    assert_int_equal(terminal.picture, NB_PICTURE_ASCII);
    assert_int_equal(terminal.columns, 80);
    assert_true(elapsed < 50);
}

static void test_names(void **state)
{
    (void)state;
    nb_picture picture;
    assert_true(nb_picture_parse("sixel", &picture) && picture == NB_PICTURE_SIXEL);
    assert_true(nb_picture_parse("none", &picture) && picture == NB_PICTURE_NONE);
    assert_true(nb_picture_parse(NULL, &picture) && picture == NB_PICTURE_AUTO);
    assert_false(nb_picture_parse("iterm", &picture));
    assert_int_equal(picture, NB_PICTURE_AUTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),     cmocka_unit_test(test_kitty),
        cmocka_unit_test(test_sixel),       cmocka_unit_test(test_silence),
        cmocka_unit_test(test_typed_ahead), cmocka_unit_test(test_no_terminal),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_probe_off_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
