/* The command line: what every command shares.
 *
 * A command is one file, cmd_NAME.c, with one `const struct command`. main.c lists them, and calls the
 * one that is named. A command returns one of the exit codes and owns nothing when it returns.
 *
 * 1. Results go to standard output; errors, notes and the progress bar to standard error.
 * 2. Exit code 0: done. 1: it failed, and one line says why. 2: it was asked wrongly. */
#ifndef KITH_CLI_CLI_H
#define KITH_CLI_CLI_H

#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <kith/kith.h>

#include "formats/formats.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

typedef struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} command;

extern const command cmd_build, cmd_search, cmd_add, cmd_remove, cmd_exact, cmd_eval, cmd_bench,
    cmd_calibrate, cmd_info, cmd_check, cmd_repair, cmd_convert, cmd_gen, cmd_tune, cmd_db,
    cmd_import, cmd_query, cmd_delete, cmd_export;

/* TRY: leave at done: with the code of what failed. */
#define TRY_DONE(expr)                  \
    do {                                \
        code = (expr);                  \
        if (code != KITH_OK) goto done; \
    } while (0)

/* ---- failures (failure.c) ---------------------------------------------------------------------- */

/* What went wrong, and with what: the name of a file, or NULL. */
typedef struct failure {
    kith_error err;
    const char *subject;
} failure;

/* Note what a code that is not KITH_OK is about: a file that is read ("-" is standard input), or one that is
 * written ("-" is standard output). Return the code. */
int failure_about(failure *f, const char *subject, int code);
int failure_writing(failure *f, const char *subject, int code);
/* Fill err with a sentence of the command's own; returns code. */
int failure_set(failure *f, int code, const char *text, ...) __attribute__((format(printf, 3, 4)));
/* Say on standard error what went wrong, if anything; returns the exit code for it. */
int failure_exit(const failure *f, int code);
/* "kith: note: …" on standard error. */
void note(const char *text, ...) __attribute__((format(printf, 1, 2)));

/* ---- arguments (arguments.c) ------------------------------------------------------------------- */

/* Keys of options without a letter, above all characters. */
enum {
    KEY_JSON = 256,
    KEY_FROM,
    KEY_TO,
    KEY_THREADS,
    KEY_METRIC,
    KEY_OPEN,
    KEY_OWN /* commands count on from here */
};

/* The options that many commands have; the tables take those that they want. */
#define OPTION_JSON \
    { "json", KEY_JSON, NULL, 0, "Print JSON instead of a table", 90 }
#define OPTION_THREADS \
    { "threads", KEY_THREADS, "N", 0, "Use N threads (default: all processors)", 20 }
#define OPTION_METRIC \
    { "metric", 'm', "METRIC", 0, "l2, euclid, ip, cosine or l1 (default: l2)", 10 }
#define OPTION_OPEN                                                                        \
    {                                                                                      \
        "open", KEY_OPEN, "HOW", 0,                                                        \
            "Open the index by read (all in memory), map, or codes (originals mapped)", 15 \
    }
#define OPTION_FROM \
    { "from", KEY_FROM, "FORMAT", 0, "Read input as FORMAT instead of recognising it", 80 }

typedef struct shared_options {
    bool json;
    uint32_t threads;
    kith_metric metric;
    bool metric_given;
    int open; /* KITH_OPEN_READ, _MAP or _CODES */
    read_options read;
} shared_options;

void shared_options_init(shared_options *o);
/* Leaves out of --help what says nothing. */
char *help_filter(int key, const char *text, void *input);
/* Handle an option of the tables above; ARGP_ERR_UNKNOWN for any other. */
error_t shared_option(int key, const char *arg, struct argp_state *state, shared_options *o);

/* Numbers, which end the program with a usage error unless they are whole and in range. */
uint64_t argument_count(struct argp_state *state, const char *option, const char *text,
                        uint64_t low, uint64_t high);
double argument_number(struct argp_state *state, const char *option, const char *text, double low,
                       double high);
/* Bytes: a number and perhaps K, M, G or T, powers of 1,024. */
uint64_t argument_bytes(struct argp_state *state, const char *option, const char *text);
/* Take the next positional argument into names[*n], at most max. */
error_t argument_positional(struct argp_state *state, const char *text, const char **names,
                            unsigned max);
/* Whether a path means a standard stream. */
bool is_stream(const char *path);
/* Processors that this process may run on. */
uint32_t processor_count(void);
/* What this process has in memory now, and had at most: VmRSS and VmHWM of Linux; 0 where unknown. */
typedef struct residence {
    uint64_t now, most;
} residence;
residence residence_get(void);

/* ---- indexes (index_file.c) ---------------------------------------------------------------------- */

/* kith_index_open and kith_index_save, where "-" is a standard stream. */
int index_file_open(kith_index **out, const char *path, int mode, kith_error *err);
int index_file_save(const kith_index *index, const char *path, kith_error *err);
/* Save an index to a temporary file and open that in its place; on an error *index is NULL. */
int index_file_reopen(kith_index **index, int mode, kith_error *err);
/* KITH_EDIM unless the vectors have the dimension of what they go with ("the index"). */
int check_dim(const vectors *v, size_t dim, const char *what, kith_error *err);
/* Whether the file at path begins as a Kith index does. */
bool is_index_file(const char *path);

/* ---- filters (id_filter.c) ------------------------------------------------------------------------ */

/* The ids that a file lists; filter borrows the rest, so the struct must not move. */
typedef struct id_filter {
    kith_filter filter;
    id_table list;
    uint64_t *bits;
} id_filter;

int id_filter_read(id_filter *f, const char *path, kith_error *err);
void id_filter_free(id_filter *f);

#endif
