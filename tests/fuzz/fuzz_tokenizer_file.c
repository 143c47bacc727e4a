/* Fuzzes tokenizer.bin: two bytes say how many tokens the model has, two how long the text at the end is, the
 * rest is the file. What it makes must encode the text into tokens that exist, and decode them. */
#include "files/vocabulary.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const nb_tokenizer *tokenizer, const char *text, size_t n_bytes)
{
    nb_tokens tokens = {0};
    nb_error error;
    if (nb_tokenizer_encode(tokenizer, text, n_bytes, true, true, &tokens, &error) == NB_OK) {
        size_t n_decoded;
        for (size_t i = 0; i < tokens.count; i++)
            if (tokens.ids[i] < 0 || (size_t)tokens.ids[i] >= nb_tokenizer_size(tokenizer))
                abort();
        free(nb_tokenizer_decode(tokenizer, tokens.ids, tokens.count, &n_decoded));
    }
    nb_tokens_free(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint16_t n_tokens, n_text;
    nb_tokenizer *tokenizer;
    nb_error error;
    if (size < sizeof n_tokens + sizeof n_text)
        return 0;
    memcpy(&n_tokens, data, 2);
    memcpy(&n_text, data + 2, 2);
    data += 4;
    size -= 4;
    const size_t text_size = n_text < size ? n_text : size;
    /* A copy of its own: reading beyond the file's end is seen. */
    uint8_t *file = malloc(size - text_size + 1);
    if (!file)
        return 0;
    memcpy(file, data, size - text_size);
    if (nb_tokenizer_from_llama2c_memory(file, size - text_size, "fuzz", n_tokens, &tokenizer, &error) ==
        NB_OK) {
        use(tokenizer, (const char *)data + size - text_size, text_size);
        nb_tokenizer_destroy(&tokenizer);
    }
    free(file);
    return 0;
}
