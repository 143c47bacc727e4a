/* What lessons/story promises: stories that are all different, of a length that fits, in sound English, whose
 * bits the text carries; questions whose answers lie far back and cannot be guessed; the same text
 * everywhere. Runs in the project's folder. */
#include "text/grammar.h"

#include "base/memory.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STORIES = 10000, QUIZZES = 3000 };
static const uint64_t CHECKSUM = 0x1b99f25471c954f8;

static nb_grammar *grammar;
static nb_story *stories, *quizzes, *documents;

static nb_story *make(const char *start, size_t count, uint64_t seed)
{
    nb_story *made = nb_calloc(count, sizeof *made);
    nb_error error = {""};
    assert_non_null(made);
    for (size_t i = 0; i < count; i++) {
        if (nb_grammar_expand(grammar, start, seed, i, &made[i], &error) != NB_OK) {
            fail_msg("%s", error.text);
        }
    }
    return made;
}

static int set_up(void **state)
{
    (void)state;
    nb_error error = {""};
    if (nb_grammar_open("lessons/story/story.grammar", &grammar, &error) != NB_OK) {
        print_error("%s\n", error.text);
        return 1;
    }
    stories = make("story", STORIES, 1);
    quizzes = make("quiz", QUIZZES, 2);
    documents = make("document", STORIES, 3);
    return 0;
}

static void drop(nb_story *made, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nb_story_free(&made[i]);
    }
    free(made);
}

static int tear_down(void **state)
{
    (void)state;
    drop(stories, STORIES);
    drop(quizzes, QUIZZES);
    drop(documents, STORIES);
    nb_grammar_close(&grammar);
    return 0;
}

/* ---- numbers ---- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_all_different(void **state)
{
    (void)state;
    static char *texts[STORIES];
    for (size_t i = 0; i < STORIES; i++) {
        texts[i] = stories[i].text;
    }
    qsort(texts, STORIES, sizeof *texts, compare_texts);
    for (size_t i = 1; i < STORIES; i++) {
        if (strcmp(texts[i - 1], texts[i]) == 0) {
            fail_msg("twice: %s", texts[i]);
        }
    }
}

static void test_sizes_and_bits(void **state)
{
    (void)state;
    double bits = 0;
    size_t words = 0;
    for (size_t i = 0; i < STORIES; i++) {
        size_t n = nb_count_words(documents[i].text, documents[i].n_bytes);
        if (n < 90 || n > 250 || documents[i].n_hidden > 0) {
            fail_msg("%zu words, %zu hidden draws: %s", n, documents[i].n_hidden, documents[i].text);
        }
        words += n;
        bits += documents[i].bits;
    }
    assert_true(bits / (double)words > 1.0 && bits / (double)words < 1.5);
}

/* FNV-1a over text and bits' bytes, as anybody can compute it. */
static void test_same_everywhere(void **state)
{
    (void)state;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < 100; i++) {
        for (size_t b = 0; b < documents[i].n_bytes; b++) {
            hash = (hash ^ (unsigned char)documents[i].text[b]) * 0x100000001b3u;
        }
        uint64_t bits;
        memcpy(&bits, &documents[i].bits, 8);
        hash = (hash ^ bits) * 0x100000001b3u;
    }
    if (hash != CHECKSUM) {
        fail_msg("the first 100 stories of seed 3 have the checksum 0x%llx; where the grammar was changed on "
                 "purpose, write it here",
                 (unsigned long long)hash);
    }
    nb_story again;
    assert_int_equal(nb_grammar_expand(grammar, "document", 3, 77, &again, NULL), NB_OK);
    assert_string_equal(again.text, documents[77].text);
    assert_true(again.bits == documents[77].bits);
    nb_story_free(&again);
}

/* ---- words ---- */

typedef struct word {
    const char *text;
    size_t n;
} word;

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || c == '\'' || c == '-';
}

/* The next word of `*at`; n is 0 at the end. */
static word next_word(const char **at, const char *end)
{
    while (*at < end && !is_letter(**at)) {
        ++*at;
    }
    const char *begin = *at;
    while (*at < end && is_letter(**at)) {
        ++*at;
    }
    return (word){begin, (size_t)(*at - begin)};
}

static bool is(word w, const char *text)
{
    return w.n == strlen(text) && memcmp(w.text, text, w.n) == 0;
}
static bool is_one_of(word w, const char *const *list)
{
    while (*list && !is(w, *list)) {
        list++;
    }
    return *list != NULL;
}

/* A vocabulary that a small tokenizer can hold, all of it in use. */
static void test_vocabulary(void **state)
{
    (void)state;
    enum { SLOTS = 1 << 13 };
    static struct {
        char text[24];
        size_t count;
    } slots[SLOTS];
    size_t distinct = 0, rare = 0;
    for (size_t i = 0; i < STORIES; i++) {
        const char *at = documents[i].text, *end = at + documents[i].n_bytes;
        for (word w = next_word(&at, end); w.n > 0; w = next_word(&at, end)) {
            char text[24] = "";
            uint32_t hash = 5381;
            assert_true(w.n < sizeof text);
            for (size_t b = 0; b < w.n; b++) {
                text[b] = (char)tolower((unsigned char)w.text[b]);
                hash = hash * 33 + (unsigned char)text[b];
            }
            size_t s = hash % SLOTS;
            while (slots[s].count > 0 && strcmp(slots[s].text, text) != 0) {
                s = (s + 1) % SLOTS;
            }
            distinct += slots[s].count == 0;
            slots[s].count++;
            memcpy(slots[s].text, text, sizeof text);
        }
    }
    for (size_t s = 0; s < SLOTS; s++) {
        rare += slots[s].count > 0 && slots[s].count < 5;
    }
    assert_true(distinct > 1100 && distinct < 1800);
    assert_true(rare < distinct / 50);
}

/* ---- English ---- */

static void bad(const nb_story *story, const char *at, const char *why)
{
    fail_msg("%s at \"%.40s\" of: %s", why, at, story->text);
}

static void check_marks(const nb_story *story)
{
    const char *text = story->text;
    size_t quotes = 0;
    if (!isupper((unsigned char)text[0]) && text[0] != '"') {
        bad(story, text, "no capital");
    }
    for (size_t i = 1; i < story->n_bytes; i++) {
        char c = text[i], before = text[i - 1];
        quotes += c == '"';
        if (strchr(".!?,", c) && (before == ' ' || strchr(".!?,", before))) {
            bad(story, text + i - 1, "a mark after nothing");
        }
        if (c == ' ' && before == ' ') {
            bad(story, text + i, "two spaces");
        }
        if (i > 1 && before == ' ' && strchr(".!?", text[i - 2]) && islower((unsigned char)c)) {
            bad(story, text + i, "no capital after the end of a sentence");
        }
        if (strchr("{}[]()<>|^*_/", c)) {
            bad(story, text + i, "a mark of the grammar");
        }
    }
    char last = text[story->n_bytes - 1];
    if (quotes % 2 != 0 || (last != '.' && last != '?' && last != '!' && last != '"')) {
        bad(story, text, "an open quote or end");
    }
}

static void check_articles(const nb_story *story)
{
    const char *at = story->text, *end = at + story->n_bytes;
    word before = {"", 0};
    for (word w = next_word(&at, end); w.n > 0; w = next_word(&at, end)) {
        bool vowel = strchr("aeiouAEIOU", w.text[0]) != NULL;
        bool near = w.text == before.text + before.n + 1;
        if (near && (is(before, "a") || is(before, "A")) && vowel) {
            bad(story, before.text, "a before a vowel");
        }
        if (near && (is(before, "an") || is(before, "An")) && !vowel && !is(w, "hour")) {
            bad(story, before.text, "an before a consonant");
        }
        if (near && w.n == before.n && memcmp(w.text, before.text, w.n) == 0 && !is(w, "had")) {
            bad(story, before.text, "a word twice");
        }
        before = w;
    }
}

static const char *const hers[] = {"she", "She", "her", "Her", "herself", NULL};
static const char *const his[] = {"he", "He", "him", "his", "His", "himself", NULL};
/* who may be meant by a pronoun beside a child */
static const char *const others[] = {"mom",     "dad",    "grandma", "grandpa", "aunt", "uncle",   "sister",
                                     "brother", "mother", "man",     "woman",   "He",   "snowman", NULL};

/* Who is a girl and who is a boy, as the stories introduce them. */
static struct {
    char name[16];
    bool girl;
} children[100];
static size_t n_children;

static int find_child(word w)
{
    for (size_t i = 0; i < n_children; i++) {
        if (is(w, children[i].name)) {
            return (int)i;
        }
    }
    return -1;
}

static void meet(word name, bool girl)
{
    int known = find_child(name);
    if (known >= 0) {
        assert_true(children[known].girl == girl);
        return;
    }
    assert_true(n_children < 100 && name.n < 16);
    memcpy(children[n_children].name, name.text, name.n);
    children[n_children++].girl = girl;
}

/* "a brave girl named Mia", "Mia was a brave girl" */
static void meet_hero(const nb_story *story)
{
    const char *at = story->text, *end = at + story->n_bytes;
    word first = next_word(&at, end), previous = first;
    for (word w = next_word(&at, end); w.n > 0; w = next_word(&at, end)) {
        bool girl = is(w, "girl");
        if (girl || is(w, "boy")) {
            word then = next_word(&at, end);
            bool named = is(then, "named") || is(then, "called");
            meet(named ? next_word(&at, end) : first, girl);
            return;
        }
        previous = w;
    }
    bad(story, previous.text, "no hero");
}

/* In a sentence, outside of quotes, that names one child and nobody else, every he and she is that child. */
static void check_pronouns(const nb_story *story)
{
    const char *end = story->text + story->n_bytes;
    for (const char *begin = story->text; begin < end;) {
        const char *stop = begin + strcspn(begin, ".!?\"");
        const char *at = begin;
        int child = -1;
        size_t n_others = 0, n_hers = 0, n_his = 0;
        for (word w = next_word(&at, stop); w.n > 0; w = next_word(&at, stop)) {
            word bare = w;
            if (w.n > 2 && w.text[w.n - 2] == '\'') {
                bare.n -= 2;
            }
            int found = find_child(bare);
            n_others += is_one_of(w, others) || (found >= 0 && child >= 0 && found != child);
            child = found >= 0 ? found : child;
            n_hers += is_one_of(w, hers);
            n_his += is_one_of(w, his);
        }
        if (child >= 0 && n_others == 0 && (children[child].girl ? n_his : n_hers) > 0) {
            bad(story, begin, "a wrong pronoun");
        }
        begin = *stop == '"' ? stop + 1 + strcspn(stop + 1, "\"") + 1 : stop + 1;
    }
}

static void test_english(void **state)
{
    (void)state;
    for (size_t i = 0; i < STORIES; i++) {
        meet_hero(&stories[i]);
    }
    assert_true(n_children > 50);
    for (size_t i = 0; i < STORIES; i++) {
        check_marks(&documents[i]);
        check_articles(&documents[i]);
        check_pronouns(&stories[i]);
    }
}

/* ---- what was said comes back ---- */

static const char *const colors[] = {"red",   "blue",  "green", "yellow", "orange", "purple", "pink",
                                     "brown", "black", "white", "golden", "silver", NULL};

/* "the red kite", "the big red kite": there was a red kite before. */
static void test_memory(void **state)
{
    (void)state;
    size_t n_checked = 0;
    for (size_t i = 0; i < STORIES; i++) {
        const char *at = stories[i].text, *end = at + stories[i].n_bytes;
        word three = {"", 0}, two = three, one = three;
        for (word w = next_word(&at, end); w.n > 0; w = next_word(&at, end)) {
            char phrase[64];
            if ((is(two, "the") || is(three, "the")) && is_one_of(one, colors) &&
                one.text + one.n + 1 == w.text) {
                size_t n = (size_t)(w.text + w.n - one.text);
                snprintf(phrase, sizeof phrase, "%.*s", (int)n, one.text);
                if (strstr(stories[i].text, phrase) == one.text && !is(w, "curtain") && !is(w, "water")) {
                    bad(&stories[i], two.text, "what was never shown");
                }
                n_checked++;
            }
            three = two;
            two = one;
            one = w;
        }
    }
    assert_true(n_checked > STORIES);
}

/* ---- the quiz ---- */

typedef struct tally {
    char text[40];
    size_t count;
} tally;

static void count(tally *tallies, size_t *n, const char *text, size_t n_bytes)
{
    size_t i = 0;
    while (i < *n && (strlen(tallies[i].text) != n_bytes || memcmp(tallies[i].text, text, n_bytes) != 0)) {
        i++;
    }
    if (i == *n) {
        assert_true(n_bytes < sizeof tallies[i].text && *n < 400);
        memcpy(tallies[i].text, text, n_bytes);
        ++*n;
    }
    tallies[i].count++;
}

static void test_quiz(void **state)
{
    (void)state;
    static const char *const kinds[] = {"Who ", "Where ", "What color ", "What did ", "How many "};
    enum { KINDS = 5 };
    static tally tallies[KINDS][400];
    size_t n[KINDS] = {0}, totals[KINDS] = {0};
    for (size_t i = 0; i < QUIZZES; i++) {
        const nb_story *q = &quizzes[i];
        const char *question = strstr(q->text, "\nQuestion: ");
        size_t n_answer = q->answer_end - q->answer_begin;
        assert_non_null(question);
        assert_string_equal(q->text + q->answer_end, ".");
        assert_memory_equal(q->text + q->answer_begin - 9, " Answer: ", 9);
        assert_null(memchr(q->text + q->answer_begin, ' ', n_answer));
        /* the answer's last mention, and nothing of it in the question */
        word answer = {q->text + q->answer_begin, n_answer};
        const char *mention = NULL, *at = q->text, *end = q->text + q->answer_begin;
        for (word w = next_word(&at, end); w.n > 0; w = next_word(&at, end)) {
            if (w.n == answer.n && memcmp(w.text, answer.text, w.n) == 0) {
                mention = w.text;
            }
        }
        if (!mention || mention > question || nb_count_words(mention, (size_t)(end - mention)) <= 40) {
            bad(q, mention ? mention : q->text, "an answer that is not far back");
        }
        size_t kind = 0;
        while (kind < KINDS && strncmp(question + 11, kinds[kind], strlen(kinds[kind])) != 0) {
            kind++;
        }
        assert_true(kind < KINDS);
        count(tallies[kind], &n[kind], answer.text, answer.n);
        totals[kind]++;
    }
    for (size_t kind = 0; kind < KINDS; kind++) {
        assert_true(totals[kind] > QUIZZES / 25);
        for (size_t i = 0; i < n[kind]; i++) {
            if (tallies[kind][i].count * 100 > totals[kind] * 35) {
                fail_msg("%s answers %zu of %zu questions \"%s...\"", tallies[kind][i].text,
                         tallies[kind][i].count, totals[kind], kinds[kind]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_different),
        cmocka_unit_test(test_sizes_and_bits),
        cmocka_unit_test(test_same_everywhere),
        cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_english),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_quiz),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
