/* Regular expressions that take linear time, whatever the pattern and the text (RE2; decision 0041). */
#ifndef KITH_FILTER_REGEX_H
#define KITH_FILTER_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include <kith/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most memory a pattern's program and its automaton may take, and so the time that it may take to make one. */
#define REGEX_BYTES (1u << 20)

struct regex;

/* RE2's syntax, UTF-8. KITH_EFILTER a pattern that is wrong or too large, KITH_ENOMEM. */
int regex_new(struct regex **out, const char *pattern, size_t n, kith_error *err);
void regex_free(struct regex *regex); /* NULL is fine */
/* Whether it matches the whole text. Any number of threads at once. */
bool regex_matches(const struct regex *regex, const char *text, size_t n);

#ifdef __cplusplus
}
#endif

#endif
