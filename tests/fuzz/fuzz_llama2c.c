/* Fuzzes llama2.c models, from the file to their logits and into a GGUF. The tokenizer is always
 * a good one. */
#include "files/llama2c.h"
#include "tests/fuzz/fuzz_model.h"

/* A tokenizer.bin of n tokens "a0", "a1", ... in the file of that name. */
static void write_tokenizer(const char *path, uint32_t n)
{
    enum { ENTRY = 8 + 8 };
    uint8_t *bytes = calloc(1, 4 + (size_t)n * ENTRY);
    if (!bytes)
        exit(2);
    for (uint32_t id = 0; id < n; id++) {
        uint8_t *entry = bytes + 4 + (size_t)id * ENTRY;
        const uint32_t length = 8;
        char text[9];
        snprintf(text, sizeof text, "a%07u", (unsigned)id % 10000000);
        memcpy(entry + 4, &length, 4);
        memcpy(entry + 8, text, length);
    }
    fuzz_write(path, bytes, 4 + (size_t)n * ENTRY);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[256];
    nb_llama2c *model;
    nb_error error;
    const bool plausible = nb_llama2c_probe(data, size);
    /* Weights are read as floats: an input that is not aligned is copied. */
    void *aligned = malloc(size + 1);
    if (!aligned)
        return 0;
    memcpy(aligned, data, size);
    const bool opened = nb_llama2c_open_memory(aligned, size, "fuzz", &model, &error) == NB_OK;
    if (opened != plausible)
        abort();
    if (opened) {
        fuzz_path(path, ".tokenizer");
        write_tokenizer(path, model->vocab_size);
        nb_llama2c_close(&model);
        fuzz_load(data, size, &(nb_load_options){.tokenizer = path});
        unlink(path);
    }
    free(aligned);
    return 0;
}
