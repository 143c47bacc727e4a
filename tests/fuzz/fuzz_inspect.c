/* Fuzzes inspect: a GGUF's screens, every key in full, blocks of every tensor, all as a terminal shows them,
 * and the account of its bytes. An input that is no GGUF is two files of a split model: the first one's
 * length (u16), then both. */
#include "repl/commands/inspect.h"
#include "repl/render.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>

static void render(nb_items *items)
{
    nb_screen screen = {.out = stdout, .utf8 = true, .columns = 80, .at_line_start = true};
    nb_draft text = {0};
    nb_render_items(&screen, items, 0, &text);
    for (size_t i = 0; i < text.n_bytes; i++) {
        const unsigned char c = (unsigned char)text.text[i];
        if (c < ' ' && c != '\n')
            abort(); /* something from the file could steer the terminal */
    }
    nb_draft_free(&text);
    nb_items_free(items);
}

/* Contiguous from the first to the last byte of every file. */
static void check_spans(const nb_gguf *gguf)
{
    nb_gguf_span *spans;
    size_t count, file = 0;
    uint64_t at = 0;
    nb_error error;
    if (nb_gguf_spans(gguf, &spans, &count, &error) != NB_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        if (spans[i].file != file) {
            if (at != gguf->files[file].size || spans[i].file != ++file)
                abort();
            at = 0;
        }
        if (spans[i].offset != at)
            abort();
        at += spans[i].n_bytes;
    }
    if (at != gguf->files[file].size || file + 1 != gguf->n_files)
        abort();
    free(spans);
}

static void show_block(const nb_gguf *gguf, const char *name, uint64_t block, uint64_t number)
{
    nb_items items = {0};
    nb_error error;
    nb_inspect_block(gguf, name, block, number, &items, &error);
    render(&items);
}

static void inspect(const nb_gguf *gguf)
{
    enum { MOST = 40 }; /* keys and tensors that are shown one by one */
    nb_items items = {0};
    nb_error error;
    char name[64];
    check_spans(gguf);
    if (nb_inspect_gguf(gguf, "fuzz", &items, &error) != NB_OK)
        return;
    render(&items);
    for (uint64_t i = 0; i < gguf->n_values && i < MOST; i++) {
        nb_inspect_key(gguf, nb_string_show(gguf->values[i].key, name, sizeof name), &items, &error);
        render(&items);
    }
    for (uint64_t i = 0; i < gguf->n_tensors && i < MOST; i++) {
        const nb_gguf_tensor *t = &gguf->tensors[i];
        uint32_t elems, bytes;
        nb_string_show(t->name, name, sizeof name);
        show_block(gguf, name, 0, 0);
        if (!nb_ggml_type_size(t->type, &elems, &bytes) || t->n_bytes == 0)
            continue;
        const uint64_t n_numbers = t->n_bytes / bytes * elems, size = elems > 1 ? elems : 32;
        show_block(gguf, name, (n_numbers - 1) / size, (n_numbers - 1) % size);
        show_block(gguf, name, n_numbers / size, UINT64_MAX);
    }
}

static void inspect_two(const uint8_t *data, size_t size)
{
    char paths[2][256];
    uint16_t first;
    nb_gguf *gguf;
    nb_error error;
    if (size < sizeof first)
        return;
    memcpy(&first, data, sizeof first);
    data += sizeof first;
    size -= sizeof first;
    if (first > size)
        first = (uint16_t)size;
    fuzz_path(paths[0], "-00001-of-00002.gguf");
    fuzz_path(paths[1], "-00002-of-00002.gguf");
    fuzz_write(paths[0], data, first);
    fuzz_write(paths[1], data + first, size - first);
    for (int i = 0; i < 2; i++) {
        if (nb_gguf_open(paths[i], &gguf, &error) == NB_OK)
            inspect(gguf), nb_gguf_close(&gguf);
    }
    unlink(paths[0]);
    unlink(paths[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nb_gguf *gguf;
    nb_error error;
    if (!nb_gguf_probe(data, size)) {
        inspect_two(data, size);
        return 0;
    }
    if (nb_gguf_open_memory(data, size, "fuzz", &gguf, &error) != NB_OK)
        return 0;
    inspect(gguf);
    nb_gguf_close(&gguf);
    return 0;
}
