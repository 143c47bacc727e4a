#include "base/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- mappings ---- */

/* Those that are open, for the SIGBUS handler, which may take no lock: slots are claimed and given back with
 * atomics, and a slot's fields are valid while its `mapping` is set. */
enum { MAX_MAPPINGS = 64 };
static struct slot {
    atomic_uintptr_t mapping; /* nb_mapping *, 0: free, 1: claimed */
    uintptr_t begin, end;
    atomic_bool lost;
} slots[MAX_MAPPINGS];

static struct sigaction previous_action;
static long page_size; /* the handler may not call sysconf */

/* The file shrank under a mapping: put a page of zeros there and remember. Any other SIGBUS goes on to
 * whoever handled it before. */
static void on_bus_error(int signal_number, siginfo_t *info, void *ucontext)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        struct slot *slot = &slots[i];
        if (atomic_load(&slot->mapping) <= 1 || address < slot->begin || address >= slot->end)
            continue;
        void *page = (void *)(address & ~(uintptr_t)(page_size - 1));
        int saved_errno = errno;
        void *got = mmap(page, (size_t)page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        errno = saved_errno;
        if (got == page) {
            atomic_store(&slot->lost, true);
            return;
        }
    }
    if (previous_action.sa_flags & SA_SIGINFO) {
        previous_action.sa_sigaction(signal_number, info, ucontext);
    } else {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
}

/* Asked at every mapping: a test framework or a sanitizer may have put its own handler there since. */
static void install_handler(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO}, current;
    page_size = sysconf(_SC_PAGESIZE);
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, NULL, &current) != 0 || current.sa_sigaction == on_bus_error)
        return;
    previous_action = current;
    sigaction(SIGBUS, &action, NULL);
}

static struct slot *slot_of(const nb_mapping *mapping)
{
    for (size_t i = 0; i < MAX_MAPPINGS; i++)
        if (atomic_load(&slots[i].mapping) == (uintptr_t)mapping)
            return &slots[i];
    return NULL;
}

static bool slot_claim(const nb_mapping *mapping)
{
    install_handler();
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        uintptr_t nobody = 0;
        if (!atomic_compare_exchange_strong(&slots[i].mapping, &nobody, 1))
            continue;
        slots[i].begin = (uintptr_t)mapping->data;
        slots[i].end = nb_round_up((uintptr_t)mapping->data + mapping->size, (size_t)page_size);
        atomic_store(&slots[i].lost, false);
        atomic_store(&slots[i].mapping, (uintptr_t)mapping);
        return true;
    }
    return false;
}

/* The size of what `fd` is open on, if that is a file that can be mapped. */
static nb_status measure_descriptor(int fd, const char *path, size_t *size, nb_error *error)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return nb_fail(error, NB_ERR_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return nb_fail(error, NB_ERR_FILE, "%s is a folder; name a file in it", path);
    if (!S_ISREG(info.st_mode))
        return nb_fail(error, NB_ERR_FILE, "%s is no regular file", path);
    if (info.st_size == 0)
        return nb_fail(error, NB_ERR_FILE, "%s is empty", path);
    if ((uint64_t)info.st_size > SIZE_MAX / 2)
        return nb_fail(error, NB_ERR_FILE, "%s is too large for this machine's addresses", path);
    *size = (size_t)info.st_size;
    return NB_OK;
}

static nb_status open_descriptor(const char *path, int *fd, size_t *size, nb_error *error)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    if (*fd < 0)
        return nb_fail(error, NB_ERR_IO, "%s: %s", path, strerror(errno));
    nb_status status = measure_descriptor(*fd, path, size, error);
    if (status != NB_OK)
        close(*fd);
    return status;
}

/* Over `place` if that is not NULL. */
static nb_status map_descriptor(int fd, const char *path, size_t size, void *place, const uint8_t **data,
                                nb_error *error)
{
    void *got = mmap(place, size, PROT_READ, MAP_PRIVATE | (place ? MAP_FIXED : 0), fd, 0);
    if (got == MAP_FAILED)
        return nb_fail(error, NB_ERR_IO, "%s could not be mapped: %s", path, strerror(errno));
    *data = got;
    return NB_OK;
}

/* What both kinds of opening begin and end with. */
static nb_mapping *mapping_create(const char *path, nb_error *error)
{
    nb_mapping *mapping = nb_calloc(1, sizeof *mapping);
    if (mapping)
        mapping->path = nb_strdup(path);
    if (mapping && mapping->path)
        return mapping;
    free(mapping);
    nb_fail(error, NB_ERR_MEMORY, "no memory to open %s", path);
    return NULL;
}

static nb_status mapping_finish(nb_mapping *mapping, nb_status status, nb_mapping **out, nb_error *error)
{
    if (status == NB_OK && !slot_claim(mapping))
        status = nb_fail(error, NB_ERR_MEMORY, "%s: %d files are open already; close a model first",
                         mapping->path, MAX_MAPPINGS);
    if (status == NB_OK)
        *out = mapping;
    else
        nb_mapping_close(&mapping);
    return status;
}

nb_status nb_mapping_open(const char *path, nb_mapping **out, nb_error *error)
{
    *out = NULL;
    nb_mapping *mapping = mapping_create(path, error);
    if (!mapping)
        return NB_ERR_MEMORY;
    int fd;
    size_t size;
    nb_status status = open_descriptor(path, &fd, &size, error);
    if (status == NB_OK) {
        status = map_descriptor(fd, path, size, NULL, &mapping->data, error);
        close(fd);
    }
    if (status == NB_OK)
        mapping->size = size;
    return mapping_finish(mapping, status, out, error);
}

/* Where each file goes, and how much room all of them take. */
static nb_status place_files(const char *const *paths, size_t n, size_t *begins, size_t *sizes, size_t *total,
                             nb_error *error)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        int fd;
        nb_status status = open_descriptor(paths[i], &fd, &sizes[i], error);
        if (status != NB_OK)
            return status;
        close(fd);
        begins[i] = *total;
        if (!nb_add_size(*total, nb_round_up(sizes[i], page), total) || *total > SIZE_MAX / 2)
            return nb_fail(error, NB_ERR_FILE, "%s and the files before it are too large for this machine's addresses",
                           paths[i]);
    }
    return NB_OK;
}

static nb_status map_over(const nb_mapping *mapping, const char *path, size_t begin, size_t size, nb_error *error)
{
    int fd;
    size_t now;
    const uint8_t *data;
    nb_status status = open_descriptor(path, &fd, &now, error);
    if (status != NB_OK)
        return status;
    if (now != size)
        status = nb_fail(error, NB_ERR_IO, "%s changed while it was opened; try again", path);
    else
        status = map_descriptor(fd, path, size, (void *)(uintptr_t)(mapping->data + begin), &data, error);
    close(fd);
    return status;
}

nb_status nb_mapping_open_joined(const char *const *paths, size_t n, size_t which, size_t *begins, size_t *sizes,
                                 nb_mapping **out, nb_error *error)
{
    *out = NULL;
    size_t total;
    nb_mapping *mapping = mapping_create(paths[which], error);
    if (!mapping)
        return NB_ERR_MEMORY;
    nb_status status = place_files(paths, n, begins, sizes, &total, error);
    if (status == NB_OK) {
        void *room = mmap(NULL, total, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room == MAP_FAILED)
            status = nb_fail(error, NB_ERR_MEMORY, "%s: no room in the address space for its %zu files: %s",
                             paths[which], n, strerror(errno));
        else
            mapping->data = room, mapping->size = total;
    }
    for (size_t i = 0; i < n && status == NB_OK; i++)
        status = map_over(mapping, paths[i], begins[i], sizes[i], error);
    return mapping_finish(mapping, status, out, error);
}

void nb_mapping_close(nb_mapping **mapping_pointer)
{
    nb_mapping *mapping = *mapping_pointer;
    if (!mapping)
        return;
    struct slot *slot = slot_of(mapping);
    if (slot)
        atomic_store(&slot->mapping, 0);
    if (mapping->data)
        munmap((void *)(uintptr_t)mapping->data, mapping->size);
    free(mapping->path);
    free(mapping);
    *mapping_pointer = NULL;
}

/* Whole pages around (grow) or inside (not grow) a range of the mapping. */
static void advise(const nb_mapping *mapping, size_t offset, size_t size, int advice, bool grow)
{
    if (offset >= mapping->size)
        return;
    size = nb_min_size(size, mapping->size - offset);
    size_t page = (size_t)page_size;
    size_t begin = grow ? offset / page * page : nb_round_up(offset, page);
    size_t end = grow ? nb_round_up(offset + size, page) : (offset + size) / page * page;
    if (begin < end)
        posix_madvise((void *)(uintptr_t)(mapping->data + begin), end - begin, advice);
}

void nb_mapping_will_need(const nb_mapping *mapping, size_t offset, size_t size)
{
    advise(mapping, offset, size, POSIX_MADV_WILLNEED, true);
}

void nb_mapping_release(const nb_mapping *mapping, size_t offset, size_t size)
{
    advise(mapping, offset, size, POSIX_MADV_DONTNEED, false);
}

nb_status nb_mapping_check(const nb_mapping *mapping, nb_error *error)
{
    struct slot *slot = slot_of(mapping);
    if (slot && atomic_load(&slot->lost))
        return nb_fail(error, NB_ERR_IO,
                       "%s changed while it was in use: part of it can no longer be read; load it again", mapping->path);
    return NB_OK;
}

/* ---- writing ---- */

struct nb_writer {
    int fd;
    char *path, *temporary;
    uint64_t offset;
    size_t n_buffered;
    uint8_t buffer[1 << 16];
};

nb_status nb_writer_open(const char *path, nb_writer **out, nb_error *error)
{
    *out = NULL;
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s is a folder; name a file in it", path);
    /* A device or a pipe would be renamed away, and be a file from then on. */
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s is no regular file; name another", path);
    char *target = realpath(path, NULL); /* write through a symbolic link, not over it */
    nb_writer *writer = nb_calloc(1, sizeof *writer);
    char *copy = nb_strdup(target ? target : path);
    char *temporary = nb_format_text("%s.new-XXXXXX", target ? target : path);
    free(target);
    if (!writer || !copy || !temporary) {
        free(writer);
        free(copy);
        free(temporary);
        return nb_fail(error, NB_ERR_MEMORY, "no memory to write %s", path);
    }
    writer->path = copy;
    writer->temporary = temporary;
    writer->fd = mkstemp(temporary);
    if (writer->fd < 0) {
        nb_status status = nb_fail(error, NB_ERR_IO, "%s cannot be written: %s", path, strerror(errno));
        nb_writer_abort(&writer);
        return status;
    }
    mode_t mask = umask(0);
    umask(mask);
    fchmod(writer->fd, stat(copy, &info) == 0 ? info.st_mode & 0777 : 0666 & ~mask);
    *out = writer;
    return NB_OK;
}

static nb_status write_all(nb_writer *writer, const uint8_t *data, size_t size, nb_error *error)
{
    while (size > 0) {
        ssize_t n = write(writer->fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return nb_fail(error, NB_ERR_IO, "writing %s stopped after %llu bytes: %s; the file that stood there is as it was",
                           writer->path, (unsigned long long)writer->offset, n < 0 ? strerror(errno) : "no more room");
        data += n;
        size -= (size_t)n;
        writer->offset += (uint64_t)n;
    }
    return NB_OK;
}

static nb_status flush_buffer(nb_writer *writer, nb_error *error)
{
    size_t n = writer->n_buffered;
    writer->n_buffered = 0;
    return write_all(writer, writer->buffer, n, error);
}

nb_status nb_writer_write(nb_writer *writer, const void *data, size_t size, nb_error *error)
{
    if (size > sizeof writer->buffer - writer->n_buffered) {
        nb_status status = flush_buffer(writer, error);
        if (status != NB_OK)
            return status;
    }
    if (size >= sizeof writer->buffer)
        return write_all(writer, data, size, error);
    memcpy(writer->buffer + writer->n_buffered, data, size);
    writer->n_buffered += size;
    return NB_OK;
}

uint64_t nb_writer_offset(const nb_writer *writer) { return writer->offset + writer->n_buffered; }

nb_status nb_writer_commit(nb_writer **writer_pointer, nb_error *error)
{
    nb_writer *writer = *writer_pointer;
    nb_status status = flush_buffer(writer, error);
    if (status == NB_OK && fsync(writer->fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        status = nb_fail(error, NB_ERR_IO, "%s did not reach the disk: %s", writer->path, strerror(errno));
    int closed = close(writer->fd);
    writer->fd = -1;
    if (status == NB_OK && closed != 0)
        status = nb_fail(error, NB_ERR_IO, "%s did not reach the disk: %s", writer->path, strerror(errno));
    if (status == NB_OK && rename(writer->temporary, writer->path) != 0)
        status = nb_fail(error, NB_ERR_IO, "%s cannot be replaced: %s", writer->path, strerror(errno));
    if (status == NB_OK)
        writer->temporary[0] = '\0'; /* nothing left to remove */
    nb_writer_abort(writer_pointer);
    return status;
}

void nb_writer_abort(nb_writer **writer_pointer)
{
    nb_writer *writer = *writer_pointer;
    if (!writer)
        return;
    if (writer->fd >= 0)
        close(writer->fd);
    if (writer->temporary[0])
        unlink(writer->temporary);
    free(writer->temporary);
    free(writer->path);
    free(writer);
    *writer_pointer = NULL;
}
