/* What outliers and quantize --outliers share. */
#ifndef NB_REPL_COMMANDS_OUTLIERS_H
#define NB_REPL_COMMANDS_OUTLIERS_H

#include "quant/calibration.h"
#include "repl/notebook.h"

/* One row for each input of the scope's tensors that has outliers. */
void nb_outliers_describe(const nb_model *model, const nb_scope *scope, const nb_calibration *calibration,
                          double threshold, nb_items *out);

#endif
