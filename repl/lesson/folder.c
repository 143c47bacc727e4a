#include "repl/lesson/folder.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *nb_fresh_folder(nb_error *error)
{
    const char *place = getenv("TMPDIR");
    char *folder = nb_format_text("%s/nibble-lesson-XXXXXX", place && *place ? place : "/tmp");
    if (folder && mkdtemp(folder))
        return folder;
    nb_fail(error, NB_ERR_IO, "no folder could be made for the lesson's files: %s", strerror(errno));
    free(folder);
    return NULL;
}

void nb_remove_folder(char *folder)
{
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char *path = nb_format_text("%s/%s", folder, entry->d_name);
        if (path && entry->d_name[0] != '.')
            unlink(path);
        free(path);
    }
    if (directory)
        closedir(directory);
    rmdir(folder);
    free(folder);
}
