/* Names to indices, by hashing: what finds a key or a tensor in a file, and refuses it a second time. */
#ifndef NB_FILES_NAME_INDEX_H
#define NB_FILES_NAME_INDEX_H

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct nb_name_index nb_name_index;

/* Room for `count` names, which must outlive the index. NULL when memory is short. */
nb_name_index *nb_name_index_create(size_t count);
void nb_name_index_destroy(nb_name_index **index);
/* False if the name is there already. */
bool nb_name_index_add(nb_name_index *index, nb_string name, size_t value);
/* False if it is not there. */
bool nb_name_index_find(const nb_name_index *index, nb_string name, size_t *value);

#endif
