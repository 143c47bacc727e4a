/* The notebook: one object that owns the engine's context, the model, the settings and the cells so far.
 * Commands work on it and return items; it knows no terminal. */
#ifndef NB_REPL_NOTEBOOK_H
#define NB_REPL_NOTEBOOK_H

#include "nibble.h"
#include "repl/command.h"
#include "repl/items.h"
#include "text/chat.h"

#include <stdbool.h>

typedef struct nb_settings {
    nb_sampler_options sampling; /* what generate uses unless told otherwise */
    uint32_t n_tokens;           /* that generate and compare write */
    nb_picture picture;
    /* Paths of texts, each of its own commands; NULL: none yet. */
    char *text;        /* what ppl, compare and their like measure on */
    char *quiz;        /* what quiz asks */
    char *calibration; /* what calibrate, imatrix, transforms, budget and methods look at the model with */
} nb_settings;

/* Tokens per second, as measured here on this machine. */
typedef struct nb_speed {
    double tokens_per_second; /* 0: not measured */
    unsigned n_threads;
} nb_speed;

/* What was said with `chat` so far. */
typedef struct nb_conversation {
    const nb_chat_template *template;
    nb_chat_turn *turns; /* their texts are owned */
    size_t n_turns;
} nb_conversation;

/* What a cell gave. A notebook keeps the newest NB_OUTCOME_BYTES of them, for export. */
enum { NB_OUTCOME_BYTES = 64 << 20 };
typedef struct nb_outcome {
    nb_items items;
    char *error;    /* the sentence that ended it; NULL: it went well */
    size_t n_bytes; /* that the items take */
    bool dropped;   /* they were let go */
} nb_outcome;

/* What a document that was run has between its cells, for export. */
typedef struct nb_note {
    size_t before; /* the cell that it stands before, from 0 */
    char *text;    /* Markdown */
    char *source;  /* of a check: its bytes in the document; NULL: they are `text` */
    char *path;    /* of the document */
} nb_note;

typedef struct nb_notebook {
    nb_context *context;
    struct nb_language *language; /* variables and functions of the learner */
    nb_model *model; /* NULL: none loaded */
    nb_settings settings;
    char **cells; /* [n_cells]: what was typed; In [n] is cells[n - 1] */
    nb_outcome *outcomes; /* [n_cells] */
    size_t n_cells, outcome_bytes;
    nb_note *notes;
    size_t n_notes;
    char *title; /* of such a document; NULL: none */
    char **undo_lines; /* [nb_model_undo_depth]: the command that each step takes back */
    size_t n_undo_lines;
    nb_conversation chat;
    nb_speed original_speed; /* of the model as loaded, taken before its first change */
    nb_importance *importance; /* what errors are weighed by; NULL: nothing */
    struct nb_calibration *calibration; /* of this model's activations; NULL: none yet */
    struct nb_measured_budget *budget;  /* what the newest budget measured; NULL: none yet */
    bool leave;              /* exit was asked for */
    struct nb_lesson *lesson; /* being taken; NULL: none */
    struct nb_document *to_run; /* what `run` opened: its cells come next */
    bool is_running;            /* the cells of a file are being run: they may not run another */

    /* A confined notebook runs no shell and touches files in `folder` only. */
    bool confined;
    const char *folder;
    const char *beside; /* it also reads files there, where its document stands; NULL: nowhere */

    /* How it is watched. All may be NULL. */
    void (*stream)(void *user, const char *text, size_t n_bytes); /* text as a model writes it */
    int (*shell)(void *user, const char *command); /* runs a command line; its exit status, or -1 */
    struct nb_screen *screen;                      /* for doctor */
    bool only_call; /* a subcommand's: no cell comes after it, so none is proposed */
    bool offers; /* a lesson's next cell stands at the prompt: it needs not be shown as well */
    void *user;
} nb_notebook;

/* `options` may be NULL: then NIBBLE_ISA and the number of cores decide. */
nb_status nb_notebook_create(const nb_context_options *options, nb_notebook **out, nb_error *error);
void nb_notebook_destroy(nb_notebook **notebook);

/* Runs every command of a cell, in order, up to the first that fails. `show` gets each command's items as
 * soon as they are there (also those of a command that then failed or was stopped); it may be NULL. The cell
 * is kept in the history, whatever happens. */
typedef void nb_show_fn(void *user, const nb_items *items, unsigned cell);
nb_status nb_notebook_run(nb_notebook *notebook, const char *text, size_t n_bytes, nb_show_fn *show,
                          void *user, nb_error *error);
/* The number that the next cell will have. */
unsigned nb_notebook_next(const nb_notebook *notebook);

/* ---- what commands share ---- */

/* A tensor by its name; errors name the nearest one. */
nb_status nb_notebook_tensor(const nb_notebook *notebook, const char *name, const nb_tensor **out,
                             nb_error *error);
nb_status nb_notebook_format(const char *name, const nb_format **out, nb_error *error);
/* The path as it may be opened: with ~ expanded, and inside the folder of a confined notebook. Allocated. For
 * reading, a missing file is the built-in model of that name, or answered with the nearest name beside it. */
nb_status nb_notebook_path(const nb_notebook *notebook, const char *typed, bool to_read, char **out,
                           nb_error *error);
/* The text that a measurement reads: `typed`, or the one of the last time; remembered for the next. */
nb_status nb_notebook_text(nb_notebook *notebook, const char *typed, const char *command, nb_mapping **out,
                           nb_error *error);
/* The same for the text that a quiz asks from. */
nb_status nb_notebook_quiz(nb_notebook *notebook, const char *typed, const char *command, nb_mapping **out,
                           nb_error *error);
/* The same for the text that a model is calibrated with, which a measurement never reads unless it is told to. */
nb_status nb_notebook_calibration_text(nb_notebook *notebook, const char *typed, const char *command,
                                       nb_mapping **out, nb_error *error);
/* Puts a note before the next cell. Without memory there is none. */
void nb_notebook_note(nb_notebook *notebook, const char *path, const char *text, const char *source);
/* Remembers what the newest undo step takes back. */
void nb_notebook_note_undo(nb_notebook *notebook, const nb_call *call);
void nb_notebook_forget_chat(nb_notebook *notebook);
bool nb_notebook_changed(const nb_notebook *notebook);
/* Scope words beside tensor names: "attention", "mlp", "embeddings", "head", "all", NULL. */
extern const char *const nb_scope_words[];

/* Speed of writing token by token, over at most about `seconds`. */
nb_status nb_notebook_measure_speed(nb_notebook *notebook, double seconds, nb_speed *out, nb_error *error);
double nb_seconds_now(void);

#endif
