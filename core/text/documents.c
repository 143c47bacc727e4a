#include "text/documents.h"

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

/* Where the next mark's line begins, and where the line after it does; both the end of the text if there is
 * none. */
static size_t find_mark(nb_string text, size_t from, size_t *after)
{
    for (size_t begin = from; begin < text.n_bytes;) {
        const char *line_end = memchr(text.text + begin, '\n', text.n_bytes - begin);
        size_t end = line_end ? (size_t)(line_end - text.text) : text.n_bytes;
        size_t next = line_end ? end + 1 : end;
        nb_string line = {text.text + begin, end - begin};
        line.n_bytes -= line.n_bytes > 0 && line.text[line.n_bytes - 1] == '\r';
        if (nb_string_equal(line, NB_DOCUMENT_MARK)) {
            *after = next;
            return begin;
        }
        begin = next;
    }
    *after = text.n_bytes;
    return text.n_bytes;
}

bool nb_documents_marked(nb_string text)
{
    size_t after;
    return find_mark(text, 0, &after) < text.n_bytes;
}

bool nb_document_next(nb_string text, size_t *at, nb_string *document)
{
    while (*at < text.n_bytes) {
        size_t begin = *at, end = find_mark(text, begin, at);
        while (begin < end && is_line_end(text.text[begin]))
            begin++;
        while (begin < end && is_line_end(text.text[end - 1]))
            end--;
        if (begin < end) {
            *document = (nb_string){text.text + begin, end - begin};
            return true;
        }
    }
    return false;
}
