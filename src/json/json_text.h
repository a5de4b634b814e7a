/* JSON text read for its places alone: what a tree no longer knows. */
#ifndef KITH_JSON_JSON_TEXT_H
#define KITH_JSON_JSON_TEXT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the text stops being one JSON value as json.h wants it, and why; n and NULL when it does not. */
size_t json_text_fault(const char *text, size_t n, const char **what);
/* Where the value of that word of the tree (simdjson's tape) begins, in text without fault. */
size_t json_text_place(const char *text, size_t n, size_t word);

#ifdef __cplusplus
}
#endif

#endif
