#include "repl/edit.h"

#include "repl/complete.h"
#include "repl/draft.h"
#include "repl/past.h"
#include "repl/signals.h"
#include "repl/utf8.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef NB_HAVE_LIBEDIT
#include <histedit.h>
#endif

struct nb_editor {
    nb_notebook *notebook;
    const nb_screen *screen;
    nb_past past;
    bool continuing, dropped;
    char prompt[96];
#ifdef NB_HAVE_LIBEDIT
    EditLine *line;
    History *history;
#else
    char *row; /* getline's */
    size_t row_capacity;
#endif
};

static void write_prompt(nb_editor *editor, const char *escape)
{
    char label[32];
    int width = snprintf(label, sizeof label, "In [%u]:", nb_notebook_next(editor->notebook));
    if (editor->continuing)
        snprintf(label, sizeof label, "%*s", width, "...:");
    const char *colour = editor->screen->colour ? (editor->continuing ? "\x1b[2m" : "\x1b[32m") : "";
    const char *plain = editor->screen->colour ? "\x1b[0m" : "";
    /* libedit hangs an escape on the character after it, so a blank comes last. */
    snprintf(editor->prompt, sizeof editor->prompt, "%s%s%s%s%s%s%s ", escape, colour, escape, label, escape,
             plain, escape);
}

#ifdef NB_HAVE_LIBEDIT

static const char paste_on[] = "\x1b[?2004h", paste_off[] = "\x1b[?2004l";

static nb_editor *editor_of(EditLine *line)
{
    void *editor = NULL;
    el_get(line, EL_CLIENTDATA, &editor);
    return editor;
}

static char *prompt_of(EditLine *line)
{
    nb_editor *editor = editor_of(line);
    write_prompt(editor, "\1");
    return editor->prompt;
}

/* ---- keys ---- */

/* Ctrl-C: the line is dropped, the cell keeps its number. */
static unsigned char on_interrupt(EditLine *line, int key)
{
    (void)key;
    nb_editor *editor = editor_of(line);
    editor->dropped = true;
    fputs("^C\r\n", stdout);
    fflush(stdout);
    return CC_NEWLINE;
}

static unsigned char on_suspend(EditLine *line, int key)
{
    (void)key;
    el_set(line, EL_PREP_TERM, 0);
    raise(SIGTSTP);
    el_set(line, EL_PREP_TERM, 1);
    return CC_REDISPLAY;
}

static unsigned char on_newline(EditLine *line, int key)
{
    (void)key;
    return el_insertstr(line, "\n") == 0 ? CC_REFRESH : CC_ERROR;
}

/* What a terminal sends between ESC[200~ and ESC[201~ is text, newlines too. */
static unsigned char on_paste(EditLine *line, int key)
{
    (void)key;
    static const char end[] = "\x1b[201~";
    size_t n_end = sizeof end - 1;
    nb_draft text = {0};
    char c;
    while (el_getc(line, &c) == 1) {
        if (c == '\r')
            c = '\n';
        if (c != '\0')
            nb_draft_append(&text, &c, 1);
        if (text.n_bytes >= n_end && memcmp(text.text + text.n_bytes - n_end, end, n_end) == 0) {
            text.n_bytes -= n_end;
            break;
        }
    }
    while (text.n_bytes && text.text[text.n_bytes - 1] == '\n')
        text.n_bytes--; /* the newline after a copied line is not meant to start the cell */
    if (text.text)
        text.text[text.n_bytes] = '\0';
    int failed = text.n_bytes && !text.failed ? el_insertstr(line, text.text) : 0;
    nb_draft_free(&text);
    return failed ? CC_ERROR : CC_REFRESH;
}

static void list_choices(const nb_choices *choices, int columns)
{
    size_t widest = 0;
    for (size_t i = 0; i < choices->count; i++)
        widest = nb_max_size(widest, nb_utf8_width(choices->names[i], strlen(choices->names[i])));
    size_t per_row = nb_max_size(1, (size_t)columns / (widest + 2)),
           n_rows = nb_div_up(choices->count, per_row);
    fputc('\n', stdout);
    for (size_t row = 0; row < n_rows; row++) {
        for (size_t i = row; i < choices->count; i += n_rows) {
            const char *name = choices->names[i];
            int padding = (int)(widest + 2 - nb_utf8_width(name, strlen(name)));
            printf("%s%*s", name, i + n_rows < choices->count ? padding : 0, "");
        }
        fputc('\n', stdout);
    }
    fflush(stdout);
}

static unsigned char on_tab(EditLine *line, int key)
{
    (void)key;
    nb_editor *editor = editor_of(line);
    const LineInfo *info = el_line(line);
    size_t n = (size_t)(info->cursor - info->buffer);
    nb_choices choices;
    nb_complete(editor->notebook, info->buffer, n, &choices);
    size_t typed = n - choices.word, common = nb_choices_common(&choices);
    unsigned char result = CC_ERROR;
    if (choices.count == 1 || common > typed) {
        bool whole = choices.count == 1 && nb_choice_is_whole(choices.names[0]);
        char quote = choices.names[0][0] == '"' || choices.names[0][0] == '\'' ? choices.names[0][0] : '\0';
        char *word = nb_format_text("%.*s%.1s%s", (int)common, choices.names[0],
                                    whole && quote ? choices.names[0] : "", whole ? " " : "");
        if (word) {
            el_deletestr(line, (int)nb_utf8_width(info->buffer + choices.word, typed));
            result = el_insertstr(line, word) == 0 ? CC_REFRESH : CC_ERROR;
        }
        free(word);
    } else if (choices.count > 1) {
        list_choices(&choices, editor->screen->columns);
        result = CC_REDISPLAY;
    }
    nb_choices_free(&choices);
    return result;
}

/* ---- setting up ---- */

static void recall(void *user, const char *cell)
{
    nb_editor *editor = user;
    HistEvent event;
    history(editor->history, &event, H_ENTER, cell);
}

static void bind_keys(EditLine *line)
{
    el_set(line, EL_EDITOR, "emacs");
    el_wset(line, EL_ADDFN, L"nibble-complete", L"Complete the word", on_tab);
    el_wset(line, EL_ADDFN, L"nibble-interrupt", L"Drop the line", on_interrupt);
    el_wset(line, EL_ADDFN, L"nibble-suspend", L"Let the shell take over for a while", on_suspend);
    el_wset(line, EL_ADDFN, L"nibble-newline", L"Start another line of this cell", on_newline);
    el_wset(line, EL_ADDFN, L"nibble-paste", L"Take what the terminal pastes", on_paste);
    el_set(line, EL_BIND, "^I", "nibble-complete", NULL);
    el_set(line, EL_BIND, "^C", "nibble-interrupt", NULL);
    el_set(line, EL_BIND, "^Z", "nibble-suspend", NULL);
    el_set(line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(line, EL_BIND, "\\e^J", "nibble-newline", NULL);
    el_set(line, EL_BIND, "\\e^M", "nibble-newline", NULL);
    el_set(line, EL_BIND, "\\e[200~", "nibble-paste", NULL);
    el_set(line, EL_BIND, "\\e[3~", "ed-delete-next-char", NULL);
    el_set(line, EL_BIND, "\\e[H", "ed-move-to-beg", NULL);
    el_set(line, EL_BIND, "\\e[F", "ed-move-to-end", NULL);
    el_set(line, EL_BIND, "\\e[1;5D", "ed-prev-word", NULL);
    el_set(line, EL_BIND, "\\e[1;5C", "em-next-word", NULL);
    /* While a line is edited, Ctrl-C and Ctrl-Z are keys like any other. */
    el_set(line, EL_SETTY, "-d", "-isig", NULL);
}

static nb_status start_libedit(nb_editor *editor, nb_error *error)
{
    HistEvent event;
    editor->line = el_init("nibble", stdin, stdout, stderr);
    editor->history = history_init();
    if (!editor->line || !editor->history)
        return nb_fail(error, NB_ERR_MEMORY, "the line editor could not be started");
    history(editor->history, &event, H_SETSIZE, 2000);
    history(editor->history, &event, H_SETUNIQUE, 1);
    el_set(editor->line, EL_CLIENTDATA, editor);
    el_set(editor->line, EL_PROMPT_ESC, prompt_of, '\1');
    el_set(editor->line, EL_HIST, history, editor->history);
    el_set(editor->line, EL_SIGNAL, 1);
    bind_keys(editor->line);
    nb_past_open(&editor->past, recall, editor);
    return NB_OK;
}

bool nb_editor_can_offer(void)
{
    return true;
}

/* As if it were typed, but with the key that starts another line of the cell for its newlines. */
void nb_editor_offer(nb_editor *editor, const char *text)
{
    nb_draft keys = {0};
    size_t n = strlen(text);
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n')
            nb_draft_add(&keys, "\x1b\n");
        else if ((unsigned char)text[i] >= 0x20 && text[i] != 0x7f)
            nb_draft_append(&keys, &text[i], 1);
        else
            nb_draft_add(&keys, "    ");
    }
    if (keys.n_bytes && !keys.failed)
        el_push(editor->line, keys.text);
    nb_draft_free(&keys);
}

/* One line with its newline, borrowed; NULL at the end. */
static const char *read_line(nb_editor *editor)
{
    int n = 0;
    fputs(paste_on, stdout);
    nb_signals_leave_with(paste_off);
    const char *text = el_gets(editor->line, &n);
    nb_signals_leave_with(NULL);
    fputs(paste_off, stdout);
    fflush(stdout);
    return n > 0 ? text : NULL;
}

static void keep(nb_editor *editor, const char *cell)
{
    recall(editor, cell);
    nb_past_add(&editor->past, cell);
}

static void stop_libedit(nb_editor *editor)
{
    if (editor->history)
        history_end(editor->history);
    if (editor->line)
        el_end(editor->line);
}

#else

bool nb_editor_can_offer(void)
{
    return false;
}

void nb_editor_offer(nb_editor *editor, const char *text)
{
    (void)editor, (void)text;
}

static nb_status start_libedit(nb_editor *editor, nb_error *error)
{
    (void)editor, (void)error;
    return NB_OK;
}

static const char *read_line(nb_editor *editor)
{
    write_prompt(editor, "");
    fputs(editor->prompt, stdout);
    fflush(stdout);
    return getline(&editor->row, &editor->row_capacity, stdin) > 0 ? editor->row : NULL;
}

static void keep(nb_editor *editor, const char *cell)
{
    (void)editor, (void)cell;
}

static void stop_libedit(nb_editor *editor)
{
    free(editor->row);
}

#endif

nb_status nb_editor_create(nb_notebook *notebook, const nb_screen *screen, nb_editor **out, nb_error *error)
{
    nb_editor *editor = nb_calloc(1, sizeof *editor);
    if (!editor)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the line editor");
    editor->notebook = notebook;
    editor->screen = screen;
    nb_status status = start_libedit(editor, error);
    if (status != NB_OK)
        nb_editor_destroy(&editor);
    *out = editor;
    return status;
}

char *nb_editor_read(nb_editor *editor)
{
    nb_draft cell = {0};
    editor->continuing = false;
    for (;;) {
        const char *line = read_line(editor);
        if (editor->dropped) {
            editor->dropped = editor->continuing = false;
            nb_draft_free(&cell);
            continue;
        }
        if (!line) {
            nb_draft_free(&cell);
            return NULL;
        }
        nb_draft_add(&cell, line);
        if (cell.n_bytes && cell.text[cell.n_bytes - 1] == '\n')
            cell.text[--cell.n_bytes] = '\0';
        if (cell.failed || !nb_parse_wants_more(cell.text, cell.n_bytes))
            break;
        nb_draft_add(&cell, "\n");
        editor->continuing = true;
    }
    char *text = nb_draft_take(&cell);
    if (text && text[strspn(text, " \t\n")])
        keep(editor, text);
    return text;
}

void nb_editor_destroy(nb_editor **editor)
{
    if (!*editor)
        return;
    stop_libedit(*editor);
    nb_past_close(&(*editor)->past);
    free(*editor);
    *editor = NULL;
}
