/* Times as text: RFC 3339 and its common shorter forms, to microseconds since 1970 in UTC. */
#ifndef KITH_FILTER_DATETIME_H
#define KITH_FILTER_DATETIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* date [("T" | "t" | " ") hour ":" minute [":" second ["." digits]] [zone]]
 *     date   YYYY-MM-DD, a day that there is (proleptic Gregorian)
 *     zone   Z, z, +HH:MM, +HHMM, +HH and the same with -; without one the time is UTC
 * Second 60 is the next minute's second 0. Digits after the sixth are dropped. False for any other text. */
bool datetime_parse(const char *text, size_t n, int64_t *us);

#endif
