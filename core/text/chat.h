/* Chat templates: how a model's makers wrote conversations down for it. GGUF carries the template as a program
 * (tokenizer.chat_template, in Jinja); nibble knows the families that most models share, by marks in that program, and
 * runs none. */
#ifndef NB_TEXT_CHAT_H
#define NB_TEXT_CHAT_H

#include "base/status.h"
#include "text/tokenizer.h"

typedef enum nb_chat_role { NB_CHAT_SYSTEM, NB_CHAT_USER, NB_CHAT_ASSISTANT } nb_chat_role;

typedef struct nb_chat_turn {
    nb_chat_role role;
    const char *text;
} nb_chat_turn;

typedef struct nb_chat_template nb_chat_template;

size_t nb_chat_template_count(void);
const nb_chat_template *nb_chat_template_at(size_t index);
const char *nb_chat_template_name(const nb_chat_template *chat); /* "chatml", "llama2", ... */
/* NULL if there is none of that name. */
const nb_chat_template *nb_chat_template_find(const char *name);
/* "phi4, chatml, ...". */
void nb_chat_template_list(char *text, size_t size);
/* The family of the template that came with the tokenizer: NB_ERR_STATE if none came, NB_ERR_UNSUPPORTED if it is of no
 * family that nibble knows. */
nb_status nb_chat_template_of(const nb_tokenizer *tokenizer, const nb_chat_template **out, nb_error *error);

/* The conversation as a prompt that ends where the assistant's next turn begins; without the BOS that the tokenizer
 * adds, and to be encoded with its special tokens. A system turn can only be the first. Refused are turns out of order
 * and texts that contain one of the model's control tokens: who writes them could speak for somebody else. Allocated;
 * free with free(). */
nb_status nb_chat_write(const nb_chat_template *chat, const nb_tokenizer *tokenizer, const nb_chat_turn *turns,
                        size_t n_turns, char **out, nb_error *error);

#endif
