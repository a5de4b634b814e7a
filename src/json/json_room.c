/* Room: the memory of json.cpp, counted as all memory is. */
#include "json/json_room.h"

#include "base/mem.h"

enum { ROOM_MIN = 1024 };

bool json_room_grow(struct json_room *room, size_t bytes) {
    if (bytes <= room->capacity) return true;
    size_t capacity = room->capacity > bytes / 2 ? room->capacity * 2 : bytes;
    if (capacity < bytes || capacity < ROOM_MIN) capacity = bytes < ROOM_MIN ? ROOM_MIN : bytes;
    char *grown = mem_resize(room->owner, room->bytes, room->capacity, capacity);
    if (!grown) return false;
    room->bytes = grown;
    room->capacity = capacity;
    return true;
}

void json_room_deinit(struct json_room *room) {
    mem_free(room->owner, room->bytes, room->capacity);
    room->bytes = NULL;
    room->capacity = 0;
}

void *json_room_new(struct mem_account *owner, size_t bytes) { return mem_new(owner, bytes); }

void json_room_free(struct mem_account *owner, void *object, size_t bytes) {
    mem_free(owner, object, bytes);
}

/* The library's bytes are those of no block: an account without blocks joins the owner, or leaves it. */
bool json_room_charge(struct mem_account *owner, size_t before, size_t after) {
    struct mem_account none = {0};
    if (after >= before) return mem_account_join(&none, owner, after - before);
    none.parent = owner;
    mem_account_leave(&none, before - after);
    return true;
}
