#include "repl/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* A signal handler has no other way to reach the context than through the file. */
static nb_context *_Atomic watched;
static atomic_bool running, late;
static atomic_uint presses;
static const char *_Atomic last_words;

static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written; /* there is nobody to tell */
}

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    nb_context *context = atomic_load(&watched);
    if (!context || !atomic_load(&running))
        return;
    atomic_store(&context->cancel, true);
    if (atomic_fetch_add(&presses, 1) == 1)
        say("\r\n  stopping at the next chance; Ctrl-\\ ends nibble at once\r\n");
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
    nb_context *context = atomic_load(&watched);
    atomic_store(&late, true);
    if (context && atomic_load(&running))
        atomic_store(&context->cancel, true);
}

static void on_end(int signal_number)
{
    const char *sequence = atomic_load(&last_words);
    if (sequence)
        say(sequence);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void nb_signals_leave_with(const char *sequence)
{
    atomic_store(&last_words, sequence);
}

void nb_signals_install(nb_context *context)
{
    atomic_store(&watched, context);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_interrupt;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, NULL);
    action.sa_handler = on_end;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL);
}

void nb_signals_limit(unsigned seconds)
{
    atomic_store(&late, false);
    alarm(seconds);
}

bool nb_signals_late(void)
{
    return atomic_load(&late);
}

void nb_signals_remove(void)
{
    nb_signals_limit(0);
    atomic_store(&watched, NULL);
    signal(SIGALRM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
}

void nb_signals_begin(void)
{
    nb_context *context = atomic_load(&watched);
    if (context)
        atomic_store(&context->cancel, atomic_load(&late));
    atomic_store(&presses, 0);
    atomic_store(&running, true);
}

bool nb_signals_end(void)
{
    nb_context *context = atomic_load(&watched);
    atomic_store(&running, false);
    if (context)
        atomic_store(&context->cancel, false);
    return atomic_load(&presses) > 0;
}
