/* Calibration: what flows into a model's matrices while it reads a text, in one pass over the engine. Matrices that
 * multiply the same activations share an entry. Recorded is what the model does before it is quantized, in the basis
 * of the tensors' inputs (a rotation: what comes out of it), so that it serves every way of storing them. */
#ifndef NB_QUANT_CALIBRATION_H
#define NB_QUANT_CALIBRATION_H

#include "model/scope.h"
#include "quant/channel_histogram.h"
#include "quant/observer.h"
#include "quant/quantize.h"
#include "quant/samples.h"

typedef struct nb_calibration_entry {
    size_t tensors[NB_TENSORS_AT_ONCE], n_tensors; /* that read it, in the order of the model's */
    size_t n_cols;
    uint64_t n_tokens;
    float low, high;         /* of everything that was seen */
    double ema_low, ema_high; /* moved by NB_OBSERVER_EMA_SHARE a sequence, from the first one's */
    double width;            /* of a bin: a power of two, as small as holds the largest */
    uint64_t *bins;          /* [NB_OBSERVER_BINS] of |x| */
    float *channel_max;      /* [n_cols]: the largest |x| */
    float *channel_mean;     /* [n_cols]: the mean of |x| */
    float *channel_square;   /* [n_cols]: the mean of x^2 */
    double *channel_ema_low, *channel_ema_high; /* [n_cols]: as the moving averages above */
    nb_channel_histograms *histograms;          /* NULL unless they were asked for */
    float *rows;             /* [n_rows][n_cols]: some tokens, evenly spaced */
    size_t n_rows;
} nb_calibration_entry;

typedef struct nb_calibration {
    nb_calibration_entry *entries; /* in the order in which the model runs through them */
    size_t n_entries;
    char *text;           /* its file's name */
    uint64_t text_digest; /* of its bytes (FNV-1a) */
    size_t n_sequences, n_tokens;
    bool by_channel;       /* each entry has histograms of its channels */
    uint64_t model_digest; /* of the model's shape, transforms and bases: another one needs another calibration */
} nb_calibration;

enum { NB_CALIBRATION_TOKENS = 4096, NB_CALIBRATION_ROWS = 32 };

/* Reads up to max_tokens tokens of the text (0: all of it), in sequences as nb_samples_create makes them.
 * Refused, beside what that refuses: activations that are not finite, with their place. by_channel: with
 * histograms of channels, which take nb_channel_histograms_n_bytes. On cancel nothing is kept. */
nb_status nb_calibration_collect(nb_model *model, const char *text, size_t n_bytes, const char *text_name,
                                 size_t max_tokens, bool by_channel, nb_calibration **out, nb_error *error);
void nb_calibration_destroy(nb_calibration **calibration);
/* NULL if the tensor multiplies nothing (embeddings alone). */
const nb_calibration_entry *nb_calibration_find(const nb_calibration *calibration, size_t tensor);
/* NB_OK if it was made with this model as it is transformed now; else a sentence. */
nb_status nb_calibration_check(const nb_calibration *calibration, const nb_model *model, nb_error *error);
/* "calibration.txt, 4,096 tokens" */
char *nb_calibration_describe(const nb_calibration *calibration, char *text, size_t size);

/* How far a static scale reaches by that observer, for codes up to 127. At least the smallest normal number. */
float nb_calibration_reach(const nb_calibration_entry *entry, nb_observer observer);
/* The same for each channel by itself: reaches[n_cols], at most its largest number, 0 where nothing but zeros
 * were seen. An observer that wants a histogram needs the entry's. */
void nb_calibration_reach_channels(const nb_calibration_entry *entry, nb_observer observer, nb_pool *pool,
                                   float *reaches);

/* ---- activations of tensors that are stored in integers ---- */

typedef enum nb_activation_mode {
    NB_ACTIVATION_BLOCKS,   /* as they come: a scale per 32 of a token */
    NB_ACTIVATION_TOKENS,   /* a scale per token (Yao et al. 2022, ZeroQuant, arXiv:2206.01861, 4.1) */
    NB_ACTIVATION_STATIC,   /* one scale per tensor, from calibration */
    NB_ACTIVATION_CHANNELS, /* one per channel, its reach / 127; the part in which channels differ is folded
                               into the weights' columns before they are rounded: it cannot leave an integer
                               sum */
} nb_activation_mode;

/* NB_OK if the observer finds in the calibration (NULL: one that has yet to be made) all that it needs for
 * the mode's scales; else a sentence. */
nb_status nb_activation_check_observer(nb_activation_mode mode, nb_observer observer,
                                       const nb_calibration *calibration, nb_error *error);

/* A tensor's input with its activations in that mode, in its basis of now; `order` is its column order, or NULL.
 * *out is NULL where nothing needs to be done. `calibration` may be NULL for the dynamic modes. */
nb_status nb_activation_input(const nb_model *model, size_t tensor, nb_activation_mode mode,
                              const nb_calibration *calibration, nb_observer observer, const uint32_t *order,
                              nb_input **out, nb_error *error);
/* nb_model_quantize with the scope's activations in a mode. */
nb_status nb_model_quantize_activated(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer,
                                      const nb_importance *importance, nb_activation_mode mode,
                                      const nb_calibration *calibration, nb_observer observer, nb_tensor_loss *losses,
                                      nb_error *error);

/* Gives the scope's tensors, as they are stored now, another mode: codes stay what they are, but for
 * NB_ACTIVATION_CHANNELS, which rounds again from the source. Refused: tensors that compute in f32, and channels' scales for
 * what a method made. Pushes one undo step. */
nb_status nb_model_activate(nb_model *model, const nb_scope *scope, nb_activation_mode mode,
                            const nb_calibration *calibration, nb_observer observer, nb_error *error);

/* ---- files ---- */

/* A GGUF file of nibble's own kind, with a version and the digests. */
nb_status nb_calibration_save(const nb_calibration *calibration, const nb_model *model, const char *path,
                              nb_error *error);
nb_status nb_calibration_load(const nb_model *model, const char *path, nb_calibration **out, nb_error *error);

#endif
