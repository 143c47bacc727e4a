#include "repl/document/document.h"

#include "base/file.h"
#include "base/memory.h"
#include "repl/document/reader.h"

#include <stdlib.h>
#include <string.h>

nb_status nb_document_open(const char *path, nb_document **out, nb_error *error)
{
    nb_mapping *file;
    *out = NULL;
    nb_status status = nb_mapping_open(path, &file, error);
    if (status != NB_OK)
        return status;
    status = nb_document_parse((const char *)file->data, file->size, path, out, error);
    if (status == NB_OK)
        status = nb_mapping_check(file, error);
    if (status != NB_OK)
        nb_document_close(out);
    nb_mapping_close(&file);
    return status;
}

void nb_document_close(nb_document **document)
{
    nb_document *gone = *document;
    if (!gone)
        return;
    for (size_t i = 0; i < gone->n_front; i++) {
        free(gone->front[i].key);
        free(gone->front[i].value);
    }
    for (size_t i = 0; i < gone->n_blocks; i++)
        nb_block_free(&gone->blocks[i]);
    free(gone->name);
    free(gone->head);
    free(gone->front);
    free(gone->blocks);
    free(gone);
    *document = NULL;
}

void nb_block_free(nb_block *block)
{
    free(block->source);
    free(block->text);
    free(block->info);
    nb_check_destroy(&block->check);
}

/* ---- using it ---- */

bool nb_block_has_option(const nb_block *block, const char *option)
{
    size_t n = strlen(option);
    for (const char *at = block->info; *at;) {
        at += strspn(at, " \t");
        size_t length = strcspn(at, " \t");
        if (length == n && memcmp(at, option, n) == 0)
            return true;
        at += length;
    }
    return false;
}

void nb_document_write(const nb_document *document, nb_draft *out)
{
    nb_draft_add(out, document->head);
    for (size_t i = 0; i < document->n_blocks; i++)
        nb_draft_append(out, document->blocks[i].source, document->blocks[i].n_source);
}

nb_status nb_write_whole(const char *path, const char *text, size_t n_bytes, nb_error *error)
{
    nb_writer *writer;
    nb_status status = nb_writer_open(path, &writer, error);
    if (status != NB_OK)
        return status;
    status = nb_writer_write(writer, text, n_bytes, error);
    if (status == NB_OK)
        return nb_writer_commit(&writer, error);
    nb_writer_abort(&writer);
    return status;
}

nb_status nb_document_save(const nb_document *document, const char *path, nb_error *error)
{
    nb_draft text = {0};
    nb_document_write(document, &text);
    nb_status status = text.failed ? nb_fail(error, NB_ERR_MEMORY, "no memory to write %.200s", path)
                                   : nb_write_whole(path, nb_draft_text(&text), text.n_bytes, error);
    nb_draft_free(&text);
    return status;
}
