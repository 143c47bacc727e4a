/* What `set` changes: one row each, which help and completion walk. */
#ifndef NB_REPL_SETTINGS_H
#define NB_REPL_SETTINGS_H

#include "repl/draft.h"
#include "repl/notebook.h"

typedef struct nb_setting {
    const char *name;
    const char *value; /* "N" */
    const char *summary;
    const char *choices; /* for the Tab key; NULL: none */
    void (*get)(const struct nb_setting *setting, const nb_notebook *notebook, nb_draft *out);
    nb_status (*set)(const struct nb_setting *setting, nb_notebook *notebook, const char *text,
                     nb_error *error);
    /* Of a number: what it may be, and its place in nb_settings. */
    double low, high;
    size_t offset;
    enum { NB_SETTING_U32, NB_SETTING_U64, NB_SETTING_F32 } type;
} nb_setting;

size_t nb_setting_count(void);
const nb_setting *nb_setting_at(size_t index);
/* NULL and a sentence with the nearest name if there is none. */
const nb_setting *nb_setting_find(const char *name, nb_error *error);

#endif
