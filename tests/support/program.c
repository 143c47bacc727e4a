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

char program[PATH_MAX];
char *program_out, *program_err;
int program_status;

bool program_find(const char *test)
{
    char here[PATH_MAX];
    if (!realpath(test, here)) {
        perror(test);
        return false;
    }
    for (int up = 0; up < 3; up++)
        *strrchr(here, '/') = '\0';
    return snprintf(program, sizeof program, "%s/nibble", here) < (int)sizeof program;
}

void program_run(const char *input, ...)
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
    snprintf(paths[0], sizeof paths[0], "%s", temporary_file("in", input ? input : "", input ? strlen(input) : 0));
    snprintf(paths[1], sizeof paths[1], "%s", temporary_path("out"));
    snprintf(paths[2], sizeof paths[2], "%s", temporary_path("err"));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!freopen(paths[0], "r", stdin) || !freopen(paths[1], "w", stdout) || !freopen(paths[2], "w", stderr))
            _exit(126);
        execv(program, (char *const *)words);
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    assert_true(WIFEXITED(status));
    program_status = WEXITSTATUS(status);
    program_forget();
    program_out = read_whole_text(paths[1]);
    program_err = read_whole_text(paths[2]);
}

void program_forget(void)
{
    free(program_out);
    free(program_err);
    program_out = program_err = NULL;
}

void program_succeeded(void)
{
    if (program_status != 0 || *program_err)
        fail_msg("status %d: %s", program_status, program_err);
}

void program_failed(const char *part)
{
    const size_t n = strlen(program_err);
    if (program_status == 0 || !strstr(program_err, part) || strncmp(program_err, "nibble: ", 8) != 0 ||
        strchr(program_err, '\n') != program_err + n - 1)
        fail_msg("not \"%s\" but: %s", part, program_err);
}
