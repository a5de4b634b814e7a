/* Numbers: comparison across whole numbers and doubles without rounding either. */
#include "filter/number.h"

static int order(bool less, bool more) { return (int)more - (int)less; }

/* A whole number against a double: against its whole part first, then a fraction decides. */
static int int_to_double(int64_t i, double d) {
    if (d >= 0x1p63) return -1;
    if (d < -0x1p63) return 1;
    int64_t whole = (int64_t)d;
    if (i != whole) return order(i<whole, i> whole);
    double fraction = d - (double)whole;
    return order(fraction > 0, fraction < 0);
}

static int uint_to_double(uint64_t u, double d) {
    if (d >= 0x1p64) return -1;
    if (d < 0x1p63) return 1; /* u is above INT64_MAX, and doubles up there are whole */
    return order(u<(uint64_t)d, u>(uint64_t) d);
}

int number_compare(struct number a, struct number b) {
    if (a.type == JSON_DOUBLE && b.type == JSON_DOUBLE) return order(a.d<b.d, a.d> b.d);
    if (a.type == JSON_DOUBLE) return -number_compare(b, a);
    if (b.type == JSON_DOUBLE)
        return a.type == JSON_INT ? int_to_double(a.i, b.d) : uint_to_double(a.u, b.d);
    if (a.type != b.type) return a.type == JSON_INT ? -1 : 1;
    return a.type == JSON_INT ? order(a.i<b.i, a.i> b.i) : order(a.u<b.u, a.u> b.u);
}

bool range_holds(const struct range *range, struct number x) {
    const struct number *bound = range->bound;
    return (!range->has[RANGE_LT] || number_compare(x, bound[RANGE_LT]) < 0) &&
           (!range->has[RANGE_LTE] || number_compare(x, bound[RANGE_LTE]) <= 0) &&
           (!range->has[RANGE_GT] || number_compare(x, bound[RANGE_GT]) > 0) &&
           (!range->has[RANGE_GTE] || number_compare(x, bound[RANGE_GTE]) >= 0);
}
