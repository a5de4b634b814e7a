/* Collections on the command line: named DIR/NAME, the folder of a database and a collection in it.
 *
 * 1. A collection is open, and its database locked, from collection_open to collection_close.
 * 2. A database is made by `kith db create` and by nothing else. */
#ifndef KITH_CLI_COLLECTION_H
#define KITH_CLI_COLLECTION_H

#include "cli.h"

typedef struct collection {
    kith_db *db;
    char *folder;     /* owned */
    const char *name; /* part of the text that was given */
} collection;

/* End the program with a usage error unless text is DIR/NAME. */
void argument_collection(struct argp_state *state, const char *text);
/* Open the database that DIR/NAME is of; the text must outlive it. Whether there is a collection of that name is not asked. */
int collection_open(collection *out, const char *text, bool create, kith_error *err);
void collection_close(collection *c);

/* The id that a JSON value means, a number or a string; a string's text is borrowed from it. */
int id_of_json(kith_id *out, struct json_object *value, kith_error *err);

/* The id that an argument means: a number when it is all digits, else as kith_id_from_text; borrows it. */
int id_of_text(kith_id *out, const char *text, kith_error *err);
/* {"id", "score", "vector", "payload"}, of these what the hit has, as kith import reads points;
 * borrows the payload until it is put. */
struct json_object *json_point(const kith_hit *hit, bool scored);

#endif
