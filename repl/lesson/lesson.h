/* A lesson being taken: a document walked from stop to stop. A stop is a cell, offered at the prompt ready to
 * run or to edit, or a question; the prose before it is shown on the way. */
#ifndef NB_REPL_LESSON_H
#define NB_REPL_LESSON_H

#include "repl/document/document.h"
#include "repl/notebook.h"

typedef struct nb_lesson {
    nb_document *document;
    char *path, *id; /* id: "04-absmax", the file's stem */
    size_t *stops;   /* [n_stops] their blocks */
    size_t n_stops;
    size_t at;        /* the stop that is open; n_stops: the lesson is done */
    size_t n_hints;   /* shown for the open question */
    bool was_right;   /* the answer was there when the question was asked, from an earlier time */
    uint32_t held;    /* bit i: wrong answer i holds since the question was asked, and nothing of it was set since */
    size_t told;      /* 1 + the wrong answer that was told last, unasked; 0: none */
    bool playing;     /* left for a while */
    bool busy;        /* running cells of its own */
    bool brings_back; /* the cells before the open stop are still to be run */
    bool done_before; /* its end was reached at some time */
    bool present;     /* for a projector: more space, no hints */
    bool *answered;   /* [n_stops] questions whose check passed */
    bool *skipped;    /* [n_stops] those that `skip` did */
    char **answers;   /* [n_stops] the cells that ran well while a question was open; NULL: none */
    char *queue;      /* a cell to run when the command is over; NULL: none */
    bool queue_does;  /* it is `skip` that runs it, instead of the learner's answer */
} nb_lesson;

/* Opens a file at the stop where it was left (or at its beginning), brings back what the cells before it
 * made, and shows it. The lesson belongs to the notebook; one that is open is closed first. */
nb_status nb_lesson_open(nb_notebook *notebook, const char *path, bool from_start, bool present,
                         nb_items *items, nb_error *error);
void nb_lesson_close(nb_lesson **lesson);

/* What stands at the prompt, ready to run: the open stop's cell. NULL: nothing. Borrowed. */
const char *nb_lesson_offer(const nb_lesson *lesson);
/* What was meant by a cell: the command of lessons in it where that was typed behind the untouched offer, as
 * if the line had been empty; else the cell. Borrowed. */
const char *nb_lesson_meant(const nb_lesson *lesson, const char *cell);
const char *nb_lesson_title(const nb_document *document);
/* The open stop's block; NULL at the end. */
const nb_block *nb_lesson_stop(const nb_lesson *lesson);
bool nb_lesson_at_question(const nb_lesson *lesson);

/* Called when a cell of the notebook has run well: goes on if it was the offered one, or answered the
 * question; says which mistake was made if it is a known one; runs what next and skip have queued. */
nb_status nb_lesson_follow(nb_notebook *notebook, const char *cell, nb_show_fn *show, void *user,
                           nb_error *error);

/* The commands. */
nb_status nb_lesson_next(nb_notebook *notebook, nb_items *items, nb_error *error);
nb_status nb_lesson_back(nb_notebook *notebook, nb_items *items, nb_error *error);
nb_status nb_lesson_hint(nb_notebook *notebook, nb_items *items, nb_error *error);
nb_status nb_lesson_check(nb_notebook *notebook, nb_items *items, nb_error *error);
nb_status nb_lesson_skip(nb_notebook *notebook, nb_items *items, nb_error *error);
nb_status nb_lesson_play(nb_notebook *notebook, nb_items *items, nb_error *error);

/* ---- answers (answer.c) ---- */

typedef enum nb_verdict {
    NB_VERDICT_RIGHT,
    NB_VERDICT_WRONG,    /* a known mistake: `which` of check->wrongs */
    NB_VERDICT_NOT_YET,  /* `which` of check->wants does not hold */
    NB_VERDICT_UNDEFINED /* it speaks of something that is not there yet: `which` of check->wants, `why` */
} nb_verdict;

typedef struct nb_judgement {
    nb_verdict verdict;
    size_t which;
    nb_error why;
} nb_judgement;

/* Fails only where nobody could answer: the check was stopped, or memory ran out. */
nb_status nb_check_judge(nb_notebook *notebook, const nb_check *check, nb_judgement *out, nb_error *error);
/* Bit i: wrong answer i holds now. */
nb_status nb_check_wrongs(nb_notebook *notebook, const nb_check *check, uint32_t *bits, nb_error *error);
/* Whether the cell sets a variable or a function that the condition speaks of. */
bool nb_condition_set_by(const char *condition, const char *cell);
/* The values of the variables that conditions speak of and `cells` set: "s is 0.0425". Nothing if there are
 * none. */
void nb_check_show_values(nb_notebook *notebook, const nb_check *check, const char *cells, nb_items *items);
/* Whether its conditions are quick to try after every cell: none of them runs the model over a text. */
bool nb_check_is_quick(const nb_check *check);

/* ---- what there is, and how far one came (catalog.c, record.c) ---- */

typedef struct nb_lesson_entry {
    char *path, *id, *title, *goal, *minutes;
    unsigned number; /* 4 of "04-absmax.md" */
} nb_lesson_entry;

typedef struct nb_catalog {
    nb_lesson_entry *entries; /* by file name */
    size_t n;
} nb_catalog;

/* The lessons that come with nibble. A file that cannot be read is left out. */
nb_status nb_catalog_read(nb_catalog *out, nb_error *error);
void nb_catalog_free(nb_catalog *catalog);
/* The path of a lesson by what was typed: "4", "absmax", "04-absmax", a file. Allocated. */
nb_status nb_catalog_find(const nb_notebook *notebook, const char *typed, char **path, nb_error *error);

/* How far one came in a lesson. */
typedef struct nb_record {
    char id[64];
    unsigned at, n_stops, n_questions, n_answered;
    bool done; /* its end was reached once */
} nb_record;

typedef struct nb_records {
    nb_record *records;
    size_t n;
} nb_records;

/* Of the person's data folder; a file of a newer nibble is refused by name. No file: none. */
nb_status nb_records_read(nb_records *out, nb_error *error);
void nb_records_free(nb_records *records);
const nb_record *nb_records_find(const nb_records *records, const char *id);
/* The lesson to take now: one left in the middle, else the first that is not done. NULL: all are done. */
const nb_lesson_entry *nb_catalog_suggest(const nb_catalog *catalog, const nb_records *records);
/* Writes one lesson's record beside the others; the file is replaced as a whole. */
nb_status nb_record_keep(const nb_record *record, nb_error *error);

/* ---- for those who write lessons (examine.c) ---- */

/* Takes a lesson as a learner would who makes every mistake that it knows: every cell runs, every check fails
 * before and passes after its solution, every wrong answer with a `try:` gets its own sentence. Reports into
 * items; fails with the first thing that is wrong, by its line. Runs in a notebook of its own, in an empty
 * folder, without `!`. */
nb_status nb_lesson_examine(nb_context_options *options, const char *path, nb_items *items, nb_error *error);

#endif
