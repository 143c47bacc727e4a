/* Fuzzes GGUF: the reader, every value's conversions, the tokenizer, and models from the file to their logits
 * and back into a file. */
#include "files/gguf.h"
#include "files/vocabulary.h"
#include "tests/fuzz/fuzz_model.h"

static void read_array(const nb_gguf_value *array)
{
    uint64_t u;
    int64_t i;
    double f;
    const uint64_t places[3] = {0, array->count - 1, array->count}; /* the last is refused */
    for (int k = 0; k < 3; k++) {
        nb_gguf_array_u64(array, places[k], &u);
        nb_gguf_array_i64(array, places[k], &i);
        nb_gguf_array_f64(array, places[k], &f);
    }
    nb_string *strings = calloc((size_t)array->count + 1, sizeof *strings);
    if (strings)
        nb_gguf_array_strings(array, strings);
    free(strings);
}

static void read_values(const nb_gguf *gguf)
{
    for (uint64_t n = 0; n < gguf->n_values; n++) {
        char key[64];
        uint64_t u;
        double f;
        bool b;
        nb_string text;
        nb_string_show(gguf->values[n].key, key, sizeof key);
        nb_gguf_find(gguf, key);
        nb_gguf_u64(gguf, key, &u);
        nb_gguf_f64(gguf, key, &f);
        nb_gguf_bool(gguf, key, &b);
        if (nb_gguf_string(gguf, key, &text) && text.n_bytes > gguf->size)
            abort();
        if (gguf->values[n].type == NB_GGUF_ARRAY)
            read_array(&gguf->values[n]);
    }
    for (uint64_t n = 0; n < gguf->n_tensors; n++)
        if (gguf->tensors[n].offset > gguf->size ||
            gguf->tensors[n].n_bytes > gguf->size - gguf->tensors[n].offset)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nb_gguf *gguf;
    nb_tokenizer *tokenizer;
    nb_error error;
    if (nb_gguf_open_memory(data, size, "fuzz", &gguf, &error) != NB_OK)
        return 0;
    read_values(gguf);
    if (nb_tokenizer_from_gguf(gguf, &tokenizer, &error) == NB_OK)
        nb_tokenizer_destroy(&tokenizer);
    const bool has_tensors = gguf->n_tensors > 0;
    nb_gguf_close(&gguf);
    if (has_tensors)
        fuzz_load(data, size, NULL);
    return 0;
}
