#include "repl/commands/quiz.h"

#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { QUESTIONS = 200, SHOWN = 3, QUESTION_BYTES = 160 };

static const nb_column score_columns[] = {{"", NB_COLUMN_LEFT},
                                          {"original", NB_COLUMN_RIGHT},
                                          {"quantized", NB_COLUMN_RIGHT},
                                          {"", NB_COLUMN_FLOW}};
static const nb_column columns_of_one[] = {
    {"question", NB_COLUMN_FLOW}, {"right answer", NB_COLUMN_WRAP}, {"the model wrote", NB_COLUMN_WRAP}};
static const nb_column columns_of_two[] = {{"question", NB_COLUMN_FLOW},
                                           {"right answer", NB_COLUMN_WRAP},
                                           {"original wrote", NB_COLUMN_WRAP},
                                           {"quantized wrote", NB_COLUMN_WRAP}};

/* What one run of the command has found. */
typedef struct exam {
    nb_quiz quiz;
    nb_quiz_score now, before; /* before: only if tensors were changed */
    bool both;
} exam;

/* ---- marks ---- */

static void add_baseline(const exam *e, nb_items *out)
{
    nb_draft answer = {0};
    nb_draft_add_written(&answer, e->quiz.commonest);
    nb_items_text(out, NB_MUTED "Always saying \"%s\" would get %s" NB_END, nb_draft_text(&answer),
                  nb_percent((double)e->quiz.n_commonest / (double)e->quiz.n).text);
    nb_draft_free(&answer);
}

static void add_one(const exam *e, const char *name, nb_items *out)
{
    const nb_quiz_score *score = &e->now;
    nb_items_number(out, score->accuracy, NB_STRONG "%s" NB_END " ± %s %% right: %s of %s question%s of %s",
                   nb_fixed(100 * score->accuracy, 1).text, nb_fixed(100 * score->standard_error, 1).text,
                   nb_count(score->n_right).text, nb_count(score->n).text, score->n == 1 ? "" : "s", name);
}

static void add_score(nb_items *out, size_t column, const nb_quiz_score *score)
{
    nb_items_cell(out, column, "%s ± %s %%", nb_fixed(100 * score->accuracy, 1).text,
                  nb_fixed(100 * score->standard_error, 1).text);
}

static void add_both(const exam *e, const char *name, nb_items *out)
{
    double mean, standard_error;
    nb_paired_difference(e->before.right, e->now.right, e->quiz.n, &mean, &standard_error);
    nb_items_table(out, score_columns, sizeof score_columns / sizeof *score_columns);
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "right" NB_END);
    add_score(out, 1, &e->before);
    add_score(out, 2, &e->now);
    nb_items_cell(out, 3, "%s question%s of %s", nb_count(e->quiz.n).text, e->quiz.n == 1 ? "" : "s", name);
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "difference" NB_END);
    nb_items_cell(out, 2, "%s%s ± %s %%", mean > 0 ? "+" : "", nb_fixed(100 * mean, 1).text,
                  nb_fixed(100 * standard_error, 1).text);
    const char *verdict = "worse for sure";
    if (mean == 0 && standard_error == 0)
        verdict = "the same answers are right";
    else if (!(fabs(mean) > 3 * standard_error))
        verdict = "within chance";
    else if (mean > 0)
        verdict = "better for sure";
    nb_items_cell(out, 3, "paired, %s", verdict);
    nb_items_set_number(out, e->now.accuracy);
}

/* ---- examples ---- */

/* The lower, the more there is to see in it. */
static unsigned rank(const exam *e, size_t question)
{
    if (e->now.right[question] > 0)
        return 2;
    return e->both && e->before.right[question] > 0 ? 0 : 1;
}

static size_t choose(const exam *e, size_t wanted, size_t *chosen)
{
    size_t n = 0;
    for (unsigned wish = 0; wish < 3; wish++)
        for (size_t i = 0; i < e->quiz.n && n < wanted; i++)
            if (rank(e, i) == wish)
                chosen[n++] = i;
    return n;
}

/* The last line that is asked, or its end. */
static void add_question(nb_string asked, nb_items *out)
{
    nb_draft text = {0};
    size_t begin = asked.n_bytes;
    while (begin > 0 && asked.text[begin - 1] != '\n')
        begin--;
    if (asked.n_bytes - begin > QUESTION_BYTES) {
        begin = asked.n_bytes - QUESTION_BYTES;
        while (begin + 1 < asked.n_bytes && asked.text[begin - 1] != ' ')
            begin++;
        nb_draft_add(&text, "… ");
    }
    nb_draft_add_written(&text, (nb_string){asked.text + begin, asked.n_bytes - begin});
    nb_items_cell(out, 0, "%s", nb_draft_text(&text));
    nb_draft_free(&text);
}

static void add_answer(nb_string answer, const char *colour, size_t column, nb_items *out)
{
    nb_draft text = {0};
    while (answer.n_bytes > 0 && answer.text[0] == ' ')
        answer = (nb_string){answer.text + 1, answer.n_bytes - 1};
    nb_draft_add_written(&text, answer);
    nb_items_cell(out, column, "%s%s%s", colour, nb_draft_text(&text), *colour ? NB_END : "");
    nb_draft_free(&text);
}

static void add_examples(const exam *e, const size_t *chosen, size_t n, char *const *now, char *const *before,
                         nb_items *out)
{
    nb_items_table(out, e->both ? columns_of_two : columns_of_one, e->both ? 4 : 3);
    for (size_t i = 0; i < n; i++) {
        const nb_question *question = &e->quiz.questions[chosen[i]];
        nb_items_row(out);
        add_question(question->asked, out);
        add_answer(question->answer, "", 1, out);
        if (e->both)
            add_answer(nb_string_of(before[i]), e->before.right[chosen[i]] > 0 ? "" : NB_ALERT, 2, out);
        add_answer(nb_string_of(now[i]), e->now.right[chosen[i]] > 0 ? "" : NB_ALERT, e->both ? 3 : 2, out);
    }
}

static nb_status show_examples(nb_model *model, const exam *e, size_t wanted, nb_items *out, nb_error *error)
{
    wanted = nb_min_size(wanted, e->quiz.n);
    size_t *chosen = nb_calloc(wanted, sizeof *chosen);
    char **now = nb_calloc(wanted, sizeof *now), **before = nb_calloc(wanted, sizeof *before);
    nb_status status = NB_OK;
    if (!chosen || !now || !before)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for %zu examples", wanted);
    const size_t n = status == NB_OK ? choose(e, wanted, chosen) : 0;
    if (status == NB_OK)
        status = nb_quiz_write(model, NB_WEIGHTS_CURRENT, &e->quiz, chosen, n, now, error);
    if (status == NB_OK && e->both)
        status = nb_quiz_write(model, NB_WEIGHTS_ORIGINAL, &e->quiz, chosen, n, before, error);
    if (status == NB_OK)
        add_examples(e, chosen, n, now, before, out);
    for (size_t i = 0; i < n; i++) {
        free(now[i]);
        free(before[i]);
    }
    free(chosen);
    free(now);
    free(before);
    return status;
}

/* ---- the command ---- */

static nb_status examine(nb_notebook *notebook, const nb_call *call, const nb_mapping *text, exam *e,
                         nb_items *out, nb_error *error)
{
    nb_model *model = notebook->model;
    const char *name = nb_file_name(text->path);
    const size_t most = (size_t)nb_call_number(call, "questions", QUESTIONS),
                 n_shown = (size_t)nb_call_number(call, "show", SHOWN);
    e->both = nb_notebook_changed(notebook);
    nb_status status =
        nb_quiz_read(model, (const char *)text->data, text->size, text->path, most, &e->quiz, error);
    if (status == NB_OK && e->both)
        status = nb_quiz_ask(model, NB_WEIGHTS_ORIGINAL, &e->quiz, &e->before, error);
    if (status == NB_OK)
        status = nb_quiz_ask(model, NB_WEIGHTS_CURRENT, &e->quiz, &e->now, error);
    if (status != NB_OK)
        return status;
    (e->both ? add_both : add_one)(e, name, out);
    add_baseline(e, out);
    if (e->quiz.more && !nb_call_has(call, "questions"))
        nb_items_text(out, NB_MUTED "The first of it; " NB_END NB_COMMAND "--questions 0" NB_END NB_MUTED
                                    " asks them all" NB_END);
    return n_shown > 0 ? show_examples(model, e, n_shown, out, error) : NB_OK;
}

nb_status nb_quiz_command(nb_notebook *notebook, const nb_call *call, const char *typed, nb_items *out,
                          nb_error *error)
{
    nb_mapping *text = NULL;
    exam e = {.both = false};
    nb_status status = nb_notebook_quiz(notebook, typed, "quiz", &text, error);
    if (status == NB_OK)
        status = examine(notebook, call, text, &e, out, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    nb_quiz_score_free(&e.now);
    nb_quiz_score_free(&e.before);
    nb_quiz_free(&e.quiz);
    nb_mapping_close(&text);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    return nb_quiz_command(notebook, call, nb_call_text(call, "text", call->arguments[0]), out, error);
}

const nb_command nb_command_quiz = {
    .name = "quiz",
    .group = "Measuring",
    .usage = "quiz [--text FILE] [--questions N] [--show N]",
    .summary = "questions to stories: how many answers are right",
    .details =
        "The text's stories are parted by lines that say <|endoftext|>. Each ends in a question, a tab "
        "and the answer. An answer is right if it is what the model writes, taking the likeliest token "
        "each time. For a model with changed tensors the original is asked too, and the difference is "
        "paired. The text is remembered for the next time.",
    .examples = {"quiz --text quiz.txt", "quiz --questions 0 --show 10"},
    .arguments = {{"FILE", NB_WORD_FILE, true}},
    .options = {NB_QUIZ_OPTIONS},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
