#include "plots/svg.h"

#include "plots/words.h"

#include <string.h>

static void add_escaped(nb_buffer *out, const char *text)
{
    while (*text) {
        unsigned rune = nb_rune_next(&text);
        if (rune == '<' || rune == '&' || rune == '>')
            nb_buffer_text(out, rune == '<' ? "&lt;" : rune == '>' ? "&gt;" : "&amp;");
        else
            nb_buffer_rune(out, nb_rune_is_control(rune) ? ' ' : rune);
    }
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

void nb_svg_finish(nb_buffer *out, const char *svg, const char *sentence)
{
    static const char title[] = "<title>Gnuplot</title>", image[] = "<image ";
    static const char bold[] = "font-family=\"DejaVu Sans:Bold\"", plain[] = "font-family=\"DejaVu Sans\"";
    static const char family[] = "font-family=\"DejaVu Sans,Verdana,sans-serif\"";
    const char *copied = svg;
    for (const char *at = svg; (at = strpbrk(at, "<f"));) {
        size_t n = 0;
        if (sentence && starts_with(at, title))
            n = sizeof(title) - 1;
        else if (starts_with(at, image))
            n = sizeof(image) - 1;
        else if (starts_with(at, bold))
            n = sizeof(bold) - 1;
        else if (starts_with(at, plain))
            n = sizeof(plain) - 1;
        if (n == 0) {
            at++;
            continue;
        }
        nb_buffer_add(out, copied, (size_t)(at - copied));
        if (starts_with(at, image)) { /* cells of a matrix have edges */
            nb_buffer_text(out, "<image style='image-rendering:pixelated' ");
        } else if (*at == '<') {
            nb_buffer_text(out, "<title>");
            add_escaped(out, sentence);
            nb_buffer_text(out, "</title>");
        } else {
            nb_buffer_text(out, family);
            nb_buffer_text(out, n == sizeof(bold) - 1 ? " font-weight=\"bold\"" : "");
        }
        copied = at += n;
    }
    nb_buffer_text(out, copied);
}
