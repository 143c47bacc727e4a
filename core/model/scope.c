#include "model/scope.h"

#include "base/memory.h"
#include "base/view.h"
#include "model/state.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ---- */

typedef struct scope_word {
    const char *name;
    bool (*has)(const nb_tensor *tensor);
} scope_word;

static bool in_attention(const nb_tensor *t)
{
    return t->role == NB_ROLE_ATTENTION;
}
static bool in_mlp(const nb_tensor *t)
{
    return t->role == NB_ROLE_MLP;
}
static bool in_embeddings(const nb_tensor *t)
{
    return t->role == NB_ROLE_EMBEDDINGS;
}
static bool in_head(const nb_tensor *t)
{
    return t->role == NB_ROLE_HEAD || t->tied;
}
static bool in_all(const nb_tensor *t)
{
    return in_attention(t) || in_mlp(t);
}

static const scope_word words[] = {
    {"attention", in_attention}, {"mlp", in_mlp}, {"embeddings", in_embeddings},
    {"head", in_head},           {"all", in_all},
};
enum { N_WORDS = sizeof words / sizeof words[0] };

static const scope_word *find_word(nb_string part)
{
    for (size_t i = 0; i < N_WORDS; i++)
        if (nb_string_equal(part, words[i].name))
            return &words[i];
    return NULL;
}

/* ---- patterns ---- */

/* The usual glob: * for any run of characters, dots too, ? for one. */
static bool glob(const char *pattern, const char *end, const char *name)
{
    for (; pattern < end; pattern++, name++) {
        if (*pattern == '*') {
            for (;; name++) {
                if (glob(pattern + 1, end, name))
                    return true;
                if (*name == '\0')
                    return false;
            }
        }
        if (*name == '\0' || (*pattern != '?' && *pattern != *name))
            return false;
    }
    return *name == '\0';
}

/* Reads up to six digits; layers are never more. NULL if there is none. */
static const char *read_number(const char *text, const char *end, unsigned *out)
{
    const char *start = text;
    for (*out = 0; text < end && isdigit((unsigned char)*text) && text - start < 6; text++)
        *out = *out * 10 + (unsigned)(*text - '0');
    return text == start ? NULL : text;
}

/* One comma-separated part of a scope, taken apart. */
typedef struct scope_pattern {
    bool has_layers; /* it began with "blk.N" or "blk.N-M" */
    unsigned first, last;
    const char *rest, *end; /* what the name (in its block) must match; empty: anything */
} scope_pattern;

static scope_pattern parse_pattern(nb_string part)
{
    static const char prefix[] = "blk.";
    const size_t prefix_length = sizeof prefix - 1;
    scope_pattern p = {.rest = part.text, .end = part.text + part.n_bytes};
    if (part.n_bytes <= prefix_length || memcmp(part.text, prefix, prefix_length) != 0)
        return p;
    unsigned first, last;
    const char *next = read_number(part.text + prefix_length, p.end, &first);
    if (!next)
        return p;
    last = first;
    if (next < p.end && *next == '-') {
        next = read_number(next + 1, p.end, &last);
        if (!next)
            return p;
    }
    if (next < p.end && *next != '.')
        return p;
    p.has_layers = true;
    p.first = first;
    p.last = last;
    p.rest = next < p.end ? next + 1 : next;
    return p;
}

static bool pattern_matches(const scope_pattern *p, const nb_tensor *t)
{
    if (!p->has_layers)
        return glob(p->rest, p->end, t->name);
    if (t->layer < 0 || (unsigned)t->layer < p->first || (unsigned)t->layer > p->last)
        return false;
    const char *name = strncmp(t->name, "blk.", 4) == 0 ? strchr(t->name + 4, '.') : NULL;
    return p->rest == p->end || (name && glob(p->rest, p->end, name + 1));
}

/* ---- misses ---- */

/* Levenshtein distance, of texts shorter than 64; longer ones are far from everything. */
static size_t distance(nb_string a, const char *b)
{
    enum { LIMIT = 64 };
    size_t row[LIMIT + 1];
    const size_t n = strlen(b);
    if (a.n_bytes > LIMIT || n > LIMIT)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n_bytes; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t replaced = diagonal + (a.text[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = nb_min_size(replaced, 1 + nb_min_size(row[j], row[j - 1]));
        }
    }
    return row[n];
}

static const char *nearest_name(const nb_model *model, nb_string part)
{
    const char *best = words[0].name;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < N_WORDS + model->n_tensors; i++) {
        const char *name = i < N_WORDS ? words[i].name : model->tensors[i - N_WORDS].name;
        const size_t d = distance(part, name);
        if (d < best_distance) {
            best_distance = d;
            best = name;
        }
    }
    return best;
}

/* Nothing was found for this part: say why. `vector` is a tensor that would have matched. */
static nb_status fail_missing(const nb_model *model, nb_string part, const scope_pattern *p,
                              const nb_tensor *vector, nb_error *error)
{
    const int length = (int)nb_min_size(part.n_bytes, 60);
    const unsigned n_layers = model->hparams.n_layers;
    if (vector)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s is a vector of %zu numbers; vectors stay f32, they are too small to matter",
                       vector->name, vector->n_cols);
    if (p->has_layers && p->first > p->last)
        return nb_fail(error, NB_ERR_ARGUMENT, "%.*s: the range runs backwards; try blk.%u-%u", length,
                       part.text, p->last, p->first);
    if (p->has_layers && p->first >= n_layers)
        return nb_fail(error, NB_ERR_ARGUMENT, "%.*s: the model has %u blocks, blk.0 to blk.%u", length,
                       part.text, n_layers, n_layers - 1);
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "no tensor matches '%.*s': did you mean %s? (words: attention, mlp, embeddings, "
                   "head, all)",
                   length, part.text, nearest_name(model, part));
}

/* ---- resolving ---- */

static nb_status mark_part(const nb_model *model, nb_string part, bool vectors_too, bool *chosen,
                           nb_error *error)
{
    const scope_word *word = find_word(part);
    const bool everything = word && word->has == in_all && vectors_too;
    const scope_pattern pattern = parse_pattern(part);
    const nb_tensor *vector = NULL;
    bool found = false;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const nb_tensor *t = &model->tensors[i];
        if (!everything && !(word ? word->has(t) : pattern_matches(&pattern, t)))
            continue;
        if (t->is_vector && !vectors_too) {
            vector = t;
            continue;
        }
        chosen[i] = true;
        found = true;
    }
    return found ? NB_OK : fail_missing(model, part, &pattern, vector, error);
}

/* What word `all` left, if nothing else in the scope named it. */
static void describe_left(const nb_model *model, const bool *chosen, char *text, size_t size)
{
    size_t used = 0, n_vectors = 0, n_biases = 0;
    text[0] = '\0';
    for (size_t i = 0; i < model->n_tensors; i++) {
        const nb_tensor *t = &model->tensors[i];
        n_vectors += t->is_vector;
        n_biases += t->role == NB_ROLE_BIAS;
        if (t->is_vector || chosen[i] || used >= size)
            continue;
        const char *what = t->tied                         ? " (embeddings and head)"
                           : t->role == NB_ROLE_EMBEDDINGS ? " (embeddings)"
                           : t->role == NB_ROLE_HEAD       ? " (head)"
                                                           : "";
        used += (size_t)snprintf(text + used, size - used, "%s%s%s", used ? ", " : "", t->name, what);
    }
    if (n_vectors > 0 && used < size)
        snprintf(text + used, size - used, "%sthe norms%s", used ? ", " : "", n_biases ? " and biases" : "");
}

static nb_string trimmed_part(const char *begin, const char *end)
{
    static const char suffix[] = ".weight";
    const size_t suffix_length = sizeof suffix - 1;
    while (begin < end && isspace((unsigned char)*begin))
        begin++;
    while (begin < end && isspace((unsigned char)end[-1]))
        end--;
    if ((size_t)(end - begin) > suffix_length && memcmp(end - suffix_length, suffix, suffix_length) == 0)
        end -= suffix_length;
    return (nb_string){begin, (size_t)(end - begin)};
}

nb_status nb_scope_resolve(const nb_model *model, const char *text, bool vectors_too, nb_scope *out,
                           nb_error *error)
{
    *out = (nb_scope){0};
    bool *chosen = nb_calloc(model->n_tensors, sizeof *chosen);
    out->tensors = nb_calloc(model->n_tensors, sizeof *out->tensors);
    nb_status status = NB_OK;
    bool all = false;
    if (!chosen || !out->tensors)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to look up '%.60s'", text);
    for (const char *begin = text; status == NB_OK; begin++) {
        const char *end = begin + strcspn(begin, ",");
        const nb_string part = trimmed_part(begin, end);
        all = all || nb_string_equal(part, "all");
        status = part.n_bytes > 0 ? mark_part(model, part, vectors_too, chosen, error)
                                  : nb_fail(error, NB_ERR_ARGUMENT,
                                            "name some tensors: a name from layers, a pattern such "
                                            "as blk.*.ffn_up, or attention, mlp, embeddings, head, all");
        if (*end == '\0')
            break;
        begin = end;
    }
    for (size_t i = 0; status == NB_OK && i < model->n_tensors; i++)
        if (chosen[i])
            out->tensors[out->count++] = i;
    if (status == NB_OK && all && !vectors_too)
        describe_left(model, chosen, out->left, sizeof out->left);
    free(chosen);
    if (status != NB_OK)
        nb_scope_free(out);
    return status;
}

void nb_scope_free(nb_scope *scope)
{
    free(scope->tensors);
    *scope = (nb_scope){0};
}
