/* The database's folder: its lock and its catalog.
 *
 *     lock             held (flock) by the process that has the database open; who that is stands in it
 *     catalog.json     {"format": 1, "next": 3, "collections": {"notes": 1, "images": 2}}
 *     collection-N     a collection's points, src/store
 *
 * The catalog is written whole and renamed into place, and is the one truth of which collections there are: a folder that
 * it does not name is what a crash left of making or dropping one, and goes when the database is opened. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "db/collection.h"
#include "json/json.h"

#define FORMAT 1

/* ---- the folder --------------------------------------------------------------------------------- */

static int lock_folder(struct kith_db *db, kith_error *err) {
    char path[PATH_MAX], holder[128] = {0};
    snprintf(path, sizeof path, "%.4000s/lock", db->folder);
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (db->lock_fd < 0) return file_fail(err, "open", path, errno);
    if (flock(db->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        int number = errno;
        ssize_t got = pread(db->lock_fd, holder, sizeof holder - 1, 0);
        if (number != EWOULDBLOCK) return file_fail(err, "lock", path, number);
        return FAIL(err, KITH_ELOCKED, "%.100s is open in process %s", db->folder,
                    got > 0 ? holder : "?");
    }
    int length = snprintf(holder, sizeof holder, "%ld", (long)getpid());
    if (ftruncate(db->lock_fd, 0) != 0) return file_fail(err, "write", path, errno);
    return file_write_at(db->lock_fd, path, 0, holder, (size_t)length, err);
}

/* Remove a collection's folder and the files in it, as far as that goes. */
static void folder_remove(const struct kith_db *db, uint32_t number) {
    char folder[PATH_MAX], path[PATH_MAX + 300];
    struct dirent *entry;
    collection_folder(folder, db, number);
    DIR *list = opendir(folder);
    if (!list) return;
    while ((entry = readdir(list))) {
        snprintf(path, sizeof path, "%s/%.255s", folder, entry->d_name);
        unlink(path);
    }
    closedir(list);
    rmdir(folder);
}

static bool has_number(const struct kith_db *db, uint32_t number) {
    for (const struct collection *c = db->collections; c; c = c->next)
        if (c->number == number) return true;
    return false;
}

static void remove_leftovers(const struct kith_db *db) {
    struct dirent *entry;
    DIR *list = opendir(db->folder);
    if (!list) return;
    while ((entry = readdir(list))) {
        static const char prefix[] = "collection-";
        char *end;
        if (strncmp(entry->d_name, prefix, sizeof prefix - 1) != 0) continue;
        unsigned long number = strtoul(entry->d_name + sizeof prefix - 1, &end, 10);
        if (!*end && end > entry->d_name + sizeof prefix - 1 && number < UINT32_MAX &&
            !has_number(db, (uint32_t)number))
            folder_remove(db, (uint32_t)number);
    }
    closedir(list);
}

/* ---- the catalog -------------------------------------------------------------------------------- */

static void catalog_path(char path[PATH_MAX], const struct kith_db *db) {
    snprintf(path, PATH_MAX, "%.4000s/catalog.json", db->folder);
}

static int catalog_write(struct kith_db *db, kith_error *err) {
    char path[PATH_MAX];
    struct json_writer *writer;
    struct json_text text;
    struct file_writer *file = NULL;
    catalog_path(path, db);
    TRY(json_writer_new(&writer, &db->mem, err));
    json_begin_object(writer);
    json_put_name(writer, "format", 6);
    json_put_int(writer, FORMAT);
    json_put_name(writer, "next", 4);
    json_put_uint(writer, db->next_number);
    json_put_name(writer, "collections", 11);
    json_begin_object(writer);
    for (const struct collection *c = db->collections; c; c = c->next) {
        json_put_name(writer, c->name, strlen(c->name));
        json_put_uint(writer, c->number);
    }
    json_end_object(writer);
    json_end_object(writer);
    int code = json_writer_text(writer, &text, err);
    if (code == KITH_OK) code = file_writer_open(&file, path, err);
    if (code == KITH_OK) {
        code = file_writer_put(file, text.bytes, text.n, err);
        if (code == KITH_OK)
            code = file_writer_commit(file, err);
        else
            file_writer_abort(file);
    }
    json_writer_free(writer);
    return code;
}

/* The catalog could not be written, perhaps after it was renamed into place: write it as it was. Where that fails too, nobody
 * knows which one is on the disk, and nothing is done with the database until it is opened anew. */
static void catalog_undo(struct kith_db *db) {
    if (catalog_write(db, NULL) != KITH_OK) db->failed = true;
}

static int refuse_failed(const struct kith_db *db, kith_error *err) {
    return db->failed ? FAIL(err, KITH_EIO,
                             "%.150s: its catalog could not be written; open it anew", db->folder)
                      : KITH_OK;
}

/* Before the first collection that comes after the name. */
static struct collection **place_of(struct kith_db *db, const char *name) {
    struct collection **at = &db->collections;
    while (*at && strcmp((*at)->name, name) < 0) at = &(*at)->next;
    return at;
}

static int catalog_parse(struct kith_db *db, struct json_value root, const char *path,
                         kith_error *err) {
    struct json_value format, next, collections, number;
    struct json_walk walk;
    struct json_text name;
    if (!json_get(root, "format", 6, &format) || json_type(format) != JSON_INT ||
        !json_get(root, "next", 4, &next) || json_type(next) != JSON_INT ||
        !json_get(root, "collections", 11, &collections))
        return FAIL(err, KITH_EFORMAT, "%.200s is no catalog", path);
    if (json_int(format) != FORMAT)
        return FAIL(err, KITH_EVERSION, "%.100s is of version %lld; this is version %d", path,
                    (long long)json_int(format), FORMAT);
    db->next_number = (uint32_t)json_int(next);
    json_walk_init(&walk, collections);
    while (json_next(&walk, &name, &number)) {
        struct collection *collection;
        char text[COLLECTION_NAME + 1];
        if (name.n > COLLECTION_NAME || json_type(number) != JSON_INT)
            return FAIL(err, KITH_ECORRUPT, "%.100s names a collection wrongly", path);
        memcpy(text, name.bytes, name.n);
        text[name.n] = 0;
        TRY(collection_open(&collection, db, text, (uint32_t)json_int(number), err));
        struct collection **at = place_of(db, text);
        collection->next = *at;
        *at = collection;
    }
    return KITH_OK;
}

/* There is none, and the folder is as a database that is being made leaves it: empty, but for the lock and temporaries. */
static int expect_empty(const struct kith_db *db, kith_error *err) {
    struct dirent *entry;
    bool empty = true;
    DIR *list = opendir(db->folder);
    if (!list) return file_fail(err, "open", db->folder, errno);
    while ((entry = readdir(list))) {
        const char *name = entry->d_name;
        empty &= strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lock") == 0 ||
                 strncmp(name, "catalog.json.kith-tmp-", 22) == 0;
    }
    closedir(list);
    return empty
               ? KITH_OK
               : FAIL(err, KITH_EFORMAT,
                      "%.150s is not empty, and holds no database: it has no catalog", db->folder);
}

/* Whether the folder holds a database; KITH_EFORMAT where it may not become one either. Before anything is written to it. */
static int catalog_look(const struct kith_db *db, bool no_create, bool *there, kith_error *err) {
    char path[PATH_MAX];
    catalog_path(path, db);
    *there = access(path, F_OK) == 0;
    if (*there) return KITH_OK;
    if (errno != ENOENT) return file_fail(err, "examine", path, errno);
    if (no_create) return FAIL(err, KITH_EFORMAT, "%.200s holds no database", db->folder);
    return expect_empty(db, err);
}

static int catalog_read(struct kith_db *db, bool no_create, kith_error *err) {
    char path[PATH_MAX];
    struct file_map map;
    struct json_parser *parser;
    struct json_value root;
    bool there;
    catalog_path(path, db);
    TRY(catalog_look(db, no_create, &there, err));
    if (!there) {
        db->next_number = 1;
        return catalog_write(db, err);
    }
    TRY(file_map_open(&map, path, err));
    int code = json_parser_new(&parser, &db->mem, err);
    if (code == KITH_OK) {
        code = json_parse(parser, (const char *)map.bytes, map.size, JSON_CHECKED, &root, err);
        if (code == KITH_OK) code = catalog_parse(db, root, path, err);
        json_parser_free(parser);
    }
    file_map_close(&map);
    return code == KITH_ESYNTAX ? FAIL(err, KITH_ECORRUPT, "%.200s cannot be read", path) : code;
}

/* ---- opening ------------------------------------------------------------------------------------ */

void kith_db_close(kith_db *db) {
    if (!db) return;
    while (db->collections) {
        struct collection *collection = db->collections;
        db->collections = collection->next;
        collection_close(collection);
    }
    if (db->lock_fd >= 0) close(db->lock_fd); /* and with it the lock */
    pthread_mutex_destroy(&db->lock);
    mem_free(NULL, db, sizeof *db);
}

int kith_db_open(kith_db **out, const char *path, const kith_db_options *options, kith_error *err) {
    bool no_create = options && options->size >= sizeof *options && options->no_create;
    if (!out || !path || !*path) return FAIL(err, KITH_EINVAL, "%s is NULL", out ? "path" : "out");
    if (strlen(path) > 3000)
        return FAIL(err, KITH_EINVAL, "a path of %zu bytes; at most 3000", strlen(path));
    if (!no_create && mkdir(path, 0777) != 0 && errno != EEXIST)
        return file_fail(err, "make", path, errno);
    struct kith_db *db = mem_new(NULL, sizeof *db);
    if (!db) return FAIL(err, KITH_ENOMEM, "no memory to open %.100s", path);
    db->lock_fd = -1;
    pthread_mutex_init(&db->lock, NULL);
    snprintf(db->folder, sizeof db->folder, "%s", path);
    bool there;
    int code = catalog_look(db, no_create, &there, err);
    if (code == KITH_OK) code = lock_folder(db, err);
    if (code == KITH_OK) code = catalog_read(db, no_create, err);
    if (code == KITH_OK) {
        remove_leftovers(db);
        *out = db;
    } else {
        kith_db_close(db);
    }
    return code;
}

/* ---- collections -------------------------------------------------------------------------------- */

static int check_name(const char *name, kith_error *err) {
    static const char refused[] = "<>:\"/\\|?*\x1f";
    if (!name || !*name) return FAIL(err, KITH_EINVAL, "a collection without a name");
    if (strlen(name) > COLLECTION_NAME)
        return FAIL(err, KITH_EINVAL, "a collection's name of %zu bytes; at most %u", strlen(name),
                    COLLECTION_NAME);
    size_t at = strcspn(name, refused);
    return name[at]
               ? FAIL_AT(err, KITH_EINVAL, at, "'%c' may not be in a collection's name", name[at])
               : KITH_OK;
}

static int check_fields(uint32_t n, const kith_vector_field *fields, kith_error *err) {
    if (n > KITH_MAX_FIELDS || (n && !fields))
        return FAIL(err, KITH_EINVAL, "%u vector fields; at most %u", n, KITH_MAX_FIELDS);
    for (uint32_t i = 0; i < n; i++) {
        const kith_vector_field *field = &fields[i];
        if (!field->name || strlen(field->name) > KITH_MAX_NAME)
            return FAIL_AT(err, KITH_EINVAL, i, "field %u has no name, or one over %u bytes", i,
                           KITH_MAX_NAME);
        if (!field->dim || field->dim > KITH_MAX_DIM)
            return FAIL_AT(err, KITH_EDIM, i, "dimension %zu of field \"%.100s\"; 1 to %u",
                           field->dim, field->name, KITH_MAX_DIM);
        if ((unsigned)field->metric > KITH_METRIC_L1)
            return FAIL_AT(err, KITH_EINVAL, i, "metric %d is not known", (int)field->metric);
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(fields[j].name, field->name) == 0)
                return FAIL_AT(err, KITH_EINVAL, i, "two fields named \"%.100s\"", field->name);
    }
    return KITH_OK;
}

int collection_use(struct kith_db *db, const char *name, struct collection **out, kith_error *err) {
    if (!db || !name) return FAIL(err, KITH_EINVAL, "%s is NULL", db ? "a name" : "db");
    pthread_mutex_lock(&db->lock);
    struct collection *collection = *place_of(db, name);
    bool found = collection && strcmp(collection->name, name) == 0;
    int code = refuse_failed(db, err);
    if (found && code == KITH_OK) collection->users++;
    pthread_mutex_unlock(&db->lock);
    TRY(code);
    if (!found) return FAIL(err, KITH_ENOTFOUND, "there is no collection named \"%.100s\"", name);
    *out = collection;
    return KITH_OK;
}

void collection_release(struct collection *collection) {
    struct kith_db *db = collection->db;
    uint32_t number = collection->number;
    pthread_mutex_lock(&db->lock);
    bool gone = --collection->users == 0 && collection->dropped;
    pthread_mutex_unlock(&db->lock);
    if (!gone) return;
    collection_close(collection);
    folder_remove(db, number);
}

static int create_locked(struct kith_db *db, const char *name, uint32_t n_fields,
                         const kith_vector_field *fields, kith_error *err) {
    struct collection **at = place_of(db, name), *collection;
    char folder[PATH_MAX];
    uint32_t number = db->next_number;
    TRY(refuse_failed(db, err));
    if (*at && strcmp((*at)->name, name) == 0)
        return FAIL(err, KITH_EDUPLICATE, "there is a collection named \"%.100s\" already", name);
    collection_folder(folder, db, number);
    if (mkdir(folder, 0777) != 0) return file_fail(err, "make", folder, errno);
    int code = file_sync_folder(folder, err);
    if (code == KITH_OK)
        code = collection_create(&collection, db, name, number, n_fields, fields, err);
    if (code != KITH_OK) {
        folder_remove(db, number);
        return code;
    }
    collection->next = *at;
    *at = collection;
    db->next_number++;
    code = catalog_write(db, err);
    if (code != KITH_OK) {
        *at = collection->next; /* the number stays used */
        catalog_undo(db);
        collection_close(collection);
        if (!db->failed) folder_remove(db, number);
    }
    return code;
}

int kith_db_create(kith_db *db, const char *name, uint32_t n_fields,
                   const kith_vector_field *fields, kith_error *err) {
    if (!db) return FAIL(err, KITH_EINVAL, "db is NULL");
    TRY(check_name(name, err));
    TRY(check_fields(n_fields, fields, err));
    pthread_mutex_lock(&db->lock);
    int code = create_locked(db, name, n_fields, fields, err);
    pthread_mutex_unlock(&db->lock);
    return code;
}

int kith_db_drop(kith_db *db, const char *name, kith_error *err) {
    struct collection *collection;
    TRY(collection_use(db, name, &collection, err));
    pthread_mutex_lock(&db->lock);
    struct collection **at = place_of(db, name);
    int code = KITH_OK;
    if (*at == collection) {
        *at = collection->next;
        code = catalog_write(db, err);
        if (code == KITH_OK) {
            collection->dropped = true;
        } else {
            *at = collection;
            catalog_undo(db);
        }
    } else {
        code = FAIL(err, KITH_ENOTFOUND, "there is no collection named \"%.100s\" any more", name);
    }
    pthread_mutex_unlock(&db->lock);
    collection_release(collection);
    return code;
}

static void move_name(struct kith_db *db, struct collection *collection, const char *to) {
    struct collection **at = &db->collections;
    while (*at != collection) at = &(*at)->next;
    *at = collection->next;
    snprintf(collection->name, sizeof collection->name, "%s", to);
    at = place_of(db, to);
    collection->next = *at;
    *at = collection;
}

int kith_db_rename(kith_db *db, const char *from, const char *to, kith_error *err) {
    char old[COLLECTION_NAME + 1];
    int code = KITH_OK;
    if (!db || !from) return FAIL(err, KITH_EINVAL, "%s is NULL", db ? "a name" : "db");
    TRY(check_name(to, err));
    pthread_mutex_lock(&db->lock);
    struct collection *collection = *place_of(db, from), *taken = *place_of(db, to);
    if (refuse_failed(db, err) != KITH_OK) {
        code = KITH_EIO;
    } else if (!collection || strcmp(collection->name, from) != 0) {
        code = FAIL(err, KITH_ENOTFOUND, "there is no collection named \"%.100s\"", from);
    } else if (taken && strcmp(taken->name, to) == 0) {
        code = FAIL(err, KITH_EDUPLICATE, "there is a collection named \"%.100s\" already", to);
    } else {
        memcpy(old, collection->name, sizeof old);
        move_name(db, collection, to);
        code = catalog_write(db, err);
        if (code != KITH_OK) {
            move_name(db, collection, old);
            catalog_undo(db);
        }
    }
    pthread_mutex_unlock(&db->lock);
    return code;
}

/* ---- telling ------------------------------------------------------------------------------------ */

/* Texts for the caller: their size stands before them. */
static char *text_new(size_t bytes) {
    size_t *block = mem_new(NULL, bytes + 16);
    if (!block) return NULL;
    *block = bytes + 16;
    return (char *)block + 16;
}

void kith_text_free(char *text) {
    if (!text) return;
    size_t *block = (size_t *)(void *)(text - 16);
    mem_free(NULL, block, *block);
}

int kith_db_list(kith_db *db, char **out, kith_error *err) {
    if (!db || !out) return FAIL(err, KITH_EINVAL, "%s is NULL", db ? "out" : "db");
    size_t bytes = 1;
    pthread_mutex_lock(&db->lock);
    for (const struct collection *c = db->collections; c; c = c->next) bytes += strlen(c->name) + 1;
    char *text = text_new(bytes), *at = text;
    for (const struct collection *c = db->collections; c && text; c = c->next)
        at = stpcpy(at, c->name) + 1;
    pthread_mutex_unlock(&db->lock);
    if (!text) return FAIL(err, KITH_ENOMEM, "no memory for %zu bytes of names", bytes);
    *out = text;
    return KITH_OK;
}

int kith_db_info(kith_db *db, const char *name, kith_collection_info *out, kith_error *err) {
    struct collection *collection;
    struct snapshot snapshot;
    if (!out) return FAIL(err, KITH_EINVAL, "out is NULL");
    TRY(collection_use(db, name, &collection, err));
    int code = collection_read(&snapshot, collection, err);
    if (code == KITH_OK) {
        const struct points_state *state = &snapshot.view.state;
        memset(out, 0, sizeof *out);
        out->n_points = state->n_points;
        out->seq = state->seq;
        out->n_fields = collection->n_fields;
        for (uint32_t i = 0; i < collection->n_fields; i++) {
            const struct vector_field *field = &collection->field[i];
            memcpy(out->fields[i].name, field->name, sizeof field->name);
            out->fields[i].dim = field->dim;
            out->fields[i].metric = field->metric;
            out->fields[i].n_vectors = state->n_vectors[field->number];
        }
        out->disk_bytes = points_bytes(collection->points);
        out->memory_bytes = collection->mem.bytes;
        collection_read_end(&snapshot);
    }
    collection_release(collection);
    return code;
}
