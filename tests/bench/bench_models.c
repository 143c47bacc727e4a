/* How fast whole models run, beside this machine's limits: random weights in the shapes of known models,
 * stored in several formats, decode and prefill on one and two threads.
 *
 *   bench-models [--models 15M,110M,1.1B] [--formats f32,f16,bf16,int8,int8t,int8s,int8+7,int4,q8_0,q4_0,q4_k,nf4,nf4x2]
 *                [--threads 1,2] [--repeats 5] [--prompt 512]
 *
 * A share is of the bandwidth measured over a buffer as large as the weights (decode), or of the arithmetic
 * peak measured on the same threads (prefill): see core/eval/bench.h. Every number is a median. */
#include "eval/bench.h"
#include "nibble.h"
#include "quant/transaction.h"

#include "tests/bench/bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct storage {
    const char *name;
    const nb_format *file; /* the format of the file that the model is loaded from */
    const char *quantizer; /* NULL: as it stands in the file */
    size_t n_outliers;     /* columns of every matrix that stay f16 */
    nb_input_scaling scaling;
} storage;

static const storage storages[] = {
    {"f32", &nb_format_f32, NULL, 0, NB_INPUT_BLOCKS},
    {"f16", &nb_format_f16, NULL, 0, NB_INPUT_BLOCKS},
    {"bf16", &nb_format_bf16, NULL, 0, NB_INPUT_BLOCKS},
    {"int8", &nb_format_f16, "int8 absmax/channel", 0, NB_INPUT_BLOCKS},
    {"int8t", &nb_format_f16, "int8 absmax/channel", 0, NB_INPUT_TOKENS}, /* activations with a scale per token */
    {"int8s", &nb_format_f16, "int8 absmax/channel", 0, NB_INPUT_STATIC}, /* and with one that is given */
    /* as many as Dettmers et al., LLM.int8(), section 4.1, find in models of 6.7B to 13B: at most 7 */
    {"int8+7", &nb_format_f16, "int8 absmax/channel", 7, NB_INPUT_TOKENS},
    {"int4", &nb_format_f16, "int4 absmax/group:32", 0, NB_INPUT_BLOCKS},
    {"q8_0", &nb_format_f16, "q8_0", 0, NB_INPUT_BLOCKS},
    {"q4_0", &nb_format_f16, "q4_0", 0, NB_INPUT_BLOCKS},
    {"q4_k", &nb_format_f16, "q4_k", 0, NB_INPUT_BLOCKS},
    {"nf4", &nb_format_f16, "nf4", 0, NB_INPUT_BLOCKS},
    {"nf4x2", &nb_format_f16, "nf4, double", 0, NB_INPUT_BLOCKS},
};
enum { N_STORAGES = sizeof storages / sizeof storages[0] };

typedef struct options {
    const char *models, *formats;
    nb_bench_threads threads;
    nb_bench_options bench;
} options;

/* ---- stopping ---- */

static nb_context *volatile running;
static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
    if (running)
        atomic_store(&running->cancel, true);
}

/* ---- one model in one format on so many threads ---- */

/* Outliers spread evenly over the columns: where they are makes no difference to the time, nor does how many
 * activations are clipped. */
static nb_status make_input(const nb_tensor *t, const storage *s, nb_input **out, nb_error *error)
{
    uint32_t columns[16];
    for (size_t i = 0; i < s->n_outliers; i++)
        columns[i] = (uint32_t)((2 * i + 1) * t->n_cols / (2 * s->n_outliers));
    nb_input *input = *out = nb_input_create(t->n_cols);
    if (!input)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for what happens to activations");
    nb_status status = s->n_outliers > 0 ? nb_input_set_outliers(input, columns, s->n_outliers, error) : NB_OK;
    if (s->scaling == NB_INPUT_STATIC)
        return nb_input_set_static(input, 1.0f / 32.0f, error);
    input->scaling = s->scaling;
    return status;
}

static nb_status store_with_inputs(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer,
                                   const storage *s, nb_error *error)
{
    nb_input **inputs = nb_calloc(scope->count, sizeof(nb_input *));
    nb_status status =
        inputs ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for what happens to activations");
    for (size_t i = 0; status == NB_OK && i < scope->count; i++)
        status = make_input(nb_model_tensor(model, scope->tensors[i]), s, &inputs[i], error);
    if (status == NB_OK)
        status = nb_change_quantize(model, scope, quantizer, 0, NULL, inputs, NULL, error);
    for (size_t i = 0; inputs && i < scope->count; i++)
        nb_input_destroy(&inputs[i]);
    free(inputs);
    return status;
}

static nb_status store(nb_model *model, const storage *s, nb_error *error)
{
    nb_scope scope = {0};
    nb_quantizer quantizer;
    nb_status status = nb_quantizer_parse(s->quantizer, &quantizer, error);
    if (status == NB_OK)
        status = nb_scope_resolve(model, "all,embeddings,head", false, &scope, error);
    if (status == NB_OK)
        status = s->n_outliers > 0 || s->scaling != NB_INPUT_BLOCKS
                     ? store_with_inputs(model, &scope, &quantizer, s, error)
                     : nb_model_quantize(model, &scope, &quantizer, NULL, error);
    nb_scope_free(&scope);
    return status;
}

static void print_row(const char *shape, const char *format, const nb_bench *b)
{
    printf("%-6s %-6s %7u %9.1f MB %10.1f %6.1f %% of %6.1f GB/s %11.1f %6.1f %%\n", shape, format,
           (unsigned)b->n_threads, (double)b->decode_bytes * 1e-6, b->decode_rate, 100.0 * b->decode_share,
           b->bandwidth * 1e-9, b->prefill_rate, 100.0 * b->prefill_share);
    fflush(stdout);
}

/* The peaks belong to a thread count: measured when it is first met. */
static nb_status measure(nb_context *context, const char *path, const char *shape, const storage *s,
                         nb_bench_options *bench, nb_error *error)
{
    nb_model *model = NULL;
    nb_bench result;
    nb_status status = nb_model_load(context, path, NULL, &model, error);
    if (status == NB_OK && s->quantizer)
        status = store(model, s, error);
    if (status == NB_OK)
        status = nb_bench_model(model, bench, &result, error);
    nb_model_destroy(&model);
    if (status != NB_OK)
        return status;
    bench->fma_peak = result.fma_peak;
    bench->int8_peak = result.int8_peak;
    print_row(shape, s->name, &result);
    return NB_OK;
}

static nb_status measure_on_threads(const options *o, const char *path, const char *shape, const storage *s,
                                    nb_bench_options *by_count, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < o->threads.n; i++) {
        const nb_context_options wanted = {.n_threads = o->threads.counts[i]};
        nb_context *context = NULL;
        status = nb_context_create(&wanted, &context, error);
        running = context;
        if (status == NB_OK)
            status = measure(context, path, shape, s, &by_count[i], error);
        running = NULL;
        nb_context_destroy(&context);
        if (stopped)
            status = nb_fail(error, NB_ERR_CANCELLED, "stopped");
    }
    return status;
}

/* ---- all of them ---- */

/* True if `name` is one of the words of a comma-separated list. */
static bool listed(const char *list, const char *name)
{
    const size_t length = strlen(name);
    for (const char *word = list; *word;) {
        const size_t n = strcspn(word, ",");
        if (n == length && memcmp(word, name, n) == 0)
            return true;
        word += n + (word[n] == ',');
    }
    return false;
}

/* Weights in the page cache, packed, and a buffer of their size to measure with. */
static bool fits_in_memory(const nb_synthetic *shape, const nb_format *format)
{
    const double e = shape->n_embd, kv = e / shape->n_heads * shape->n_kv_heads;
    const double block = 2.0 * e * e + 2.0 * e * kv + 3.0 * e * shape->n_ff;
    const double n = block * shape->n_layers + e * shape->n_vocab * (shape->tied ? 1.0 : 2.0);
    const double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    return 3.0 * n * (format->bits / 8) < memory;
}

/* Rows of a BLOCK format are whole blocks. */
static bool fits_in_blocks(const nb_synthetic *shape, const storage *s)
{
    const nb_format *format = nb_format_find(s->name);
    const size_t block = format && format->kind == NB_FORMAT_BLOCK ? format->block_size : 1;
    return shape->n_embd % block == 0 && shape->n_ff % block == 0;
}

static nb_status run_shape(const options *o, const char *folder, const char *name, nb_bench_options *by_count,
                           nb_error *error)
{
    char path[512];
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    const nb_format *written = NULL; /* what the file holds now */
    nb_synthetic shape;
    if (!nb_synthetic_shape(name, &shape))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "no model shape is called %.40s; there are 15M, 110M, 1.1B, tiny", name);
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < N_STORAGES; i++) {
        const storage *s = &storages[i];
        if (!listed(o->formats, s->name))
            continue;
        if (!fits_in_memory(&shape, s->file)) {
            printf("%-6s %-6s skipped: it needs more memory than this machine has\n", name, s->name);
            continue;
        }
        if (!fits_in_blocks(&shape, s)) {
            printf("%-6s %-6s skipped: its rows are no whole blocks of %u\n", name, s->name,
                   (unsigned)nb_format_find(s->name)->block_size);
            continue;
        }
        if (written != s->file) {
            shape.format = s->file;
            status = nb_synthetic_write(path, &shape, error);
            written = s->file;
        }
        if (status == NB_OK)
            status = measure_on_threads(o, path, name, s, by_count, error);
    }
    unlink(path);
    return status;
}

/* What tiles could multiply, which nothing that scales each block's sums can reach: shares are of the vectors' peak. */
static double tile_peak(unsigned n_threads)
{
    const nb_context_options wanted = {.n_threads = n_threads};
    nb_context *context = NULL;
    if (nb_context_create(&wanted, &context, NULL) != NB_OK)
        return 0.0;
    const double peak = nb_measure_tile_peak(context);
    nb_context_destroy(&context);
    return peak;
}

static nb_status run_all(const options *o, const char *folder, nb_error *error)
{
    char cpu[128], name[32];
    nb_bench_options by_count[NB_BENCH_THREADS];
    for (size_t i = 0; i < NB_BENCH_THREADS; i++)
        by_count[i] = o->bench;
    nb_cpu_name(cpu, sizeof cpu);
    printf("%s · %s\n\n", cpu, nb_kernels_best()->title);
    printf("%-6s %-6s %7s %12s %10s %-27s %11s %8s\n", "model", "as", "threads", "weights", "decode t/s",
           " share of bandwidth", "prefill t/s", "of peak");
    nb_status status = NB_OK;
    for (const char *word = o->models; status == NB_OK && *word;) {
        const size_t n = strcspn(word, ",");
        snprintf(name, sizeof name, "%.*s", (int)nb_min_size(n, sizeof name - 1), word);
        status = run_shape(o, folder, name, by_count, error);
        word += n + (word[n] == ',');
    }
    printf("\n");
    for (size_t i = 0; i < o->threads.n; i++)
        if (by_count[i].fma_peak > 0.0) {
            const double tiles = tile_peak(o->threads.counts[i]);
            printf("peak of %u thread%s: %.0f Gop/s f32 (fma), %.0f Gop/s int8 in vectors", o->threads.counts[i],
                   o->threads.counts[i] > 1 ? "s" : "", by_count[i].fma_peak * 1e-9, by_count[i].int8_peak * 1e-9);
            if (tiles > 0.0)
                printf(", %.0f Gop/s int8 in tiles", tiles * 1e-9);
            printf("\n");
        }
    return status;
}

/* ---- options ---- */

/* False if there is an option that it does not know. */
static bool parse(int argc, char **argv, options *o)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--models") == 0)
            o->models = argv[i + 1];
        else if (strcmp(argv[i], "--formats") == 0)
            o->formats = argv[i + 1];
        else if (strcmp(argv[i], "--threads") == 0)
            o->threads = nb_bench_read_threads(argv[i + 1]);
        else if (strcmp(argv[i], "--repeats") == 0)
            o->bench.n_repeats = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--prompt") == 0)
            o->bench.n_prompt = strtoul(argv[i + 1], NULL, 10);
        else
            return false;
    }
    return argc % 2 == 1 && o->threads.n > 0;
}

int main(int argc, char **argv)
{
    options o = {.models = "15M,110M,1.1B",
                 .formats = "f32,f16,bf16,int8,int8t,int8s,int8+7,int4,q8_0,q4_0,q4_k,nf4,nf4x2",
                 .threads = {{1, 2}, 2}};
    if (!parse(argc, argv, &o)) {
        fprintf(stderr,
                "usage: bench-models [--models 15M,110M,1.1B] [--threads 1,2] [--repeats 5] [--prompt 512]\n"
                "             [--formats f32,f16,bf16,int8,int8t,int8s,int8+7,int4,q8_0,q4_0,q4_k,nf4,nf4x2]\n");
        return 2;
    }
    const char *base = getenv("TMPDIR");
    char folder[256];
    snprintf(folder, sizeof folder, "%s/nibble-bench-XXXXXX", base && base[0] ? base : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    nb_error error;
    nb_status status = run_all(&o, folder, &error);
    rmdir(folder);
    if (status != NB_OK)
        fprintf(stderr, "%s\n", error.text);
    return status == NB_OK ? 0 : 1;
}
