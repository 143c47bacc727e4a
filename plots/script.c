#include "plots/script.h"

#include "plots/words.h"

void nb_script_quote(nb_buffer *script, const char *text)
{
    nb_buffer_text(script, "'");
    while (*text) {
        unsigned rune = nb_rune_next(&text);
        if (nb_rune_is_control(rune) || rune == 0xfffd)
            nb_buffer_text(script, "?");
        else if (rune == '\'')
            nb_buffer_text(script, "’");
        else
            nb_buffer_rune(script, rune);
    }
    nb_buffer_text(script, "'");
}

void nb_script_title(nb_buffer *script, const char *label)
{
    if (!label || !label[0]) {
        nb_buffer_text(script, " notitle");
        return;
    }
    nb_buffer_text(script, " title ");
    nb_script_quote(script, label);
}
