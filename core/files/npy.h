/* Arrays in numpy's files (.npy; numpy's documentation, "numpy.lib.format", versions 1.0 to 3.0). */
#ifndef NB_FILES_NPY_H
#define NB_FILES_NPY_H

#include "array/array.h"

/* The array in a file: booleans, integers of 1, 2, 4 and 8 bytes and floats of 2, 4 and 8, little- or
 * big-endian, in C or Fortran order, of at most 4 dimensions; each number is rounded to f32. Whatever else is
 * refused by name, and so is a file that is shorter or longer than its shape says. */
nb_status nb_npy_load(nb_array_space *space, const char *path, nb_array **out, nb_error *error);
/* The same of bytes in memory; `name` is what errors call them. */
nb_status nb_npy_read(nb_array_space *space, const void *bytes, size_t n_bytes, const char *name,
                      nb_array **out, nb_error *error);
/* Little-endian f32 in C order, version 1.0; numpy.load reads it. The file appears whole or not at all. */
nb_status nb_npy_save(const nb_array *array, const char *path, nb_error *error);

#endif
