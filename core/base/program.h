/* Where the running program lies. */
#ifndef NB_BASE_PROGRAM_H
#define NB_BASE_PROGRAM_H

/* The folder of its file, links resolved, without a final slash; allocated. NULL where the system does not say. */
char *nb_program_folder(void);

#endif
