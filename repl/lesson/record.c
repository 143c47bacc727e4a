/* How far one came, kept as text: a line that says what the file is, then a line a lesson. */
#include "repl/lesson/lesson.h"

#include "base/file.h"
#include "base/memory.h"
#include "repl/data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, MOST_RECORDS = 10000 };

static const char file_name[] = "progress";

void nb_records_free(nb_records *records)
{
    free(records->records);
    *records = (nb_records){0};
}

const nb_record *nb_records_find(const nb_records *records, const char *id)
{
    for (size_t i = 0; i < records->n; i++) {
        if (strcmp(records->records[i].id, id) == 0)
            return &records->records[i];
    }
    return NULL;
}

static nb_status add(nb_records *records, const nb_record *record, nb_error *error)
{
    for (size_t i = 0; i < records->n; i++) {
        if (strcmp(records->records[i].id, record->id) == 0) {
            records->records[i] = *record;
            return NB_OK;
        }
    }
    nb_record *grown = nb_realloc(records->records, records->n + 1, sizeof *grown);
    if (!grown)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the progress in lessons");
    records->records = grown;
    grown[records->n++] = *record;
    return NB_OK;
}

static nb_status read_lines(FILE *file, const char *path, nb_records *out, nb_error *error)
{
    char line[256];
    unsigned version = 0;
    if (!fgets(line, sizeof line, file) || sscanf(line, "nibble progress %u", &version) != 1)
        return nb_fail(error, NB_ERR_FILE,
                       "%.300s is not what nibble keeps progress in; move it away to start anew", path);
    if (version > VERSION)
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "%.300s is of a newer nibble: its progress file has version %u, this one "
                       "reads %d",
                       path, version, VERSION);
    nb_status status = NB_OK;
    while (status == NB_OK && out->n < MOST_RECORDS && fgets(line, sizeof line, file)) {
        nb_record r = {0};
        unsigned done = 0;
        if (sscanf(line, "%63s at %u of %u answered %u of %u done %u", r.id, &r.at, &r.n_stops, &r.n_answered,
                   &r.n_questions, &done) != 6)
            continue; /* a line that somebody broke costs one lesson's progress, not all */
        r.done = done;
        status = add(out, &r, error);
    }
    return status;
}

static nb_status read_from(const char *path, nb_records *out, nb_error *error)
{
    *out = (nb_records){0};
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file)
        return !path || errno == ENOENT
                   ? NB_OK
                   : nb_fail(error, NB_ERR_IO, "%.300s cannot be read: %s", path, strerror(errno));
    nb_status status = read_lines(file, path, out, error);
    fclose(file);
    if (status != NB_OK)
        nb_records_free(out);
    return status;
}

nb_status nb_records_read(nb_records *out, nb_error *error)
{
    char *path = nb_data_path(file_name);
    nb_status status = read_from(path, out, error);
    free(path);
    return status;
}

static nb_status write_to(const char *path, const nb_records *records, nb_error *error)
{
    nb_draft text = {0};
    nb_draft_addf(&text, "nibble progress %d\n", VERSION);
    for (size_t i = 0; i < records->n; i++) {
        const nb_record *r = &records->records[i];
        nb_draft_addf(&text, "%s at %u of %u answered %u of %u done %d\n", r->id, r->at, r->n_stops,
                      r->n_answered, r->n_questions, r->done);
    }
    nb_writer *writer = NULL;
    nb_status status = text.failed ? nb_fail(error, NB_ERR_MEMORY, "no memory for the progress in lessons")
                                   : nb_writer_open(path, &writer, error);
    if (status == NB_OK)
        status = nb_writer_write(writer, text.text, text.n_bytes, error);
    if (status == NB_OK)
        status = nb_writer_commit(&writer, error);
    nb_writer_abort(&writer);
    nb_draft_free(&text);
    return status;
}

nb_status nb_record_keep(const nb_record *record, nb_error *error)
{
    char *path = nb_data_path(file_name);
    nb_records records;
    if (!path)
        return NB_OK; /* nowhere to keep it */
    nb_status status = read_from(path, &records, error);
    if (status == NB_OK)
        status = add(&records, record, error);
    if (status == NB_OK)
        status = write_to(path, &records, error);
    nb_records_free(&records);
    free(path);
    return status;
}
