/* Opening and closing a store, its state, its fields' files.
 *
 * meta, "state": u32 CRC-32C of what follows, u32 format version, struct points_state as it is. All numbers little-endian, as
 * in every file of Kith. LMDB's own pages carry no checksums: what stands in them does (invariant 4). */
#include "store/inside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"

#define FORMAT      1u
#define MAP_MOST    ((uint64_t)1 << 37)
#define MAP_LEAST   ((uint64_t)16 << 20)
#define MAX_READERS 1024u

struct state_record {
    uint32_t crc, format;
    struct points_state state;
};

int lmdb_fail(const struct points *store, int said, const char *what, kith_error *err) {
    int code = KITH_EIO;
    if (said == ENOMEM)
        code = KITH_ENOMEM;
    else if (said == MDB_MAP_FULL || said == ENOSPC || said == EDQUOT || said == EFBIG)
        code = KITH_ENOSPC;
    else if (said == MDB_CORRUPTED || said == MDB_PAGE_NOTFOUND || said == MDB_INVALID ||
             said == MDB_BAD_VALSIZE || said == MDB_INCOMPATIBLE)
        code = KITH_ECORRUPT;
    else if (said == MDB_VERSION_MISMATCH)
        code = KITH_EVERSION;
    return FAIL(err, code, "cannot %s %s: %s", what, store->folder, mdb_strerror(said));
}

/* ---- state -------------------------------------------------------------------------------------- */

static uint32_t state_crc(const struct state_record *record) {
    return file_crc32c(0, (const uint8_t *)record + 4, sizeof *record - 4);
}

int state_read(struct points_state *out, MDB_txn *txn, const struct points *store,
               kith_error *err) {
    MDB_val key = {5, "state"}, value;
    struct state_record record;
    int said = mdb_get(txn, store->meta, &key, &value);
    if (said == MDB_NOTFOUND) return FAIL(err, KITH_ECORRUPT, "%s has no state", store->folder);
    if (said) return lmdb_fail(store, said, "read the state of", err);
    if (value.mv_size != sizeof record)
        return FAIL(err, KITH_ECORRUPT, "the state of %s has %zu bytes, not %zu", store->folder,
                    value.mv_size, sizeof record);
    memcpy(&record, value.mv_data, sizeof record);
    if (record.crc != state_crc(&record))
        return FAIL(err, KITH_ECORRUPT, "the state of %s has a wrong checksum", store->folder);
    if (record.format != FORMAT)
        return FAIL(err, KITH_EVERSION, "%s is of version %u; this is version %u", store->folder,
                    record.format, FORMAT);
    *out = record.state;
    return KITH_OK;
}

int state_write(const struct points_state *state, MDB_txn *txn, const struct points *store,
                kith_error *err) {
    struct state_record record = {0, FORMAT, *state};
    record.crc = state_crc(&record);
    MDB_val key = {5, "state"}, value = {sizeof record, &record};
    int said = mdb_put(txn, store->meta, &key, &value, 0);
    return said ? lmdb_fail(store, said, "write the state of", err) : KITH_OK;
}

/* ---- fields ------------------------------------------------------------------------------------- */

void vectors_path(char path[POINTS_PATH], const struct points *store, uint32_t field) {
    snprintf(path, POINTS_PATH, "%s/vectors-%u", store->folder, field);
}

int vectors_open(struct points *store, const struct points_state *state, kith_error *err) {
    for (uint32_t i = 0; i < POINTS_FIELDS; i++) {
        if (!(state->fields >> i & 1) || store->field[i]) continue;
        struct row_file *file;
        char path[POINTS_PATH];
        vectors_path(path, store, i);
        TRY(row_file_open(&file, path, state->row_bytes[i], store->writable, store->owner, err));
        store->field[i] = file;
    }
    return KITH_OK;
}

const void *points_vector(const struct points *store, uint32_t field, uint32_t slot) {
    return row_file_at(store->field[field], slot);
}

uint64_t points_bytes(const struct points *store) {
    uint64_t bytes = 0;
    char path[POINTS_PATH];
    struct stat status;
    snprintf(path, sizeof path, "%s/points.mdb", store->folder);
    if (stat(path, &status) == 0) bytes += (uint64_t)status.st_blocks * 512;
    for (uint32_t i = 0; i < POINTS_FIELDS; i++)
        if (store->field[i]) bytes += row_file_bytes(store->field[i]);
    return bytes;
}

/* ---- opening ------------------------------------------------------------------------------------ */

/* A quarter of the address space that the process may have. */
static size_t default_map(void) {
    struct rlimit limit;
    uint64_t bytes = MAP_MOST;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur / 4 < bytes)
        bytes = limit.rlim_cur / 4;
    return (size_t)(bytes < MAP_LEAST ? MAP_LEAST : bytes & ~(uint64_t)4095);
}

/* What LMDB says of opening with so much address space. */
static int env_try(struct points *store, const char *path, size_t map) {
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | (store->writable ? 0 : MDB_RDONLY);
    int dead, said = mdb_env_create(&store->env);
    if (said) return said;
    said = mdb_env_set_mapsize(store->env, map);
    if (!said) said = mdb_env_set_maxdbs(store->env, 8);
    if (!said) said = mdb_env_set_maxreaders(store->env, MAX_READERS);
    if (!said) said = mdb_env_open(store->env, path, flags, 0666);
    if (!said) said = mdb_reader_check(store->env, &dead);
    if (!said) return 0;
    mdb_env_close(store->env);
    store->env = NULL;
    return said;
}

/* Where the size was left to us and the system does not give so much, a quarter will do, and so on. */
static int env_open(struct points *store, const struct points_options *options, kith_error *err) {
    char path[POINTS_PATH];
    snprintf(path, sizeof path, "%s/points.mdb", store->folder);
    size_t map = options->map_bytes ? (size_t)options->map_bytes : default_map();
    int said = env_try(store, path, map);
    while ((said == ENOMEM || said == EINVAL) && !options->map_bytes && map / 4 >= MAP_LEAST) {
        map /= 4;
        said = env_try(store, path, map);
    }
    return said ? lmdb_fail(store, said, "open", err) : KITH_OK;
}

/* The trees, and for a new store the state of nothing. */
static int trees_open(struct points *store, bool create, kith_error *err) {
    const struct {
        const char *name;
        MDB_dbi *tree;
        unsigned flags;
    } trees[] = {{"ids", &store->ids, 0},
                 {"points", &store->points, MDB_INTEGERKEY},
                 {"blobs", &store->blobs, 0},
                 {"free", &store->free, MDB_INTEGERKEY},
                 {"changes", &store->changes, MDB_INTEGERKEY},
                 {"meta", &store->meta, 0}};
    MDB_txn *txn;
    int said = mdb_txn_begin(store->env, NULL, create ? 0 : MDB_RDONLY, &txn);
    if (said) return lmdb_fail(store, said, "open", err);
    struct points_state state = {0};
    int code = KITH_OK;
    for (size_t i = 0; i < sizeof trees / sizeof trees[0] && !said; i++)
        said = mdb_dbi_open(txn, trees[i].name, trees[i].flags | (create ? MDB_CREATE : 0),
                            trees[i].tree);
    if (said == MDB_NOTFOUND)
        code = FAIL(err, KITH_EFORMAT, "%s holds no store", store->folder);
    else if (said)
        code = lmdb_fail(store, said, "open", err);
    else if (create)
        code = state_write(&state, txn, store, err);
    else
        code = state_read(&state, txn, store, err);
    if (code == KITH_OK) code = vectors_open(store, &state, err);
    if (code != KITH_OK) {
        mdb_txn_abort(txn);
        return code;
    }
    said = mdb_txn_commit(txn); /* of a reader too: keeps the handles */
    if (said) return lmdb_fail(store, said, "open", err);
    return create ? file_sync_folder(store->folder, err) : KITH_OK;
}

static int check_folder(const char *folder, bool create, kith_error *err) {
    char path[POINTS_PATH];
    struct stat status;
    if (strlen(folder) >= PATH_MAX)
        return FAIL(err, KITH_EINVAL, "a path of %zu bytes is too long", strlen(folder));
    snprintf(path, sizeof path, "%s/points.mdb", folder);
    bool there = stat(path, &status) == 0 && status.st_size > 0;
    if (create && there) return FAIL(err, KITH_EINVAL, "%s holds a store already", folder);
    if (!create && !there) return FAIL(err, KITH_EFORMAT, "%s holds no store", folder);
    return KITH_OK;
}

int points_open(struct points **out, const char *folder, const struct points_options *options,
                kith_error *err) {
    TRY(check_folder(folder, options->create, err));
    struct points *store = mem_new(options->owner, sizeof *store);
    if (!store) return FAIL(err, KITH_ENOMEM, "no memory to open %s", folder);
    store->owner = options->owner;
    store->writable = options->writable || options->create;
    snprintf(store->folder, sizeof store->folder, "%s", folder);
    epoch_init(&store->readers);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->turn, NULL);
    int code = env_open(store, options, err);
    if (code == KITH_OK) code = trees_open(store, options->create, err);
    if (code == KITH_OK)
        *out = store;
    else
        points_close(store);
    return code;
}

void points_close(struct points *store) {
    if (!store) return;
    for (uint32_t i = 0; i < EPOCH_SLOTS; i++)
        if (store->reader[i]) mdb_txn_abort(store->reader[i]);
    if (store->env) mdb_env_close(store->env);
    for (uint32_t i = 0; i < POINTS_FIELDS; i++) row_file_close(store->field[i]);
    struct pending *pending = &store->pending;
    for (uint32_t i = 0; i < pending->n_runs; i++)
        mem_free(store->owner, pending->run[i].slot, pending->run[i].n * sizeof(uint32_t));
    mem_free(store->owner, pending->run, pending->room * sizeof pending->run[0]);
    mem_free(store->owner, pending->bits, pending->words * sizeof pending->bits[0]);
    pthread_mutex_destroy(&store->lock);
    pthread_cond_destroy(&store->turn);
    mem_free(store->owner, store, sizeof *store);
}
