/* The lessons that come with nibble. */
#include "repl/lesson/lesson.h"

#include "base/memory.h"
#include "repl/library.h"
#include "repl/nearest.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void free_entry(nb_lesson_entry *entry)
{
    free(entry->path);
    free(entry->id);
    free(entry->title);
    free(entry->goal);
    free(entry->minutes);
}

void nb_catalog_free(nb_catalog *catalog)
{
    for (size_t i = 0; i < catalog->n; i++)
        free_entry(&catalog->entries[i]);
    free(catalog->entries);
    *catalog = (nb_catalog){0};
}

/* "04-absmax.md": what a lesson's file is called. */
static bool is_lesson(const char *name)
{
    const size_t n = strlen(name), digits = strspn(name, "0123456789");
    return digits > 0 && digits < 4 && name[digits] == '-' && n > 3 && strcmp(name + n - 3, ".md") == 0;
}

static char *value_of(const nb_document *document, const char *key)
{
    const char *value = nb_document_value(document, key);
    return nb_strdup(value ? value : "");
}

static nb_status add_entry(nb_catalog *catalog, const char *folder, const char *name, nb_error *error)
{
    nb_document *document = NULL;
    nb_lesson_entry entry = {.path = nb_format_text("%s/%s", folder, name),
                             .id = nb_strdup(name),
                             .number = (unsigned)strtoul(name, NULL, 10)};
    nb_error broken;
    if (entry.id)
        entry.id[strlen(entry.id) - 3] = '\0'; /* ".md" */
    if (entry.path && nb_document_open(entry.path, &document, &broken) == NB_OK) {
        entry.title = nb_strdup(nb_lesson_title(document));
        entry.goal = value_of(document, "goal");
        entry.minutes = value_of(document, "minutes");
    }
    nb_lesson_entry *grown = entry.title && entry.goal && entry.minutes && entry.id
                                 ? nb_realloc(catalog->entries, catalog->n + 1, sizeof *grown)
                                 : NULL;
    const bool unreadable = entry.path && !document;
    nb_document_close(&document);
    if (!grown) {
        free_entry(&entry);
        return unreadable ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for the list of lessons");
    }
    catalog->entries = grown;
    grown[catalog->n++] = entry;
    return NB_OK;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const nb_lesson_entry *)a)->id, ((const nb_lesson_entry *)b)->id);
}

nb_status nb_catalog_read(nb_catalog *out, nb_error *error)
{
    *out = (nb_catalog){0};
    char *folder = nb_library_find(".");
    DIR *directory = folder ? opendir(folder) : NULL;
    nb_status status = NB_OK;
    for (struct dirent *entry; status == NB_OK && directory && (entry = readdir(directory));) {
        if (is_lesson(entry->d_name))
            status = add_entry(out, folder, entry->d_name, error);
    }
    if (directory)
        closedir(directory);
    free(folder);
    if (out->n)
        qsort(out->entries, out->n, sizeof *out->entries, by_id);
    if (status != NB_OK)
        nb_catalog_free(out);
    return status;
}

/* "4", "04-absmax", "absmax". */
static bool is_meant(const nb_lesson_entry *entry, const char *typed)
{
    const char *stem = entry->id + strspn(entry->id, "0123456789") + 1;
    if (strcmp(typed, entry->id) == 0 || strcmp(typed, stem) == 0)
        return true;
    return strspn(typed, "0123456789") == strlen(typed) && strtoul(typed, NULL, 10) == entry->number;
}

static nb_status unknown(const nb_catalog *catalog, const char *typed, nb_error *error)
{
    nb_nearest nearest;
    nb_nearest_start(&nearest, typed);
    for (size_t i = 0; i < catalog->n; i++)
        nb_nearest_offer(&nearest, catalog->entries[i].id + strspn(catalog->entries[i].id, "0123456789") + 1);
    if (catalog->n == 0)
        return nb_fail(error, NB_ERR_STATE,
                       "no lessons were found beside the program; NIBBLE_LESSONS=FOLDER says where they are");
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "no lesson \"%.60s\": did you mean %.60s?", typed,
                       nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT, "no lesson \"%.60s\": lesson lists those that there are", typed);
}

nb_status nb_catalog_find(const nb_notebook *notebook, const char *typed, char **path, nb_error *error)
{
    const size_t n = strlen(typed);
    *path = NULL;
    if (strchr(typed, '/') || (n > 3 && strcmp(typed + n - 3, ".md") == 0 && access(typed, F_OK) == 0))
        return nb_notebook_path(notebook, typed, true, path, error);
    nb_catalog catalog;
    nb_status status = nb_catalog_read(&catalog, error);
    for (size_t i = 0; status == NB_OK && !*path && i < catalog.n; i++) {
        if (is_meant(&catalog.entries[i], typed)) {
            *path = nb_strdup(catalog.entries[i].path);
            status = *path ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for a file's name");
        }
    }
    if (status == NB_OK && !*path)
        status = unknown(&catalog, typed, error);
    nb_catalog_free(&catalog);
    return status;
}

const nb_lesson_entry *nb_catalog_suggest(const nb_catalog *catalog, const nb_records *records)
{
    const nb_lesson_entry *first = NULL;
    for (size_t i = 0; i < catalog->n; i++) {
        const nb_record *record = nb_records_find(records, catalog->entries[i].id);
        if (record && record->at > 0 && record->at < record->n_stops)
            return &catalog->entries[i];
        if (!first && !(record && record->done))
            first = &catalog->entries[i];
    }
    return first;
}
