/* Markdown with cells, read line by line. */
#include "repl/document/document.h"

#include "base/memory.h"
#include "repl/document/reader.h"
#include "repl/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_MIB = 64, MOST_BLOCKS = 65536, MOST_CHECKS = 4096 };

/* ---- lines ---- */

/* Without its newline in [begin, begin + n), and with it in n_whole. */
typedef struct text_line {
    const char *begin;
    size_t n, n_whole;
} text_line;

typedef struct reader {
    nb_document *document;
    const char *at, *end;
    size_t line; /* number of the one at `at` */
    nb_draft source, text;
    bool open; /* the last block still grows: source and text are its */
    nb_error *error;
} reader;

static bool next_line(const reader *r, text_line *line)
{
    if (r->at == r->end)
        return false;
    const char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    line->begin = r->at;
    line->n = line->n_whole = (size_t)((newline ? newline : r->end) - r->at);
    line->n_whole += newline ? 1 : 0;
    if (newline && line->n && line->begin[line->n - 1] == '\r')
        line->n--;
    return true;
}

static void pass(reader *r, const text_line *line)
{
    r->at += line->n_whole;
    r->line++;
}

static bool is_blank(const text_line *line)
{
    for (size_t i = 0; i < line->n; i++) {
        if (line->begin[i] != ' ' && line->begin[i] != '\t' && line->begin[i] != '\r')
            return false;
    }
    return true;
}

static nb_status wrong(const reader *r, size_t line, const char *sentence)
{
    return nb_fail(r->error, NB_ERR_FILE, "%.200s, line %zu: %s", r->document->name, line, sentence);
}

static nb_status no_memory(const reader *r)
{
    return nb_fail(r->error, NB_ERR_MEMORY, "no memory to read %.200s", r->document->name);
}

/* ---- blocks ---- */

static nb_block *last_block(nb_document *document)
{
    return document->n_blocks ? &document->blocks[document->n_blocks - 1] : NULL;
}

/* Hands what was gathered to the last block, or to the head if there is none yet. */
static nb_status close_block(reader *r)
{
    nb_block *block = last_block(r->document);
    size_t n = r->source.n_bytes;
    if (!block && !r->document->head) {
        r->document->head = nb_draft_take(&r->source);
        return r->document->head ? NB_OK : no_memory(r);
    }
    if (!r->open)
        return NB_OK;
    r->open = false;
    block->source = nb_draft_take(&r->source);
    block->n_source = n;
    if (!block->text)
        block->text = nb_draft_take(&r->text);
    return block->source && block->text ? NB_OK : no_memory(r);
}

/* Starts a block whose info is info[0..n). */
static nb_status open_block(reader *r, nb_block_kind kind, const char *info, size_t n)
{
    nb_document *document = r->document;
    nb_status status = close_block(r);
    if (status != NB_OK)
        return status;
    if (document->n_blocks == MOST_BLOCKS)
        return wrong(r, r->line, "too many cells; split it into several notebooks");
    if (document->n_blocks == document->capacity) {
        size_t capacity = document->capacity ? 2 * document->capacity : 16;
        nb_block *blocks = nb_realloc(document->blocks, capacity, sizeof *blocks);
        if (!blocks)
            return no_memory(r);
        document->blocks = blocks;
        document->capacity = capacity;
    }
    nb_block *block = &document->blocks[document->n_blocks++];
    *block = (nb_block){.kind = kind, .line = r->line, .text_line = r->line};
    block->info = nb_format_text("%.*s", (int)n, info);
    r->open = true;
    return block->info ? NB_OK : no_memory(r);
}

static void keep_source(reader *r, const text_line *line)
{
    nb_draft_append(&r->source, line->begin, line->n_whole);
}

static void keep_text(reader *r, const text_line *line)
{
    nb_draft_append(&r->text, line->begin, line->n);
    nb_draft_add(&r->text, "\n");
}

/* ---- fences ---- */

typedef struct fence {
    char mark; /* ` or ~ */
    size_t indent, length;
    const char *info; /* trimmed */
    size_t n_info;
} fence;

/* CommonMark 0.31, section 4.5. */
static bool read_fence(const text_line *line, fence *out)
{
    size_t i = 0, n = line->n;
    const char *text = line->begin;
    while (i < n && i < 4 && text[i] == ' ')
        i++;
    *out = (fence){.indent = i};
    if (i == 4 || i == n || (text[i] != '`' && text[i] != '~'))
        return false;
    out->mark = text[i];
    while (i < n && text[i] == out->mark)
        i++, out->length++;
    while (i < n && (text[i] == ' ' || text[i] == '\t'))
        i++;
    while (n > i && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    out->info = text + i;
    out->n_info = n - i;
    return out->length >= 3 && !(out->mark == '`' && memchr(out->info, '`', out->n_info));
}

static bool closes(const text_line *line, const fence *opened)
{
    text_line bare = *line;
    while (opened->indent && bare.n && *bare.begin == ' ')
        bare.begin++, bare.n--; /* in a list it may be indented as deep as its items are */
    fence found;
    return read_fence(&bare, &found) && found.mark == opened->mark && found.length >= opened->length &&
           found.n_info == 0;
}

/* The rest of the info string after its first word, if that is `word`; NULL otherwise. */
static const char *info_after(const fence *f, const char *word)
{
    size_t n = strlen(word);
    if (f->n_info < n || memcmp(f->info, word, n) != 0)
        return NULL;
    if (f->n_info > n && f->info[n] != ' ' && f->info[n] != '\t')
        return NULL;
    while (n < f->n_info && (f->info[n] == ' ' || f->info[n] == '\t'))
        n++;
    return f->info + n;
}

/* A cell is before it, with nothing but its outputs between. */
static bool follows_cell(nb_document *document)
{
    const nb_block *block = last_block(document);
    return block && (block->kind == NB_BLOCK_CELL || block->kind == NB_BLOCK_OUTPUT ||
                     block->kind == NB_BLOCK_FIGURE);
}

/* What a fence means to nibble; PROSE for all others. Only at the margin: elsewhere it is in a list. */
static nb_block_kind kind_of(const reader *r, const fence *f, const char **info)
{
    *info = NULL;
    if (f->indent == 0 && (*info = info_after(f, "nibble")))
        return NB_BLOCK_CELL;
    if (f->indent == 0 && (*info = info_after(f, "check")))
        return NB_BLOCK_CHECK;
    if (f->indent == 0 && info_after(f, "output") && follows_cell(r->document)) {
        *info = f->info + f->n_info;
        return NB_BLOCK_OUTPUT;
    }
    return NB_BLOCK_PROSE;
}

static nb_status open_prose(reader *r)
{
    const nb_block *block = last_block(r->document);
    if (r->open && block->kind == NB_BLOCK_PROSE)
        return NB_OK;
    return open_block(r, NB_BLOCK_PROSE, "", 0);
}

static nb_status read_prose_line(reader *r, const text_line *line)
{
    nb_status status = open_prose(r);
    if (status == NB_OK) {
        keep_source(r, line);
        keep_text(r, line);
        pass(r, line);
    }
    return status;
}

static nb_status never_closed(const reader *r, nb_block_kind kind, size_t line)
{
    static const char *const sentences[] = {
        [NB_BLOCK_CELL] = "the cell that starts here is never closed; end it with a line of ```",
        [NB_BLOCK_OUTPUT] = "the output that starts here is never closed; end it with a line of ```",
        [NB_BLOCK_CHECK] = "the check that starts here is never closed; end it with a line of ```",
    };
    return wrong(r, line, sentences[kind]);
}

static nb_status read_prose_fence(reader *r, const fence *opened)
{
    text_line line;
    next_line(r, &line);
    nb_status status = read_prose_line(r, &line);
    for (bool closed = false; status == NB_OK && !closed && next_line(r, &line);) {
        closed = closes(&line, opened);
        status = read_prose_line(r, &line);
    }
    return status;
}

static nb_status read_fenced(reader *r, const fence *opened)
{
    const char *info;
    nb_block_kind kind = kind_of(r, opened, &info);
    if (kind == NB_BLOCK_PROSE)
        return read_prose_fence(r, opened);
    size_t first = r->line, n_info = (size_t)(opened->info + opened->n_info - info);
    text_line line;
    nb_status status = open_block(r, kind, info, n_info);
    if (status != NB_OK)
        return status;
    last_block(r->document)->text_line = first + 1;
    bool closed = false;
    for (bool opening = true; !closed && next_line(r, &line); opening = false) {
        closed = !opening && closes(&line, opened);
        keep_source(r, &line);
        if (!opening && !closed)
            keep_text(r, &line);
        pass(r, &line);
    }
    if (!closed)
        return never_closed(r, kind, first);
    nb_draft_add(&r->text, ""); /* so that a block without lines has a text too */
    if (kind != NB_BLOCK_CHECK)
        return NB_OK;
    nb_block *block = last_block(r->document);
    block->text = nb_draft_take(&r->text);
    return block->text ? nb_check_read(r->document, block, r->error) : no_memory(r);
}

/* ---- figures ---- */

/* The end of text[at..n) up to an unescaped `stop`, without its escapes into `out`; n if there is none. */
static size_t until(const char *text, size_t at, size_t n, char stop, nb_draft *out)
{
    for (; at < n && text[at] != stop; at++) {
        if (text[at] == '\\' && at + 1 < n && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", text[at + 1]))
            at++;
        nb_draft_append(out, text + at, 1);
    }
    return at;
}

static bool in_figures(const char *path)
{
    return strncmp(path, "figures/", 8) == 0 || strstr(path, "/figures/");
}

/* ![ALT](PATH) or ![ALT](<PATH>), alone on its line, PATH in a folder `figures`. */
static bool read_image(const text_line *line, nb_draft *alt, nb_draft *path)
{
    const char *text = line->begin;
    size_t n = line->n;
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    if (n < 5 || memcmp(text, "![", 2) != 0)
        return false;
    size_t at = until(text, 2, n, ']', alt);
    if (at + 2 >= n || text[at + 1] != '(')
        return false;
    at += 2;
    bool angled = text[at] == '<';
    at = until(text, at + angled, n, angled ? '>' : ')', path) + angled;
    return at + 1 == n && text[at] == ')' && in_figures(nb_draft_text(path)) &&
           (angled || !strpbrk(path->text, " \t"));
}

/* *read says whether the line was one. */
static nb_status read_figure(reader *r, const text_line *line, bool *read)
{
    nb_draft alt = {0}, path = {0};
    nb_status status = NB_OK;
    *read = follows_cell(r->document) && read_image(line, &alt, &path);
    if (*read)
        status = open_block(r, NB_BLOCK_FIGURE, nb_draft_text(&alt), alt.n_bytes);
    if (*read && status == NB_OK) {
        keep_source(r, line);
        pass(r, line);
        last_block(r->document)->text = nb_draft_take(&path);
        status = last_block(r->document)->text ? NB_OK : no_memory(r);
    }
    nb_draft_free(&alt);
    nb_draft_free(&path);
    return status;
}

/* ---- the whole ---- */

static bool holds(const text_line *line, const char *words)
{
    size_t n = strlen(words);
    for (size_t i = 0; i + n <= line->n; i++) {
        if (memcmp(line->begin + i, words, n) == 0)
            return true;
    }
    return false;
}

/* An HTML comment, which may hide cells: up to the line with its end. */
static nb_status read_comment(reader *r)
{
    text_line line;
    nb_status status = NB_OK;
    for (bool over = false; status == NB_OK && !over && next_line(r, &line);) {
        over = holds(&line, "-->");
        status = read_prose_line(r, &line);
    }
    return status;
}

static nb_status read_next(reader *r)
{
    text_line line;
    fence opened;
    bool read = false;
    next_line(r, &line);
    if (is_blank(&line)) {
        if (r->open && last_block(r->document)->kind == NB_BLOCK_PROSE)
            keep_text(r, &line);
        keep_source(r, &line);
        pass(r, &line);
        return NB_OK;
    }
    if (read_fence(&line, &opened))
        return read_fenced(r, &opened);
    if (line.n >= 4 && memcmp(line.begin, "<!--", 4) == 0)
        return read_comment(r);
    nb_status status = read_figure(r, &line, &read);
    return status != NB_OK || read ? status : read_prose_line(r, &line);
}

/* Zero bytes and broken UTF-8 would be lost on the way to a terminal or an .ipynb. */
static nb_status check_bytes(const reader *r)
{
    size_t used, line = 1;
    for (const char *at = r->at; at < r->end; at += used) {
        uint32_t code_point = nb_utf8_decode(at, (size_t)(r->end - at), &used);
        if (code_point == 0)
            return wrong(r, line, "a zero byte; a notebook is text, and this file is something else");
        if (code_point == 0xfffd && used == 1)
            return wrong(r, line, "these bytes are not UTF-8; save the file as UTF-8 in your editor");
        line += *at == '\n';
    }
    return NB_OK;
}

/* Prose ends with its last line that is not blank. */
static void trim_prose(nb_block *block)
{
    size_t n = strlen(block->text);
    while (n > 1 && block->text[n - 1] == '\n') {
        size_t start = n - 1;
        while (start > 0 && block->text[start - 1] != '\n')
            start--;
        if (block->text[start + strspn(block->text + start, " \t\r")] != '\n')
            return;
        block->text[n = start] = '\0';
    }
}

static nb_status unique_checks(const reader *r)
{
    const nb_document *document = r->document;
    size_t n_checks = 0;
    for (size_t i = 0; i < document->n_blocks; i++) {
        if (document->blocks[i].check && ++n_checks > MOST_CHECKS)
            return wrong(r, document->blocks[i].line, "too many checks; split it into several lessons");
    }
    for (size_t i = 0; i < document->n_blocks; i++) {
        for (size_t j = 0; document->blocks[i].check && j < i; j++) {
            if (document->blocks[j].check &&
                strcmp(document->blocks[i].check->name, document->blocks[j].check->name) == 0)
                return nb_fail(r->error, NB_ERR_FILE,
                               "%.200s, line %zu: the check of line %zu is named %.60s too; give each its own name",
                               document->name, document->blocks[i].line, document->blocks[j].line,
                               document->blocks[i].check->name);
        }
    }
    return NB_OK;
}

static nb_status read_all(reader *r)
{
    size_t n_head = 0;
    nb_status status = check_bytes(r);
    if (status == NB_OK)
        status = nb_front_read(r->document, r->at, (size_t)(r->end - r->at), &n_head, &r->line, r->error);
    nb_draft_append(&r->source, r->at, n_head);
    r->at += n_head;
    while (status == NB_OK && r->at < r->end) {
        status = read_next(r);
        if (status == NB_OK && (r->source.failed || r->text.failed))
            status = no_memory(r);
    }
    if (status == NB_OK)
        status = close_block(r);
    for (size_t i = 0; status == NB_OK && i < r->document->n_blocks; i++) {
        if (r->document->blocks[i].kind == NB_BLOCK_PROSE)
            trim_prose(&r->document->blocks[i]);
    }
    return status == NB_OK ? unique_checks(r) : status;
}

nb_status nb_document_parse(const char *text, size_t n_bytes, const char *name, nb_document **out, nb_error *error)
{
    *out = NULL;
    if (n_bytes > (size_t)MOST_MIB << 20)
        return nb_fail(error, NB_ERR_FILE, "%.200s is too large for a notebook: at most %d MiB", name, MOST_MIB);
    nb_document *document = nb_calloc(1, sizeof *document);
    if (!document)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to read %.200s", name);
    const char *newline = n_bytes ? memchr(text, '\n', n_bytes) : NULL;
    document->newline = newline && newline > text && newline[-1] == '\r' ? "\r\n" : "\n";
    document->name = nb_strdup(name);
    reader r = {.document = document, .at = text, .end = text + n_bytes, .line = 1, .error = error};
    nb_status status = document->name ? read_all(&r) : nb_fail(error, NB_ERR_MEMORY, "no memory to read a file");
    nb_draft_free(&r.source);
    nb_draft_free(&r.text);
    if (status != NB_OK)
        nb_document_close(&document);
    *out = document;
    return status;
}
