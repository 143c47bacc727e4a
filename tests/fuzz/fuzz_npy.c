/* Fuzzes .npy files: whatever is read is an array whose shape fits its numbers, and comes back the same when
 * it is saved and loaded again. */
#include "files/npy.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>

static void check(const nb_array *array)
{
    size_t size = 1;
    for (int d = 0; d < NB_ARRAY_MAX_DIMS; d++) {
        size *= array->dims[d];
        if (d >= array->n_dims && array->dims[d] != 1)
            abort();
    }
    if (size != array->size || array->n_dims > NB_ARRAY_MAX_DIMS)
        abort();
    for (size_t i = 0; i < size; i++) {
        uint32_t bits;
        memcpy(&bits, &array->data[i], sizeof bits);
        if (array->data[i] != array->data[i] && bits != 0x7fc00000)
            abort();
    }
}

static void check_round_trip(nb_array_space *space, const nb_array *array)
{
    char path[256];
    nb_array *back;
    nb_error error;
    fuzz_path(path, ".npy");
    if (nb_npy_save(array, path, &error) != NB_OK || nb_npy_load(space, path, &back, &error) != NB_OK) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    if (back->n_dims != array->n_dims || memcmp(back->dims, array->dims, sizeof array->dims) != 0 ||
        memcmp(back->data, array->data, array->size * sizeof(float)) != 0)
        abort();
    nb_array_release(&back);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static nb_context *context;
    const nb_context_options options = {.n_threads = 1};
    nb_error error = {""};
    if (!context && nb_context_create(&options, &context, &error) != NB_OK)
        abort();
    nb_array_space space = {.context = context, .limit_bytes = 1 << 22};
    nb_array *array;
    if (nb_npy_read(&space, data, size, "fuzz.npy", &array, &error) != NB_OK) {
        if (array || error.text[0] == '\0')
            abort();
        return 0;
    }
    check(array);
    check_round_trip(&space, array);
    nb_array_release(&array);
    if (space.used_bytes != 0 || space.spare_bytes != 0)
        abort();
    return 0;
}
