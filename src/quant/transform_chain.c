/* Chains of transforms. Rows pass a chain in blocks, through two scratch buffers in turn; the last one writes to the
 * caller's. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "quant/transform_parts.h"

#define BLOCK 1024u /* rows */

int transform_chain_init(struct transform_chain *chain, uint32_t d, uint32_t n,
                         const struct transform_spec *specs, struct mem_account *owner,
                         kith_error *err) {
    *chain = (struct transform_chain){.d_in = d, .d_out = d};
    if (n > TRANSFORM_CHAIN_MAX)
        return FAIL(err, KITH_ESPEC, "%" PRIu32 " transforms in a row, at most %u", n,
                    TRANSFORM_CHAIN_MAX);
    for (uint32_t i = 0; i < n; i++) {
        int code = KITH_OK;
        if (specs[i].d_in != chain->d_out)
            code = FAIL(err, KITH_ESPEC,
                        "transform %" PRIu32 " (%s) takes dim %" PRIu32 ", and is given %" PRIu32,
                        i, transform_name(specs[i].kind), specs[i].d_in, chain->d_out);
        if (code == KITH_OK) code = transform_init(&chain->at[i], &specs[i], owner, err);
        if (code != KITH_OK) {
            transform_chain_deinit(chain);
            return code;
        }
        chain->n++;
        chain->d_out = specs[i].d_out;
    }
    return KITH_OK;
}

void transform_chain_deinit(struct transform_chain *chain) {
    for (uint32_t i = 0; i < chain->n; i++) transform_deinit(&chain->at[i]);
    *chain = (struct transform_chain){0};
}

bool transform_chain_trained(const struct transform_chain *chain) {
    bool trained = true;
    for (uint32_t i = 0; i < chain->n; i++) trained &= chain->at[i].trained;
    return trained;
}

bool transform_chain_reversible(const struct transform_chain *chain) {
    bool reversible = true;
    for (uint32_t i = 0; i < chain->n; i++) reversible &= transform_reversible(&chain->at[i]);
    return reversible;
}

/* The last transform that learns anything: what comes after it need not see the rows. */
static uint32_t last_learning(const struct transform_chain *chain) {
    uint32_t last = 0;
    for (uint32_t i = 0; i < chain->n; i++)
        if (!chain->at[i].trained) last = i;
    return last;
}

int transform_chain_train(struct transform_chain *chain, size_t n, const float *rows,
                          const struct quantizer_training *how, kith_error *err) {
    float *made = NULL;
    size_t made_bytes = 0;
    int code = KITH_OK;
    struct mem_account *owner = chain->n ? chain->at[0].owner : NULL;
    uint32_t last = last_learning(chain);
    for (uint32_t i = 0; i < chain->n && i <= last && code == KITH_OK; i++) {
        struct transform *t = &chain->at[i];
        if (!t->trained) code = transform_train(t, n, made ? made : rows, how, err);
        if (code != KITH_OK || i == last) break;
        size_t bytes = n * t->spec.d_out * sizeof(float);
        float *next = mem_slab(owner, bytes);
        if (next)
            transform_apply(t, how->threads, n, made ? made : rows, next);
        else
            code =
                FAIL(err, KITH_ENOMEM, "no memory for %zu rows of dim %" PRIu32, n, t->spec.d_out);
        if (made) mem_slab_free(owner, made, made_bytes);
        made = next;
        made_bytes = bytes;
    }
    if (made) mem_slab_free(owner, made, made_bytes);
    return code;
}

static size_t widest(const struct transform_chain *chain) {
    size_t most = 0;
    for (uint32_t i = 0; i + 1 < chain->n; i++)
        most = chain->at[i].spec.d_out > most ? chain->at[i].spec.d_out : most;
    return most;
}

size_t transform_chain_scratch(const struct transform_chain *chain, size_t n) {
    size_t buffers = chain->n < 2 ? 0 : chain->n == 2 ? 1 : 2;
    return buffers * (n < BLOCK ? n : BLOCK) * widest(chain);
}

typedef void (*pass_fn)(const struct transform *t, uint32_t threads, size_t n, const float *rows,
                        float *out);

/* One block through all, forwards or back. */
static void pass_block(const struct transform_chain *chain, bool back, uint32_t threads, size_t n,
                       const float *rows, float *const buffer[3]) {
    pass_fn pass = back ? transform_reverse : transform_apply;
    for (uint32_t i = 0; i < chain->n; i++) {
        float *to = buffer[i + 1 == chain->n ? 2 : i % 2];
        pass(&chain->at[back ? chain->n - 1 - i : i], threads, n, rows, to);
        rows = to;
    }
}

void transform_chain_apply(const struct transform_chain *chain, uint32_t threads, size_t n,
                           const float *rows, float *out, float *scratch) {
    if (chain->n == 0) memcpy(out, rows, n * chain->d_in * sizeof *out);
    size_t room = (n < BLOCK ? n : BLOCK) * widest(chain);
    for (size_t first = 0; chain->n > 0 && first < n; first += BLOCK) {
        float *buffer[3] = {scratch, chain->n > 2 ? scratch + room : NULL,
                            out + first * chain->d_out};
        pass_block(chain, false, threads, n - first < BLOCK ? n - first : BLOCK,
                   rows + first * chain->d_in, buffer);
    }
}

void transform_chain_reverse(const struct transform_chain *chain, uint32_t threads, size_t n,
                             const float *rows, float *out, float *scratch) {
    if (chain->n == 0) memcpy(out, rows, n * chain->d_in * sizeof *out);
    size_t room = (n < BLOCK ? n : BLOCK) * widest(chain);
    for (size_t first = 0; chain->n > 0 && first < n; first += BLOCK) {
        float *buffer[3] = {scratch, chain->n > 2 ? scratch + room : NULL,
                            out + first * chain->d_in};
        pass_block(chain, true, threads, n - first < BLOCK ? n - first : BLOCK,
                   rows + first * chain->d_out, buffer);
    }
}

size_t transform_chain_held(const struct transform_chain *chain) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < chain->n; i++) {
        const struct transform *t = &chain->at[i];
        size_t in = t->spec.d_in * sizeof(float), out = t->spec.d_out * sizeof(float);
        bytes += (t->a ? transform_a_bytes(t) : 0) + (t->back ? transform_a_bytes(t) : 0) +
                 (t->b ? out : 0) + (t->origin ? in : 0) + (t->values ? in : 0) +
                 rotation_held(&t->rotation);
    }
    return bytes;
}

/* ---- as bytes ---------------------------------------------------------------------------------------- */

#define CHAIN_HEAD 8u

size_t transform_chain_bytes(const struct transform_chain *chain) {
    size_t bytes = CHAIN_HEAD;
    for (uint32_t i = 0; i < chain->n; i++) bytes += transform_bytes(&chain->at[i]);
    return bytes;
}

void transform_chain_write(const struct transform_chain *chain, uint8_t *out) {
    uint32_t head[2] = {chain->n, chain->d_in};
    memcpy(out, head, CHAIN_HEAD);
    out += CHAIN_HEAD;
    for (uint32_t i = 0; i < chain->n; i++) {
        transform_write(&chain->at[i], out);
        out += transform_bytes(&chain->at[i]);
    }
}

int transform_chain_read(struct transform_chain *chain, const uint8_t *bytes, size_t n,
                         struct mem_account *owner, kith_error *err) {
    uint32_t head[2] = {0, 0};
    *chain = (struct transform_chain){0};
    if (n >= CHAIN_HEAD) memcpy(head, bytes, CHAIN_HEAD);
    if (n < CHAIN_HEAD || head[0] > TRANSFORM_CHAIN_MAX || head[1] == 0 || head[1] > KITH_MAX_DIM)
        return FAIL(err, KITH_ECORRUPT,
                    "a chain of %zu bytes, %" PRIu32 " transforms, dim %" PRIu32, n, head[0],
                    head[1]);
    chain->d_in = chain->d_out = head[1];
    size_t at = CHAIN_HEAD, taken = 0;
    int code = KITH_OK;
    for (uint32_t i = 0; i < head[0] && code == KITH_OK; i++) {
        code = transform_read(&chain->at[i], bytes + at, n - at, &taken, owner, err);
        if (code != KITH_OK) break;
        chain->n++;
        at += taken;
        if (chain->at[i].spec.d_in != chain->d_out)
            code = FAIL(err, KITH_ECORRUPT,
                        "transform %" PRIu32 " takes dim %" PRIu32 ", and is given %" PRIu32, i,
                        chain->at[i].spec.d_in, chain->d_out);
        chain->d_out = chain->at[i].spec.d_out;
    }
    if (code == KITH_OK && at != n)
        code = FAIL(err, KITH_ECORRUPT, "a chain of %zu bytes, must be %zu", n, at);
    if (code != KITH_OK) transform_chain_deinit(chain);
    return code;
}
