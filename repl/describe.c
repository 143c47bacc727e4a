#include "repl/describe.h"

#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

nb_shape_text nb_describe_shape(const nb_tensor *tensor)
{
    nb_shape_text shape;
    if (tensor->is_vector)
        snprintf(shape.text, sizeof shape.text, "%zu", tensor->n_cols);
    else
        snprintf(shape.text, sizeof shape.text, "%zu x %zu", tensor->n_rows, tensor->n_cols);
    return shape;
}

nb_storage_text nb_describe_storage(const nb_tensor *tensor)
{
    nb_storage_text storage;
    if (tensor->is_vector)
        snprintf(storage.text, sizeof storage.text, "f32");
    else if (tensor->simulated)
        snprintf(storage.text, sizeof storage.text, "simulated");
    else
        nb_quantizer_describe(&tensor->quantizer, storage.text, sizeof storage.text);
    return storage;
}

size_t nb_describe_inputs(const nb_model *model, const nb_scope *scope, const nb_input *one, char *text, size_t size)
{
    const nb_input *fullest = NULL;
    size_t most = 0, fewest = SIZE_MAX;
    for (size_t i = 0; i < scope->count; i++) {
        const nb_input *input = nb_model_tensor(model, scope->tensors[i])->input;
        const size_t n = input && input->outliers ? input->n_outliers : 0;
        if (n > most) {
            most = n;
            fullest = input;
        }
        fewest = n < fewest ? n : fewest;
    }
    if (!fullest || most == fewest) {
        nb_input_describe(one, text, size);
        return most;
    }
    nb_input rest = one ? *one : (nb_input){0};
    rest.outliers = NULL;
    nb_input_describe(&rest, text, size);
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%sup to %zu column%s in f16%s%s%s", used ? ", " : "", most,
             most == 1 ? "" : "s", *fullest->what ? " (" : "", fullest->what, *fullest->what ? ")" : "");
    return most;
}

nb_decibel_text nb_describe_sqnr(double sqnr)
{
    nb_decibel_text text;
    if (isnan(sqnr))
        snprintf(text.text, sizeof text.text, "-");
    else if (isinf(sqnr))
        snprintf(text.text, sizeof text.text, "exact");
    else
        nb_print_fixed(text.text, sizeof text.text, sqnr, 1);
    return text;
}

void nb_describe_shorter(const char *name, char *text, size_t size)
{
    static const char *const shorter[][2] = {
        {" absmax/", " "}, {" zeropoint/", " zp "}, {" --bits", ""}, {" --per", ""}, {"group:", "g"}, {"--", ""}};
    enum { N_SHORTER = sizeof shorter / sizeof *shorter };
    size_t n = 0;
    while (*name && n + 4 < size) {
        size_t i = 0;
        while (i < N_SHORTER && strncmp(name, shorter[i][0], strlen(shorter[i][0])) != 0)
            i++;
        if (i < N_SHORTER)
            n += (size_t)snprintf(text + n, size - n, "%s", shorter[i][1]);
        else
            text[n++] = *name;
        name += i < N_SHORTER ? strlen(shorter[i][0]) : 1;
    }
    text[n] = '\0';
}

double nb_bits_per_weight(uint64_t n_bytes, uint64_t n_weights)
{
    return n_weights ? 8.0 * (double)n_bytes / (double)n_weights : 0;
}

uint64_t nb_tensor_n_weights(const nb_tensor *tensor)
{
    return (uint64_t)tensor->n_rows * tensor->n_cols;
}

enum { MOST_KINDS = 12 };

typedef struct kind {
    nb_storage_text name;
    uint64_t n_bytes;
} kind;

static size_t gather_kinds(const nb_model *model, kind *kinds)
{
    size_t n_kinds = 0, n = nb_model_tensor_count(model);
    for (size_t i = 0; i < n; i++) {
        const nb_tensor *tensor = nb_model_tensor(model, i);
        if (tensor->is_vector)
            continue;
        nb_storage_text name = nb_describe_storage(tensor);
        size_t k = 0;
        while (k < n_kinds && strcmp(kinds[k].name.text, name.text) != 0)
            k++;
        if (k == MOST_KINDS)
            k--; /* the last one stands for all the rest */
        else if (k == n_kinds)
            kinds[n_kinds++] = (kind){.name = name};
        kinds[k].n_bytes += nb_tensor_n_bytes(tensor);
    }
    return n_kinds;
}

void nb_describe_model_storage(const nb_model *model, nb_draft *out)
{
    kind kinds[MOST_KINDS];
    size_t n = gather_kinds(model, kinds);
    for (size_t shown = 0; shown < n; shown++) {
        size_t best = 0;
        for (size_t k = 1; k < n; k++) {
            if (kinds[k].n_bytes > kinds[best].n_bytes)
                best = k;
        }
        if (shown == 2 && n > 3) {
            nb_draft_addf(out, " and %zu more", n - shown);
            return;
        }
        nb_draft_addf(out, "%s%s", shown == 0 ? "" : shown + 1 == n ? " and " : ", ", kinds[best].name.text);
        kinds[best].n_bytes = 0;
    }
}

void nb_describe_transforms(const nb_transform *last, nb_draft *out)
{
    if (last->before) {
        nb_describe_transforms(last->before, out);
        nb_draft_add(out, ", ");
    }
    nb_draft_add(out, last->what);
}

const char *nb_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

void nb_draft_add_written(nb_draft *draft, nb_string text)
{
    for (size_t i = 0; i < text.n_bytes; i++) {
        const char c = text.text[i];
        nb_draft_append(draft, (unsigned char)c < 0x20 && c != '\n' ? "?" : &c, 1);
    }
}
