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

/* Nearer than the radius on a sphere of 6,371,008.8 m. Lengths through the sphere, of radius 1, stand for those along it: they
 * grow together, and need no arc sine. */
struct geo_circle {
    struct geo_point centre;
    double cos_lat, chord; /* of the centre; of the radius */
};
struct geo_circle geo_circle_of(struct geo_point centre, double metres);
bool geo_in_circle(const struct geo_circle *circle, struct geo_point p);
/* From the centre to p. */
double geo_chord(const struct geo_circle *circle, struct geo_point p);

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

struct geo_bounds {
    double west, east, south, north;
};
struct geo_bounds geo_ring_bounds(const struct geo_ring *ring);
/* No place within the bounds is farther from their middle, through the sphere of radius 1. */
double geo_bounds_reach(const struct geo_bounds *bounds);

#endif
