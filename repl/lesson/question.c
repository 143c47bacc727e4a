/* A question: asked, helped with, judged. */
#include "repl/lesson/steps.h"

#include "repl/draft.h"

#include <stdlib.h>
#include <string.h>

void nb_lesson_ask(nb_notebook *notebook, nb_lesson *lesson, const nb_check *check, nb_items *items)
{
    unsigned n = 0, number = 0;
    nb_draft text = {0};
    for (size_t i = 0; i < lesson->n_stops; i++) {
        const bool is_question = lesson->document->blocks[lesson->stops[i]].kind == NB_BLOCK_CHECK;
        n += is_question;
        number += is_question && i <= lesson->at;
    }
    nb_draft_addf(&text, "**Your turn** (%u of %u). %s", number, n, check->ask);
    nb_lesson_show_space(lesson, items);
    nb_items_markdown(items, nb_draft_text(&text), text.n_bytes);
    nb_draft_free(&text);
    if (!lesson->present)
        nb_items_text(items, NB_COMMAND "check" NB_END "   " NB_COMMAND "hint" NB_END "   " NB_COMMAND
                                        "skip" NB_END "%s",
                      lesson->answered[lesson->at]
                          ? NB_MUTED "   answered before, " NB_END NB_COMMAND "next" NB_END NB_MUTED
                                     " goes on" NB_END
                          : "");
    nb_error ignored;
    lesson->n_hints = 0;
    lesson->told = 0;
    lesson->held = 0;
    nb_judgement now;
    lesson->was_right = false;
    if (nb_check_is_quick(check) && nb_check_wrongs(notebook, check, &lesson->held, &ignored) == NB_OK &&
        nb_check_judge(notebook, check, &now, &ignored) == NB_OK)
        lesson->was_right = now.verdict == NB_VERDICT_RIGHT;
}

/* ---- answers ---- */

/* The open question, or a sentence. */
static nb_status open_question(const nb_notebook *notebook, const nb_check **check, nb_error *error)
{
    const nb_lesson *lesson = notebook->lesson;
    if (!lesson)
        return nb_lesson_missing(error);
    if (!nb_lesson_at_question(lesson))
        return nb_fail(error, NB_ERR_STATE, "no question is open here: next goes on");
    *check = nb_lesson_stop(lesson)->check;
    return NB_OK;
}

nb_status nb_lesson_hint(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    const nb_check *check = NULL;
    nb_status status = open_question(notebook, &check, error);
    if (status != NB_OK)
        return status;
    nb_lesson *lesson = notebook->lesson;
    if (lesson->present)
        return nb_fail(error, NB_ERR_STATE, "no hints while presenting");
    if (lesson->n_hints >= check->n_hints) {
        nb_items_text(items, check->n_hints ? "That was the last hint. " NB_COMMAND "skip" NB_END " does it."
                                            : "This question has no hints. " NB_COMMAND "skip" NB_END
                                              " does it.");
        return NB_OK;
    }
    nb_draft text = {0};
    nb_draft_addf(&text, "*Hint %zu of %zu.* %s", lesson->n_hints + 1, check->n_hints,
                  check->hints[lesson->n_hints]);
    nb_items_markdown(items, nb_draft_text(&text), text.n_bytes);
    nb_draft_free(&text);
    lesson->n_hints++;
    return NB_OK;
}

static void say_right(nb_notebook *notebook, nb_items *items)
{
    nb_lesson *lesson = notebook->lesson;
    nb_items_text(items, NB_STRONG "Right." NB_END);
    lesson->answered[lesson->at] = true;
    lesson->skipped[lesson->at] = false;
    nb_lesson_go_on(notebook, items);
}

static void say_sentence(const char *sentence, nb_items *items)
{
    nb_items_markdown(items, sentence, strlen(sentence));
}

static void say_not_right(nb_notebook *notebook, const nb_check *check, const nb_judgement *judgement,
                          nb_items *items)
{
    const nb_lesson *lesson = notebook->lesson;
    switch (judgement->verdict) {
    case NB_VERDICT_WRONG:
        say_sentence(check->wrongs[judgement->which].sentence, items);
        break;
    case NB_VERDICT_UNDEFINED:
        nb_items_text(items, "Not yet: %s.", judgement->why.text);
        break;
    default:
        if (check->wants[judgement->which].sentence)
            say_sentence(check->wants[judgement->which].sentence, items);
        else
            nb_items_text(items, "Not yet.");
        break;
    }
    if (lesson->answers[lesson->at])
        nb_check_show_values(notebook, check, lesson->answers[lesson->at], items);
    if (!lesson->present && lesson->n_hints < check->n_hints)
        nb_items_text(items, NB_COMMAND "hint" NB_END);
}

nb_status nb_lesson_check(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    const nb_check *check = NULL;
    nb_judgement judgement;
    nb_status status = open_question(notebook, &check, error);
    if (status == NB_OK)
        status = nb_check_judge(notebook, check, &judgement, error);
    if (status != NB_OK)
        return status;
    if (judgement.verdict == NB_VERDICT_RIGHT)
        say_right(notebook, items);
    else
        say_not_right(notebook, check, &judgement, items);
    return NB_OK;
}

/* ---- after a cell ---- */

void nb_lesson_add_answer(nb_lesson *lesson, const char *cell)
{
    enum { LONGEST = 1 << 16 };
    char **answer = &lesson->answers[lesson->at];
    const size_t n = strlen(cell);
    if ((*answer ? strlen(*answer) : 0) + n > LONGEST)
        return;
    char *longer =
        nb_format_text("%s%s%s", *answer ? *answer : "", cell, n && cell[n - 1] == '\n' ? "" : "\n");
    if (longer) {
        free(*answer);
        *answer = longer;
    }
}

/* The wrong answer to tell now, unasked; n_wrongs: none. One that was there when the question was asked is
 * none of this cell's, until it has gone or the learner sets it again. */
static nb_status find_fresh_wrong(nb_notebook *notebook, const nb_check *check, const char *cell,
                                  size_t *which, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    uint32_t now;
    *which = check->n_wrongs;
    const nb_status status = nb_check_wrongs(notebook, check, &now, error);
    if (status != NB_OK)
        return status;
    lesson->held &= now;
    for (size_t i = check->n_wrongs < 32 ? check->n_wrongs : 32; i-- > 0;) {
        const uint32_t bit = (uint32_t)1 << i;
        if (lesson->held & bit && nb_condition_set_by(check->wrongs[i].condition, cell))
            lesson->held &= ~bit;
        if (now & ~lesson->held & bit)
            *which = i;
    }
    return NB_OK;
}

nb_status nb_lesson_judge(nb_notebook *notebook, const char *cell, nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    const nb_check *check = nb_lesson_stop(lesson)->check;
    nb_judgement judgement;
    size_t which;
    if (!nb_check_is_quick(check))
        return NB_OK;
    nb_status status = nb_check_judge(notebook, check, &judgement, error);
    if (status == NB_OK && judgement.verdict == NB_VERDICT_RIGHT) {
        if (!lesson->was_right)
            say_right(notebook, items);
        return NB_OK;
    }
    if (status == NB_OK)
        status = find_fresh_wrong(notebook, check, cell, &which, error);
    if (status != NB_OK)
        return status;
    if (which < check->n_wrongs && lesson->told != which + 1)
        say_sentence(check->wrongs[which].sentence, items);
    lesson->told = which < check->n_wrongs ? which + 1 : 0;
    return NB_OK;
}
