/* AWQ on a model: block by block, its groups one after another, each on what flows through the model as it is before it
 * is quantized. */
#include "quant/awq.h"

#include "base/memory.h"
#include "quant/awq_parts.h"
#include "quant/clip.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t nb_awq_group_count(const nb_model *model)
{
    return NB_AWQ_GROUPS * (size_t)model->hparams.n_layers;
}

/* ---- all blocks ---- */

static nb_status make_room(nb_awq_run *r, nb_error *error)
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
    return nb_session_create_within(r->model, NB_WEIGHTS_ORIGINAL, r->samples->longest, SIZE_MAX / 2, &r->session,
                                    error);
}

static void free_room(nb_awq_run *r)
{
    float *const all[] = {r->x, r->middle, r->end, r->attn_in, r->ffn_in, r->reference, r->output, r->attended,
                          r->unit, r->scaled};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        nb_aligned_free(all[i]);
    free(r->losses);
    nb_acts_buffer_free(&r->acts);
    nb_session_destroy(&r->session);
}

/* ---- ranges ---- */

/* A score is a product of two of these: small errors grow. */
static bool keeps_range(const nb_layer *l, const nb_tensor *t)
{
    return t == l->attn_q || t == l->attn_k || t == l->attn_qkv;
}

static bool is_clipped(const nb_awq_run *r, const nb_awq_part *part, const nb_tensor *t)
{
    return r->in_scope[t - r->model->tensors] && !keeps_range(&r->model->layers[r->layer], t) &&
           !nb_input_has_basis(t->input) && nb_clip_suits(&r->options->quantizer, part->n_cols);
}

static nb_status clip_tensor(nb_awq_run *r, nb_tensor *t, const nb_clip_inputs *inputs, nb_error *error)
{
    const size_t index = (size_t)(t - r->model->tensors);
    const nb_rewrite_part *factors = &r->rewrite.parts[index];
    const nb_transform scaled = {.before = t->transforms, .columns = factors->columns, .rows = factors->rows};
    uint64_t n_clipped;
    nb_status status = nb_clip_quantize(r->model->context, t->name, t->source_format, t->source, &scaled, t->n_rows,
                                        inputs, &r->options->quantizer, &r->made[index], &n_clipped, error);
    r->n_clipped += n_clipped;
    return status;
}

static nb_status clip_part(nb_awq_run *r, const nb_awq_part *part, nb_error *error)
{
    nb_clip_inputs inputs = {0};
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < part->n_readers; i++) {
        nb_tensor *t = part->readers[i];
        if (!is_clipped(r, part, t))
            continue;
        if (!inputs.products) { /* all readers of the part have the same factors */
            const float *columns = r->rewrite.parts[t - r->model->tensors].columns;
            float *inverses = nb_calloc(part->n_cols, sizeof *inverses);
            for (size_t c = 0; inverses && c < part->n_cols; c++)
                inverses[c] = 1.0f / columns[c];
            status = inverses ? nb_clip_inputs_create(r->model->context, &r->options->quantizer, part->x, r->n_tokens,
                                                      part->n_cols, inverses, &inputs, error)
                              : nb_fail(error, NB_ERR_MEMORY, "%s: no memory to search ranges", t->name);
            free(inverses);
        }
        if (status == NB_OK)
            status = clip_tensor(r, t, &inputs, error);
    }
    nb_clip_inputs_free(&inputs);
    return status;
}

/* ---- block by block ---- */

static nb_status search_block(nb_awq_run *r, nb_awq_group *groups, size_t *n_groups, nb_error *error)
{
    nb_awq_part parts[NB_AWQ_GROUPS];
    const size_t n = nb_awq_parts_of(r, parts);
    nb_status status = nb_awq_look(r, error);
    for (size_t i = 0; status == NB_OK && i < n; i++)
        status = nb_awq_search_part(r, &parts[i], &groups[(*n_groups)++], error);
    nb_context *context = r->model->context;
    nb_progress_fn *progress = context->progress;
    context->progress = NULL; /* the blocks are what is counted */
    for (size_t i = 0; status == NB_OK && r->made && i < n; i++)
        status = clip_part(r, &parts[i], error);
    context->progress = progress;
    return status;
}

static nb_status search_blocks(nb_awq_run *r, nb_awq_group *groups, size_t *n_groups, nb_error *error)
{
    nb_status status = NB_OK;
    nb_samples_embed(r->samples, r->session, r->x);
    for (r->layer = 0; status == NB_OK && r->layer < r->model->hparams.n_layers; r->layer++) {
        status = search_block(r, groups, n_groups, error);
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
        in_scope[scope->tensors[i]] = true;
        status = nb_change_check_matrix(model, &model->tensors[scope->tensors[i]], error);
    }
    return status == NB_OK ? nb_model_check(model, error) : status;
}

static nb_status search(nb_awq_run *r, nb_awq_group *groups, size_t *n_groups, nb_error *error)
{
    nb_status status = make_room(r, error);
    if (status == NB_OK)
        status = search_blocks(r, groups, n_groups, error);
    free_room(r);
    if (status == NB_OK && *n_groups == 0)
        status = nb_fail(error, NB_ERR_ARGUMENT, "no matrix of the blocks is among these: there is nothing to scale");
    return status;
}

/* Everything up to the change itself. */
static nb_status find(nb_awq_run *r, const nb_scope *scope, bool *in_scope, nb_awq_group *groups, size_t *n_groups,
                      nb_error *error)
{
    char stored[80], what[160];
    *n_groups = 0;
    nb_status status = check(r->model, scope, r->options, in_scope, error);
    if (status != NB_OK)
        return status;
    snprintf(what, sizeof what, "awq-scale for %.60s, %s",
             nb_quantizer_describe(&r->options->quantizer, stored, sizeof stored), nb_samples_describe(r->samples).text);
    status = nb_rewrite_begin(&r->rewrite, r->model, what, error);
    r->rewrite.anew = r->made ? in_scope : NULL;
    return status == NB_OK ? search(r, groups, n_groups, error) : status;
}

nb_status nb_model_awq_scale(nb_model *model, const nb_scope *scope, const nb_samples *samples,
                             const nb_awq_options *options, nb_awq_group *groups, size_t *n_groups, nb_error *error)
{
    bool *in_scope = nb_calloc(model->n_tensors, sizeof *in_scope);
    nb_awq_run r = {.model = model, .samples = samples, .options = options, .in_scope = in_scope};
    nb_status status = in_scope ? find(&r, scope, in_scope, groups, n_groups, error)
                                : nb_fail(error, NB_ERR_MEMORY, "no memory to transform the model");
    if (status == NB_OK)
        status = nb_rewrite_apply(&r.rewrite, error);
    nb_rewrite_free(&r.rewrite);
    free(in_scope);
    return status;
}

/* ---- storing ---- */

static nb_status store_tensor(nb_awq_run *r, nb_transaction *tx, nb_change change, const char *provenance,
                              nb_tensor_loss *loss, nb_error *error)
{
    nb_packed **made = &r->made[change.tensor - r->model->tensors];
    nb_status status;
    change.quantizer = r->options->quantizer;
    change.importance = NULL;
    change.measured = true;
    change.loss = loss;
    status = nb_change_keep_basis(r->model, change.tensor, &change.input, error);
    if (status == NB_OK && *made)
        status = nb_transaction_make(tx, made, provenance, &change.made, error);
    return status == NB_OK ? nb_transaction_replace(tx, &change, error) : status;
}

/* The tensors that the rewrite changes, as they are or quantized, and those of the scope that it leaves alone. */
static nb_status store(nb_awq_run *r, const nb_scope *scope, const char *provenance, nb_tensor_loss *losses,
                       nb_error *error)
{
    nb_transaction *tx = NULL;
    nb_status status = nb_rewrite_finish(&r->rewrite, error);
    if (status == NB_OK)
        status = nb_transaction_begin(r->model, "storing", r->rewrite.n_changes + scope->count, &tx, error);
    if (status != NB_OK)
        return status;
    nb_transaction_keep(tx, &r->rewrite.made);
    for (size_t i = 0; status == NB_OK && i < r->rewrite.n_changes; i++)
        if (!r->in_scope[r->rewrite.changes[i].tensor - r->model->tensors])
            status = nb_transaction_replace(tx, &r->rewrite.changes[i], error);
    for (size_t i = 0, c = 0; status == NB_OK && i < scope->count; i++) {
        nb_tensor *t = &r->model->tensors[scope->tensors[i]];
        while (c < r->rewrite.n_changes && r->rewrite.changes[c].tensor < t)
            c++;
        const bool rewritten = c < r->rewrite.n_changes && r->rewrite.changes[c].tensor == t;
        const nb_change as_it_is = {.tensor = t, .transforms = t->transforms};
        status = store_tensor(r, tx, rewritten ? r->rewrite.changes[c] : as_it_is, provenance,
                              losses ? &losses[i] : NULL, error);
    }
    return nb_transaction_end(&tx, status);
}

nb_status nb_model_awq(nb_model *model, const nb_scope *scope, const nb_samples *samples, const nb_awq_options *options,
                       const char *text_name, nb_awq_group *groups, size_t *n_groups, uint64_t *n_clipped,
                       nb_tensor_loss *losses, nb_error *error)
{
    bool *in_scope = nb_calloc(model->n_tensors, sizeof *in_scope);
    nb_awq_run r = {.model = model, .samples = samples, .options = options, .in_scope = in_scope,
                    .made = nb_calloc(model->n_tensors, sizeof *r.made)};
    char *provenance = nb_format_text("AWQ from %s (%s)", text_name, nb_samples_describe(samples).text);
    nb_status status = in_scope && r.made && provenance
                           ? find(&r, scope, in_scope, groups, n_groups, error)
                           : nb_fail(error, NB_ERR_MEMORY, "no memory to quantize %zu tensors", scope->count);
    if (status == NB_OK)
        status = store(&r, scope, provenance, losses, error);
    *n_clipped = r.n_clipped;
    for (size_t i = 0; r.made && i < model->n_tensors; i++)
        nb_packed_destroy(&r.made[i]);
    nb_rewrite_free(&r.rewrite);
    free(r.made);
    free(in_scope);
    free(provenance);
    return status;
}
