/* Functions of texts. */
#include "repl/language/functions.h"

#include "repl/draft.h"
#include "repl/language/machine.h"
#include "repl/language/show.h"
#include "repl/numbers.h"

#include <string.h>

enum { MOST_PRINTED = 1000 };

static nb_status print(nb_application *call, nb_value *out, nb_error *error)
{
    nb_items *items = call->language->items;
    nb_draft text = {0};
    (void)out;
    if (!items)
        return NB_OK;
    if (items->count >= MOST_PRINTED)
        return nb_fail(error, NB_ERR_STATE, "this cell printed %d lines already, and that is enough",
                       MOST_PRINTED);
    for (size_t i = 0; i < call->n_more; i++) {
        nb_draft_add(&text, i ? " " : "");
        nb_show_value(&call->more[i], true, &text);
    }
    if (text.n_bytes == 0)
        nb_draft_add(&text, " ");
    nb_items_text(items, "%s", nb_draft_text(&text));
    const bool failed = text.failed || items->failed;
    nb_draft_free(&text);
    return failed ? nb_fail(error, NB_ERR_MEMORY, "no memory to print this") : NB_OK;
}

static nb_status str(nb_application *call, nb_value *out, nb_error *error)
{
    nb_draft text = {0};
    nb_show_value(&call->values[0], true, &text);
    const nb_status status = text.failed ? nb_fail(error, NB_ERR_MEMORY, "no memory for this text")
                                         : nb_value_text(nb_draft_text(&text), text.n_bytes, out, error);
    nb_draft_free(&text);
    return status;
}

static nb_status digits(nb_application *call, nb_value *out, nb_error *error)
{
    double number, n;
    nb_status status = nb_argument_number(call, 0, &number, error);
    if (status == NB_OK)
        status = nb_argument_whole(call, 1, 1, 17, &n, error);
    if (status != NB_OK)
        return status;
    const nb_number text = nb_general(number, (int)n);
    return nb_value_text(text.text, strlen(text.text), out, error);
}

#define TEXT "Text"

const nb_function_row nb_functions_text[] = {
    {"print", TEXT, "print(x, ...)", "shows values, also from inside a loop", "print(\"s is\", 0.5)", NULL,
     print, 0, 0, 0},
    {"str", TEXT, "str(x)", "a value as text", "\"blk.\" + str(3)", "\"blk.3\"", str, 0, 0, 0},
    {"digits", TEXT, "digits(x, n)", "a number with up to 17 digits, as text", "digits(0.1, 17)",
     "\"0.10000000000000001\"", digits, 0, 0, 0},
};
const size_t nb_n_functions_text = sizeof nb_functions_text / sizeof *nb_functions_text;
