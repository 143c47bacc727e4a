/* Fuzzes the reading of grammars and what is expanded from them: the input is a grammar in memory. Whatever
 * comes, it is refused with one sentence or makes stories, the same ones twice. */
#include "text/grammar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

static void check_error(const nb_error *error)
{
    if (error->text[0] == '\0' || strchr(error->text, '\n'))
        die("an error without one sentence", error->text);
}

static void check_story(const nb_grammar *grammar, const char *start, uint64_t index)
{
    nb_story story, again;
    nb_error error = {""};
    if (nb_grammar_expand(grammar, start, 1, index, &story, &error) != NB_OK) {
        check_error(&error);
        return;
    }
    if (!(story.bits >= 0) || story.answer_begin > story.answer_end || story.answer_end > story.n_bytes ||
        story.text[story.n_bytes] != '\0')
        die("a story that cannot be", story.text);
    if (nb_grammar_expand(grammar, start, 1, index, &again, &error) != NB_OK || again.bits != story.bits ||
        again.n_bytes != story.n_bytes || memcmp(again.text, story.text, story.n_bytes) != 0)
        die("another story the second time", story.text);
    nb_story_free(&story);
    nb_story_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nb_grammar *grammar = NULL;
    nb_error error = {""};
    if (nb_grammar_parse((const char *)data, size, "grammar", &grammar, &error) != NB_OK) {
        check_error(&error);
        return 0;
    }
    for (uint64_t i = 0; i < 3; i++)
        check_story(grammar, nb_grammar_start(grammar, (size_t)i % nb_grammar_start_count(grammar)), i);
    nb_grammar_close(&grammar);
    return 0;
}
