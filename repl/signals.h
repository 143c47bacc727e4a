/* Ctrl-C stops the command that runs, never nibble. */
#ifndef NB_REPL_SIGNALS_H
#define NB_REPL_SIGNALS_H

#include "nibble.h"

/* From now on an interrupt sets context->cancel while a command runs, and a closed pipe or a
 * file that grows too large is an error of write. */
void nb_signals_install(nb_context *context);
void nb_signals_remove(void);
/* What is written to the terminal should the program be ended from outside; static, or NULL for nothing. */
void nb_signals_leave_with(const char *sequence);
/* From now on commands have this long, all together; then they are stopped as by an interrupt. 0: no limit. */
void nb_signals_limit(unsigned seconds);
/* Whether that time is over. */
bool nb_signals_late(void);
/* Around each command. Between commands an interrupt does nothing. nb_signals_end forgets a wish to stop that
 * came too late, and says whether one came at all. */
void nb_signals_begin(void);
bool nb_signals_end(void);

#endif
