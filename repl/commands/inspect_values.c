/* Metadata of a GGUF in readable form. */
#include "repl/commands/inspect.h"
#include "repl/nearest.h"
#include "repl/numbers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Text from a file on one line: control bytes must not look like marks, nor end the line. Cut between
 * characters after `most` bytes. */
static bool add_line(nb_draft *out, nb_string text, size_t most)
{
    size_t n = nb_min_size(text.n_bytes, most);
    while (n < text.n_bytes && n > 0 && ((unsigned char)text.text[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++) {
        const char c = text.text[i];
        if (c == '\n' || c == '\t' || c == '\r')
            nb_draft_add(out, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
        else
            nb_draft_append(out, (unsigned char)c < 0x20 || c == 0x7f ? "?" : &c, 1);
    }
    return n == text.n_bytes;
}

static void add_number(const nb_gguf_value *value, nb_draft *out)
{
    char text[32];
    float narrow;
    double wide;
    uint64_t u;
    int64_t i;
    if (value->type == NB_GGUF_F32) {
        memcpy(&narrow, value->data, sizeof narrow);
        nb_draft_add(out, nb_print_f32(text, sizeof text, narrow));
    } else if (value->type == NB_GGUF_F64) {
        memcpy(&wide, value->data, sizeof wide);
        nb_draft_add(out, nb_print_f64(text, sizeof text, wide));
    } else if (value->type == NB_GGUF_BOOL) {
        nb_draft_add(out, value->data[0] ? "true" : "false");
    } else if (nb_gguf_value_u64(value, &u)) {
        nb_draft_addf(out, "%" PRIu64, u);
    } else if (nb_gguf_value_i64(value, &i)) {
        nb_draft_addf(out, "%" PRId64, i);
    }
}

static void add_array(const nb_gguf_value *array, size_t most, nb_draft *out)
{
    const size_t start = out->n_bytes;
    nb_gguf_value element;
    for (size_t at = 0, i = 0; nb_gguf_array_next(array, &at, &element); i++) {
        const size_t used = out->n_bytes - start;
        if (out->failed)
            return;
        if (i > 0)
            nb_draft_add(out, " ");
        if (used >= most) {
            nb_draft_add(out, "...");
            return;
        }
        const bool is_array = element.type == NB_GGUF_ARRAY, is_string = element.type == NB_GGUF_STRING;
        nb_draft_add(out, is_array ? "[" : is_string ? "\"" : "");
        if (is_string &&
            !add_line(out, (nb_string){(const char *)element.data, element.n_bytes}, most - used))
            nb_draft_add(out, "...");
        else if (!is_string)
            nb_inspect_value(&element, most - used, out);
        nb_draft_add(out, is_array ? "]" : is_string ? "\"" : "");
    }
}

void nb_inspect_value(const nb_gguf_value *value, size_t most, nb_draft *out)
{
    if (value->type == NB_GGUF_ARRAY)
        add_array(value, most, out);
    else if (value->type != NB_GGUF_STRING)
        add_number(value, out);
    else if (!add_line(out, (nb_string){(const char *)value->data, value->n_bytes}, most))
        nb_draft_add(out, "...");
}

void nb_inspect_type(const nb_gguf_value *value, nb_draft *out)
{
    const bool is_number = nb_gguf_type_size(value->element_type) > 0;
    if (value->type == NB_GGUF_ARRAY)
        nb_draft_addf(out, "%s %s%s", nb_count(value->count).text, nb_gguf_type_name(value->element_type),
                      is_number || value->count == 1 ? "" : "s");
    else
        nb_draft_add(out, nb_gguf_type_name(value->type));
}

void nb_inspect_offer(nb_nearest *nearest, nb_string name, char best[64])
{
    char shown[64];
    const unsigned before = nearest->distance;
    nb_nearest_offer(nearest, nb_string_show(name, shown, sizeof shown));
    if (nearest->distance < before)
        memcpy(best, shown, sizeof shown);
}

static nb_status no_such_key(const nb_gguf *gguf, const char *key, nb_error *error)
{
    char best[64] = "";
    nb_nearest nearest;
    nb_nearest_start(&nearest, key);
    for (uint64_t i = 0; i < gguf->n_values; i++)
        nb_inspect_offer(&nearest, gguf->values[i].key, best);
    return nb_fail(error, NB_ERR_ARGUMENT, "%s: there is no key %.80s%s%s%s", gguf->path, key,
                   *best ? ": did you mean " : "", best, *best ? "?" : "");
}

nb_status nb_inspect_key(const nb_gguf *gguf, const char *key, nb_items *out, nb_error *error)
{
    const nb_gguf_value *value = nb_gguf_find(gguf, key);
    if (!value)
        return no_such_key(gguf, key, error);
    nb_draft type = {0}, text = {0};
    nb_inspect_type(value, &type);
    nb_items_text(out, NB_STRONG "%.80s" NB_END " · %s · %s bytes from byte %s on", key, nb_draft_text(&type),
                  nb_count(value->n_bytes).text, nb_count((uint64_t)(value->data - gguf->data)).text);
    if (value->type == NB_GGUF_STRING) {
        nb_items_literal(out, (const char *)value->data, value->n_bytes, false);
    } else {
        nb_inspect_value(value, SIZE_MAX, &text);
        nb_items_text(out, "%s", nb_draft_text(&text));
    }
    const bool failed = type.failed || text.failed;
    nb_draft_free(&type);
    nb_draft_free(&text);
    return failed ? nb_fail(error, NB_ERR_MEMORY, "no memory to show %.80s", key) : NB_OK;
}
