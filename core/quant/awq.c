/* AWQ on a model: block by block, its groups one after another, each on what flows through the model as it is before it
 * is quantized. Candidates run in the engine: a matrix is quantized with its columns multiplied, put in the original's
 * place for as long as the part of the block that shows its loss takes, and taken out again. */
#include "quant/awq.h"

#include "base/memory.h"
#include "model/session.h"
#include "quant/rewrite.h"
#include "quant/rtn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = 4, MOST_READERS = 3, MOST_WANTED = 4 };

/* Matrices that share an input, and what makes it. */
typedef struct group {
    nb_tensor *readers[MOST_READERS];
    size_t n_readers;
    nb_tensor *norm, *norm_bias;         /* that make the input; NULL: a matrix does */
    nb_tensor *previous, *previous_bias; /* from row first_row on */
    size_t first_row;
    size_t n_cols, n_scales; /* columns may share factors */
    size_t per_head, heads_per_kv; /* of attn_output: how */
    const float *x;                /* [n_tokens][n_cols]: the input */
    const float *before, *after;   /* [n_tokens][n_embd]: of the part of the block that shows the loss; NULL: the output alone */
    nb_status (*part)(struct nb_session *session, size_t layer, nb_error *error);
} group;

/* Where an activation that is wanted goes. */
typedef struct wanted {
    const nb_tensor *reader;
    float *out;
} wanted;

typedef struct run {
    nb_model *model;
    const nb_samples *samples;
    const nb_awq_options *options;
    const bool *in_scope; /* [n_tensors] */
    nb_session *session;
    size_t n_tokens, n_embd, layer;
    float *x, *middle, *end;          /* [n_tokens][n_embd]: the stream before, inside and after the block */
    float *attn_in, *ffn_in;          /* [n_tokens][n_embd]: what the norms make */
    float *attended, *unit;           /* [n_tokens][n_q], [n_tokens][n_ff] */
    float *reference;                 /* [n_tokens][n_embd]: output of the group's matrix, where that shows the loss */
    float *scaled, *output;           /* [n_tokens][widest]; [n_tokens][n_embd] */
    double *losses;                   /* [n_tokens] */
    wanted wanted[MOST_WANTED];
    size_t n_wanted, first_token;     /* of the sequence that is read */
    nb_acts_buffer acts;
    nb_rewrite rewrite;
} run;

/* ---- the groups of a block ---- */

static nb_status attend(nb_session *session, size_t layer, nb_error *error)
{
    return nb_block_attend(session, layer, NB_LOGITS_ALL, error);
}

static group attention_group(const run *r, const nb_layer *l)
{
    group g = {.norm = l->attn_norm, .norm_bias = l->attn_norm_bias, .n_cols = r->n_embd, .n_scales = r->n_embd,
               .x = r->attn_in, .before = r->x, .after = r->middle, .part = attend};
    nb_tensor *const apart[] = {l->attn_q, l->attn_k, l->attn_v};
    g.n_readers = l->attn_qkv ? 1 : 3;
    memcpy(g.readers, l->attn_qkv ? &l->attn_qkv : apart, g.n_readers * sizeof *g.readers);
    return g;
}

static group output_group(const run *r, const nb_layer *l)
{
    const nb_hparams *h = &r->model->hparams;
    const size_t n_q = (size_t)h->n_heads * h->head_size, n_kv = (size_t)h->n_kv_heads * h->head_size;
    return (group){.readers = {l->attn_output},
                   .n_readers = 1,
                   .previous = l->attn_qkv ? l->attn_qkv : l->attn_v,
                   .previous_bias = l->attn_qkv ? l->attn_qkv_bias : l->attn_v_bias,
                   .first_row = l->attn_qkv ? n_q + n_kv : 0,
                   .n_cols = n_q,
                   .n_scales = n_kv,
                   .per_head = h->head_size,
                   .heads_per_kv = h->n_heads / h->n_kv_heads,
                   .x = r->attended};
}

static group gate_up_group(const run *r, const nb_layer *l)
{
    group g = {.norm = l->ffn_norm, .norm_bias = l->ffn_norm_bias, .n_cols = r->n_embd, .n_scales = r->n_embd,
               .x = r->ffn_in, .before = r->middle, .after = r->end, .part = nb_block_feed_forward};
    g.readers[g.n_readers++] = l->ffn_up;
    if (l->ffn_gate)
        g.readers[g.n_readers++] = l->ffn_gate;
    return g;
}

static group down_group(const run *r, const nb_layer *l)
{
    const size_t n_ff = r->model->hparams.n_ff;
    const bool together = l->ffn_up->n_rows != n_ff;
    group g = {.readers = {l->ffn_down}, .n_readers = 1, .previous = l->ffn_up, .previous_bias = l->ffn_up_bias,
               .first_row = together ? n_ff : 0, .n_cols = n_ff, .n_scales = n_ff, .x = r->unit};
    if (!l->ffn_gate && !together)
        g.n_readers = 0; /* a nonlinear function lies between */
    return g;
}

static size_t groups_of(const run *r, group *groups)
{
    const nb_layer *l = &r->model->layers[r->layer];
    const group all[GROUPS] = {attention_group(r, l), output_group(r, l), gate_up_group(r, l), down_group(r, l)};
    size_t n = 0;
    for (size_t i = 0; i < GROUPS; i++) {
        bool wanted = false;
        for (size_t k = 0; k < all[i].n_readers; k++)
            wanted = wanted || r->in_scope[all[i].readers[k] - r->model->tensors];
        if (wanted)
            groups[n++] = all[i];
    }
    return n;
}

size_t nb_awq_group_count(const nb_model *model)
{
    return GROUPS * (size_t)model->hparams.n_layers;
}

/* Which of the factors column c has. */
static size_t scale_of(const group *g, size_t c)
{
    return g->per_head ? c / g->per_head / g->heads_per_kv * g->per_head + c % g->per_head : c;
}

/* ---- what flows through a block ---- */

static void look(void *observer, nb_tensor *const *tensors, size_t n_tensors, const nb_acts *x)
{
    const run *r = observer;
    for (size_t i = 0; i < n_tensors; i++)
        for (size_t w = 0; w < r->n_wanted; w++)
            for (size_t t = 0; tensors[i] == r->wanted[w].reader && t < x->n_tokens; t++)
                memcpy(r->wanted[w].out + (r->first_token + t) * x->n_cols, x->f32 + t * x->f32_stride,
                       x->n_cols * sizeof *x->f32);
}

/* Runs a part of the block on from[n_tokens][n_embd], sequence by sequence, into to[n_tokens][n_embd]. */
static nb_status run_part(run *r, nb_status (*part)(nb_session *, size_t, nb_error *), const float *from, float *to,
                          nb_error *error)
{
    const size_t length = r->samples->length, n = length * r->n_embd;
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < r->samples->n_sequences; i++) {
        r->first_token = i * length;
        nb_session_put_rows(r->session, from + i * n, length);
        status = part(r->session, r->layer, error);
        if (status == NB_OK)
            memcpy(to + i * n, r->session->x, n * sizeof *to);
        if (status == NB_OK)
            status = nb_context_tick(r->model->context, "searching factors", r->layer, r->model->hparams.n_layers,
                                     "blocks", error);
    }
    return status;
}

static nb_status look_at_block(run *r, nb_error *error)
{
    const nb_layer *l = &r->model->layers[r->layer];
    const wanted all[MOST_WANTED] = {{l->attn_qkv ? l->attn_qkv : l->attn_q, r->attn_in},
                                     {l->attn_output, r->attended},
                                     {l->ffn_up, r->ffn_in},
                                     {l->ffn_down, r->unit}};
    memcpy(r->wanted, all, sizeof all);
    r->n_wanted = MOST_WANTED;
    r->model->observe = look;
    r->model->observer = r;
    nb_status status = run_part(r, attend, r->x, r->middle, error);
    if (status == NB_OK)
        status = run_part(r, nb_block_feed_forward, r->middle, r->end, error);
    r->model->observe = NULL;
    r->model->observer = NULL;
    return status;
}

/* ---- the loss of a group ---- */

typedef struct candidate {
    nb_tensor kept; /* what stands in the tensor's place when it is over */
    nb_packed *packed;
} candidate;

/* The group as the search sees it. */
typedef struct problem {
    run *run;
    const group *group;
    float *columns, *norm, *norm_bias; /* factors of all columns; the norm divided by them */
    candidate candidates[MOST_READERS];
} problem;

typedef struct loss_job {
    const float *a, *b;
    size_t n;
    double *losses;
} loss_job;

static void lose_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const loss_job *job = user;
    for (size_t t = begin; t < end; t++) {
        double sum = 0;
        for (size_t i = 0; i < job->n; i++) {
            const double d = (double)job->a[t * job->n + i] - (double)job->b[t * job->n + i];
            sum += d * d;
        }
        job->losses[t] = sum;
    }
}

/* Mean square of a - b, [n_tokens][n_embd]; tokens are summed in their order. */
static double mean_square(run *r, const float *a, const float *b)
{
    loss_job job = {a, b, r->n_embd, r->losses};
    nb_parallel(r->model->context->pool, r->n_tokens, 8, lose_rows, &job);
    double sum = 0;
    for (size_t t = 0; t < r->n_tokens; t++)
        sum += r->losses[t];
    return sum / (double)(r->n_tokens * r->n_embd);
}

/* Quantizes the readers of the scope with their columns multiplied, in the originals' places. */
static nb_status put_candidates(problem *p, nb_error *error)
{
    nb_status status = NB_OK;
    nb_context *context = p->run->model->context;
    nb_progress_fn *progress = context->progress;
    context->progress = NULL; /* candidates are too many to speak of each */
    for (size_t i = 0; status == NB_OK && i < p->group->n_readers; i++) {
        nb_tensor *t = p->group->readers[i];
        const bool rounded = p->run->in_scope[t - p->run->model->tensors];
        const nb_transform scaled = {.before = t->transforms, .columns = p->columns};
        const nb_source source = {.format = t->source_format,
                                  .data = t->source,
                                  .n_rows = t->n_rows,
                                  .n_cols = t->n_cols,
                                  .transforms = &scaled};
        const nb_quantizer quantizer = rounded ? p->run->options->quantizer : nb_quantizer_of_source(t->source_format);
        candidate *c = &p->candidates[i];
        status = nb_rtn_quantize(context, t->name, &source, &quantizer, &c->packed, NULL, error);
        if (status != NB_OK)
            break;
        c->kept = *t;
        t->packed = c->packed;
        t->quantizer = quantizer;
        t->changed = false;
        t->simulated = NULL;
        t->made = NULL;
    }
    context->progress = progress;
    return status;
}

static void take_candidates(problem *p)
{
    for (size_t i = 0; i < p->group->n_readers; i++) {
        candidate *c = &p->candidates[i];
        if (c->kept.name)
            *p->group->readers[i] = c->kept;
        nb_packed_destroy(&c->packed);
        c->kept = (nb_tensor){0};
    }
}

/* Puts the norm, divided by the factors, in its place, or back again. */
static void exchange(nb_tensor *vector, float **with)
{
    float *now = vector->vector;
    vector->vector = *with;
    *with = now;
}

static void exchange_norm(problem *p)
{
    exchange(p->group->norm, &p->norm);
    if (p->group->norm_bias)
        exchange(p->group->norm_bias, &p->norm_bias);
}

static nb_status run_with_norm(problem *p, nb_error *error)
{
    const group *g = p->group;
    for (size_t c = 0; c < g->n_cols; c++) {
        p->norm[c] = g->norm->vector[c] * (1.0f / p->columns[c]);
        if (g->norm_bias)
            p->norm_bias[c] = g->norm_bias->vector[c] * (1.0f / p->columns[c]);
    }
    exchange_norm(p);
    nb_status status = run_part(p->run, g->part, g->before, p->run->output, error);
    exchange_norm(p);
    return status;
}

/* y = W x of the group's matrix as it stands now. */
static nb_status multiply(run *r, const group *g, const float *x, float *y, nb_error *error)
{
    nb_tensor *t = g->readers[0];
    nb_status status = nb_acts_prepare(r->model->context, &r->acts, x, r->n_tokens, g->n_cols, g->n_cols,
                                       nb_tensor_wants_int8(t, NB_WEIGHTS_ORIGINAL), error);
    if (status == NB_OK)
        status = nb_tensor_matmul(r->model, t, NB_WEIGHTS_ORIGINAL, &r->acts.acts, y, t->n_rows, error);
    return status == NB_OK ? nb_context_tick(r->model->context, "searching factors", r->layer,
                                             r->model->hparams.n_layers, "blocks", error)
                           : status;
}

static nb_status run_alone(problem *p, nb_error *error)
{
    run *r = p->run;
    const group *g = p->group;
    for (size_t t = 0; t < r->n_tokens; t++)
        for (size_t c = 0; c < g->n_cols; c++)
            r->scaled[t * g->n_cols + c] = g->x[t * g->n_cols + c] * (1.0f / p->columns[c]);
    return multiply(r, g, r->scaled, r->output, error);
}

static nb_status lose(void *user, const float *scales, double *loss, nb_error *error)
{
    problem *p = user;
    run *r = p->run;
    for (size_t c = 0; c < p->group->n_cols; c++)
        p->columns[c] = scales[scale_of(p->group, c)];
    nb_status status = put_candidates(p, error);
    if (status == NB_OK)
        status = (p->group->norm ? run_with_norm : run_alone)(p, error);
    take_candidates(p);
    if (status == NB_OK)
        *loss = mean_square(r, p->group->norm ? p->group->after : r->reference, r->output);
    return status;
}

/* ---- what the search starts from ---- */

/* Mean magnitude of the activations that each factor stands for. */
static void average_input(const run *r, const group *g, double *sums, float *means)
{
    memset(sums, 0, g->n_scales * sizeof *sums);
    for (size_t t = 0; t < r->n_tokens; t++)
        for (size_t c = 0; c < g->n_cols; c++)
            sums[scale_of(g, c)] += fabs((double)g->x[t * g->n_cols + c]);
    for (size_t i = 0; i < g->n_scales; i++)
        means[i] = (float)(sums[i] / (double)(r->n_tokens * (g->n_cols / g->n_scales)));
}

/* Mean over rows of |w| over the largest of its group, of all readers. `row` has n_cols floats. */
static void average_weights(const run *r, const group *g, float *row, double *sums, float *means)
{
    const nb_quantizer *q = &r->options->quantizer;
    const size_t width = q->format->kind == NB_FORMAT_BLOCK     ? q->format->block_size
                         : q->granularity == NB_PER_GROUP ? q->group
                                                          : g->n_cols;
    size_t n_rows = 0;
    memset(sums, 0, g->n_scales * sizeof *sums);
    for (size_t i = 0; i < g->n_readers; i++) {
        for (size_t k = 0; k < g->readers[i]->n_rows; k++) {
            nb_tensor_source_row(g->readers[i], k, row);
            for (size_t first = 0; first < g->n_cols; first += width) {
                const size_t end = nb_min_size(first + width, g->n_cols);
                float largest = 0;
                for (size_t c = first; c < end; c++)
                    largest = fabsf(row[c]) > largest ? fabsf(row[c]) : largest;
                for (size_t c = first; c < end; c++)
                    sums[scale_of(g, c)] += fabs((double)row[c]) / ((double)largest + 1e-6);
            }
        }
        n_rows += g->readers[i]->n_rows;
    }
    for (size_t i = 0; i < g->n_scales; i++)
        means[i] = (float)(sums[i] / (double)(n_rows * (g->n_cols / g->n_scales)));
}

/* ---- where the factors go ---- */

static nb_status fold(run *r, const group *g, const float *scales, const float *columns, float *inverses,
                      nb_error *error)
{
    nb_rewrite *w = &r->rewrite;
    nb_status status = NB_OK;
    for (size_t i = 0; i < g->n_scales; i++)
        inverses[i] = 1.0f / scales[i];
    if (g->norm) {
        nb_norm norm = {.tensor = g->norm, .bias = g->norm_bias, .n_readers = g->n_readers};
        memcpy(norm.readers, g->readers, sizeof norm.readers);
        return nb_rewrite_norm(w, &norm, inverses, columns, error);
    }
    status = nb_rewrite_rows(w, g->previous, g->first_row, g->n_scales, inverses, error);
    if (status == NB_OK && g->previous_bias)
        status = nb_rewrite_rows(w, g->previous_bias, g->first_row, g->n_scales, inverses, error);
    return status == NB_OK ? nb_rewrite_columns(w, g->readers[0], columns, error) : status;
}

/* All of them are read anew, those too that the scope leaves out. */
static nb_status check_group(const run *r, const group *g, nb_error *error)
{
    nb_status status = nb_change_check_source(r->model, g->norm ? g->norm : g->previous, error);
    for (size_t i = 0; status == NB_OK && i < g->n_readers; i++)
        status = nb_change_check_source(r->model, g->readers[i], error);
    return status;
}

static nb_status search_group(run *r, const group *g, nb_awq_group *out, nb_error *error)
{
    problem p = {.run = r, .group = g};
    const size_t n = g->n_cols;
    nb_status status = check_group(r, g, error);
    if (status != NB_OK)
        return status;
    float *block = nb_calloc(7 * n, sizeof *block);
    double *sums = nb_calloc(g->n_scales, sizeof *sums);
    status = block && sums ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory to search factors");
    if (status == NB_OK) {
        float *x_mean = block, *w_mean = block + n, *scales = block + 2 * n, *inverses = block + 3 * n;
        p.columns = block + 4 * n, p.norm = block + 5 * n, p.norm_bias = block + 6 * n;
        average_input(r, g, sums, x_mean);
        if (r->options->duo)
            average_weights(r, g, p.columns, sums, w_mean);
        if (!g->norm)
            status = multiply(r, g, g->x, r->reference, error);
        if (status == NB_OK)
            status = nb_awq_search(x_mean, r->options->duo ? w_mean : NULL, g->n_scales, lose, &p, scales,
                                   &out->choice, error);
        for (size_t c = 0; c < n; c++)
            p.columns[c] = scales[scale_of(g, c)];
        if (status == NB_OK)
            status = fold(r, g, scales, p.columns, inverses, error);
    }
    out->tensor = (size_t)(g->readers[0] - r->model->tensors);
    out->n_tensors = g->n_readers;
    free(block);
    free(sums);
    return status;
}

/* ---- all blocks ---- */

static nb_status make_room(run *r, nb_error *error)
{
    const nb_hparams *h = &r->model->hparams;
    const size_t n_q = (size_t)h->n_heads * h->head_size, widest = nb_max_size(n_q, h->n_ff);
    float **const streams[] = {&r->x, &r->middle, &r->end, &r->attn_in, &r->ffn_in, &r->reference, &r->output};
    bool made = true;
    r->n_tokens = nb_samples_n_tokens(r->samples);
    r->n_embd = h->n_embd;
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        made = (*streams[i] = nb_aligned_calloc(r->n_tokens, r->n_embd * sizeof(float))) && made;
    made = (r->attended = nb_aligned_calloc(r->n_tokens, n_q * sizeof(float))) && made;
    made = (r->unit = nb_aligned_calloc(r->n_tokens, h->n_ff * sizeof(float))) && made;
    made = (r->scaled = nb_aligned_calloc(r->n_tokens, widest * sizeof(float))) && made;
    made = (r->losses = nb_calloc(r->n_tokens, sizeof *r->losses)) && made;
    if (!made)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to look at %zu tokens; give --tokens fewer", r->n_tokens);
    return nb_session_create_within(r->model, NB_WEIGHTS_ORIGINAL, r->samples->length, SIZE_MAX / 2, &r->session,
                                    error);
}

static void free_room(run *r)
{
    float *const all[] = {r->x, r->middle, r->end, r->attn_in, r->ffn_in, r->reference, r->output, r->attended,
                          r->unit, r->scaled};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        nb_aligned_free(all[i]);
    free(r->losses);
    nb_acts_buffer_free(&r->acts);
    nb_session_destroy(&r->session);
}

static nb_status search_blocks(run *r, nb_awq_group *groups, size_t *n_groups, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < r->samples->n_sequences; i++)
        nb_session_embed(r->session, r->samples->tokens + i * r->samples->length, r->samples->length,
                         r->x + i * r->samples->length * r->n_embd);
    for (r->layer = 0; status == NB_OK && r->layer < r->model->hparams.n_layers; r->layer++) {
        group mine[GROUPS];
        const size_t n = groups_of(r, mine);
        status = look_at_block(r, error);
        for (size_t i = 0; status == NB_OK && i < n; i++)
            status = search_group(r, &mine[i], &groups[(*n_groups)++], error);
        float *next = r->end;
        r->end = r->x;
        r->x = next;
    }
    return status;
}

static nb_status check(const nb_model *model, const nb_scope *scope, const nb_awq_options *options, bool *in_scope,
                       nb_error *error)
{
    nb_status status = nb_quantizer_check(&options->quantizer, error);
    for (size_t i = 0; status == NB_OK && i < scope->count; i++) {
        const nb_tensor *t = &model->tensors[scope->tensors[i]];
        in_scope[scope->tensors[i]] = true;
        if (!t->is_vector)
            status = nb_change_check_source(model, t, error);
    }
    return status == NB_OK ? nb_model_check(model, error) : status;
}

static nb_status search(run *r, nb_awq_group *groups, size_t *n_groups, nb_error *error)
{
    nb_status status = make_room(r, error);
    if (status == NB_OK)
        status = search_blocks(r, groups, n_groups, error);
    free_room(r);
    if (status == NB_OK && *n_groups == 0)
        status = nb_fail(error, NB_ERR_ARGUMENT, "no matrix of the blocks is among these: there is nothing to scale");
    return status;
}

nb_status nb_model_awq_scale(nb_model *model, const nb_scope *scope, const nb_samples *samples,
                             const nb_awq_options *options, nb_awq_group *groups, size_t *n_groups, nb_error *error)
{
    char stored[80], what[96];
    *n_groups = 0;
    snprintf(what, sizeof what, "awq-scale for %s, %zu tokens",
             nb_quantizer_describe(&options->quantizer, stored, sizeof stored), nb_samples_n_tokens(samples));
    bool *in_scope = nb_calloc(model->n_tensors, sizeof *in_scope);
    run r = {.model = model, .samples = samples, .options = options, .in_scope = in_scope};
    nb_status status = in_scope ? check(model, scope, options, in_scope, error)
                                : nb_fail(error, NB_ERR_MEMORY, "no memory to transform the model");
    if (status == NB_OK)
        status = nb_rewrite_begin(&r.rewrite, model, what, error);
    if (status == NB_OK)
        status = search(&r, groups, n_groups, error);
    if (status == NB_OK)
        status = nb_rewrite_apply(&r.rewrite, error);
    nb_rewrite_free(&r.rewrite);
    free(in_scope);
    return status;
}
