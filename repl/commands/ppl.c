#include "repl/commands/ppl.h"

#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

nb_status nb_measure_ways(nb_notebook *notebook, const nb_call *call, const nb_way *ways, size_t n,
                          nb_perplexity *original, nb_way_cost *costs, const char **text_name, nb_error *error)
{
    nb_mapping *text = NULL;
    nb_status status =
        nb_notebook_text(notebook, nb_call_text(call, "text", NULL), call->command->name, &text, error);
    if (status == NB_OK)
        status = nb_front_measure(notebook->model, ways, n, notebook->importance, (const char *)text->data,
                                  text->size, (size_t)nb_call_number(call, "tokens", NB_WAYS_TOKENS), original,
                                  costs, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    *text_name = nb_file_name(notebook->settings.text ? notebook->settings.text : "");
    nb_mapping_close(&text);
    return status;
}

nb_number nb_perplexity_text(double ppl)
{
    return ppl < 1e5 ? nb_fixed(ppl, ppl < 10 ? 4 : ppl < 1000 ? 2 : 0) : nb_general(ppl, 3);
}

nb_extent nb_increase_text(const nb_way_cost *cost, const nb_perplexity *original)
{
    nb_extent out;
    const double increase = 100 * cost->increase / original->ppl;
    const double error = 100 * cost->paired_error * cost->ppl / original->ppl;
    const int digits = nb_error_digits(error);
    if (increase < 1000)
        snprintf(out.text, sizeof out.text, "%s%s ± %s %%", increase > 0 ? "+" : "", nb_fixed(increase, digits).text,
                 nb_fixed(error, digits).text);
    else
        snprintf(out.text, sizeof out.text, "x %s", nb_general(cost->ppl / original->ppl, 3).text);
    return out;
}

int nb_error_digits(double standard_error)
{
    if (!(standard_error > 0) || isinf(standard_error))
        return 3;
    int digits = 0;
    for (double scaled = standard_error; digits < 6 && scaled < 10; scaled *= 10)
        digits++;
    return digits;
}

nb_reading nb_reading_of(const nb_call *call, size_t max_tokens)
{
    const bool llama_cpp = strcmp(nb_call_text(call, "protocol", "nibble"), "llama.cpp") == 0;
    return (nb_reading){.max_tokens = max_tokens,
                        .window = (size_t)nb_call_number(call, "window", 0),
                        .protocol = llama_cpp ? NB_PROTOCOL_LLAMA_CPP : NB_PROTOCOL_NIBBLE};
}

nb_extent nb_text_extent(const nb_perplexity *measured)
{
    nb_extent extent;
    const nb_number tokens = nb_count(measured->n_tokens);
    if (measured->n_documents > 0)
        snprintf(extent.text, sizeof extent.text, "%s tokens in %s document%s", tokens.text,
                 nb_count(measured->n_documents).text, measured->n_documents == 1 ? "" : "s");
    else
        snprintf(extent.text, sizeof extent.text, "%s tokens", tokens.text);
    return extent;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *typed = nb_call_text(call, "text", call->arguments[0]);
    size_t n_tokens = (size_t)nb_call_number(call, "tokens", NB_PPL_TOKENS);
    nb_mapping *text = NULL;
    nb_perplexity ppl = {0};
    const nb_reading reading = nb_reading_of(call, n_tokens);
    nb_status status = nb_notebook_text(notebook, typed, "ppl", &text, error);
    if (status == NB_OK)
        status = nb_perplexity_measure_as(notebook->model, NB_WEIGHTS_CURRENT, (const char *)text->data,
                                          text->size, &reading, &ppl, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    if (status == NB_OK) {
        int digits = nb_error_digits(ppl.standard_error);
        nb_items_number(out, ppl.ppl, NB_STRONG "%s" NB_END " ± %s perplexity of %s, %s",
                       nb_fixed(ppl.ppl, digits).text, nb_fixed(ppl.standard_error, digits).text,
                       nb_file_name(text->path), nb_text_extent(&ppl).text);
        nb_items_text(
            out, NB_MUTED "%s nats a token, %s bits a byte · " NB_END NB_MEASURED "%s tokens/s" NB_END "%s",
            nb_fixed(ppl.mean_loss, 4).text, nb_fixed(ppl.bits_per_byte, 4).text,
            nb_rate(ppl.seconds > 0 ? (double)ppl.n_tokens / ppl.seconds : 0).text,
            nb_notebook_changed(notebook) ? "   " NB_COMMAND "compare" NB_END "   pairs it with the original"
                                          : "");
        if (n_tokens && ppl.n_tokens >= n_tokens && !nb_call_has(call, "tokens"))
            nb_items_text(out, NB_MUTED "The first of it; " NB_END NB_COMMAND "--tokens 0" NB_END NB_MUTED
                                        " reads the whole text" NB_END);
    }
    nb_perplexity_free(&ppl);
    nb_mapping_close(&text);
    return status;
}

const nb_command nb_command_ppl = {
    .name = "ppl",
    .group = "Measuring",
    .usage = "ppl [--text FILE] [--tokens N] [--protocol nibble|llama.cpp] [--window N]",
    .summary = "perplexity on a text, with its standard error",
    .details =
        "How many tokens the model hesitates between, on average: lower is better. Each window of 512 "
        "tokens (or the context, if that is less) starts with BOS and every position is scored. Lines that "
        "say <|endoftext|> part a text into documents: each is read on its own, and the model has to "
        "know where it ends. --protocol llama.cpp cuts the text into chunks, reads the first half of each and "
        "scores the second, as llama-perplexity does. The text is what ppl, compare, ladder, sensitivity and pareto "
        "read from then on, " NB_COMMAND "set text" NB_END "; what calibrate and methods read is another. Compare "
        "perplexities on the same text and by the same protocol only.",
    .examples = {"ppl --text tinystories-sample.txt", "ppl --tokens 0"},
    .source = "Jelinek et al., Perplexity: a measure of the difficulty of speech recognition tasks, 1977",
    .arguments = {{"FILE", NB_WORD_FILE, true}},
    .options = {NB_TEXT_OPTIONS('n'), NB_PROTOCOL_OPTIONS},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
