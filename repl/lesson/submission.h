/* What a learner hands in: the cells that they ran at each question of a lesson, as a Markdown document. */
#ifndef NB_REPL_SUBMISSION_H
#define NB_REPL_SUBMISSION_H

#include "repl/lesson/lesson.h"

typedef struct nb_handed_in {
    char *question; /* the check's name */
    char *cells;    /* NULL: none */
    bool skipped;   /* `skip` did it */
} nb_handed_in;

typedef struct nb_submission {
    char *lesson, *name, *date; /* lesson: its id */
    nb_handed_in *answers;
    size_t n;
} nb_submission;

/* A file of a newer nibble, or of another kind, is refused by name. */
nb_status nb_submission_open(const char *path, nb_submission *out, nb_error *error);
void nb_submission_free(nb_submission *submission);
/* The answer to a question; NULL if there is none. */
const nb_handed_in *nb_submission_find(const nb_submission *submission, const char *question);

/* Writes what the lesson has so far. name: NULL, or who hands it in; date: "2026-11-21". The file is replaced
 * as a whole. */
nb_status nb_submission_write(const nb_lesson *lesson, const char *name, const char *date, const char *path,
                              nb_error *error);

/* A lesson keeps its answers in the person's data folder too, to have them when it is taken up again. */
void nb_answers_keep(const nb_lesson *lesson, nb_items *items);
void nb_answers_bring_back(nb_lesson *lesson);

/* ---- grading ---- */

typedef struct nb_grading {
    const char *key;  /* a lesson file with the checks; NULL: the lesson of the submission's name that comes
                         with nibble */
    unsigned seconds; /* for one submission */
} nb_grading;

/* The first line of the table. */
extern const char nb_grade_heading[];
/* Does a submission again in a process of its own, which has an empty folder, no shell, and an end to its
 * time and memory; adds its line of the table: file, name, date, lesson, right, questions, and for each
 * question that is not right its name and why. Fails only where the submission or the key cannot be read. */
nb_status nb_grade(const nb_grading *grading, const char *path, nb_draft *csv, nb_error *error);

/* `nibble grade ...`: words[0] is "grade". Returns the program's exit status. */
int nb_grade_main(int n_words, char **words);

#endif
