/* Files: read-only mappings that survive a truncated file, and writes that never tear. */
#ifndef NB_BASE_FILE_H
#define NB_BASE_FILE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A whole file, mapped read-only. Pages come from the page cache, not from private memory. */
typedef struct nb_mapping {
    const uint8_t *data;
    size_t size;
    char *path;
} nb_mapping;

nb_status nb_mapping_open(const char *path, nb_mapping **out, nb_error *error);
/* Several files one after the other in one stretch of addresses, so that one offset names a byte of any of them:
 * file i has sizes[i] bytes from begins[i], a multiple of the page size, and zeros follow up to the next one. The
 * mapping's path is paths[which]. */
nb_status nb_mapping_open_joined(const char *const *paths, size_t n, size_t which, size_t *begins, size_t *sizes,
                                 nb_mapping **out, nb_error *error);
void nb_mapping_close(nb_mapping **mapping);
/* Tells the system that [offset, offset + size) will be read soon / is not needed now. */
void nb_mapping_will_need(const nb_mapping *mapping, size_t offset, size_t size);
void nb_mapping_release(const nb_mapping *mapping, size_t offset, size_t size);

/* A mapped file can be truncated or its disk can vanish under us; the read then raises SIGBUS.
 * While nibble runs, such a fault in a mapping puts zeros there and marks the mapping as lost.
 * nb_mapping_check turns that into a sentence; call it after a pass over the mapping. */
nb_status nb_mapping_check(const nb_mapping *mapping, nb_error *error);

/* A file written beside its target and renamed over it by nb_writer_commit: until then the file
 * that stood there is untouched; nb_writer_abort removes the new one. */
typedef struct nb_writer nb_writer;
nb_status nb_writer_open(const char *path, nb_writer **out, nb_error *error);
nb_status nb_writer_write(nb_writer *writer, const void *data, size_t size, nb_error *error);
uint64_t nb_writer_offset(const nb_writer *writer);
/* Flushes, syncs, renames; the writer is gone afterwards, whatever happens. */
nb_status nb_writer_commit(nb_writer **writer, nb_error *error);
void nb_writer_abort(nb_writer **writer);

#endif
