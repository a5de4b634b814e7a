/* Room: base/mem.h for json.cpp, since C++ reads no _Atomic. */
#ifndef KITH_JSON_JSON_ROOM_H
#define KITH_JSON_JSON_ROOM_H

#include <stdbool.h>
#include <stddef.h>

struct mem_account;

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that grow; all zero but for owner is an empty one. */
struct json_room {
    struct mem_account *owner;
    char *bytes;
    size_t capacity;
};

/* Room for at least `bytes`, at least doubling; false when memory is short, and the room is as it was. */
bool json_room_grow(struct json_room *room, size_t bytes);
void json_room_deinit(struct json_room *room);

/* One zeroed object. */
void *json_room_new(struct mem_account *owner, size_t bytes);
void json_room_free(struct mem_account *owner, void *object, size_t bytes);

/* Count memory that a library takes by itself: owner's bytes go from `before` to `after`. False where a limit forbids. */
bool json_room_charge(struct mem_account *owner, size_t before, size_t after);

#ifdef __cplusplus
}
#endif

#endif
