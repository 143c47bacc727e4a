#include "train/config.h"

#include "base/memory.h"
#include "base/print.h"
#include "math/math.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum setting_kind { TEXT, WHOLE, WHOLE_64, REAL, FLAG } setting_kind;

/* One setting: where it goes, what it may be, and what it is unless said (NULL: it must be said; "": nothing). */
typedef struct setting {
    const char *name;
    setting_kind kind;
    size_t offset;
    double low, high;
    const char *otherwise;
    bool is_outward; /* changes where the result goes, not what is computed */
} setting;

#define AT(FIELD) offsetof(nb_train_config, FIELD)

static const setting settings[] = {
    {"name", TEXT, AT(name), 0, 0, "", true},
    {"tokenizer", TEXT, AT(tokenizer), 0, 0, NULL, false},
    {"grammar", TEXT, AT(grammar), 0, 0, "", false},
    {"start", TEXT, AT(start), 0, 0, "document", false},
    {"text", TEXT, AT(text), 0, 0, "", false},
    {"corpus_seed", WHOLE_64, AT(corpus_seed), 0, 1e15, "1", false},
    {"output", TEXT, AT(output), 0, 0, "", true},
    {"format", TEXT, AT(format), 0, 0, "f16", true},
    {"n_layers", WHOLE, AT(hparams.n_layers), 1, 1000, NULL, false},
    {"n_embd", WHOLE, AT(hparams.n_embd), 1, 65536, NULL, false},
    {"n_heads", WHOLE, AT(hparams.n_heads), 1, 1024, NULL, false},
    {"n_kv_heads", WHOLE, AT(hparams.n_kv_heads), 1, 1024, NULL, false},
    {"n_ff", WHOLE, AT(hparams.n_ff), 1, 1e6, NULL, false},
    {"n_ctx", WHOLE, AT(hparams.n_ctx), 2, 65536, NULL, false},
    {"rope_base", REAL, AT(hparams.rope_base), 1, 1e9, "10000", false},
    {"tied", FLAG, AT(hparams.tied), 0, 0, "yes", false},
    {"seed", WHOLE_64, AT(seed), 0, 1e15, "1", false},
    {"steps", WHOLE, AT(steps), 1, 1e9, NULL, false},
    {"batch_tokens", WHOLE, AT(batch_tokens), 2, 1e7, NULL, false},
    {"learning_rate", REAL, AT(learning_rate), 0, 10, NULL, false},
    {"final_rate", REAL, AT(final_rate), 0, 1, "0.1", false},
    {"warmup", WHOLE, AT(warmup), 0, 1e9, "0", false},
    {"beta1", REAL, AT(adamw.beta1), 0, 0.999999, "0.9", false},
    {"beta2", REAL, AT(adamw.beta2), 0, 0.999999, "0.95", false},
    {"epsilon", REAL, AT(adamw.epsilon), 1e-30, 1, "1e-8", false},
    {"answer_weight", REAL, AT(answer_weight), 0.001, 1000, "1", false},
    {"weight_decay", REAL, AT(adamw.weight_decay), 0, 10, "0.1", false},
    {"clip", REAL, AT(adamw.clip), 0, 1e9, "1", false},
    {"checkpoint_every", WHOLE, AT(checkpoint_every), 1, 1e9, "500", true},
};

enum { N_SETTINGS = sizeof settings / sizeof settings[0] };

/* ---- one setting ---- */

static const char *problem_of(const setting *s, const char *value, double *number)
{
    if (s->kind == TEXT)
        return NULL;
    if (s->kind == FLAG)
        return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0 ? NULL : "is yes or no";
    const size_t sign = value[0] == '-';
    const size_t used = nb_parse_f64(value + sign, number);
    if (used == 0 || value[sign + used] != '\0')
        return "is a number";
    if (sign)
        *number = -*number;
    if (s->kind != REAL && *number >= 0 && *number <= 1e15 && (double)(uint64_t)*number < *number)
        return "is a whole number";
    return *number >= s->low && *number <= s->high ? NULL : "is out of its range";
}

static nb_status put(nb_train_config *config, const setting *s, const char *value, double number, nb_error *error)
{
    char *at = (char *)config + s->offset;
    switch (s->kind) {
    case TEXT: {
        char *copy = *value ? nb_strdup(value) : NULL;
        if (*value && !copy)
            return nb_fail(error, NB_ERR_MEMORY, "%s: no memory", config->path);
        memcpy(at, &copy, sizeof copy);
        break;
    }
    case WHOLE: memcpy(at, &(uint32_t){(uint32_t)number}, sizeof(uint32_t)); break;
    case WHOLE_64: memcpy(at, &(uint64_t){(uint64_t)number}, sizeof(uint64_t)); break;
    case REAL: memcpy(at, &number, sizeof number); break;
    case FLAG: memcpy(at, &(bool){strcmp(value, "yes") == 0}, sizeof(bool)); break;
    }
    return NB_OK;
}

/* ---- the file ---- */

typedef struct reader {
    const char *where; /* for sentences */
    int line;
    char *values[N_SETTINGS]; /* into the texts that are read */
    bool settled[N_SETTINGS]; /* the file has no say in it */
} reader;

static char *trim(char *text)
{
    while (*text && strchr(" \t\r\n", *text))
        text++;
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]))
        text[--n] = '\0';
    return text;
}

static nb_status read_line(reader *r, char *line, nb_error *error)
{
    char *comment = strchr(line, '#');
    if (comment)
        *comment = '\0';
    line = trim(line);
    if (*line == '\0')
        return NB_OK;
    char *equals = strchr(line, '=');
    if (!equals)
        return nb_fail(error, NB_ERR_FILE, "%s:%d: a line is NAME = VALUE", r->where, r->line);
    *equals = '\0';
    const char *name = trim(line);
    char *value = trim(equals + 1);
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (strcmp(settings[i].name, name) != 0)
            continue;
        double number = 0;
        const char *problem = *value ? problem_of(&settings[i], value, &number) : "needs a value";
        if (problem && settings[i].high > 0 && strstr(problem, "range"))
            return nb_fail(error, NB_ERR_FILE, "%s:%d: %s is from %g to %g, not %.40s", r->where, r->line, name,
                           settings[i].low, settings[i].high, value);
        if (problem)
            return nb_fail(error, NB_ERR_FILE, "%s:%d: %s %s, not '%.40s'", r->where, r->line, name, problem, value);
        if (r->settled[i])
            return NB_OK;
        if (r->values[i])
            return nb_fail(error, NB_ERR_FILE, "%s:%d: %s stands here for the second time", r->where, r->line, name);
        r->values[i] = value;
        return NB_OK;
    }
    return nb_fail(error, NB_ERR_FILE, "%s:%d: there is no setting '%.40s'", r->where, r->line, name);
}

static nb_status read_lines(reader *r, char *text, char end_of_line, nb_error *error)
{
    nb_status status = NB_OK;
    while (text && status == NB_OK) {
        char *end = strchr(text, end_of_line);
        if (end)
            *end = '\0';
        r->line++;
        status = read_line(r, text, error);
        text = end ? end + 1 : NULL;
    }
    return status;
}

/* What is computed, as lines, default values too. */
static char *canonical_text(const reader *r)
{
    char *text = nb_strdup("");
    for (size_t i = 0; i < N_SETTINGS && text; i++) {
        if (settings[i].is_outward)
            continue;
        const char *value = r->values[i] ? r->values[i] : settings[i].otherwise;
        char *longer = nb_format_text("%s%s = %s\n", text, settings[i].name, value);
        free(text);
        text = longer;
    }
    return text;
}

static nb_status fill(const reader *r, nb_train_config *c, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < N_SETTINGS && status == NB_OK; i++) {
        const char *value = r->values[i] ? r->values[i] : settings[i].otherwise;
        double number = 0;
        if (!value)
            return nb_fail(error, NB_ERR_FILE, "%s: %s is missing; add a line %s = ...", c->path, settings[i].name,
                           settings[i].name);
        if (*value)
            problem_of(&settings[i], value, &number);
        status = put(c, &settings[i], value, number, error);
    }
    return status;
}

/* What settings mean together. */
static nb_status complete(nb_train_config *c, nb_error *error)
{
    nb_hparams *h = &c->hparams;
    if (!c->grammar == !c->text)
        return nb_fail(error, NB_ERR_FILE, "%s: say either grammar = FILE or text = FILE", c->path);
    if (h->n_embd % h->n_heads != 0)
        return nb_fail(error, NB_ERR_FILE, "%s: n_embd %u cannot be shared among %u heads; make it a multiple",
                       c->path, h->n_embd, h->n_heads);
    if (c->batch_tokens < h->n_ctx)
        return nb_fail(error, NB_ERR_FILE, "%s: a batch of %u tokens does not hold one context of %u", c->path,
                       c->batch_tokens, h->n_ctx);
    const nb_format *format = nb_format_find(c->format);
    if (format != &nb_format_f32 && format != &nb_format_f16 && format != &nb_format_bf16)
        return nb_fail(error, NB_ERR_FILE, "%s: format is f32, f16 or bf16, not '%.40s'", c->path, c->format);
    h->architecture = "llama";
    h->head_size = h->n_rot = h->n_embd / h->n_heads;
    h->norm_eps = 1e-5f;
    h->rope_scale = 1.0;
    if (!c->name) {
        const char *stem = strrchr(c->path, '/') ? strrchr(c->path, '/') + 1 : c->path;
        const char *dot = strrchr(stem, '.');
        c->name = nb_format_text("%.*s", (int)(dot ? (size_t)(dot - stem) : strlen(stem)), stem);
    }
    if (c->name && !c->output)
        c->output = nb_format_text("%s.gguf", c->name);
    return c->name && c->output ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "%s: no memory", c->path);
}

/* Both texts are the caller's to free, and are cut up here. */
static nb_status read_texts(char *with, char *text, nb_train_config *out, nb_error *error)
{
    reader r = {.where = "--with"};
    nb_status status = read_lines(&r, with, ';', error);
    for (size_t i = 0; i < N_SETTINGS; i++)
        r.settled[i] = r.values[i] != NULL;
    r.where = out->path;
    r.line = 0;
    if (status == NB_OK)
        status = read_lines(&r, text, '\n', error);
    if (status == NB_OK)
        status = fill(&r, out, error);
    if (status != NB_OK)
        return status;
    out->canonical = canonical_text(&r);
    return out->canonical ? complete(out, error) : nb_fail(error, NB_ERR_MEMORY, "%s: no memory", out->path);
}

nb_status nb_train_config_read(const char *path, const char *with, nb_train_config *out, nb_error *error)
{
    *out = (nb_train_config){0};
    nb_mapping *file;
    nb_status status = nb_mapping_open(path, &file, error);
    if (status != NB_OK)
        return status;
    const char *slash = strrchr(path, '/');
    char *more = nb_strdup(with ? with : "");
    char *text = nb_format_text("%.*s", (int)nb_min_size(file->size, 1 << 20), (const char *)file->data);
    out->path = nb_strdup(path);
    out->folder = nb_format_text("%.*s", slash ? (int)(slash - path) + 1 : 0, path);
    if (more && text && out->path && out->folder)
        status = read_texts(more, text, out, error);
    else
        status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory to read it", path);
    free(more);
    free(text);
    nb_mapping_close(&file);
    if (status != NB_OK)
        nb_train_config_free(out);
    return status;
}

void nb_train_config_free(nb_train_config *config)
{
    char *const owned[] = {config->path,    config->folder, config->canonical, config->name,
                           config->tokenizer, config->grammar, config->start, config->text,
                           config->output,  config->format};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
    *config = (nb_train_config){0};
}

char *nb_train_config_path(const nb_train_config *config, const char *path)
{
    return nb_format_text("%s%s", path[0] == '/' ? "" : config->folder, path);
}

double nb_train_config_rate(const nb_train_config *config, uint64_t step)
{
    if (step < config->warmup)
        return config->learning_rate * (double)(step + 1) / (double)config->warmup;
    const double span = config->steps > config->warmup ? (double)(config->steps - config->warmup) : 1.0;
    const double share = (double)(step - config->warmup) / span;
    const double pi = 3.14159265358979323846;
    const double height = 0.5 * (1.0 + nb_cos(pi * (share < 1.0 ? share : 1.0)));
    return config->learning_rate * (config->final_rate + (1.0 - config->final_rate) * height);
}
