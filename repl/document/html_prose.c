/* Markdown as HTML, by md4c's parser. Raw HTML in it is left out, as it is in the terminal. */
#include "repl/document/html.h"

#include "base/file.h"
#include "repl/document/document.h"
#include "repl/document/record.h"
#include "repl/formula.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#ifdef NB_HAVE_MD4C
#include <md4c.h>

typedef struct writer {
    nb_draft *out;
    const char *path;  /* of the document */
    nb_draft alt;      /* of an image, while one is read */
    size_t in_image;
    nb_draft formula;
    bool in_formula, in_html;
    size_t link_depth; /* 0, or 1 inside a link that is shown as one */
} writer;

/* ---- addresses ---- */

static void add_attribute(const MD_ATTRIBUTE *attribute, nb_draft *out)
{
    nb_draft_append(out, attribute->text ? attribute->text : "", attribute->size);
}

/* An address that a reader may follow: http, https, mailto, a place in the page, a file beside it. */
static bool is_safe(const char *address)
{
    static const char *const schemes[] = {"http:", "https:", "mailto:"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strncasecmp(address, schemes[i], strlen(schemes[i])) == 0)
            return true;
    }
    size_t n = strcspn(address, ":/?#");
    return address[n] != ':' && strpbrk(address, "\\\t\r\n") == NULL && !strstr(address, "&");
}

/* ---- pictures ---- */

static const char *image_type(const uint8_t *data, size_t n)
{
    if (n > 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0)
        return "image/png";
    if (n > 3 && memcmp(data, "\xff\xd8\xff", 3) == 0)
        return "image/jpeg";
    if (n > 6 && (memcmp(data, "GIF87a", 6) == 0 || memcmp(data, "GIF89a", 6) == 0))
        return "image/gif";
    if (n > 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0)
        return "image/webp";
    if (n > 5 && (memcmp(data, "<svg ", 5) == 0 || memcmp(data, "<?xml", 5) == 0))
        return "image/svg+xml";
    return NULL;
}

/* A file in the document's folder or below, of at most 8 MiB. */
static bool add_picture(const writer *w, const char *address, const char *alt)
{
    enum { MOST = 8 << 20 };
    nb_error error;
    nb_mapping *file = NULL;
    if (*address == '/' || *address == '~' || strstr(address, "..") || strchr(address, ':'))
        return false;
    char *path = nb_beside(w->path, address);
    bool done = path && nb_mapping_open(path, &file, &error) == NB_OK;
    const char *type = done && file->size <= MOST ? image_type(file->data, file->size) : NULL;
    if (type) {
        nb_draft_add(w->out, "<img class=\"own\" alt=\"");
        nb_html_escape(w->out, alt, strlen(alt));
        nb_draft_add(w->out, "\" src=\"");
        nb_html_data(w->out, type, file->data, file->size);
        nb_draft_add(w->out, "\">");
    }
    nb_mapping_close(&file);
    free(path);
    return type != NULL;
}

static void end_image(writer *w, const MD_SPAN_IMG_DETAIL *detail)
{
    nb_draft address = {0};
    if (--w->in_image > 0)
        return;
    add_attribute(&detail->src, &address);
    if (!add_picture(w, nb_draft_text(&address), nb_draft_text(&w->alt))) {
        nb_draft_add(w->out, "<em class=\"missing\">");
        nb_html_escape(w->out, nb_draft_text(&w->alt), w->alt.n_bytes);
        nb_draft_add(w->out, "</em>");
    }
    nb_draft_free(&address);
    nb_draft_free(&w->alt);
}

static void begin_link(writer *w, const MD_SPAN_A_DETAIL *detail)
{
    nb_draft address = {0};
    add_attribute(&detail->href, &address);
    w->link_depth = is_safe(nb_draft_text(&address));
    if (w->link_depth) {
        nb_draft_add(w->out, "<a href=\"");
        nb_html_escape(w->out, nb_draft_text(&address), address.n_bytes);
        nb_draft_add(w->out, "\">");
    }
    nb_draft_free(&address);
}

/* ---- blocks ---- */

static void begin_item(writer *w, const MD_BLOCK_LI_DETAIL *item)
{
    if (!item->is_task)
        nb_draft_add(w->out, "<li>");
    else
        nb_draft_addf(w->out, "<li class=\"task\"><input type=\"checkbox\" disabled%s> ",
                      item->task_mark == ' ' ? "" : " checked");
}

static void begin_list(writer *w, const MD_BLOCK_OL_DETAIL *list)
{
    if (list->start == 1)
        nb_draft_add(w->out, "<ol>\n");
    else
        nb_draft_addf(w->out, "<ol start=\"%u\">\n", list->start);
}

static void begin_cell(writer *w, bool head, MD_ALIGN align)
{
    const char *class = align == MD_ALIGN_RIGHT ? " class=\"right\"" : align == MD_ALIGN_CENTER ? " class=\"center\"" : "";
    nb_draft_addf(w->out, "<t%c%s>", head ? 'h' : 'd', class);
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *user)
{
    writer *w = user;
    static const char *const tags[] = {
        [MD_BLOCK_DOC] = "",          [MD_BLOCK_QUOTE] = "<blockquote>\n",
        [MD_BLOCK_UL] = "<ul>\n",     [MD_BLOCK_HR] = "<hr>\n",
        [MD_BLOCK_CODE] = "<pre class=\"listing\"><code>", [MD_BLOCK_P] = "<p>",
        [MD_BLOCK_TABLE] = "<div class=\"wide\"><table>\n", [MD_BLOCK_THEAD] = "<thead>\n",
        [MD_BLOCK_TBODY] = "<tbody>\n", [MD_BLOCK_TR] = "<tr>",
    };
    switch (type) {
    case MD_BLOCK_OL:
        begin_list(w, detail);
        break;
    case MD_BLOCK_LI:
        begin_item(w, detail);
        break;
    case MD_BLOCK_H:
        nb_draft_addf(w->out, "<h%u>", ((MD_BLOCK_H_DETAIL *)detail)->level);
        break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
        begin_cell(w, type == MD_BLOCK_TH, ((MD_BLOCK_TD_DETAIL *)detail)->align);
        break;
    case MD_BLOCK_HTML:
        w->in_html = true;
        break;
    default:
        nb_draft_add(w->out, tags[type]);
    }
    return w->out->failed;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *user)
{
    writer *w = user;
    static const char *const tags[] = {
        [MD_BLOCK_DOC] = "",       [MD_BLOCK_QUOTE] = "</blockquote>\n",   [MD_BLOCK_UL] = "</ul>\n",
        [MD_BLOCK_OL] = "</ol>\n", [MD_BLOCK_LI] = "</li>\n",             [MD_BLOCK_HR] = "",
        [MD_BLOCK_H] = "",         [MD_BLOCK_CODE] = "</code></pre>\n",   [MD_BLOCK_HTML] = "",
        [MD_BLOCK_P] = "</p>\n",   [MD_BLOCK_TABLE] = "</table></div>\n", [MD_BLOCK_THEAD] = "</thead>\n",
        [MD_BLOCK_TBODY] = "</tbody>\n", [MD_BLOCK_TR] = "</tr>\n",       [MD_BLOCK_TH] = "</th>",
        [MD_BLOCK_TD] = "</td>",
    };
    if (type == MD_BLOCK_H)
        nb_draft_addf(w->out, "</h%u>\n", ((MD_BLOCK_H_DETAIL *)detail)->level);
    w->in_html = w->in_html && type != MD_BLOCK_HTML;
    nb_draft_add(w->out, tags[type]);
    return w->out->failed;
}

/* ---- spans ---- */

static int enter_span(MD_SPANTYPE type, void *detail, void *user)
{
    writer *w = user;
    if (type == MD_SPAN_IMG)
        w->in_image++;
    else if (w->in_image)
        return 0;
    else if (type == MD_SPAN_A)
        begin_link(w, detail);
    else if (type == MD_SPAN_LATEXMATH || type == MD_SPAN_LATEXMATH_DISPLAY)
        w->in_formula = true;
    else if (type == MD_SPAN_EM || type == MD_SPAN_STRONG || type == MD_SPAN_CODE || type == MD_SPAN_DEL)
        nb_draft_add(w->out, type == MD_SPAN_EM       ? "<em>"
                             : type == MD_SPAN_STRONG ? "<strong>"
                             : type == MD_SPAN_CODE   ? "<code>"
                                                      : "<del>");
    return w->out->failed;
}

/* How long the index or exponent is that `text` begins with, brackets and all; 0: none. */
static size_t script_length(const char *text, bool above)
{
    size_t n = 0;
    int depth = 0;
    if (*text == '(') {
        do {
            depth += text[n] == '(';
            depth -= text[n] == ')';
        } while (text[n++] && depth);
        return depth ? 0 : n;
    }
    if (above && *text) /* one character */
        for (n = 1; ((unsigned char)text[n] & 0xc0) == 0x80;)
            n++;
    while (!above && isalnum((unsigned char)text[n]))
        n++;
    return n;
}

/* What nb_formula leaves on the line, as in n_kv and 2^(x + 1), is set small. */
static void add_formula(nb_draft *out, const char *text)
{
    while (*text) {
        const size_t plain = strcspn(text, "^_");
        nb_html_escape(out, text, plain);
        text += plain;
        if (*text == '\0')
            break;
        const bool above = *text == '^', bracketed = text[1] == '(';
        const size_t n = script_length(text + 1, above);
        if (n) {
            nb_draft_add(out, above ? "<sup>" : "<sub>");
            nb_html_escape(out, text + 1 + bracketed, n - 2 * bracketed);
            nb_draft_add(out, above ? "</sup>" : "</sub>");
        } else {
            nb_html_escape(out, text, 1);
        }
        text += 1 + n;
    }
}

static void end_formula(writer *w, bool display)
{
    nb_draft text = {0};
    nb_formula(nb_draft_text(&w->formula), w->formula.n_bytes, true, &text);
    nb_draft_add(w->out, display ? "<span class=\"math display\">" : "<span class=\"math\">");
    add_formula(w->out, nb_draft_text(&text));
    nb_draft_add(w->out, "</span>");
    w->in_formula = false;
    nb_draft_free(&text);
    nb_draft_free(&w->formula);
}

static int leave_span(MD_SPANTYPE type, void *detail, void *user)
{
    writer *w = user;
    if (type == MD_SPAN_IMG)
        end_image(w, detail);
    else if (w->in_image)
        return 0;
    else if (type == MD_SPAN_A)
        nb_draft_add(w->out, w->link_depth ? "</a>" : "");
    else if (type == MD_SPAN_LATEXMATH || type == MD_SPAN_LATEXMATH_DISPLAY)
        end_formula(w, type == MD_SPAN_LATEXMATH_DISPLAY);
    else if (type == MD_SPAN_EM || type == MD_SPAN_STRONG || type == MD_SPAN_CODE || type == MD_SPAN_DEL)
        nb_draft_add(w->out, type == MD_SPAN_EM       ? "</em>"
                             : type == MD_SPAN_STRONG ? "</strong>"
                             : type == MD_SPAN_CODE   ? "</code>"
                                                      : "</del>");
    return w->out->failed;
}

static int add_text(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE n, void *user)
{
    writer *w = user;
    if (w->in_html || type == MD_TEXT_HTML)
        return 0;
    if (w->in_image || w->in_formula) {
        nb_draft_append(w->in_image ? &w->alt : &w->formula, text, n);
        return 0;
    }
    if (type == MD_TEXT_BR)
        nb_draft_add(w->out, "<br>\n");
    else if (type == MD_TEXT_SOFTBR)
        nb_draft_add(w->out, "\n");
    else if (type == MD_TEXT_ENTITY)
        nb_draft_append(w->out, text, n); /* a browser knows them all */
    else
        nb_html_escape(w->out, text, n);
    return w->out->failed;
}

void nb_html_prose(nb_draft *out, const char *text, const char *path)
{
    writer w = {.out = out, .path = path};
    const MD_PARSER parser = {.flags = MD_FLAG_TABLES | MD_FLAG_TASKLISTS | MD_FLAG_STRIKETHROUGH |
                                       MD_FLAG_LATEXMATHSPANS | MD_FLAG_PERMISSIVEURLAUTOLINKS,
                              .enter_block = enter_block,
                              .leave_block = leave_block,
                              .enter_span = enter_span,
                              .leave_span = leave_span,
                              .text = add_text};
    size_t n = strlen(text);
    if (n > UINT32_MAX || md_parse(text, (MD_SIZE)n, &parser, &w) != 0)
        out->failed = true;
    nb_draft_free(&w.alt);
    nb_draft_free(&w.formula);
}

#else

void nb_html_prose(nb_draft *out, const char *text, const char *path)
{
    (void)path;
    nb_draft_add(out, "<pre class=\"listing\">");
    nb_html_escape(out, text, strlen(text));
    nb_draft_add(out, "</pre>\n");
}

#endif
