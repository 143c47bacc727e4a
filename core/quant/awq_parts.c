/* The groups of a block and what each loses. Candidates run in the engine: a matrix is quantized with its columns
 * multiplied, put in the original's place for as long as the part of the block that shows its loss takes, and taken out
 * again. */
#include "quant/awq_parts.h"

#include "base/memory.h"
#include "quant/rtn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the groups of a block ---- */

static nb_status attend(nb_session *session, size_t layer, nb_error *error)
{
    return nb_block_attend(session, layer, NB_LOGITS_ALL, error);
}

static nb_awq_part attention_group(const nb_awq_run *r, const nb_layer *l)
{
    nb_awq_part g = {.norm = l->attn_norm, .norm_bias = l->attn_norm_bias, .n_cols = r->n_embd, .n_scales = r->n_embd,
               .x = r->attn_in, .before = r->x, .after = r->middle, .part = attend};
    nb_tensor *const apart[] = {l->attn_q, l->attn_k, l->attn_v};
    g.n_readers = l->attn_qkv ? 1 : 3;
    memcpy(g.readers, l->attn_qkv ? &l->attn_qkv : apart, g.n_readers * sizeof *g.readers);
    return g;
}

static nb_awq_part output_group(const nb_awq_run *r, const nb_layer *l)
{
    const nb_hparams *h = &r->model->hparams;
    const size_t n_q = (size_t)h->n_heads * h->head_size, n_kv = (size_t)h->n_kv_heads * h->head_size;
    return (nb_awq_part){.readers = {l->attn_output},
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

static nb_awq_part gate_up_group(const nb_awq_run *r, const nb_layer *l)
{
    nb_awq_part g = {.norm = l->ffn_norm, .norm_bias = l->ffn_norm_bias, .n_cols = r->n_embd, .n_scales = r->n_embd,
               .x = r->ffn_in, .before = r->middle, .after = r->end, .part = nb_block_feed_forward};
    g.readers[g.n_readers++] = l->ffn_up;
    if (l->ffn_gate)
        g.readers[g.n_readers++] = l->ffn_gate;
    return g;
}

static nb_awq_part down_group(const nb_awq_run *r, const nb_layer *l)
{
    const size_t n_ff = r->model->hparams.n_ff;
    const bool together = l->ffn_up->n_rows != n_ff;
    nb_awq_part g = {.readers = {l->ffn_down}, .n_readers = 1, .previous = l->ffn_up, .previous_bias = l->ffn_up_bias,
               .first_row = together ? n_ff : 0, .n_cols = n_ff, .n_scales = n_ff, .x = r->unit};
    if (!l->ffn_gate && !together)
        g.n_readers = 0; /* a nonlinear function lies between */
    return g;
}

size_t nb_awq_parts_of(const nb_awq_run *r, nb_awq_part *groups)
{
    const nb_layer *l = &r->model->layers[r->layer];
    const nb_awq_part all[NB_AWQ_GROUPS] = {attention_group(r, l), output_group(r, l), gate_up_group(r, l), down_group(r, l)};
    size_t n = 0;
    for (size_t i = 0; i < NB_AWQ_GROUPS; i++) {
        bool wanted = false;
        for (size_t k = 0; k < all[i].n_readers; k++)
            wanted = wanted || r->in_scope[all[i].readers[k] - r->model->tensors];
        if (wanted)
            groups[n++] = all[i];
    }
    return n;
}

/* Which of the factors column c has. */
static size_t scale_of(const nb_awq_part *g, size_t c)
{
    return g->per_head ? c / g->per_head / g->heads_per_kv * g->per_head + c % g->per_head : c;
}

/* ---- what flows through a block ---- */

static void look(void *observer, nb_tensor *const *tensors, size_t n_tensors, const nb_acts *x)
{
    const nb_awq_run *r = observer;
    for (size_t i = 0; i < n_tensors; i++)
        for (size_t w = 0; w < r->n_wanted; w++)
            for (size_t t = 0; tensors[i] == r->wanted[w].reader && t < x->n_tokens; t++)
                memcpy(r->wanted[w].out + (r->first_token + t) * x->n_cols, x->f32 + t * x->f32_stride,
                       x->n_cols * sizeof *x->f32);
}

/* Runs a part of the block on from[n_tokens][n_embd], sequence by sequence, into to[n_tokens][n_embd]. */
static nb_status run_part(nb_awq_run *r, nb_status (*part)(nb_session *, size_t, nb_error *), const float *from, float *to,
                          nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < r->samples->n_sequences; i++) {
        r->first_token = r->samples->begins[i];
        const size_t length = nb_samples_length(r->samples, i), at = r->first_token * r->n_embd;
        nb_session_put_rows(r->session, from + at, length);
        status = part(r->session, r->layer, error);
        if (status == NB_OK)
            memcpy(to + at, r->session->x, length * r->n_embd * sizeof *to);
        if (status == NB_OK)
            status = nb_context_tick(r->model->context, "searching factors", r->layer, r->model->hparams.n_layers,
                                     "blocks", error);
    }
    return status;
}

nb_status nb_awq_look(nb_awq_run *r, nb_error *error)
{
    const nb_layer *l = &r->model->layers[r->layer];
    const nb_awq_wanted all[NB_AWQ_WANTED] = {{l->attn_qkv ? l->attn_qkv : l->attn_q, r->attn_in},
                                     {l->attn_output, r->attended},
                                     {l->ffn_up, r->ffn_in},
                                     {l->ffn_down, r->unit}};
    memcpy(r->wanted, all, sizeof all);
    r->n_wanted = NB_AWQ_WANTED;
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
    nb_awq_run *run;
    const nb_awq_part *group;
    float *columns, *norm, *norm_bias; /* factors of all columns; the norm divided by them */
    candidate candidates[NB_AWQ_READERS];
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
static double mean_square(nb_awq_run *r, const float *a, const float *b)
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
        const nb_input *basis = NULL;
        status = nb_change_keep_basis(p->run->model, t, &basis, error);
        if (status != NB_OK)
            break;
        const nb_source source = {.format = t->source_format,
                                  .data = t->source,
                                  .n_rows = t->n_rows,
                                  .n_cols = t->n_cols,
                                  .transforms = &scaled,
                                  .input = basis};
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
        t->input = basis;
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
    const nb_awq_part *g = p->group;
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
static nb_status multiply(nb_awq_run *r, const nb_awq_part *g, const float *x, float *y, nb_error *error)
{
    nb_tensor *t = g->readers[0];
    nb_status status = nb_acts_prepare(r->model->context, &r->acts, x, r->n_tokens, g->n_cols, g->n_cols,
                                       nb_tensor_wants_int8_x(t, NB_WEIGHTS_ORIGINAL), error);
    if (status == NB_OK)
        status = nb_tensor_matmul(r->model, t, NB_WEIGHTS_ORIGINAL, &r->acts.acts, y, t->n_rows, error);
    return status == NB_OK ? nb_context_tick(r->model->context, "searching factors", r->layer,
                                             r->model->hparams.n_layers, "blocks", error)
                           : status;
}

static nb_status run_alone(problem *p, nb_error *error)
{
    nb_awq_run *r = p->run;
    const nb_awq_part *g = p->group;
    for (size_t t = 0; t < r->n_tokens; t++)
        for (size_t c = 0; c < g->n_cols; c++)
            r->scaled[t * g->n_cols + c] = g->x[t * g->n_cols + c] * (1.0f / p->columns[c]);
    return multiply(r, g, r->scaled, r->output, error);
}

static nb_status lose(void *user, const float *scales, double *loss, nb_error *error)
{
    problem *p = user;
    nb_awq_run *r = p->run;
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
static void average_input(const nb_awq_run *r, const nb_awq_part *g, double *sums, float *means)
{
    memset(sums, 0, g->n_scales * sizeof *sums);
    for (size_t t = 0; t < r->n_tokens; t++)
        for (size_t c = 0; c < g->n_cols; c++)
            sums[scale_of(g, c)] += fabs((double)g->x[t * g->n_cols + c]);
    for (size_t i = 0; i < g->n_scales; i++)
        means[i] = (float)(sums[i] / (double)(r->n_tokens * (g->n_cols / g->n_scales)));
}

/* Mean over rows of |w| over the largest of its group, of all readers. `row` has n_cols floats. */
static void average_weights(const nb_awq_run *r, const nb_awq_part *g, float *row, double *sums, float *means)
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

static nb_status fold(nb_awq_run *r, const nb_awq_part *g, const float *scales, const float *columns, float *inverses,
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
static nb_status check_group(const nb_awq_run *r, const nb_awq_part *g, nb_error *error)
{
    nb_status status = nb_change_check_source(r->model, g->norm ? g->norm : g->previous, error);
    for (size_t i = 0; status == NB_OK && i < g->n_readers; i++)
        status = nb_change_check_source(r->model, g->readers[i], error);
    return status;
}

nb_status nb_awq_search_part(nb_awq_run *r, const nb_awq_part *g, nb_awq_group *out, nb_error *error)
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
