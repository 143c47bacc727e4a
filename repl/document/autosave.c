#include "repl/document/autosave.h"

#include "base/memory.h"
#include "repl/data.h"
#include "repl/document/document.h"
#include "repl/document/export.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KEPT = 20 };

/* The folder, made; NULL if there is none. */
static char *sessions_folder(void)
{
    char *folder = nb_data_path("sessions");
    if (folder)
        mkdir(folder, 0700);
    return folder;
}

static bool is_session(const char *name)
{
    size_t n = strlen(name);
    return n > 3 && name[0] >= '0' && name[0] <= '9' && strcmp(name + n - 3, ".md") == 0;
}

static int oldest_first(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the sessions, oldest first: they begin with their time. */
static size_t list_sessions(const char *folder, char ***out)
{
    size_t n = 0;
    DIR *directory = opendir(folder);
    *out = NULL;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char **names = is_session(entry->d_name) ? nb_realloc(*out, n + 1, sizeof *names) : NULL;
        char *name = names ? nb_strdup(entry->d_name) : NULL;
        *out = names ? names : *out;
        if (name)
            names[n++] = name;
    }
    if (directory)
        closedir(directory);
    if (n)
        qsort(*out, n, sizeof **out, oldest_first);
    return n;
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

/* A session's lock goes with its process, whatever ends it. */
static bool is_open(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char *name = nb_format_text("%s.lock", path);
    int file = name ? open(name, O_RDWR) : -1;
    bool held = file >= 0 && fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    if (file >= 0)
        close(file);
    free(name);
    return held;
}

static void remove_session(const char *path)
{
    char *lock = nb_format_text("%s.lock", path);
    unlink(path);
    if (lock)
        unlink(lock);
    free(lock);
}

static void forget_old(const char *folder)
{
    char **names;
    size_t n = list_sessions(folder, &names);
    for (size_t i = 0; i + KEPT < n; i++) {
        char *path = nb_format_text("%s/%s", folder, names[i]);
        if (path && !is_open(path))
            remove_session(path);
        free(path);
    }
    free_names(names, n);
}

void nb_autosave_open(nb_autosave *autosave)
{
    char *folder = sessions_folder(), stamp[32];
    time_t now = time(NULL);
    struct tm local;
    *autosave = (nb_autosave){.lock = -1};
    if (!folder || !localtime_r(&now, &local) || !strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local)) {
        free(folder);
        return;
    }
    forget_old(folder);
    autosave->path = nb_format_text("%s/%s-%ld.md", folder, stamp, (long)getpid());
    char *lock = autosave->path ? nb_format_text("%s.lock", autosave->path) : NULL;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    autosave->lock = lock ? open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (autosave->lock >= 0)
        fcntl(autosave->lock, F_SETLK, &whole);
    free(lock);
    free(folder);
}

void nb_autosave_write(const nb_autosave *autosave, const nb_notebook *notebook)
{
    nb_draft text = {0};
    nb_exported exported = {0};
    if (autosave->path &&
        nb_export_markdown(notebook, autosave->path, false, &text, &exported, NULL) == NB_OK && !text.failed &&
        exported.n_cells)
        nb_write_whole(autosave->path, nb_draft_text(&text), text.n_bytes, NULL); /* not worth an error */
    nb_draft_free(&text);
}

void nb_autosave_close(nb_autosave *autosave)
{
    if (autosave->lock >= 0)
        close(autosave->lock);
    if (autosave->path && access(autosave->path, F_OK) != 0)
        remove_session(autosave->path); /* nothing was typed: its lock alone is there */
    free(autosave->path);
    *autosave = (nb_autosave){.lock = -1};
}

char *nb_autosave_newest(void)
{
    char *folder = sessions_folder(), **names, *found = NULL;
    size_t n = folder ? list_sessions(folder, &names) : 0;
    for (size_t i = n; i-- > 0 && !found;) {
        found = nb_format_text("%s/%s", folder, names[i]);
        if (found && is_open(found)) {
            free(found);
            found = NULL;
        }
    }
    if (folder)
        free_names(names, n);
    free(folder);
    return found;
}
