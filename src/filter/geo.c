/* Places: the haversine formula (Sinnott 1984), rings by even and odd crossings (Shimrat 1962). */
#include "filter/geo.h"

#include <math.h>

#include "filter/number.h"

static const double earth = 6371008.8, degree = 0.017453292519943295;

static bool degrees_of(double *out, struct json_value object, const char *name) {
    struct json_value value;
    struct number number;
    if (!json_get(object, name, 3, &value) || !number_of(&number, value)) return false;
    *out = json_double(value);
    return true;
}

bool geo_point_of(struct geo_point *out, struct json_value value) {
    return json_type(value) == JSON_OBJECT && degrees_of(&out->lon, value, "lon") &&
           degrees_of(&out->lat, value, "lat") && geo_is_place(*out);
}

bool geo_in_box(const struct geo_box *box, struct geo_point p) {
    double west = box->top_left.lon, east = box->bottom_right.lon;
    bool between = west > east ? p.lon > west || p.lon < east : p.lon > west && p.lon < east;
    return between && p.lat > box->bottom_right.lat && p.lat < box->top_left.lat;
}

/* The square of half the chord; the haversine of the angle. */
static double haversine(struct geo_point a, double cos_lat, struct geo_point b) {
    double u = sin((b.lat - a.lat) * degree / 2), v = sin((b.lon - a.lon) * degree / 2);
    return u * u + cos_lat * cos(b.lat * degree) * v * v;
}

struct geo_circle geo_circle_of(struct geo_point centre, double metres) {
    double angle = metres / earth;
    double chord = angle < 3.141592653589793 ? 2 * sin(angle / 2) : 3; /* 3: more than any */
    return (struct geo_circle){centre, cos(centre.lat * degree), chord};
}

bool geo_in_circle(const struct geo_circle *circle, struct geo_point p) {
    return 4 * haversine(circle->centre, circle->cos_lat, p) < circle->chord * circle->chord;
}

double geo_chord(const struct geo_circle *circle, struct geo_point p) {
    return 2 * sqrt(haversine(circle->centre, circle->cos_lat, p));
}

enum side { OUTSIDE, INSIDE, ON_EDGE };

static enum side side_of(const struct geo_ring *ring, struct geo_point p) {
    bool inside = false;
    for (size_t i = 0; i + 1 < ring->n; i++) {
        struct geo_point a = ring->points[i], b = ring->points[i + 1];
        double turn = (b.lon - a.lon) * (p.lat - a.lat) - (b.lat - a.lat) * (p.lon - a.lon);
        bool beside = p.lon >= fmin(a.lon, b.lon) && p.lon <= fmax(a.lon, b.lon) &&
                      p.lat >= fmin(a.lat, b.lat) && p.lat <= fmax(a.lat, b.lat);
        if (turn == 0 && beside) return ON_EDGE;
        if ((a.lat > p.lat) != (b.lat > p.lat) && (turn > 0) == (b.lat > a.lat)) inside = !inside;
    }
    return inside ? INSIDE : OUTSIDE;
}

bool geo_in_polygon(const struct geo_polygon *polygon, struct geo_point p) {
    if (polygon->n_rings == 0 || side_of(&polygon->rings[0], p) != INSIDE) return false;
    for (size_t i = 1; i < polygon->n_rings; i++)
        if (side_of(&polygon->rings[i], p) != OUTSIDE) return false;
    return true;
}

struct geo_bounds geo_ring_bounds(const struct geo_ring *ring) {
    struct geo_bounds bounds = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (size_t i = 0; i < ring->n; i++) {
        bounds.west = fmin(bounds.west, ring->points[i].lon);
        bounds.east = fmax(bounds.east, ring->points[i].lon);
        bounds.south = fmin(bounds.south, ring->points[i].lat);
        bounds.north = fmax(bounds.north, ring->points[i].lat);
    }
    return bounds;
}

/* The haversine formula again, with x for sin x, and the widest parallel for both. */
double geo_bounds_reach(const struct geo_bounds *b) {
    double flattest = b->south <= 0 && b->north >= 0 ? 0 : fmin(fabs(b->south), fabs(b->north));
    double u = (b->north - b->south) * degree / 2;
    double v = (b->east - b->west) * degree / 2 * cos(flattest * degree);
    return sqrt(u * u + v * v);
}
