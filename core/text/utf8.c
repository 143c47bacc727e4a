#include "text/utf8.h"

#include "text/tokenizer.h"

#include <string.h>

/* Table 3-7 of the Unicode Standard: the lead byte says how long a sequence is and which second byte it may
 * have; every later byte is 80..BF. */
static size_t lead_length(unsigned char lead, unsigned char *second_low, unsigned char *second_high)
{
    *second_low = 0x80;
    *second_high = 0xBF;
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xC2 || lead > 0xF4) {
        return 0;
    }
    if (lead < 0xE0) {
        return 2;
    }
    if (lead < 0xF0) {
        *second_low = lead == 0xE0 ? 0xA0 : 0x80;  /* E0 80..9F would be overlong */
        *second_high = lead == 0xED ? 0x9F : 0xBF; /* ED A0..BF are surrogates */
        return 3;
    }
    *second_low = lead == 0xF0 ? 0x90 : 0x80;
    *second_high = lead == 0xF4 ? 0x8F : 0xBF;
    return 4;
}

/* How many bytes of text[0..n) agree with the sequence that its first byte starts, and that one's length. */
static size_t matching_bytes(const unsigned char *text, size_t n, size_t *length)
{
    unsigned char low, high;
    *length = lead_length(text[0], &low, &high);
    size_t matched = *length > 0;
    while (matched > 0 && matched < *length && matched < n && text[matched] >= low && text[matched] <= high) {
        low = 0x80;
        high = 0xBF;
        matched++;
    }
    return matched;
}

size_t nb_utf8_sequence(const char *text, size_t n)
{
    if (n == 0) {
        return 0;
    }
    size_t length;
    size_t matched = matching_bytes((const unsigned char *)text, n, &length);
    return matched == length ? length : 0;
}

size_t nb_utf8_valid_prefix(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t word;
        if (n - i >= sizeof word) { /* eight ASCII bytes at once */
            memcpy(&word, text + i, sizeof word);
            if ((word & 0x8080808080808080u) == 0) {
                i += sizeof word;
                continue;
            }
        }
        size_t length = nb_utf8_sequence(text + i, n - i);
        if (length == 0) {
            break;
        }
        i += length;
    }
    return i;
}

size_t nb_utf8_incomplete(const char *text, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char *at = (const unsigned char *)text + n - back;
        if ((*at & 0xC0) == 0x80) {
            continue; /* a later byte of a sequence: its lead byte is further back */
        }
        size_t length;
        size_t matched = matching_bytes(at, back, &length);
        return matched == back && back < length ? back : 0;
    }
    return 0;
}
