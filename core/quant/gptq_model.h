/* GPTQ of a model's tensors, in the order in which activations flow: block by block, each fed with what the blocks
 * before it make of the text now that they are quantized, and within a block matrix by matrix ("true sequential"). */
#ifndef NB_QUANT_GPTQ_MODEL_H
#define NB_QUANT_GPTQ_MODEL_H

#include "quant/gptq.h"
#include "quant/quantize.h"
#include "quant/samples.h"

typedef struct nb_gptq_report {
    nb_gptq_result result;
    double damp;     /* what the layer took */
    size_t n_dead;   /* columns that nothing flowed into */
    uint64_t n_tokens;
} nb_gptq_report;

typedef struct nb_gptq_run {
    nb_gptq_options options;
    const nb_samples *samples;
    const char *text_name; /* for the provenance: "calibration.txt" */
    bool trace;
} nb_gptq_run;

/* Stores the scope's tensors as `quantizer` says, as one undo step; on failure or cancel the model is as it was.
 * losses and reports, one per tensor of the scope, may be NULL; reports are to be freed on success. Refused: tensors
 * whose rows are looked up and never multiplied. Holds the hidden state of every token, and of one layer at a time a
 * Hessian and its factors. */
nb_status nb_model_gptq(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer, const nb_gptq_run *run,
                        nb_tensor_loss *losses, nb_gptq_report *reports, nb_error *error);
void nb_gptq_reports_free(nb_gptq_report *reports, size_t n);

#endif
