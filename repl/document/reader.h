/* Parts of the reader: what stands inside front matter and inside a check. */
#ifndef NB_REPL_DOCUMENT_READER_H
#define NB_REPL_DOCUMENT_READER_H

#include "repl/document/document.h"

/* Reads the front matter at the start of text[0..n), if there is some, into the document. *n_head are its bytes
 * (of a byte order mark too), *line becomes the number of the line after it. */
nb_status nb_front_read(nb_document *document, const char *text, size_t n, size_t *n_head, size_t *line,
                        nb_error *error);

/* Reads block->text into block->check. */
nb_status nb_check_read(const nb_document *document, nb_block *block, nb_error *error);
void nb_check_destroy(nb_check **check);

void nb_block_free(nb_block *block);

#endif
