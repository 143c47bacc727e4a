#include "plots/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_MS = 300 };

/* ---- replies ---- */

/* The reply that starts after `ESC prefix`, or NULL. */
static const char *find_reply(const char *replies, const char *prefix)
{
    for (const char *at = replies; (at = strchr(at, '\033')); at++)
        if (strncmp(at + 1, prefix, strlen(prefix)) == 0)
            return at + 1 + strlen(prefix);
    return NULL;
}

/* ESC [ ? 62 ; 4 ; 22 c: what the terminal is, then what it has; 4 is sixel. NULL until it is whole. */
static const char *find_attributes(const char *replies)
{
    const char *reply = find_reply(replies, "[?");
    return reply && reply[strspn(reply, "0123456789;")] == 'c' ? reply : NULL;
}

static bool has_sixel(const char *attributes)
{
    for (const char *at = strchr(attributes, ';'); at; at = strchr(at + 1, ';'))
        if (at[1] == '4' && (at[2] == ';' || at[2] == 'c'))
            return true;
    return false;
}

/* ESC ] 11 ; rgb:ffff/ffff/dddd ST: dark if its luma is below the middle. */
static bool read_paper(const char *reply, bool *dark)
{
    unsigned long channels[3];
    int n_digits = 0;
    for (int i = 0; i < 3; i++) {
        char *end;
        channels[i] = strtoul(reply, &end, 16);
        n_digits = (int)(end - reply);
        if (n_digits < 1 || n_digits > 4 || (i < 2 && *end != '/'))
            return false;
        channels[i] = channels[i] * 1000 / ((1ul << 4 * n_digits) - 1);
        reply = end + 1;
    }
    *dark = 299 * channels[0] + 587 * channels[1] + 114 * channels[2] < 500 * 1000;
    return true;
}

void nb_terminal_read_replies(const char *replies, nb_terminal *out)
{
    const char *attributes = find_attributes(replies), *kitty = find_reply(replies, "_Gi=31;");
    const char *cell = find_reply(replies, "[6;"), *paper = find_reply(replies, "]11;rgb:");
    int height, width;
    if (attributes && has_sixel(attributes))
        out->picture = NB_PICTURE_SIXEL;
    if (kitty && strncmp(kitty, "OK", 2) == 0)
        out->picture = NB_PICTURE_KITTY;
    if (cell && sscanf(cell, "%4d;%4dt", &height, &width) == 2 && height >= 4 && width >= 2 &&
        height <= 400 && width <= 400) {
        out->cell_height = height;
        out->cell_width = width;
    }
    if (paper)
        read_paper(paper, &out->dark);
}

/* ---- asking ---- */

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool wait_for(int fd, short events, long deadline)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = events};
        long left = deadline - now_ms();
        int n = poll(&poll_fd, 1, left > 0 ? (int)left : 0);
        if (n > 0)
            return (poll_fd.revents & events) != 0;
        if (n == 0 || errno != EINTR)
            return false;
    }
}

static bool write_all(int fd, const char *text, long deadline)
{
    size_t n_left = strlen(text);
    while (n_left > 0) {
        if (!wait_for(fd, POLLOUT, deadline))
            return false;
        ssize_t n = write(fd, text, n_left);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (n > 0) {
            text += n;
            n_left -= (size_t)n;
        }
    }
    return true;
}

/* True when the attributes came: the last question is answered, nothing more is on its way. */
static bool read_replies(int fd, char *replies, size_t size, long deadline)
{
    size_t n_read = 0;
    replies[0] = '\0';
    while (n_read + 1 < size && wait_for(fd, POLLIN, deadline)) {
        ssize_t n = read(fd, replies + n_read, size - 1 - n_read);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return false;
        for (ssize_t i = 0; i < n; i++)
            if (replies[n_read + (size_t)i] == '\0')
                replies[n_read + (size_t)i] = ' ';
        n_read += (size_t)n;
        replies[n_read] = '\0';
        if (find_attributes(replies))
            return true;
    }
    return false;
}

/* Signals wait until the terminal is as it was: an interrupted probe must not leave it raw. */
static void hold_signals(sigset_t *previous)
{
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, previous);
}

void nb_terminal_ask(int fd, bool ask_kitty, int limit_ms, nb_terminal *out)
{
    /* A pixel of kitty graphics that is only a question; the cell's size; the paper's colour; and what every
     * terminal answers, so that the silent ones cost nothing. */
    static const char kitty_question[] = "\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\033\\";
    static const char questions[] = "\033[16t\033]11;?\033\\\033[c";
    char text[sizeof(kitty_question) + sizeof(questions)], replies[1024];
    struct termios before, raw;
    sigset_t previous;
    if (tcgetpgrp(fd) != getpgrp() || tcgetattr(fd, &before) != 0)
        return;
    snprintf(text, sizeof(text), "%s%s", ask_kitty ? kitty_question : "", questions);
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHONL | IEXTEN); /* ISIG stays: Ctrl-C is no reply */
    raw.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;

    hold_signals(&previous);
    if (tcsetattr(fd, TCSANOW, &raw) == 0) {
        long deadline = now_ms() + limit_ms;
        bool typed_ahead = wait_for(fd, POLLIN, 0), answered = true;
        if (!typed_ahead) {
            answered = write_all(fd, text, deadline) && read_replies(fd, replies, sizeof(replies), deadline);
            nb_terminal_read_replies(replies, out);
        }
        /* A late reply must not become the first line that is typed. */
        if (tcsetattr(fd, answered ? TCSANOW : TCSAFLUSH, &before) != 0)
            tcsetattr(fd, TCSANOW, &before);
    }
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
}

/* ---- the environment ---- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

static bool is_utf8_locale(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *dot, *value = variable(names[i]);
        if (!value[0])
            continue;
        dot = strchr(value, '.');
        return dot && (strncasecmp(dot + 1, "utf-8", 5) == 0 || strncasecmp(dot + 1, "utf8", 4) == 0);
    }
    return false;
}

/* COLORFGBG=15;0: the last number is the paper's, 7 and 9 to 15 are light. */
static bool guess_dark(void)
{
    const char *last = strrchr(variable("COLORFGBG"), ';');
    int paper = last ? atoi(last + 1) : 0;
    return !(paper == 7 || (paper >= 9 && paper <= 15));
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void read_size(nb_terminal *out)
{
    struct winsize size;
    out->columns = 80;
    out->rows = 24;
    if (!out->is_terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 ||
        size.ws_row == 0)
        return;
    out->columns = size.ws_col;
    out->rows = size.ws_row;
    if (size.ws_xpixel / size.ws_col >= 2 && size.ws_ypixel / size.ws_row >= 4) {
        out->cell_width = size.ws_xpixel / size.ws_col;
        out->cell_height = size.ws_ypixel / size.ws_row;
    }
}

void nb_terminal_probe(nb_terminal *out)
{
    const char *term = variable("TERM");
    *out = (nb_terminal){
        .is_terminal = isatty(STDOUT_FILENO) != 0, .utf8 = is_utf8_locale(), .dark = guess_dark()};
    read_size(out);
    bool dumb = !term[0] || strcmp(term, "dumb") == 0;
    if (!out->is_terminal || dumb) {
        out->picture = NB_PICTURE_ASCII;
        return;
    }
    out->colour = !variable("NO_COLOR")[0];
    out->truecolour =
        strcmp(variable("COLORTERM"), "truecolor") == 0 || strcmp(variable("COLORTERM"), "24bit") == 0;
    out->picture = out->utf8 ? NB_PICTURE_BRAILLE : NB_PICTURE_ASCII;

    /* A multiplexer takes the kitty question for a window title. */
    bool multiplexed =
        variable("TMUX")[0] || variable("STY")[0] || starts_with(term, "tmux") || starts_with(term, "screen");
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return;
    nb_terminal_ask(fd, !multiplexed, LIMIT_MS, out);
    close(fd);
}

bool nb_picture_parse(const char *name, nb_picture *out)
{
    static const struct {
        const char *name;
        nb_picture picture;
    } names[] = {
        {"auto", NB_PICTURE_AUTO},       {"kitty", NB_PICTURE_KITTY}, {"sixel", NB_PICTURE_SIXEL},
        {"braille", NB_PICTURE_BRAILLE}, {"ascii", NB_PICTURE_ASCII}, {"none", NB_PICTURE_NONE},
    };
    *out = NB_PICTURE_AUTO;
    for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i].name) == 0) {
            *out = names[i].picture;
            return true;
        }
    return !name;
}
