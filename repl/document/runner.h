/* Running a document: showing its cells as they run, comparing what they give with what was recorded, or
 * recording it anew. */
#ifndef NB_REPL_DOCUMENT_RUNNER_H
#define NB_REPL_DOCUMENT_RUNNER_H

#include "repl/document/document.h"
#include "repl/front.h"

/* -p bits=4 */
typedef struct nb_parameter {
    const char *name, *value;
} nb_parameter;

typedef enum nb_run_mode { NB_RUN_SHOW, NB_RUN_CHECK, NB_RUN_RECORD } nb_run_mode;

typedef struct nb_run_options {
    nb_run_mode mode;
    bool quiet; /* SHOW: shows nothing; the notebook keeps it */
    const nb_parameter *parameters; /* over those of the front matter, `parameters:` with indented lines */
    size_t n_parameters;
} nb_run_options;

typedef struct nb_run_report {
    size_t n_cells;     /* that ran */
    size_t n_outputs;   /* that agree with what was recorded, or are recorded now */
    size_t n_differ;    /* CHECK: cells whose output is another one */
    size_t n_unrecorded; /* CHECK: cells that gave something where nothing is recorded */
    bool changed;       /* RECORD: the document is another one now */
} nb_run_report;

/* Runs the cells in order. Options of a cell: `skip` does not run it; `fails` says that it ends with an error, which
 * is its output then; `parameters` has the parameters set once more after it. After a check its solution runs (its
 * `do:` lines, or its last hint), and what it wants must hold.
 *
 * An error that no `fails` expects ends the run: its sentence names the file and the line. With CHECK the first
 * difference is shown on standard error, and the run goes on; then it fails. With RECORD the document's outputs
 * are exchanged where they differ, pictures are written to `figures` beside it, and the document is left to be
 * saved. */
nb_status nb_document_run(nb_front *front, nb_document *document, const nb_run_options *options, nb_run_report *report,
                          nb_error *error);

#endif
