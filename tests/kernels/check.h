/* The kernel check: every kernel of every level of this CPU against the definition, bit for bit, in the
 * manner of dav1d's checkasm. Linked with libnibble alone, so that it runs under an emulator too.
 *
 * A check function goes like this:
 *
 *   if (!nb_check_begin(check, "add"))
 *       return;
 *   for (...) {
 *       nb_check_case(check, "n %zu", n);
 *       float *y = nb_check_input(check, n * sizeof(float));
 *       nb_check_fill(check, y, n, NB_FILL_ANY);
 *       nb_check_output x = nb_check_output_create(check, n * sizeof(float));
 *       check->reference->add(x.want, y, n);
 *       check->level->add(x.got, y, n);
 *       nb_check_same(check, &x);
 *   }
 *   nb_check_end(check); */
#ifndef NB_TESTS_KERNELS_CHECK_H
#define NB_TESTS_KERNELS_CHECK_H

#include "base/random.h"
#include "kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nb_check {
    const nb_kernels *reference; /* the definition */
    const nb_kernels *level;     /* what is checked or timed */
    nb_random random;            /* restarted by nb_check_begin: each level sees the same inputs */
    uint64_t seed;
    const char *only_kernel; /* --kernel, or NULL */
    bool quiet;              /* a self-test: failures are wanted, and not printed */
    const char *kernel;      /* the one under way */
    char what[160];          /* the case under way */
    size_t n_cases, n_bad;   /* of this kernel */
    size_t n_kernels, n_bad_kernels, n_all_cases;
    uint64_t digest;       /* of all that the definition put out */
    uint64_t block_digest; /* of the block formats, apart */
    size_t n_buffers;
    bool at_front; /* this case's buffers begin behind an unreadable page instead of ending before one */
} nb_check;

/* Starts a kernel; false if the command line asked for others. --kernel takes whole names and their
 * beginnings, so name variants "matmul_int4", "matmul_int4_f32". */
bool nb_check_begin(nb_check *check, const char *kernel);
/* Prints the line of the kernel. */
void nb_check_end(nb_check *check);
/* Starts a case, described for whoever reads about its failure, and forgets the buffers of the last one. */
void nb_check_case(nb_check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Calls `check_one`, which checks one kernel; if that touches an unreadable page, the kernel is reported as
 * bad. */
void nb_check_run(nb_check *check, void (*check_one)(nb_check *check));

/* A buffer that ends (or begins) at an unreadable page, filled with a pattern. It is aligned to 64 if
 * n_bytes is a multiple of 64, else as n_bytes is. At most 24 to a case, 16 MiB each. */
void *nb_check_input(nb_check *check, size_t n_bytes);

/* Two such buffers with the same content, for the definition and for the kernel. */
typedef struct nb_check_output {
    void *want, *got;
    size_t n_bytes;
} nb_check_output;
nb_check_output nb_check_output_create(nb_check *check, size_t n_bytes);
/* Counts the case as bad, and says where, unless both are equal, what nobody should have touched included. */
void nb_check_same(nb_check *check, const nb_check_output *output);
/* The same for a result that is returned. */
void nb_check_same_f32(nb_check *check, float want, float got);
void nb_check_same_f64(nb_check *check, double want, double got);

typedef enum nb_fill {
    NB_FILL_PLAIN,   /* uniform in [-4, 4) */
    NB_FILL_WIDE,    /* any sign, exponent and fraction of a finite number */
    NB_FILL_TINY,    /* subnormals and zeros of either sign */
    NB_FILL_HUGE,    /* within a few binades of overflow */
    NB_FILL_ZERO,    /* zeros of either sign */
    NB_FILL_SPECIAL, /* plain ones, strewn with NaNs of every kind, infinities, zeros and subnormals */
    NB_FILL_COUNT,
} nb_fill;
void nb_check_fill(nb_check *check, float *x, size_t n, nb_fill fill);
/* One of them, each equally often. */
nb_fill nb_check_any_fill(nb_check *check);
size_t nb_check_below(nb_check *check, size_t n); /* random, in [0, n) */

/* Seconds that one call of `run` takes: the best of several rounds of at least a few milliseconds. */
double nb_check_time(void (*run)(void *job), void *job);

/* x: [n_tokens][stride], for a matmul; quantized by `kernels` if `int8`. And one token of it. */
nb_acts nb_check_acts(nb_check *check, const nb_kernels *kernels, const float *x, size_t n_tokens, size_t n_cols,
                      size_t stride, bool int8);
nb_acts nb_check_one_token(const nb_acts *acts, size_t token);

/* check_ops.c */
void nb_check_ops(nb_check *check);
void nb_bench_ops(nb_check *check);
/* True if deliberately broken kernels were caught. */
bool nb_check_catches_broken_ops(nb_check *check);
/* check_matmul.c: each matmul, quantize_acts and quantize_acts_scaled */
void nb_check_matmul(nb_check *check);
bool nb_check_catches_broken_matmul(nb_check *check);
/* check_blocks.c: the matmuls of block formats */
void nb_check_blocks(nb_check *check);
bool nb_check_catches_broken_blocks(nb_check *check);
/* check_bench.c: GB/s and Gop/s of check->level's matmuls beside limits measured in the same run */
void nb_bench_matmul(nb_check *check);

#endif
