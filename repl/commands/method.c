#include "repl/commands/method.h"

#include "repl/commands/quantize.h"

#include <string.h>

enum { GROUP = 128 };

static const nb_method *const methods[] = {
    &nb_method_gptq,
    &nb_method_hqq,
    &nb_method_awq,
    &nb_method_zeroquant,
};
enum { N_METHODS = sizeof methods / sizeof *methods };

/* Of quantize, where no method is said; those of a calibration, where one is asked for. */
static const char *const of_rounding[] = {"bits",   "per",      "activations", "scales", "convention",
                                          "double", "outliers", "tensor-type", "pure",   "observer"};
static const char *const of_calibration[] = {"text", "tokens"};

const nb_method *nb_method_at(size_t index)
{
    return index < N_METHODS ? methods[index] : NULL;
}

const nb_method *nb_method_find(const char *name)
{
    for (size_t i = 0; i < N_METHODS; i++)
        if (strcmp(methods[i]->name, name) == 0)
            return methods[i];
    return NULL;
}

static bool has(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n && names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static const nb_method *method_with(const char *option)
{
    for (size_t i = 0; i < N_METHODS; i++)
        if (has(methods[i]->options, NB_METHOD_MOST_OPTIONS, option))
            return methods[i];
    return NULL;
}

bool nb_rounding_calibrates(const nb_call *call)
{
    const char *activations = nb_call_text(call, "activations", "int8");
    return nb_call_has(call, "outliers") || strncmp(activations, "static", strlen("static")) == 0;
}

static bool rounding_has(const nb_call *call, const char *option)
{
    return has(of_rounding, sizeof of_rounding / sizeof *of_rounding, option) ||
           (nb_rounding_calibrates(call) &&
            has(of_calibration, sizeof of_calibration / sizeof *of_calibration, option));
}

nb_status nb_method_check_options(const nb_call *call, const nb_method *method, nb_error *error)
{
    for (size_t i = 0; i < nb_command_option_count(call->command); i++) {
        const char *name = call->command->options[i].name;
        if (!call->options[i].given || strcmp(name, "keep") == 0)
            continue;
        if (method && !has(method->options, NB_METHOD_MOST_OPTIONS, name))
            return nb_fail(error, NB_ERR_ARGUMENT, "%s has no --%s", method->name, name);
        const nb_method *other = method_with(name);
        if (!method && other && !rounding_has(call, name))
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "--%s is for methods that do more than round: quantize %s %s --%s", name,
                           call->arguments[0], other->name, name);
    }
    return NB_OK;
}

/* A method chooses codes; what becomes of activations is set beside them. */
static nb_status check_activations(const nb_call *call, nb_error *error)
{
    const char *activations = nb_call_text(call, "activations", NULL);
    if (!activations || strcmp(activations, "f32") == 0 || strcmp(activations, "int8") == 0)
        return NB_OK;
    return nb_fail(
        error, NB_ERR_ARGUMENT,
        "%s takes --activations int8 or f32; afterwards \"activations %.60s %.20s\" sets %.20s ones",
        call->arguments[1], call->arguments[0], activations, activations);
}

nb_status nb_method_quantizer(const nb_call *call, unsigned bits, nb_quantizer *out, nb_error *error)
{
    nb_status status = check_activations(call, error);
    if (status != NB_OK)
        return status;
    const char *format = nb_call_text(call, "format", NULL);
    if (format) {
        static const char *const others[] = {"bits", "per", "scheme", "scales"};
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            if (nb_call_has(call, others[i]))
                return nb_fail(error, NB_ERR_ARGUMENT, "--format says all of it: leave --%s out", others[i]);
        return nb_quantizer_read(format, call, out, error);
    }
    const bool absmax = strcmp(nb_call_text(call, "scheme", "zeropoint"), "absmax") == 0;
    const char *per = nb_call_text(call, "per", NULL), *activations = nb_call_text(call, "activations", NULL);
    *out = (nb_quantizer){.format = nb_format_int((unsigned)nb_call_number(call, "bits", bits)),
                          .scheme = absmax ? NB_SCHEME_ABSMAX : NB_SCHEME_ZEROPOINT,
                          .granularity = NB_PER_GROUP,
                          .group = GROUP,
                          .scales_f32 = strcmp(nb_call_text(call, "scales", "f16"), "f32") == 0};
    if (activations)
        out->activations = strcmp(activations, "f32") == 0 ? NB_ACTIVATIONS_F32 : NB_ACTIVATIONS_INT8;
    if (per) {
        out->group = 0;
        status = nb_granularity_read(per, out, error);
        if (status != NB_OK)
            return status;
    }
    return nb_quantizer_check(out, error);
}
