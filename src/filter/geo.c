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

double geo_distance(struct geo_point a, struct geo_point b) {
    double u = sin((b.lat - a.lat) * degree / 2), v = sin((b.lon - a.lon) * degree / 2);
    double h = u * u + cos(a.lat * degree) * cos(b.lat * degree) * v * v;
    return 2 * earth * asin(sqrt(h < 1 ? h : 1));
}

bool geo_in_circle(const struct geo_circle *circle, struct geo_point p) {
    return geo_distance(circle->centre, p) < circle->radius;
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

/* Half the width of a circle on the sphere is asin(sin(angle) / cos(lat)); over a pole it has all longitudes. */
struct geo_bounds geo_circle_bounds(const struct geo_circle *circle) {
    double angle = circle->radius / earth * (1 + 1e-9) + 1e-12, high = angle / degree;
    struct geo_point c = circle->centre;
    struct geo_bounds bounds = {-180, 180, c.lat - high, c.lat + high};
    if (bounds.south > -90 && bounds.north < 90) {
        double wide = asin(fmin(1, sin(angle) / cos(c.lat * degree))) / degree + 1e-9;
        bounds.west = c.lon - wide;
        bounds.east = c.lon + wide;
    }
    return bounds;
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
