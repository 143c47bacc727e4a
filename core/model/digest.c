/* What tells models apart, and one from what it was before a transform. */
#include "base/digest.h"

#include "model/state.h"

#include <string.h>

static uint64_t add_tensor(uint64_t digest, const nb_tensor *t)
{
    const uint64_t shape[2] = {t->n_rows, t->n_cols};
    digest = nb_digest_add(digest, t->name, strlen(t->name));
    digest = nb_digest_add(digest, shape, sizeof shape);
    if (t->source && t->source_format)
        digest = nb_digest_add(digest, t->source, nb_format_row_bytes(t->source_format, t->n_cols));
    for (const nb_transform *transform = t->transforms; transform; transform = transform->before) {
        digest = nb_digest_add(digest, transform->what, strlen(transform->what));
        if (transform->columns)
            digest = nb_digest_add(digest, transform->columns, t->n_cols * sizeof(float));
    }
    const nb_input *input = t->input;
    if (input && input->divisors)
        digest = nb_digest_add(digest, input->divisors, t->n_cols * sizeof(float));
    if (input && input->hadamard) {
        digest = nb_digest_add(digest, &input->hadamard, sizeof input->hadamard);
        digest = nb_digest_add(digest, input->signs, t->n_cols * sizeof(float));
    }
    return digest;
}

uint64_t nb_model_digest(const nb_model *model)
{
    uint64_t digest = NB_DIGEST_OF_NOTHING;
    for (size_t i = 0; i < model->n_tensors; i++)
        digest = add_tensor(digest, &model->tensors[i]);
    return digest;
}
