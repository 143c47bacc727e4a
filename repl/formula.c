#include "repl/formula.h"

#include "repl/utf8.h"

#include <string.h>

typedef enum sign_kind {
    SIGN_PLAIN,
    SIGN_BINARY,   /* blanks around it, none where it is a sign of a number */
    SIGN_RELATION, /* blanks around it */
    SIGN_WORD,     /* log, max: a blank before letters and numbers, not before brackets */
    SIGN_SUM,      /* a blank after it and its limits */
    SIGN_OPEN,
    SIGN_BLANK,
} sign_kind;

typedef struct sign {
    const char *name, *text, *ascii;
    sign_kind kind;
} sign;

static const sign signs[] = {
    {"alpha", "α", "alpha", SIGN_PLAIN},
    {"beta", "β", "beta", SIGN_PLAIN},
    {"gamma", "γ", "gamma", SIGN_PLAIN},
    {"delta", "δ", "delta", SIGN_PLAIN},
    {"Delta", "Δ", "Delta", SIGN_PLAIN},
    {"epsilon", "ε", "epsilon", SIGN_PLAIN},
    {"varepsilon", "ε", "epsilon", SIGN_PLAIN},
    {"eta", "η", "eta", SIGN_PLAIN},
    {"theta", "θ", "theta", SIGN_PLAIN},
    {"lambda", "λ", "lambda", SIGN_PLAIN},
    {"Lambda", "Λ", "Lambda", SIGN_PLAIN},
    {"mu", "μ", "mu", SIGN_PLAIN},
    {"nu", "ν", "nu", SIGN_PLAIN},
    {"pi", "π", "pi", SIGN_PLAIN},
    {"rho", "ρ", "rho", SIGN_PLAIN},
    {"sigma", "σ", "sigma", SIGN_PLAIN},
    {"Sigma", "Σ", "Sigma", SIGN_PLAIN},
    {"tau", "τ", "tau", SIGN_PLAIN},
    {"phi", "φ", "phi", SIGN_PLAIN},
    {"varphi", "φ", "phi", SIGN_PLAIN},
    {"chi", "χ", "chi", SIGN_PLAIN},
    {"psi", "ψ", "psi", SIGN_PLAIN},
    {"omega", "ω", "omega", SIGN_PLAIN},
    {"Omega", "Ω", "Omega", SIGN_PLAIN},
    {"infty", "∞", "inf", SIGN_PLAIN},
    {"partial", "∂", "d", SIGN_PLAIN},
    {"nabla", "∇", "grad ", SIGN_PLAIN},
    {"ldots", "…", "...", SIGN_PLAIN},
    {"dots", "…", "...", SIGN_PLAIN},
    {"cdots", "⋯", "...", SIGN_PLAIN},
    {"prime", "′", "'", SIGN_PLAIN},
    {"lfloor", "⌊", "floor(", SIGN_OPEN},
    {"rfloor", "⌋", ")", SIGN_PLAIN},
    {"lceil", "⌈", "ceil(", SIGN_OPEN},
    {"rceil", "⌉", ")", SIGN_PLAIN},
    {"lvert", "|", "|", SIGN_OPEN},
    {"rvert", "|", "|", SIGN_PLAIN},
    {"lVert", "‖", "||", SIGN_OPEN},
    {"rVert", "‖", "||", SIGN_PLAIN},
    {"|", "‖", "||", SIGN_PLAIN},
    {"{", "{", "{", SIGN_OPEN},
    {"}", "}", "}", SIGN_PLAIN},
    {"%", "%", "%", SIGN_PLAIN},
    {"_", "_", "_", SIGN_PLAIN},
    {"#", "#", "#", SIGN_PLAIN},
    {"&", "&", "&", SIGN_PLAIN},
    {"$", "$", "$", SIGN_PLAIN},
    {"+", "+", "+", SIGN_BINARY},
    {"-", "−", "-", SIGN_BINARY},
    {"cdot", "·", "*", SIGN_BINARY},
    {"times", "×", "x", SIGN_BINARY},
    {"div", "÷", "/", SIGN_BINARY},
    {"pm", "±", "+-", SIGN_BINARY},
    {"odot", "⊙", "(.)", SIGN_BINARY},
    {"circ", "∘", "o", SIGN_BINARY},
    {"ast", "∗", "*", SIGN_BINARY},
    {"bmod", "mod", "mod", SIGN_RELATION},
    {"=", "=", "=", SIGN_RELATION},
    {"<", "<", "<", SIGN_RELATION},
    {">", ">", ">", SIGN_RELATION},
    {"le", "≤", "<=", SIGN_RELATION},
    {"leq", "≤", "<=", SIGN_RELATION},
    {"ge", "≥", ">=", SIGN_RELATION},
    {"geq", "≥", ">=", SIGN_RELATION},
    {"ll", "≪", "<<", SIGN_RELATION},
    {"gg", "≫", ">>", SIGN_RELATION},
    {"ne", "≠", "!=", SIGN_RELATION},
    {"neq", "≠", "!=", SIGN_RELATION},
    {"approx", "≈", "~=", SIGN_RELATION},
    {"equiv", "≡", "==", SIGN_RELATION},
    {"sim", "∼", "~", SIGN_RELATION},
    {"propto", "∝", "~", SIGN_RELATION},
    {"in", "∈", "in", SIGN_RELATION},
    {"to", "→", "->", SIGN_RELATION},
    {"rightarrow", "→", "->", SIGN_RELATION},
    {"Rightarrow", "⇒", "=>", SIGN_RELATION},
    {"leftarrow", "←", "<-", SIGN_RELATION},
    {"mapsto", "↦", "->", SIGN_RELATION},
    {"mid", "|", "|", SIGN_RELATION},
    {"sum", "∑", "sum", SIGN_SUM},
    {"prod", "∏", "prod", SIGN_SUM},
    {"int", "∫", "int", SIGN_SUM},
    {"log", "log", "log", SIGN_WORD},
    {"ln", "ln", "ln", SIGN_WORD},
    {"exp", "exp", "exp", SIGN_WORD},
    {"max", "max", "max", SIGN_WORD},
    {"min", "min", "min", SIGN_WORD},
    {"arg", "arg", "arg", SIGN_WORD},
    {"sin", "sin", "sin", SIGN_WORD},
    {"cos", "cos", "cos", SIGN_WORD},
    {"tanh", "tanh", "tanh", SIGN_WORD},
    {",", "", "", SIGN_BLANK},
    {":", " ", " ", SIGN_BLANK},
    {";", " ", " ", SIGN_BLANK},
    {"!", "", "", SIGN_BLANK},
    {" ", " ", " ", SIGN_BLANK},
    {"quad", "   ", "   ", SIGN_BLANK},
    {"qquad", "     ", "     ", SIGN_BLANK},
    {"\\", ";  ", ";  ", SIGN_BLANK},
};

/* Commands that say how what follows is set, which plain text does not show. */
static const char *const silent[] = {"left",   "right",  "big",     "Big",          "bigl",         "bigr",
                                     "Bigl",   "Bigr",   "limits",  "displaystyle", "mathbf",       "mathrm",
                                     "mathit", "mathsf", "mathcal", "boldsymbol",   "operatorname", "bm"};

typedef struct formula {
    const char *at, *end;
    bool utf8, tight; /* tight: no blanks, inside an index */
    enum { NO_BLANK, BEFORE_LETTERS, BEFORE_ALL } blank_due;
    int depth;
    nb_draft *out;
} formula;

enum { DEEPEST = 24 };

static void translate(formula *f);

/* ---- writing ---- */

static char last_byte(const formula *f)
{
    return f->out->n_bytes ? f->out->text[f->out->n_bytes - 1] : '\0';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_alnum(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
}

static void put_blank(formula *f)
{
    if (!f->tight && f->out->n_bytes && last_byte(f) != ' ')
        nb_draft_add(f->out, " ");
}

static void put(formula *f, const char *text, size_t n)
{
    const bool is_text = n == 0 || is_alnum(*text) || (unsigned char)*text >= 0x80;
    if (f->blank_due == BEFORE_ALL || (f->blank_due == BEFORE_LETTERS && is_text))
        put_blank(f);
    f->blank_due = NO_BLANK;
    nb_draft_append(f->out, text, n);
}

/* A word of several letters stands apart from letters beside it. */
static void put_word(formula *f, const char *word)
{
    const bool is_word = is_alnum(word[0]) && word[1];
    if (is_word && is_alnum(last_byte(f)))
        put_blank(f);
    put(f, word, strlen(word));
    if (is_word)
        f->blank_due = is_alnum(word[strlen(word) - 1]) ? BEFORE_LETTERS : NO_BLANK;
}

static bool inside_bars(const formula *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->out->n_bytes; i++)
        n += f->out->text[i] == '|';
    return n % 2 == 1;
}

/* Whether something stands before, that a plus or minus would join to what follows. */
static bool has_left_side(const formula *f)
{
    const char last = last_byte(f);
    if (last == '|')
        return !inside_bars(f);
    return last && !strchr("([{ ", last);
}

static void put_sign(formula *f, const sign *s)
{
    const char *text = f->utf8 ? s->text : s->ascii;
    switch (s->kind) {
    case SIGN_PLAIN:
        put_word(f, text);
        break;
    case SIGN_OPEN:
        put(f, text, strlen(text));
        break;
    case SIGN_WORD:
    case SIGN_SUM:
        if (is_alnum(last_byte(f)) || last_byte(f) == ')')
            put_blank(f);
        put(f, text, strlen(text));
        f->blank_due = s->kind == SIGN_SUM ? BEFORE_ALL : BEFORE_LETTERS;
        break;
    case SIGN_BLANK:
        if (strcmp(text, " ") == 0)
            put_blank(f);
        else if (!f->tight)
            nb_draft_add(f->out, text);
        break;
    case SIGN_BINARY:
    case SIGN_RELATION:
        f->blank_due = NO_BLANK;
        if (s->kind == SIGN_BINARY && !has_left_side(f)) {
            nb_draft_add(f->out, text);
            break;
        }
        put_blank(f);
        nb_draft_add(f->out, text);
        put_blank(f);
        break;
    }
}

static const sign *find_sign(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (strncmp(signs[i].name, name, n) == 0 && signs[i].name[n] == '\0')
            return &signs[i];
    }
    return NULL;
}

/* ---- reading ---- */

static void skip_blanks(formula *f)
{
    while (f->at < f->end && strchr(" \t\n\r", *f->at) && *f->at)
        f->at++;
}

static size_t name_length(const char *at, const char *end)
{
    size_t n = 0;
    while (at + n < end && is_letter(at[n]))
        n++;
    return n ? n : at < end;
}

/* The next {group}, command or character, without its braces. */
static formula take_argument(formula *f)
{
    skip_blanks(f);
    formula argument = *f;
    size_t depth = 0, used = 1;
    if (f->at < f->end && *f->at == '{') {
        argument.at = ++f->at;
        while (f->at < f->end && (depth || *f->at != '}')) {
            depth += *f->at == '{';
            depth -= *f->at == '}';
            f->at++;
        }
        argument.end = f->at;
        f->at += f->at < f->end;
        return argument;
    }
    if (f->at < f->end && *f->at == '\\')
        used = 1 + name_length(f->at + 1, f->end);
    else if (f->at < f->end)
        nb_utf8_decode(f->at, (size_t)(f->end - f->at), &used);
    f->at = used < (size_t)(f->end - f->at) ? f->at + used : f->end;
    argument.end = f->at;
    return argument;
}

/* An argument as text of its own. */
static nb_draft read_argument(formula *f, bool tight)
{
    nb_draft text = {0};
    formula argument = take_argument(f);
    argument.out = &text;
    argument.tight = tight;
    argument.blank_due = NO_BLANK;
    argument.depth++;
    if (argument.depth < DEEPEST)
        translate(&argument);
    else
        nb_draft_append(&text, argument.at, (size_t)(argument.end - argument.at));
    f->out->failed |= text.failed;
    return text;
}

/* ---- indices, fractions, roots, accents ---- */

typedef struct raised {
    char plain;
    const char *above, *below;
} raised;

static const raised small_letters[] = {
    {'0', "⁰", "₀"}, {'1', "¹", "₁"},  {'2', "²", "₂"},  {'3', "³", "₃"},  {'4', "⁴", "₄"},  {'5', "⁵", "₅"},
    {'6', "⁶", "₆"}, {'7', "⁷", "₇"},  {'8', "⁸", "₈"},  {'9', "⁹", "₉"},  {'+', "⁺", "₊"},  {'=', "⁼", "₌"},
    {'(', "⁽", "₍"}, {')', "⁾", "₎"},  {'a', "ᵃ", "ₐ"},  {'b', "ᵇ", NULL}, {'c', "ᶜ", NULL}, {'d', "ᵈ", NULL},
    {'e', "ᵉ", "ₑ"}, {'f', "ᶠ", NULL}, {'g', "ᵍ", NULL}, {'h', "ʰ", "ₕ"},  {'i', "ⁱ", "ᵢ"},  {'j', "ʲ", "ⱼ"},
    {'k', "ᵏ", "ₖ"}, {'l', "ˡ", "ₗ"},  {'m', "ᵐ", "ₘ"},  {'n', "ⁿ", "ₙ"},  {'o', "ᵒ", "ₒ"},  {'p', "ᵖ", "ₚ"},
    {'r', "ʳ", "ᵣ"}, {'s', "ˢ", "ₛ"},  {'t', "ᵗ", "ₜ"},  {'u', "ᵘ", "ᵤ"},  {'v', "ᵛ", "ᵥ"},  {'w', "ʷ", NULL},
    {'x', "ˣ", "ₓ"}, {'y', "ʸ", NULL}, {'z', "ᶻ", NULL}, {'T', "ᵀ", NULL}};

static const char *small_letter(const char *text, size_t n, bool above)
{
    static const char minus[] = "−";
    if (n == sizeof minus - 1 && memcmp(text, minus, n) == 0)
        return above ? "⁻" : "₋";
    for (size_t i = 0; n == 1 && i < sizeof small_letters / sizeof *small_letters; i++) {
        if (small_letters[i].plain == *text)
            return above ? small_letters[i].above : small_letters[i].below;
    }
    return NULL;
}

/* Appends small letters if every one of them exists. */
static bool put_small(nb_draft *out, const char *text, size_t n, bool above)
{
    size_t before = out->n_bytes, used;
    for (size_t i = 0; i < n; i += used) {
        nb_utf8_decode(text + i, n - i, &used);
        const char *small = small_letter(text + i, used, above);
        if (!small) {
            out->n_bytes = before;
            if (out->text)
                out->text[before] = '\0';
            return false;
        }
        nb_draft_add(out, small);
    }
    return true;
}

static void put_script(formula *f, bool above)
{
    nb_draft script = read_argument(f, true);
    const char *text = nb_draft_text(&script);
    const size_t n = script.n_bytes;
    /* Whole words are hard to read so small. */
    const bool is_word = n > 3 && is_letter(text[0]) && strspn(text, "abcdefghijklmnopqrstuvwxyz") == n;
    if (n && !(f->utf8 && !is_word && put_small(f->out, text, n, above))) {
        bool one_word = true;
        for (size_t i = 0; i < n; i++)
            one_word = one_word && (is_alnum(text[i]) || (unsigned char)text[i] >= 0x80);
        const bool bare = one_word && (!above || nb_utf8_width(text, n) == 1);
        nb_draft_addf(f->out, bare ? "%s%s" : "%s(%s)", above ? "^" : "_", text);
    }
    nb_draft_free(&script);
}

/* Whether a numerator or denominator needs no brackets: no blank and no stroke outside of brackets. */
static bool stands_alone(const char *text)
{
    int depth = 0;
    for (const char *c = text; *c; c++) {
        depth += *c == '(' || *c == '[';
        depth -= *c == ')' || *c == ']';
        if (depth == 0 && (*c == ' ' || *c == '/'))
            return false;
    }
    return true;
}

static void put_part(formula *f, const char *text)
{
    const bool alone = stands_alone(text);
    nb_draft_addf(f->out, alone ? "%s" : "(%s)", text);
}

static void put_fraction(formula *f)
{
    nb_draft above = read_argument(f, f->tight), below = read_argument(f, f->tight);
    if (is_alnum(last_byte(f)) || last_byte(f) == ')')
        f->blank_due = BEFORE_ALL;
    put(f, "", 0);
    put_part(f, nb_draft_text(&above));
    nb_draft_add(f->out, "/");
    put_part(f, nb_draft_text(&below));
    nb_draft_free(&above);
    nb_draft_free(&below);
}

static void put_root(formula *f)
{
    nb_draft inside = read_argument(f, f->tight);
    const char *text = nb_draft_text(&inside);
    const bool bare = f->utf8 && stands_alone(text) && nb_utf8_width(text, inside.n_bytes) <= 2;
    put_word(f, f->utf8 ? "√" : "sqrt");
    f->blank_due = NO_BLANK;
    nb_draft_addf(f->out, bare ? "%s" : "(%s)", text);
    nb_draft_free(&inside);
}

/* x-hat: a mark over one letter, a word beside longer things. */
static void put_accent(formula *f, const char *name, const char *mark)
{
    nb_draft inside = read_argument(f, true);
    const char *text = nb_draft_text(&inside);
    const bool one = nb_utf8_width(text, inside.n_bytes) == 1;
    put(f, "", 0);
    if (one && f->utf8)
        nb_draft_addf(f->out, "%s%s", text, mark);
    else if (one)
        nb_draft_addf(f->out, "%s_%s", text, name);
    else
        nb_draft_addf(f->out, "%s(%s)", name, text);
    nb_draft_free(&inside);
}

/* ---- commands ---- */

static bool is_silent(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        if (strncmp(silent[i], name, n) == 0 && silent[i][n] == '\0')
            return true;
    }
    return false;
}

static bool is_name(const char *name, size_t n, const char *wanted)
{
    return strlen(wanted) == n && memcmp(name, wanted, n) == 0;
}

/* A floor's bracket that a ceiling's closes is the usual sign for rounding to nearest. */
static bool closes_as_ceiling(const formula *f)
{
    int depth = 1;
    for (const char *at = f->at; at < f->end; at++) {
        const size_t n = (size_t)(f->end - at);
        const bool ceiling = n >= 6 && memcmp(at, "\\rceil", 6) == 0,
                   floor = n >= 7 && memcmp(at, "\\rfloor", 7) == 0;
        depth += n >= 7 && memcmp(at, "\\lfloor", 7) == 0;
        depth -= ceiling || floor;
        if (depth == 0)
            return ceiling;
    }
    return false;
}

static void read_command(formula *f)
{
    const char *name = f->at;
    const size_t n = name_length(f->at, f->end);
    f->at += n;
    const sign *s = find_sign(name, n);
    if (s && !f->utf8 && is_name(name, n, "lfloor") && closes_as_ceiling(f)) {
        put(f, "round(", 6);
    } else if (s) {
        put_sign(f, s);
    } else if (is_name(name, n, "frac") || is_name(name, n, "dfrac") || is_name(name, n, "tfrac")) {
        put_fraction(f);
    } else if (is_name(name, n, "sqrt")) {
        put_root(f);
    } else if (is_name(name, n, "hat") || is_name(name, n, "widehat")) {
        put_accent(f, "hat", "\u0302");
    } else if (is_name(name, n, "bar") || is_name(name, n, "overline")) {
        put_accent(f, "bar", "\u0304");
    } else if (is_name(name, n, "tilde")) {
        put_accent(f, "tilde", "\u0303");
    } else if (is_name(name, n, "text") || is_name(name, n, "textrm")) {
        formula words = take_argument(f);
        if (is_alnum(last_byte(f)) && words.at < words.end && is_alnum(*words.at))
            put_blank(f);
        put(f, words.at, (size_t)(words.end - words.at));
    } else if (is_name(name, n, "mathbb")) {
        formula letter = take_argument(f);
        const bool real = f->utf8 && is_name(letter.at, (size_t)(letter.end - letter.at), "R");
        put(f, real ? "ℝ" : letter.at, real ? strlen("ℝ") : (size_t)(letter.end - letter.at));
    } else if (is_name(name, n, "begin") || is_name(name, n, "end")) {
        take_argument(f);
    } else if (is_silent(name, n)) {
        skip_blanks(f);
        if (f->at < f->end && *f->at == '.' && (is_name(name, n, "left") || is_name(name, n, "right")))
            f->at++; /* a bracket that is not drawn */
    } else {
        nb_draft word = {0};
        nb_draft_append(&word, name, n);
        put_word(f, nb_draft_text(&word));
        nb_draft_free(&word);
    }
}

static void read_character(formula *f)
{
    size_t used;
    nb_utf8_decode(f->at, (size_t)(f->end - f->at), &used);
    const sign *s = used == 1 && strchr("+-=<>", *f->at) ? find_sign(f->at, 1) : NULL;
    const char *from = f->at;
    f->at += used;
    if (s) {
        put_sign(f, s);
    } else if (*from == ',') {
        f->blank_due = NO_BLANK;
        nb_draft_add(f->out, f->tight ? "," : ", ");
    } else if (*from == '\'') {
        nb_draft_add(f->out, f->utf8 ? "′" : "'");
    } else if (*from == '~') {
        put_blank(f);
    } else if (*from != '&' && (unsigned char)*from >= 0x20) {
        put(f, from, used);
    }
}

static void translate(formula *f)
{
    for (;;) {
        skip_blanks(f);
        if (f->at >= f->end)
            return;
        const char c = *f->at;
        if (c == '\\') {
            f->at++;
            read_command(f);
        } else if (c == '^' || c == '_') {
            f->at++;
            put_script(f, c == '^');
        } else if (c == '{') {
            nb_draft group = read_argument(f, f->tight);
            put(f, nb_draft_text(&group), group.n_bytes);
            nb_draft_free(&group);
        } else if (c == '}') {
            f->at++;
        } else {
            read_character(f);
        }
    }
}

void nb_formula(const char *latex, size_t n, bool utf8, nb_draft *out)
{
    nb_draft text = {0};
    formula f = {.at = latex, .end = latex + n, .utf8 = utf8, .out = &text};
    translate(&f);
    while (text.n_bytes && text.text[text.n_bytes - 1] == ' ')
        text.n_bytes--;
    nb_draft_append(out, nb_draft_text(&text), text.n_bytes);
    out->failed |= text.failed;
    nb_draft_free(&text);
}
