#include "repl/settings.h"

#include "quant/calibration.h"
#include "repl/language/language.h"
#include "repl/nearest.h"
#include "repl/numbers.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static nb_status read_number(const nb_setting *setting, const char *text, double *out, nb_error *error)
{
    const bool whole = setting->type != NB_SETTING_F32;
    size_t used = nb_parse_f64(text, out);
    if (used && text[used] == '\0' && *out >= setting->low && *out <= setting->high &&
        (!whole || *out == rint(*out)))
        return NB_OK;
    return nb_fail(error, NB_ERR_ARGUMENT, "%s is a %snumber from %s to %s, not \"%.60s\"", setting->name,
                   whole ? "whole " : "", nb_general(setting->low, 6).text,
                   nb_general(setting->high, 16).text, text);
}

static void get_number(const nb_setting *setting, const nb_notebook *notebook, nb_draft *out)
{
    const char *place = (const char *)&notebook->settings + setting->offset;
    switch (setting->type) {
    case NB_SETTING_U32:
        nb_draft_addf(out, "%u", *(const uint32_t *)place);
        break;
    case NB_SETTING_U64:
        nb_draft_addf(out, "%llu", (unsigned long long)*(const uint64_t *)place);
        break;
    case NB_SETTING_F32:
        nb_draft_add(out, nb_general((double)*(const float *)place, 6).text);
        break;
    }
}

static nb_status set_number(const nb_setting *setting, nb_notebook *notebook, const char *text,
                            nb_error *error)
{
    double number;
    char *place = (char *)&notebook->settings + setting->offset;
    nb_status status = read_number(setting, text, &number, error);
    if (status != NB_OK)
        return status;
    switch (setting->type) {
    case NB_SETTING_U32:
        *(uint32_t *)place = (uint32_t)number;
        break;
    case NB_SETTING_U64:
        *(uint64_t *)place = (uint64_t)number;
        break;
    case NB_SETTING_F32:
        *(float *)place = (float)number;
        break;
    }
    return NB_OK;
}

static void get_threads(const nb_setting *setting, const nb_notebook *notebook, nb_draft *out)
{
    (void)setting;
    nb_draft_addf(out, NB_MEASURED "%u" NB_END, nb_pool_size(notebook->context->pool));
}

static nb_status set_threads(const nb_setting *setting, nb_notebook *notebook, const char *text,
                             nb_error *error)
{
    double n;
    nb_pool *pool = NULL;
    nb_status status = read_number(setting, text, &n, error);
    if (status == NB_OK)
        status = nb_pool_create((unsigned)n, &pool, error);
    if (status != NB_OK)
        return status;
    nb_pool_destroy(&notebook->context->pool);
    notebook->context->pool = pool;
    return NB_OK;
}

enum { MEGABYTE = 1000000 };

static void get_memory(const nb_setting *setting, const nb_notebook *notebook, nb_draft *out)
{
    (void)setting;
    const size_t limit = nb_language_space(notebook->language)->limit_bytes;
    nb_draft_addf(out, NB_MEASURED "%s" NB_END " MB", nb_count(limit / MEGABYTE).text);
}

static nb_status set_memory(const nb_setting *setting, nb_notebook *notebook, const char *text, nb_error *error)
{
    double megabytes;
    nb_status status = read_number(setting, text, &megabytes, error);
    if (status != NB_OK)
        return status;
    size_t *limit = &nb_language_space(notebook->language)->limit_bytes;
    const size_t wanted = (size_t)megabytes * MEGABYTE;
    if (notebook->confined && wanted > *limit)
        return nb_fail(error, NB_ERR_STATE, "this notebook may not raise its memory over %s MB",
                       nb_count(*limit / MEGABYTE).text);
    *limit = wanted;
    return NB_OK;
}

static const char *const picture_names[] = {
    [NB_PICTURE_AUTO] = "auto",       [NB_PICTURE_KITTY] = "kitty", [NB_PICTURE_SIXEL] = "sixel",
    [NB_PICTURE_BRAILLE] = "braille", [NB_PICTURE_ASCII] = "ascii", [NB_PICTURE_NONE] = "none",
};

static void get_plot(const nb_setting *setting, const nb_notebook *notebook, nb_draft *out)
{
    (void)setting;
    nb_draft_add(out, picture_names[notebook->settings.picture]);
}

static nb_status set_plot(const nb_setting *setting, nb_notebook *notebook, const char *text, nb_error *error)
{
    (void)setting;
    nb_nearest nearest;
    nb_nearest_start(&nearest, text);
    for (size_t i = 0; i < sizeof picture_names / sizeof *picture_names; i++) {
        if (strcmp(picture_names[i], text) == 0) {
            notebook->settings.picture = (nb_picture)i;
            return NB_OK;
        }
        nb_nearest_offer(&nearest, picture_names[i]);
    }
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "plot knows no \"%.60s\": did you mean %s?", text,
                       nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "plot is auto, kitty, sixel, braille, ascii or none, not \"%.60s\"", text);
}

static void add_path(const char *path, nb_draft *out)
{
    if (path)
        nb_draft_addf(out, NB_MEASURED "%s" NB_END, path);
    else
        nb_draft_add(out, "none yet");
}

static void get_text(const nb_setting *setting, const nb_notebook *notebook, nb_draft *out)
{
    (void)setting;
    add_path(notebook->settings.text, out);
}

static void get_calibration(const nb_setting *setting, const nb_notebook *notebook, nb_draft *out)
{
    (void)setting;
    add_path(notebook->settings.calibration, out);
}

static nb_status set_text(const nb_setting *setting, nb_notebook *notebook, const char *text, nb_error *error)
{
    (void)setting;
    nb_mapping *mapping = NULL;
    nb_status status = nb_notebook_text(notebook, text, "set text", &mapping, error);
    nb_mapping_close(&mapping);
    return status;
}

static nb_status set_calibration(const nb_setting *setting, nb_notebook *notebook, const char *text, nb_error *error)
{
    (void)setting;
    nb_mapping *mapping = NULL;
    nb_status status = nb_notebook_calibration_text(notebook, text, "set calibration", &mapping, error);
    nb_mapping_close(&mapping);
    if (status == NB_OK)
        nb_calibration_destroy(&notebook->calibration); /* what is calibrated next, is with this text */
    return status;
}

/* The rest of a number's row. A seed is a whole number that f64 holds. */
#define NUMBER(MEMBER, TYPE, LOW, HIGH)                                                                      \
    .get = get_number, .set = set_number, .low = (LOW), .high = (HIGH), .type = NB_SETTING_##TYPE,           \
    .offset = offsetof(nb_settings, MEMBER)

static const nb_setting settings[] = {
    {"threads", "N", "cores to compute with; the results stay the same", .get = get_threads,
     .set = set_threads, .low = 1, .high = 256},
    {"memory", "MB", "what the arrays of expressions may hold together", .get = get_memory, .set = set_memory,
     .low = 1, .high = 1e9},
    {"text", "FILE", "what ppl and compare measure on", .get = get_text, .set = set_text},
    {"calibration", "FILE", "the text that calibrate, imatrix and methods read", .get = get_calibration,
     .set = set_calibration},
    {"tokens", "N", "how many generate and compare write", NUMBER(n_tokens, U32, 1, 1 << 20)},
    {"temperature", "T", "0: always the likeliest token", NUMBER(sampling.temperature, F32, 0, 100)},
    {"top-k", "K", "choose among the K likeliest; 0: all", NUMBER(sampling.top_k, U32, 0, 1 << 24)},
    {"top-p", "P", "the likeliest, of probability P together; 1: all", NUMBER(sampling.top_p, F32, 0, 1)},
    {"min-p", "P", "those P times as likely as the first; 0: all", NUMBER(sampling.min_p, F32, 0, 1)},
    {"seed", "S", "the same seed gives the same text", NUMBER(sampling.seed, U64, 0, 9007199254740992.0)},
    {"plot", "MODE", "how figures are drawn", "auto kitty sixel braille ascii none", .get = get_plot,
     .set = set_plot},
};

size_t nb_setting_count(void)
{
    return sizeof settings / sizeof *settings;
}
const nb_setting *nb_setting_at(size_t index)
{
    return &settings[index];
}

const nb_setting *nb_setting_find(const char *name, nb_error *error)
{
    nb_nearest nearest;
    nb_nearest_start(&nearest, name);
    for (size_t i = 0; i < nb_setting_count(); i++) {
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
        nb_nearest_offer(&nearest, settings[i].name);
    }
    if (nearest.best)
        nb_fail(error, NB_ERR_ARGUMENT, "no setting \"%.60s\": did you mean %s?", name, nearest.best);
    else
        nb_fail(error, NB_ERR_ARGUMENT, "no setting \"%.60s\": set lists them", name);
    return NULL;
}
