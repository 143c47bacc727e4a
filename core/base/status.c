#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

nb_status nb_fail(nb_error *error, nb_status status, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
    }
    return status;
}
