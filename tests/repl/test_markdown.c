/* Markdown and formulas as text: what a reader sees at 80 and 40 columns, with UTF-8 and without. */
#include "repl/formula.h"
#include "repl/markdown.h"
#include "repl/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static char *formula(const char *latex, bool utf8)
{
    nb_draft out = {0};
    nb_formula(latex, strlen(latex), utf8, &out);
    assert_false(out.failed);
    return nb_draft_take(&out);
}

static void test_formulas(void **state)
{
    (void)state;
    static const struct {
        const char *latex, *text, *ascii;
    } cases[] = {
        {"x", "x", "x"},
        {"s=\\frac{\\max|x|}{127}", "s = max|x|/127", "s = max|x|/127"},
        {"\\frac{a+b}{c-d}", "(a + b)/(c − d)", "(a + b)/(c - d)"},
        {"\\frac{1}{\\frac{1}{a}}", "1/(1/a)", "1/(1/a)"},
        {"q = \\left\\lfloor \\frac{x}{s} \\right\\rceil", "q = ⌊x/s⌉", "q = round(x/s)"},
        {"\\lfloor x \\rfloor + \\lceil y \\rceil", "⌊x⌋ + ⌈y⌉", "floor(x) + ceil(y)"},
        {"2^{b-1}-1", "2ᵇ⁻¹ − 1", "2^(b-1) - 1"},
        {"x_i^2", "xᵢ²", "x_i^2"},
        {"W^T x", "Wᵀx", "W^Tx"},
        {"x_{\\max}", "xₘₐₓ", "x_max"},
        {"n_{layers} 2^{\\text{exponent}}", "n_layers2^(exponent)", "n_layers2^(exponent)"},
        {"x_{q}", "x_q", "x_q"},
        {"\\mathbb{R}^{n \\times m}", "ℝ^(n×m)", "R^(nxm)"},
        {"\\frac{1}{n} \\sum_{i=1}^{n} (x_i - \\hat{x}_i)^2", "1/n ∑ᵢ₌₁ⁿ (xᵢ − x̂ᵢ)²",
         "1/n sum_(i=1)^n (x_i - x_hat_i)^2"},
        {"\\hat{ab}", "hat(ab)", "hat(ab)"},
        {"-127 \\le q \\le 127", "−127 ≤ q ≤ 127", "-127 <= q <= 127"},
        {"a \\cdot -b", "a · −b", "a * -b"},
        {"2\\pi r", "2πr", "2 pi r"},
        {"\\sqrt{2}, \\sqrt{a+b}", "√2, √(a + b)", "sqrt(2), sqrt(a + b)"},
        {"x \\log_2 y", "x log₂ y", "x log_2 y"},
        {"|-x| - |y|", "|−x| − |y|", "|-x| - |y|"},
        {"\\text{bits} \\approx 4{,}5\\,\\%", "bits ≈ 4, 5%", "bits ~= 4, 5%"},
        {"\\unknown x", "unknown x", "unknown x"},
        {"\\mu \\pm \\sigma", "μ ± σ", "mu +- sigma"},
        /* Not finished, or nothing: no formula is refused. */
        {"", "", ""},
        {"\\frac{1}", "1/", "1/"},
        {"x^", "x", "x"},
        {"}{", "", ""},
        {"\\", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = formula(cases[i].latex, true), *ascii = formula(cases[i].latex, false);
        assert_string_equal(text, cases[i].text);
        assert_string_equal(ascii, cases[i].ascii);
        free(text);
        free(ascii);
    }
}

static void test_deep_formula(void **state)
{
    (void)state;
    nb_draft latex = {0};
    nb_draft_repeat(&latex, "\\frac{\\sqrt{{", 2000);
    char *text = formula(nb_draft_text(&latex), true);
    assert_non_null(text);
    free(text);
    nb_draft_free(&latex);
}

static char *render(const char *text, int columns, bool utf8, bool colour)
{
    nb_screen screen = {.out = stdout, .columns = columns, .utf8 = utf8, .colour = colour};
    nb_draft out = {0};
    nb_markdown_render(&screen, text, strlen(text), &out);
    assert_false(out.failed);
    char *shown = nb_draft_take(&out);
    assert_non_null(shown);
    return shown;
}

static void shows(const char *text, const char *expected)
{
    char *shown = render(text, 80, true, false);
    assert_string_equal(shown, expected);
    free(shown);
}

static void test_blocks(void **state)
{
    (void)state;
#ifdef NB_HAVE_MD4C
    shows("# Title\n\nA *b* `c`.\n", "Title\n━━━━━\n\nA b `c`.\n");
    shows("## Two\ntext", "Two\n───\n\ntext\n");
    shows("- a\n- b\n  - c\n\nend", "  • a\n  • b\n    • c\n\nend\n");
    shows("3. a\n4. b", "  3. a\n  4. b\n");
    shows("- a\n\n- b", "  • a\n\n  • b\n");
    shows("> a\n>\n> b\n\nc", "│ a\n│\n│ b\n\nc\n");
    shows("```\nx  y\n  z\n```\n", "    x  y\n      z\n");
    shows("So $x^2$, and\n\n$$ y_1 = 2 $$\n\nend", "So x², and\n\n    y₁ = 2\n\nend\n");
    shows("![a sentence](b.png)", "[a sentence]\n");
    shows("[x](https://a.example/b) [y](z.md)", "x (https://a.example/b) y\n");
    shows("a <!-- b --> c", "a  c\n");
    shows("<!--\nb\n-->\n\nc", "c\n");
    shows("a &lt; b", "a < b\n");
    shows("| a | n |\n|---|--:|\n| x | 1 |\n| yy | 12 |\n", "  a    n\n  x    1\n  yy  12\n");
    shows("", "");
#endif
}

static void test_colour(void **state)
{
    (void)state;
#ifdef NB_HAVE_MD4C
    char *shown = render("a **b *c* d**", 80, true, true);
    assert_string_equal(shown, "a \x1b[1mb \x1b[0m\x1b[3mc\x1b[0m\x1b[1m d\x1b[0m\n");
    free(shown);
#endif
    shown = render("# a\n\n**b** `c` *d* \x1b[31m \x02x", 80, false, false);
    assert_null(strchr(shown, '\x1b'));
    for (const char *c = shown; *c; c++)
        assert_true(*c == '\n' || ((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f));
    free(shown);
}

static const char mixed[] =
    "# A heading that is long enough for more than one line of a narrow terminal, and then some more of "
    "it\n\n"
    "Prose with **strong words** and `code`, over and over: lorem ipsum dolor sit amet, consectetur "
    "adipiscing.\n\n"
    "1. a list with a long line in it, so that it has to be wrapped at least once or twice\n"
    "   - and another one inside of it, so that it has to be wrapped at least once or twice\n\n"
    "> > two quotes, one in the other, with a long line in them that has to be wrapped\n\n"
    "| format | bits | note |\n|---|--:|---|\n| `f32` | 32 | a long note that has to share the width with "
    "the "
    "others and so is wrapped |\n| `bf16` | 16 | short |\n\n"
    "$$ \\frac{1}{n} \\sum_{i=1}^{n} (x_i - \\hat{x}_i)^2 + \\frac{1}{n} \\sum_{i=1}^{n} (x_i - "
    "\\hat{x}_i)^2 $$\n";

static void test_width(void **state)
{
    (void)state;
    static const int widths[] = {40, 57, 80, 200};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        char *shown = render(mixed, widths[i], true, false);
        for (const char *line = shown; *line;) {
            const size_t n = strcspn(line, "\n");
            assert_true(nb_utf8_width(line, n) <= (size_t)(widths[i] < 80 ? widths[i] : 80));
            assert_true(n == 0 || line[n - 1] != ' ');
            line += n + (line[n] == '\n');
        }
        free(shown);
    }
}

/* Whatever stands in a file, it is shown without harm. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const pieces[] = {"> ", "- ", "1. ", "**", "*",   "`", "| a |\n|---|\n",
                                         "$",  "![", "<a",  "\n", "    "};
    nb_draft text = {0};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        nb_draft_repeat(&text, pieces[i], 200);
        nb_draft_add(&text, "x\n\n");
        for (size_t k = 0; k <= i; k++)
            nb_draft_addf(&text, "%s%s", pieces[k], pieces[i]);
        nb_draft_add(&text, "\xff\xc3 y\n\n");
    }
    free(render(nb_draft_text(&text), 40, true, true));
    nb_draft_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formulas), cmocka_unit_test(test_deep_formula),
                                       cmocka_unit_test(test_blocks),   cmocka_unit_test(test_colour),
                                       cmocka_unit_test(test_width),    cmocka_unit_test(test_hostile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
