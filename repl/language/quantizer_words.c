#include "repl/language/quantizer_words.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct wanted {
    const char *format, *scheme, *granularity; /* static, or into `granularity_text` */
    bool f32_activations, f32_scales, labonne, twice;
    char granularity_text[24];
} wanted;

static const char separators[] = " ,/";

static bool is_word(const char *at, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(at, word, n) == 0;
}

/* The word after `at`, which is n long. */
static const char *next_word(const char *at, size_t n)
{
    return at + n + strspn(at + n, separators);
}

static bool set_once(const char **what, const char *word)
{
    const bool first = !*what;
    *what = word;
    return first;
}

static bool set_flag(bool *flag)
{
    const bool first = !*flag;
    *flag = true;
    return first;
}

/* Takes one word, or two ("f32 scales"), from *at; false if it is unknown or came before. */
static bool take_word(wanted *w, const char **at)
{
    const char *word = *at;
    const size_t n = strcspn(word, separators);
    *at = next_word(word, n);
    if (is_word(word, n, "f32") && **at) {
        const char *second = *at;
        const size_t n_second = strcspn(second, separators);
        bool *flag = is_word(second, n_second, "activations") ? &w->f32_activations
                     : is_word(second, n_second, "scales")    ? &w->f32_scales
                                                              : NULL;
        if (flag) {
            *at = next_word(second, n_second);
            return set_flag(flag);
        }
    }
    if (is_word(word, n, "labonne"))
        return set_flag(&w->labonne);
    if (is_word(word, n, "double"))
        return set_flag(&w->twice);
    if (is_word(word, n, "absmax"))
        return set_once(&w->scheme, "absmax");
    if (is_word(word, n, "zeropoint"))
        return set_once(&w->scheme, "zeropoint");
    if (is_word(word, n, "tensor") || is_word(word, n, "channel") || (n > 6 && memcmp(word, "group:", 6) == 0)) {
        if (n >= sizeof w->granularity_text || w->granularity)
            return false;
        memcpy(w->granularity_text, word, n);
        w->granularity = w->granularity_text;
        return true;
    }
    char name[16];
    if (n >= sizeof name)
        return false;
    memcpy(name, word, n);
    name[n] = '\0';
    const nb_format *format = nb_format_find(name);
    return format && set_once(&w->format, format->name);
}

/* In the order that nb_quantizer_parse reads; what goes unsaid is what `quantize` takes then. */
static void write_in_order(const wanted *w, char *text, size_t size)
{
    const char *format = w->format ? w->format : "int8", *scheme = w->scheme, *granularity = w->granularity;
    const nb_format_kind kind = nb_format_find(format)->kind;
    if (kind == NB_FORMAT_INT || (kind != NB_FORMAT_TABLE && (scheme || granularity))) {
        scheme = scheme ? scheme : "absmax";
        granularity = granularity ? granularity : "tensor";
    }
    snprintf(text, size, "%s%s%s%s%s%s%s%s%s", format, scheme || granularity ? " " : "", scheme ? scheme : "",
             scheme && granularity ? "/" : "", granularity ? granularity : "",
             w->f32_activations ? ", f32 activations" : "", w->f32_scales ? ", f32 scales" : "",
             w->labonne ? ", labonne" : "", w->twice ? ", double" : "");
}

nb_status nb_quantizer_of_words(const char *text, nb_quantizer *out, nb_error *error)
{
    wanted w = {0};
    const char *at = text + strspn(text, separators);
    bool fine = *at != '\0';
    while (fine && *at)
        fine = take_word(&w, &at);
    if (!fine || !(w.format || w.scheme))
        return nb_quantizer_parse(text, out, error); /* or it says what is wrong */
    char ordered[128];
    write_in_order(&w, ordered, sizeof ordered);
    return nb_quantizer_parse(ordered, out, error);
}

/* ---- lists ---- */

/* Whether all of it are words of a quantizer, and none of them a format: "double", "f32 scales". */
static bool continues(const char *part)
{
    wanted w = {0};
    const char *at = part + strspn(part, separators);
    bool known = *at != '\0';
    while (known && *at)
        known = take_word(&w, &at);
    return known && !w.format;
}

nb_status nb_quantizer_list_next(const char **list, char item[NB_LISTED_BYTES], nb_error *error)
{
    static const char blanks[] = " \t\r\n", gaps[] = ", \t\r\n";
    size_t used = 0;
    for (const char *at = *list + strspn(*list, gaps); *at; at = *list + strspn(*list, gaps)) {
        char part[NB_LISTED_BYTES];
        const size_t length = strcspn(at, ",");
        size_t n = length;
        while (strchr(blanks, at[n - 1])) /* it does not begin with one */
            n--;
        if (used + 2 + n >= sizeof part)
            return nb_fail(error, NB_ERR_ARGUMENT, "\"%.40s...\" is too long for a format or a recipe", at);
        memcpy(part, at, n);
        part[n] = '\0';
        if (used && !continues(part))
            break;
        used += (size_t)snprintf(item + used, NB_LISTED_BYTES - used, "%s%s", used ? ", " : "", part);
        *list = at + length;
    }
    item[used] = '\0';
    return NB_OK;
}
