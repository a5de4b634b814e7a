/* Postings: one search in each form, and the steps from a form to the next. A set that shrinks stays in its form until it is
 * empty.
 *
 * Invariants
 *   1. n is the sum over blocks; blocks ascend by high, and none is empty.
 *   2. A block in lows has at most LOWS_MOST, one in bits more than LOWS_MOST / 2. */
#include "filter/posting.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"

enum { ROWS_MOST = 256, LOWS_MOST = 4096, BLOCK_WORDS = 1024 };

/* ---- arrays ------------------------------------------------------------------------------------- */

/* The place of the first that is not below x. */
static uint32_t find_row(const uint32_t *rows, uint32_t n, uint32_t x) {
    uint32_t low = 0;
    while (n > 0) {
        uint32_t half = n / 2;
        if (rows[low + half] < x)
            low += half + 1, n -= half + 1;
        else
            n = half;
    }
    return low;
}

static uint32_t find_low(const uint16_t *lows, uint32_t n, uint32_t x) {
    uint32_t low = 0;
    while (n > 0) {
        uint32_t half = n / 2;
        if (lows[low + half] < x)
            low += half + 1, n -= half + 1;
        else
            n = half;
    }
    return low;
}

static uint32_t find_block(const struct posting *posting, uint32_t high) {
    uint32_t low = 0, n = posting->n_blocks;
    if (n > 0 && posting->blocks[n - 1].high < high) return n; /* rows mostly come ascending */
    while (n > 0) {
        uint32_t half = n / 2;
        if (posting->blocks[low + half].high < high)
            low += half + 1, n -= half + 1;
        else
            n = half;
    }
    return low;
}

/* Room for one more of `bytes` each; capacity grows by a half. */
static bool make_room(struct mem_account *owner, void **items, uint32_t n, uint32_t *capacity,
                      size_t bytes) {
    if (n < *capacity) return true;
    uint32_t more = *capacity + *capacity / 2 + 4;
    void *grown = mem_resize(owner, *items, *capacity * bytes, more * bytes);
    if (!grown) return false;
    *items = grown;
    *capacity = more;
    return true;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

static bool block_has(const struct posting_block *block, uint32_t low) {
    if (block->capacity == 0) return bits_test(block->bits, low);
    uint32_t at = find_low(block->lows, block->n, low);
    return at < block->n && block->lows[at] == low;
}

static bool block_to_bits(struct posting_block *block, struct mem_account *owner) {
    uint64_t *bits = mem_new(owner, BLOCK_WORDS * sizeof *bits);
    if (!bits) return false;
    for (uint32_t i = 0; i < block->n; i++) bits_set(bits, block->lows[i]);
    mem_free(owner, block->lows, block->capacity * sizeof *block->lows);
    block->bits = bits;
    block->capacity = 0;
    return true;
}

/* What is not there yet. */
static bool block_add(struct posting_block *block, struct mem_account *owner, uint32_t low) {
    if (block->capacity != 0 && block->n == LOWS_MOST && !block_to_bits(block, owner)) return false;
    if (block->capacity == 0) {
        bits_set(block->bits, low);
        block->n++;
        return true;
    }
    void *lows = block->lows;
    if (!make_room(owner, &lows, block->n, &block->capacity, sizeof *block->lows)) return false;
    block->lows = lows;
    uint32_t at = find_low(block->lows, block->n, low);
    memmove(block->lows + at + 1, block->lows + at, (block->n - at) * sizeof *block->lows);
    block->lows[at] = (uint16_t)low;
    block->n++;
    return true;
}

static void block_deinit(struct posting_block *block, struct mem_account *owner) {
    if (block->capacity)
        mem_free(owner, block->lows, block->capacity * sizeof *block->lows);
    else
        mem_free(owner, block->bits, BLOCK_WORDS * sizeof *block->bits);
}

/* Back to lows when it is far below the most; where memory is short it stays. */
static void block_to_lows(struct posting_block *block, struct mem_account *owner) {
    uint32_t capacity = LOWS_MOST / 2, n = 0;
    uint16_t *lows = mem_new(owner, capacity * sizeof *lows);
    if (!lows) return;
    for (uint32_t word = 0; word < BLOCK_WORDS; word++)
        for (uint64_t left = block->bits[word]; left; left &= left - 1)
            lows[n++] = (uint16_t)(word * 64 + (uint32_t)__builtin_ctzll(left));
    mem_free(owner, block->bits, BLOCK_WORDS * sizeof *block->bits);
    block->lows = lows;
    block->capacity = capacity;
}

/* ---- sets --------------------------------------------------------------------------------------- */

bool posting_has(const struct posting *posting, uint32_t row) {
    if (posting->n_blocks) {
        uint32_t at = find_block(posting, row >> 16);
        return at < posting->n_blocks && posting->blocks[at].high == row >> 16 &&
               block_has(&posting->blocks[at], row & 0xffff);
    }
    if (posting->capacity == 0) return posting->n == 1 && posting->one == row;
    uint32_t at = find_row(posting->rows, posting->n, row);
    return at < posting->n && posting->rows[at] == row;
}

static bool add_to_blocks(struct posting *posting, struct mem_account *owner, uint32_t row) {
    uint32_t high = row >> 16, at = find_block(posting, high);
    if (at == posting->n_blocks || posting->blocks[at].high != high) {
        void *blocks = posting->blocks;
        struct posting_block made = {.high = high, .capacity = 4};
        if (!make_room(owner, &blocks, posting->n_blocks, &posting->capacity, sizeof made))
            return false;
        posting->blocks = blocks;
        made.lows = mem_new(owner, made.capacity * sizeof *made.lows);
        if (!made.lows) return false;
        memmove(posting->blocks + at + 1, posting->blocks + at,
                (posting->n_blocks - at) * sizeof made);
        posting->blocks[at] = made;
        posting->n_blocks++;
    }
    if (!block_add(&posting->blocks[at], owner, row & 0xffff)) return false;
    posting->n++;
    return true;
}

static bool to_blocks(struct posting *posting, struct mem_account *owner) {
    struct posting made = {0};
    for (uint32_t i = 0; i < posting->n; i++) {
        if (!add_to_blocks(&made, owner, posting->rows[i])) {
            if (made.n_blocks)
                posting_deinit(&made, owner);
            else
                mem_free(owner, made.blocks, made.capacity * sizeof *made.blocks);
            return false;
        }
    }
    posting_deinit(posting, owner);
    *posting = made;
    return true;
}

static bool to_rows(struct posting *posting, struct mem_account *owner) {
    uint32_t *rows = mem_new(owner, 4 * sizeof *rows);
    if (!rows) return false;
    rows[0] = posting->one;
    posting->rows = rows;
    posting->capacity = 4;
    return true;
}

bool posting_add(struct posting *posting, struct mem_account *owner, uint32_t row) {
    if (posting_has(posting, row)) return true;
    if (posting->n == 0 && posting->capacity == 0) {
        posting->one = row;
        posting->n = 1;
        return true;
    }
    if (posting->capacity == 0 && !to_rows(posting, owner)) return false;
    if (!posting->n_blocks && posting->n == ROWS_MOST && !to_blocks(posting, owner)) return false;
    if (posting->n_blocks) return add_to_blocks(posting, owner, row);
    void *rows = posting->rows;
    if (!make_room(owner, &rows, posting->n, &posting->capacity, sizeof *posting->rows))
        return false;
    posting->rows = rows;
    uint32_t at = find_row(posting->rows, posting->n, row);
    memmove(posting->rows + at + 1, posting->rows + at, (posting->n - at) * sizeof *posting->rows);
    posting->rows[at] = row;
    posting->n++;
    return true;
}

static void remove_from_block(struct posting *posting, struct mem_account *owner, uint32_t row) {
    uint32_t at = find_block(posting, row >> 16), low = row & 0xffff;
    struct posting_block *block = &posting->blocks[at];
    if (block->capacity == 0) {
        bits_clear(block->bits, low);
        if (--block->n == LOWS_MOST / 2) block_to_lows(block, owner);
    } else {
        uint32_t place = find_low(block->lows, block->n, low);
        block->n--;
        memmove(block->lows + place, block->lows + place + 1,
                (block->n - place) * sizeof *block->lows);
    }
    if (block->n > 0) return;
    block_deinit(block, owner);
    posting->n_blocks--;
    memmove(block, block + 1, (posting->n_blocks - at) * sizeof *block);
}

void posting_remove(struct posting *posting, struct mem_account *owner, uint32_t row) {
    if (!posting_has(posting, row)) return;
    if (posting->n == 1) {
        posting_deinit(posting, owner);
        return;
    }
    if (posting->n_blocks) {
        remove_from_block(posting, owner, row);
    } else {
        uint32_t at = find_row(posting->rows, posting->n, row);
        memmove(posting->rows + at, posting->rows + at + 1,
                (posting->n - at - 1) * sizeof *posting->rows);
    }
    posting->n--;
}

void posting_deinit(struct posting *posting, struct mem_account *owner) {
    if (posting->n_blocks) {
        for (uint32_t i = 0; i < posting->n_blocks; i++) block_deinit(&posting->blocks[i], owner);
        mem_free(owner, posting->blocks, posting->capacity * sizeof *posting->blocks);
    } else if (posting->capacity) {
        mem_free(owner, posting->rows, posting->capacity * sizeof *posting->rows);
    }
    *posting = (struct posting){0};
}

/* ---- whole sets --------------------------------------------------------------------------------- */

/* Words of a block up to its last row; bits of the caller may end there. */
static uint32_t block_words(const struct posting_block *block) {
    uint32_t words = BLOCK_WORDS;
    while (block->bits[words - 1] == 0) words--;
    return words;
}

void posting_or(const struct posting *posting, uint64_t *bits) {
    const uint32_t *rows = posting->capacity ? posting->rows : &posting->one;
    for (uint32_t i = 0; i < posting->n_blocks; i++) {
        const struct posting_block *block = &posting->blocks[i];
        uint64_t *base = bits + (size_t)block->high * BLOCK_WORDS;
        if (block->capacity) {
            for (uint32_t j = 0; j < block->n; j++) bits_set(base, block->lows[j]);
            continue;
        }
        for (uint32_t j = 0, words = block_words(block); j < words; j++) base[j] |= block->bits[j];
    }
    for (uint32_t i = 0; i < posting->n && !posting->n_blocks; i++) bits_set(bits, rows[i]);
}

void posting_and_not(const struct posting *posting, uint64_t *bits) {
    const uint32_t *rows = posting->capacity ? posting->rows : &posting->one;
    for (uint32_t i = 0; i < posting->n_blocks; i++) {
        const struct posting_block *block = &posting->blocks[i];
        uint64_t *base = bits + (size_t)block->high * BLOCK_WORDS;
        if (block->capacity) {
            for (uint32_t j = 0; j < block->n; j++) bits_clear(base, block->lows[j]);
            continue;
        }
        for (uint32_t j = 0, words = block_words(block); j < words; j++) base[j] &= ~block->bits[j];
    }
    for (uint32_t i = 0; i < posting->n && !posting->n_blocks; i++) bits_clear(bits, rows[i]);
}

/* One block at a time, as bits. */
void posting_and(const struct posting *posting, uint64_t *bits, size_t n_words) {
    const uint32_t *rows = posting->capacity ? posting->rows : &posting->one;
    uint32_t at = 0;
    for (size_t first = 0; first < n_words; first += BLOCK_WORDS) {
        uint64_t of_block[BLOCK_WORDS] = {0};
        size_t words = n_words - first < BLOCK_WORDS ? n_words - first : BLOCK_WORDS;
        uint64_t high = first / BLOCK_WORDS;
        if (posting->n_blocks) {
            if (at < posting->n_blocks && posting->blocks[at].high == high) {
                const struct posting_block *block = &posting->blocks[at++];
                for (uint32_t j = 0; j < block->n && block->capacity; j++)
                    bits_set(of_block, block->lows[j]);
                if (!block->capacity) memcpy(of_block, block->bits, sizeof of_block);
            }
        } else {
            for (; at < posting->n && rows[at] >> 16 == high; at++)
                bits_set(of_block, rows[at] & 0xffff);
        }
        for (size_t j = 0; j < words; j++) bits[first + j] &= of_block[j];
    }
}

uint64_t posting_count_in(const struct posting *posting, const uint64_t *bits) {
    uint64_t count = 0;
    if (posting->capacity == 0) return posting->n && bits_test(bits, posting->one);
    if (!posting->n_blocks) {
        for (uint32_t i = 0; i < posting->n; i++) count += bits_test(bits, posting->rows[i]);
        return count;
    }
    for (uint32_t i = 0; i < posting->n_blocks; i++) {
        const struct posting_block *block = &posting->blocks[i];
        const uint64_t *base = bits + (size_t)block->high * BLOCK_WORDS;
        if (block->capacity) {
            for (uint32_t j = 0; j < block->n; j++) count += bits_test(base, block->lows[j]);
            continue;
        }
        for (uint32_t j = 0; j < BLOCK_WORDS; j++)
            if (block->bits[j]) count += (uint64_t)__builtin_popcountll(block->bits[j] & base[j]);
    }
    return count;
}

void posting_list(const struct posting *posting, uint32_t *rows) {
    if (posting->capacity == 0) {
        if (posting->n) *rows = posting->one;
        return;
    }
    if (!posting->n_blocks) {
        memcpy(rows, posting->rows, posting->n * sizeof *rows);
        return;
    }
    for (uint32_t i = 0; i < posting->n_blocks; i++) {
        const struct posting_block *block = &posting->blocks[i];
        uint32_t base = block->high << 16;
        for (uint32_t j = 0; j < block->n && block->capacity; j++) *rows++ = base | block->lows[j];
        for (uint32_t word = 0; word < BLOCK_WORDS && !block->capacity; word++)
            for (uint64_t left = block->bits[word]; left; left &= left - 1)
                *rows++ = base | (word * 64 + (uint32_t)__builtin_ctzll(left));
    }
}
