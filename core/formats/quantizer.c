#include "formats/format.h"
#include "formats/intn.h"
#include "formats/tables.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Columns to a packed block: a scale holds for whole blocks. */
enum { BLOCK_COLUMNS = 32 };

static nb_status check_float(const nb_quantizer *q, nb_error *error)
{
    const char *name = q->format->name;
    if (q->scheme != NB_SCHEME_NONE)
        return nb_fail(
            error, NB_ERR_ARGUMENT,
            "%s stores each number alone and takes no scheme; absmax and zeropoint are for int2 to int8",
            name);
    if (q->granularity != NB_PER_TENSOR || q->group != 0)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s has no scales per channel or group; they are for int2 to int8", name);
    if (q->activations == NB_ACTIVATIONS_INT8)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s weights multiply f32 activations; int8 activations need int2 to int8 weights",
                       name);
    if (q->scales_f32)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s has no scales whose format could be chosen", name);
    if (q->convention != NB_CONVENTION_DIVIDE)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "the labonne convention is about the scales of int2 to int8; %s has none", name);
    return NB_OK;
}

static nb_status check_int(const nb_quantizer *q, nb_error *error)
{
    const char *name = q->format->name;
    if (q->format->bits < NB_INT_MIN_BITS || q->format->bits > NB_INT_MAX_BITS)
        return nb_fail(error, NB_ERR_ARGUMENT, "%u bits are not to be had: integers have %d to %d",
                       q->format->bits, NB_INT_MIN_BITS, NB_INT_MAX_BITS);
    if (q->scheme != NB_SCHEME_ABSMAX && q->scheme != NB_SCHEME_ZEROPOINT)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s needs a scheme: absmax or zeropoint", name);
    if (q->granularity == NB_PER_GROUP) {
        if (q->group == 0 || q->group % BLOCK_COLUMNS != 0)
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "%s packs %d weights to a block, so a group of %u does not fit; try 32, 64 or 128",
                           name, BLOCK_COLUMNS, q->group);
    } else if (q->granularity != NB_PER_TENSOR && q->granularity != NB_PER_CHANNEL) {
        return nb_fail(error, NB_ERR_ARGUMENT, "%s shares its scales per tensor, channel or group", name);
    } else if (q->group != 0) {
        return nb_fail(error, NB_ERR_ARGUMENT, "a group of %u needs --per group:%u", q->group, q->group);
    }
    if (q->activations != NB_ACTIVATIONS_DEFAULT && q->activations != NB_ACTIVATIONS_F32 &&
        q->activations != NB_ACTIVATIONS_INT8)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s weights multiply int8 or f32 activations", name);
    if (q->convention != NB_CONVENTION_DIVIDE && q->convention != NB_CONVENTION_LABONNE)
        return nb_fail(error, NB_ERR_ARGUMENT, "a convention is divide or labonne");
    return NB_OK;
}

static nb_status check_block(const nb_quantizer *q, nb_error *error)
{
    const char *name = q->format->name;
    if (q->scheme != NB_SCHEME_NONE || q->granularity != NB_PER_TENSOR || q->group != 0 || q->scales_f32)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s has its scales in blocks of %u, always; schemes and granularities are for int2 to int8", name,
                       (unsigned)q->format->block_size);
    if (q->convention != NB_CONVENTION_DIVIDE)
        return nb_fail(error, NB_ERR_ARGUMENT, "the labonne convention is about int2 to int8; %s has its own", name);
    return NB_OK;
}

static nb_status check_table(const nb_quantizer *q, nb_error *error)
{
    const char *name = q->format->name;
    if (q->scheme != NB_SCHEME_NONE)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s looks its levels up and takes no scheme; those are for int2 to int8",
                       name);
    if (q->granularity != NB_PER_GROUP)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s shares its scales per group, such as group:%d", name, NB_TABLE_GROUP);
    if (q->group == 0 || q->group % BLOCK_COLUMNS != 0 || q->group > NB_TABLE_MOST_GROUP)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s has groups of %d to %d weights, in multiples of %d, not of %u; try 64", name, BLOCK_COLUMNS,
                       NB_TABLE_MOST_GROUP, BLOCK_COLUMNS, q->group);
    if (q->scales_f32)
        return nb_fail(error, NB_ERR_ARGUMENT, "the scales of %s are f32 always; double quantization shrinks them", name);
    if (q->activations != NB_ACTIVATIONS_DEFAULT && q->activations != NB_ACTIVATIONS_F32)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "the levels of %s are reals and multiply f32 activations; int8 activations need integers: try "
                       "int4",
                       name);
    if (q->convention != NB_CONVENTION_DIVIDE)
        return nb_fail(error, NB_ERR_ARGUMENT, "the labonne convention is about int2 to int8; %s has its own", name);
    return NB_OK;
}

nb_status nb_quantizer_check(const nb_quantizer *quantizer, nb_error *error)
{
    if (!quantizer->format)
        return nb_fail(error, NB_ERR_ARGUMENT, "a quantizer needs a format, such as int4 or f16");
    if (quantizer->double_scales && quantizer->format->kind != NB_FORMAT_TABLE)
        return nb_fail(error, NB_ERR_ARGUMENT, "double quantization is for nf4 and fp4; %s has no f32 scales to shrink",
                       quantizer->format->name);
    switch (quantizer->format->kind) {
    case NB_FORMAT_INT: return check_int(quantizer, error);
    case NB_FORMAT_BLOCK: return check_block(quantizer, error);
    case NB_FORMAT_TABLE: return check_table(quantizer, error);
    default: return check_float(quantizer, error);
    }
}

/* What the matmul really multiplies with. */
static nb_activations effective_activations(const nb_quantizer *q)
{
    if (q->activations != NB_ACTIVATIONS_DEFAULT)
        return q->activations;
    return q->format->kind == NB_FORMAT_INT || q->format->kind == NB_FORMAT_BLOCK ? NB_ACTIVATIONS_INT8
                                                                                  : NB_ACTIVATIONS_F32;
}

bool nb_quantizer_wants_int8(const nb_quantizer *quantizer)
{
    return effective_activations(quantizer) == NB_ACTIVATIONS_INT8;
}

nb_quantizer nb_quantizer_of(const nb_format *format)
{
    nb_quantizer q = {.format = format};
    if (format->kind == NB_FORMAT_INT)
        q.scheme = NB_SCHEME_ABSMAX;
    if (format->kind == NB_FORMAT_TABLE) {
        q.granularity = NB_PER_GROUP;
        q.group = NB_TABLE_GROUP;
    }
    return q;
}

bool nb_quantizer_equal(const nb_quantizer *a, const nb_quantizer *b)
{
    if (!a->format || !b->format)
        return a->format == b->format;
    return a->format == b->format && a->scheme == b->scheme && a->granularity == b->granularity &&
           a->group == b->group && a->scales_f32 == b->scales_f32 && a->convention == b->convention &&
           a->double_scales == b->double_scales && effective_activations(a) == effective_activations(b);
}

double nb_quantizer_bits_per_weight(const nb_quantizer *quantizer, size_t n_rows, size_t n_cols)
{
    const nb_quantizer *q = quantizer;
    double bits = q->format->bits, n_weights = (double)n_rows * (double)n_cols;
    if (n_weights == 0)
        return bits;
    if (q->format->kind == NB_FORMAT_BLOCK)
        return 8.0 * q->format->block_bytes / q->format->block_size;
    if (q->format->kind == NB_FORMAT_FLOAT)
        return q->format->needs_scale ? bits + 32 / n_weights : bits;
    double n_scales = 1, n_groups = (double)n_rows * (double)(q->group ? n_cols / q->group + (n_cols % q->group != 0) : 0);
    if (q->format->kind == NB_FORMAT_TABLE && q->double_scales)
        return bits + (n_groups * 8 + ceil(n_groups / NB_NESTED_GROUP) * 32 + 32) / n_weights;
    if (q->format->kind == NB_FORMAT_TABLE)
        return bits + n_groups * 32 / n_weights;
    if (q->granularity == NB_PER_CHANNEL)
        n_scales = (double)n_rows;
    else if (q->granularity == NB_PER_GROUP)
        n_scales = n_groups;
    double scale_bits = (q->scales_f32 ? 32 : 16) + (q->scheme == NB_SCHEME_ZEROPOINT ? 8 : 0);
    return bits + n_scales * scale_bits / n_weights;
}

/* ---- as text ---- */

/* The one list of the words that follow the comma; parse and describe walk it. */
typedef enum option { OPTION_F32_ACTIVATIONS, OPTION_F32_SCALES, OPTION_LABONNE, OPTION_DOUBLE, N_OPTIONS } option;
static const char *const option_words[N_OPTIONS] = {", f32 activations", ", f32 scales", ", labonne", ", double"};

static bool has_option(const nb_quantizer *q, option which)
{
    switch (which) {
    case OPTION_F32_ACTIVATIONS:
        return q->activations == NB_ACTIVATIONS_F32 &&
               (q->format->kind == NB_FORMAT_INT || q->format->kind == NB_FORMAT_BLOCK);
    case OPTION_F32_SCALES:
        return q->scales_f32;
    case OPTION_LABONNE:
        return q->convention == NB_CONVENTION_LABONNE;
    case OPTION_DOUBLE:
        return q->double_scales;
    default:
        return false;
    }
}

static void set_option(nb_quantizer *q, option which)
{
    switch (which) {
    case OPTION_F32_ACTIVATIONS:
        q->activations = NB_ACTIVATIONS_F32;
        break;
    case OPTION_F32_SCALES:
        q->scales_f32 = true;
        break;
    case OPTION_LABONNE:
        q->convention = NB_CONVENTION_LABONNE;
        break;
    case OPTION_DOUBLE:
        q->double_scales = true;
        break;
    default:
        break;
    }
}

char *nb_quantizer_describe(const nb_quantizer *quantizer, char *text, size_t size)
{
    const nb_quantizer *q = quantizer;
    char group[24] = "", options[64] = "";
    if (q->granularity == NB_PER_GROUP)
        snprintf(group, sizeof group, "group:%u", q->group);
    size_t n = 0;
    for (int i = 0; i < N_OPTIONS; i++)
        if (has_option(q, (option)i))
            n += (size_t)snprintf(options + n, sizeof options - n, "%s", option_words[i]);
    if (q->format->kind == NB_FORMAT_TABLE)
        snprintf(text, size, "%s %s%s", q->format->name, group, options);
    else if (q->format->kind != NB_FORMAT_INT)
        snprintf(text, size, "%s%s", q->format->name, options);
    else
        snprintf(text, size, "%s %s/%s%s", q->format->name,
                 q->scheme == NB_SCHEME_ABSMAX ? "absmax" : "zeropoint",
                 q->granularity == NB_PER_TENSOR    ? "tensor"
                 : q->granularity == NB_PER_CHANNEL ? "channel"
                                                    : group,
                 options);
    return text;
}

/* Takes `word` from the front of *text; false if something else stands there. */
static bool take(const char **text, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*text, word, n) != 0)
        return false;
    *text += n;
    return true;
}

/* "group:" has been read. */
static bool take_group(const char **text, uint32_t *group)
{
    uint64_t value = 0;
    const char *start = *text;
    for (; **text >= '0' && **text <= '9' && value <= UINT32_MAX; (*text)++)
        value = value * 10 + (uint64_t)(**text - '0');
    *group = (uint32_t)value;
    return *text != start && value <= UINT32_MAX;
}

static bool take_scheme(const char **text, nb_quantizer *q)
{
    if (take(text, " absmax/"))
        q->scheme = NB_SCHEME_ABSMAX;
    else if (take(text, " zeropoint/"))
        q->scheme = NB_SCHEME_ZEROPOINT;
    else
        return false;
    if (take(text, "tensor"))
        q->granularity = NB_PER_TENSOR;
    else if (take(text, "channel"))
        q->granularity = NB_PER_CHANNEL;
    else if (take(text, "group:"))
        q->granularity = NB_PER_GROUP;
    else
        return false;
    return q->granularity != NB_PER_GROUP || take_group(text, &q->group);
}

nb_status nb_quantizer_parse(const char *text, nb_quantizer *out, nb_error *error)
{
    nb_quantizer q = {0};
    const char *rest = text;
    char name[16];
    size_t n = strcspn(text, " ,");
    if (n < sizeof name) {
        memcpy(name, text, n);
        name[n] = 0;
        q.format = nb_format_find(name);
    }
    if (!q.format)
        return nb_fail(error, NB_ERR_ARGUMENT, "\"%.40s\" does not start with a format that nibble knows",
                       text);
    rest += n;
    q = nb_quantizer_of(q.format);
    if (q.format->kind == NB_FORMAT_INT && !take_scheme(&rest, &q))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "\"%.60s\" is no quantizer; one looks like \"int4 absmax/group:32\" or \"int8 "
                       "zeropoint/channel\"",
                       text);
    if (q.format->kind == NB_FORMAT_TABLE && take(&rest, " group:") && !take_group(&rest, &q.group))
        return nb_fail(error, NB_ERR_ARGUMENT, "\"%.60s\" is no quantizer; one looks like \"%s group:%d\"", text, name,
                       NB_TABLE_GROUP);
    for (int i = 0; i < N_OPTIONS; i++)
        if (take(&rest, option_words[i]))
            set_option(&q, (option)i);
    if (*rest)
        return nb_fail(error, NB_ERR_ARGUMENT, "\"%.60s\": nothing known is called \"%.40s\"", text, rest);
    nb_status status = nb_quantizer_check(&q, error);
    if (status == NB_OK)
        *out = q;
    return status;
}
