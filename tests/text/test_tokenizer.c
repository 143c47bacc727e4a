/* Both kinds of tokenizers on small vocabularies: cases worked out by hand, and random ones beside a slow
 * encoder that knows only the vocabulary's texts. */
#include "text/tokenizer.h"

#include "base/memory.h"
#include "base/random.h"
#include "small_vocabulary.h"
#include "text/utf8.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Byte-level BPE is there only with PCRE2. */
#ifdef NB_HAVE_PCRE2
#define NEEDS_PCRE2() (void)0
#else
#define NEEDS_PCRE2() skip()
#endif

static nb_tokenizer *create(const small_vocabulary *s)
{
    nb_tokenizer *t = NULL;
    nb_error error = {""};
    if (nb_tokenizer_create(&s->vocabulary, &t, &error) != NB_OK) {
        fail_msg("%s", error.text);
    }
    return t;
}

/* Compares the ids of a text with a list that ends in -1. */
static void check_ids(const nb_tokenizer *t, const char *text, bool special, const int32_t *want)
{
    nb_tokens tokens = {0};
    nb_error error = {""};
    assert_int_equal(nb_tokenizer_encode(t, text, strlen(text), false, special, &tokens, &error), NB_OK);
    size_t n = 0;
    for (; want[n] >= 0; n++) {
        assert_true(n < tokens.count);
        assert_int_equal(tokens.ids[n], want[n]);
    }
    assert_int_equal(tokens.count, n);
    nb_tokens_free(&tokens);
}
#define IDS(...) ((const int32_t[]){__VA_ARGS__, -1})

/* decode(encode(x)) is x, but for the space that SentencePiece puts in front. */
static void check_round_trip(const nb_tokenizer *t, const char *text, size_t n, bool space_prefix)
{
    nb_tokens tokens = {0};
    nb_error error = {""};
    assert_int_equal(nb_tokenizer_encode(t, text, n, false, false, &tokens, &error), NB_OK);
    size_t n_decoded;
    char *decoded = nb_tokenizer_decode(t, tokens.ids, tokens.count, &n_decoded);
    assert_non_null(decoded);
    assert_int_equal(n_decoded, n + (space_prefix && n > 0));
    assert_memory_equal(decoded + (n_decoded - n), text, n);
    free(decoded);
    nb_tokens_free(&tokens);
}

/* ---- SentencePiece-style ---- */

enum { BYTE0 = 3 }; /* the token of byte 0 in small_spm */

static void test_spm_by_hand(void **state)
{
    (void)state;
    small_vocabulary s;
    small_spm(&s, true);
    int32_t space = small_add(&s, MARK, -9, NB_TOKEN_NORMAL), a = small_add(&s, "a", -9, NB_TOKEN_NORMAL);
    small_add(&s, "b", -9, NB_TOKEN_NORMAL);
    int32_t c = small_add(&s, "c", -9, NB_TOKEN_NORMAL), ab = small_add(&s, "ab", -2, NB_TOKEN_NORMAL);
    int32_t bc = small_add(&s, "bc", -1, NB_TOKEN_NORMAL), aa = small_add(&s, "aa", -3, NB_TOKEN_NORMAL);
    int32_t space_a = small_add(&s, MARK "a", -8, NB_TOKEN_NORMAL);
    int32_t spaces = small_add(&s, MARK MARK, -7, NB_TOKEN_NORMAL);
    int32_t ne = small_add(&s, "n\xC3\xA9", -5, NB_TOKEN_NORMAL);
    int32_t user = small_add(&s, "<mask>", 0, NB_TOKEN_USER);
    s.vocabulary.add_space_prefix = false;
    nb_tokenizer *t = create(&s);
    check_ids(t, "abc", false, IDS(a, bc));   /* the highest score first, not the longest or the leftmost */
    check_ids(t, "aaa", false, IDS(aa, a));   /* of equals the leftmost */
    check_ids(t, "aaab", false, IDS(aa, ab)); /* ab (-2) before aa (-3) */
    check_ids(t, " a", false, IDS(space_a));
    check_ids(t, "  a", false, IDS(spaces, a)); /* two spaces (-7) before space a (-8) */
    check_ids(t, "   ", false, IDS(spaces, space));
    check_ids(t, "n\xC3\xA9", false, IDS(ne)); /* though neither n nor the e is a token */
    check_ids(t, "\xC3\xA9", false, IDS(BYTE0 + 0xC3, BYTE0 + 0xA9));
    check_ids(t, "c\n", false, IDS(c, BYTE0 + '\n'));
    check_ids(t,
              "\xFF"
              "a\xC3",
              false, IDS(BYTE0 + 0xFF, a, BYTE0 + 0xC3)); /* no UTF-8 */
    check_ids(t, "a<mask>a", false, IDS(a, user, a));
    check_ids(t, "<mas", false, IDS(BYTE0 + '<', BYTE0 + 'm', a, BYTE0 + 's'));
    check_ids(t, "<s>a</s>", true, IDS(1, a, 2));
    check_ids(t, "<s>", false, IDS(BYTE0 + '<', BYTE0 + 's', BYTE0 + '>')); /* text is no control token */
    check_ids(t, "", false, IDS(-1));
    assert_string_equal(nb_tokenizer_kind(t), "sentencepiece bpe");
    nb_tokenizer_destroy(&t);
    assert_null(t);

    s.vocabulary.add_space_prefix = true;
    t = create(&s);
    check_ids(t, "a", false, IDS(space_a));
    check_ids(t, " a", false, IDS(spaces, a));
    check_ids(t, "<s>a<mask>a", true, IDS(1, space_a, user, space_a)); /* again after each special token */
    check_ids(t, "", false, IDS(-1));
    nb_tokenizer_destroy(&t);
}

static void test_spm_scores(void **state)
{
    (void)state;
    small_vocabulary s;
    small_spm(&s, true);
    s.vocabulary.add_space_prefix = false;
    int32_t a = small_add(&s, "a", 0, NB_TOKEN_NORMAL), ab = small_add(&s, "ab", -0.0f, NB_TOKEN_NORMAL);
    int32_t bc = small_add(&s, "bc", 0.0f, NB_TOKEN_NORMAL),
            cd = small_add(&s, "cd", INFINITY, NB_TOKEN_NORMAL);
    int32_t de = small_add(&s, "de", -INFINITY, NB_TOKEN_NORMAL),
            ef = small_add(&s, "ef", 1e-40f, NB_TOKEN_NORMAL);
    nb_tokenizer *t = create(&s);
    check_ids(t, "abc", false, IDS(ab, BYTE0 + 'c')); /* -0 is 0: a tie, the leftmost wins */
    check_ids(t, "abcd", false, IDS(ab, cd));
    check_ids(t, "bcd", false, IDS(BYTE0 + 'b', cd));
    check_ids(t, "def", false, IDS(BYTE0 + 'd', ef));
    check_ids(t, "abcde", false, IDS(ab, cd, BYTE0 + 'e'));
    check_ids(t, "ade", false, IDS(a, de));
    check_ids(t, "bc", false, IDS(bc));
    nb_tokenizer_destroy(&t);

    s.vocabulary.scores = NULL; /* all alike: leftmost first */
    t = create(&s);
    check_ids(t, "bcdef", false, IDS(bc, de, BYTE0 + 'f'));
    nb_tokenizer_destroy(&t);
}

static void test_spm_unknown(void **state)
{
    (void)state;
    small_vocabulary s;
    small_spm(&s, false);
    s.vocabulary.add_space_prefix = false;
    int32_t a = small_add(&s, "a", -1, NB_TOKEN_NORMAL);
    nb_tokenizer *t = create(&s);
    check_ids(t,
              "\xC3\xA9"
              "ax",
              false, IDS(0, a, 0)); /* one for a character, not for a byte */
    size_t n;
    char *text = nb_tokenizer_decode(t, IDS(0, a), 2, &n);
    assert_string_equal(text, " \xE2\x81\x87 a");
    free(text);
    nb_tokenizer_destroy(&t);

    s.vocabulary.unknown = -1;
    t = create(&s);
    nb_tokens tokens = {0};
    nb_error error;
    assert_int_equal(nb_tokenizer_encode(t, "aax", 3, true, false, &tokens, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "0x78"));
    assert_int_equal(tokens.count, 0); /* nothing of a text that failed */
    nb_tokens_free(&tokens);
    nb_tokenizer_destroy(&t);
}

/* ---- byte-level ---- */

static void test_bpe_by_hand(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    small_vocabulary s;
    small_bpe(&s, "gpt-2");
    int32_t bc = small_merge(&s, 'b', 'c'), ab = small_merge(&s, 'a', 'b'), abc = small_merge(&s, ab, 'c');
    int32_t space_a = small_merge(&s, ' ', 'a'), aa = small_merge(&s, 'a', 'a'),
            aaaa = small_merge(&s, aa, aa);
    int32_t lines = small_merge(&s, '\n', '\n');
    int32_t whole = small_add(&s, "xyz", 0, NB_TOKEN_NORMAL); /* no merge makes it */
    int32_t end = small_add(&s, "<|endoftext|>", 0, NB_TOKEN_CONTROL);
    int32_t user = small_add(&s, "  ", 0, NB_TOKEN_USER);
    s.vocabulary.bos = s.vocabulary.eos = end;
    nb_tokenizer *t = create(&s);
    check_ids(t, "abc", false, IDS('a', bc)); /* "b c" ranks before "a b" */
    check_ids(t, "ab", false, IDS(ab));
    check_ids(t, "aaa", false, IDS(aa, 'a'));
    check_ids(t, "aaaaaaa", false, IDS(aaaa, aa, 'a'));
    check_ids(t, "a ab", false, IDS('a', ' ', ab)); /* "a b" ranks before " a" */
    check_ids(t, "a a", false, IDS('a', space_a));
    check_ids(t, "ab\n\nb", false, IDS(ab, '\n', '\n', 'b')); /* the pattern cuts between the lines */
    check_ids(t, "\n\n", false, IDS(lines));
    check_ids(t, "xyz", false, IDS('x', 'y', 'z'));
    check_ids(t, "a  b", false, IDS('a', user, 'b'));
    check_ids(t, "a<|endoftext|>", true, IDS('a', end));
    check_ids(t, "\xFF\xC3(", false, IDS(0xFF, 0xC3, '('));
    check_ids(t, "\xC3\xA9", false, IDS(0xC3, 0xA9));
    assert_string_equal(nb_tokenizer_kind(t), "byte-level bpe (gpt-2)");
    assert_int_equal(nb_tokenizer_size(t), s.vocabulary.n_tokens);
    assert_true(nb_tokenizer_is_end(t, end));
    assert_false(nb_tokenizer_is_end(t, abc));
    nb_tokenizer_destroy(&t);

    s.vocabulary.pre = "llama-bpe"; /* whose makers ignore merges for a whole piece */
    t = create(&s);
    check_ids(t, "xyz", false, IDS(whole));
    check_ids(t, "abc", false, IDS(abc));
    check_ids(t, "abca", false, IDS('a', bc, 'a'));
    nb_tokenizer_destroy(&t);
}

/* Every byte alone: its token reads as the byte, and is spelled in the alphabet. */
static void test_bpe_alphabet(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    small_vocabulary s;
    small_bpe(&s, "gpt-2");
    nb_tokenizer *t = create(&s);
    for (int b = 0; b < 256; b++) {
        nb_string piece = nb_tokenizer_piece(t, -1, b);
        assert_int_equal(piece.n_bytes, 1);
        assert_int_equal((unsigned char)piece.text[0], b);
        char byte = (char)b;
        check_round_trip(t, &byte, 1, false);
    }
    assert_memory_equal(nb_tokenizer_text(t, ' ').text, "\xC4\xA0", 2);  /* U+0120 */
    assert_memory_equal(nb_tokenizer_text(t, '\n').text, "\xC4\x8A", 2); /* U+010A */
    assert_memory_equal(nb_tokenizer_text(t, 173).text, "\xC5\x83", 2);  /* U+0143 */
    nb_tokenizer_destroy(&t);
}

/* ---- beside slow encoders ---- */

typedef struct slow_list {
    char parts[400][64];
    size_t lengths[400];
    size_t count;
} slow_list;

static void slow_join(slow_list *list, size_t at)
{
    memcpy(list->parts[at] + list->lengths[at], list->parts[at + 1], list->lengths[at + 1]);
    list->lengths[at] += list->lengths[at + 1];
    list->count--;
    memmove(list->parts[at + 1], list->parts[at + 2], (list->count - at - 1) * sizeof list->parts[0]);
    memmove(list->lengths + at + 1, list->lengths + at + 2, (list->count - at - 1) * sizeof list->lengths[0]);
}

static long slow_find(const small_vocabulary *s, const char *text, size_t n)
{
    for (size_t i = 0; i < s->vocabulary.n_tokens; i++) {
        if (s->types[i] == NB_TOKEN_NORMAL && s->texts[i].n_bytes == n &&
            memcmp(s->texts[i].text, text, n) == 0) {
            return (long)i;
        }
    }
    return -1;
}

/* The definition: spaces are U+2581; join the two neighbours that together are the token with the highest
 * score. */
static void slow_spm(const small_vocabulary *s, const char *text, size_t n, nb_tokens *out)
{
    slow_list list = {.count = 0};
    for (size_t i = 0; i < n;) {
        size_t step = nb_utf8_step(text + i, n - i);
        bool space = text[i] == ' ';
        memcpy(list.parts[list.count], space ? MARK : text + i, space ? 3 : step);
        list.lengths[list.count++] = space ? 3 : step;
        i += step;
    }
    for (;;) {
        long best = -1;
        size_t at = 0;
        for (size_t i = 0; i + 1 < list.count; i++) {
            char both[128];
            memcpy(both, list.parts[i], list.lengths[i]);
            memcpy(both + list.lengths[i], list.parts[i + 1], list.lengths[i + 1]);
            long token = slow_find(s, both, list.lengths[i] + list.lengths[i + 1]);
            if (token >= 0 && (best < 0 || s->scores[token] > s->scores[best])) {
                best = token;
                at = i;
            }
        }
        if (best < 0) {
            break;
        }
        slow_join(&list, at);
    }
    for (size_t i = 0; i < list.count; i++) {
        long token = slow_find(s, list.parts[i], list.lengths[i]);
        bool space = token < 0 && memcmp(list.parts[i], MARK, 3) == 0;
        for (size_t k = 0; token < 0 && k < (space ? 1 : list.lengths[i]); k++) {
            out->ids[out->count++] = BYTE0 + (space ? ' ' : (unsigned char)list.parts[i][k]);
        }
        if (token >= 0) {
            out->ids[out->count++] = (int32_t)token;
        }
    }
}

static const char *const characters[] = {"a", "b", "\xC3\xA9", MARK, "c", "\xF0\x9F\xA6\x99"};

/* A token of 2 to 6 characters; with a space in its middle only if `across`. */
static void add_random_token(small_vocabulary *s, nb_random *random, bool across)
{
    char text[64];
    size_t n = 0, count = 2 + nb_random_below(random, 5);
    for (size_t k = 0; k < count; k++) {
        size_t which = nb_random_below(random, 6);
        which = which == 3 && k > 0 && !across ? 0 : which;
        memcpy(text + n, characters[which], strlen(characters[which]));
        n += strlen(characters[which]);
    }
    if (slow_find(s, text, n) < 0) {
        small_add_bytes(s, text, n, -(float)nb_random_below(random, 12), NB_TOKEN_NORMAL);
    }
}

static void test_spm_random(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 3);
    static small_vocabulary s;
    for (int round = 0; round < 150; round++) {
        small_spm(&s, true);
        s.vocabulary.add_space_prefix = false;
        for (size_t i = 0; i < 6; i++) {
            if (nb_random_below(&random, 4) > 0) { /* some characters are no token */
                small_add(&s, characters[i], -(float)nb_random_below(&random, 12), NB_TOKEN_NORMAL);
            }
        }
        for (uint64_t i = nb_random_below(&random, 60); i > 0; i--) {
            add_random_token(&s, &random, round % 2);
        }
        nb_tokenizer *t = create(&s);
        for (int k = 0; k < 20; k++) {
            char text[400];
            size_t n = 0;
            for (uint64_t i = nb_random_below(&random, k % 2 ? 12 : 90); i > 0; i--) {
                size_t which = nb_random_below(&random, 7);
                const char *part = which == 6 ? "\xA9" : which == 3 ? " " : characters[which];
                memcpy(text + n, part, strlen(part));
                n += strlen(part);
            }
            nb_tokens tokens = {0};
            int32_t ids[800];
            nb_tokens slow = {ids, 0, 800};
            assert_int_equal(nb_tokenizer_encode(t, text, n, false, false, &tokens, NULL), NB_OK);
            slow_spm(&s, text, n, &slow);
            assert_int_equal(tokens.count, slow.count);
            assert_memory_equal(tokens.ids, ids, slow.count * sizeof *ids);
            nb_tokens_free(&tokens);
            check_round_trip(t, text, n, false);
        }
        nb_tokenizer_destroy(&t);
    }
}

/* The definition on one word: join the pair of the first merge in the list that is anywhere in the word. */
static void slow_bpe(const small_vocabulary *s, const char *text, size_t n, nb_tokens *out)
{
    slow_list list = {.count = n};
    for (size_t i = 0; i < n; i++) {
        list.lengths[i] = small_letter((unsigned char)text[i], list.parts[i]);
    }
    for (size_t m = 0; m < s->vocabulary.n_merges;) {
        size_t at = 0;
        for (; at + 1 < list.count; at++) {
            char both[160];
            size_t l = list.lengths[at], r = list.lengths[at + 1];
            memcpy(both, list.parts[at], l);
            both[l] = ' ';
            memcpy(both + l + 1, list.parts[at + 1], r);
            if (s->merges[m].n_bytes == l + 1 + r && memcmp(s->merges[m].text, both, l + 1 + r) == 0) {
                break;
            }
        }
        if (at + 1 < list.count) {
            slow_join(&list, at);
            m = 0;
        } else {
            m++;
        }
    }
    for (size_t i = 0; i < list.count; i++) {
        out->ids[out->count++] = (int32_t)slow_find(s, list.parts[i], list.lengths[i]);
    }
}

static void test_bpe_random(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    nb_random random;
    nb_random_seed(&random, 4);
    static small_vocabulary s;
    for (int round = 0; round < 60; round++) {
        small_bpe(&s, "gpt-2");
        for (uint64_t i = nb_random_below(&random, 40); i > 0; i--) {
            int32_t sides[2];
            for (int k = 0; k < 2; k++) {
                uint64_t made = s.vocabulary.n_tokens - 256;
                uint64_t pick = nb_random_below(&random, 5 + made);
                sides[k] = pick < 3    ? (int32_t)('a' + pick)
                           : pick == 3 ? 0xC3
                           : pick == 4 ? 0xA9
                                       : (int32_t)(251 + pick);
            }
            nb_string l = s.texts[sides[0]], r = s.texts[sides[1]];
            char both[128];
            memcpy(both, l.text, l.n_bytes);
            memcpy(both + l.n_bytes, r.text, r.n_bytes);
            if (l.n_bytes + r.n_bytes < 16 && slow_find(&s, both, l.n_bytes + r.n_bytes) < 0) {
                small_merge(&s, sides[0], sides[1]);
            }
        }
        nb_tokenizer *t = create(&s);
        for (int k = 0; k < 10; k++) {
            char text[256];
            size_t n = 0;
            for (uint64_t i = 1 + nb_random_below(&random, k % 2 ? 8 : 120); i > 0;
                 i--) { /* one word: all letters */
                uint64_t which = nb_random_below(&random, 4);
                memcpy(text + n, which == 3 ? "\xC3\xA9" : &"abc"[which], which == 3 ? 2 : 1);
                n += which == 3 ? 2 : 1;
            }
            nb_tokens tokens = {0};
            int32_t ids[256];
            nb_tokens slow = {ids, 0, 256};
            assert_int_equal(nb_tokenizer_encode(t, text, n, false, false, &tokens, NULL), NB_OK);
            slow_bpe(&s, text, n, &slow);
            assert_int_equal(tokens.count, slow.count);
            assert_memory_equal(tokens.ids, ids, slow.count * sizeof *ids);
            nb_tokens_free(&tokens);
        }
        nb_tokenizer_destroy(&t);
    }
}

/* Any bytes at all go through both and come back. */
static void test_any_bytes(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    nb_random random;
    nb_random_seed(&random, 5);
    static small_vocabulary spm, bpe;
    small_spm(&spm, true);
    small_add(&spm, MARK, -1, NB_TOKEN_NORMAL);
    small_add(&spm, "\xC3\xA9", -1, NB_TOKEN_NORMAL);
    small_bpe(&bpe, "llama-bpe");
    small_merge(&bpe, 0xC3, 0xA9);
    small_merge(&bpe, 0xFF, 0xFF);
    nb_tokenizer *a = create(&spm), *b = create(&bpe);
    for (int round = 0; round < 2000; round++) {
        char text[64];
        size_t n = nb_random_below(&random, sizeof text);
        for (size_t i = 0; i < n; i++) {
            text[i] = "\xC3\xA9\xFF \n\0a\x80\xF0\x9F\xA6\x99\xED\xA0\x81."[nb_random_below(&random, 16)];
        }
        check_round_trip(a, text, n, true);
        check_round_trip(b, text, n, false);
    }
    nb_tokenizer_destroy(&a);
    nb_tokenizer_destroy(&b);
}

/* ---- pieces, ends, refusals ---- */

static void test_pieces(void **state)
{
    (void)state;
    small_vocabulary s;
    small_spm(&s, true);
    int32_t hello = small_add(&s, MARK "Hi", -1, NB_TOKEN_NORMAL),
            user = small_add(&s, "[x]", 0, NB_TOKEN_USER);
    small_add(&s, MARK "H", -2, NB_TOKEN_NORMAL);
    int32_t turn = small_add(&s, "<end_of_turn>", 0, NB_TOKEN_CONTROL);
    nb_tokenizer *t = create(&s);
    assert_int_equal(nb_tokenizer_piece(t, -1, hello).n_bytes, 3);
    assert_memory_equal(nb_tokenizer_piece(t, -1, hello).text, " Hi", 3);
    assert_int_equal(nb_tokenizer_piece(t, 1, hello).n_bytes, 2); /* after BOS */
    assert_memory_equal(nb_tokenizer_piece(t, 1, hello).text, "Hi", 2);
    assert_int_equal(nb_tokenizer_piece(t, hello, hello).n_bytes, 3);
    assert_int_equal(nb_tokenizer_piece(t, -1, 1).n_bytes, 0);
    assert_int_equal(nb_tokenizer_piece(t, -1, user).n_bytes, 3);
    assert_int_equal(nb_tokenizer_piece(t, -1, BYTE0 + 'x').text[0], 'x');
    assert_int_equal(nb_tokenizer_piece(t, -1, -5).n_bytes, 0);
    assert_int_equal(nb_tokenizer_piece(t, -1, 100000).n_bytes, 0);
    assert_true(nb_string_equal(nb_tokenizer_text(t, hello), MARK "Hi"));
    assert_int_equal(nb_tokenizer_text(t, -1).n_bytes, 0);
    assert_true(nb_tokenizer_is_end(t, 2) && nb_tokenizer_is_end(t, turn) && nb_tokenizer_is_end(t, 1));
    assert_false(nb_tokenizer_is_end(t, hello) || nb_tokenizer_is_end(t, -1) ||
                 nb_tokenizer_is_end(t, 100000));
    assert_true(nb_tokenizer_adds_bos(t));
    assert_int_equal(nb_tokenizer_bos(t), 1);
    assert_int_equal(nb_tokenizer_eos(t), 2);
    nb_tokens tokens = {0};
    assert_int_equal(nb_tokenizer_encode(t, "Hi", 2, true, false, &tokens, NULL), NB_OK);
    assert_int_equal(tokens.count, 2);
    assert_int_equal(tokens.ids[0], 1);
    size_t n;
    char *text = nb_tokenizer_decode(t, tokens.ids, tokens.count, &n);
    assert_string_equal(text, "Hi");
    free(text);
    text = nb_tokenizer_decode(t, NULL, 0, &n);
    assert_string_equal(text, "");
    free(text);
    nb_tokens_free(&tokens);
    nb_tokenizer_destroy(&t);
}

/* The vocabulary that it was made from may go, and is there for saving. */
static void test_keeps_a_copy(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    small_vocabulary *s = malloc(sizeof *s);
    assert_non_null(s);
    small_bpe(s, "qwen2");
    int32_t ab = small_merge(s, 'a', 'b');
    nb_tokenizer *t = create(s);
    memset(s, 0xAA, sizeof *s);
    free(s);
    check_ids(t, "ab", false, IDS(ab));
    const nb_vocabulary *v = nb_tokenizer_vocabulary(t);
    assert_string_equal(v->model, "gpt2");
    assert_string_equal(v->pre, "qwen2");
    assert_int_equal(v->n_tokens, 257);
    assert_int_equal(v->n_merges, 1);
    assert_true(nb_string_equal(v->merges[0], "a b"));
    assert_true(nb_string_equal(v->texts[256], "ab"));
    assert_null(v->scores);
    assert_int_equal(v->types[256], NB_TOKEN_NORMAL);
    nb_tokenizer_destroy(&t);
}

/* At one place the longest special token wins, and an earlier one goes before a longer one. */
static void test_special_tokens(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    small_vocabulary s;
    small_bpe(&s, "gpt-2");
    int32_t x = small_add(&s, "<x>", 0, NB_TOKEN_USER), xx = small_add(&s, "<x><x>", 0, NB_TOKEN_USER);
    int32_t xy = small_add(&s, "<x>y", 0, NB_TOKEN_CONTROL),
            last = small_add(&s, "\xFF\xFF", 0, NB_TOKEN_USER);
    nb_tokenizer *t = create(&s);
    check_ids(t, "<x>", false, IDS(x));
    check_ids(t, "<x><x><x>", false, IDS(xx, x));
    check_ids(t, "<x>y", false, IDS(x, 'y'));
    check_ids(t, "<x>y", true, IDS(xy));
    check_ids(t, "<<x>><x", false, IDS('<', x, '>', '<', 'x'));
    check_ids(t, "\xFF\xFF\xFF", false, IDS(last, 0xFF));
    nb_tokenizer_destroy(&t);
}

static void refuse(const small_vocabulary *s, nb_status want, const char *word)
{
    nb_tokenizer *t = NULL;
    nb_error error = {""};
    assert_int_equal(nb_tokenizer_create(&s->vocabulary, &t, &error), want);
    if (!strstr(error.text, word)) {
        fail_msg("\"%s\" does not say \"%s\"", error.text, word);
    }
    assert_null(t);
}

static void test_refusals(void **state)
{
    (void)state;
    static small_vocabulary s;
    small_spm(&s, true);
    s.vocabulary.model = "bert";
    refuse(&s, NB_ERR_UNSUPPORTED, "\"bert\"");
    s.vocabulary.model = NULL;
    refuse(&s, NB_ERR_UNSUPPORTED, "llama");
    small_spm(&s, true);
    s.vocabulary.eos = 259;
    refuse(&s, NB_ERR_FILE, "259");
    s.vocabulary.eos = -2;
    refuse(&s, NB_ERR_FILE, "-2");
    small_spm(&s, true);
    s.scores[7] = NAN;
    refuse(&s, NB_ERR_FILE, "token 7");
    small_spm(&s, true);
    s.types[9] = 7;
    refuse(&s, NB_ERR_FILE, "token 9");
    small_spm(&s, true);
    s.vocabulary.n_tokens = 0;
    refuse(&s, NB_ERR_FILE, "0 tokens");
    NEEDS_PCRE2();
    small_bpe(&s, "elvish");
    refuse(&s, NB_ERR_UNSUPPORTED, "\"elvish\"");
    small_bpe(&s, "gpt-2");
    small_merge(&s, 'a', 'b');
    s.merges[0] = nb_string_of("ab");
    refuse(&s, NB_ERR_FILE, "merge 0");
}

/* Every allocation that can fail does, once: a sentence, no leak, and nothing added to
 * the caller's tokens. */
static void test_no_memory(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    static small_vocabulary s;
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 0) {
            small_spm(&s, true);
            small_add(&s, MARK "ab", -1, NB_TOKEN_NORMAL);
        } else {
            small_bpe(&s, "gpt-2");
            small_merge(&s, 'a', 'b');
            small_add(&s, "<x>", 0, NB_TOKEN_USER);
        }
        nb_tokenizer *t = NULL;
        nb_status status = NB_ERR_MEMORY;
        for (long n = 1; status == NB_ERR_MEMORY; n++) {
            nb_error error = {""};
            nb_memory_fail_after(n);
            status = nb_tokenizer_create(&s.vocabulary, &t, &error);
            assert_true(status == NB_OK || (status == NB_ERR_MEMORY && strstr(error.text, "memory") && !t));
        }
        nb_memory_fail_after(0);
        assert_int_equal(status, NB_OK);
        char text[300];
        memset(text, 'b', sizeof text);
        nb_tokens tokens = {0};
        status = NB_ERR_MEMORY;
        for (long n = 1; status == NB_ERR_MEMORY; n++) {
            nb_error error = {""};
            nb_memory_fail_after(n);
            status = nb_tokenizer_encode(t, text, sizeof text, true, true, &tokens, &error);
            assert_true(status == NB_OK || (status == NB_ERR_MEMORY && tokens.count == 0));
        }
        nb_memory_fail_after(0);
        assert_int_equal(status, NB_OK);
        nb_tokens_free(&tokens);
        nb_tokenizer_destroy(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spm_by_hand),    cmocka_unit_test(test_spm_scores),
        cmocka_unit_test(test_spm_unknown),    cmocka_unit_test(test_bpe_by_hand),
        cmocka_unit_test(test_bpe_alphabet),   cmocka_unit_test(test_spm_random),
        cmocka_unit_test(test_bpe_random),     cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_pieces),         cmocka_unit_test(test_keeps_a_copy),
        cmocka_unit_test(test_special_tokens), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
