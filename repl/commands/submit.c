#include "repl/commands/table.h"
#include "repl/lesson/submission.h"

#include "base/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "04-absmax-ada-lovelace.nibsub" */
static char *file_name(const nb_lesson *lesson, const char *name)
{
    nb_draft text = {0};
    nb_draft_addf(&text, "%s-", lesson->id);
    for (const char *c = name; *c; c++) {
        const char plain = (char)tolower((unsigned char)*c), *dash = "-";
        const bool kept = isalnum((unsigned char)*c) || (unsigned char)*c >= 0x80;
        nb_draft_append(&text, kept ? &plain : dash, 1);
    }
    nb_draft_add(&text, ".nibsub");
    return nb_draft_take(&text);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const nb_lesson *lesson = notebook->lesson;
    const char *name = call->arguments[0];
    if (!lesson)
        return nb_fail(error, NB_ERR_STATE,
                       "no lesson is open, so there is nothing to hand in: lesson lists them");
    if (!*name)
        return nb_fail(error, NB_ERR_ARGUMENT, "submit wants your name: submit \"Ada Lovelace\"");
    char *chosen = call->n_arguments > 1 ? nb_strdup(call->arguments[1]) : file_name(lesson, name),
         *path = NULL;
    char date[16] = "";
    const time_t now = time(NULL);
    struct tm today;
    if (localtime_r(&now, &today))
        strftime(date, sizeof date, "%Y-%m-%d", &today);
    nb_status status = chosen ? nb_notebook_path(notebook, chosen, false, &path, error)
                              : nb_fail(error, NB_ERR_MEMORY, "no memory for a submission");
    if (status == NB_OK)
        status = nb_submission_write(lesson, name, date, path, error);
    unsigned n = 0, n_answered = 0;
    for (size_t i = 0; i < lesson->n_stops; i++) {
        n += lesson->document->blocks[lesson->stops[i]].kind == NB_BLOCK_CHECK;
        n_answered += lesson->answered[i];
    }
    if (status == NB_OK)
        nb_items_text(out,
                      NB_MEASURED "%s" NB_END
                                  " · %s, %u of %u questions answered, with the cells that you ran at "
                                  "each. It is text: read it before you send it.",
                      path, lesson->id, n_answered, n);
    free(chosen);
    free(path);
    return status;
}

const nb_command nb_command_submit = {
    .name = "submit",
    .group = "Lessons",
    .usage = "submit NAME [FILE]",
    .summary = "writes your answers to a file, for your teacher",
    .details = "The file holds your name, the date and, for each question, the cells that you ran. nibble "
               "grade reads it.",
    .examples = {"submit \"Ada Lovelace\""},
    .arguments = {{"NAME", NB_WORD_TEXT, false}, {"FILE", NB_WORD_NEW_FILE, true}},
    .needs = NB_WRITES_FILES,
    .run = run,
};
