#include "text/pretokenizer.h"

#include "base/memory.h"
#include "text/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef NB_HAVE_PCRE2

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* White_Space of the Unicode Standard, for the inside of a class. PCRE2's own \s has U+180E besides. */
#define SPACES    "\\p{Z}\\t-\\r\\x{85}"
#define SPACE     "[" SPACES "]"
#define NOT_SPACE "[^" SPACES "]"
/* A run of spaces leaves its last one to the word after it. */
#define SPACE_RUN SPACE "+(?!" NOT_SPACE ")|" SPACE "+"

#define CONTRACTION "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define WORD        "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SYMBOLS     " ?[^" SPACES "\\p{L}\\p{N}]+[\\r\\n]*"
#define LINES       SPACE "*[\\r\\n]+|" SPACE_RUN
/* Words that end where a small letter is followed by a capital one. */
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CAMEL(end)                                                                                           \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" end "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" end
#define SLASHES " ?[^" SPACES "\\p{L}\\p{N}]+[\\r\\n/]*"

#define GPT2         "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACES "\\p{L}\\p{N}]+|" SPACE_RUN
#define LLAMA3       CONTRACTION "|" WORD "|\\p{N}{1,3}|" SYMBOLS "|" LINES
#define QWEN2        CONTRACTION "|" WORD "|\\p{N}|" SYMBOLS "|" LINES
#define HAN_AND_MORE "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
#define DEEPSEEK_LETTERS                                                                                     \
    "[A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}\\x{295}" \
    "-\\x{2af}"                                                                                              \
    "\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-"   \
    "\\x{3a1}"                                                                                               \
    "\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{"  \
    "13f5}"                                                                                                  \
    "\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{"    \
    "1d79}-"                                                                                                 \
    "\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{"    \
    "1f57}"                                                                                                  \
    "\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}" \
    "-"                                                                                                      \
    "\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{"    \
    "1ff4}"                                                                                                  \
    "\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}" \
    "\\x{2128}"                                                                                              \
    "\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{"     \
    "2183}"                                                                                                  \
    "\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{"     \
    "a66d}"                                                                                                  \
    "\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{"    \
    "fb00}-"                                                                                                 \
    "\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{" \
    "104d3}"                                                                                                 \
    "\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{"    \
    "1e943}]+"

#define MAX_STEPS 6

/* Every step cuts the pieces of the step before: what its pattern matches becomes a piece, and so does what
 * lies between two matches. The patterns are those of the models' own tokenizer.json and of llama.cpp, which
 * agree but for the classes of capital and small letters in tekken and gpt-4o (here they are the models'). */
typedef struct pattern {
    const char *names; /* separated by spaces; the first is the one to show */
    bool ignores_merges;
    const char *steps[MAX_STEPS];
} pattern;

static const pattern patterns[] = {
    {"default", false, {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum modern-bert jina-es "
     "jina-de jina-v2-es jina-v2-de",
     false,
     {GPT2}},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", true, {LLAMA3}},
    {"dbrx smaug-bpe glm4 chatglm-bpe", false, {LLAMA3}},
    {"qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2", false, {QWEN2}},
    {"qwen35",
     false,
     {CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" SPACES
                  "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" LINES}},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", false, {"\\p{N}", GPT2}},
    {"falcon", false, {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {"tekken", true, {CAMEL("") "|\\p{N}|" SLASHES "|" LINES}},
    {"gpt-4o o200k llama4 kanana2 minimax-m2",
     false,
     {CAMEL(CONTRACTION "?") "|\\p{N}{1,3}|" SLASHES "|" LINES}},
    {"deepseek-llm",
     false,
     {"[\\r\\n]", SPACE "?" DEEPSEEK_LETTERS,
      SPACE "?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+",
      SPACE "+\\z", HAN_AND_MORE, "\\p{N}+"}},
    {"deepseek-coder", false, {"[\\r\\n]", SPACE "?\\p{L}+", SPACE "?\\p{P}+", HAN_AND_MORE, "\\p{N}"}},
    {"deepseek-v3 hunyuan-dense joyai-llm",
     false,
     {"\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+",
      "[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
      "?[\\p{P}\\p{S}]+[\\r\\n]*|" LINES}},
    {"seed-coder", false, {CONTRACTION "|" WORD "|\\p{N}| ?[^" SPACES "\\p{L}\\p{N}\\r\\n]+|" LINES}},
    {"bailingmoe bailingmoe2 llada-moe",
     false,
     {"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORD "|\\p{N}|" SYMBOLS "|" SPACE
      "*[\\r\\n]|" SPACE_RUN}},
    {"poro-chat bloom gpt3-finnish",
     false,
     {" ?[^(" SPACES "|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+"}},
    {"viking",
     false,
     {" ?[^(" SPACES "|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+", "\\p{N}"}},
};
#define N_PATTERNS (sizeof patterns / sizeof patterns[0])

struct nb_pretokenizer {
    const pattern *pattern;
    pcre2_match_context *limits;
    pcre2_code *steps[MAX_STEPS];
    size_t n_steps;
};

/* Whether `name` is one of the words of `names`. */
static bool is_among(const char *name, const char *names)
{
    size_t length = strlen(name);
    while (*names) {
        size_t word = strcspn(names, " ");
        if (word == length && memcmp(names, name, length) == 0) {
            return true;
        }
        names += word + (names[word] == ' ');
    }
    return false;
}

static nb_status unknown_name(const char *name, nb_error *error)
{
    char known[256];
    size_t used = 0;
    for (size_t i = 0; i < N_PATTERNS; i++) {
        size_t word = strcspn(patterns[i].names, " ");
        if (used + word + 3 > sizeof known) {
            break;
        }
        memcpy(known + used, patterns[i].names, word);
        memcpy(known + used + word, ", ", 3);
        used += word + 2;
    }
    known[used - 2] = '\0';
    return nb_fail(
        error, NB_ERR_UNSUPPORTED,
        "the vocabulary wants the pre-tokenizer \"%.64s\", which nibble does not know; it knows %s and "
        "those that share their patterns",
        name, known);
}

static nb_status compile_step(nb_pretokenizer *pretokenizer, const char *text, nb_error *error)
{
    int code;
    PCRE2_SIZE where;
    pcre2_code *step =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &where, NULL);
    if (!step) {
        char reason[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "this PCRE2 refuses the pattern of pre-tokenizer \"%.32s\": %s",
                       pretokenizer->pattern->names, reason);
    }
    pcre2_jit_compile(
        step, PCRE2_JIT_COMPLETE); /* where there is no JIT it is interpreted, with the same matches */
    pretokenizer->steps[pretokenizer->n_steps++] = step;
    return NB_OK;
}

nb_status nb_pretokenizer_create(const char *name, nb_pretokenizer **out, nb_error *error)
{
    const pattern *found = NULL;
    for (size_t i = 0; i < N_PATTERNS && !found; i++) {
        found = is_among(name, patterns[i].names) ? &patterns[i] : NULL;
    }
    if (!found) {
        return unknown_name(name, error);
    }
    nb_pretokenizer *made = nb_calloc(1, sizeof *made);
    if (!made || !(made->limits = pcre2_match_context_create(NULL))) {
        nb_pretokenizer_destroy(&made);
        return nb_fail(error, NB_ERR_MEMORY, "there is no memory left for the pre-tokenizer");
    }
    /* The patterns are ours and none backtracks beyond one run of characters: a long run is no reason to
     * stop. */
    pcre2_set_match_limit(made->limits, UINT32_MAX);
    made->pattern = found;
    for (size_t i = 0; i < MAX_STEPS && found->steps[i]; i++) {
        nb_status status = compile_step(made, found->steps[i], error);
        if (status) {
            nb_pretokenizer_destroy(&made);
            return status;
        }
    }
    *out = made;
    return NB_OK;
}

void nb_pretokenizer_destroy(nb_pretokenizer **pretokenizer)
{
    if (!*pretokenizer) {
        return;
    }
    for (size_t i = 0; i < (*pretokenizer)->n_steps; i++) {
        pcre2_code_free((*pretokenizer)->steps[i]);
    }
    pcre2_match_context_free((*pretokenizer)->limits);
    free(*pretokenizer);
    *pretokenizer = NULL;
}

bool nb_pretokenizer_ignores_merges(const nb_pretokenizer *pretokenizer)
{
    return pretokenizer->pattern->ignores_merges;
}

typedef struct splitting {
    const nb_pretokenizer *pretokenizer;
    pcre2_match_data *match;
    nb_pretoken_fn *fn;
    void *user;
} splitting;

static nb_status split_step(const splitting *s, size_t step, const char *text, size_t n, nb_error *error)
{
    if (n == 0) {
        return NB_OK;
    }
    if (step == s->pretokenizer->n_steps) {
        return s->fn(s->user, text, n, error);
    }
    size_t at = 0;
    while (at < n) {
        int found = pcre2_match(s->pretokenizer->steps[step], (PCRE2_SPTR)text, n, at,
                                PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, s->match, s->pretokenizer->limits);
        size_t begin = n, end = n;
        if (found >= 0) {
            const PCRE2_SIZE *range = pcre2_get_ovector_pointer(s->match);
            begin = range[0];
            end = range[1];
        } else if (found != PCRE2_ERROR_NOMATCH) {
            return nb_fail(error, NB_ERR_MEMORY,
                           "splitting this text into words needs more memory than PCRE2 gets "
                           "(its error %d, at byte %zu)",
                           found, at);
        }
        nb_status status = split_step(s, step + 1, text + at, begin - at, error);
        status = status ? status : split_step(s, step + 1, text + begin, end - begin, error);
        if (status) {
            return status;
        }
        at = end;
    }
    return NB_OK;
}

nb_status nb_pretokenizer_split(const nb_pretokenizer *pretokenizer, const char *text, size_t n_bytes,
                                nb_pretoken_fn *fn, void *user, nb_error *error)
{
    splitting s = {pretokenizer, pcre2_match_data_create(1, NULL), fn, user};
    if (!s.match) {
        return nb_fail(error, NB_ERR_MEMORY, "there is no memory left to split this text into words");
    }
    nb_status status = split_step(&s, 0, text, n_bytes, error);
    pcre2_match_data_free(s.match);
    return status;
}

#else

nb_status nb_pretokenizer_create(const char *name, nb_pretokenizer **out, nb_error *error)
{
    (void)out;
    return nb_fail(
        error, NB_ERR_UNSUPPORTED,
        "byte-level BPE (pre-tokenizer \"%.64s\") needs PCRE2, which this nibble was built without: install "
        "libpcre2-dev and build again",
        name);
}

void nb_pretokenizer_destroy(nb_pretokenizer **pretokenizer)
{
    *pretokenizer = NULL;
}

bool nb_pretokenizer_ignores_merges(const nb_pretokenizer *pretokenizer)
{
    (void)pretokenizer;
    return false;
}

nb_status nb_pretokenizer_split(const nb_pretokenizer *pretokenizer, const char *text, size_t n_bytes,
                                nb_pretoken_fn *fn, void *user, nb_error *error)
{
    (void)pretokenizer, (void)error;
    return fn(user, text, n_bytes, error);
}

#endif

nb_status nb_pretokenizer_split_bytes(const nb_pretokenizer *pretokenizer, const char *text, size_t n_bytes,
                                      nb_pretoken_fn *fn, void *user, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t at = 0; at < n_bytes && status == NB_OK;) {
        size_t valid = nb_utf8_valid_prefix(text + at, n_bytes - at);
        if (valid > 0) {
            status = nb_pretokenizer_split(pretokenizer, text + at, valid, fn, user, error);
            at += valid;
            continue;
        }
        size_t invalid = 1;
        while (at + invalid < n_bytes && nb_utf8_sequence(text + at + invalid, n_bytes - at - invalid) == 0) {
            invalid++;
        }
        status = fn(user, text + at, invalid, error);
        at += invalid;
    }
    return status;
}
