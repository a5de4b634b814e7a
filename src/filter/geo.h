/* Places on the globe, and the three shapes that filters ask for. Degrees; metres. */
#ifndef KITH_FILTER_GEO_H
#define KITH_FILTER_GEO_H

#include <stdbool.h>
#include <stddef.h>

#include "json/json.h"

struct geo_point {
    double lon, lat;
};

static inline bool geo_is_place(struct geo_point p) {
    return p.lat >= -90 && p.lat <= 90 && p.lon >= -180 && p.lon <= 180;
}

/* Of an object with numbers lon and lat that are a place; false for all else. */
bool geo_point_of(struct geo_point *out, struct json_value value);

/* Without its edges. top_left east of bottom_right: it crosses the antimeridian. */
struct geo_box {
    struct geo_point top_left, bottom_right;
};
bool geo_in_box(const struct geo_box *box, struct geo_point p);

/* Nearer than the radius on a sphere of 6,371,008.8 m. */
struct geo_circle {
    struct geo_point centre;
    double radius;
};
bool geo_in_circle(const struct geo_circle *circle, struct geo_point p);
double geo_distance(struct geo_point a, struct geo_point b);

/* Rings as in the plane of lon and lat, closed; the first is the outside, the others are holes. Edges are outside. */
struct geo_ring {
    size_t n;
    const struct geo_point *points;
};
struct geo_polygon {
    size_t n_rings;
    struct geo_ring *rings;
};
bool geo_in_polygon(const struct geo_polygon *polygon, struct geo_point p);

/* A box in the plane, edges included, that holds the circle; it may leave -180..180, and both poles are in it where they are
 * in the circle. */
struct geo_bounds {
    double west, east, south, north;
};
struct geo_bounds geo_circle_bounds(const struct geo_circle *circle);
struct geo_bounds geo_ring_bounds(const struct geo_ring *ring);

#endif
