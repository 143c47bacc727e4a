/* A text file of several documents: they are parted by lines that say <|endoftext|> and nothing else. */
#ifndef NB_TEXT_DOCUMENTS_H
#define NB_TEXT_DOCUMENTS_H

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

#define NB_DOCUMENT_MARK "<|endoftext|>"

/* Whether the text has such a line at all. */
bool nb_documents_marked(nb_string text);

/* The next document of `text` from *at on (0 at first), without the line ends around it; false when there is
 * none left. Empty ones are passed over, so a file may begin or end with a mark. */
bool nb_document_next(nb_string text, size_t *at, nb_string *document);

#endif
