/* A quiz: short stories that end in a question with one right answer. It shows what a quantized model no
 * longer knows in a way that a perplexity does not: an answer is right or wrong. */
#ifndef NB_EVAL_QUIZ_H
#define NB_EVAL_QUIZ_H

#include "base/view.h"
#include "model/model.h"
#include "text/tokenizer.h"

/* Texts point into what the quiz was read from. */
typedef struct nb_question {
    nb_string asked, answer;  /* before the tab; behind it, without blanks around it and the period */
    size_t number, line;      /* of the document and of its first line, from 1 */
    size_t begin;             /* of its tokens: BOS, if there is one, and the document */
    size_t n_asked, n_answer; /* of these tokens, up to the answer; in it */
} nb_question;

typedef struct nb_quiz {
    nb_question *questions; /* [n] */
    size_t n;
    bool more; /* the text has questions beyond them */
    nb_tokens tokens;
    size_t longest; /* tokens that a question's are at the most */
    /* What always saying the commonest answer gets; of several, the first in the order of their bytes. */
    nb_string commonest;
    size_t n_commonest;
} nb_quiz;

/* Reads the text's documents (text/documents.h), the first max_questions of them (0: all). A document has
 * exactly one tab, which is not part of its text: behind it stands the answer, up to the document's end but
 * for a period there. Tokens are those of the whole document; one that is part of the question and of the
 * answer is refused. `name` is what sentences call the text. */
nb_status nb_quiz_read(const nb_model *model, const char *text, size_t n_bytes, const char *name,
                       size_t max_questions, nb_quiz *out, nb_error *error);
void nb_quiz_free(nb_quiz *quiz);

typedef struct nb_quiz_score {
    float *right; /* [n] 1 or 0 */
    size_t n, n_right;
    double accuracy, standard_error; /* binomial: sqrt(p (1 - p) / n) */
} nb_quiz_score;
void nb_quiz_score_free(nb_quiz_score *score);

/* Asks all questions. An answer is right if each of its tokens is the likeliest (greedy) after the true ones
 * before it: what the model would write. */
nb_status nb_quiz_ask(nb_model *model, nb_weights weights, const nb_quiz *quiz, nb_quiz_score *out,
                      nb_error *error);

/* What the model writes to questions which[n], greedily: until a sentence or a line ends, the model does, or
 * the answer's tokens and a few more are written. out[n]: allocated and terminated; free each with free(). */
nb_status nb_quiz_write(nb_model *model, nb_weights weights, const nb_quiz *quiz, const size_t *which,
                        size_t n, char **out, nb_error *error);

#endif
