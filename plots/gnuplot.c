#include "plots/gnuplot.h"

#include "base/memory.h"
#include "plots/buffer.h"
#include "plots/plots.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum {
    MAX_OUTPUT = 64 << 20, /* a picture takes kilobytes: more is a runaway */
    MAX_COMPLAINT = 64 << 10,
};

typedef struct child {
    pid_t pid;
    int in, out, err; /* our ends, non-blocking; -1 once closed */
    bool reaped;
    int wait_status;
} child;

/* ---- starting ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Above the three standard descriptors, so that handing it over can never overwrite another one. */
static int move_above_standard(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int saved = errno;
    close(fd);
    errno = saved;
    return moved;
}

static bool open_pipe(int ends[2])
{
    int raw[2];
    ends[0] = ends[1] = -1;
    if (pipe(raw) != 0)
        return false;
    ends[0] = move_above_standard(raw[0]);
    ends[1] = move_above_standard(raw[1]);
    return ends[0] >= 0 && ends[1] >= 0;
}

static bool is_variable(const char *entry, const char *name)
{
    size_t n = strlen(name);
    return strncmp(entry, name, n) == 0 && (name[n - 1] == '_' || entry[n] == '=');
}

/* Ours, with the locale fixed (numbers with a point, text in UTF-8) and nothing that picks a terminal. The
 * entries stay ours; only the list is allocated. */
static char **make_environment(void)
{
    static char locale[] = "LC_ALL=C.UTF-8";
    size_t n = 0, n_kept = 0;
    while (environ && environ[n])
        n++;
    char **entries = nb_calloc(n + 2, sizeof(*entries));
    if (!entries)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (!is_variable(environ[i], "GNUTERM") && !is_variable(environ[i], "LC_") &&
            !is_variable(environ[i], "LANG") && !is_variable(environ[i], "LANGUAGE"))
            entries[n_kept++] = environ[i];
    entries[n_kept] = locale;
    return entries;
}

/* A process group of its own, so that whatever it starts can be ended with it and a Ctrl-C meant for
 * nibble does not reach it; signals as a fresh program expects them. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGTERM);
    int code = posix_spawnattr_setpgroup(attributes, 0);
    code = code ? code : posix_spawnattr_setsigmask(attributes, &none);
    code = code ? code : posix_spawnattr_setsigdefault(attributes, &usual);
    return code ? code
                : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                           POSIX_SPAWN_SETSIGDEF);
}

/* 0 or the errno of what failed. */
static int spawn(pid_t *pid, int in, int out, int err)
{
    char name[] = "gnuplot", no_startup_file[] = "-d";
    char *arguments[] = {name, no_startup_file, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char **environment = make_environment();
    if (!environment)
        return ENOMEM;
    int code = posix_spawn_file_actions_init(&actions);
    if (code == 0) {
        code = posix_spawnattr_init(&attributes);
        if (code == 0) {
            code = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
            code = code ? code : posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
            code = code ? code : posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
            code = code ? code : set_attributes(&attributes);
            code = code ? code : posix_spawnp(pid, name, &actions, &attributes, arguments, environment);
            posix_spawnattr_destroy(&attributes);
        }
        posix_spawn_file_actions_destroy(&actions);
    }
    free(environment);
    return code;
}

static bool set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* 0 or the errno of what failed; then nothing is left open. */
static int start(child *child)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, code = 0;
    if (!open_pipe(in) || !open_pipe(out) || !open_pipe(err) || !set_nonblocking(in[1]) ||
        !set_nonblocking(out[0]) || !set_nonblocking(err[0]))
        code = errno;
    if (code == 0)
        code = spawn(&child->pid, in[0], out[1], err[1]);
    close_fd(&in[0]);
    close_fd(&out[1]);
    close_fd(&err[1]);
    if (code != 0) {
        close_fd(&in[1]);
        close_fd(&out[0]);
        close_fd(&err[0]);
        return code;
    }
    child->in = in[1];
    child->out = out[0];
    child->err = err[0];
    return 0;
}

/* ---- talking ---- */

/* Writing to a child that died raises SIGPIPE in this thread: held back here and, if it came, taken away. */
typedef struct pipe_guard {
    sigset_t previous;
    bool was_pending;
} pipe_guard;

static void guard_begin(pipe_guard *guard)
{
    sigset_t broken_pipe, pending;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    guard->was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &guard->previous);
}

static void guard_end(const pipe_guard *guard)
{
    sigset_t broken_pipe, pending;
    int number;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    if (!guard->was_pending && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1)
        sigwait(&broken_pipe, &number);
    pthread_sigmask(SIG_SETMASK, &guard->previous, NULL);
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void feed(child *child, const char **script, size_t *n_left)
{
    ssize_t n = *n_left ? write(child->in, *script, *n_left) : 0;
    if (n > 0) {
        *script += n;
        *n_left -= (size_t)n;
    } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    } else if (n < 0) {
        *n_left = 0; /* it reads no more: its exit status will say why */
    }
    if (*n_left == 0)
        close_fd(&child->in);
}

/* Keeps at most `limit` bytes; the rest is read and dropped. True while that suffices. */
static bool drain(int *fd, nb_buffer *into, size_t limit)
{
    char piece[16384];
    ssize_t n = read(*fd, piece, sizeof(piece));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0) {
        close_fd(fd);
        return true;
    }
    if (into->n_bytes + (size_t)n > limit)
        return false;
    nb_buffer_add(into, piece, (size_t)n);
    return true;
}

/* Feeds the script and reads both streams until they end. False when the deadline passed first, or the
 * output outgrew every picture. */
static bool converse(child *child, const char *script, size_t n_left, long deadline, nb_buffer *out,
                     nb_buffer *complaint)
{
    while (child->out >= 0 || child->err >= 0) {
        struct pollfd fds[3] = {
            {.fd = child->in, .events = POLLOUT}, /* negative ones are skipped */
            {.fd = child->out, .events = POLLIN},
            {.fd = child->err, .events = POLLIN},
        };
        long left = deadline - now_ms();
        if (left <= 0)
            return false;
        int n = poll(fds, 3, (int)left);
        if (n < 0 && errno != EINTR)
            return false;
        if (n <= 0)
            continue;
        if (fds[0].revents)
            feed(child, &script, &n_left);
        if (fds[1].revents && !drain(&child->out, out, MAX_OUTPUT))
            return false;
        if (fds[2].revents)
            drain(&child->err, complaint, MAX_COMPLAINT);
    }
    return true;
}

/* ---- ending ---- */

/* Waits for its end until the deadline; a process can close its streams and live on. */
static bool reap_until(child *child, long deadline)
{
    for (;;) {
        pid_t got = waitpid(child->pid, &child->wait_status, WNOHANG);
        if (got == child->pid || (got < 0 && errno != EINTR))
            return child->reaped = true;
        if (now_ms() >= deadline)
            return false;
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
}

static void end_by_force(child *child)
{
    if (kill(-child->pid, SIGKILL) != 0)
        kill(child->pid, SIGKILL);
    while (!child->reaped && waitpid(child->pid, &child->wait_status, 0) < 0 && errno == EINTR)
        continue;
    child->reaped = true;
}

/* The line that says what was wrong: gnuplot quotes the command, points with a caret, then explains as
 * "line 12: undefined variable". */
static void pick_complaint(const nb_buffer *complaint, char *text, size_t size)
{
    const char *line = complaint->bytes ? complaint->bytes : "", *best = "";
    size_t n_best = 0;
    while (*line) {
        size_t n = strcspn(line, "\n");
        const char *said = strstr(line, "line ");
        if (n_best == 0 || (said && said < line + n)) {
            best = line + strspn(line, " \t");
            n_best = strcspn(best, "\n");
            if (said && said < line + n)
                break;
        }
        line += n + (line[n] == '\n');
    }
    nb_buffer shown = {0};
    for (size_t i = 0; i < n_best; i++)
        nb_buffer_add(&shown, (unsigned char)best[i] < 0x20 || best[i] == 0x7f ? "?" : best + i, 1);
    snprintf(text, size, "%s", shown.bytes ? shown.bytes : "");
    nb_buffer_free(&shown);
}

static nb_status judge(const child *child, const nb_buffer *complaint, nb_gnuplot_end *end, nb_error *error)
{
    char said[160];
    if (WIFEXITED(child->wait_status) && WEXITSTATUS(child->wait_status) == 0)
        return NB_OK;
    if (WIFEXITED(child->wait_status) && WEXITSTATUS(child->wait_status) == 127) {
        *end = NB_GNUPLOT_MISSING; /* how some systems report a missing program */
        return nb_fail(error, NB_ERR_IO, "gnuplot is not installed; install gnuplot-nox");
    }
    *end = NB_GNUPLOT_FAILED;
    if (WIFSIGNALED(child->wait_status))
        return nb_fail(error, NB_ERR_IO, "gnuplot died of signal %d before the figure was done",
                       WTERMSIG(child->wait_status));
    pick_complaint(complaint, said, sizeof(said));
    return nb_fail(error, NB_ERR_IO, "gnuplot gave up with status %d%s%s", WEXITSTATUS(child->wait_status),
                   said[0] ? ": " : "", said);
}

static nb_status fail_to_start(int code, nb_gnuplot_end *end, nb_error *error)
{
    *end = code == ENOENT || code == EACCES || code == ENOTDIR ? NB_GNUPLOT_MISSING : NB_GNUPLOT_FAILED;
    if (*end == NB_GNUPLOT_MISSING)
        return nb_fail(error, NB_ERR_IO, "gnuplot is not installed; install gnuplot-nox");
    return nb_fail(error, NB_ERR_IO, "gnuplot could not be started: %s", strerror(code));
}

nb_status nb_gnuplot_run(const char *script, size_t n_bytes, int limit_ms, char **out, size_t *n_out,
                         nb_gnuplot_end *end, nb_error *error)
{
    nb_gnuplot_end ignored;
    nb_buffer output = {0}, complaint = {0};
    child child = {.in = -1, .out = -1, .err = -1};
    pipe_guard guard;
    end = end ? end : &ignored;
    *end = NB_GNUPLOT_DONE;
    *out = NULL;
    *n_out = 0;
    int code = start(&child);
    if (code != 0)
        return fail_to_start(code, end, error);

    long deadline = now_ms() + limit_ms;
    guard_begin(&guard);
    bool in_time = converse(&child, script, n_bytes, deadline, &output, &complaint);
    close_fd(&child.in);
    in_time = in_time && reap_until(&child, deadline);
    if (!in_time)
        end_by_force(&child);
    close_fd(&child.out);
    close_fd(&child.err);
    guard_end(&guard);

    nb_status status = NB_OK;
    if (!in_time) {
        *end = NB_GNUPLOT_LATE;
        status =
            nb_fail(error, NB_ERR_IO, "gnuplot was stopped: the figure was not done after %d ms", limit_ms);
    } else {
        status = judge(&child, &complaint, end, error);
    }
    nb_buffer_free(&complaint);
    if (status == NB_OK)
        return nb_buffer_take(&output, out, n_out, error);
    nb_buffer_free(&output);
    return status;
}

void nb_gnuplot_version(char *text, size_t size)
{
    static const char script[] = "set print '-'\nprint GPVAL_VERSION, ' patchlevel ', GPVAL_PATCHLEVEL\n";
    char *out;
    size_t n_out;
    if (size == 0)
        return;
    text[0] = '\0';
    if (nb_gnuplot_run(script, sizeof(script) - 1, NB_GNUPLOT_LIMIT_MS, &out, &n_out, NULL, NULL) != NB_OK)
        return;
    snprintf(text, size, "%.*s", (int)strcspn(out, "\r\n"), out);
    free(out);
}
