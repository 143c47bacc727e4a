#include "repl/commands/subject.h"

#include "repl/nearest.h"

#include <stdlib.h>
#include <string.h>

/* "7B", "500M", "124439808". */
static bool read_count(const char *typed, uint64_t *count)
{
    char digits[32];
    const size_t n = strlen(typed);
    const char last = n ? typed[n - 1] : '\0';
    const double unit = last == 'B' || last == 'b'   ? 1e9
                        : last == 'M' || last == 'm' ? 1e6
                        : last == 'K' || last == 'k' ? 1e3
                        : last == 'T' || last == 't' ? 1e12
                                                     : 1;
    double number;
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, typed, n + 1);
    if (unit != 1)
        digits[n - 1] = '\0';
    if (!nb_word_number(digits, &number) || !(number * unit >= 1 && number * unit <= 1e16))
        return false;
    *count = (uint64_t)(number * unit + 0.5);
    return true;
}

static nb_status unknown(const char *typed, nb_error *error)
{
    nb_draft names = {0};
    nb_nearest nearest;
    nb_nearest_start(&nearest, typed);
    for (size_t i = 0; i < nb_shape_count(); i++) {
        nb_nearest_offer(&nearest, nb_shape_at(i)->name);
        nb_draft_addf(&names, "%s%s", i ? ", " : "", nb_shape_at(i)->name);
    }
    nb_status status;
    if (nearest.best)
        status =
            nb_fail(error, NB_ERR_ARGUMENT, "no model \"%.60s\" whose sizes are known here: did you mean %s?",
                    typed, nearest.best);
    else
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "no model \"%.60s\" whose sizes are known here. There are %s, or say how "
                         "many parameters: 7B",
                         typed, nb_draft_text(&names));
    nb_draft_free(&names);
    return status;
}

nb_status nb_subject_read(const nb_notebook *notebook, const char *typed, nb_subject *out, nb_error *error)
{
    *out = (nb_subject){0};
    if (!typed && !notebook->model)
        return nb_fail(error, NB_ERR_STATE,
                       "of which model? load one, or name one: memory llama-7b, memory 7B");
    const bool loaded = notebook->model && (!typed || strcmp(typed, nb_model_name(notebook->model)) == 0);
    const nb_shape *known = typed ? nb_shape_find(typed) : NULL;
    if (known) {
        out->shape = *known;
        out->parameters = nb_shape_parameters(known);
        out->name = known->name;
    } else if (loaded) {
        nb_shape_of_model(notebook->model, &out->shape, &out->parameters);
        out->name = out->shape.name;
    } else if (read_count(typed, &out->parameters.total)) {
        out->name = typed;
    } else {
        return unknown(typed, error);
    }
    return NB_OK;
}

void nb_subject_describe(const nb_subject *subject, nb_items *out)
{
    const nb_shape *s = &subject->shape;
    nb_draft line = {0};
    nb_draft_addf(&line, NB_STRONG "%s" NB_END " · %s parameters", subject->name,
                  nb_count(subject->parameters.total).text);
    if (s->n_layers) {
        nb_draft_addf(&line, " · %u layers, %u wide, %u heads of %u", (unsigned)s->n_layers,
                      (unsigned)s->n_embd, (unsigned)s->n_heads, (unsigned)s->head_size);
        if (s->n_kv_heads != s->n_heads)
            nb_draft_addf(&line, ", %u of keys and values", (unsigned)s->n_kv_heads);
    }
    nb_items_text(out, "%s", nb_draft_text(&line));
    nb_draft_free(&line);
}

nb_status nb_subject_needs_layers(const nb_subject *subject, const char *why, nb_error *error)
{
    if (subject->shape.n_layers)
        return NB_OK;
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "%s depends on layers and widths, and of %.40s only the number of parameters is known: "
                   "name a model, such "
                   "as llama-7b",
                   why, subject->name);
}

nb_number nb_memory(double n_bytes)
{
    return nb_bytes(n_bytes < 1.8e19 ? (uint64_t)n_bytes : UINT64_MAX);
}

nb_status nb_subject_format(const nb_call *call, const char *option, const nb_format *otherwise,
                            const nb_format **out, nb_error *error)
{
    const char *name = nb_call_text(call, option, NULL);
    *out = otherwise;
    return name ? nb_notebook_format(name, out, error) : NB_OK;
}
