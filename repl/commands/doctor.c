#include "repl/commands/table.h"
#include "repl/notebook.h"
#include "repl/numbers.h"
#include "repl/render.h"

#include <stdlib.h>
#include <string.h>

static const nb_column columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};

static void add_row(nb_items *out, const char *name)
{
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "%s" NB_END, name);
}

static void add_levels(const nb_context *context, nb_items *out)
{
    nb_draft text = {0};
    uint32_t features = nb_cpu_features();
    for (size_t i = 0; i < nb_kernels_count(); i++) {
        const nb_kernels *kernels = nb_kernels_at(i);
        if ((kernels->needs & features) != kernels->needs)
            continue;
        nb_draft_addf(&text, "%s%s%s", text.n_bytes ? ", " : "", kernels->name,
                      kernels == context->kernels ? " (in use)" : "");
    }
    add_row(out, "levels");
    nb_items_cell(out, 1, NB_MEASURED "%s" NB_END "; NIBBLE_ISA=scalar forces one", nb_draft_text(&text));
    nb_draft_free(&text);
}

static const char *picture_of(const nb_terminal *terminal)
{
    switch (terminal->picture) {
    case NB_PICTURE_KITTY:
        return "pictures by the kitty protocol";
    case NB_PICTURE_SIXEL:
        return "pictures by sixel";
    case NB_PICTURE_BRAILLE:
        return "figures as Braille";
    case NB_PICTURE_AUTO:
    case NB_PICTURE_ASCII:
        return "figures as plain text";
    case NB_PICTURE_NONE:
        break;
    }
    return "no figures";
}

static void add_terminal(const nb_notebook *notebook, nb_items *out)
{
    add_row(out, "terminal");
    if (!notebook->screen || !notebook->screen->is_terminal) {
        nb_items_cell(out, 1, NB_MEASURED "none" NB_END ": output goes to a file or a pipe, 80 columns wide");
        return;
    }
    const nb_terminal *terminal = nb_screen_terminal(notebook->screen);
    const char *name = getenv("TERM");
    nb_items_cell(out, 1, NB_MEASURED "%s, %d columns, %s, %s, %s" NB_END, name ? name : "unknown",
                  notebook->screen->columns, notebook->screen->utf8 ? "UTF-8" : "no UTF-8 (set LANG=C.UTF-8)",
                  notebook->screen->colour ? "colours" : "no colours", picture_of(terminal));
}

static void add_libraries(nb_items *out)
{
    char gnuplot[64];
    nb_gnuplot_version(gnuplot, sizeof gnuplot);
    add_row(out, "gnuplot");
    if (*gnuplot)
        nb_items_cell(out, 1, NB_MEASURED "%s" NB_END, gnuplot);
    else
        nb_items_cell(out, 1,
                      NB_ALERT "missing" NB_END
                               ": histograms are drawn as text, and --png and --svg need it. " NB_COMMAND
                               "apt-get install gnuplot-nox" NB_END " or " NB_COMMAND
                               "brew install gnuplot" NB_END);
    add_row(out, "libedit");
#ifdef NB_HAVE_LIBEDIT
    nb_items_cell(out, 1, NB_MEASURED "yes" NB_END ": line editing, Tab, Ctrl-R");
#else
    nb_items_cell(out, 1,
                  NB_ALERT "missing" NB_END ": no line editing, Tab or Ctrl-R. " NB_COMMAND
                           "apt-get install libedit-dev" NB_END ", then make again");
#endif
    add_row(out, "md4c");
#ifdef NB_HAVE_MD4C
    nb_items_cell(out, 1, NB_MEASURED "yes" NB_END ": lessons with headings, tables and formulas");
#else
    nb_items_cell(out, 1,
                  NB_ALERT "missing" NB_END ": lessons are shown as their Markdown source. " NB_COMMAND
                           "apt-get install libmd4c-dev" NB_END ", then make again");
#endif
    add_row(out, "jansson");
#ifdef NB_HAVE_JANSSON
    nb_items_cell(out, 1, NB_MEASURED "yes" NB_END ": Jupyter notebooks, to and from");
#else
    nb_items_cell(out, 1,
                  NB_ALERT "missing" NB_END ": no Jupyter notebooks. " NB_COMMAND "apt-get install libjansson-dev" NB_END
                           ", then make again");
#endif
    add_row(out, "PCRE2");
#ifdef NB_HAVE_PCRE2
    nb_items_cell(out, 1, NB_MEASURED "yes" NB_END ": byte-level tokenizers (GPT-2, Llama 3, Qwen)");
#else
    nb_items_cell(out, 1,
                  NB_ALERT
                  "missing" NB_END
                  ": models with a byte-level tokenizer (GPT-2, Llama 3, Qwen) cannot read text. " NB_COMMAND
                  "apt-get install libpcre2-dev" NB_END ", then make again");
#endif
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call;
    char cpu[128], fingerprint[17];
    nb_status status = nb_fingerprint(notebook->context, fingerprint, error);
    if (status != NB_OK)
        return status;
    nb_cpu_name(cpu, sizeof cpu);
    nb_items_table(out, columns, 2);
    add_row(out, "nibble");
    nb_items_cell(out, 1, NIBBLE_VERSION);
    add_row(out, "processor");
    nb_items_cell(out, 1, NB_MEASURED "%s, %u cores" NB_END, cpu, nb_cpu_count());
    add_levels(notebook->context, out);
    add_row(out, "computes with");
    nb_items_cell(out, 1, NB_MEASURED "%s, %u threads" NB_END, notebook->context->kernels->title,
                  nb_pool_size(notebook->context->pool));
    add_row(out, "fingerprint");
    nb_items_cell(out, 1,
                  NB_STRONG "%s" NB_END
                            ": machines that print the same one compute the same numbers, bit for bit",
                  fingerprint);
    add_terminal(notebook, out);
    add_libraries(out);
    return NB_OK;
}

const nb_command nb_command_doctor = {
    .name = "doctor",
    .group = "The notebook",
    .usage = "doctor",
    .summary = "what computes here, and what is missing",
    .examples = {"doctor"},
    .run = run,
};
