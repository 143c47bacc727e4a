/* Budgets: the solver against every mixture there is, and the errors of a model against its logits. */
#include "quant/budget.h"

#include "base/random.h"
#include "tests/support/shapes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { TENSORS = 5, CANDIDATES = 4, MIXTURES = 1024 /* CANDIDATES^TENSORS */ };
