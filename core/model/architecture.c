/* The table of architectures. */
#include "model/architecture.h"

#include <string.h>

static const nb_architecture *const table[] = {&nb_architecture_llama};

size_t nb_architecture_count(void)
{
    return sizeof table / sizeof table[0];
}

const nb_architecture *nb_architecture_at(size_t index)
{
    return table[index];
}

const nb_architecture *nb_architecture_find(const char *name)
{
    for (size_t i = 0; i < nb_architecture_count(); i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}
