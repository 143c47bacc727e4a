/* Runs a fuzzer's function over every file of a folder: replay_gguf tests/fuzz/seeds/gguf. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A whole file in an allocation of just its size, so that reading beyond it is seen; NULL if it cannot be
 * read. */
static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    const long length = ftell(file);
    rewind(file);
    uint8_t *data = length < 0 ? NULL : malloc(length > 0 ? (size_t)length : 1);
    if (data && fread(data, 1, (size_t)length, file) != (size_t)length) {
        free(data);
        data = NULL;
    }
    fclose(file);
    *size = (size_t)length;
    return data;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    size_t count = 0;
    if (!folder) {
        fprintf(stderr, "usage: %s FOLDER, and the folder must exist\n", argv[0]);
        return 2;
    }
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        char path[1024];
        struct stat info;
        size_t size;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (entry->d_name[0] == '.' || stat(path, &info) != 0 || !S_ISREG(info.st_mode))
            continue;
        uint8_t *data = read_file(path, &size);
        if (!data) {
            fprintf(stderr, "%s cannot be read\n", path);
            return 2;
        }
        LLVMFuzzerTestOneInput(data, size);
        free(data);
        count++;
    }
    closedir(folder);
    printf("%s: %zu seeds ran\n", argv[1], count);
    return count > 0 ? 0 : 1;
}
