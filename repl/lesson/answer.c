/* Judging what a learner made. */
#include "repl/language/language.h"
#include "repl/language/show.h"
#include "repl/lesson/lesson.h"

#include <ctype.h>
#include <string.h>

/* A condition that cannot be tried (its variable is not there yet) does not hold; one that was stopped is an
 * error. */
static nb_status holds(nb_notebook *notebook, const char *condition, bool *out, nb_error *why,
                       nb_error *error)
{
    nb_status status = nb_language_holds(notebook->language, condition, out, why);
    if (status == NB_OK)
        return NB_OK;
    *out = false;
    if (status == NB_ERR_CANCELLED || status == NB_ERR_MEMORY)
        return nb_fail(error, status, "%s", why->text);
    if (why->text[0] == '\0')
        nb_fail(why, status, "it cannot be computed");
    return NB_OK;
}

nb_status nb_check_wrongs(nb_notebook *notebook, const nb_check *check, uint32_t *bits, nb_error *error)
{
    nb_status status = NB_OK;
    *bits = 0;
    for (size_t i = 0; status == NB_OK && i < check->n_wrongs && i < 32; i++) {
        bool is_so = false;
        nb_error why = {""};
        status = holds(notebook, check->wrongs[i].condition, &is_so, &why, error);
        *bits |= is_so ? (uint32_t)1 << i : 0;
    }
    return status;
}

nb_status nb_check_judge(nb_notebook *notebook, const nb_check *check, nb_judgement *out, nb_error *error)
{
    nb_status status = NB_OK;
    *out = (nb_judgement){.verdict = NB_VERDICT_RIGHT};
    for (size_t i = 0; status == NB_OK && out->verdict == NB_VERDICT_RIGHT && i < check->n_wants; i++) {
        bool is_so = false;
        nb_error why = {""};
        status = holds(notebook, check->wants[i].condition, &is_so, &why, error);
        if (!is_so)
            *out = (nb_judgement){why.text[0] ? NB_VERDICT_UNDEFINED : NB_VERDICT_NOT_YET, i, why};
    }
    for (size_t i = 0; status == NB_OK && out->verdict != NB_VERDICT_RIGHT && i < check->n_wrongs; i++) {
        bool is_so = false;
        nb_error why = {""};
        status = holds(notebook, check->wrongs[i].condition, &is_so, &why, error);
        if (is_so) {
            *out = (nb_judgement){.verdict = NB_VERDICT_WRONG, .which = i};
            break;
        }
    }
    return status;
}

/* ---- values ---- */

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Where text[0..n) has the name as a word; NULL: nowhere. */
static const char *find_word(const char *text, size_t n, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = text; at + length <= text + n; at++) {
        if (memcmp(at, name, length) == 0 && !is_name(at[length]) && (at == text || !is_name(at[-1])))
            return at;
    }
    return NULL;
}

/* `name = 1`, `name[2] = 1`, `def name(x)` */
static bool sets(const char *cells, const char *name)
{
    for (const char *at = cells; (at = find_word(at, strlen(at), name)) != NULL; at++) {
        const char *after = at + strlen(name) + strspn(at + strlen(name), " \t");
        if (after[0] == '[') {
            after += strcspn(after, "]\n");
            after += *after == ']';
            after += strspn(after, " \t");
        }
        if (after[0] == '=' && after[1] != '=')
            return true;
        if (at >= cells + 4 && memcmp(at - 4, "def ", 4) == 0)
            return true;
    }
    return false;
}

/* Reads the name that *at begins with, and moves on; "" if none does. */
static void next_name(const char **at, char name[64])
{
    size_t n = 0;
    while (is_name((*at)[n]))
        n++;
    const bool fits = n && n < 64 && !isdigit((unsigned char)**at);
    memcpy(name, *at, fits ? n : 0);
    name[fits ? n : 0] = '\0';
    *at += n ? n : 1;
}

bool nb_condition_set_by(const char *condition, const char *cell)
{
    char name[64];
    for (const char *at = condition; *at;) {
        next_name(&at, name);
        if (*name && sets(cell, name))
            return true;
    }
    return false;
}

static void show_value(nb_notebook *notebook, const char *name, nb_items *items)
{
    nb_value value;
    if (!nb_language_variable(notebook->language, name, &value) || value.kind == NB_VALUE_FUNCTION)
        return;
    nb_draft text = {0};
    if (value.kind == NB_VALUE_ARRAY && value.array->size > 64)
        nb_show_summary(value.array, &text);
    else
        nb_show_value(&value, false, &text);
    nb_items_text(items, "%s is %s", name, nb_draft_text(&text));
    nb_draft_free(&text);
}

void nb_check_show_values(nb_notebook *notebook, const nb_check *check, const char *cells, nb_items *items)
{
    nb_draft all = {0};
    for (size_t i = 0; i < check->n_wants; i++)
        nb_draft_addf(&all, "%s\n", check->wants[i].condition);
    char name[64];
    for (const char *at = nb_draft_text(&all); *at;) {
        const size_t before = (size_t)(at - all.text);
        next_name(&at, name);
        if (*name && sets(cells, name) && find_word(all.text, before, name) == NULL)
            show_value(notebook, name, items);
    }
    nb_draft_free(&all);
}

bool nb_check_is_quick(const nb_check *check)
{
    static const char *const slow[] = {"ppl(", "quiz(", "kld(", "activations("};
    for (size_t k = 0; k < sizeof slow / sizeof *slow; k++) {
        for (size_t i = 0; i < check->n_wants; i++) {
            if (strstr(check->wants[i].condition, slow[k]))
                return false;
        }
        for (size_t i = 0; i < check->n_wrongs; i++) {
            if (strstr(check->wrongs[i].condition, slow[k]))
                return false;
        }
    }
    return true;
}
