#include "text/chat.h"

#include "base/memory.h"
#include "text/tokenizer_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_MARKS = 2 };

/* What stands around a turn. */
typedef struct around {
    const char *before, *after;
} around;

/* Facts from the models' own tokenizer_config.json. EOS and BOS stand for the texts of these tokens. */
#define EOS "\1"
#define BOS "\2"

struct nb_chat_template {
    const char *name;
    const char *marks[MOST_MARKS]; /* a template of the family has all of them */
    around system, user, assistant;
    const char *later_user; /* before the user's turns after the first, if that differs */
    bool system_in_user;    /* the system's turn stands inside the user's first */
    bool answers_after_space;
    bool trims; /* spaces and line ends around a text are dropped */
};

/* The first row whose marks a template has is its family, so the choosier ones come first. */
static const nb_chat_template templates[] = {
    {.name = "phi4",
     .marks = {"<|im_sep|>"},
     .system = {"<|im_start|>system<|im_sep|>", "<|im_end|>"},
     .user = {"<|im_start|>user<|im_sep|>", "<|im_end|>"},
     .assistant = {"<|im_start|>assistant<|im_sep|>", "<|im_end|>"}},
    {.name = "chatml",
     .marks = {"<|im_start|>"},
     .system = {"<|im_start|>system\n", "<|im_end|>\n"},
     .user = {"<|im_start|>user\n", "<|im_end|>\n"},
     .assistant = {"<|im_start|>assistant\n", "<|im_end|>\n"}},
    {.name = "llama3",
     .marks = {"<|start_header_id|>", "<|end_header_id|>"},
     .system = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"},
     .user = {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
     .assistant = {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"},
     .trims = true},
    {.name = "llama2",
     .marks = {"[INST]", "<<SYS>>"},
     .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
     .user = {"[INST] ", " [/INST]"},
     .assistant = {"", " " EOS},
     .later_user = BOS "[INST] ",
     .answers_after_space = true,
     .system_in_user = true,
     .trims = true},
    {.name = "gemma",
     .marks = {"<start_of_turn>"},
     .system = {"", "\n\n"},
     .user = {"<start_of_turn>user\n", "<end_of_turn>\n"},
     .assistant = {"<start_of_turn>model\n", "<end_of_turn>\n"},
     .system_in_user = true,
     .trims = true},
    {.name = "phi3",
     .marks = {"<|assistant|>", "<|end|>"},
     .system = {"<|system|>\n", "<|end|>\n"},
     .user = {"<|user|>\n", "<|end|>\n"},
     .assistant = {"<|assistant|>\n", "<|end|>\n"}},
    {.name = "zephyr",
     .marks = {"<|assistant|>", "<|user|>"},
     .system = {"<|system|>\n", EOS "\n"},
     .user = {"<|user|>\n", EOS "\n"},
     .assistant = {"<|assistant|>\n", EOS "\n"}},
};
enum { N_TEMPLATES = sizeof templates / sizeof templates[0] };

size_t nb_chat_template_count(void)
{
    return N_TEMPLATES;
}

const nb_chat_template *nb_chat_template_at(size_t index)
{
    return &templates[index];
}

const char *nb_chat_template_name(const nb_chat_template *chat)
{
    return chat->name;
}

const nb_chat_template *nb_chat_template_find(const char *name)
{
    for (size_t i = 0; i < N_TEMPLATES; i++)
        if (strcmp(templates[i].name, name) == 0)
            return &templates[i];
    return NULL;
}

void nb_chat_template_list(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < N_TEMPLATES && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", templates[i].name);
}

static bool contains(nb_string text, const char *part)
{
    const size_t n = strlen(part);
    for (size_t i = 0; i + n <= text.n_bytes; i++)
        if (memcmp(text.text + i, part, n) == 0)
            return true;
    return false;
}

nb_status nb_chat_template_of(const nb_tokenizer *tokenizer, const nb_chat_template **out, nb_error *error)
{
    const nb_string program = nb_tokenizer_vocabulary(tokenizer)->chat_template;
    *out = NULL;
    if (program.n_bytes == 0)
        return nb_fail(
            error, NB_ERR_STATE,
            "this model came without a chat template: it goes on from a text and was not taught to answer; "
            "--template NAME says how to write a conversation all the same");
    for (size_t i = 0; i < N_TEMPLATES && !*out; i++) {
        bool all = true;
        for (size_t m = 0; m < MOST_MARKS && templates[i].marks[m]; m++)
            all = all && contains(program, templates[i].marks[m]);
        *out = all ? &templates[i] : NULL;
    }
    if (*out)
        return NB_OK;
    char known[128];
    nb_chat_template_list(known, sizeof known);
    return nb_fail(
        error, NB_ERR_UNSUPPORTED,
        "this model's chat template is of no family that nibble knows: %s; --template NAME takes one of them",
        known);
}

/* ---- writing ---- */

typedef struct prompt {
    const nb_tokenizer *tokenizer;
    char *text;
    size_t n_bytes, capacity;
    bool failed; /* memory is short */
} prompt;

static void put(prompt *p, const char *text, size_t n)
{
    size_t needed;
    if (p->failed || !nb_add_size(p->n_bytes, n, &needed) || needed >= SIZE_MAX / 4) {
        p->failed = true;
        return;
    }
    if (needed + 1 > p->capacity) {
        char *grown = nb_realloc(p->text, 2 * (needed + 1), 1);
        if (!grown) {
            p->failed = true;
            return;
        }
        p->text = grown;
        p->capacity = 2 * (needed + 1);
    }
    memcpy(p->text + p->n_bytes, text, n);
    p->n_bytes = needed;
    p->text[needed] = '\0';
}

/* A part of a template. */
static void put_part(prompt *p, const char *part)
{
    for (; *part; part++) {
        if (*part == *EOS || *part == *BOS) {
            const int32_t token =
                *part == *EOS ? nb_tokenizer_eos(p->tokenizer) : nb_tokenizer_bos(p->tokenizer);
            const nb_string text = nb_tokenizer_text(p->tokenizer, token); /* "" if there is none */
            put(p, text.text, text.n_bytes);
        } else {
            put(p, part, 1);
        }
    }
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void put_text(prompt *p, const nb_chat_template *chat, const char *text)
{
    size_t n = strlen(text);
    for (; chat->trims && n > 0 && is_space(*text); text++)
        n--;
    while (chat->trims && n > 0 && is_space(text[n - 1]))
        n--;
    put(p, text, n);
}

/* A user's or assistant's turn; `system` is one that stands inside it, or NULL. */
static void put_turn(prompt *p, const nb_chat_template *chat, const nb_chat_turn *turn, const char *system,
                     bool first)
{
    const around *a = turn->role == NB_CHAT_SYSTEM ? &chat->system
                      : turn->role == NB_CHAT_USER ? &chat->user
                                                   : &chat->assistant;
    put_part(p, turn->role == NB_CHAT_USER && !first && chat->later_user ? chat->later_user : a->before);
    if (system) {
        put_part(p, chat->system.before);
        put_text(p, chat, system);
        put_part(p, chat->system.after);
    }
    if (turn->role == NB_CHAT_ASSISTANT && chat->answers_after_space)
        put(p, " ", 1);
    put_text(p, chat, turn->text);
    put_part(p, a->after);
}

static nb_status check_text(const nb_tokenizer *tokenizer, const char *text, nb_error *error)
{
    const size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        const nb_special *special = nb_specials_match(&tokenizer->specials, text + i, n - i, true);
        if (special && special->is_control)
            return nb_fail(
                error, NB_ERR_ARGUMENT,
                "a turn has %.*s in it, which this model takes for a sign and not for text; leave it out",
                (int)nb_min_size(special->text.n_bytes, 60), special->text.text);
    }
    return NB_OK;
}

/* Perhaps the system, then the user and the assistant in turn; the last is the user. */
static nb_status check_turns(const nb_tokenizer *tokenizer, const nb_chat_turn *turns, size_t n_turns,
                             nb_error *error)
{
    const size_t first = n_turns > 0 && turns[0].role == NB_CHAT_SYSTEM;
    bool in_order = n_turns > first && (n_turns - first) % 2 == 1;
    for (size_t i = first; i < n_turns; i++)
        in_order = in_order && turns[i].role == ((i - first) % 2 ? NB_CHAT_ASSISTANT : NB_CHAT_USER);
    if (!in_order)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a conversation goes from the user to the assistant and back, and ends with the user");
    for (size_t i = 0; i < n_turns; i++) {
        nb_status status = check_text(tokenizer, turns[i].text, error);
        if (status != NB_OK)
            return status;
    }
    return NB_OK;
}

nb_status nb_chat_write(const nb_chat_template *chat, const nb_tokenizer *tokenizer,
                        const nb_chat_turn *turns, size_t n_turns, char **out, nb_error *error)
{
    *out = NULL;
    nb_status status = check_turns(tokenizer, turns, n_turns, error);
    if (status != NB_OK)
        return status;
    prompt p = {.tokenizer = tokenizer};
    size_t i = 0;
    const char *inside = NULL;
    if (turns[0].role == NB_CHAT_SYSTEM) {
        if (chat->system_in_user)
            inside = turns[0].text;
        else
            put_turn(&p, chat, &turns[0], NULL, true);
        i++;
    }
    for (const size_t first = i; i < n_turns; i++)
        put_turn(&p, chat, &turns[i], i == first ? inside : NULL, i == first);
    put_part(&p, chat->assistant.before);
    if (p.failed) {
        free(p.text);
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a conversation of %zu turns", n_turns);
    }
    *out = p.text;
    return NB_OK;
}
