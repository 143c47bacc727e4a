#include "repl/library.h"

#include "nibble.h"

#include "base/program.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *find_in(const char *folder, const char *name)
{
    char *path = nb_format_text("%s/%s", folder, name);
    if (path && access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

char *nb_library_find(const char *name)
{
    static const char *const places[] = {"../lessons", "../share/nibble/lessons", "../../lessons"};
    const char *told = getenv("NIBBLE_LESSONS");
    if (told && *told)
        return find_in(told, name);
    char *program = nb_program_folder(), *found = NULL;
    for (size_t i = 0; program && !found && i < sizeof places / sizeof places[0]; i++) {
        char *folder = nb_format_text("%s/%s", program, places[i]);
        found = folder ? find_in(folder, name) : NULL;
        free(folder);
    }
    free(program);
    return found;
}

char *nb_library_find_model(const char *name)
{
    return strcmp(name, "story") == 0 ? nb_library_find("story/story.gguf") : NULL;
}
