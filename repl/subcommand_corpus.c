/* nibble corpus: as much text as asked from a story grammar. */
#include "repl/notebook.h"
#include "repl/numbers.h"
#include "repl/subcommands.h"

#include "text/grammar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 512 }; /* stories that are expanded together, on all threads */

static const char parting[] = "\n<|endoftext|>\n";

typedef struct corpus {
    const nb_grammar *grammar;
    const char *start;
    uint64_t seed;
    bool quiz;
    uint64_t max_stories, max_words, max_bytes; /* the first that is reached ends the text */
    uint64_t n_stories, n_words, n_bytes;
    double bits;
    nb_writer *writer; /* NULL: standard output */
    /* one batch */
    uint64_t first;
    nb_story stories[BATCH];
    nb_status status[BATCH];
    nb_error errors[BATCH];
} corpus;

static void expand(void *job, size_t begin, size_t end, unsigned thread)
{
    corpus *c = job;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        c->status[i] =
            nb_grammar_expand(c->grammar, c->start, c->seed, c->first + i, &c->stories[i], &c->errors[i]);
}

static nb_status put(corpus *c, const char *text, size_t n_bytes, nb_error *error)
{
    c->n_bytes += n_bytes;
    if (c->writer)
        return nb_writer_write(c->writer, text, n_bytes, error);
    if (fwrite(text, 1, n_bytes, stdout) != n_bytes)
        return nb_fail(error, NB_ERR_IO, "standard output takes no more");
    return NB_OK;
}

/* In a quiz file a tab parts what is asked from the answer, which keeps its space. */
static nb_status put_story(corpus *c, const nb_story *story, nb_error *error)
{
    if (c->quiz && story->answer_begin == story->n_bytes)
        return nb_fail(error, NB_ERR_ARGUMENT, "what starts with %s asks no question, so it makes no quiz",
                       c->start);
    size_t n_asked = c->quiz ? story->answer_begin - 1 : 0;
    nb_status status = c->n_stories > 0 ? put(c, parting, sizeof parting - 1, error) : NB_OK;
    if (status == NB_OK && c->quiz) {
        status = put(c, story->text, n_asked, error);
        if (status == NB_OK)
            status = put(c, "\t", 1, error);
    }
    if (status == NB_OK)
        status = put(c, story->text + n_asked, story->n_bytes - n_asked, error);
    c->n_stories++;
    c->n_words += nb_count_words(story->text, story->n_bytes);
    c->bits += story->bits;
    return status;
}

static bool is_enough(const corpus *c)
{
    return c->n_stories >= c->max_stories || c->n_words >= c->max_words || c->n_bytes >= c->max_bytes;
}

static nb_status write_batch(corpus *c, size_t count, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < count; i++) {
        if (status == NB_OK && !is_enough(c)) {
            status = c->status[i];
            if (status == NB_OK)
                status = put_story(c, &c->stories[i], error);
            else if (error)
                *error = c->errors[i];
        }
        nb_story_free(&c->stories[i]);
    }
    return status;
}

static nb_status tick(const corpus *c, nb_context *context, nb_error *error)
{
    if (c->max_words < UINT64_MAX)
        return nb_context_tick(context, "writing", c->n_words, c->max_words, "words", error);
    if (c->max_bytes < UINT64_MAX)
        return nb_context_tick(context, "writing", c->n_bytes, c->max_bytes, "bytes", error);
    return nb_context_tick(context, "writing", c->n_stories, c->max_stories, "stories", error);
}

static nb_status write_all(corpus *c, nb_context *context, nb_error *error)
{
    nb_status status = NB_OK;
    while (status == NB_OK && !is_enough(c)) {
        size_t count =
            (size_t)(c->max_stories - c->n_stories < BATCH ? c->max_stories - c->n_stories : BATCH);
        c->first = c->n_stories;
        nb_parallel(context->pool, count, 8, expand, c);
        status = write_batch(c, count, error);
        if (status == NB_OK)
            status = tick(c, context, error);
    }
    return status == NB_OK ? put(c, "\n", 1, error) : status;
}

static void report(const corpus *c)
{
    fprintf(stderr, "%s stories, %s words and marks, %s bytes; entropy %s bits a story, %s bits a word\n",
            nb_count(c->n_stories).text, nb_count(c->n_words).text, nb_count(c->n_bytes).text,
            nb_fixed(c->bits / (double)c->n_stories, 1).text, nb_fixed(c->bits / (double)c->n_words, 4).text);
}

static uint64_t limit(const nb_call *call, const char *option, uint64_t otherwise)
{
    return nb_call_has(call, option) ? (uint64_t)nb_call_number(call, option, 0) : otherwise;
}

static nb_status run_corpus(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)out;
    const char *path = nb_call_text(call, "output", NULL);
    bool limited = nb_call_has(call, "words") || nb_call_has(call, "bytes");
    nb_grammar *grammar = NULL;
    char *found = NULL;
    nb_status status = nb_notebook_path(notebook, call->arguments[0], true, &found, error);
    if (status == NB_OK)
        status = nb_grammar_open(found, &grammar, error);
    free(found);
    corpus *c = nb_calloc(1, sizeof *c);
    if (status == NB_OK && !c)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for stories");
    if (status == NB_OK && path)
        status = nb_writer_open(path, &c->writer, error);
    if (status == NB_OK) {
        c->grammar = grammar;
        c->quiz = nb_call_has(call, "quiz");
        c->start = nb_call_text(call, "start", c->quiz ? "quiz" : nb_grammar_start(grammar, 0));
        c->seed = limit(call, "seed", 0);
        c->max_stories = limit(call, "stories", limited ? UINT64_MAX : 10);
        c->max_words = limit(call, "words", UINT64_MAX);
        c->max_bytes = limit(call, "bytes", UINT64_MAX);
        status = write_all(c, notebook->context, error);
    }
    if (status == NB_OK && path)
        status = nb_writer_commit(&c->writer, error);
    if (status == NB_OK)
        report(c);
    if (c)
        nb_writer_abort(&c->writer);
    free(c);
    nb_grammar_close(&grammar);
    return status;
}

const nb_command nb_subcommand_corpus = {
    .name = "corpus",
    .usage = "nibble corpus GRAMMAR [--seed S] [--stories N | --words N | --bytes N] [--start RULE] [--quiz] "
             "[-o FILE]",
    .summary = "write stories from a grammar, and say how much entropy they have",
    .details =
        "Stories are parted by a line <|endoftext|>. The same seed gives the same text, byte for byte, on "
        "every machine and for any number of threads; a longer text begins with the shorter one.",
    .examples = {"nibble corpus lessons/story/story.grammar --stories 3 --seed 7",
                 "nibble corpus lessons/story/story.grammar --words 1000000 -o stories.txt",
                 "nibble corpus lessons/story/story.grammar --quiz --stories 500 -o quiz.txt"},
    .arguments = {{"GRAMMAR", NB_WORD_FILE, false}},
    .options = {{.name = "seed",
                 .letter = 's',
                 .kind = NB_WORD_COUNT,
                 .value = "S",
                 .low = 0,
                 .high = 9e15,
                 .summary = "which text; 0 unless said"},
                {.name = "stories",
                 .letter = 'n',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1e15,
                 .summary = "how many; 10 unless anything is said"},
                {.name = "words",
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1e15,
                 .summary = "end with the story that reaches so many words and marks"},
                {.name = "bytes",
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1e15,
                 .summary = "end with the story that reaches so many bytes"},
                {.name = "start",
                 .kind = NB_WORD_TEXT,
                 .value = "RULE",
                 .summary = "where to begin; the grammar's first start unless said"},
                {.name = "quiz",
                 .kind = NB_WORD_FLAG,
                 .summary = "stories with a question; a tab parts it from the answer"},
                {.name = "output",
                 .letter = 'o',
                 .kind = NB_WORD_NEW_FILE,
                 .value = "FILE",
                 .summary = "where to; standard output unless said"},
                NB_THREADS_OPTION},
    .needs = NB_WRITES_FILES,
    .run = run_corpus,
};
