#include "repl/settings.h"

#include "repl/nearest.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static nb_status read_number(const char *name, const char *text, double low, double high, bool whole,
                             double *out, nb_error *error)
{
    size_t used = nb_parse_f64(text, out);
    if (used && text[used] == '\0' && *out >= low && *out <= high && (!whole || *out == rint(*out)))
        return NB_OK;
    return nb_fail(error, NB_ERR_ARGUMENT, "%s is a %snumber from %s to %s, not \"%.60s\"", name,
                   whole ? "whole " : "", nb_general(low, 6).text, nb_general(high, 16).text, text);
}

static void get_threads(const nb_notebook *notebook, nb_draft *out)
{
    nb_draft_addf(out, NB_MEASURED "%u" NB_END, nb_pool_size(notebook->context->pool));
}

static nb_status set_threads(nb_notebook *notebook, const char *text, nb_error *error)
{
    double n;
    nb_pool *pool = NULL;
    nb_status status = read_number("threads", text, 1, 256, true, &n, error);
    if (status == NB_OK)
        status = nb_pool_create((unsigned)n, &pool, error);
    if (status != NB_OK)
        return status;
    nb_pool_destroy(&notebook->context->pool);
    notebook->context->pool = pool;
    return NB_OK;
}

static void get_seed(const nb_notebook *notebook, nb_draft *out)
{
    nb_draft_addf(out, "%llu", (unsigned long long)notebook->settings.sampling.seed);
}

static nb_status set_seed(nb_notebook *notebook, const char *text, nb_error *error)
{
    double n;
    nb_status status = read_number("seed", text, 0, 9007199254740992.0, true, &n, error);
    if (status == NB_OK)
        notebook->settings.sampling.seed = (uint64_t)n;
    return status;
}

static void get_tokens(const nb_notebook *notebook, nb_draft *out)
{
    nb_draft_addf(out, "%u", notebook->settings.n_tokens);
}

static nb_status set_tokens(nb_notebook *notebook, const char *text, nb_error *error)
{
    double n;
    nb_status status = read_number("tokens", text, 1, 1 << 20, true, &n, error);
    if (status == NB_OK)
        notebook->settings.n_tokens = (uint32_t)n;
    return status;
}

static void get_temperature(const nb_notebook *notebook, nb_draft *out)
{
    nb_draft_add(out, nb_general((double)notebook->settings.sampling.temperature, 6).text);
}

static nb_status set_temperature(nb_notebook *notebook, const char *text, nb_error *error)
{
    double value;
    nb_status status = read_number("temperature", text, 0, 100, false, &value, error);
    if (status == NB_OK)
        notebook->settings.sampling.temperature = (float)value;
    return status;
}

static void get_top_k(const nb_notebook *notebook, nb_draft *out)
{
    nb_draft_addf(out, "%u", notebook->settings.sampling.top_k);
}

static nb_status set_top_k(nb_notebook *notebook, const char *text, nb_error *error)
{
    double n;
    nb_status status = read_number("top-k", text, 0, 1 << 24, true, &n, error);
    if (status == NB_OK)
        notebook->settings.sampling.top_k = (uint32_t)n;
    return status;
}

static void get_top_p(const nb_notebook *notebook, nb_draft *out)
{
    nb_draft_add(out, nb_general((double)notebook->settings.sampling.top_p, 6).text);
}

static nb_status set_top_p(nb_notebook *notebook, const char *text, nb_error *error)
{
    double value;
    nb_status status = read_number("top-p", text, 0, 1, false, &value, error);
    if (status == NB_OK)
        notebook->settings.sampling.top_p = (float)value;
    return status;
}

static void get_min_p(const nb_notebook *notebook, nb_draft *out)
{
    nb_draft_add(out, nb_general((double)notebook->settings.sampling.min_p, 6).text);
}

static nb_status set_min_p(nb_notebook *notebook, const char *text, nb_error *error)
{
    double value;
    nb_status status = read_number("min-p", text, 0, 1, false, &value, error);
    if (status == NB_OK)
        notebook->settings.sampling.min_p = (float)value;
    return status;
}

static const char *const picture_names[] = {
    [NB_PICTURE_AUTO] = "auto",       [NB_PICTURE_KITTY] = "kitty", [NB_PICTURE_SIXEL] = "sixel",
    [NB_PICTURE_BRAILLE] = "braille", [NB_PICTURE_ASCII] = "ascii", [NB_PICTURE_NONE] = "none",
};

static void get_plot(const nb_notebook *notebook, nb_draft *out)
{
    nb_draft_add(out, picture_names[notebook->settings.picture]);
}

static nb_status set_plot(nb_notebook *notebook, const char *text, nb_error *error)
{
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

static void get_text(const nb_notebook *notebook, nb_draft *out)
{
    if (notebook->settings.text)
        nb_draft_addf(out, NB_MEASURED "%s" NB_END, notebook->settings.text);
    else
        nb_draft_add(out, "none yet");
}

static nb_status set_text(nb_notebook *notebook, const char *text, nb_error *error)
{
    nb_mapping *mapping = NULL;
    nb_status status = nb_notebook_text(notebook, text, "set text", &mapping, error);
    nb_mapping_close(&mapping);
    return status;
}

static const nb_setting settings[] = {
    {"threads", "N", "cores to compute with; the results stay the same", NULL, get_threads, set_threads},
    {"text", "FILE", "what ppl and compare read", NULL, get_text, set_text},
    {"tokens", "N", "how many generate and compare write", NULL, get_tokens, set_tokens},
    {"temperature", "T", "0: always the likeliest token", NULL, get_temperature, set_temperature},
    {"top-k", "K", "choose among the K likeliest; 0: all", NULL, get_top_k, set_top_k},
    {"top-p", "P", "the likeliest, of probability P together; 1: all", NULL, get_top_p, set_top_p},
    {"min-p", "P", "those P times as likely as the first; 0: all", NULL, get_min_p, set_min_p},
    {"seed", "S", "the same seed gives the same text", NULL, get_seed, set_seed},
    {"plot", "MODE", "how figures are drawn", "auto kitty sixel braille ascii none", get_plot, set_plot},
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
