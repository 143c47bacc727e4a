/* The language as it is typed. Results were worked out by hand or are those of Python and numpy. */
#include "repl/language/language.h"
#include "repl/parse.h"
#include "tests/support/cells.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static void test_numbers(void **state)
{
    cells *c = *state;
    gives(c, "1e-3", "0.001");
    gives(c, "0x1f", "31");
    gives(c, "0b1010", "10");
    gives(c, "1_000_000", "1000000");
    gives(c, ".5 + 1.", "1.5");
    gives(c, "2^53", "9007199254740992"); /* Python's 2**53 */
    gives(c, "1/3", "0.33333333");
    gives(c, "1e300 * 1e300", "inf");
    gives(c, "-0.0", "0");
    gives(c, "pi", "3.1415927");
    gives(c, "true + True", "2");
    refuses(c, "12abc", "letters follow a number");
    refuses(c, "1.2.3", "should stand here, not .3");
    refuses(c, "0x", "letters follow");
    refuses(c, "0xfffffffffffffffff", "no number that can be read");
}

static void test_operators(void **state)
{
    cells *c = *state;
    gives(c, "2 + 3 * 4", "14");
    gives(c, "-2^2", "-4");
    gives(c, "2^-1", "0.5");
    gives(c, "2^3^2", "512");
    gives(c, "2**10", "1024");
    gives(c, "7 // 2", "3");
    gives(c, "-7 // 2", "-4"); /* as Python's */
    gives(c, "-7 % 3", "2");
    gives(c, "7 % -3", "-2");
    gives(c, "10 - 2 - 3", "5");
    gives(c, "100 / 10 / 5", "2");
    gives(c, "--3", "3");
    gives(c, "1 < 2", "1");
    gives(c, "1 == 2 or 3 > 2 and not 0", "1");
    gives(c, "not 1 == 2", "1");
    gives(c, "0 and nothing_of_that_name", "0"); /* never looked at */
    gives(c, "1 or nothing_of_that_name", "1");
    gives(c, "3 \xc3\x97 4 \xe2\x88\x92 1", "11"); /* the signs of pasted text */
    gives(c, "3 \xe2\x89\xa4 4", "1");
    refuses(c, "1 < 2 < 3", "comparisons do not chain");
}

/* x == y +- t: equal, or no farther apart than t. Elsewhere +- is a plus and a sign. */
static void test_tolerance(void **state)
{
    cells *c = *state;
    gives(c, "1 == 1.0009 +- 1e-3", "1");
    gives(c, "1 == 1.0011 +- 1e-3", "0");
    gives(c, "1 == 1.0009 \xc2\xb1 1e-3", "1");
    gives(c, "1 != 1.0009 +- 1e-3", "0");
    gives(c, "1 == 1.5 +- 0.5", "1");
    gives(c, "[1, 2] == [1.5, 2.75] +- 0.5", "[1, 0]");
    gives(c, "inf == inf +- 1", "1");
    gives(c, "nan == nan +- 1", "0");
    gives(c, "[1, 2, 3] == [1.05, 2.2, 3] +- 0.1", "[1, 0, 1]");
    gives(c, "5.4 / 127 == 0.04252 +- 1e-6 and 1", "1");
    gives(c, "3 +- 2", "1");
    gives(c, "(3 +- 2) == 1 +- 0.1", "1");
    gives(c, "7 == (3 +- 2) + 6 +- 0", "1");
}

static void test_text(void **state)
{
    cells *c = *state;
    gives(c, "\"a\" + 'b'", "\"ab\"");
    gives(c, "\"tab\\tend\" == 'tab\tend'", "1");
    gives(c, "\"a\" == \"b\"", "0");
    gives(c, "\"a\" != 3", "1");
    gives(c, "len(\"four\")", "4");
    gives(c, "\"blk.\" + str(3)", "\"blk.3\"");
    refuses(c, "\"a\" + 3", "str(x) makes text of a number");
    refuses(c, "\"open", "a quote is opened here and never closed");
}

static void test_arrays(void **state)
{
    cells *c = *state;
    gives(c, "[1, 2] + [10, 20]", "[11, 22]");
    gives(c, "[[1, 2], [3, 4]] * [10, 100]", "[[ 10, 200],\n [ 30, 400]]");
    gives(c, "[[1], [2]] + [10, 20, 30]", "[[11, 21, 31],\n [12, 22, 32]]");
    gives(c, "[[1, 2], [3, 4]] @ [1, 1]", "[3, 7]");
    gives(c, "-[1, -2]", "[-1, 2]");
    gives(c, "[5, -7] // 2", "[2, -4]");
    gives(c, "[1, 2, 3] > 1", "[0, 1, 1]");
    gives(c, "[1, 0] and [1, 1]", "[1, 0]");
    gives(c, "not [1, 0]", "[0, 1]");
    gives(c, "[]", "[]");
    gives(c, "[[1, 2], [3, 4]] == [[1, 2], [3, 5]]", "[[1, 1],\n [1, 0]]");
    /* arithmetic is f32's: 16777216 + 1 is 16777216 there, and a number alone is f64 */
    gives(c, "[16777216] + 1", "[16777216]");
    gives(c, "16777216 + 1", "16777217");
    /* a number beside an array is rounded to f32 first: 0.1f * 10f is 1 exactly */
    gives(c, "([0.1] - 0.1)[0]", "0");
    refuses(c, "[1, 2, 3] + [1, 2]", "add: 3 and 2");
    refuses(c, "[[1, 2], [3]]", "the first is 2 and number 2 is 1");
    refuses(c, "[1, [2, 3]]", "not both");
    refuses(c, "[[1, 2]] @ [[1, 2]]", "1 x 2");
    refuses(c, "[[[[[1]]]]]", "at most 4 dimensions");
    refuses(c, "3 @ 4", "@ multiplies two arrays");
}

/* Beside numpy: W = np.arange(12).reshape(3, 4). */
static void test_parts(void **state)
{
    cells *c = *state;
    cells_run(c, "W = reshape(range(12), 3, 4); x = [5, 6, 7, 8]");
    gives(c, "W[0]", "[0, 1, 2, 3]");
    gives(c, "W[-1]", "[8, 9, 10, 11]");
    gives(c, "W[1, 2]", "6");
    gives(c, "W[0:2, 1:3]", "[[1, 2],\n [5, 6]]");
    gives(c, "W[:, 1]", "[1, 5, 9]");
    gives(c, "W[::-1, 0]", "[8, 4, 0]");
    gives(c, "W[:, ::2][1]", "[4, 6]");
    gives(c, "x[1:]", "[6, 7, 8]");
    gives(c, "x[:-1]", "[5, 6, 7]");
    gives(c, "x[9:]", "[]");
    gives(c, "x[x > 6]", "[7, 8]");
    gives(c, "W[W % 2 == 1]", "[1, 3, 5, 7, 9, 11]");
    gives(c, "x[[3, 0, -1]]", "[8, 5, 8]");
    gives(c, "x[[0, 1, 1, 0]]", "[5, 6, 6, 5]"); /* indices, not a mask: nothing was compared */
    gives(c, "W[[2, 0]]", "[[ 8,  9, 10, 11],\n [ 0,  1,  2,  3]]");
    gives(c, "W[:, [3, 0]]", "[[ 3,  0],\n [ 7,  4],\n [11,  8]]");
    gives(c, "W[[1, 0, 1] == 1]", "[[ 0,  1,  2,  3],\n [ 8,  9, 10, 11]]");
    gives(c, "W[1, [0, 0, 1, 1] == 1]", "[6, 7]");
    gives(c, "x[argsort(-x)]", "[8, 7, 6, 5]");
    gives(c, "(x > 5) * (x < 8)", "[0, 1, 1, 0]");
    gives(c, "x[(x > 5) * (x < 8)]", "[6, 7]"); /* a product of masks is a mask */
    refuses(c, "x[4]", "4");
    refuses(c, "x[0.5]", "an index is a whole number");
    refuses(c, "x[0, 0]", "2 indices are too many");
    refuses(c, "x[\"a\"]", "an index is a whole number, not text");
    refuses(c, "x[::0]", "step");
    refuses(c, "W[[0, 1], [0, 1]]", "only one of the indices");
    refuses(c, "3[0]", "not of a number");
}

static void test_assignment(void **state)
{
    cells *c = *state;
    gives(c, "x = [1, 2, 3]; y = x; x[0] = 7; x", "[7, 2, 3]");
    gives(c, "y", "[1, 2, 3]"); /* y kept what it was given */
    gives(c, "x[-1] += 10; x", "[7, 2, 13]");
    gives(c, "x[x > 5] = 0; x", "[0, 2, 0]");
    gives(c, "x[x == 0] = [8, 9]; x", "[8, 2, 9]");
    gives(c, "x[[2, 0]] = [1, 5]; x", "[5, 2, 1]");
    gives(c, "W = zeros(2, 3); W[1] = [1, 2, 3]; W[:, 0] = 9; W", "[[9, 0, 0],\n [9, 2, 3]]");
    gives(c, "W[[0, 1] == 1] = [4, 5, 6]; W", "[[9, 0, 0],\n [4, 5, 6]]");
    gives(c, "a, b = [10, 20]; b, a", "20, 10");
    gives(c, "a, b = b, a; a - b", "10");
    gives(c, "_, edges = histogram([1, 2, 3], 2); edges", "[1, 2, 3]");
    gives(c, "n = 3; n += 2; n *= 4; n -= 1; n /= 2; n", "9.5");
    refuses(c, "x[0] = \"a\"", "takes numbers, not text");
    refuses(c, "x[0:2] = [1, 2, 3]", "3");
    refuses(c, "a, b = [1, 2, 3]", "2 names are given an array of 3");
    refuses(c, "3 = x", "only a name");
    refuses(c, "x + 1 = 3", "only a name");
    refuses(c, "_3 = 2", "the result of a cell");
    refuses(c, "blk.0.attn_q = 3", "a tensor's name");
    refuses(c, "if = 3", "should stand here");
    refuses(c, "undefined_thing[0] = 1", "nothing is called");
}

static void test_control(void **state)
{
    cells *c = *state;
    gives(c,
          "total = 0\n"
          "for i in range(10)\n"
          "  if i == 3: continue\n"
          "  end\n"
          "  if i == 7\n"
          "    break\n"
          "  elif i % 2 == 0\n"
          "    total += i\n"
          "  else\n"
          "    total += 100\n"
          "  end\n"
          "end\n"
          "total",
          "212"); /* 0 + 2 + 4 + 6, and 100 for 1 and 5 */
    gives(c,
          "n = 27; steps = 0\nwhile n != 1\n  n = where(n % 2 == 1, 3 * n + 1, n / 2)\n  steps += "
          "1\nend\nsteps",
          "111"); /* the Collatz sequence of 27 */
    gives(c, "s = 0; for row in [[1, 2], [3, 4]]; s += row[1]; end; s", "6");
    gives(c, "s = \"\"; for name in [\"a\", \"b\"]; s = s + name; end; s", "\"ab\"");
    refuses(c, "if [1, 2] > 1; x = 1; end", "any(...) or all(...)");
    refuses(c, "for i in 3; end", "range(n) counts");
    refuses(c, "if x = 3\n x = 1\nend", "== compares");
    refuses(c, "break", "inside a loop");
    refuses(c, "return 3", "inside a function");
    refuses(c, "while 1\n x = 1", "this while has no end");
    refuses(c, "end", "closes nothing");
    refuses(c, "if 1\n x = 1\nelse if 2\n x = 2\nend\nend", "elif");
}

static void test_functions(void **state)
{
    cells *c = *state;
    gives(c, "def absmax(x, bits=8) = round(x / (max(abs(x)) / (2^(bits-1) - 1)))\nabsmax([1, -2, 4])",
          "[32, -64, 127]");
    gives(c, "absmax([1, -2, 4], bits=4)", "[2, -3, 7]");  /* f32: -2 / 0.5714286 is just above -3.5 */
    gives(c, "absmax(bits=2, x=[1, -2, 4])", "[0, 0, 1]"); /* -0.5 rounds to even */
    gives(c,
          "def factorial(n)\n  if n <= 1\n    return 1\n  end\n  return n * factorial(n - "
          "1)\nend\nfactorial(17)",
          "355687428096000");
    gives(c, "def both(x)\n  return min(x), max(x)\nend\nlow, high = both([3, 1, 2]); high - low", "2");
    gives(c, "def last(x, at=len(x) - 1) = x[at]\nlast([4, 5, 6])",
          "6"); /* a default may speak of what came before */
    /* what happens in a function stays there */
    gives(c, "x = [1, 2]; def change(y)\n x[0] = 9\n y[0] = 9\n return x\nend\nchange(x)", "[9, 2]");
    gives(c, "x", "[1, 2]");
    gives(c, "def twice(f, x) = f(f(x))\ntwice(sqrt, 16)", "2");
    gives(c, "bits = 4; max = 3; max(bits, 1)", "4"); /* a number does not hide a function */
    says(c, "def quiet(x)\n  y = x\nend\nquiet(3)", "");
    assert_string_equal(nb_draft_text(&c->shown), "");
    refuses(c, "y = quiet(3)", "the function returned nothing");
    refuses(c, "absmax()", "absmax is called without \"x\": it is absmax(x, bits=)");
    refuses(c, "absmax(1, 2, 3)", "takes 2 arguments, not 3");
    refuses(c, "absmax([1], bit=3)", "has no \"bit\"");
    refuses(c, "absmax([1], x=3)", "is given twice");
    refuses(c, "absmax(x=1, 2)", "come after those without");
    refuses(c, "def f(x, x) = 1", "two parameters are called x");
    refuses(c, "def f(x=1, y) = 1", "without a default come before");
    refuses(c, "def f(x)\n def g(y) = 1\nend", "inside another");
    refuses(c, "bits(3)(4)", "only a name can be called");
    refuses(c, "x = 3; x(4)", "cannot be called");
    refuses(c, "absmx([1])", "did you mean absmax?");
    refuses(c, "x.shape", "functions stand alone here: shape(x), not x.shape");
    refuses(c, "np.round(2.5)", "round(x, digits=), not np.round");
    refuses(c, "exit()", "exit is a command");
    refuses(c, "y = 1, 2\ny * 2", "* does not work on a list of 2 and a number");
    gives(c, "def g(x); y = x * 2; return y; end; g(3)", "6");
    refuses(c, "compare(3)", "compare is a command");
    says(c, "?absmax", "def absmax(x, bits=8)");
}

/* An error says where: a caret under the place in the text, the function and its line. */
static void test_places(void **state)
{
    cells *c = *state;
    refuses(c, "x = (1 + ) * 2", "should stand here, not )");
    assert_string_equal(nb_draft_text(&c->shown), "  x = (1 + ) * 2\n           ^\n");
    refuses(c, "y = [1, 2", "never closed");
    assert_string_equal(nb_draft_text(&c->shown), "  y = [1, 2\n      ^\n");
    refuses(c, "a = 1\nb = a +\nc = 2", "not the end of the line");
    assert_string_equal(nb_draft_text(&c->shown), "  b = a +\n         ^\n");
    refuses(c, "def f(x)\n  y = x + 1\n  return y + [1, 2, 3]\nend\nf([1, 2])", "add: 2 and 3");
    assert_non_null(strstr(c->error.text, "(in f, line 3)"));
    refuses(c, "x = 3 $ 4", "this sign means nothing here: $");
    refuses(c, "\xce\xb1 = 3\n\xce\xb1 + + )", "not )");
    assert_string_equal(nb_draft_text(&c->shown), "  \xce\xb1 + + )\n        ^\n");
}

static void test_results(void **state)
{
    cells *c = *state;
    refuses(c, "_", "none yet"); /* cell 1 */
    gives(c, "6 * 7", "42");
    gives(c, "_ + 1", "43");
    gives(c, "_2", "42");
    gives(c, "1; 2", "2"); /* of several only the last is shown */
    says(c, "5;", "");
    assert_string_equal(nb_draft_text(&c->shown), "");
    gives(c, "_6 + _", "10"); /* hidden, but kept */
    refuses(c, "_99", "cell 99, which has none that was kept");
    gives(c, "3 # a comment", "3");
    cells_run(c, "a = zeros(3000, 3000); _99"); /* an error costs the cell its number all the same */
    says(c, "a", "3000 x 3000");
    says(c, "a + 1", "3000 x 3000");
    says(c, "a + 2", "3000 x 3000"); /* three of 36 MB are more than is kept */
    gives(c, "_13[0, 0] + _[0, 0]", "4");
    refuses(c, "_11", "none that was kept");
    says(c, "7 \n bits 1 f16", "16 bits"); /* an expression before a command is not shown */
    assert_string_equal(nb_draft_text(&c->value), "");
    says(c, "print(\"s is\", 0.5); print([1, 2])", "s is 0.5\n  [1, 2]\n");
}

/* A cell that takes too much is stopped by a sentence, and the notebook goes on. */
static void test_limits(void **state)
{
    cells *c = *state;
    refuses(c, "def f(x) = f(x + 1)\nf(0)", "calls itself more than 200 deep");
    char deep[1000] = "x = ";
    for (int i = 0; i < 300; i++)
        strcat(deep, "(");
    refuses(c, deep, "nested more than 100 deep");
    char *chain = calloc(1, 20000);
    assert_non_null(chain);
    strcpy(chain, "0");
    for (int i = 0; i < 4000; i++)
        memcpy(chain + 1 + 2 * (size_t)i, "+1", 2);
    refuses(c, chain, "too deep");
    free(chain);
    nb_array_space *space = nb_language_space(c->notebook->language);
    const size_t before = space->used_bytes;
    space->limit_bytes = before + (1 << 20);
    assert_int_equal(cells_run(c, "zeros(1000, 1000)"), NB_ERR_MEMORY);
    refuses(c, "x = [1]\nwhile 1\n x = concat(x, x)\nend", "may hold");
    refuses(c, "zeros(100000, 100000, 100000, 100000)", "");
    gives(c, "x = 0; 1 + 1", "2");
    assert_int_equal(space->used_bytes, before);
    space->limit_bytes = SIZE_MAX;
    says(c, "set memory 1", "memory is 1 MB");
    refuses(c, "zeros(1000, 1000)", "may hold 1 MB in all");
    c->notebook->confined = true;
    refuses(c, "set memory 2", "may not raise its memory over 1 MB");
    c->notebook->confined = false;
    refuses(c, "set memory 0", "memory is a whole number from 1");
    refuses(c, "s = \"ab\"\nwhile 1\n s = s + s\nend", "too long");
    refuses(c, "while 1\n print(1)\nend", "enough");
    atomic_store(&c->notebook->context->cancel, true);
    assert_int_equal(cells_run(c, "while 1\nend"), NB_ERR_CANCELLED);
    assert_non_null(strstr(c->error.text, "stopped"));
    gives(c, "1 + 1", "2");
}

/* Memory that fails at any moment costs the cell, nothing else. */
static void test_memory(void **state)
{
    cells *c = *state;
    static const char cell[] = "def f(x, n=2)\n  y = x[0:n] * 2\n  y[0] += 1\n  return y, \"text\"\nend\n"
                               "a, b = f([1, 2, 3]); for i in range(2); a[i] = i; end; a[a == 1], b + \"s\"";
    long n = 1;
    for (bool more = true; more; n++) {
        nb_memory_fail_after(n);
        const nb_status status = nb_notebook_run(c->notebook, cell, strlen(cell), NULL, NULL, &c->error);
        nb_memory_fail_after(0);
        more = status != NB_OK;
        if (more)
            assert_int_equal(status, NB_ERR_MEMORY);
        assert_true(n < 500);
    }
    gives(c, "a", "[0, 1]");
}

/* ---- which lines are expressions ---- */

static nb_line_kind kind_of(const char *text)
{
    nb_line line;
    size_t at = 0;
    assert_int_equal(nb_parse_line(text, strlen(text), &at, &line, NULL), NB_OK);
    const nb_line_kind kind = line.kind;
    nb_line_free(&line);
    return kind;
}

static void test_kinds(void **state)
{
    (void)state;
    static const char *const expressions[] = {
        "bits = 4",
        "bits*2",
        "bits * 2",
        "range - 1",
        "bits == 4",
        "range(3)",
        "x",
        "mlp_mean",
        "x + 1",
        "x -1",
        "x and y",
        "x, y = f",
        "blk.0.attn_q",
        "W[0]",
        "-x",
        "def f(x) = 1",
        "not x",
        "for i in x",
        "\xce\xb1 = 3",
        "bits-x",
        "range, bits = f(1)",
    };
    static const char *const commands[] = {
        "bits 0.1 f16",
        "bits -3 int4",
        "quantise mlp gptq",
        "load /tmp/x",
        "layers *.attn_q",
        "restore *",
        "exit",
        "layers",
        "hist blk.0.attn_q",
        "generate \"x = 3\"",
        "ppl --tokens 5",
        "load ~/x",
        "undo # x = 3",
    };
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        if (kind_of(expressions[i]) != NB_LINE_EXPRESSION)
            print_error("%s\n", expressions[i]);
        assert_int_equal(kind_of(expressions[i]), NB_LINE_EXPRESSION);
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (kind_of(commands[i]) != NB_LINE_COMMAND)
            print_error("%s\n", commands[i]);
        assert_int_equal(kind_of(commands[i]), NB_LINE_COMMAND);
    }
}

static void test_unfinished(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool more;
    } cases[] = {
        {"def f(x) = 1", false},
        {"def f(x)", true},
        {"def f(x)\n return 1", true},
        {"def f(x)\n return 1\nend", false},
        {"def f(x, y=[1, 2)", true},
        {"x = [1,", true},
        {"x = [1,\n2]", false},
        {"f(", true},
        {"for i in range(3)\n if i\n end", true},
        {"for i in range(3)\n if i\n end\nend", false},
        {"x = 1 + \\", true},
        {"x = \"open", true},
        {"x = 1 # (", false},
        {"load story\nfor i in x", true},
        {"x = 3\nload story", false},
        {"x = 3)", false},
        {"end", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (nb_parse_wants_more(cases[i].text, strlen(cases[i].text)) != cases[i].more)
            print_error("%s\n", cases[i].text);
        assert_int_equal(nb_parse_wants_more(cases[i].text, strlen(cases[i].text)), cases[i].more);
    }
}

/* ---- what lessons ask of it ---- */

static void test_interface(void **state)
{
    cells *c = *state;
    nb_language *language = c->notebook->language;
    nb_value value;
    bool holds;
    cells_run(c, "s = 5.4 / 127");
    assert_int_equal(nb_language_holds(language, "s == 5.4 / 127 +- 1e-6", &holds, &c->error), NB_OK);
    assert_true(holds);
    assert_int_equal(nb_language_holds(language, "s == 5.4 / 128 +- 1e-6", &holds, &c->error), NB_OK);
    assert_false(holds);
    assert_int_equal(nb_language_holds(language, "[1, 1] == [1, 2]", &holds, &c->error), NB_OK);
    assert_false(holds);
    assert_int_equal(nb_language_evaluate(language, "t == 3", &value, &c->error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_language_evaluate(language, "s = 3", &value, &c->error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_language_evaluate(language, "[s, 1]", &value, &c->error), NB_OK);
    assert_int_equal(value.array->size, 2);
    nb_value_release(&value);
    refuses(c, "_", "none yet");
    assert_int_equal(nb_language_define_text(language, "bits", "4", &c->error), NB_OK);
    assert_int_equal(nb_language_define_text(language, "what", "absmax", &c->error), NB_OK);
    assert_int_equal(nb_language_define_text(language, "for", "3", &c->error), NB_ERR_ARGUMENT);
    gives(c, "bits", "4"); /* the command would want a number */
    gives(c, "what + str(bits)", "\"absmax4\"");
    assert_true(nb_language_variable(language, "s", &value));
    assert_true(value.number == 5.4 / 127);
    says(c, "help variables", "bits is a number: 4");
    says(c, "reset", "3 variables forgotten");
    refuses(c, "s", "nothing is called");
}

#define test(f) cmocka_unit_test_setup_teardown(f, cells_open, cells_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_numbers),
        test(test_operators),
        test(test_tolerance),
        test(test_text),
        test(test_arrays),
        test(test_parts),
        test(test_assignment),
        test(test_control),
        test(test_functions),
        test(test_places),
        test(test_results),
        test(test_limits),
        test(test_memory),
        test(test_interface),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_unfinished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
