#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#include <limits.h>
#include <mach-o/dyld.h>
#endif

#include "base/program.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static char *program_path(void)
{
#if defined(__APPLE__)
    char path[PATH_MAX];
    uint32_t size = sizeof path;
    return _NSGetExecutablePath(path, &size) == 0 ? realpath(path, NULL) : NULL;
#else
    return realpath("/proc/self/exe", NULL);
#endif
}

char *nb_program_folder(void)
{
    char *path = program_path();
    char *slash = path ? strrchr(path, '/') : NULL;
    if (slash)
        *slash = '\0';
    return path;
}
