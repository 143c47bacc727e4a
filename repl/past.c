#include "repl/past.h"

#include "base/memory.h"
#include "repl/data.h"
#include "repl/draft.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT = 1000, MOST_BYTES = 1 << 20 };

static void unescape(char *line)
{
    char *to = line;
    for (const char *from = line; *from; from++) {
        if (*from == '\\' && from[1])
            *to++ = *++from == 'n' ? '\n' : *from;
        else
            *to++ = *from;
    }
    *to = '\0';
}

/* The file's last lines, as many as are kept, in their order. */
static void read_cells(const char *text, void (*each)(void *user, const char *cell), void *user)
{
    const char *begin = text + strlen(text);
    for (size_t lines = 0; begin > text; begin--) {
        if (begin[-1] == '\n' && *begin && ++lines == KEPT)
            break;
    }
    while (*begin) {
        size_t n = strcspn(begin, "\n");
        char *cell = nb_format_text("%.*s", (int)n, begin);
        if (cell && *cell) {
            unescape(cell);
            each(user, cell);
        }
        free(cell);
        begin += n + (begin[n] == '\n');
    }
}

void nb_past_open(nb_past *past, void (*each)(void *user, const char *cell), void *user)
{
    past->path = nb_data_path("history");
    FILE *file = past->path ? fopen(past->path, "r") : NULL;
    char *text = file ? nb_calloc(MOST_BYTES + 1, 1) : NULL;
    if (text) {
        if (fseek(file, -(long)MOST_BYTES, SEEK_END) != 0)
            rewind(file);
        text[fread(text, 1, MOST_BYTES, file)] = '\0';
        read_cells(text, each, user);
    }
    free(text);
    if (file)
        fclose(file);
}

void nb_past_add(const nb_past *past, const char *cell)
{
    nb_draft line = {0};
    for (const char *c = cell; *c; c++) {
        if (*c == '\n')
            nb_draft_add(&line, "\\n");
        else if (*c == '\\')
            nb_draft_add(&line, "\\\\");
        else
            nb_draft_append(&line, c, 1);
    }
    nb_draft_add(&line, "\n");
    /* One write to the file's end, so that two notebooks can keep one history. */
    int file = past->path && !line.failed ? open(past->path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (file >= 0) {
        ssize_t written = write(file, line.text, line.n_bytes);
        (void)written; /* a history that cannot be kept is not worth an error */
        close(file);
    }
    nb_draft_free(&line);
}

void nb_past_close(nb_past *past)
{
    free(past->path);
    past->path = NULL;
}
