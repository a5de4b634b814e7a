/* The wire: numbers, counted arrays and lent bytes of a FAISS file, in either direction. See faiss_wire.h. */
#include "foreign/faiss_wire.h"

static int wire_want(const struct wire *wire, uint64_t n, const char *what) {
    if (n > wire_left(wire))
        return WIRE_FAIL_AS(wire, KITH_ETRUNCATED, "%s of %llu bytes, %llu are left", what,
                            (unsigned long long)n, (unsigned long long)wire_left(wire));
    return KITH_OK;
}

int wire_copy(struct wire *wire, void *value, size_t n) {
    wire->last = wire->at;
    if (wire->writing) {
        TRY(wire->put(wire->context, value, n, wire->err));
    } else {
        TRY(wire_want(wire, n, "a number"));
        memcpy(value, wire->bytes + wire->at, n);
    }
    wire->at += n;
    return KITH_OK;
}

int wire_bool(struct wire *wire, bool *value) {
    uint8_t byte = *value;
    TRY(wire_u8(wire, &byte));
    WIRE_CHECK(wire, byte <= 1, "%u where 0 or 1 belongs", byte);
    *value = byte;
    return KITH_OK;
}

int wire_lend(struct wire *wire, const uint8_t **bytes, uint64_t count, uint64_t item_bytes,
              const char *what) {
    size_t n;
    wire->last = wire->at;
    WIRE_CHECK(wire, mem_mul(count, item_bytes, &n), "%s of %llu x %llu bytes", what,
               (unsigned long long)count, (unsigned long long)item_bytes);
    if (wire->writing) {
        if (n > 0) TRY(wire->put(wire->context, *bytes, n, wire->err));
    } else {
        TRY(wire_want(wire, n, what));
        *bytes = wire->bytes + wire->at;
    }
    wire->at += n;
    return KITH_OK;
}

int wire_array(struct wire *wire, struct faiss_array *array, size_t item_bytes, const char *what) {
    TRY(wire_u64(wire, &array->n));
    return wire_lend(wire, &array->bytes, array->n, item_bytes, what);
}

int wire_codes(struct wire *wire, struct faiss_codes *codes, size_t unit) {
    size_t n;
    WIRE_CHECK(wire, mem_mul(codes->n, codes->code_size, &n), "%llu codes of %llu bytes",
               (unsigned long long)codes->n, (unsigned long long)codes->code_size);
    uint64_t count = n / unit;
    TRY(wire_u64(wire, &count));
    WIRE_CHECK(wire, count == n / unit, "%llu x %zu bytes of codes, %llu rows of %llu wanted",
               (unsigned long long)count, unit, (unsigned long long)codes->n,
               (unsigned long long)codes->code_size);
    return wire_lend(wire, &codes->bytes, count, unit, "codes");
}

int wire_room(const struct wire *wire, uint64_t count, uint64_t item_bytes, const char *what) {
    size_t n;
    return wire_want(wire, mem_mul(count, item_bytes, &n) ? n : UINT64_MAX, what);
}

int wire_new(struct wire *wire, void *out, uint64_t n, size_t item_bytes) {
    size_t bytes;
    void *block = mem_mul(n, item_bytes, &bytes) ? mem_new(wire->owner, bytes) : NULL;
    if (!block)
        return WIRE_FAIL_AS(wire, KITH_ENOMEM, "no memory for %llu items of %zu bytes",
                            (unsigned long long)n, item_bytes);
    memcpy(out, &block, sizeof block);
    return KITH_OK;
}
