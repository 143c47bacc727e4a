/* Files that a test makes: all in one fresh folder, gone when the program ends. */
#ifndef NB_TESTS_TEMPORARY_H
#define NB_TESTS_TEMPORARY_H

#include <stddef.h>
#include <stdint.h>

/* The path of `name` in this program's temporary folder, valid until it ends. */
const char *temporary_path(const char *name);
/* Writes `size` bytes there, and returns the path as above. */
const char *temporary_file(const char *name, const void *data, size_t size);
/* A whole file, with a zero byte after it; free with free(). Fails the test if it cannot be read. */
uint8_t *read_whole_file(const char *path, size_t *size);
/* The same of a text. */
char *read_whole_text(const char *path);
/* How many files the folder holds. */
size_t temporary_count(void);

#endif
