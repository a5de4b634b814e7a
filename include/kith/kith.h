/* Kith: vector search you can trust. This header brings the whole C interface.
 *
 * Conventions. Arrays are row-major float32 and owned by the caller. Ids are int64_t, 0 or more; -1 is "none".
 * Every function may be called from any thread, and says which calls may run at once. The library never prints,
 * aborts or exits; it starts no threads unless asked for more than one. */
#ifndef KITH_KITH_H
#define KITH_KITH_H

#include <kith/build.h>
#include <kith/calibrate.h>
#include <kith/db.h>
#include <kith/error.h>
#include <kith/eval.h>
#include <kith/foreign.h>
#include <kith/id.h>
#include <kith/index.h>
#include <kith/tune.h>
#include <kith/vector.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0"; static. */
KITH_API const char *kith_version(void);

#ifdef __cplusplus
}
#endif
#endif
