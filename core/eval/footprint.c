#include "eval/footprint.h"

#include "formats/tables.h"

#include <math.h>
#include <string.h>

#define LLAMA   "Touvron et al. 2023, LLaMA, table 2"
#define LLAMA_2 "Touvron et al. 2023, Llama 2, table 1"
#define LLAMA_3 "Llama team 2024, The Llama 3 Herd of Models, table 3"

/*   layers  wide  heads  kv  head     ff   tokens  context  tied   gated */
static const nb_shape shapes[] = {
    {"gpt2", "Radford et al. 2019, table 2", 12, 768, 12, 12, 64, 3072, 50257, 1024, true, false},
    {"tinyllama-1.1b", "Zhang et al. 2024, TinyLlama, table 2", 22, 2048, 32, 4, 64, 5632, 32000, 2048, false,
     true},
    {"gpt2-xl", "Radford et al. 2019, table 2", 48, 1600, 25, 25, 64, 6400, 50257, 1024, true, false},
    {"llama-7b", LLAMA, 32, 4096, 32, 32, 128, 11008, 32000, 2048, false, true},
    {"mistral-7b", "Jiang et al. 2023, Mistral 7B, table 1", 32, 4096, 32, 8, 128, 14336, 32000, 8192, false,
     true},
    {"llama-3-8b", LLAMA_3, 32, 4096, 32, 8, 128, 14336, 128256, 8192, false, true},
    {"llama-13b", LLAMA, 40, 5120, 40, 40, 128, 13824, 32000, 2048, false, true},
    {"llama-65b", LLAMA, 80, 8192, 64, 64, 128, 22016, 32000, 2048, false, true},
    {"llama-2-70b", LLAMA_2, 80, 8192, 64, 8, 128, 28672, 32000, 4096, false, true},
    {"llama-3-70b", LLAMA_3, 80, 8192, 64, 8, 128, 28672, 128256, 8192, false, true},
    {"gpt-3", "Brown et al. 2020, table 2.1", 96, 12288, 96, 96, 128, 49152, 50257, 2048, true, false},
};

size_t nb_shape_count(void)
{
    return sizeof shapes / sizeof *shapes;
}

const nb_shape *nb_shape_at(size_t index)
{
    return &shapes[index];
}

const nb_shape *nb_shape_find(const char *name)
{
    for (size_t i = 0; i < nb_shape_count(); i++) {
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i];
    }
    return NULL;
}

nb_parameters nb_shape_parameters(const nb_shape *shape)
{
    const uint64_t h = shape->n_embd, ff = shape->n_ff, q = shape->n_heads * shape->head_size,
                   kv = shape->n_kv_heads * shape->head_size, attention = 2 * h * q + 2 * h * kv;
    nb_parameters p = {.embeddings = shape->n_vocab * h, .head = h};
    if (shape->gated) {
        p.layer = attention + 3 * h * ff + 2 * h;
    } else {
        p.embeddings += shape->n_ctx * h;
        p.layer =
            attention + 2 * h * ff /* matrices */ + q + 2 * kv + h + ff + h /* biases */ + 4 * h /* norms */;
        p.head = 2 * h;
    }
    p.head += shape->tied ? 0 : shape->n_vocab * h;
    p.total = p.embeddings + shape->n_layers * p.layer + p.head;
    return p;
}

void nb_shape_of_model(const nb_model *model, nb_shape *shape, nb_parameters *parameters)
{
    const nb_hparams *hp = nb_model_hparams(model);
    *shape = (nb_shape){.name = nb_model_name(model),
                        .n_layers = hp->n_layers,
                        .n_embd = hp->n_embd,
                        .n_heads = hp->n_heads,
                        .n_kv_heads = hp->n_kv_heads,
                        .head_size = hp->head_size,
                        .n_ff = hp->n_ff,
                        .n_vocab = hp->n_vocab,
                        .n_ctx = hp->n_ctx,
                        .tied = hp->tied};
    *parameters = (nb_parameters){0};
    uint64_t in_layers = 0;
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const nb_tensor *tensor = nb_model_tensor(model, i);
        const uint64_t n = (uint64_t)tensor->n_rows * tensor->n_cols;
        if (hp->tied && tensor->role == NB_ROLE_HEAD)
            continue; /* the embeddings by another name */
        parameters->total += n;
        if (tensor->layer >= 0)
            in_layers += n;
        else if (tensor->role == NB_ROLE_EMBEDDINGS)
            parameters->embeddings += n;
    }
    parameters->layer = hp->n_layers ? in_layers / hp->n_layers : 0;
    parameters->head = parameters->total - in_layers - parameters->embeddings;
}

double nb_format_bits_per_weight(const nb_format *format)
{
    if (format->kind == NB_FORMAT_TABLE) /* with an f32 for each of the usual groups */
        return format->bits + 32.0 / NB_TABLE_GROUP;
    return format->kind == NB_FORMAT_BLOCK ? 8.0 * format->block_bytes / format->block_size : format->bits;
}

double nb_weight_bytes(uint64_t n_parameters, double bits_per_weight)
{
    return ceil((double)n_parameters * bits_per_weight / 8);
}

double nb_cache_bytes_per_token(const nb_shape *shape, double bits_per_number)
{
    return ceil(2.0 * (double)shape->n_layers * (double)shape->n_kv_heads * (double)shape->head_size *
                bits_per_number / 8);
}

/* ---- training ---- */

static const nb_optimizer_row optimizers[] = {
    {"adamw", "16-bit weights and gradients, f32 copy, mean and variance",
     "Rajbhandari et al. 2020, ZeRO, section 3.1", 2, 2, 12},
    {"adamw-f32", "everything in f32", "Kingma and Ba 2015; Loshchilov and Hutter 2019", 4, 4, 8},
    {"adamw-8bit", "as adamw, with mean and variance in 8 bits", "Dettmers et al. 2022, 8-bit Optimizers", 2,
     2, 6},
    {"sgd", "16-bit weights and gradients, f32 copy, no memory of earlier steps", "Micikevicius et al. 2018",
     2, 2, 4},
};

size_t nb_optimizer_count(void)
{
    return sizeof optimizers / sizeof *optimizers;
}

const nb_optimizer_row *nb_optimizer_at(size_t index)
{
    return &optimizers[index];
}

const nb_optimizer_row *nb_optimizer_find(const char *name)
{
    for (size_t i = 0; i < nb_optimizer_count(); i++) {
        if (strcmp(optimizers[i].name, name) == 0)
            return &optimizers[i];
    }
    return NULL;
}

double nb_activation_bytes(const nb_shape *shape, double sequence, double batch, nb_recompute recompute)
{
    const double sbh = sequence * batch * (double)shape->n_embd, layers = (double)shape->n_layers;
    switch (recompute) {
    case NB_RECOMPUTE_NOTHING:
        return layers * (34 * sbh + 5 * (double)shape->n_heads * sequence * sequence * batch);
    case NB_RECOMPUTE_ATTENTION:
        return layers * 34 * sbh;
    case NB_RECOMPUTE_LAYERS:
        break;
    }
    return layers * 2 * sbh;
}

nb_training_bytes nb_training_memory(uint64_t n_parameters, const nb_training *training)
{
    const nb_optimizer_row *row = training->optimizer;
    const double n = (double)n_parameters, devices = training->n_devices;
    nb_training_bytes bytes = {
        .weights = ceil(row->weights * n / (training->zero >= 3 ? devices : 1)),
        .gradients = ceil(row->gradients * n / (training->zero >= 2 ? devices : 1)),
        .state = ceil(row->state * n / (training->zero >= 1 ? devices : 1)),
    };
    bytes.device = bytes.weights;
    if (training->offload)
        bytes.host = (row->gradients + row->state) * n; /* split or not, the computer holds one copy */
    else
        bytes.device += bytes.gradients + bytes.state;
    return bytes;
}

/* ---- placing a model ---- */

size_t nb_place(const double *pieces, size_t n_pieces, nb_device *devices, size_t n_devices)
{
    size_t at = 0;
    for (size_t d = 0; d < n_devices; d++) {
        nb_device *device = &devices[d];
        device->first = at;
        device->used = 0;
        while (at < n_pieces && device->used + pieces[at] <= device->bytes)
            device->used += pieces[at++];
        device->n = at - device->first;
    }
    return at;
}
