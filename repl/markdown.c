#include "repl/markdown.h"

#include "base/memory.h"
#include "repl/formula.h"
#include "repl/render_table.h"
#include "repl/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { WIDEST = 80, INDENT = 2 };

/* Lines of prose: `first` stands before the first, `rest` before the others. */
static void add_lines(const nb_screen *screen, const char *text, const char *first, const char *rest,
                      nb_draft *out)
{
    const size_t n = strlen(text), used = nb_utf8_width(first, strlen(first));
    const size_t columns = nb_min_size((size_t)screen->columns, WIDEST);
    const size_t room = columns > used + 16 ? columns - used : 16;
    const char *before = first;
    char mark = 0;
    for (size_t at = 0; at < n;) {
        const size_t taken = nb_utf8_fit(text + at, n - at, room, true);
        const size_t shown = nb_render_line_length(text + at, taken);
        char none = 0;
        nb_render_span(screen, before, shown ? strlen(before) : nb_render_line_length(before, strlen(before)),
                       &none, out);
        nb_render_span(screen, text + at, shown, &mark, out);
        nb_draft_add(out, "\n");
        at += taken + nb_render_blanks_after(text + at, taken);
        before = rest;
    }
}

#ifdef NB_HAVE_MD4C
#include <md4c.h>

enum { DEEPEST = 16, MOST_COLUMNS = 12 };

typedef struct list {
    bool ordered, tight;
    unsigned next;
} list;

typedef struct writer {
    const nb_screen *screen;
    nb_draft *out;
    nb_draft text;       /* of the block being read, with marks */
    char marks[DEEPEST]; /* of the spans that are open */
    size_t n_marks;
    nb_draft prefix; /* what stands before every line: quotes, lists' indents */
    nb_draft bullet; /* before the next line, instead of the prefix; empty: none */
    size_t prefix_ends[DEEPEST];
    size_t n_prefixes;
    list lists[DEEPEST];
    size_t n_lists;
    bool started, close; /* close: no blank line before the next block */
    unsigned heading;
    size_t skip; /* spans inside an image's text */
    nb_draft formula;
    nb_table table;
    nb_column columns[MOST_COLUMNS];
    char *titles[MOST_COLUMNS];
    size_t column;
    bool in_head;
    bool failed;
} writer;

static const char *sign(const writer *w, const char *utf8, const char *ascii)
{
    return w->screen->utf8 ? utf8 : ascii;
}

/* ---- prefixes ---- */

static void push_prefix(writer *w, const char *text)
{
    if (w->n_prefixes < DEEPEST)
        w->prefix_ends[w->n_prefixes] = w->prefix.n_bytes;
    w->n_prefixes++;
    nb_draft_add(&w->prefix, text);
}

static void pop_prefix(writer *w)
{
    w->n_prefixes--;
    if (w->n_prefixes < DEEPEST && w->prefix.text) {
        w->prefix.n_bytes = w->prefix_ends[w->n_prefixes];
        w->prefix.text[w->prefix.n_bytes] = '\0';
    }
}

/* A blank line between blocks. */
static void separate(writer *w)
{
    if (w->started && !w->close && !w->bullet.n_bytes) {
        const char *prefix = nb_draft_text(&w->prefix);
        char none = 0;
        nb_render_span(w->screen, prefix, nb_render_line_length(prefix, strlen(prefix)), &none, w->out);
        nb_draft_add(w->out, "\n");
    }
    w->close = true;
}

static void begin_block(writer *w)
{
    separate(w);
    w->started = true;
    w->close = false;
}

static void add_block(writer *w, const char *text)
{
    begin_block(w);
    const char *rest = nb_draft_text(&w->prefix);
    add_lines(w->screen, text, w->bullet.n_bytes ? w->bullet.text : rest, rest, w->out);
    nb_draft_free(&w->bullet);
}

static void flush(writer *w)
{
    if (w->text.n_bytes)
        add_block(w, w->text.text);
    nb_draft_free(&w->text);
}

/* ---- blocks ---- */

static void end_heading(writer *w)
{
    nb_draft marked = {0};
    const size_t width = nb_utf8_width(nb_draft_text(&w->text), w->text.n_bytes);
    const size_t room = nb_min_size((size_t)w->screen->columns, WIDEST);
    nb_draft_addf(&marked, NB_STRONG "%s" NB_END, nb_draft_text(&w->text));
    add_block(w, nb_draft_text(&marked));
    if (w->heading == 1) {
        nb_draft_add(w->out, w->screen->colour ? "\x1b[1m" : "");
        nb_draft_repeat(w->out, sign(w, "━", "="), nb_min_size(width, room));
        nb_draft_add(w->out, w->screen->colour ? "\x1b[0m\n" : "\n");
    } else if (!w->screen->colour) {
        nb_draft_repeat(w->out, sign(w, "─", "-"), nb_min_size(width, room));
        nb_draft_add(w->out, "\n");
    }
    nb_draft_free(&marked);
    nb_draft_free(&w->text);
    w->heading = 0;
}

/* Code stands as it is, indented; what is too long for the line goes on in the next. */
static void end_code(writer *w)
{
    char *saveptr = nb_draft_take(&w->text);
    begin_block(w);
    for (char *line = saveptr; line && *line;) {
        const size_t n = strcspn(line, "\n");
        const bool more = line[n] == '\n';
        line[n] = '\0';
        nb_draft marked = {0}, before = {0};
        nb_draft_addf(&before, "%s    ", w->bullet.n_bytes ? w->bullet.text : nb_draft_text(&w->prefix));
        nb_draft_addf(&marked, NB_COMMAND "%s" NB_END, line);
        add_lines(w->screen, nb_draft_text(&marked), nb_draft_text(&before), nb_draft_text(&before), w->out);
        nb_draft_free(&marked);
        nb_draft_free(&before);
        nb_draft_free(&w->bullet);
        line += n + more;
    }
    free(saveptr);
}

static void begin_item(writer *w, const MD_BLOCK_LI_DETAIL *detail)
{
    char bullet[24];
    list *l = w->n_lists && w->n_lists <= DEEPEST ? &w->lists[w->n_lists - 1] : NULL;
    flush(w);
    if (l && l->ordered)
        snprintf(bullet, sizeof bullet, "%u. ", l->next++);
    else
        snprintf(bullet, sizeof bullet, "%s ", sign(w, "•", "-"));
    if (detail->is_task)
        snprintf(bullet + strlen(bullet), sizeof bullet - strlen(bullet), "[%c] ", detail->task_mark);
    nb_draft first = {0}, indent = {0};
    nb_draft_addf(&first, "%s%s%s", w->bullet.n_bytes ? w->bullet.text : nb_draft_text(&w->prefix),
                  w->n_lists < 2 ? "  " : "", bullet);
    nb_draft_repeat(&indent, " ", nb_utf8_width(bullet, strlen(bullet)) + (w->n_lists < 2 ? 2 : 0));
    separate(w);
    push_prefix(w, nb_draft_text(&indent));
    nb_draft_free(&w->bullet);
    w->bullet = first;
    nb_draft_free(&indent);
}

static void begin_list(writer *w, bool ordered, bool tight, unsigned start)
{
    const bool nested = w->n_lists > 0;
    flush(w);
    if (w->n_lists < DEEPEST)
        w->lists[w->n_lists] = (list){ordered, tight, start};
    w->n_lists++;
    w->close = nested && tight;
}

static void end_item(writer *w)
{
    flush(w);
    pop_prefix(w);
    nb_draft_free(&w->bullet);
    const list *l = w->n_lists <= DEEPEST ? &w->lists[w->n_lists - 1] : NULL;
    w->close = l && l->tight;
}

/* ---- tables ---- */

static void free_table(writer *w)
{
    for (size_t i = 0; i < w->table.n_rows * w->table.n_columns; i++)
        free(w->table.cells[i].text);
    free(w->table.cells);
    for (size_t c = 0; c < MOST_COLUMNS; c++) {
        free(w->titles[c]);
        w->titles[c] = NULL;
    }
    w->table = (nb_table){0};
}

static void begin_table(writer *w, unsigned n_columns)
{
    flush(w);
    w->table = (nb_table){.columns = w->columns, .n_columns = nb_min_size(n_columns, MOST_COLUMNS)};
}

static void begin_row(writer *w)
{
    w->column = 0;
    if (w->in_head)
        return;
    const size_t n = w->table.n_columns;
    nb_cell *cells = nb_realloc(w->table.cells, (w->table.n_rows + 1) * n, sizeof *cells);
    if (!cells) {
        w->failed = true;
        return;
    }
    memset(cells + w->table.n_rows * n, 0, n * sizeof *cells);
    w->table.cells = cells;
    w->table.n_rows++;
}

static void end_cell(writer *w, MD_ALIGN align)
{
    const size_t c = w->column++;
    char *text = nb_draft_take(&w->text);
    if (c >= w->table.n_columns || w->failed || (!w->in_head && w->table.n_rows == 0)) {
        free(text);
    } else if (w->in_head) {
        w->titles[c] = text;
        w->columns[c] =
            (nb_column){text ? text : "", align == MD_ALIGN_RIGHT ? NB_COLUMN_RIGHT : NB_COLUMN_WRAP};
    } else {
        w->table.cells[(w->table.n_rows - 1) * w->table.n_columns + c].text = text;
    }
}

static void end_table(writer *w)
{
    nb_screen narrower = *w->screen;
    narrower.columns = (int)nb_min_size((size_t)w->screen->columns, WIDEST);
    if (w->table.n_columns) {
        begin_block(w);
        nb_draft_free(&w->bullet);
        nb_render_table(&narrower, &w->table,
                        nb_utf8_width(nb_draft_text(&w->prefix), w->prefix.n_bytes) + INDENT, w->out);
    }
    free_table(w);
}

/* ---- md4c's calls ---- */

static int enter_block(MD_BLOCKTYPE type, void *detail, void *user)
{
    writer *w = user;
    switch (type) {
    case MD_BLOCK_QUOTE:
        flush(w);
        separate(w);
        push_prefix(w, sign(w, NB_MUTED "│" NB_END " ", "| "));
        break;
    case MD_BLOCK_UL:
        begin_list(w, false, ((MD_BLOCK_UL_DETAIL *)detail)->is_tight, 1);
        break;
    case MD_BLOCK_OL:
        begin_list(w, true, ((MD_BLOCK_OL_DETAIL *)detail)->is_tight, ((MD_BLOCK_OL_DETAIL *)detail)->start);
        break;
    case MD_BLOCK_LI:
        begin_item(w, detail);
        break;
    case MD_BLOCK_H:
        w->heading = ((MD_BLOCK_H_DETAIL *)detail)->level;
        break;
    case MD_BLOCK_TABLE:
        begin_table(w, ((MD_BLOCK_TABLE_DETAIL *)detail)->col_count);
        break;
    case MD_BLOCK_THEAD:
        w->in_head = true;
        break;
    case MD_BLOCK_TBODY:
        w->in_head = false;
        break;
    case MD_BLOCK_TR:
        begin_row(w);
        break;
    case MD_BLOCK_HR:
        begin_block(w);
        nb_draft_repeat(w->out, sign(w, "─", "-"), nb_min_size((size_t)w->screen->columns, WIDEST));
        nb_draft_add(w->out, "\n");
        break;
    default:
        break;
    }
    return w->failed;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *user)
{
    writer *w = user;
    switch (type) {
    case MD_BLOCK_QUOTE:
        flush(w);
        pop_prefix(w);
        break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
        w->n_lists--;
        w->close = w->n_lists > 0;
        break;
    case MD_BLOCK_LI:
        end_item(w);
        break;
    case MD_BLOCK_H:
        end_heading(w);
        break;
    case MD_BLOCK_CODE:
        end_code(w);
        break;
    case MD_BLOCK_P:
        flush(w);
        break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
        end_cell(w, ((MD_BLOCK_TD_DETAIL *)detail)->align);
        break;
    case MD_BLOCK_TABLE:
        end_table(w);
        break;
    default:
        break;
    }
    return w->failed;
}

/* Spans nest in Markdown and marks do not: a span that ends brings back the mark around it. */
static void open_mark(writer *w, const char *mark)
{
    if (w->n_marks < DEEPEST)
        w->marks[w->n_marks] = *mark;
    w->n_marks++;
    nb_draft_add(&w->text, mark);
}

static void close_mark(writer *w)
{
    nb_draft_add(&w->text, NB_END);
    if (--w->n_marks && w->n_marks <= DEEPEST)
        nb_draft_append(&w->text, &w->marks[w->n_marks - 1], 1);
}

static int enter_span(MD_SPANTYPE type, void *detail, void *user)
{
    writer *w = user;
    (void)detail;
    switch (type) {
    case MD_SPAN_STRONG:
        open_mark(w, NB_STRONG);
        break;
    case MD_SPAN_EM:
        open_mark(w, NB_EMPHASIS);
        break;
    case MD_SPAN_CODE:
        open_mark(w, NB_COMMAND);
        nb_draft_add(&w->text, w->screen->colour ? "" : "`");
        break;
    case MD_SPAN_IMG:
        open_mark(w, NB_MUTED);
        nb_draft_add(&w->text, "[");
        break;
    default:
        break;
    }
    return 0;
}

static void end_formula(writer *w, bool displayed)
{
    nb_draft text = {0};
    nb_formula(nb_draft_text(&w->formula), w->formula.n_bytes, w->screen->utf8, &text);
    if (displayed) {
        flush(w);
        push_prefix(w, "    ");
        add_block(w, nb_draft_text(&text));
        pop_prefix(w);
    } else {
        open_mark(w, NB_EMPHASIS);
        nb_draft_add(&w->text, nb_draft_text(&text));
        close_mark(w);
    }
    nb_draft_free(&text);
    nb_draft_free(&w->formula);
}

/* A link's address, unless it is what the link says or leads nowhere from here. */
static void end_link(writer *w, const MD_ATTRIBUTE *address)
{
    const bool outside = address->size > 8 && memcmp(address->text, "http", 4) == 0;
    const char *text = nb_draft_text(&w->text);
    const size_t n = w->text.n_bytes;
    if (outside &&
        !(n >= address->size && memcmp(text + n - address->size, address->text, address->size) == 0))
        nb_draft_addf(&w->text, " (%.*s)", (int)address->size, address->text);
}

static int leave_span(MD_SPANTYPE type, void *detail, void *user)
{
    writer *w = user;
    switch (type) {
    case MD_SPAN_CODE:
        nb_draft_add(&w->text, w->screen->colour ? "" : "`");
        close_mark(w);
        break;
    case MD_SPAN_STRONG:
    case MD_SPAN_EM:
        close_mark(w);
        break;
    case MD_SPAN_IMG:
        nb_draft_add(&w->text, "]");
        close_mark(w);
        break;
    case MD_SPAN_LATEXMATH:
    case MD_SPAN_LATEXMATH_DISPLAY:
        end_formula(w, type == MD_SPAN_LATEXMATH_DISPLAY);
        break;
    case MD_SPAN_A:
        end_link(w, &((MD_SPAN_A_DETAIL *)detail)->href);
        break;
    default:
        break;
    }
    return 0;
}

typedef struct entity {
    const char *name, *text;
} entity;

static void add_entity(writer *w, const char *text, size_t n)
{
    static const entity known[] = {{"&amp;", "&"},  {"&lt;", "<"},    {"&gt;", ">"},     {"&quot;", "\""},
                                   {"&nbsp;", " "}, {"&times;", "×"}, {"&middot;", "·"}, {"&ndash;", "–"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i].name) == n && memcmp(known[i].name, text, n) == 0) {
            nb_draft_add(&w->text, known[i].text);
            return;
        }
    }
    nb_draft_append(&w->text, text, n);
}

/* A file's control characters are no marks of ours. */
static void add_plain(nb_draft *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        const bool control = ((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
        nb_draft_add(out, control ? "?" : "");
        if (!control)
            nb_draft_append(out, c == '\t' ? "    " : &text[i], c == '\t' ? 4 : 1);
    }
}

static int add_text(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE n, void *user)
{
    writer *w = user;
    switch (type) {
    case MD_TEXT_BR:
        nb_draft_add(&w->text, "\n");
        break;
    case MD_TEXT_SOFTBR:
        nb_draft_add(&w->text, " ");
        break;
    case MD_TEXT_NULLCHAR:
        nb_draft_add(&w->text, "?");
        break;
    case MD_TEXT_ENTITY:
        add_entity(w, text, n);
        break;
    case MD_TEXT_HTML: /* comments and tags are for browsers */
        break;
    case MD_TEXT_LATEXMATH:
        nb_draft_append(&w->formula, text, n);
        break;
    default:
        add_plain(&w->text, text, n);
        break;
    }
    return 0;
}

void nb_markdown_render(const nb_screen *screen, const char *text, size_t n_bytes, nb_draft *out)
{
    writer w = {.screen = screen, .out = out};
    const MD_PARSER parser = {.flags = MD_FLAG_TABLES | MD_FLAG_TASKLISTS | MD_FLAG_LATEXMATHSPANS |
                                       MD_FLAG_PERMISSIVEURLAUTOLINKS | MD_FLAG_COLLAPSEWHITESPACE,
                              .enter_block = enter_block,
                              .leave_block = leave_block,
                              .enter_span = enter_span,
                              .leave_span = leave_span,
                              .text = add_text};
    if (n_bytes > UINT32_MAX || md_parse(text, (MD_SIZE)n_bytes, &parser, &w) != 0 || w.failed)
        out->failed = true;
    free_table(&w);
    nb_draft_free(&w.text);
    nb_draft_free(&w.prefix);
    nb_draft_free(&w.bullet);
    nb_draft_free(&w.formula);
}

#else

void nb_markdown_render(const nb_screen *screen, const char *text, size_t n_bytes, nb_draft *out)
{
    nb_draft copy = {0};
    nb_draft_append(&copy, text, n_bytes);
    add_lines(screen, nb_draft_text(&copy), "", "", out);
    out->failed |= copy.failed;
    nb_draft_free(&copy);
}

#endif
