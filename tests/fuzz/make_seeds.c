/* Makes the seeds of fuzz_gguf, fuzz_inspect, fuzz_llama2c and fuzz_tokenizer_file:
 *   make build/tests/fuzz/make_seeds && build/tests/fuzz/make_seeds tests/fuzz/seeds */
#include "base/random.h"
#include "files/hparams.h"
#include "files/layout.h"
#include "files/load.h"
#include "files/vocabulary.h"
#include "formats/block_anatomy.h"
#include "quant/quantize.h"
#include "tests/support/models.h"
#include "tests/support/temporary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *root;

static void check(nb_status status, const nb_error *error)
{
    if (status == NB_OK)
        return;
    fprintf(stderr, "make_seeds: %s\n", error->text);
    exit(1);
}

static void put(const char *fuzzer, const char *name, const void *data, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s/%s", root, fuzzer, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        fprintf(stderr, "make_seeds: cannot write %s\n", path);
        exit(1);
    }
}

static void put_copy(const char *name, const char *path)
{
    size_t size;
    uint8_t *bytes = read_whole_file(path, &size);
    put("gguf", name, bytes, size);
    free(bytes);
}

/* ---- GGUF ---- */

static nb_gguf_writer *begin(const char *path)
{
    nb_gguf_writer *writer;
    nb_error error;
    check(nb_gguf_writer_create(path, &writer, &error), &error);
    return writer;
}

static void finish(nb_gguf_writer *writer)
{
    nb_error error;
    check(nb_gguf_writer_commit(&writer, &error), &error);
}

static void add_vocabulary(nb_gguf_writer *w)
{
    static const char *const texts[12] = {"<unk>",
                                          "<s>",
                                          "</s>",
                                          "<0x0A>",
                                          "\xe2\x96\x81",
                                          "a",
                                          "b",
                                          "c",
                                          "ab",
                                          "abc",
                                          ("\xe2\x96\x81"
                                           "a"),
                                          "d"};
    nb_string strings[12];
    float scores[12];
    int32_t types[12];
    nb_error error;
    for (int i = 0; i < 12; i++) {
        strings[i] = nb_string_of(texts[i]);
        scores[i] = (float)-i;
        types[i] = i == 0   ? NB_TOKEN_UNKNOWN
                   : i < 3  ? NB_TOKEN_CONTROL
                   : i == 3 ? NB_TOKEN_BYTE
                            : NB_TOKEN_NORMAL;
    }
    const nb_vocabulary v = {.model = "llama",
                             .pre = "default",
                             .n_tokens = 12,
                             .texts = strings,
                             .scores = scores,
                             .types = types,
                             .bos = 1,
                             .eos = 2,
                             .eot = -1,
                             .add_bos = true,
                             .add_space_prefix = true};
    check(nb_vocabulary_write_gguf(&v, w, &error), &error);
}

/* One block, 12 tokens, rows of 8 and 12 numbers. */
static const char *write_model(const char *name, const nb_format *format, bool tied, bool factors)
{
    const nb_hparams h = {.architecture = "llama",
                          .n_layers = 1,
                          .n_embd = 8,
                          .n_heads = 2,
                          .n_kv_heads = 1,
                          .head_size = 4,
                          .n_rot = 4,
                          .n_ff = 12,
                          .n_vocab = 12,
                          .n_ctx = 16,
                          .norm_eps = 1e-5f,
                          .rope_base = 10000,
                          .rope_scale = factors ? 0.5 : 1,
                          .tied = tied};
    const char *path = temporary_path(name);
    nb_gguf_writer *w = begin(path);
    nb_layout_tensor *layout;
    size_t count;
    nb_error error;
    nb_random random;
    check(nb_hparams_write_gguf(&h, NULL, w, &error), &error);
    add_vocabulary(w);
    check(nb_layout_create(&h, factors, &layout, &count, &error), &error);
    for (size_t i = 0; i < count; i++) {
        char full[64];
        snprintf(full, sizeof full, "%s.weight", layout[i].name);
        const uint64_t dims[2] = {layout[i].n_cols, layout[i].n_rows};
        const uint32_t type = (uint32_t)(layout[i].is_vector ? 0 : format->gguf_type);
        check(nb_gguf_add_tensor(w, full, layout[i].is_vector ? 1 : 2, dims, type, &error), &error);
    }
    nb_random_seed(&random, 1);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < layout[i].n_rows * layout[i].n_cols; k++) {
            uint8_t code[4];
            const float value = (float)nb_random_normal(&random);
            const nb_format *f = layout[i].is_vector ? &nb_format_f32 : format;
            nb_format_encode_row(f, &value, 1, code);
            check(nb_gguf_write_data(w, code, f->bits / 8, &error), &error);
        }
    free(layout);
    finish(w);
    return path;
}

static void put_saved(const char *name, const char *from, const char *scope_text, const char *quantizer_text)
{
    nb_context *context;
    nb_model *model;
    nb_quantizer quantizer;
    nb_scope scope;
    nb_error error;
    const nb_context_options options = {.n_threads = 1};
    const char *saved = temporary_path(name);
    check(nb_context_create(&options, &context, &error), &error);
    check(nb_model_load(context, from, NULL, &model, &error), &error);
    check(nb_quantizer_parse(quantizer_text, &quantizer, &error), &error);
    check(nb_scope_resolve(model, scope_text, false, &scope, &error), &error);
    check(nb_model_quantize(model, &scope, &quantizer, NULL, &error), &error);
    check(nb_model_save(model, saved, &error), &error);
    put_copy(name, saved);
    nb_scope_free(&scope);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* Every kind of value, and a tensor of a type that no model of ours has. */
static void put_values(void)
{
    const char *path = temporary_path("values");
    nb_gguf_writer *w = begin(path);
    static const uint64_t number = 7;
    static const nb_string strings[2] = {{"one", 3}, {"", 0}};
    for (uint32_t type = 0; type < NB_GGUF_TYPE_COUNT; type++) {
        const size_t size = nb_gguf_type_size(type);
        const bool is_bool = type == NB_GGUF_BOOL;
        const nb_gguf_value value = {.key = nb_string_of(nb_gguf_type_name((nb_gguf_type)type)),
                                     .type = (nb_gguf_type)type,
                                     .count = 1,
                                     .data = (const uint8_t *)&number + (is_bool ? 1 : 0),
                                     .n_bytes = size};
        if (size > 0)
            nb_gguf_add_value(w, &value, NULL);
    }
    nb_gguf_add_string(w, "general.architecture", "none", NULL);
    nb_gguf_add_u32(w, "general.alignment", 64, NULL);
    nb_gguf_add_string_array(w, "strings", strings, 2, NULL);
    nb_gguf_add_f32_array(w, "floats", (float[]){1, 2}, 2, NULL);
    nb_gguf_add_tensor(w, "q4_0", 2, (uint64_t[]){32, 2}, 2, NULL);
    nb_gguf_write_data(w, (uint8_t[36]){0}, 36, NULL);
    finish(w);
    put_copy("values", path);
}

static void put_byte_level(void)
{
    const char *path = temporary_path("bpe");
    nb_gguf_writer *w = begin(path);
    static const nb_string texts[] = {{"a", 1}, {"b", 1}, {"ab", 2}, {"\xc4\xa0", 2}, {"<|end|>", 7}};
    static const nb_string merges[] = {{"a b", 3}};
    static const int32_t types[] = {1, 1, 1, 1, 3};
    nb_gguf_add_string(w, "tokenizer.ggml.model", "gpt2", NULL);
    nb_gguf_add_string(w, "tokenizer.ggml.pre", "llama-bpe", NULL);
    nb_gguf_add_string_array(w, "tokenizer.ggml.tokens", texts, 5, NULL);
    nb_gguf_add_i32_array(w, "tokenizer.ggml.token_type", types, 5, NULL);
    nb_gguf_add_string_array(w, "tokenizer.ggml.merges", merges, 1, NULL);
    nb_gguf_add_u32(w, "tokenizer.ggml.eos_token_id", 4, NULL);
    nb_gguf_add_u32(w, "tokenizer.ggml.bos_token_id", 4, NULL);
    finish(w);
    put_copy("bpe", path);
}

static void put_gguf(void)
{
    const char *f32 = write_model("f32", &nb_format_f32, true, false);
    put_copy("f32", f32);
    put_copy("f16", write_model("f16", &nb_format_f16, false, true));
    put_copy("bf16", write_model("bf16", &nb_format_bf16, true, false));
    put_saved("int4", f32, "all,embeddings", "int4 zeropoint/group:32");
    put_saved("int3", f32, "attention", "int3 absmax/tensor, f32 scales");
    put_saved("f8", f32, "mlp", "f8_e5m2");
    put_values();
    put_byte_level();
}

/* ---- inspect ---- */

/* Two blocks of every kind, plain numbers of every kind, and a type that only its size is known of. */
static void put_blocks(void)
{
    static const uint32_t plain[] = {0, 1, 24, 25, 26, 27, 28, 30, 16};
    const size_t n_blocks = nb_block_anatomy_count(), count = n_blocks + sizeof plain / sizeof *plain;
    const char *path = temporary_path("blocks");
    nb_gguf_writer *w = begin(path);
    nb_random random;
    uint32_t elems = 0, bytes = 0;
    nb_gguf_add_u32(w, "general.file_type", 15, NULL);
    for (int data = 0; data < 2; data++)
        for (size_t i = 0; i < count; i++) {
            uint8_t block[1024];
            char name[32];
            const uint32_t type =
                i < n_blocks ? (uint32_t)nb_block_anatomy_at(i)->format->gguf_type : plain[i - n_blocks];
            snprintf(name, sizeof name, "t%zu", i);
            if (!nb_ggml_type_size(type, &elems, &bytes))
                exit(1);
            nb_random_seed(&random, i);
            for (size_t k = 0; k < 2 * bytes; k++)
                block[k] = (uint8_t)(nb_random_u64(&random) >> 56);
            nb_error error;
            check(data ? nb_gguf_write_data(w, block, 2 * bytes, &error)
                       : nb_gguf_add_tensor(w, name, 2, (uint64_t[]){elems, 2}, type, &error),
                  &error);
        }
    finish(w);
    size_t size;
    uint8_t *file = read_whole_file(path, &size);
    put("inspect", "blocks", file, size);
    free(file);
}

/* Both files of a split model, one behind the other. */
static void put_split(void)
{
    uint8_t both[4096];
    size_t used = 2;
    for (uint16_t part = 0; part < 2; part++) {
        const char *path = temporary_path("part");
        nb_gguf_writer *w = begin(path);
        size_t size;
        nb_gguf_add_number(w, "split.no", NB_GGUF_U16, &part, NULL);
        nb_gguf_add_number(w, "split.count", NB_GGUF_U16, (uint16_t[]){2}, NULL);
        nb_gguf_add_number(w, "split.tensors.count", NB_GGUF_I32, (int32_t[]){2}, NULL);
        nb_gguf_add_tensor(w, part ? "second" : "first", 1, (uint64_t[]){4}, 0, NULL);
        nb_gguf_write_data(w, (float[]){1, 2, 3, 4}, 16, NULL);
        finish(w);
        uint8_t *file = read_whole_file(path, &size);
        memcpy(both + used, file, size);
        used += size;
        if (part == 0) {
            const uint16_t first = (uint16_t)size;
            memcpy(both, &first, sizeof first);
            put("gguf", "split", file, size);
        }
        free(file);
    }
    put("inspect", "split", both, used);
}

/* An array of two arrays, a gap of 64 bytes before the second tensor, and a tail. */
static void put_odd(void)
{
    static const uint8_t odd[] = "GGUF\3\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
                                 "\1\0\0\0\0\0\0\0k\11\0\0\0\11\0\0\0\2\0\0\0\0\0\0\0"
                                 "\10\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0h\n"
                                 "\5\0\0\0\2\0\0\0\0\0\0\0\377\377\377\377\7\0\0\0"
                                 "\1\0\0\0\0\0\0\0a\1\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                 "\1\0\0\0\0\0\0\0b\1\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\140\0\0\0\0\0\0\0";
    uint8_t file[320] = {0};
    memcpy(file, odd, sizeof odd - 1);
    memset(file + sizeof odd - 1, 1, sizeof file - sizeof odd + 1);
    put("inspect", "odd", file, sizeof file);
}

/* As a big-endian machine writes it: refused with a sentence. */
static void put_big_endian(void)
{
    static const uint8_t file[64] = {'G', 'G',      'U',      'F',      0,          0,        0,
                                     3,   [15] = 0, [23] = 1, [31] = 1, [32] = 'k', [36] = 4, [40] = 7};
    put("gguf", "big_endian", file, 41);
    put("inspect", "big_endian", file, 41);
}

static void put_inspect(void)
{
    put_blocks();
    put_split();
    put_odd();
    put_big_endian();
}

/* ---- llama2.c ---- */

static void put_llama2c(void)
{
    static const llama2c_shape shapes[] = {
        {8, 12, 1, 2, 1, 12, 4}, {8, 12, 1, 2, 2, -12, 4}, {4, 4, 2, 1, 1, 5, 2}, {16, 8, 1, 1, 1, 3, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        char name[16];
        size_t size;
        uint8_t *bytes = make_llama2c(&shapes[i], 1, &size);
        snprintf(name, sizeof name, "shape%zu", i);
        put("llama2c", name, bytes, size);
        free(bytes);
    }
    put("llama2c", "version1", "\x32\x34\x6b\x61\x01\0\0\0", 8);
}

static void put_tokenizer_file(const char *name, uint16_t n_claimed, size_t n_tokens, size_t n_left_out,
                               const char *text)
{
    uint8_t bytes[8192];
    size_t size;
    uint8_t *file = make_tokenizer_bin(n_tokens, &size);
    const uint16_t n_text = (uint16_t)strlen(text);
    memcpy(bytes, &n_claimed, 2);
    memcpy(bytes + 2, &n_text, 2);
    size -= n_left_out;
    if (size + n_text + 4 > sizeof bytes)
        exit(1);
    memcpy(bytes + 4, file, size);
    memcpy(bytes + 4 + size, text, n_text);
    put("tokenizer_file", name, bytes, 4 + size + n_text);
    free(file);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds FOLDER, which has gguf, inspect, llama2c and tokenizer_file in it\n");
        return 2;
    }
    root = argv[1];
    put_gguf();
    put_inspect();
    put_llama2c();
    put_tokenizer_file("few", 5, 5, 0, "ab");
    put_tokenizer_file("bytes", 262, 262, 0, "a b\n\xff z");
    put_tokenizer_file("letters", 300, 300, 0, "abc a aa");
    put_tokenizer_file("cut", 20, 20, 3, "x");
    put_tokenizer_file("more", 19, 20, 0, "x");
    return 0;
}
