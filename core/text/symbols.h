/* Byte strings to small numbers, and pairs of numbers to what they merge into: two hash tables with open
 * addressing that are filled once and then only read. */
#ifndef NB_TEXT_SYMBOLS_H
#define NB_TEXT_SYMBOLS_H

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NB_NO_SYMBOL   UINT32_MAX
#define NB_NO_PRIORITY UINT32_MAX

/* Strings that somebody else owns, numbered by their place in his array. */
typedef struct nb_symbol_slot {
    uint32_t hash;
    uint32_t symbol; /* NB_NO_SYMBOL: empty */
} nb_symbol_slot;
typedef struct nb_symbol_table {
    const nb_string *strings; /* to be kept up to date by the owner of the array */
    nb_symbol_slot *slots;
    size_t mask, count;
} nb_symbol_table;

/* False when memory is short; so for every adding function here. */
bool nb_symbol_table_create(nb_symbol_table *table, const nb_string *strings, size_t expected);
void nb_symbol_table_free(nb_symbol_table *table);
/* Makes strings[symbol] known, unless an equal string is known already. */
bool nb_symbol_table_add(nb_symbol_table *table, uint32_t symbol);
uint32_t nb_symbol_table_find(const nb_symbol_table *table, const char *text, size_t n_bytes);

/* What two neighbouring symbols become; the lowest priority merges first. */
typedef struct nb_pair {
    uint32_t left, right;
    uint32_t priority; /* NB_NO_PRIORITY: an empty slot */
    uint32_t merged;
} nb_pair;
typedef struct nb_pair_table {
    nb_pair *slots;
    size_t mask, count;
} nb_pair_table;

bool nb_pair_table_create(nb_pair_table *table, size_t expected);
void nb_pair_table_free(nb_pair_table *table);
/* Keeps what a pair already becomes. */
bool nb_pair_table_add(nb_pair_table *table, nb_pair pair);
/* The pair's slot, or NULL. */
const nb_pair *nb_pair_table_find(const nb_pair_table *table, uint32_t left, uint32_t right);

#endif
