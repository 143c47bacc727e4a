/* For fuzzers of functions that take a path: one file a process, written anew for every input. */
#ifndef NB_TESTS_FUZZ_FILE_H
#define NB_TESTS_FUZZ_FILE_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A path in $TMPDIR or /tmp that is this process's own and ends in `suffix`. */
static inline void fuzz_path(char path[256], const char *suffix)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, 256, "%s/nibble-fuzz-%ld%s", folder && folder[0] ? folder : "/tmp", (long)getpid(),
             suffix);
}

static inline void fuzz_write(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) != 0) {
        perror(path);
        exit(2);
    }
}

#endif
