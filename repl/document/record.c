#include "repl/document/record.h"

#include "base/memory.h"
#include "repl/document/compare.h"
#include "repl/document/figure_data.h"
#include "repl/document/reader.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ---- */

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

char *nb_beside(const char *document, const char *path)
{
    if (path[0] == '/')
        return nb_strdup(path);
    return nb_format_text("%.*s%s", (int)folder_length(document), document, path);
}

char *nb_figure_path(const char *document, size_t number)
{
    const char *name = document + folder_length(document), *dot = strrchr(name, '.');
    int n = (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name));
    return nb_format_text("figures/%.*s-%zu.svg", n, name, number);
}

nb_status nb_figures_folder(const char *document, nb_error *error)
{
    nb_status status = NB_OK;
    char *folder = nb_format_text("%.*sfigures", (int)folder_length(document), document);
    if (!folder)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a folder's name");
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        status = nb_fail(error, NB_ERR_IO, "the folder %.200s for pictures cannot be made: %s", folder, strerror(errno));
    free(folder);
    return status;
}

/* ---- Markdown ---- */

void nb_fence_write(nb_draft *out, const char *info, const char *text, const char *newline)
{
    size_t longest = 2, run = 0;
    for (const char *c = text; *c; c++) {
        run = *c == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    nb_draft_repeat(out, "`", longest + 1);
    nb_draft_addf(out, "%s%s", info, newline);
    while (*text) {
        size_t n = strcspn(text, "\n");
        nb_draft_append(out, text, n);
        nb_draft_add(out, newline);
        text += n + (text[n] == '\n');
    }
    nb_draft_repeat(out, "`", longest + 1);
    nb_draft_add(out, newline);
}

void nb_image_write(nb_draft *out, const char *alt, const char *path)
{
    nb_draft_add(out, "![");
    for (const char *c = alt; *c; c++) {
        /* An underscore within a word is one. */
        bool plain = *c == '_' && c > alt && isalnum((unsigned char)c[-1]) && isalnum((unsigned char)c[1]);
        if (strchr("\\[]*_`<>!", *c) && !plain)
            nb_draft_add(out, "\\");
        nb_draft_append(out, *c == '\n' ? " " : c, 1);
    }
    nb_draft_addf(out, strpbrk(path, " ()") ? "](<%s>)" : "](%s)", path);
}

/* ---- comparing ---- */

size_t nb_outputs_of(const nb_document *document, size_t cell)
{
    size_t n = 0;
    for (size_t i = cell + 1; i < document->n_blocks; i++, n++) {
        nb_block_kind kind = document->blocks[i].kind;
        if (kind != NB_BLOCK_OUTPUT && kind != NB_BLOCK_FIGURE)
            break;
    }
    return n;
}

static bool differ(size_t at, const char *recorded, const char *now, size_t *line, char **recorded_out, char **now_out)
{
    *line = at;
    *recorded_out = nb_strdup(recorded);
    *now_out = nb_strdup(now);
    return false;
}

static bool figures_match(const nb_document *document, const nb_block *block, const nb_figure *figure, char **recorded,
                          char **now)
{
    nb_error error;
    nb_difference difference = {0};
    nb_draft data = {0};
    char *path = nb_beside(document->name, block->text), *kept = NULL;
    nb_figure_data(figure, &data);
    bool same = false;
    if (!path || data.failed)
        *recorded = nb_strdup("no memory to read its data");
    else if (access(path, F_OK) != 0)
        *recorded = nb_format_text("%s is missing", block->text);
    else if (nb_figure_recorded(path, &kept, &error) != NB_OK)
        *recorded = nb_strdup(error.text);
    else
        same = nb_outputs_agree(kept, nb_draft_text(&data), &difference);
    if (!same && kept) {
        *recorded = difference.recorded;
        *now = difference.now;
    } else if (!same) {
        *now = nb_strdup("a figure");
    }
    free(path);
    free(kept);
    nb_draft_free(&data);
    return same;
}

static bool piece_matches(const nb_document *document, const nb_block *block, const nb_piece *piece, size_t *line,
                          char **recorded, char **now)
{
    nb_difference difference;
    bool is_figure = block->kind == NB_BLOCK_FIGURE;
    *line = is_figure ? block->line : block->text_line;
    if (is_figure != (piece->figure != NULL))
        return differ(block->line, is_figure ? "a figure" : block->text, piece->text, line, recorded, now);
    const char *text = is_figure ? block->info : block->text;
    if (!nb_outputs_agree(text, piece->text, &difference)) {
        *line += difference.line;
        *recorded = difference.recorded;
        *now = difference.now;
        return false;
    }
    return !is_figure || figures_match(document, block, piece->figure, recorded, now);
}

bool nb_outputs_match(const nb_document *document, size_t cell, const nb_pieces *pieces, size_t *line, char **recorded,
                      char **now)
{
    size_t n = nb_outputs_of(document, cell);
    *recorded = *now = NULL;
    for (size_t i = 0; i < n && i < pieces->count; i++) {
        if (!piece_matches(document, &document->blocks[cell + 1 + i], &pieces->pieces[i], line, recorded, now))
            return false;
    }
    if (n > pieces->count) {
        const nb_block *block = &document->blocks[cell + 1 + pieces->count];
        return differ(block->line, block->kind == NB_BLOCK_FIGURE ? block->info : block->text, "", line, recorded, now);
    }
    if (n < pieces->count)
        return differ(document->blocks[cell].line, "", pieces->pieces[n].text, line, recorded, now);
    return true;
}

/* ---- replacing ---- */

/* The blank lines at a block's end; *n becomes the number of bytes before them. */
static const char *split_blanks(const nb_block *block, size_t *n)
{
    for (*n = block->n_source; *n > 0;) {
        size_t start = *n - 1;
        while (start > 0 && block->source[start - 1] != '\n')
            start--;
        if (strspn(block->source + start, " \t\r\n") < *n - start)
            break;
        *n = start;
    }
    return block->source + *n;
}

static nb_status new_block(const nb_document *document, const nb_piece *piece, size_t number, nb_block *out,
                           nb_error *error)
{
    nb_draft source = {0};
    char *path = piece->figure ? nb_figure_path(document->name, number) : NULL;
    *out = (nb_block){.kind = piece->figure ? NB_BLOCK_FIGURE : NB_BLOCK_OUTPUT};
    nb_status status = NB_OK;
    if (piece->figure && path) {
        char *file = nb_beside(document->name, path);
        status = nb_figures_folder(document->name, error);
        if (status == NB_OK)
            status = file ? nb_figure_record(piece->figure, file, error) : NB_ERR_MEMORY;
        free(file);
        nb_image_write(&source, piece->text, path);
        nb_draft_add(&source, document->newline);
    } else {
        nb_fence_write(&source, "output", piece->text, document->newline);
    }
    out->n_source = source.n_bytes;
    out->source = nb_draft_take(&source);
    out->text = piece->figure ? path : nb_strdup(piece->text);
    out->info = nb_strdup(piece->figure ? piece->text : "");
    if (status == NB_ERR_MEMORY || !out->source || !out->text || !out->info)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to record an output");
    return status;
}

/* The block's own bytes, then `blanks`. */
static bool set_blanks(nb_block *block, const char *blanks, size_t n_blanks, const char *newline)
{
    nb_draft source = {0};
    size_t n;
    split_blanks(block, &n);
    nb_draft_append(&source, block->source, n);
    if (n && block->source[n - 1] != '\n')
        nb_draft_add(&source, newline);
    nb_draft_append(&source, blanks, n_blanks);
    size_t n_source = source.n_bytes;
    char *text = nb_draft_take(&source);
    if (!text)
        return false;
    free(block->source);
    block->source = text;
    block->n_source = n_source;
    return true;
}

/* A cell and its output stand together; figures stand apart, as Markdown's paragraphs do; after the last one comes
 * what came before. */
static bool place_blanks(nb_document *document, size_t cell, size_t count, const char *blanks)
{
    bool done = true;
    for (size_t i = 0; i <= count; i++) {
        nb_block *block = &document->blocks[cell + i];
        bool before_figure = i < count && document->blocks[cell + i + 1].kind == NB_BLOCK_FIGURE;
        const char *wanted = i == count ? blanks : before_figure || block->kind == NB_BLOCK_FIGURE ? document->newline : "";
        done = done && set_blanks(block, wanted, strlen(wanted), document->newline);
    }
    return done;
}

/* Exchanges `before` blocks after the cell for `count` new ones, which it takes. */
static bool splice(nb_document *document, size_t cell, size_t before, nb_block *blocks, size_t count)
{
    size_t wanted = document->n_blocks - before + count, rest = document->n_blocks - cell - 1 - before;
    if (wanted > document->capacity) {
        nb_block *grown = nb_realloc(document->blocks, wanted, sizeof *grown);
        if (!grown)
            return false;
        document->blocks = grown;
        document->capacity = wanted;
    }
    nb_block *place = document->blocks + cell + 1;
    for (size_t i = 0; i < before; i++)
        nb_block_free(&place[i]);
    memmove(place + count, place + before, rest * sizeof *place);
    for (size_t i = 0; i < count; i++)
        place[i] = blocks[i];
    document->n_blocks = wanted;
    return true;
}

nb_status nb_outputs_replace(nb_document *document, size_t cell, const nb_pieces *pieces, size_t *n_figures,
                             nb_error *error)
{
    size_t before = nb_outputs_of(document, cell), n = 0, made = 0, n_own;
    const nb_block *last = &document->blocks[cell + before];
    const char *blanks = split_blanks(last, &n_own);
    char *tail = nb_format_text("%.*s", (int)(last->n_source - n_own), blanks);
    nb_block *blocks = nb_calloc(pieces->count ? pieces->count : 1, sizeof *blocks);
    nb_status status = tail && blocks ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory to record an output");
    for (; status == NB_OK && n < pieces->count; n++) {
        if (pieces->pieces[n].figure)
            ++*n_figures;
        status = new_block(document, &pieces->pieces[n], *n_figures, &blocks[n], error);
        made = n + 1;
    }
    if (status == NB_OK && !splice(document, cell, before, blocks, n))
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to record an output");
    else if (status == NB_OK)
        made = 0;
    if (status == NB_OK && !place_blanks(document, cell, n, tail))
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to record an output");
    for (size_t i = 0; i < made; i++)
        nb_block_free(&blocks[i]);
    free(blocks);
    free(tail);
    return status;
}

/* ---- pictures that nothing names any more ---- */

/* "monday-2.svg", for monday.md? */
static bool is_numbered(const char *entry, const char *stem)
{
    const size_t n = strlen(stem);
    if (strncmp(entry, stem, n) != 0 || entry[n] != '-')
        return false;
    const char *digits = entry + n + 1, *end = digits + strspn(digits, "0123456789");
    return end > digits && strcmp(end, ".svg") == 0;
}

static bool is_recorded(const char *path)
{
    char *data = NULL;
    nb_error ignored;
    const bool yes = nb_figure_recorded(path, &data, &ignored) == NB_OK;
    free(data);
    return yes;
}

size_t nb_figures_sweep(const nb_document *document)
{
    size_t n_removed = 0;
    nb_draft text = {0};
    const char *name = document->name + folder_length(document->name), *dot = strrchr(name, '.');
    char *folder = nb_beside(document->name, "figures"),
         *stem = nb_format_text("%.*s", (int)(dot && dot > name ? dot - name : (int)strlen(name)), name);
    nb_document_write(document, &text);
    DIR *directory = folder && stem && !text.failed ? opendir(folder) : NULL;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char *path = is_numbered(entry->d_name, stem) && !strstr(nb_draft_text(&text), entry->d_name)
                         ? nb_format_text("%s/%s", folder, entry->d_name)
                         : NULL;
        if (path && is_recorded(path) && unlink(path) == 0)
            n_removed++;
        free(path);
    }
    if (directory)
        closedir(directory);
    nb_draft_free(&text);
    free(folder);
    free(stem);
    return n_removed;
}
