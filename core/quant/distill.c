#include "quant/distill.h"

#include "base/memory.h"
#include "model/session.h"
#include "quant/calibration.h"
#include "quant/made.h"
#include "quant/rtn.h"
#include "quant/transaction.h"
#include "train/adamw.h"
#include "train/pass.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MATRICES = 7, LOOKS = 4 /* at the loss of all samples, while a block is taught */ };

typedef struct pupil {
    nb_tensor *tensor;
    nb_weight *weight;
} pupil;

typedef struct run {
    nb_model *model;
    const nb_scope *scope;
    const nb_samples *samples;
    const nb_distill_options *options;
    size_t *slot;         /* [n_tensors]: its place in the scope, from 1; 0: it is not in it */
    nb_packed **made;     /* [scope's tensors] */
    nb_input **inputs;    /* [scope's tensors] */
    nb_network *network;  /* one block */
    nb_pass *pass;
    pupil pupils[MATRICES];
    float *master, *best; /* [n_values]: the weights behind the codes */
    float *x, *target;    /* [n_tokens][n_embd]: what the original block reads and makes */
    float *y;             /* [tokens of a step][n_embd] */
    size_t *begins;       /* [n_sequences + 1] */
    nb_sequences sequences; /* of the batch that the pass holds */
    size_t n_batches, layer;
} run;

/* ---- sequences ---- */

static size_t batch_size(const run *r, size_t batch)
{
    const size_t first = batch * r->options->n_sequences;
    return nb_min_size(r->options->n_sequences, r->samples->n_sequences - first);
}

static size_t batch_begin(const run *r, size_t batch)
{
    return r->samples->begins[nb_min_size(batch * r->options->n_sequences, r->samples->n_sequences)];
}

static nb_sequences batch_of(const run *r, size_t batch)
{
    const size_t *begins = r->samples->begins + batch * r->options->n_sequences, n = batch_size(r, batch);
    for (size_t i = 0; i <= n; i++)
        r->begins[i] = begins[i] - begins[0];
    return (nb_sequences){.n_sequences = n, .n_tokens = r->begins[n], .begins = r->begins};
}

/* Of its numbers, among those of all tokens. */
static size_t batch_at(const run *r, size_t batch)
{
    return batch_begin(r, batch) * r->model->hparams.n_embd;
}

static size_t batch_numbers(const run *r, size_t batch)
{
    return batch_at(r, batch + 1) - batch_at(r, batch);
}

/* ---- the block's weights ---- */

static void name_pupils(run *r)
{
    const nb_layer *l = &r->model->layers[r->layer];
    const nb_network_layer *w = &r->network->layers[0];
    const pupil all[MATRICES] = {{l->attn_q, w->attn_q},     {l->attn_k, w->attn_k},
                                 {l->attn_v, w->attn_v},     {l->attn_output, w->attn_output},
                                 {l->ffn_gate, w->ffn_gate}, {l->ffn_up, w->ffn_up},
                                 {l->ffn_down, w->ffn_down}};
    memcpy(r->pupils, all, sizeof all);
}

static bool is_taught(const run *r, const pupil *p)
{
    return r->slot[p->tensor - r->model->tensors] > 0;
}

/* The original's, in the network and as master. */
static void load_block(run *r)
{
    const nb_layer *l = &r->model->layers[r->layer];
    const nb_network_layer *w = &r->network->layers[0];
    for (size_t i = 0; i < MATRICES; i++)
        for (size_t row = 0; row < r->pupils[i].tensor->n_rows; row++)
            nb_tensor_source_row(r->pupils[i].tensor, row,
                                 r->pupils[i].weight->values + row * r->pupils[i].tensor->n_cols);
    memcpy(w->attn_norm->values, l->attn_norm->vector, l->attn_norm->n_cols * sizeof(float));
    memcpy(w->ffn_norm->values, l->ffn_norm->vector, l->ffn_norm->n_cols * sizeof(float));
    memcpy(r->master, r->network->values, r->network->n_values * sizeof *r->master);
    memcpy(r->best, r->master, r->network->n_values * sizeof *r->best);
    nb_network_pack(r->network);
}

static const float *master_of(const run *r, const float *from, const pupil *p)
{
    return from + (p->weight->values - r->network->values);
}

static nb_status round_matrix(run *r, const float *from, const pupil *p, nb_packed **out, nb_error *error)
{
    const nb_source source = {.format = &nb_format_f32,
                              .data = master_of(r, from, p),
                              .n_rows = p->tensor->n_rows,
                              .n_cols = p->tensor->n_cols};
    nb_context *context = r->model->context;
    nb_progress_fn *progress = context->progress;
    context->progress = NULL; /* steps are what is counted */
    nb_status status = nb_rtn_quantize(context, p->tensor->name, &source, &r->options->quantizer, out, NULL, error);
    context->progress = progress;
    return status;
}

/* The network becomes what the codes of `from` stand for. */
static nb_status round_block(run *r, const float *from, nb_error *error)
{
    nb_status status = NB_OK;
    memcpy(r->network->values, from, r->network->n_values * sizeof *from);
    for (size_t i = 0; status == NB_OK && i < MATRICES; i++) {
        const pupil *p = &r->pupils[i];
        nb_packed *packed = NULL;
        if (!is_taught(r, p))
            continue;
        status = round_matrix(r, from, p, &packed, error);
        for (size_t row = 0; status == NB_OK && row < p->tensor->n_rows; row++)
            nb_packed_decode_row(packed, row, p->weight->values + row * p->tensor->n_cols);
        nb_packed_destroy(&packed);
    }
    nb_network_pack(r->network);
    return status;
}

/* What its integer matrices will multiply in the engine. Matrices that read the same numbers, of which not all are taught,
 * read them exact. */
static void round_inputs(run *r)
{
    bool taught[MATRICES];
    for (size_t i = 0; i < MATRICES; i++)
        taught[i] = is_taught(r, &r->pupils[i]);
    const nb_pass_inputs inputs = {.qkv = taught[0] && taught[1] && taught[2],
                                   .attn_output = taught[3],
                                   .gate_up = taught[4] && taught[5],
                                   .down = taught[6]};
    const bool integers = nb_quantizer_wants_int8(&r->options->quantizer);
    nb_pass_round(r->pass, !integers ? NB_PASS_EXACT : r->options->tokens ? NB_PASS_TOKENS : NB_PASS_BLOCKS, inputs);
}

/* ---- its error ---- */

static void answer(run *r, size_t batch, float *y)
{
    r->sequences = batch_of(r, batch);
    nb_pass_block_forward(r->pass, 0, &r->sequences, r->x + batch_at(r, batch), y);
}

static double error_of_all(run *r)
{
    double sum = 0;
    const size_t n_embd = r->model->hparams.n_embd;
    for (size_t b = 0; b < r->n_batches; b++) {
        const float *target = r->target + batch_at(r, b);
        answer(r, b, r->y);
        for (size_t i = 0; i < batch_numbers(r, b); i++)
            sum += ((double)r->y[i] - (double)target[i]) * ((double)r->y[i] - (double)target[i]);
    }
    return sum / (double)(nb_samples_n_tokens(r->samples) * n_embd);
}

/* Gradients of the mean square error of one batch; those of what is not taught are dropped. */
static void find_gradients(run *r, size_t batch)
{
    const size_t n = batch_numbers(r, batch);
    const float *target = r->target + batch_at(r, batch), weight = 2.0f / (float)n;
    answer(r, batch, r->y);
    for (size_t i = 0; i < n; i++)
        r->y[i] = (r->y[i] - target[i]) * weight;
    nb_pass_block_backward(r->pass, 0, r->y);
    const nb_network_layer *w = &r->network->layers[0];
    memset(w->attn_norm->gradient, 0, w->attn_norm->shape.n_cols * sizeof(float));
    memset(w->ffn_norm->gradient, 0, w->ffn_norm->shape.n_cols * sizeof(float));
    for (size_t i = 0; i < MATRICES; i++) {
        const pupil *p = &r->pupils[i];
        if (!is_taught(r, p))
            memset(p->weight->gradient, 0, p->tensor->n_rows * p->tensor->n_cols * sizeof(float));
    }
}

/* ---- teaching ---- */

/* Root mean square of the weights that are taught. */
static double size_of_weights(const run *r)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < MATRICES; i++) {
        const pupil *p = &r->pupils[i];
        const size_t n = p->tensor->n_rows * p->tensor->n_cols;
        for (size_t k = 0; is_taught(r, p) && k < n; k++)
            sum += (double)p->weight->values[k] * (double)p->weight->values[k];
        count += is_taught(r, p) ? n : 0;
    }
    return count > 0 ? sqrt(sum / (double)count) : 0;
}

static void keep_if_better(run *r, double *least)
{
    const double error = error_of_all(r);
    if (error < *least) {
        *least = error;
        memcpy(r->best, r->master, r->network->n_values * sizeof *r->best);
    }
}

static nb_status take_steps(run *r, nb_adamw *adamw, double rate, double *least, nb_error *error)
{
    const size_t n = r->options->n_steps, look = nb_max_size(1, n / LOOKS);
    nb_status status = NB_OK;
    for (size_t step = 0; status == NB_OK && step < n; step++) {
        find_gradients(r, step % r->n_batches);
        memcpy(r->network->values, r->master, r->network->n_values * sizeof *r->master);
        if (!isfinite(nb_adamw_step(adamw, r->network, rate * (double)(n - step) / (double)n)))
            return NB_OK; /* what was best so far stays */
        memcpy(r->master, r->network->values, r->network->n_values * sizeof *r->master);
        status = round_block(r, r->master, error);
        if (status == NB_OK && ((step + 1) % look == 0 || step + 1 == n))
            keep_if_better(r, least);
        if (status == NB_OK)
            status = nb_context_tick(r->model->context, "teaching blocks", r->layer * n + step + 1,
                                     r->model->hparams.n_layers * n, "steps", error);
    }
    return status;
}

static nb_status teach_block(run *r, nb_distilled *out, nb_error *error)
{
    const nb_adamw_options adam = {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8};
    nb_adamw adamw = {0};
    const double rate = r->options->rate * size_of_weights(r);
    nb_status status = round_block(r, r->master, error);
    if (status != NB_OK)
        return status;
    round_inputs(r);
    out->rounded = out->taught = error_of_all(r);
    if (!isfinite(out->rounded))
        return nb_fail(error, NB_ERR_STATE, "block %zu makes numbers that are not finite: it cannot be taught", r->layer);
    if (rate > 0 && out->rounded > 0) {
        status = nb_adamw_create(r->network, &adam, &adamw, error);
        if (status == NB_OK)
            status = take_steps(r, &adamw, rate, &out->taught, error);
        nb_adamw_free(&adamw);
    }
    for (size_t i = 0; status == NB_OK && i < MATRICES; i++)
        if (is_taught(r, &r->pupils[i]))
            status = round_matrix(r, r->best, &r->pupils[i], &r->made[r->slot[r->pupils[i].tensor - r->model->tensors] - 1],
                                  error);
    return status;
}

static bool holds_any(const run *r)
{
    bool any = false;
    for (size_t i = 0; i < MATRICES; i++)
        any = any || is_taught(r, &r->pupils[i]);
    return any;
}

static nb_status teach_blocks(run *r, nb_distilled *blocks, nb_error *error)
{
    nb_status status = NB_OK;
    for (r->layer = 0; status == NB_OK && r->layer < r->model->hparams.n_layers; r->layer++) {
        name_pupils(r);
        load_block(r);
        nb_pass_round(r->pass, NB_PASS_EXACT, (nb_pass_inputs){0});
        for (size_t b = 0; b < r->n_batches; b++)
            answer(r, b, r->target + batch_at(r, b));
        blocks[r->layer] = (nb_distilled){0};
        if (holds_any(r))
            status = teach_block(r, &blocks[r->layer], error);
        float *next = r->target; /* the original's answers are what the next block reads */
        r->target = r->x;
        r->x = next;
    }
    return status;
}

/* ---- beginning and end ---- */

static nb_status check(run *r, nb_error *error)
{
    const nb_hparams *h = &r->model->hparams;
    nb_status status = nb_quantizer_check(&r->options->quantizer, error);
    for (size_t i = 0; status == NB_OK && i < r->scope->count; i++) {
        const nb_tensor *t = &r->model->tensors[r->scope->tensors[i]];
        r->slot[r->scope->tensors[i]] = i + 1;
        status = nb_change_check_matrix(r->model, t, error);
        if (status == NB_OK && nb_input_has_basis(t->input))
            status = nb_fail(error, NB_ERR_STATE, "%s is rotated, and blocks are taught as they were: undo takes that back",
                             t->name);
    }
    if (status == NB_OK && (r->model->frame.rope_freqs || (h->n_window > 0 && h->n_window < r->samples->longest)))
        status = nb_fail(error, NB_ERR_UNSUPPORTED, "training has no code for a model with %s, so its blocks cannot be taught",
                         r->model->frame.rope_freqs ? "RoPE factors" : "a window");
    return status == NB_OK ? nb_model_check(r->model, error) : status;
}

static nb_status make_room(run *r, nb_error *error)
{
    nb_hparams h = r->model->hparams;
    h.n_layers = 1;
    h.n_vocab = 1;
    h.tied = true;
    h.n_ctx = (uint32_t)r->samples->longest;
    nb_status status = nb_network_create(r->model->context, &h, &r->network, error);
    const size_t n_step = r->options->n_sequences * r->samples->longest, n_all = nb_samples_n_tokens(r->samples);
    if (status == NB_OK)
        status = nb_pass_create(r->network, n_step, &r->pass, error);
    if (status != NB_OK)
        return status;
    r->n_batches = nb_div_up(r->samples->n_sequences, r->options->n_sequences);
    r->master = nb_aligned_calloc(r->network->n_values, sizeof *r->master);
    r->best = nb_aligned_calloc(r->network->n_values, sizeof *r->best);
    r->x = nb_aligned_calloc(n_all, h.n_embd * sizeof *r->x);
    r->target = nb_aligned_calloc(n_all, h.n_embd * sizeof *r->target);
    r->y = nb_aligned_calloc(n_step, h.n_embd * sizeof *r->y);
    r->begins = nb_calloc(r->options->n_sequences + 1, sizeof *r->begins);
    if (!r->master || !r->best || !r->x || !r->target || !r->y || !r->begins)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to teach blocks on %zu tokens; give --tokens fewer", n_all);
    return NB_OK;
}

static void free_room(run *r)
{
    nb_pass_destroy(&r->pass);
    nb_network_destroy(&r->network);
    nb_aligned_free(r->master);
    nb_aligned_free(r->best);
    nb_aligned_free(r->x);
    nb_aligned_free(r->target);
    nb_aligned_free(r->y);
    free(r->begins);
}

static nb_status embed(run *r, nb_error *error)
{
    nb_session *session = NULL;
    nb_status status = nb_session_create_within(r->model, NB_WEIGHTS_ORIGINAL, r->samples->longest, SIZE_MAX / 2,
                                                &session, error);
    if (status == NB_OK)
        nb_samples_embed(r->samples, session, r->x);
    nb_session_destroy(&session);
    return status;
}

/* What was taught, and the rest of the scope rounded; all of them with activations of one scale a token if wanted. */
static nb_status store(run *r, const char *provenance, nb_tensor_loss *losses, nb_error *error)
{
    const nb_adoption adoption = {
        .made = r->made, .quantizer = r->options->quantizer, .inputs = r->inputs, .provenance = provenance};
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && r->options->tokens && i < r->scope->count; i++)
        status = nb_activation_input(r->model, r->scope->tensors[i], NB_ACTIVATION_TOKENS, NULL, NB_OBSERVER_MINMAX, NULL,
                                     &r->inputs[i], error);
    return status == NB_OK ? nb_model_adopt(r->model, r->scope, &adoption, losses, error) : status;
}

static nb_status teach(run *r, nb_distilled *blocks, nb_error *error)
{
    nb_status status = check(r, error);
    if (status == NB_OK)
        status = make_room(r, error);
    if (status == NB_OK)
        status = embed(r, error);
    if (status == NB_OK)
        status = teach_blocks(r, blocks, error);
    free_room(r);
    return status;
}

nb_status nb_model_distill(nb_model *model, const nb_scope *scope, const nb_samples *samples,
                           const nb_distill_options *options, const char *text_name, nb_distilled *blocks,
                           nb_tensor_loss *losses, nb_error *error)
{
    nb_distill_options own = *options;
    own.n_sequences = nb_max_size(1, nb_min_size(own.n_sequences, samples->n_sequences));
    run r = {.model = model, .scope = scope, .samples = samples, .options = &own};
    r.slot = nb_calloc(model->n_tensors, sizeof *r.slot);
    r.made = nb_calloc(scope->count, sizeof *r.made);
    r.inputs = nb_calloc(scope->count, sizeof *r.inputs);
    char *provenance = nb_format_text("layer-by-layer distillation from %s (%s, %zu steps)", text_name,
                                      nb_samples_describe(samples).text, own.n_steps);
    nb_status status = r.slot && r.made && r.inputs && provenance
                           ? NB_OK
                           : nb_fail(error, NB_ERR_MEMORY, "no memory to quantize %zu tensors", scope->count);
    if (status == NB_OK)
        status = teach(&r, blocks, error);
    if (status == NB_OK)
        status = store(&r, provenance, losses, error);
    for (size_t i = 0; r.made && i < scope->count; i++)
        nb_packed_destroy(&r.made[i]);
    for (size_t i = 0; r.inputs && i < scope->count; i++)
        nb_input_destroy(&r.inputs[i]);
    free(r.made);
    free(r.inputs);
    free(r.slot);
    free(provenance);
    return status;
}
