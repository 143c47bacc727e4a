/* What a budget measures, and whether it was measured before. */
#include "base/digest.h"
#include "base/memory.h"
#include "repl/commands/budget.h"
#include "repl/language/quantizer_words.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CANDIDATES = 24, N_TOKENS = 1024 };

static const char DEFAULT_CANDIDATES[] =
    "int2 zeropoint/group:128, int3 absmax/group:32, int4 absmax/group:32, int5 absmax/group:32, "
    "int6 absmax/group:32, int3 zeropoint/group:128, int4 zeropoint/group:128, int5 zeropoint/group:128, "
    "q2_k, q3_k, iq4_xs, q4_k, q5_k, q6_k, q8_0";

/* What is to be measured. */
typedef struct question {
    nb_scope scope;
    nb_quantizer candidates[MOST_CANDIDATES];
    size_t n_candidates;
    nb_mapping *text;
    size_t n_tokens;
} question;

/* "q4_k, int4 absmax/group:32, nf4, double" */
static nb_status read_candidates(question *q, const char *list, nb_error *error)
{
    char item[NB_LISTED_BYTES];
    nb_status status = nb_quantizer_list_next(&list, item, error);
    while (status == NB_OK && *item && q->n_candidates < MOST_CANDIDATES) {
        status = nb_quantizer_of_words(item, &q->candidates[q->n_candidates++], error);
        if (status == NB_OK)
            status = nb_quantizer_list_next(&list, item, error);
    }
    if (status == NB_OK && (*item || q->n_candidates == 0))
        status =
            nb_fail(error, NB_ERR_ARGUMENT,
                    "--of lists 1 to %d formats, parted by commas, such as \"q3_k, q4_k\"", MOST_CANDIDATES);
    return status;
}

static nb_status read_question(nb_notebook *notebook, const nb_call *call, question *q, nb_error *error)
{
    const char *scope = call->n_arguments ? call->arguments[0] : "all";
    q->n_tokens = (size_t)nb_call_number(call, "tokens", N_TOKENS);
    nb_status status = read_candidates(q, nb_call_text(call, "of", DEFAULT_CANDIDATES), error);
    if (status == NB_OK)
        status = nb_scope_resolve(notebook->model, scope, false, &q->scope, error);
    if (status == NB_OK)
        status =
            nb_notebook_calibration_text(notebook, nb_call_text(call, "text", NULL), "budget", &q->text, error);
    return status;
}

static uint64_t add_importance(uint64_t digest, const nb_importance *importance)
{
    for (size_t i = 0; importance && i < importance->n_entries; i++) {
        const nb_importance_entry *e = &importance->entries[i];
        digest = nb_digest_add(digest, e->name, strlen(e->name));
        digest = nb_digest_add(digest, e->squares, e->n_cols * sizeof *e->squares);
        digest = nb_digest_add(digest, &e->n_tokens, sizeof e->n_tokens);
    }
    return digest;
}

static uint64_t digest_of(const nb_notebook *notebook, const question *q)
{
    uint64_t digest = nb_model_digest(notebook->model);
    digest = nb_digest_add(digest, q->scope.tensors, q->scope.count * sizeof *q->scope.tensors);
    for (size_t i = 0; i < q->n_candidates; i++) {
        char name[96];
        nb_quantizer_describe(&q->candidates[i], name, sizeof name);
        digest = nb_digest_add(digest, name, strlen(name) + 1);
    }
    digest = add_importance(digest, notebook->importance);
    digest = nb_digest_add(digest, q->text->data, q->text->size);
    return nb_digest_add(digest, &q->n_tokens, sizeof q->n_tokens);
}

static nb_status measure(nb_notebook *notebook, const question *q, nb_measured_budget *out, nb_error *error)
{
    nb_status status =
        nb_budget_measure(notebook->model, &q->scope, q->candidates, q->n_candidates, notebook->importance,
                          (const char *)q->text->data, q->text->size, q->n_tokens, &out->budget, error);
    if (status == NB_OK)
        status = nb_mapping_check(q->text, error);
    if (status != NB_OK)
        return status;
    const char *name = nb_file_name(q->text->path);
    nb_draft_add_written(&out->samples, (nb_string){name, strlen(name)});
    nb_draft_addf(&out->samples, ", %s tokens", nb_count(out->budget.n_tokens).text);
    return NB_OK;
}

nb_status nb_budget_of_call(nb_notebook *notebook, const nb_call *call, const nb_measured_budget **out, bool *again,
                            nb_error *error)
{
    question q = {0};
    nb_measured_budget *made = NULL;
    nb_status status = read_question(notebook, call, &q, error);
    const uint64_t digest = status == NB_OK ? digest_of(notebook, &q) : 0;
    *again = status == NB_OK && notebook->budget && notebook->budget->digest == digest;
    if (status == NB_OK && !*again) {
        made = nb_calloc(1, sizeof *made);
        status = made ? measure(notebook, &q, made, error)
                      : nb_fail(error, NB_ERR_MEMORY, "no memory for what is measured");
    }
    nb_mapping_close(&q.text);
    nb_scope_free(&q.scope);
    if (status != NB_OK) {
        nb_measured_budget_destroy(&made);
        return status;
    }
    if (made) {
        made->digest = digest;
        nb_measured_budget_destroy(&notebook->budget);
        notebook->budget = made;
    }
    *out = notebook->budget;
    return NB_OK;
}

void nb_measured_budget_destroy(nb_measured_budget **measured)
{
    if (!*measured)
        return;
    nb_budget_free(&(*measured)->budget);
    nb_draft_free(&(*measured)->samples);
    free(*measured);
    *measured = NULL;
}
