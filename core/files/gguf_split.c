/* Models split into several files, NAME-00001-of-00003.gguf: each is a GGUF of its own, with its own tensors.
 * The first has all keys; split.no counts from 0, the names from 1. Source: gguf-split in the llama.cpp
 * repository. */
#include "base/memory.h"
#include "files/gguf_parts.h"
#include "files/name_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_FILES = 65535, MOST_LISTED = 3 }; /* split.count is a u16 */

/* "-00002-of-00003.gguf" */
typedef struct suffix {
    char text[52];
} suffix;

static suffix suffix_of(size_t index, size_t count)
{
    suffix s;
    snprintf(s.text, sizeof s.text, "-%05zu-of-%05zu.gguf", index + 1, count);
    return s;
}

bool nb_gguf_is_split(const nb_gguf *gguf)
{
    uint64_t count;
    return nb_gguf_u64(gguf, "split.count", &count) && count > 1;
}

/* Which of how many a file says that it is. */
static nb_status read_place(const nb_gguf *gguf, uint64_t *index, uint64_t *count, nb_error *error)
{
    if (nb_gguf_u64(gguf, "split.no", index) && nb_gguf_u64(gguf, "split.count", count) &&
        *count <= MOST_FILES && *index < *count)
        return NB_OK;
    return nb_fail(
        error, NB_ERR_FILE,
        "%s: is a file of a split model, but its keys split.no and split.count do not say which of how "
        "many; the file is damaged",
        gguf->path);
}

/* What files and names share; what a split model is made of while it is opened. */
typedef struct set {
    char **paths; /* [count] */
    size_t count;
    size_t *begins, *sizes;
    nb_mapping *mapping;
    nb_gguf **parts; /* [count] */
} set;

static void set_free(set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->paths)
            free(s->paths[i]);
        if (s->parts)
            nb_gguf_close(&s->parts[i]);
    }
    free(s->paths);
    free(s->parts);
    free(s->begins);
    free(s->sizes);
    nb_mapping_close(&s->mapping);
}

static nb_status no_memory(const nb_gguf *one, nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to open the files that it is one of", one->path);
}

static nb_status name_files(const nb_gguf *one, uint64_t index, set *s, nb_error *error)
{
    const suffix own = suffix_of((size_t)index, s->count);
    const size_t n = strlen(one->path), n_suffix = strlen(own.text);
    if (n < n_suffix || strcmp(one->path + n - n_suffix, own.text) != 0)
        return nb_fail(error, NB_ERR_FILE,
                       "%s: is file %" PRIu64
                       " of a model split into %zu, so its name should end in %s for the others "
                       "to be found; rename it",
                       one->path, index + 1, s->count, own.text);
    s->paths = nb_calloc(s->count, sizeof *s->paths);
    s->parts = nb_calloc(s->count, sizeof *s->parts);
    s->begins = nb_calloc(s->count, sizeof *s->begins);
    s->sizes = nb_calloc(s->count, sizeof *s->sizes);
    if (!s->paths || !s->parts || !s->begins || !s->sizes)
        return no_memory(one, error);
    for (size_t i = 0; i < s->count; i++) {
        s->paths[i] = nb_format_text("%.*s%s", (int)(n - n_suffix), one->path, suffix_of(i, s->count).text);
        if (!s->paths[i])
            return no_memory(one, error);
    }
    return NB_OK;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static nb_status check_all_there(const set *s, const char *path, nb_error *error)
{
    char list[256] = "";
    size_t n_missing = 0, used = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (access(s->paths[i], F_OK) == 0)
            continue;
        if (n_missing++ < MOST_LISTED && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%.60s", n_missing > 1 ? ", " : "",
                                     file_name(s->paths[i]));
    }
    if (n_missing == 0)
        return NB_OK;
    return nb_fail(
        error, NB_ERR_IO, "%s: the model is split into %zu files, and %zu %s missing beside it: %s%s", path,
        s->count, n_missing, n_missing > 1 ? "are" : "is", list, n_missing > MOST_LISTED ? ", ..." : "");
}

/* Every file parsed alone, and in its place. */
static nb_status open_parts(set *s, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < s->count && status == NB_OK; i++) {
        uint64_t index, count;
        status = nb_gguf_open_part(s->mapping, s->begins[i], s->sizes[i], s->paths[i], &s->parts[i], error);
        if (status == NB_OK)
            status = read_place(s->parts[i], &index, &count, error);
        if (status == NB_OK && (index != i || count != s->count))
            status = nb_fail(error, NB_ERR_FILE,
                             "%s: says that it is file %" PRIu64 " of %" PRIu64
                             ", and its name says something else; files of different models were mixed",
                             s->paths[i], index + 1, count);
    }
    return status;
}

/* The tensors of all files behind those of the first, under one index. */
static nb_status join_tensors(const set *s, nb_gguf *all, nb_error *error)
{
    uint64_t n_tensors = 0, claimed;
    for (size_t i = 0; i < s->count; i++)
        n_tensors += s->parts[i]->n_tensors; /* each has 24 bytes of a file that is mapped: no overflow */
    if (nb_gguf_u64(all, "split.tensors.count", &claimed) && claimed != n_tensors)
        return nb_fail(error, NB_ERR_FILE,
                       "%s: the files of this split model hold %" PRIu64
                       " tensors together and should hold %" PRIu64
                       "; files of different models were mixed, or some are damaged",
                       all->path, n_tensors, claimed);
    nb_gguf_tensor *tensors = nb_calloc((size_t)n_tensors + 1, sizeof *tensors);
    nb_name_index *names = nb_name_index_create((size_t)n_tensors);
    nb_status status = tensors && names ? NB_OK : no_memory(all, error);
    uint64_t n = 0;
    for (size_t i = 0; i < s->count && status == NB_OK; i++) {
        all->files[i].first_tensor = n;
        for (uint64_t k = 0; k < s->parts[i]->n_tensors && status == NB_OK; k++, n++) {
            char shown[80];
            tensors[n] = s->parts[i]->tensors[k];
            tensors[n].offset += s->begins[i];
            if (!nb_name_index_add(names, tensors[n].name, (size_t)n))
                status = nb_fail(error, NB_ERR_FILE, "%s: %s is in another file of the split model already",
                                 s->paths[i], nb_string_show(tensors[n].name, shown, sizeof shown));
        }
    }
    if (status != NB_OK) {
        free(tensors);
        nb_name_index_destroy(&names);
        return status;
    }
    free(all->tensors);
    nb_name_index_destroy(&all->names);
    all->tensors = tensors;
    all->names = names;
    all->n_tensors = n_tensors;
    return NB_OK;
}

/* The first file grows into the whole model. */
static nb_status join(set *s, nb_gguf **out, nb_error *error)
{
    nb_gguf *all = s->parts[0];
    nb_gguf_file *files = nb_realloc(all->files, s->count, sizeof *files);
    if (!files)
        return no_memory(all, error);
    all->files = files;
    for (size_t i = 1; i < s->count; i++) {
        files[i] = s->parts[i]->files[0];
        files[i].begin = s->begins[i];
        s->parts[i]->n_files = 0; /* its path is ours now */
        all->n_files = i + 1;
    }
    nb_status status = join_tensors(s, all, error);
    if (status != NB_OK)
        return status;
    all->data = s->mapping->data;
    all->size = s->mapping->size;
    all->mapping = s->mapping;
    s->mapping = NULL;
    s->parts[0] = NULL;
    *out = all;
    return NB_OK;
}

nb_status nb_gguf_open_split(const nb_gguf *one, nb_gguf **out, nb_error *error)
{
    uint64_t index, count;
    *out = NULL;
    nb_status status = read_place(one, &index, &count, error);
    if (status != NB_OK)
        return status;
    set s = {.count = (size_t)count};
    status = name_files(one, index, &s, error);
    if (status == NB_OK)
        status = check_all_there(&s, one->path, error);
    if (status == NB_OK)
        status = nb_mapping_open_joined((const char *const *)s.paths, s.count, (size_t)index, s.begins,
                                        s.sizes, &s.mapping, error);
    if (status == NB_OK)
        status = open_parts(&s, error);
    if (status == NB_OK)
        status = join(&s, out, error);
    set_free(&s);
    return status;
}
