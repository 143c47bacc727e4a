#include "tests/support/temporary.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256];
static char **paths; /* every one that was handed out */
static size_t n_paths;

static void give_up(const char *what, const char *path)
{
    fprintf(stderr, "test support: cannot %s %s\n", what, path);
    exit(2);
}

static void remove_folder(void)
{
    while (n_paths > 0)
        free(paths[--n_paths]);
    free(paths);
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    char path[640];
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    closedir(dir);
    rmdir(folder);
}

const char *temporary_path(const char *name)
{
    if (!folder[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/nibble-test-XXXXXX", base && base[0] ? base : "/tmp");
        if (!mkdtemp(folder))
            give_up("make the folder", folder);
        atexit(remove_folder);
    }
    char **grown = realloc(paths, (n_paths + 1) * sizeof *paths);
    if (grown)
        paths = grown;
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = grown ? malloc(size) : NULL;
    if (!path)
        give_up("remember", name);
    snprintf(path, size, "%s/%s", folder, name);
    paths[n_paths++] = path;
    return path;
}

const char *temporary_file(const char *name, const void *data, size_t size)
{
    const char *path = temporary_path(name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        give_up("write", path);
    return path;
}

uint8_t *read_whole_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        give_up("read", path);
    long length = ftell(file);
    rewind(file);
    uint8_t *data = length < 0 ? NULL : malloc((size_t)length + 1);
    if (!data || fread(data, 1, (size_t)length, file) != (size_t)length)
        give_up("read", path);
    fclose(file);
    data[length] = 0;
    *size = (size_t)length;
    return data;
}

char *read_whole_text(const char *path)
{
    size_t size;
    return (char *)read_whole_file(path, &size);
}

size_t temporary_count(void)
{
    size_t count = 0;
    temporary_path("");
    DIR *dir = opendir(folder);
    if (!dir)
        return 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}
