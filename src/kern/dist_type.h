/* The three metrics of one element type: included by level.c with ELEM and TYPE defined, which it undefines. */
#define METRIC l2sq
#include "kern/dist_tmpl.c"
#define METRIC dot
#include "kern/dist_tmpl.c"
#define METRIC l1
#include "kern/dist_tmpl.c"
#undef ELEM
#undef TYPE
