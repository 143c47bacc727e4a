/* Number formats: one descriptor each, in one table that help, completion, tests and benchmarks
 * walk. And the quantizer: everything that says how a tensor's numbers are stored. */
#ifndef NB_FORMATS_FORMAT_H
#define NB_FORMATS_FORMAT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum nb_format_kind {
    NB_FORMAT_FLOAT, /* each number alone: f32 f16 bf16 f8_e4m3 f8_e5m2 */
    NB_FORMAT_INT,   /* codes with scales beside them: int2 ... int8 */
    NB_FORMAT_BLOCK, /* blocks of codes and scales, as GGUF files hold them: q4_0 ... */
    NB_FORMAT_TABLE, /* codes of 16 reals, with scales beside them: nf4 fp4 */
} nb_format_kind;

/* A run of bytes in a BLOCK format's block. */
typedef struct nb_block_field {
    const char *name, *what; /* "d", "scale of the block, f16" */
    unsigned offset, n_bytes;
} nb_block_field;

typedef struct nb_format {
    const char *name;
    const char *summary; /* one line */
    const char *source;  /* the standard or paper */
    const char *lesson;  /* stem of the lesson that teaches it */
    nb_format_kind kind;
    unsigned bits;          /* of one code; BLOCK: of what is looked up or multiplied */
    unsigned exponent_bits; /* FLOAT */
    unsigned mantissa_bits; /* FLOAT */
    int bias;               /* FLOAT: exponent bias */
    double max_finite;      /* FLOAT: largest finite value; INT: largest signed code */
    double min_normal;      /* FLOAT */
    double min_subnormal;   /* FLOAT */
    bool has_infinity;      /* FLOAT */
    bool needs_scale;       /* a per-tensor f32 scale maps the largest value to max_finite (f8) */
    int gguf_type;          /* ggml type id of the plain format, -1 if GGUF has none */
    float max_rel_rmse;     /* N(0,1) weights, INT absmax/group:32: a test holds the format to it */
    /* FLOAT and TABLE; INT is the quantizer's business. One number to its code and back: to nearest, ties to
     * even; f8 saturates. Codes sit in the low bits. */
    uint32_t (*encode)(float value);
    float (*decode)(uint32_t code);
    /* The same for `n` numbers in memory, in little-endian codes of bits/8 bytes, at any address. */
    void (*encode_row)(const float *values, size_t n, void *codes);
    void (*decode_row)(const void *codes, size_t n, float *values); /* BLOCK too */

    /* BLOCK only: n is a multiple of block_size everywhere. */
    uint32_t block_size, block_bytes;
    const nb_block_field *fields; /* by offset; together they are the whole block */
    size_t n_fields;
    /* A row as ggml's reference quantizes it, byte for byte. importance: [n] weights of the columns' errors, or
     * NULL. The numbers are finite. */
    void (*encode_blocks)(const float *values, size_t n, const float *importance, void *blocks);

    /* TABLE only: [16], within [-1, 1]; encode and decode go between codes and them. */
    const float *levels;
} nb_format;

/* Bytes of n numbers of a FLOAT or BLOCK format; of BLOCK n is a multiple of block_size. */
size_t nb_format_row_bytes(const nb_format *format, size_t n);

extern const nb_format nb_format_f32, nb_format_f16, nb_format_bf16, nb_format_f8_e4m3, nb_format_f8_e5m2;

size_t nb_format_count(void);
const nb_format *nb_format_at(size_t index);
/* NULL if there is none. Accepts "int4". */
const nb_format *nb_format_find(const char *name);
const nb_format *nb_format_int(unsigned bits); /* 2..8, else NULL */

/* f16 and bf16 conversions, used everywhere. To nearest, ties to even; NaN stays a NaN, a quiet one with its
 * leading payload bits. */
uint16_t nb_f16_from_f32(float value);
float nb_f32_from_f16(uint16_t code);
uint16_t nb_bf16_from_f32(float value);
float nb_f32_from_bf16(uint16_t code);
/* Decodes `n` numbers of a FLOAT format from memory (little-endian codes of bits/8 bytes). */
void nb_format_decode_row(const nb_format *format, const void *codes, size_t n, float *out);
void nb_format_encode_row(const nb_format *format, const float *values, size_t n, void *codes);

/* ---- the quantizer ---- */

typedef enum nb_scheme { NB_SCHEME_NONE, NB_SCHEME_ABSMAX, NB_SCHEME_ZEROPOINT } nb_scheme;
typedef enum nb_granularity { NB_PER_TENSOR, NB_PER_CHANNEL, NB_PER_GROUP } nb_granularity;
/* What the matmul multiplies the weights with. */
typedef enum nb_activations {
    NB_ACTIVATIONS_DEFAULT, /* f32 for FLOAT and TABLE formats, int8 for the others */
    NB_ACTIVATIONS_F32,
    NB_ACTIVATIONS_INT8, /* on the fly, one scale per 32 of a token */
} nb_activations;
typedef enum nb_convention {
    NB_CONVENTION_DIVIDE,  /* s = max / 127, q = round(x / s); a zero point's range holds 0 */
    NB_CONVENTION_LABONNE, /* s = 127 / max, q = round(x * s); a zero point's range is just min..max */
} nb_convention;

/* Weights are coded as u = q + 2^(bits-1), so that codes are unsigned in memory:
 *   absmax     q in [-(2^(bits-1)-1), 2^(bits-1)-1],   w = s * q
 *   zeropoint  q in [-2^(bits-1), 2^(bits-1)-1],       w = s * (q - z), z an integer in that range
 * One (s, z) per tensor, per row, or per `group` consecutive columns of a row.
 * TABLE: w = level * s, one s per group, its largest size, in f32. */
typedef struct nb_quantizer {
    const nb_format *format;
    nb_scheme scheme;           /* NONE unless INT */
    nb_granularity granularity; /* PER_TENSOR unless INT or TABLE */
    uint32_t group;             /* columns to a group: a multiple of 32; 0 unless NB_PER_GROUP, as TABLE always is */
    bool scales_f32;            /* INT: scales are f16 unless this is set */
    nb_activations activations;
    nb_convention convention;
    bool double_scales; /* TABLE: the scales are quantized too, to 8 bits */
} nb_quantizer;

/* A format with what is usual: int absmax/tensor, a table's groups of 64. */
nb_quantizer nb_quantizer_of(const nb_format *format);
/* Whether its weights multiply int8 activations. */
bool nb_quantizer_wants_int8(const nb_quantizer *quantizer);
/* NB_OK, or a sentence: bits out of range, a group that is no multiple of 32, a scheme for a FLOAT
 * format, activations that the format cannot have. */
nb_status nb_quantizer_check(const nb_quantizer *quantizer, nb_error *error);
/* Whether both store and compute the same: the default activations equal the ones that they stand for. */
bool nb_quantizer_equal(const nb_quantizer *a, const nb_quantizer *b);
/* Bits that one weight of a [rows, cols] matrix takes: codes, scales, zero points (a byte each), f8's one
 * scale. Not what packing pads; nb_packed's n_bytes has that too. */
double nb_quantizer_bits_per_weight(const nb_quantizer *quantizer, size_t n_rows, size_t n_cols);
/* "int4 absmax/group:32", "int8 zeropoint/channel, f32 activations, f32 scales, labonne", "f16", "nf4 group:64,
 * double". At most 80
 * bytes. What is the default goes unsaid. */
char *nb_quantizer_describe(const nb_quantizer *quantizer, char *text, size_t size);
/* The reverse of describe; also how a saved file names it. What it makes passes nb_quantizer_check. */
nb_status nb_quantizer_parse(const char *text, nb_quantizer *out, nb_error *error);

#endif
