#include "repl/progress.h"

#include "repl/notebook.h"
#include "repl/utf8.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR = 24 };

static int terminal_columns(FILE *out)
{
    struct winsize size;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* "41 of 512 tokens", "1.2 MB of 6.9 MB". */
static void describe_amount(char *text, size_t size, uint64_t done, uint64_t total, const char *unit)
{
    char a[32], b[32];
    bool bytes = strcmp(unit, "bytes") == 0;
    (bytes ? nb_print_bytes : nb_print_count)(a, sizeof a, done);
    (bytes ? nb_print_bytes : nb_print_count)(b, sizeof b, total);
    snprintf(text, size, "%s of %s%s%.24s", a, b, bytes ? "" : " ", bytes ? "" : unit);
}

static void fit_line(const char *line, int columns, char *text, size_t size)
{
    size_t n = nb_utf8_fit(line, strlen(line), (size_t)(columns > 1 ? columns - 1 : 1), false);
    snprintf(text, size, "%.*s", (int)n, line);
}

void nb_progress_line(char *text, size_t size, int columns, bool utf8, const char *what, uint64_t done,
                      uint64_t total, const char *unit, double elapsed)
{
    char bar[BAR * 3 + 1] = "", amount[96], left[48] = "", line[320];
    double share = total ? (double)done / (double)total : 0;
    share = share > 1 ? 1 : share;
    for (int i = 0; i < BAR; i++)
        strcat(bar, (i + 0.5) / BAR <= share ? (utf8 ? "█" : "#") : (utf8 ? "░" : "."));
    if (total == 0) {
        char count[32];
        nb_print_count(count, sizeof count, done);
        snprintf(line, sizeof line, "  %s  %s %s %s Ctrl-C stops", what, count, unit, utf8 ? "·" : "-");
        fit_line(line, columns, text, size);
        return;
    }
    describe_amount(amount, sizeof amount, done, total, unit);
    if (share > 0.02 && elapsed > 1) {
        char seconds[32];
        nb_print_fixed(seconds, sizeof seconds, elapsed / share * (1 - share), 0);
        snprintf(left, sizeof left, " %s %s s left", utf8 ? "·" : "-", seconds);
    }
    snprintf(line, sizeof line, "  %s  %s  %s%s", what, bar, amount, left);
    fit_line(line, columns, text, size);
}

static void draw(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    nb_progress *progress = user;
    double now = nb_seconds_now();
    progress->done = done;
    progress->total = total;
    snprintf(progress->unit, sizeof progress->unit, "%s", unit);
    if (!progress->draws)
        return;
    if (strncmp(progress->what, what, sizeof progress->what - 1) != 0) {
        snprintf(progress->what, sizeof progress->what, "%s", what);
        progress->started = now;
    }
    if (now - progress->started < 0.2 || now - progress->drawn < 0.08)
        return;
    char line[384];
    nb_progress_line(line, sizeof line, terminal_columns(progress->out), progress->utf8, what, done, total,
                     unit, now - progress->started);
    fprintf(progress->out, "\r%s%s%s\x1b[K", progress->colour ? "\x1b[2m" : "", line,
            progress->colour ? "\x1b[0m" : "");
    fflush(progress->out);
    progress->shown = true;
    progress->drawn = now;
}

void nb_progress_attach(nb_progress *progress, nb_context *context)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool dumb = !term || strcmp(term, "dumb") == 0;
    *progress = (nb_progress){.out = stderr, .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    progress->colour = !(no_colour && *no_colour);
    progress->draws = !dumb && isatty(fileno(stderr));
    context->progress = draw;
    context->progress_user = progress;
}

void nb_progress_clear(nb_progress *progress)
{
    if (progress->shown) {
        fputs("\r\x1b[K", progress->out);
        fflush(progress->out);
    }
    progress->shown = false;
    progress->what[0] = '\0';
    progress->drawn = 0;
}

void nb_progress_stopped(const nb_progress *progress, char *text, size_t size)
{
    char amount[96];
    describe_amount(amount, sizeof amount, progress->done, progress->total, progress->unit);
    snprintf(text, size, "stopped%s%s; nothing was changed", progress->total ? " after " : "",
             progress->total ? amount : "");
}
