/* memory and plan: what they say of published models, and which questions they turn away. */
#include "repl/notebook.h"
#include "repl/render.h"
#include "tests/support/models.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static nb_notebook *notebook;
static nb_draft shown;

static int open_notebook(void **state)
{
    (void)state;
    nb_error error;
    return nb_notebook_create(&(nb_context_options){.n_threads = 1}, &notebook, &error) == NB_OK ? 0 : -1;
}

static int close_notebook(void **state)
{
    (void)state;
    nb_notebook_destroy(&notebook);
    nb_draft_free(&shown);
    return 0;
}

static void take(void *user, const nb_items *items, unsigned cell)
{
    nb_screen screen = {.out = stdout, .utf8 = true, .columns = 80};
    (void)user;
    nb_render_items(&screen, items, cell, &shown);
}

static void answers(const char *cell, nb_status expected, const char *part)
{
    nb_error error = {""};
    nb_draft_free(&shown);
    const nb_status status = nb_notebook_run(notebook, cell, strlen(cell), take, NULL, &error);
    const char *text = status == NB_OK ? nb_draft_text(&shown) : error.text;
    if (status != expected || !strstr(text, part))
        fail_msg("%s says\n%s\nwithout \"%s\"", cell, text, part);
}

static void test_memory(void **state)
{
    (void)state;
    answers("memory llama-7b", NB_OK, "6,738,415,616 parameters");
    answers("memory llama-7b", NB_OK, "f16         16.00  13.5 GB         14.6 GB");
    answers("memory 7B", NB_OK, "f32         32.00  28.0 GB");
    answers("memory 7B --weights int4", NB_OK, "int4        4.00  3.50 GB");
    answers("memory llama-2-70b --weights q4_k --context 4096 --batch 8", NB_OK,
            "10.7 GB for 4,096 tokens of each");
    answers("memory llama-13b", NB_OK, "819 kB of every token");
    answers("memory 7.5B --train adamw --devices 64 --zero 1", NB_OK, "31.4 GB");
    answers("memory 7.5B --train adamw --devices 64 --zero 3", NB_OK, "1875 MB");
    answers("memory 1B --train adamw --offload", NB_OK, "14  14.0 GB  gradients");
    answers("memory gpt-3 --train adamw --recompute layers", NB_OK, "4.83 GB");
    answers("memory", NB_ERR_STATE, "memory llama-7b");
    answers("memory lama-7b", NB_ERR_ARGUMENT, "did you mean llama-7b?");
    answers("memory elephant", NB_ERR_ARGUMENT, "gpt2, tinyllama-1.1b");
    answers("memory 7B --context 100", NB_ERR_ARGUMENT, "the cache depends on layers");
    answers("memory 7B --zero 1", NB_ERR_ARGUMENT, "--train adamw");
    answers("memory 7B --train adamw --zero 1", NB_ERR_ARGUMENT, "--devices 8");
    answers("memory 7B --weights q4k", NB_ERR_ARGUMENT, "did you mean");
    answers("memory 1e300", NB_ERR_ARGUMENT, "no model");
}

static void test_plan(void **state)
{
    (void)state;
    answers("plan llama-7b --on \"2x8GB cpu:32GB\"", NB_OK,
            "gpu0    embeddings, layers 0 to 16  7.71 GB  8.00 GB");
    answers("plan llama-7b --on \"2x8GB cpu:32GB\"", NB_OK, "gpu1    layers 17 to 31, head");
    answers("plan llama-7b --on \"2x8GB cpu:32GB\"", NB_OK, "It fits.");
    answers("plan llama-2-70b --on 24GiB --weights q2_k", NB_OK, "25.8 GB");
    answers("plan llama-2-70b --on 24GB", NB_OK, "It does not fit.");
    answers("plan llama-2-70b --on \"24GB disk\"", NB_OK, "It fits.");
    answers("plan llama-7b", NB_ERR_ARGUMENT, "wants devices");
    answers("plan 7B --on 24GB", NB_ERR_ARGUMENT, "only the number of parameters");
    answers("plan llama-7b --on 24", NB_ERR_ARGUMENT, "\"24\" is no device");
    answers("plan llama-7b --on 99x1GB", NB_ERR_ARGUMENT, "at most 64");
}

/* The loaded model is what is meant when none is named. */
static void test_loaded(void **state)
{
    (void)state;
    const nb_synthetic tiny = {.n_layers = 3,
                               .n_embd = 64,
                               .n_heads = 4,
                               .n_kv_heads = 2,
                               .n_ff = 96,
                               .n_vocab = 300,
                               .n_ctx = 128,
                               .format = &nb_format_f16,
                               .seed = 5};
    char load[600];
    snprintf(load, sizeof load, "load %s", make_gguf("tiny.gguf", &tiny));
    answers(load, NB_OK, "3 layers");
    /* 2 x 3 layers x 2 heads x 16 numbers x 2 bytes x 128 tokens */
    answers("memory", NB_OK, "384 B of every token as f16: 49.2 kB for 128 tokens");
    answers("plan --on 1GB", NB_OK, "embeddings, layers 0 to 2, head");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory), cmocka_unit_test(test_plan),
                                       cmocka_unit_test(test_loaded)};
    return cmocka_run_group_tests(tests, open_notebook, close_notebook);
}
