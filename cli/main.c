/* The program: picks the command, prints help.
 *
 *     kith [--help | --version]        kith COMMAND [ARGUMENT ...]        kith help [COMMAND]
 */
#include "cli.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const command *const commands[] = {
    &cmd_build, &cmd_search, &cmd_add,       &cmd_remove, &cmd_exact,  &cmd_eval,    &cmd_bench,
    &cmd_tune,  &cmd_info,   &cmd_calibrate, &cmd_check,  &cmd_repair, &cmd_convert, &cmd_gen,
    &cmd_db,    &cmd_import, &cmd_query,     &cmd_delete, &cmd_export};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_version(FILE *stream, struct argp_state *state) {
    (void)state;
    fprintf(stream, "kith %s\n", kith_version());
}

static void print_help(FILE *file) {
    fputs("Kith finds the nearest neighbours of vectors.\n\n"
          "Usage: kith COMMAND [ARGUMENT ...]\n\nCommands:\n",
          file);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(file, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fputs(
        "\n`kith help COMMAND' tells about a command, `kith --version' which kith this is.\n"
        "Files of vectors are recognised by content: fvecs bvecs ivecs npy fbin u8bin i8bin hdf5,\n"
        "word2vec or GloVe text, csv, tsv, jsonl, and all of these gzip'ed. - is a standard stream.\n",
        file);
}

static const command *find_command(const char *name) {
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(name, commands[i]->name) == 0) return commands[i];
    return NULL;
}

static int unknown_command(const char *name) {
    fprintf(stderr, "kith: there is no command \"%s\"; the commands are", name);
    for (int i = 0; i < N_COMMANDS; i++) fprintf(stderr, " %s", commands[i]->name);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

static int help(int argc, char **argv) {
    if (argc < 3) {
        print_help(stdout);
        return EXIT_OK;
    }
    const command *c = find_command(argv[2]);
    if (!c) return unknown_command(argv[2]);
    char name[32];
    snprintf(name, sizeof name, "kith %s", c->name);
    char ask[] = "--help";
    char *args[] = {name, ask, NULL};
    return c->run(2, args);
}

int main(int argc, char **argv) {
    setlocale(LC_CTYPE, ""); /* for the width of what tables hold; numbers stay as in C */
    signal(SIGPIPE, SIG_DFL);
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version_hook = print_version;
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "help") == 0) return help(argc, argv);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        print_version(stdout, NULL);
        return EXIT_OK;
    }
    const command *c = find_command(argv[1]);
    if (!c) return unknown_command(argv[1]);
    char name[32];
    snprintf(name, sizeof name, "kith %s", c->name);
    argv[1] = name;
    int code = c->run(argc - 1, argv + 1);
    if ((fflush(stdout) || ferror(stdout)) && !code) {
        fprintf(stderr, "kith: standard output: cannot be written: %s (KITH_EIO)\n",
                strerror(errno));
        code = EXIT_FAILED;
    }
    return code;
}
