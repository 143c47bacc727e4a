/* What expressions give: numbers, texts, arrays, functions, lists. Values are cheap to copy: what they hold
 * is counted and never changed while somebody else holds it. */
#ifndef NB_REPL_LANGUAGE_VALUE_H
#define NB_REPL_LANGUAGE_VALUE_H

#include "array/array.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum nb_value_kind {
    NB_VALUE_NONE, /* what a function without `return` gives */
    NB_VALUE_NUMBER,
    NB_VALUE_TEXT,
    NB_VALUE_ARRAY, /* of one dimension at least: one without is a number */
    NB_VALUE_FUNCTION,
    NB_VALUE_LIST, /* several results of a function */
} nb_value_kind;

typedef struct nb_text {
    size_t n_references, n_bytes;
    char bytes[]; /* terminated */
} nb_text;

struct nb_list;
struct nb_function;

typedef struct nb_value {
    nb_value_kind kind;
    bool truth; /* ARRAY: of comparisons, so that x[...] picks by it */
    union {
        double number;
        nb_text *text;
        nb_array *array;
        struct nb_function *function;
        struct nb_list *list;
    };
} nb_value;

typedef struct nb_list {
    size_t n_references, count;
    nb_value values[];
} nb_list;

static inline nb_value nb_value_number(double number)
{
    return (nb_value){.kind = NB_VALUE_NUMBER, .number = number};
}
/* Takes over the array's reference. An array without dimensions becomes a number. */
nb_value nb_value_array(nb_array *array);
nb_status nb_value_text(const char *text, size_t n_bytes, nb_value *out, nb_error *error);
/* Takes over the references of `values`, on failure too. */
nb_status nb_value_list(const nb_value *values, size_t count, nb_value *out, nb_error *error);

/* One more holder: a copy of the value. */
nb_value nb_value_retain(nb_value value);
/* Gives up what is held; the value is NONE afterwards. */
void nb_value_release(nb_value *value);

/* "a number", "text", "a 3 x 4 array", "a function", "2 values", "nothing". */
typedef struct nb_kind_text {
    char text[128];
} nb_kind_text;
nb_kind_text nb_value_describe(const nb_value *value);

/* Whether the value holds as a condition: a number that is not 0, an array without zeros (and not empty). */
bool nb_value_holds(const nb_value *value);
/* A number, or an array of one: its number. */
bool nb_value_is_number(const nb_value *value, double *number);
/* Number or array for the array operations; false for everything else. */
bool nb_value_operand(const nb_value *value, nb_operand *operand);

#endif
