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
    void (*get)(const nb_notebook *notebook, nb_draft *out);
    nb_status (*set)(nb_notebook *notebook, const char *text, nb_error *error);
} nb_setting;

size_t nb_setting_count(void);
const nb_setting *nb_setting_at(size_t index);
/* NULL and a sentence with the nearest name if there is none. */
const nb_setting *nb_setting_find(const char *name, nb_error *error);

#endif
