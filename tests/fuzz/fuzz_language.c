/* Fuzzes commands and expressions: the input is a cell, run in a notebook with a tiny model. Whatever comes, the
 * notebook answers, what it shows can be shown, and it goes on. Confined, it runs no shell and writes only
 * into its own folder, which is emptied each time. Arrays may hold 16 MB, and what does not end is stopped. */
#include "repl/complete.h"
#include "repl/language/language.h"
#include "repl/notebook.h"
#include "repl/render.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "Once upon a time there was a kite.\n<|endoftext|>\nIt flew over the hill. It came back.\n";
static const char quiz[] = "What flew?\t a kite.\n<|endoftext|>\nWho?\t Mia\n";
static char folder[512];

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

static char *path_of(const char *name)
{
    char *path = nb_format_text("%s/%s", folder, name);
    if (!path)
        die("fuzz_language", "no memory");
    return path;
}

static void write_file(const char *name, const void *bytes, size_t n)
{
    char *path = path_of(name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file) != 0)
        die(path, "cannot be written");
    free(path);
}

static const char *const ours[] = {"tiny.gguf", "text.txt", "quiz.txt"};

/* Removes whatever cells have written, and our own files when all is done. */
static void clean(bool everything)
{
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        bool stays = false;
        for (size_t i = 0; i < sizeof ours / sizeof *ours && !everything; i++)
            stays |= strcmp(entry->d_name, ours[i]) == 0;
        if (entry->d_name[0] == '.' || stays)
            continue;
        char *path = path_of(entry->d_name);
        unlink(path);
        free(path);
    }
    if (directory)
        closedir(directory);
}

static void leave_nothing(void)
{
    clean(true);
    rmdir(folder);
}

/* The model as it was made: a cell may save over it. */
static struct {
    uint8_t bytes[1 << 17];
    size_t n_bytes;
    ino_t inode;
} original;

static void read_original(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info) != 0)
        die(path, "cannot be read");
    original.n_bytes = fread(original.bytes, 1, sizeof original.bytes, file);
    original.inode = info.st_ino;
    fclose(file);
    if (original.n_bytes == sizeof original.bytes)
        die(path, "is too large");
}

static void put_back_original(void)
{
    char *path = path_of("tiny.gguf");
    struct stat info;
    if (stat(path, &info) != 0 || info.st_ino != original.inode) {
        write_file("tiny.gguf", original.bytes, original.n_bytes);
        if (stat(path, &info) == 0)
            original.inode = info.st_ino;
    }
    free(path);
}

static void make_folder(void)
{
    nb_error error;
    nb_synthetic tiny = {.n_layers = 2,
                         .n_embd = 32,
                         .n_heads = 4,
                         .n_kv_heads = 2,
                         .n_ff = 40,
                         .n_vocab = 270,
                         .n_ctx = 24,
                         .format = &nb_format_f16,
                         .seed = 3};
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/nibble-fuzz-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(folder))
        die(folder, "cannot be made");
    atexit(leave_nothing);
    char *path = path_of("tiny.gguf");
    if (nb_synthetic_write(path, &tiny, &error) != NB_OK)
        die(path, error.text);
    read_original(path);
    free(path);
    setenv("PATH", "/nowhere", 1); /* no gnuplot: figures in words are enough here */
    write_file("text.txt", text, sizeof text - 1);
    write_file("quiz.txt", quiz, sizeof quiz - 1);
}

/* Presses Ctrl-C a while after a cell began, and again, until it ends. */
static nb_context *volatile running;

static void interrupt(int signal_number)
{
    (void)signal_number;
    if (running)
        atomic_store(&running->cancel, true);
}

static void start_clock(nb_context *context)
{
    const struct itimerval a_while = {{0, 200000}, {0, 200000}};
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    running = context;
    sigaction(SIGVTALRM, &action, NULL);
    setitimer(ITIMER_VIRTUAL, &a_while, NULL);
}

static void stop_clock(nb_context *context)
{
    const struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_VIRTUAL, &never, NULL);
    running = NULL;
    atomic_store(&context->cancel, false);
}

static nb_status run(nb_notebook *notebook, const char *cell, size_t n, nb_show_fn *show, void *user)
{
    nb_error error = {""};
    nb_status status = nb_notebook_run(notebook, cell, n, show, user, &error);
    if (status != NB_OK && (error.text[0] == '\0' || strchr(error.text, '\n')))
        die("an error without one sentence", error.text);
    return status;
}

/* Every row of text must be free of control characters, whatever was typed. */
static void render(void *user, const nb_items *items, unsigned cell)
{
    nb_screen *screen = user;
    nb_draft out = {0};
    nb_render_items(screen, items, cell, &out);
    for (size_t i = 0; i < out.n_bytes; i++) {
        if ((unsigned char)out.text[i] < 0x20 && out.text[i] != '\n')
            die("a control character on the screen", out.text);
    }
    nb_draft_free(&out);
}

static void complete_all(const nb_notebook *notebook, const char *cell, size_t n)
{
    size_t step = n / 16 + 1;
    for (size_t i = 0; i <= n; i += step) {
        nb_choices choices;
        nb_complete(notebook, cell, i, &choices);
        nb_choices_free(&choices);
    }
}

static bool holds(const uint8_t *data, size_t size, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= size; i++) {
        if (memcmp(data + i, word, n) == 0)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    nb_notebook *notebook = NULL;
    nb_error error;
    nb_context_options options = {.n_threads = 1};
    if (!ready)
        make_folder();
    ready = true;
    /* doctor's fingerprint takes seconds under a sanitizer, and nothing that is typed reaches it */
    if (size > 2000 || holds(data, size, "doctor"))
        return 0;
    if (nb_notebook_create(&options, &notebook, &error) != NB_OK)
        die("no notebook", error.text);
    nb_screen screen = {
        .out = stdout, .utf8 = true, .columns = 40 + (int)(size % 90), .picture = NB_PICTURE_NONE};
    notebook->confined = true;
    notebook->folder = folder;
    notebook->settings.n_tokens = 4;
    static const char load[] = "load tiny.gguf";
    if (run(notebook, load, sizeof load - 1, NULL, NULL) != NB_OK)
        die(load, "must succeed");
    if (holds(data, size, "cell.txt")) /* a cell may read itself: any text, any quiz */
        write_file("cell.txt", data, size);
    nb_language_space(notebook->language)->limit_bytes = 16 << 20;
    start_clock(notebook->context);
    run(notebook, (const char *)data, size, render, &screen);
    stop_clock(notebook->context);
    complete_all(notebook, (const char *)data, size);
    static const char check[] = "info; layers; generate a --tokens 2";
    notebook->leave = false;
    if (run(notebook, check, sizeof check - 1, render, &screen) != NB_OK)
        die(check, "must succeed after whatever came before");
    nb_notebook_destroy(&notebook);
    nb_screen_free(&screen);
    clean(false);
    put_back_original();
    return 0;
}
