#include "text/symbols.h"

#include "base/memory.h"

#include <stdlib.h>

/* 2^64 divided by the golden ratio: multiplying by it spreads a key over the high bits. */
#define SPREAD 0x9E3779B97F4A7C15u

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * SPREAD;
    return hash ^ (hash >> 32);
}

static uint32_t hash_bytes(const char *text, size_t n_bytes)
{
    uint64_t hash = n_bytes * SPREAD;
    uint64_t word = 0;
    for (; n_bytes >= 8; text += 8, n_bytes -= 8) {
        memcpy(&word, text, 8);
        hash = mix(hash, word);
    }
    word = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        word = word << 8 | (unsigned char)text[i];
    }
    return (uint32_t)mix(hash, word);
}

/* A table is full when three quarters of it are. */
static bool is_full(size_t count, size_t mask)
{
    return count >= (mask + 1) / 4 * 3;
}

/* The smallest power of two that `count` does not fill; 0 if there is none. */
static size_t slots_for(size_t count)
{
    size_t n_slots = 16;
    while (is_full(count, n_slots - 1)) {
        if (n_slots > SIZE_MAX / 4) {
            return 0;
        }
        n_slots *= 2;
    }
    return n_slots;
}

bool nb_symbol_table_create(nb_symbol_table *table, const nb_string *strings, size_t expected)
{
    size_t n_slots = slots_for(expected);
    *table = (nb_symbol_table){.strings = strings};
    if (n_slots == 0 || !(table->slots = nb_calloc(n_slots, sizeof *table->slots))) {
        return false;
    }
    table->mask = n_slots - 1;
    for (size_t i = 0; i < n_slots; i++) {
        table->slots[i].symbol = NB_NO_SYMBOL;
    }
    return true;
}

void nb_symbol_table_free(nb_symbol_table *table)
{
    free(table->slots);
    *table = (nb_symbol_table){0};
}

static bool is_text_of(const nb_symbol_table *table, uint32_t symbol, const char *text, size_t n_bytes)
{
    nb_string known = table->strings[symbol];
    return known.n_bytes == n_bytes && (n_bytes == 0 || memcmp(known.text, text, n_bytes) == 0);
}

/* The slot of a text, or the empty one where it belongs. */
static nb_symbol_slot *symbol_slot(const nb_symbol_table *table, const char *text, size_t n_bytes,
                                   uint32_t hash)
{
    for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
        nb_symbol_slot *slot = &table->slots[i];
        if (slot->symbol == NB_NO_SYMBOL ||
            (slot->hash == hash && is_text_of(table, slot->symbol, text, n_bytes))) {
            return slot;
        }
    }
}

static bool symbol_table_grow(nb_symbol_table *table)
{
    nb_symbol_table larger;
    if (!nb_symbol_table_create(&larger, table->strings, table->mask + 1)) {
        return false;
    }
    for (size_t i = 0; i <= table->mask; i++) {
        const nb_symbol_slot *slot = &table->slots[i];
        if (slot->symbol != NB_NO_SYMBOL) {
            nb_string text = table->strings[slot->symbol];
            *symbol_slot(&larger, text.text, text.n_bytes, slot->hash) = *slot;
        }
    }
    larger.count = table->count;
    free(table->slots);
    *table = larger;
    return true;
}

bool nb_symbol_table_add(nb_symbol_table *table, uint32_t symbol)
{
    if (is_full(table->count, table->mask) && !symbol_table_grow(table)) {
        return false;
    }
    nb_string text = table->strings[symbol];
    uint32_t hash = hash_bytes(text.text, text.n_bytes);
    nb_symbol_slot *slot = symbol_slot(table, text.text, text.n_bytes, hash);
    if (slot->symbol == NB_NO_SYMBOL) {
        *slot = (nb_symbol_slot){hash, symbol};
        table->count++;
    }
    return true;
}

uint32_t nb_symbol_table_find(const nb_symbol_table *table, const char *text, size_t n_bytes)
{
    return symbol_slot(table, text, n_bytes, hash_bytes(text, n_bytes))->symbol;
}

bool nb_pair_table_create(nb_pair_table *table, size_t expected)
{
    size_t n_slots = slots_for(expected);
    *table = (nb_pair_table){0};
    if (n_slots == 0 || !(table->slots = nb_calloc(n_slots, sizeof *table->slots))) {
        return false;
    }
    table->mask = n_slots - 1;
    for (size_t i = 0; i < n_slots; i++) {
        table->slots[i].priority = NB_NO_PRIORITY;
    }
    return true;
}

void nb_pair_table_free(nb_pair_table *table)
{
    free(table->slots);
    *table = (nb_pair_table){0};
}

static nb_pair *pair_slot(const nb_pair_table *table, uint32_t left, uint32_t right)
{
    uint64_t hash = mix(0, (uint64_t)left << 32 | right);
    for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
        nb_pair *slot = &table->slots[i];
        if (slot->priority == NB_NO_PRIORITY || (slot->left == left && slot->right == right)) {
            return slot;
        }
    }
}

static bool pair_table_grow(nb_pair_table *table)
{
    nb_pair_table larger;
    if (!nb_pair_table_create(&larger, table->mask + 1)) {
        return false;
    }
    for (size_t i = 0; i <= table->mask; i++) {
        const nb_pair *slot = &table->slots[i];
        if (slot->priority != NB_NO_PRIORITY) {
            *pair_slot(&larger, slot->left, slot->right) = *slot;
        }
    }
    larger.count = table->count;
    free(table->slots);
    *table = larger;
    return true;
}

bool nb_pair_table_add(nb_pair_table *table, nb_pair pair)
{
    if (is_full(table->count, table->mask) && !pair_table_grow(table)) {
        return false;
    }
    nb_pair *slot = pair_slot(table, pair.left, pair.right);
    if (slot->priority == NB_NO_PRIORITY) {
        *slot = pair;
        table->count++;
    }
    return true;
}

const nb_pair *nb_pair_table_find(const nb_pair_table *table, uint32_t left, uint32_t right)
{
    const nb_pair *slot = pair_slot(table, left, right);
    return slot->priority == NB_NO_PRIORITY ? NULL : slot;
}
