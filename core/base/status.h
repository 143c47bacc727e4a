/* What a function that can fail returns, and the sentence that it leaves. */
#ifndef NB_BASE_STATUS_H
#define NB_BASE_STATUS_H

typedef enum nb_status {
    NB_OK = 0,
    NB_ERR_ARGUMENT,    /* what was asked for makes no sense: an option, a shape, a name */
    NB_ERR_FILE,        /* a file's content is wrong: truncated, lying, not of its kind */
    NB_ERR_IO,          /* the operating system refused: missing, no permission, disk full */
    NB_ERR_MEMORY,      /* an allocation failed or a limit was reached */
    NB_ERR_UNSUPPORTED, /* well-formed, but nibble has no code for it */
    NB_ERR_STATE,       /* not now: no model is loaded, nothing to undo */
    NB_ERR_CANCELLED,   /* the caller asked to stop; nothing was changed */
} nb_status;

/* The caller's error buffer. `text` is one sentence without a final newline: what was wrong,
 * where (file, offset, tensor), and what to try. A caller that does not care passes NULL. */
typedef struct nb_error {
    char text[512];
} nb_error;

/* Writes the sentence into `error` (if any) and returns `status`, so that a failing function
 * ends in `return nb_fail(error, NB_ERR_FILE, "...", ...)`. */
nb_status nb_fail(nb_error *error, nb_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
