/* What the parts of a lesson being taken share: lesson.c (opening, leaving), steps.c (from stop to stop), question.c. */
#ifndef NB_REPL_LESSON_STEPS_H
#define NB_REPL_LESSON_STEPS_H

#include "repl/lesson/lesson.h"

/* ---- lesson.c ---- */

void nb_lesson_count_questions(const nb_lesson *lesson, unsigned *n, unsigned *n_answered);
/* Progress and answers, into the person's folder; says so where that fails. */
void nb_lesson_keep_record(nb_lesson *lesson, nb_items *items);

/* ---- steps.c ---- */

/* The refusal of a command that needs an open lesson. */
nb_status nb_lesson_missing(nb_error *error);
void nb_lesson_show_space(const nb_lesson *lesson, nb_items *items);
/* The open stop and the prose that leads to it. */
void nb_lesson_show_step(nb_notebook *notebook, nb_items *items);
/* To the next stop. */
void nb_lesson_go_on(nb_notebook *notebook, nb_items *items);

/* ---- question.c ---- */

void nb_lesson_ask(nb_notebook *notebook, nb_lesson *lesson, const nb_check *check, nb_items *items);
/* All that was tried is part of the answer, up to a length. */
void nb_lesson_add_answer(nb_lesson *lesson, const char *cell);
/* After a cell at a question: goes on if it is right, tells a mistake if it is this cell's, else says nothing. */
nb_status nb_lesson_judge(nb_notebook *notebook, const char *cell, nb_items *items, nb_error *error);

#endif
