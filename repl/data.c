#include "repl/data.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *data_folder(void)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && data[0] == '/')
        return nb_format_text("%s/nibble", data);
    return home && home[0] == '/' ? nb_format_text("%s/.local/share/nibble", home) : NULL;
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    mkdir(path, 0700);
}

char *nb_data_path(const char *name)
{
    char *folder = data_folder(), *path = NULL;
    if (folder) {
        make_folders(folder);
        path = nb_format_text("%s/%s", folder, name);
    }
    free(folder);
    return path;
}
