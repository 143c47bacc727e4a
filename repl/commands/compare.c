#include "repl/commands/generate.h"
#include "repl/commands/ppl.h"
#include "repl/commands/table.h"
#include "repl/commands/transform.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const nb_column text_columns[] = {{"original", NB_COLUMN_FLOW}, {"quantized", NB_COLUMN_FLOW}};
static const nb_column number_columns[] = {{"", NB_COLUMN_LEFT},
                                           {"original", NB_COLUMN_RIGHT},
                                           {"quantized", NB_COLUMN_RIGHT},
                                           {"", NB_COLUMN_FLOW}};

/* ---- what both write ---- */

static size_t first_difference(const nb_generation *a, const nb_generation *b)
{
    size_t n = nb_min_size(a->n_generated, b->n_generated), i = 0;
    while (i < n && a->tokens[a->n_prompt + i] == b->tokens[b->n_prompt + i])
        i++;
    return i;
}

static void add_written(const nb_model *model, const nb_generation *made, const char *prompt, size_t marked,
                        size_t column, nb_items *out)
{
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model);
    nb_draft text = {0};
    nb_draft_add_written(&text, nb_string_of(prompt));
    for (size_t i = 0; i < made->n_generated; i++) {
        size_t at = made->n_prompt + i;
        nb_string piece = nb_tokenizer_piece(tokenizer, at ? made->tokens[at - 1] : -1, made->tokens[at]);
        size_t blank = i == marked && piece.n_bytes && piece.text[0] == ' ';
        if (blank)
            nb_draft_add(&text, " ");
        if (i == marked)
            nb_draft_add(&text, NB_ALERT "‹");
        nb_draft_add_written(&text, (nb_string){piece.text + blank, piece.n_bytes - blank});
        if (i == marked)
            nb_draft_add(&text, "›" NB_END);
    }
    nb_items_cell(out, column, "%s", nb_draft_text(&text));
    nb_draft_free(&text);
}

static nb_status compare_texts(nb_notebook *notebook, const char *prompt, size_t n_tokens, nb_items *out,
                               nb_error *error)
{
    nb_generation original = {0}, quantized = {0};
    nb_sampler_options greedy = {.top_p = 1};
    nb_model *model = notebook->model;
    nb_status status =
        nb_generate_text(model, NB_WEIGHTS_ORIGINAL, prompt, n_tokens, &greedy, NULL, NULL, &original, error);
    if (status == NB_OK)
        status = nb_generate_text(model, NB_WEIGHTS_CURRENT, prompt, n_tokens, &greedy, NULL, NULL,
                                  &quantized, error);
    if (status == NB_OK) {
        size_t differs = first_difference(&original, &quantized);
        size_t longest = nb_max_size(original.n_generated, quantized.n_generated);
        nb_items_table(out, text_columns, 2);
        nb_items_row(out);
        add_written(model, &original, prompt, differs, 0, out);
        add_written(model, &quantized, prompt, differs, 1, out);
        if (differs < longest)
            nb_items_text(out, "first differing token: " NB_STRONG "%zu" NB_END " of %zu", differs + 1,
                          longest);
        else
            nb_items_text(out, "the same text, all %zu tokens", longest);
    }
    nb_generation_free(&original);
    nb_generation_free(&quantized);
    return status;
}

/* ---- numbers ---- */

static void add_row(nb_items *out, const char *name)
{
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "%s" NB_END, name);
}

static const char *verdict(double mean, double standard_error)
{
    if (mean == 0)
        return "no difference at all";
    if (!(fabs(mean) > 3 * standard_error))
        return "nats a token, within chance";
    return mean > 0 ? "nats a token, worse for sure" : "nats a token, better for sure";
}

static void add_comparison(const nb_comparison *c, const char *text_name, nb_items *out)
{
    const nb_perplexity *a = &c->original, *b = &c->quantized;
    int digits = nb_error_digits(a->standard_error);
    nb_items_text(out, "over %s of %s:", nb_text_extent(b).text, text_name);
    nb_items_table(out, number_columns, 4);
    add_row(out, "perplexity");
    nb_items_cell(out, 1, "%s ± %s", nb_fixed(a->ppl, digits).text, nb_fixed(a->standard_error, digits).text);
    digits = nb_error_digits(b->standard_error);
    nb_items_cell(out, 2, NB_STRONG "%s" NB_END " ± %s", nb_fixed(b->ppl, digits).text,
                  nb_fixed(b->standard_error, digits).text);
    add_row(out, "loss, paired");
    digits = nb_error_digits(c->paired_error);
    nb_items_cell(out, 2, "%s%s ± %s", c->paired_mean > 0 ? "+" : "", nb_fixed(c->paired_mean, digits).text,
                  nb_fixed(c->paired_error, digits).text);
    nb_items_cell(out, 3, "%s", verdict(c->paired_mean, c->paired_error));
    add_row(out, "KL divergence");
    digits = nb_error_digits(c->kl_error);
    nb_items_cell(out, 2, "%s ± %s", nb_fixed(c->kl_mean, digits).text, nb_fixed(c->kl_error, digits).text);
    nb_items_cell(out, 3, "nats a token");
    add_row(out, "same top token");
    nb_items_cell(out, 2, "%s", nb_percent(c->top1_agreement).text);
    nb_items_set_number(out, b->ppl);
}

/* Activations that static scales have met so far, and those beyond them. */
static void count_static(const nb_model *model, uint64_t *n, uint64_t *n_clipped)
{
    *n = *n_clipped = 0;
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        *n += nb_model_tensor(model, i)->n_static;
        *n_clipped += nb_model_tensor(model, i)->n_clipped;
    }
}

static nb_status compare_numbers(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_mapping *text = NULL;
    nb_comparison comparison = {0};
    uint64_t n_before, clipped_before, n, n_clipped;
    count_static(notebook->model, &n_before, &clipped_before);
    size_t n_tokens = (size_t)nb_call_number(call, "tokens", NB_PPL_TOKENS);
    nb_status status = nb_notebook_text(notebook, nb_call_text(call, "text", NULL), "compare", &text, error);
    if (status == NB_OK)
        status =
            nb_compare(notebook->model, (const char *)text->data, text->size, n_tokens, &comparison, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    if (status == NB_OK)
        add_comparison(&comparison, nb_file_name(text->path), out);
    count_static(notebook->model, &n, &n_clipped);
    if (status == NB_OK && n > n_before) {
        add_row(out, "activations clipped");
        nb_items_cell(out, 2, "%s", nb_percent((double)(n_clipped - clipped_before) / (double)(n - n_before)).text);
        nb_items_cell(out, 3, "of those with static scales");
    }
    nb_comparison_free(&comparison);
    nb_mapping_close(&text);
    return status;
}

static void add_sizes(const nb_model *model, nb_items *out)
{
    uint64_t before = nb_model_source_bytes(model), now = nb_model_n_bytes(model),
             n = nb_model_n_parameters(model);
    add_row(out, "size");
    nb_items_cell(out, 1, "%s", nb_bytes(before).text);
    nb_items_cell(out, 2, "%s", nb_bytes(now).text);
    if (before != now)
        nb_items_cell(out, 3, "%s %s", nb_bytes(before > now ? before - now : now - before).text,
                      before > now ? "less to read a token" : "more");
    add_row(out, "bits a weight");
    nb_items_cell(out, 1, "%s", nb_fixed(nb_bits_per_weight(before, n), 2).text);
    nb_items_cell(out, 2, "%s", nb_fixed(nb_bits_per_weight(now, n), 2).text);
}

static nb_status add_speed(nb_notebook *notebook, nb_items *out, nb_error *error)
{
    nb_speed now, before = notebook->original_speed;
    nb_status status = nb_notebook_measure_speed(notebook, 0.05, &now, error);
    if (status != NB_OK)
        return status;
    /* The limit is measured over a buffer of the model's size, or, lest it double the memory, of a tenth of
     * it. */
    enum { SMALL = 16 << 20 };
    uint64_t n_bytes = nb_model_n_bytes(notebook->model);
    size_t measured = n_bytes <= SMALL ? (size_t)n_bytes : nb_max_size(SMALL, (size_t)(n_bytes / 10));
    double limit = nb_measure_read_bandwidth(notebook->context, measured);
    add_row(out, "tokens/s");
    if (before.tokens_per_second > 0 && before.n_threads == now.n_threads)
        nb_items_cell(out, 1, NB_MEASURED "%s" NB_END, nb_rate(before.tokens_per_second).text);
    else
        nb_items_cell(out, 1, "-");
    nb_items_cell(out, 2, NB_MEASURED "%s" NB_END, nb_rate(now.tokens_per_second).text);
    if (limit > 0)
        nb_items_cell(out, 3, NB_MEASURED "%s" NB_END " of the memory's limit",
                      nb_percent(now.tokens_per_second * (double)n_bytes / limit).text);
    return NB_OK;
}

/* ---- beside the file ---- */

static bool is_transformed(const nb_model *model)
{
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const nb_tensor *tensor = nb_model_tensor(model, i);
        if (tensor->transforms || nb_input_moves(tensor->input))
            return true;
    }
    return false;
}

static nb_status compare_losses(nb_notebook *notebook, nb_model *file, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_mapping *text = NULL;
    nb_perplexity before = {0}, now = {0};
    double mean, standard_error;
    const size_t n_tokens = (size_t)nb_call_number(call, "tokens", NB_PPL_TOKENS);
    nb_status status = nb_notebook_text(notebook, nb_call_text(call, "text", NULL), "compare", &text, error);
    if (status == NB_OK)
        status = nb_perplexity_measure(file, NB_WEIGHTS_CURRENT, (const char *)text->data, text->size, n_tokens, &before, error);
    if (status == NB_OK)
        status = nb_perplexity_measure(notebook->model, NB_WEIGHTS_CURRENT, (const char *)text->data, text->size, n_tokens,
                                       &now, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    if (status == NB_OK) {
        nb_paired_difference(before.losses, now.losses, now.n_tokens, &mean, &standard_error);
        nb_items_text(out, "perplexity of %s, %s: %s, and %s now; loss, paired, %s%s ± %s nats a token",
                      nb_file_name(text->path), nb_text_extent(&now).text, nb_perplexity_text(before.ppl).text,
                      nb_perplexity_text(now.ppl).text, mean > 0 ? "+" : "", nb_general(mean, 2).text,
                      nb_general(standard_error, 2).text);
    }
    nb_perplexity_free(&before);
    nb_perplexity_free(&now);
    nb_mapping_close(&text);
    return status;
}

/* Nothing is quantized: what the transforms left of the function that the file holds. */
static nb_status compare_with_file(nb_notebook *notebook, const nb_call *call, bool has_text, nb_items *out, nb_error *error)
{
    nb_model *file = NULL;
    float *logits = NULL;
    nb_status status = nb_model_load(notebook->context, nb_model_path(notebook->model), NULL, &file, error);
    if (status == NB_OK)
        status = nb_transform_probe(file, NB_WEIGHTS_CURRENT, &logits, error);
    if (status == NB_OK) {
        nb_items_text(out, "Nothing is quantized yet. The transformed model beside its file:");
        nb_transform_describe_difference(notebook->model, NB_WEIGHTS_CURRENT, logits, out);
    }
    if (status == NB_OK && has_text)
        status = compare_losses(notebook, file, call, out, error);
    free(logits);
    nb_model_destroy(&file);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *prompt = nb_call_text(call, "prompt", "Once upon a time");
    bool has_text = nb_call_has(call, "text") || notebook->settings.text;
    nb_status status = NB_OK;
    if (!nb_notebook_changed(notebook) && is_transformed(notebook->model))
        return compare_with_file(notebook, call, has_text, out, error);
    if (!nb_notebook_changed(notebook)) {
        nb_items_text(out, "Nothing is quantized yet, so both sides would be the same. Try " NB_COMMAND
                           "quantize all absmax --bits 4 --per channel" NB_END);
        return NB_OK;
    }
    if (nb_model_tokenizer(notebook->model))
        status = compare_texts(
            notebook, prompt, (size_t)nb_call_number(call, "write", notebook->settings.n_tokens), out, error);
    if (status != NB_OK)
        return status;
    if (has_text)
        status = compare_numbers(notebook, call, out, error);
    else
        nb_items_table(out, number_columns, 4);
    if (status != NB_OK)
        return status;
    add_sizes(notebook->model, out);
    status = add_speed(notebook, out, error);
    if (status == NB_OK && !has_text)
        nb_items_text(out,
                      "With a text it also measures what was lost: " NB_COMMAND "compare --text FILE" NB_END);
    return status;
}

const nb_command nb_command_compare = {
    .name = "compare",
    .group = "Measuring",
    .usage = "compare [--text FILE] [--prompt TEXT] [--tokens N] [--write N]",
    .summary = "original beside quantized: text, loss, size, speed",
    .details =
        "Both run side by side over the same text. Their paired difference is far more certain than either "
        "perplexity, because most of the error is the text's and falls away. KL divergence says how far the "
        "predictions moved; \"same top token\" how often the likeliest token is still the same. The original is the "
        "model in high precision, with its transforms; before anything is quantized, what these did is measured, beside "
        "the file.",
    .examples = {"compare", "compare --text tinystories-sample.txt",
                 "compare --prompt \"The old man\" --write 100"},
    .source = "KL divergence and top-1 agreement as in llama.cpp's perplexity tool",
    .options = {NB_TEXT_OPTIONS(0),
                {.name = "prompt",
                 .letter = 'p',
                 .kind = NB_WORD_TEXT,
                 .value = "TEXT",
                 .summary = "what both go on from"},
                {.name = "write",
                 .letter = 'n',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1 << 20,
                 .summary = "tokens that both write"}},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
