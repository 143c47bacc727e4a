#include "train/pass.h"

#include "base/memory.h"
#include "train/gradients.h"
#include "train/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOGIT_TOKENS = 768, ROWS_PER_PIECE = 16, LINE_FLOATS = 16 };

/* What a block keeps for its way back. Rows of x, norms and mid: n_embd; the others as the weights make them. */
typedef struct kept_layer {
    float *x, *attn_norm, *q, *k, *v, *attended;
    float *mid, *ffn_norm, *gate, *up, *act;
} kept_layer;

struct nb_pass {
    nb_network *network;
    size_t max_tokens;
    kept_layer *layers;
    float *activations;     /* what the layers point into */
    float *x, *output_norm; /* after the last block */
    float *logits;          /* [LOGIT_TOKENS][n_vocab] */
    float *dx, *d_norm, *d_part, *d_attended, *dq, *dk, *dv, *d_act;
    float *r; /* [max_tokens]: 1 / rms of each row */
    size_t *positions;
    nb_attention attention;
    nb_linear_scratch linear;
    const nb_sequences *sequences; /* of the run */
    nb_pass_rounding rounding;
    nb_pass_inputs rounded;
};

/* ---- creation ---- */

/* The next n floats of a buffer in whole lines; NULL while only sizes are asked for. */
static float *take(float *base, size_t *used, size_t n)
{
    float *at = base ? base + *used : NULL;
    *used += nb_round_up(n, LINE_FLOATS);
    return at;
}

/* Places every buffer from `base` on; returns the floats that they take. */
static size_t lay_out(nb_pass *p, float *base)
{
    const nb_hparams *h = &p->network->hparams;
    const size_t n = p->max_tokens, embd = n * h->n_embd, ff = n * h->n_ff;
    const size_t q = n * h->n_heads * h->head_size, kv = n * h->n_kv_heads * h->head_size;
    size_t used = 0;
    for (uint32_t i = 0; i < h->n_layers; i++) {
        kept_layer *l = &p->layers[i];
        l->x = take(base, &used, embd), l->attn_norm = take(base, &used, embd);
        l->q = take(base, &used, q), l->k = take(base, &used, kv), l->v = take(base, &used, kv), l->attended = take(base, &used, q);
        l->mid = take(base, &used, embd), l->ffn_norm = take(base, &used, embd);
        l->gate = take(base, &used, ff), l->up = take(base, &used, ff), l->act = take(base, &used, ff);
    }
    p->x = take(base, &used, embd), p->output_norm = take(base, &used, embd);
    p->logits = take(base, &used, nb_min_size(n, LOGIT_TOKENS) * h->n_vocab);
    p->dx = take(base, &used, embd), p->d_norm = take(base, &used, embd), p->d_part = take(base, &used, embd);
    p->d_attended = take(base, &used, q), p->dq = take(base, &used, q), p->dk = take(base, &used, kv), p->dv = take(base, &used, kv);
    p->d_act = take(base, &used, ff);
    p->r = take(base, &used, n);
    return used;
}

nb_status nb_pass_create(nb_network *network, size_t max_tokens, nb_pass **out, nb_error *error)
{
    *out = NULL;
    nb_pass *p = nb_calloc(1, sizeof *p);
    if (!p)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a training pass");
    p->network = network;
    p->max_tokens = max_tokens;
    p->layers = nb_calloc(network->hparams.n_layers, sizeof *p->layers);
    p->positions = nb_calloc(max_tokens, sizeof *p->positions);
    if (p->layers && p->positions) {
        p->activations = nb_aligned_calloc(lay_out(p, NULL), sizeof(float));
        if (p->activations)
            lay_out(p, p->activations);
    }
    nb_status status = p->activations ? NB_OK
                                      : nb_fail(error, NB_ERR_MEMORY,
                                                "no memory to train on %zu tokens at once; use fewer", max_tokens);
    if (status == NB_OK)
        status = nb_attention_create(network, network->hparams.n_ctx, &p->attention, error);
    if (status == NB_OK)
        status = nb_linear_scratch_create(network, max_tokens, &p->linear, error);
    if (status == NB_OK)
        *out = p;
    else
        nb_pass_destroy(&p);
    return status;
}

void nb_pass_destroy(nb_pass **pass)
{
    nb_pass *p = *pass;
    if (!p)
        return;
    nb_linear_scratch_free(&p->linear);
    nb_attention_free(&p->attention);
    nb_aligned_free(p->activations);
    free(p->positions);
    free(p->layers);
    free(p);
    *pass = NULL;
}

/* ---- rows over threads ---- */

typedef struct rows {
    const nb_pass *pass;
    const float *in, *other, *weight, *rope;
    float *out;
    const kept_layer *layer;
    size_t width;
} rows;

static void over_rows(const nb_pass *p, nb_parallel_fn *fn, rows *job)
{
    job->pass = p;
    nb_parallel(p->network->context->pool, p->sequences->n_tokens, ROWS_PER_PIECE, fn, job);
}

static void look_up(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    const size_t n = job->pass->network->hparams.n_embd;
    for (size_t t = begin; t < end; t++)
        memcpy(job->out + t * n, job->weight + (size_t)job->pass->sequences->inputs[t] * n, n * sizeof *job->out);
}

static void norm_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    const nb_hparams *h = &job->pass->network->hparams;
    for (size_t t = begin; t < end; t++)
        job->pass->network->context->kernels->rms_norm(job->in + t * h->n_embd, job->weight, h->n_embd, h->norm_eps,
                                                       job->out + t * h->n_embd);
}

static void norm(const nb_pass *p, const float *x, const nb_weight *weight, float *y)
{
    rows job = {.in = x, .weight = weight->values, .out = y};
    over_rows(p, norm_rows, &job);
}

/* out = in + other, by the kernel that adds in place. */
static void add_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    const size_t at = begin * job->width, n = (end - begin) * job->width;
    if (job->out != job->in)
        memcpy(job->out + at, job->in + at, n * sizeof *job->out);
    job->pass->network->context->kernels->add(job->out + at, job->other + at, n);
}

static void add(const nb_pass *p, const float *x, const float *y, float *out)
{
    rows job = {.in = x, .other = y, .out = out, .width = p->network->hparams.n_embd};
    over_rows(p, add_rows, &job);
}

static void turn_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    const nb_hparams *h = &job->pass->network->hparams;
    const size_t n_heads = job->width / h->head_size;
    for (size_t t = begin; t < end; t++)
        job->pass->network->context->kernels->rope_adjacent(job->out + t * job->width,
                                                            job->rope + job->pass->positions[t] * h->n_rot, n_heads,
                                                            h->head_size, h->n_rot);
}

/* Turns q and k by their positions, or back. */
static void turn(const nb_pass *p, const float *rope, float *q, float *k)
{
    const nb_hparams *h = &p->network->hparams;
    rows of_q = {.rope = rope, .out = q, .width = (size_t)h->n_heads * h->head_size};
    rows of_k = {.rope = rope, .out = k, .width = (size_t)h->n_kv_heads * h->head_size};
    over_rows(p, turn_rows, &of_q);
    over_rows(p, turn_rows, &of_k);
}

static void swiglu_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    const size_t n = job->width;
    for (size_t t = begin; t < end; t++)
        job->pass->network->context->kernels->swiglu(job->layer->gate + t * n, job->layer->up + t * n, n,
                                                     job->layer->act + t * n);
}

/* gate and up become their gradients. */
static void swiglu_back_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    for (size_t t = begin; t < end; t++) {
        float *gate = job->layer->gate + t * job->width, *up = job->layer->up + t * job->width;
        nb_swiglu_backward(job->pass->network->context->kernels, gate, up, job->in + t * job->width, job->width, gate,
                           up);
    }
}

static void norm_back_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    const nb_hparams *h = &job->pass->network->hparams;
    const size_t n = h->n_embd;
    for (size_t t = begin; t < end; t++)
        job->pass->r[t] = nb_rms_norm_backward(job->in + t * n, job->weight, job->other + t * n, n, h->norm_eps,
                                               job->out + t * n);
}

/* A norm's own gradient, columns [begin, end): sums over tokens, forwards. */
static void norm_weight_columns(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    const size_t n = job->pass->network->hparams.n_embd;
    for (size_t t = 0; t < job->pass->sequences->n_tokens; t++) {
        const float *x = job->in + t * n, *dy = job->other + t * n, r = job->pass->r[t];
        for (size_t i = begin; i < end; i++)
            job->out[i] = job->out[i] + dy[i] * (x[i] * r);
    }
}

/* dx += the norm's gradient of dy, and the same for its weights. */
static void norm_back(const nb_pass *p, const float *x, const nb_weight *weight, const float *dy, float *dx)
{
    rows job = {.in = x, .weight = weight->values, .other = dy, .out = dx};
    over_rows(p, norm_back_rows, &job);
    job.out = weight->gradient;
    nb_parallel(p->network->context->pool, weight->shape.n_cols, 4 * LINE_FLOATS, norm_weight_columns, &job);
}

/* The embeddings' gradient, columns [begin, end) of the rows that were looked up. */
static void look_up_back(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    const size_t n = job->pass->network->hparams.n_embd;
    for (size_t t = 0; t < job->pass->sequences->n_tokens; t++) {
        float *row = job->out + (size_t)job->pass->sequences->inputs[t] * n;
        for (size_t i = begin; i < end; i++)
            row[i] = row[i] + job->in[t * n + i];
    }
}

/* ---- inputs as integer weights see them ---- */

/* 0 if a row is all zeros or nearly so, no finite number if not all of it is one. */
static float token_scale(const float *row, size_t n)
{
    float most = 0.0f;
    for (size_t i = 0; i < n; i++) {
        const float size = fabsf(row[i]);
        most = size > most || isnan(size) ? size : most;
    }
    return most / 127.0f;
}

static void round_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    const nb_kernels *kernels = job->pass->network->context->kernels;
    for (size_t t = begin; t < end; t++) {
        float *row = job->out + t * job->width;
        const float scale = job->pass->rounding == NB_PASS_TOKENS ? token_scale(row, job->width) : 0.0f;
        for (size_t first = 0; first < job->width; first += NB_BLOCK) {
            const size_t n = nb_min_size(NB_BLOCK, job->width - first);
            nb_act_block block;
            if (job->pass->rounding == NB_PASS_TOKENS)
                kernels->quantize_acts_scaled(row + first, n, &scale, &block, NULL);
            else
                kernels->quantize_acts(row + first, n, &block, NULL);
            for (size_t i = 0; i < n; i++)
                row[first + i] = block.scale * (float)block.q[i];
        }
    }
}

static void round_input(const nb_pass *p, bool rounded, float *x, size_t width)
{
    rows job = {.out = x, .width = width};
    if (rounded && p->rounding != NB_PASS_EXACT)
        over_rows(p, round_rows, &job);
}

/* What the matrix after attention reads: attention's own way back needs what it made, so a copy is rounded. */
static const float *attended_input(const nb_pass *p, const kept_layer *l, size_t width)
{
    if (!p->rounded.attn_output || p->rounding == NB_PASS_EXACT)
        return l->attended;
    memcpy(p->dq, l->attended, p->sequences->n_tokens * width * sizeof *p->dq);
    round_input(p, true, p->dq, width);
    return p->dq;
}

void nb_pass_round(nb_pass *pass, nb_pass_rounding rounding, nb_pass_inputs inputs)
{
    pass->rounding = rounding;
    pass->rounded = inputs;
}

/* ---- forward ---- */

/* What the block makes goes to `next`. */
static void forward_block(nb_pass *p, size_t layer, float *next)
{
    const nb_network *net = p->network;
    const nb_network_layer *w = &net->layers[layer];
    const kept_layer *l = &p->layers[layer];
    const size_t n = p->sequences->n_tokens;
    norm(p, l->x, w->attn_norm, l->attn_norm);
    round_input(p, p->rounded.qkv, l->attn_norm, net->hparams.n_embd);
    nb_linear_forward(net->context, w->attn_q, l->attn_norm, n, l->q);
    nb_linear_forward(net->context, w->attn_k, l->attn_norm, n, l->k);
    nb_linear_forward(net->context, w->attn_v, l->attn_norm, n, l->v);
    turn(p, net->rope, l->q, l->k);
    nb_attention_forward(&p->attention, p->sequences, l->q, l->k, l->v, l->attended);
    const float *attended = attended_input(p, l, w->attn_output->shape.n_cols);
    nb_linear_forward(net->context, w->attn_output, attended, n, p->d_part);
    add(p, l->x, p->d_part, l->mid);
    norm(p, l->mid, w->ffn_norm, l->ffn_norm);
    round_input(p, p->rounded.gate_up, l->ffn_norm, net->hparams.n_embd);
    nb_linear_forward(net->context, w->ffn_gate, l->ffn_norm, n, l->gate);
    nb_linear_forward(net->context, w->ffn_up, l->ffn_norm, n, l->up);
    rows job = {.layer = l, .width = net->hparams.n_ff};
    over_rows(p, swiglu_rows, &job);
    round_input(p, p->rounded.down, l->act, net->hparams.n_ff);
    nb_linear_forward(net->context, w->ffn_down, l->act, n, p->d_part);
    add(p, l->mid, p->d_part, next);
}

static void begin(nb_pass *p, const nb_sequences *sequences)
{
    p->sequences = sequences;
    for (size_t s = 0; s < sequences->n_sequences; s++)
        for (size_t t = sequences->begins[s]; t < sequences->begins[s + 1]; t++)
            p->positions[t] = t - sequences->begins[s];
}

static void forward(nb_pass *p, const nb_sequences *sequences)
{
    const size_t n_layers = p->network->hparams.n_layers;
    begin(p, sequences);
    rows job = {.weight = p->network->token_embd->values, .out = p->layers[0].x};
    over_rows(p, look_up, &job);
    for (size_t layer = 0; layer < n_layers; layer++)
        forward_block(p, layer, layer + 1 < n_layers ? p->layers[layer + 1].x : p->x);
    norm(p, p->x, p->network->output_norm, p->output_norm);
}

typedef struct losses_job {
    const nb_pass *pass;
    size_t first;
    float weight;
    double *losses;
} losses_job;

static void loss_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const losses_job *job = user;
    const size_t n_vocab = job->pass->network->hparams.n_vocab;
    const nb_sequences *s = job->pass->sequences;
    for (size_t t = begin; t < end; t++) {
        const float weight = s->weights ? s->weights[job->first + t] * job->weight : job->weight;
        job->losses[job->first + t] =
            nb_cross_entropy(job->pass->network->context->kernels, job->pass->logits + t * n_vocab, n_vocab,
                             (size_t)s->targets[job->first + t], weight);
    }
}

/* The head, some tokens at a time: their losses and, if `backward`, the gradients of its weights and its input. */
static void run_head(nb_pass *p, float loss_weight, double *losses, bool backward)
{
    const nb_network *net = p->network;
    const size_t embd = net->hparams.n_embd;
    for (size_t first = 0; first < p->sequences->n_tokens; first += LOGIT_TOKENS) {
        const size_t n = nb_min_size(LOGIT_TOKENS, p->sequences->n_tokens - first);
        const float *x = p->output_norm + first * embd;
        nb_linear_forward(net->context, net->head, x, n, p->logits);
        losses_job job = {p, first, loss_weight, losses};
        nb_parallel(net->context->pool, n, ROWS_PER_PIECE, loss_rows, &job);
        if (!backward)
            continue;
        nb_linear_input_gradient(net->context, net->head, p->logits, n, p->d_norm + first * embd);
        nb_linear_take_input(net->context, x, n, embd, &p->linear);
        nb_linear_weight_gradient(net->context, net->head, p->logits, n, &p->linear);
    }
}

void nb_pass_losses(nb_pass *pass, const nb_sequences *sequences, double *losses)
{
    forward(pass, sequences);
    run_head(pass, 0.0f, losses, false);
}

/* ---- backward ---- */

/* The gradients of up to three matrices that read the same x, and of x itself into d_norm. */
static void linears_back(nb_pass *p, const float *x, size_t n_readers, nb_weight *const *weights,
                         float *const *gradients)
{
    nb_context *context = p->network->context;
    const size_t n = p->sequences->n_tokens;
    nb_linear_take_input(context, x, n, weights[0]->shape.n_cols, &p->linear);
    for (size_t i = 0; i < n_readers; i++) {
        nb_linear_weight_gradient(context, weights[i], gradients[i], n, &p->linear);
        nb_linear_input_gradient(context, weights[i], gradients[i], n, i == 0 ? p->d_norm : p->d_part);
        if (i > 0)
            add(p, p->d_norm, p->d_part, p->d_norm);
    }
}

/* dx is the gradient of the block's output, then of its input. */
static void backward_block(nb_pass *p, size_t layer)
{
    const nb_network *net = p->network;
    const nb_network_layer *w = &net->layers[layer];
    const kept_layer *l = &p->layers[layer];
    const size_t n = p->sequences->n_tokens;

    nb_linear_take_input(net->context, l->act, n, net->hparams.n_ff, &p->linear);
    nb_linear_weight_gradient(net->context, w->ffn_down, p->dx, n, &p->linear);
    nb_linear_input_gradient(net->context, w->ffn_down, p->dx, n, p->d_act);
    rows job = {.layer = l, .in = p->d_act, .width = net->hparams.n_ff};
    over_rows(p, swiglu_back_rows, &job);
    linears_back(p, l->ffn_norm, 2, (nb_weight *const[]){w->ffn_gate, w->ffn_up}, (float *const[]){l->gate, l->up});
    norm_back(p, l->mid, w->ffn_norm, p->d_norm, p->dx);

    const float *attended = attended_input(p, l, w->attn_output->shape.n_cols);
    nb_linear_take_input(net->context, attended, n, w->attn_output->shape.n_cols, &p->linear);
    nb_linear_weight_gradient(net->context, w->attn_output, p->dx, n, &p->linear);
    nb_linear_input_gradient(net->context, w->attn_output, p->dx, n, p->d_attended);
    nb_attention_backward(&p->attention, p->sequences, l->q, l->k, l->v, l->attended, p->d_attended, p->dq, p->dk,
                          p->dv);
    turn(p, net->rope_back, p->dq, p->dk);
    linears_back(p, l->attn_norm, 3, (nb_weight *const[]){w->attn_q, w->attn_k, w->attn_v},
                 (float *const[]){p->dq, p->dk, p->dv});
    norm_back(p, l->x, w->attn_norm, p->d_norm, p->dx);
}

void nb_pass_run(nb_pass *pass, const nb_sequences *sequences, float loss_weight, double *losses)
{
    const nb_network *net = pass->network;
    forward(pass, sequences);
    run_head(pass, loss_weight, losses, true);
    memset(pass->dx, 0, sequences->n_tokens * net->hparams.n_embd * sizeof *pass->dx);
    norm_back(pass, pass->x, net->output_norm, pass->d_norm, pass->dx);
    for (size_t layer = net->hparams.n_layers; layer-- > 0;)
        backward_block(pass, layer);
    rows job = {.in = pass->dx, .out = net->token_embd->gradient};
    job.pass = pass;
    nb_parallel(net->context->pool, net->hparams.n_embd, 2 * LINE_FLOATS, look_up_back, &job);
}

/* ---- one block ---- */

void nb_pass_block_forward(nb_pass *pass, size_t layer, const nb_sequences *sequences, const float *x, float *y)
{
    const size_t n = sequences->n_tokens * pass->network->hparams.n_embd;
    begin(pass, sequences);
    memcpy(pass->layers[layer].x, x, n * sizeof *x);
    forward_block(pass, layer, pass->x);
    memcpy(y, pass->x, n * sizeof *y);
}

void nb_pass_block_backward(nb_pass *pass, size_t layer, const float *dy)
{
    memcpy(pass->dx, dy, pass->sequences->n_tokens * pass->network->hparams.n_embd * sizeof *dy);
    backward_block(pass, layer);
}
