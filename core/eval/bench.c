#include "eval/bench.h"

#include "base/memory.h"
#include "model/state.h"

#include <stdlib.h>
#include <time.h>

enum { DEFAULT_PROMPT = 512, DEFAULT_GENERATE = 32, DEFAULT_REPEATS = 5 };

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts `values`. */
static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2.0;
}

/* ---- what there is to do ---- */

/* Embeddings that are not the head too give one row a token, which is nothing beside the others. */
static bool multiplies(const nb_tensor *t)
{
    return !t->is_vector &&
           (t->role == NB_ROLE_ATTENTION || t->role == NB_ROLE_MLP || t->role == NB_ROLE_HEAD || t->tied);
}

static uint64_t count_decode_bytes(const nb_model *model)
{
    uint64_t n = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (multiplies(&model->tensors[i]))
            n += nb_tensor_n_bytes(&model->tensors[i]);
    return n;
}

/* What the forward pass really does for n tokens when only the last one's logits are wanted: of the last
 * block the other tokens need keys and values alone. */
static void count_operations(const nb_model *model, size_t n, double *int_operations,
                             double *float_operations)
{
    const nb_hparams *h = &model->hparams;
    const nb_layer *last = &model->layers[h->n_layers - 1];
    *int_operations = *float_operations = 0.0;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const nb_tensor *t = &model->tensors[i];
        if (!multiplies(t))
            continue;
        const bool once = t == model->frame.head ||
                          (t->layer == (int)h->n_layers - 1 && t != last->attn_k && t != last->attn_v &&
                           t != last->attn_qkv);
        const double operations = 2.0 * (double)t->n_rows * (double)t->n_cols * (once ? 1.0 : (double)n);
        *(nb_tensor_wants_int8(t, NB_WEIGHTS_CURRENT) ? int_operations : float_operations) += operations;
    }
    /* A query meets every key once for its score and every value once: 4 operations a dimension. */
    const double keys = (double)n * (double)(n + 1) / 2.0 * (double)(h->n_layers - 1) + (double)n;
    *float_operations += 4.0 * (double)h->n_heads * (double)h->head_size * keys;
}

/* ---- measuring ---- */

static nb_status time_prefill(nb_session *session, const int32_t *tokens, size_t n, double *seconds,
                              nb_error *error)
{
    const float *logits;
    nb_session_reset(session);
    const double start = seconds_now();
    nb_status status = nb_session_eval(session, tokens, n, NB_LOGITS_LAST, &logits, error);
    *seconds = seconds_now() - start;
    return status;
}

static nb_status time_decode(nb_session *session, const int32_t *tokens, size_t n, double *seconds,
                             nb_error *error)
{
    const float *logits;
    nb_session_reset(session);
    nb_status status =
        nb_session_eval(session, tokens, 1, NB_LOGITS_LAST, &logits, error); /* wakes the threads */
    const double start = seconds_now();
    for (size_t i = 1; status == NB_OK && i <= n; i++)
        status = nb_session_eval(session, tokens + i, 1, NB_LOGITS_LAST, &logits, error);
    *seconds = seconds_now() - start;
    return status;
}

static nb_status measure(nb_session *session, const int32_t *tokens, nb_bench *out, nb_error *error)
{
    nb_context *context = nb_model_context(nb_session_model(session));
    double *prefill = nb_calloc(2 * out->n_repeats, sizeof *prefill), *decode = prefill + out->n_repeats;
    if (!prefill)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu times", out->n_repeats);
    nb_status status =
        time_prefill(session, tokens, out->n_prompt, &prefill[0], error); /* warms caches and pages */
    for (size_t i = 0; status == NB_OK && i < out->n_repeats; i++) {
        status = time_prefill(session, tokens, out->n_prompt, &prefill[i], error);
        if (status == NB_OK)
            status = time_decode(session, tokens, out->n_generate, &decode[i], error);
        if (status == NB_OK)
            status = nb_context_tick(context, "measuring", i + 1, out->n_repeats, "runs", error);
    }
    if (status == NB_OK) {
        const double prefill_seconds = median(prefill, out->n_repeats);
        const double decode_seconds = median(decode, out->n_repeats);
        out->prefill_rate = (double)out->n_prompt / prefill_seconds;
        out->decode_rate = (double)out->n_generate / decode_seconds;
        out->decode_share = out->decode_rate * (double)out->decode_bytes / out->bandwidth;
        out->prefill_share =
            (out->int_operations / out->int8_peak + out->float_operations / out->fma_peak) / prefill_seconds;
    }
    free(prefill);
    return status;
}

nb_status nb_bench_model(nb_model *model, const nb_bench_options *options, nb_bench *out, nb_error *error)
{
    nb_context *context = nb_model_context(model);
    const nb_bench_options o = options ? *options : (nb_bench_options){0};
    *out = (nb_bench){
        .n_prompt = o.n_prompt ? o.n_prompt : DEFAULT_PROMPT,
        .n_generate = o.n_generate ? o.n_generate : DEFAULT_GENERATE,
        .n_repeats = o.n_repeats ? o.n_repeats : DEFAULT_REPEATS,
        .n_threads = nb_pool_size(context->pool),
        .decode_bytes = count_decode_bytes(model),
    };
    count_operations(model, out->n_prompt, &out->int_operations, &out->float_operations);
    const size_t n_tokens = nb_max_size(out->n_prompt, out->n_generate + 1);
    nb_session *session = NULL;
    nb_status status = nb_session_create(model, NB_WEIGHTS_CURRENT, n_tokens, &session, error);
    int32_t *tokens = nb_calloc(n_tokens, sizeof *tokens);
    if (status == NB_OK && !tokens)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for %zu tokens", n_tokens);
    if (status == NB_OK) {
        for (size_t i = 0; i < n_tokens; i++)
            tokens[i] = (int32_t)((uint64_t)i * 7919 % model->hparams.n_vocab);
        out->fma_peak = o.fma_peak > 0.0 ? o.fma_peak : nb_measure_fma_peak(context);
        out->int8_peak = o.int8_peak > 0.0 ? o.int8_peak : nb_measure_int8_peak(context);
        out->bandwidth = nb_measure_read_bandwidth(context, (size_t)out->decode_bytes);
        status = measure(session, tokens, out, error);
    }
    nb_session_destroy(&session);
    free(tokens);
    return status;
}
