#include "repl/render.h"

#include "base/memory.h"
#include "repl/markdown.h"
#include "repl/render_table.h"
#include "repl/utf8.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { INDENT = 2, NARROWEST = 40, ELSEWHERE = 80, LOWEST = 16 /* rows that a picture is made for */ };

/* ---- the screen ---- */

void nb_screen_init(nb_screen *screen, FILE *out)
{
    *screen = (nb_screen){.out = out, .columns = ELSEWHERE, .utf8 = true, .at_line_start = true};
    screen->is_terminal = isatty(fileno(out));
    if (!screen->is_terminal)
        return; /* files and pipes are UTF-8, whatever the locale */
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    screen->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    screen->colour = term && strcmp(term, "dumb") != 0 && !(no_colour && *no_colour);
    nb_screen_measure(screen);
}

void nb_screen_free(nb_screen *screen)
{
    nb_draft_free(&screen->stream_word);
}

void nb_screen_measure(nb_screen *screen)
{
    struct winsize size;
    if (!screen->is_terminal)
        return;
    if (ioctl(fileno(screen->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        screen->columns = size.ws_col < NARROWEST ? NARROWEST : size.ws_col;
    if (screen->probed && size.ws_col > 0) {
        screen->terminal.columns = size.ws_col;
        screen->terminal.rows = size.ws_row;
    }
}

const nb_terminal *nb_screen_terminal(nb_screen *screen)
{
    if (!screen->probed) {
        if (screen->is_terminal)
            nb_terminal_probe(&screen->terminal);
        else
            screen->terminal =
                (nb_terminal){.utf8 = true, .columns = ELSEWHERE, .rows = 24, .picture = NB_PICTURE_BRAILLE};
        screen->probed = true;
    }
    return &screen->terminal;
}

/* ---- text with marks ---- */

static const char *escape_of(char mark)
{
    switch (mark) {
    case '\x02':
        return "\x1b[36m"; /* a command: cyan */
    case '\x03':
        return "\x1b[1m";
    case '\x04':
        return "\x1b[2m";
    case '\x05':
        return "\x1b[33m";
    case '\x07':
        return "\x1b[3m";
    default:
        return NULL;
    }
}

/* What a screen without UTF-8 shows for the few signs that nibble itself uses. */
static const char *ascii_for(uint32_t code_point)
{
    switch (code_point) {
    case 0xb1:
        return "+/-";
    case 0xb7:
        return "-";
    case 0xd7:
        return "x";
    case 0x2026:
        return "...";
    case 0x2039:
        return "<";
    case 0x203a:
        return ">";
    case 0x2192:
        return "->";
    case 0x2013:
    case 0x2014:
        return "-";
    default:
        return "?";
    }
}

static void add_code_point(const nb_screen *screen, const char *text, size_t used, uint32_t code_point,
                           nb_draft *out)
{
    bool control = code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0);
    if (control)
        nb_draft_add(out, "?"); /* nothing from a file or a model may steer the terminal */
    else if (code_point == 0xfffd && used == 1)
        nb_draft_add(out, screen->utf8 ? "\xef\xbf\xbd" : "?");
    else if (code_point >= 0x80 && !screen->utf8)
        nb_draft_add(out, ascii_for(code_point));
    else
        nb_draft_append(out, text, used);
}

void nb_render_span(const nb_screen *screen, const char *text, size_t n, char *mark, nb_draft *out)
{
    const char *escape = escape_of(*mark);
    bool lit = screen->colour && escape;
    if (lit)
        nb_draft_add(out, escape);
    for (size_t i = 0, used; i < n; i += used) {
        uint32_t code_point = nb_utf8_decode(text + i, n - i, &used);
        if (code_point >= 1 && code_point <= 7) {
            if (lit)
                nb_draft_add(out, "\x1b[0m");
            *mark = code_point == 6 ? 0 : (char)code_point;
            escape = escape_of(*mark);
            lit = screen->colour && escape;
            if (lit)
                nb_draft_add(out, escape);
            continue;
        }
        add_code_point(screen, text + i, used, code_point, out);
    }
    if (lit)
        nb_draft_add(out, "\x1b[0m");
}

size_t nb_render_line_length(const char *text, size_t n)
{
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\n'))
        n--;
    return n;
}

size_t nb_render_blanks_after(const char *text, size_t taken)
{
    return taken && text[taken - 1] == '\n' ? 0 : strspn(text + taken, " ");
}

void nb_render_paragraph(const nb_screen *screen, const char *text, size_t indent, nb_draft *out)
{
    size_t n = strlen(text), columns = (size_t)screen->columns - indent;
    char mark = 0;
    for (size_t at = 0; at < n;) {
        size_t taken = nb_utf8_fit(text + at, n - at, columns, true);
        size_t shown = nb_render_line_length(text + at, taken);
        if (shown) {
            nb_draft_repeat(out, " ", indent);
            nb_render_span(screen, text + at, shown, &mark, out);
        }
        nb_draft_add(out, "\n");
        at += taken + nb_render_blanks_after(text + at, taken);
    }
}

/* ---- items ---- */

static void render_value(const nb_screen *screen, const char *text, unsigned cell, nb_draft *out)
{
    char label[32] = "";
    if (cell)
        snprintf(label, sizeof label, "Out[%u]: ", cell);
    nb_draft body = {0};
    nb_render_paragraph(screen, text, strlen(label), &body);
    if (screen->colour && cell)
        nb_draft_addf(out, "\x1b[31m%s\x1b[0m", label);
    else
        nb_draft_add(out, label);
    const char *rendered = nb_draft_text(&body);
    nb_draft_add(out, strlen(rendered) > strlen(label) ? rendered + strlen(label) : "\n");
    nb_draft_free(&body);
}

static void render_figure(nb_screen *screen, const nb_figure *figure, nb_draft *out)
{
    nb_terminal terminal = *nb_screen_terminal(screen);
    if (screen->picture != NB_PICTURE_AUTO)
        terminal.picture = screen->picture;
    terminal.colour = screen->colour;
    if (terminal.rows - screen->rows_kept >= LOWEST)
        terminal.rows -= screen->rows_kept;
    if (terminal.picture == NB_PICTURE_NONE) {
        nb_render_paragraph(screen, figure->sentence, INDENT, out);
        return;
    }
    char *bytes = NULL;
    size_t n_bytes = 0;
    const char *notice = "";
    nb_error error;
    if (nb_figure_render(figure, &terminal, &bytes, &n_bytes, &notice, &error) == NB_OK)
        nb_draft_append(out, bytes, n_bytes);
    else
        nb_render_paragraph(screen, error.text, INDENT, out);
    free(bytes);
    if (notice && *notice)
        nb_render_paragraph(screen, notice, INDENT, out);
}

/* A model's own text: its lines and spaces as they are, wrapped, never steering the terminal. */
static void render_literal(const nb_screen *screen, const char *text, nb_draft *out)
{
    size_t n = strlen(text);
    char mark = 0;
    for (size_t at = 0; at < n;) {
        size_t columns = screen->is_terminal ? (size_t)screen->columns - INDENT : SIZE_MAX;
        size_t taken = nb_utf8_fit(text + at, n - at, columns, true);
        size_t shown = taken && text[at + taken - 1] == '\n' ? taken - 1 : taken;
        nb_draft_repeat(out, " ", INDENT);
        nb_render_span(screen, text + at, shown, &mark, out);
        nb_draft_add(out, "\n");
        at += taken;
    }
}

void nb_render_items(nb_screen *screen, const nb_items *items, unsigned cell, nb_draft *out)
{
    for (size_t i = 0; i < items->count; i++) {
        const nb_item *item = &items->items[i];
        const char *text = item->text ? item->text : "";
        switch (item->kind) {
        case NB_ITEM_TEXT:
            nb_render_paragraph(screen, text, INDENT, out);
            break;
        case NB_ITEM_VALUE:
            render_value(screen, text, cell, out);
            break;
        case NB_ITEM_TABLE:
            nb_render_table(screen, &item->table, INDENT, out);
            break;
        case NB_ITEM_FIGURE:
            render_figure(screen, &item->figure, out);
            break;
        case NB_ITEM_MARKDOWN:
            nb_markdown_render(screen, text, strlen(text), out);
            break;
        case NB_ITEM_LITERAL:
            if (!item->streamed)
                render_literal(screen, text, out);
            break;
        }
    }
}

void nb_screen_show(nb_screen *screen, const nb_items *items, unsigned cell)
{
    nb_screen_measure(screen);
    nb_draft out = {0};
    nb_render_items(screen, items, cell, &out);
    if (out.n_bytes)
        fwrite(out.text, 1, out.n_bytes, screen->out);
    fflush(screen->out);
    nb_draft_free(&out);
}

/* ---- streams ---- */

static void start_line(nb_screen *screen)
{
    fprintf(screen->out, "%*s", INDENT, "");
    screen->stream_column = INDENT;
    screen->at_line_start = false;
}

/* The word that was held back, after the blanks before it, or on a new line without them if it
 * does not fit. */
static void flush_word(nb_screen *screen)
{
    nb_draft *word = &screen->stream_word;
    if (word->n_bytes == 0)
        return;
    size_t width = nb_utf8_width(word->text, word->n_bytes);
    bool fits = screen->stream_column + screen->stream_blanks + width <= (size_t)screen->columns;
    if (!screen->at_line_start && !fits && screen->stream_column > INDENT) {
        fputc('\n', screen->out);
        start_line(screen);
        screen->stream_blanks = 0;
    }
    if (screen->at_line_start)
        start_line(screen);
    nb_draft shown = {0};
    char mark = 0;
    nb_draft_repeat(&shown, " ", screen->stream_blanks);
    nb_render_span(screen, word->text, word->n_bytes, &mark, &shown);
    fwrite(nb_draft_text(&shown), 1, shown.n_bytes, screen->out);
    nb_draft_free(&shown);
    screen->stream_column += screen->stream_blanks + width;
    screen->stream_blanks = 0;
    word->n_bytes = 0;
}

void nb_screen_stream(nb_screen *screen, const char *text, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) {
        char c = text[i];
        if (c == '\n') {
            flush_word(screen);
            fputc('\n', screen->out);
            screen->at_line_start = true;
            screen->stream_column = screen->stream_blanks = 0;
        } else if (c == ' ') {
            flush_word(screen);
            screen->stream_blanks++;
        } else {
            char visible = c == '\0' ? '?' : c;
            nb_draft_append(&screen->stream_word, &visible, 1);
        }
    }
    /* A long run without a blank is shown as it comes, so that nothing seems to hang. */
    if (screen->stream_word.n_bytes > (size_t)screen->columns / 2)
        flush_word(screen);
    fflush(screen->out);
}

void nb_screen_stream_end(nb_screen *screen)
{
    flush_word(screen);
    if (!screen->at_line_start)
        fputc('\n', screen->out);
    screen->at_line_start = true;
    screen->stream_column = screen->stream_blanks = 0;
    fflush(screen->out);
}
