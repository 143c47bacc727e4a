/* The context: which level, how many threads, who is told, whether to stop. */
#include "base/context.h"

#include "base/cpu.h"
#include "base/memory.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "scalar, avx2, avx512": the levels that this CPU can run. */
static void list_levels(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < nb_kernels_count(); i++) {
        const nb_kernels *k = nb_kernels_at(i);
        if ((k->needs & ~nb_cpu_features()) != 0 || used >= size)
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", k->name);
    }
}

static nb_status choose_level(const char *name, const char *asked_by, const nb_kernels **out, nb_error *error)
{
    const nb_kernels *k = nb_kernels_find(name);
    if (k && (k->needs & ~nb_cpu_features()) == 0) {
        *out = k;
        return NB_OK;
    }
    char has[128];
    list_levels(has, sizeof has);
    return nb_fail(error, NB_ERR_ARGUMENT, "%s asks for the CPU level '%.40s', which this %s; it has: %s",
                   asked_by, name, k ? "CPU lacks" : "build does not know", has);
}

nb_status nb_context_create(const nb_context_options *options, nb_context **out, nb_error *error)
{
    *out = NULL;
    const nb_kernels *kernels = NULL;
    const char *variable = getenv("NIBBLE_ISA");
    nb_status status = NB_OK;
    if (options && options->level)
        status = choose_level(options->level, "the option", &kernels, error);
    else if (variable && variable[0])
        status = choose_level(variable, "NIBBLE_ISA", &kernels, error);
    else
        kernels = nb_kernels_best();
    if (status != NB_OK)
        return status;

    nb_context *context = nb_calloc(1, sizeof *context);
    if (!context)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a context");
    atomic_init(&context->cancel, false);
    const char *verify = getenv("NIBBLE_VERIFY");
    context->verify = verify && strcmp(verify, "1") == 0;
    context->kernels = context->verify ? nb_kernels_verifying(kernels) : kernels;
    const unsigned asked = options ? options->n_threads : 0;
    status = nb_pool_create(asked ? asked : nb_cpu_count(), &context->pool, error);
    if (status != NB_OK) {
        free(context);
        return status;
    }
    *out = context;
    return NB_OK;
}

void nb_context_destroy(nb_context **context)
{
    if (!*context)
        return;
    nb_pool_destroy(&(*context)->pool);
    free(*context);
    *context = NULL;
}

nb_status nb_context_tick(nb_context *context, const char *what, uint64_t done, uint64_t total,
                          const char *unit, nb_error *error)
{
    if (context->progress)
        context->progress(context->progress_user, what, done, total, unit);
    if (atomic_exchange(&context->cancel, false))
        return nb_fail(error, NB_ERR_CANCELLED, "stopped");
    return NB_OK;
}
