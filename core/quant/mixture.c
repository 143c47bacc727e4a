/* llama.cpp's mixtures: a base format, and rules that give the tensors which mind most a better one. */
#include "quant/recipe.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* general.file_type numbers are those of llama.cpp's enum llama_ftype. */
static const nb_mixture mixtures[] = {
    {"f32", 0, "f32", {{0}}},
    {"f16", 1, "f16", {{0}}},
    {"bf16", 32, "bf16", {{0}}},
    {"q4_0", 2, "q4_0", {{NB_PART_DOWN, NB_FIRST_EIGHTH_GUIDED, "q4_1"}}},
    {"q4_1", 3, "q4_1", {{0}}},
    {"q5_0", 8, "q5_0", {{NB_PART_DOWN, NB_FIRST_EIGHTH_GUIDED, "q5_1"}}},
    {"q5_1", 9, "q5_1", {{0}}},
    {"q8_0", 7, "q8_0", {{0}}},
    {"q2_k",
     10,
     "q2_k",
     {{NB_PART_VALUES, NB_SHARED_VALUES, "q4_k"},
      {NB_PART_VALUES, NB_ALWAYS, "q3_k"},
      {NB_PART_DOWN, NB_ALWAYS, "q3_k"},
      {NB_PART_ATTENTION_OUTPUT, NB_ALWAYS, "q3_k"}}},
    {"q2_k_s",
     21,
     "q2_k",
     {{NB_PART_VALUES, NB_SHARED_VALUES, "q4_k"}, {NB_PART_DOWN, NB_FIRST_EIGHTH, "q4_k"}}},
    {"q3_k_s", 11, "q3_k", {{0}}},
    {"q3_k_m",
     12,
     "q3_k",
     {{NB_PART_VALUES, NB_FIRST_TWO, "q5_k"},
      {NB_PART_VALUES, NB_ALWAYS, "q4_k"},
      {NB_PART_DOWN, NB_FIRST_SIXTEENTH, "q5_k"},
      {NB_PART_DOWN, NB_ALWAYS, "q4_k"},
      {NB_PART_ATTENTION_OUTPUT, NB_ALWAYS, "q4_k"}}},
    {"q3_k_l",
     13,
     "q3_k",
     {{NB_PART_VALUES, NB_ALWAYS, "q5_k"},
      {NB_PART_DOWN, NB_ALWAYS, "q5_k"},
      {NB_PART_ATTENTION_OUTPUT, NB_ALWAYS, "q5_k"}}},
    {"q4_k_s", 14, "q4_k", {{NB_PART_VALUES, NB_FIRST_FOUR, "q5_k"}, {NB_PART_DOWN, NB_FIRST_EIGHTH, "q5_k"}}},
    {"q4_k_m", 15, "q4_k", {{NB_PART_VALUES, NB_MORE_BITS, "q6_k"}, {NB_PART_DOWN, NB_MORE_BITS, "q6_k"}}},
    {"q5_k_s", 16, "q5_k", {{0}}},
    {"q5_k_m", 17, "q5_k", {{NB_PART_VALUES, NB_MORE_BITS, "q6_k"}, {NB_PART_DOWN, NB_MORE_BITS, "q6_k"}}},
    {"q6_k", 18, "q6_k", {{0}}},
    {"iq4_nl",
     25,
     "iq4_nl",
     {{NB_PART_VALUES, NB_SHARED_VALUES, "q5_k"}, {NB_PART_DOWN, NB_FIRST_EIGHTH_BLIND, "q5_k"}}},
    {"iq4_xs",
     30,
     "iq4_xs",
     {{NB_PART_VALUES, NB_SHARED_VALUES, "q5_k"}, {NB_PART_DOWN, NB_FIRST_EIGHTH_BLIND, "q5_k"}}},
    {"tq1_0", 36, "tq1_0", {{NB_PART_EMBEDDINGS, NB_ALWAYS, "q4_k"}}},
    {"tq2_0", 37, "tq2_0", {{NB_PART_EMBEDDINGS, NB_ALWAYS, "q4_k"}}},
    {"nvfp4", 39, "nvfp4", {{0}}},
};

size_t nb_mixture_count(void)
{
    return sizeof mixtures / sizeof mixtures[0];
}

const nb_mixture *nb_mixture_at(size_t index)
{
    return index < nb_mixture_count() ? &mixtures[index] : NULL;
}

const nb_mixture *nb_mixture_find(const char *name)
{
    for (size_t i = 0; i < nb_mixture_count(); i++) {
        const char *a = mixtures[i].name, *b = name;
        while (*a && *a == tolower((unsigned char)*b))
            a++, b++;
        if (!*a && !*b)
            return &mixtures[i];
    }
    return NULL;
}

/* ---- which tensors ---- */

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static nb_part part_of(const char *tensor, bool tied)
{
    if (strcmp(tensor, "output") == 0 || (tied && strcmp(tensor, "token_embd") == 0))
        return NB_PART_HEAD;
    if (strcmp(tensor, "token_embd") == 0)
        return NB_PART_EMBEDDINGS;
    if (ends_with(tensor, "attn_v") || ends_with(tensor, "attn_qkv"))
        return NB_PART_VALUES;
    if (ends_with(tensor, "attn_output"))
        return NB_PART_ATTENTION_OUTPUT;
    return ends_with(tensor, "ffn_down") ? NB_PART_DOWN : NB_PART_OTHER;
}

/* Small tables that are looked up and not multiplied. */
static bool is_left_alone(const char *tensor)
{
    static const char *const ends[] = {"_norm", "position_embd", "token_types", "ffn_gate_inp"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends_with(tensor, ends[i]))
            return true;
    return false;
}

static bool holds(nb_when when, const nb_mixture_case *c)
{
    const int i = c->layer, n = c->n_layers;
    switch (when) {
    case NB_ALWAYS:
        return true;
    case NB_MORE_BITS:
        return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    case NB_FIRST_TWO:
        return i < 2;
    case NB_FIRST_FOUR:
        return i < 4;
    case NB_FIRST_SIXTEENTH:
        return i < n / 16;
    case NB_FIRST_EIGHTH:
        return i < n / 8;
    case NB_FIRST_EIGHTH_BLIND:
        return i < n / 8 && !c->guided;
    case NB_FIRST_EIGHTH_GUIDED:
        return i < n / 8 && c->guided;
    case NB_SHARED_VALUES:
        return c->n_kv_heads > 0 && c->n_heads / c->n_kv_heads >= 4;
    }
    return false;
}

static const char *const part_reasons[] = {
    [NB_PART_OTHER] = "",
    [NB_PART_EMBEDDINGS] = "the embeddings",
    [NB_PART_HEAD] = "the head",
    [NB_PART_VALUES] = "what attention reads out",
    [NB_PART_ATTENTION_OUTPUT] = "the end of attention",
    [NB_PART_DOWN] = "the end of the MLP",
};
static const char *const part_names[] = {
    [NB_PART_OTHER] = "",
    [NB_PART_EMBEDDINGS] = "embeddings",
    [NB_PART_HEAD] = "head",
    [NB_PART_VALUES] = "attn_v",
    [NB_PART_ATTENTION_OUTPUT] = "attn_output",
    [NB_PART_DOWN] = "ffn_down",
};
static const char *const when_reasons[] = {
    [NB_ALWAYS] = "",
    [NB_MORE_BITS] = ", in the first and last eighth of the layers and each third between",
    [NB_FIRST_TWO] = ", in the first two layers",
    [NB_FIRST_FOUR] = ", in the first four layers",
    [NB_FIRST_SIXTEENTH] = ", in the first sixteenth of the layers",
    [NB_FIRST_EIGHTH] = ", in the first eighth of the layers",
    [NB_FIRST_EIGHTH_BLIND] = ", in the first eighth of the layers, without an importance matrix",
    [NB_FIRST_EIGHTH_GUIDED] = ", in the first eighth of the layers, with an importance matrix",
    [NB_SHARED_VALUES] = ", shared by 4 or more heads and so small",
};

static const char *choose_by_rules(const nb_mixture *m, const nb_mixture_case *c, nb_part part, char *why,
                                   size_t size)
{
    for (size_t r = 0; r < sizeof m->rules / sizeof m->rules[0] && m->rules[r].format; r++) {
        const nb_rule *rule = &m->rules[r];
        if (rule->part == part && holds(rule->when, c)) {
            snprintf(why, size, "%s%s", part_reasons[part], when_reasons[rule->when]);
            return rule->format;
        }
    }
    snprintf(why, size, "the recipe's base");
    return m->base;
}

const char *nb_part_name(nb_part part)
{
    return part_names[part];
}

/* 80 layers that share keys and values: attn_v is an eighth of attn_q, and more bits for it cost next to nothing. */
static bool is_70b(const nb_mixture_case *c)
{
    return c->n_layers == 80 && (strcmp(c->architecture, "qwen2") == 0 ||
                                 (strcmp(c->architecture, "llama") == 0 && c->n_heads != c->n_kv_heads));
}

/* ---- rows that a block does not divide ---- */

static const struct {
    const char *format, *instead;
} fallbacks[] = {
    {"iq4_xs", "iq4_nl"}, {"q2_k", "q4_0"}, {"q3_k", "q4_0"}, {"tq1_0", "q4_0"},
    {"tq2_0", "q4_0"},    {"q4_k", "q5_0"}, {"q5_k", "q5_1"}, {"q6_k", "q8_0"},
};

static size_t block_of(const char *format)
{
    const nb_format *f = nb_format_find(format);
    return f && f->kind == NB_FORMAT_BLOCK ? f->block_size : 1;
}

static const char *fit(const char *format, size_t n_cols, char *why, size_t size)
{
    const size_t block = block_of(format);
    if (n_cols % block == 0)
        return format;
    const char *instead = "f16";
    for (size_t i = 0; i < sizeof fallbacks / sizeof fallbacks[0]; i++)
        if (strcmp(fallbacks[i].format, format) == 0 && n_cols % block_of(fallbacks[i].instead) == 0)
            instead = fallbacks[i].instead;
    snprintf(why, size, "for %s: %zu columns are no multiple of %zu", format, n_cols, block);
    return instead;
}

const char *nb_mixture_choose(const nb_mixture *m, const nb_mixture_case *c, char *why, size_t size)
{
    const nb_part part = part_of(c->tensor, c->tied);
    if (is_left_alone(c->tensor)) {
        snprintf(why, size, "looked up, not multiplied");
        return NULL;
    }
    if (block_of(m->base) == 1 || c->pure) {
        snprintf(why, size, "%s", c->pure ? "the recipe's base, pure" : "the recipe's base");
        return fit(m->base, c->n_cols, why, size);
    }
    const char *format;
    if (part == NB_PART_HEAD) {
        const bool fits = c->n_cols % block_of(m->base) == 0;
        format = fits && strcmp(m->base, "q8_0") != 0 ? "q6_k" : "q8_0";
        snprintf(why, size, "the head, which every next token is read from");
    } else {
        format = choose_by_rules(m, c, part, why, size);
    }
    if (part == NB_PART_VALUES && is_70b(c) && (strcmp(format, "q3_k") == 0 || strcmp(format, "q4_k") == 0)) {
        format = "q5_k";
        snprintf(why, size, "what attention reads out, small in a model of 80 layers");
    }
    return fit(format, c->n_cols, why, size);
}
