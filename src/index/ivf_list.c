/* Versions of lists. A version is a header of chunk descriptors; a chunk is one block of memory, row numbers then codes,
 * that the versions which have it share. So a small add copies a header and, of the last chunk, what has no room.
 *
 * Where codes lie row by row, a chunk that grew has spare room, and the next rows are written there, past what any version
 * that a reader may hold says it has: a writer waits for the readers of the version it replaced before it ends. Blocks of 32
 * rows have their rows interleaved; of those a whole block changes, and the chunk is copied.
 *
 * Removal fills each hole with the list's last row, so that all chunks but the last stay full; the order of a list's rows
 * follows from the order of the writes. */
#include <string.h>

#include "index/ivf.h"

#define GROUP QUANT_BLOCK /* rows that are copied or made together */
#define SPARE 16u         /* a chunk that grew has room for one row in so many more */

static size_t list_bytes(uint32_t n_chunks) {
    return sizeof(struct ivf_list) + n_chunks * sizeof(struct ivf_chunk);
}

static size_t rows_bytes(uint32_t capacity) {
    return bits_round_up(capacity * sizeof(uint32_t), 64);
}

static size_t chunk_bytes(const struct ivf_code *code, uint32_t capacity) {
    return rows_bytes(capacity) + ivf_code_bytes(code, capacity);
}

static void chunk_free(const struct ivf_chunk *chunk, const struct ivf_code *code,
                       struct mem_account *owner) {
    if (chunk->capacity)
        mem_free(owner, (void *)(uintptr_t)chunk->row, chunk_bytes(code, chunk->capacity));
}

void ivf_list_free(struct ivf_list *list, const struct ivf_list *keeper,
                   const struct ivf_code *code, struct mem_account *owner) {
    if (!list) return;
    for (uint32_t c = 0; c < list->n_chunks; c++) {
        bool kept = keeper && c < keeper->n_chunks && keeper->chunk[c].row == list->chunk[c].row;
        if (!kept) chunk_free(&list->chunk[c], code, owner);
    }
    mem_free(owner, list, list_bytes(list->n_chunks));
}

uint64_t ivf_list_mapped_bytes(const struct ivf_list *list, const struct ivf_code *code) {
    uint64_t bytes = 0;
    for (uint32_t c = 0; list && c < list->n_chunks; c++)
        if (list->chunk[c].capacity == 0)
            bytes += list->chunk[c].n * sizeof(uint32_t) + ivf_code_bytes(code, list->chunk[c].n);
    return bytes;
}

uint64_t ivf_list_bytes(const struct ivf_list *list, const struct ivf_code *code) {
    if (!list) return 0;
    uint64_t bytes = list_bytes(list->n_chunks) + ivf_list_mapped_bytes(list, code);
    for (uint32_t c = 0; c < list->n_chunks; c++)
        if (list->chunk[c].capacity) bytes += chunk_bytes(code, list->chunk[c].capacity);
    return bytes;
}

/* A version being made: where each of its rows comes from. */
struct making {
    const struct ivf_code *code;
    const struct ivf_list *old; /* may be NULL */
    uint32_t n_kept;            /* of old's rows */
    const uint32_t *dead;       /* positions in old, ascending */
    uint32_t n_dead;
    uint32_t at_dead; /* the next hole to fill */
    uint32_t tail;    /* old's rows from here on are spent */
    uint32_t tail_dead;
    const uint32_t *row; /* more rows */
    const uint8_t *codes;
};

/* The position in old that fills the next hole: the last row that is neither dead nor spent. */
static uint32_t take_tail(struct making *making) {
    while (making->tail_dead > 0 && making->dead[making->tail_dead - 1] == making->tail - 1) {
        making->tail_dead--;
        making->tail--;
    }
    return --making->tail;
}

/* Row `at` of the new version: its number, and its code into `code`. Called with rising `at`. */
static uint32_t make_row(struct making *making, uint32_t at, uint8_t *code) {
    if (at >= making->n_kept) {
        uint32_t i = at - making->n_kept;
        memcpy(code, making->codes + i * making->code->row_bytes, making->code->row_bytes);
        return making->row[i];
    }
    uint32_t from = at;
    if (making->at_dead < making->n_dead && making->dead[making->at_dead] == at) {
        making->at_dead++;
        from = take_tail(making);
    }
    const struct ivf_chunk *chunk = &making->old->chunk[from / IVF_CHUNK];
    ivf_code_unpack(making->code, chunk->codes, from % IVF_CHUNK, code);
    return chunk->row[from % IVF_CHUNK];
}

/* Whether rows [from, from + n) are those of the old version. */
static bool is_kept(const struct making *making, uint32_t from, uint32_t n) {
    bool hole = making->at_dead < making->n_dead && making->dead[making->at_dead] < from + n;
    return from + n <= making->n_kept && !hole;
}

/* Rows [from, from + n), at most GROUP of them, into the memory of a chunk that has room for `capacity`. */
static void make_group(struct making *making, uint32_t from, uint32_t n, uint32_t capacity,
                       uint8_t *memory, uint8_t *codes) {
    const struct ivf_code *code = making->code;
    uint32_t at = from % IVF_CHUNK;
    uint32_t *row = (uint32_t *)(void *)memory + at;
    uint8_t *to = memory + rows_bytes(capacity) + ivf_code_bytes(code, at);
    if (is_kept(making, from, n)) {
        const struct ivf_chunk *old = &making->old->chunk[from / IVF_CHUNK];
        memcpy(row, old->row + at, n * sizeof *row);
        memcpy(to, old->codes + ivf_code_bytes(code, at), ivf_code_bytes(code, n));
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        row[i] = make_row(making, from + i, codes + i * code->row_bytes);
    ivf_code_pack(code, codes, n, to);
}

/* The old version's last chunk, where it stays as it is, has room for what comes, and its codes lie row by row: what is
 * past the rows of a version is read by nobody. */
static bool has_room(const struct making *making, uint32_t from, uint32_t n) {
    if (making->code->blocks || from >= making->n_kept) return false;
    const struct ivf_chunk *old = &making->old->chunk[from / IVF_CHUNK];
    return from + old->n == making->n_kept && old->capacity >= n && is_kept(making, from, old->n);
}

/* A list that is added to will be added to again. */
static uint32_t capacity_of(const struct making *making, uint32_t n) {
    uint32_t roomy = n + n / SPARE + 1;
    if (!making->old || !making->row || making->code->blocks) return n;
    return roomy < IVF_CHUNK ? roomy : IVF_CHUNK;
}

static int make_chunk(struct making *making, uint32_t from, uint32_t n, uint8_t *codes,
                      struct ivf_chunk *out, struct mem_account *owner, kith_error *err) {
    bool grows = has_room(making, from, n);
    const struct ivf_chunk *old = grows ? &making->old->chunk[from / IVF_CHUNK] : NULL;
    uint32_t capacity = grows ? old->capacity : capacity_of(making, n), done = grows ? old->n : 0;
    uint8_t *memory = grows ? (uint8_t *)(uintptr_t)old->row
                            : mem_new(owner, chunk_bytes(making->code, capacity));
    if (!memory) return FAIL(err, KITH_ENOMEM, "no memory for %u rows of a list", n);
    for (uint32_t i = done, some; i < n; i += some) {
        some = GROUP - i % GROUP < n - i ? GROUP - i % GROUP : n - i;
        make_group(making, from + i, some, capacity, memory, codes);
    }
    *out = (struct ivf_chunk){n, capacity, (const uint32_t *)(void *)memory,
                              memory + rows_bytes(capacity)};
    return KITH_OK;
}

static int make_chunks(struct making *making, struct ivf_list *list, struct mem_account *owner,
                       kith_error *err) {
    size_t bytes = GROUP * making->code->row_bytes;
    uint8_t *codes = NULL;
    int code = KITH_OK;
    uint32_t c = 0;
    for (; c < list->n_chunks; c++) {
        uint32_t from = c * IVF_CHUNK, n = list->n - from < IVF_CHUNK ? list->n - from : IVF_CHUNK;
        if (is_kept(making, from, n)) {
            list->chunk[c] = making->old->chunk[c];
            list->chunk[c].n = n;
            continue;
        }
        if (!codes && !(codes = mem_new(owner, bytes)))
            TRY_DONE(FAIL(err, KITH_ENOMEM, "no memory for %u codes", GROUP));
        TRY_DONE(make_chunk(making, from, n, codes, &list->chunk[c], owner, err));
    }
done:
    if (code != KITH_OK) memset(&list->chunk[c], 0, (list->n_chunks - c) * sizeof *list->chunk);
    if (codes) mem_free(owner, codes, bytes);
    return code;
}

int ivf_list_new(struct ivf_list **out, const struct ivf_code *code, const struct ivf_list *old,
                 const uint32_t *dead, uint32_t n_dead, const uint32_t *row, const uint8_t *codes,
                 uint32_t n, struct mem_account *owner, kith_error *err) {
    uint32_t n_old = old ? old->n : 0, total = n_old - n_dead + n;
    uint32_t n_chunks = (total + IVF_CHUNK - 1) / IVF_CHUNK;
    struct ivf_list *list = mem_new(owner, list_bytes(n_chunks));
    if (!list) return FAIL(err, KITH_ENOMEM, "no memory for a list of %u rows", total);
    list->n = total;
    list->n_chunks = n_chunks;
    struct making making = {.code = code,
                            .old = old,
                            .n_kept = n_old - n_dead,
                            .dead = dead,
                            .n_dead = n_dead,
                            .tail = n_old,
                            .tail_dead = n_dead,
                            .row = row,
                            .codes = codes};
    int made = make_chunks(&making, list, owner, err);
    if (made != KITH_OK) {
        ivf_list_free(list, old, code, owner);
        return made;
    }
    *out = list;
    return KITH_OK;
}

int ivf_list_borrow(struct ivf_list **out, const struct ivf_code *code, uint32_t n,
                    const uint32_t *row, const uint8_t *codes, struct mem_account *owner,
                    kith_error *err) {
    uint32_t n_chunks = (n + IVF_CHUNK - 1) / IVF_CHUNK;
    struct ivf_list *list = mem_new(owner, list_bytes(n_chunks));
    if (!list) return FAIL(err, KITH_ENOMEM, "no memory for a list of %u rows", n);
    list->n = n;
    list->n_chunks = n_chunks;
    for (uint32_t c = 0; c < n_chunks; c++, n -= IVF_CHUNK) {
        uint32_t some = n < IVF_CHUNK ? n : IVF_CHUNK;
        list->chunk[c] = (struct ivf_chunk){some, 0, row, codes};
        row += some;
        codes += ivf_code_bytes(code, some);
    }
    *out = list;
    return KITH_OK;
}

int ivf_list_copy(struct ivf_list **out, const struct ivf_list *list, const struct ivf_code *code,
                  struct mem_account *owner, kith_error *err) {
    struct ivf_list *copy = mem_new(owner, list_bytes(list->n_chunks));
    if (!copy) return FAIL(err, KITH_ENOMEM, "no memory for a list of %u rows", list->n);
    copy->n = list->n;
    copy->n_chunks = list->n_chunks;
    for (uint32_t c = 0; c < list->n_chunks; c++) {
        const struct ivf_chunk *from = &list->chunk[c];
        uint8_t *memory = mem_new(owner, chunk_bytes(code, from->n));
        if (!memory) {
            ivf_list_free(copy, NULL, code, owner);
            return FAIL(err, KITH_ENOMEM, "no memory for %u rows of a list", from->n);
        }
        memcpy(memory, from->row, from->n * sizeof(uint32_t));
        memcpy(memory + rows_bytes(from->n), from->codes, ivf_code_bytes(code, from->n));
        copy->chunk[c] = (struct ivf_chunk){from->n, from->n, (const uint32_t *)(void *)memory,
                                            memory + rows_bytes(from->n)};
    }
    *out = copy;
    return KITH_OK;
}
