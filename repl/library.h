/* What comes with nibble: the lessons and the built-in model, wherever nibble is installed. */
#ifndef NB_REPL_LIBRARY_H
#define NB_REPL_LIBRARY_H

#define NB_LIBRARY_TEXT "story/evaluation.txt" /* what ppl, compare and quiz read with story unless told otherwise */
#define NB_LIBRARY_QUIZ "story/quiz.txt"
#define NB_LIBRARY_CALIBRATION "story/calibration.txt" /* what methods look at it with; none of it is measured */

/* The path of a file of lessons/, in the folder that NIBBLE_LESSONS names, else beside the program (as built) or under
 * its share/ (as installed). Allocated; NULL if it is in none of them. */
char *nb_library_find(const char *name);
/* The same for a model that is loaded by its name alone: "story". */
char *nb_library_find_model(const char *name);

#endif
