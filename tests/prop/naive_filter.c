/* Filters the naive way: recursion over the JSON of the filter itself; every value of a path is collected first. */
#include "naive_filter.h"

#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES = 256 };

struct values {
    struct json_value at[VALUES];
    int n;
};

static bool get(struct json_value object, const char *name, struct json_value *out) {
    return json_type(object) == JSON_OBJECT && json_get(object, name, strlen(name), out);
}

static const char *text_of(struct json_value value) {
    static char buffers[8][256];
    static int next;
    struct json_text text = json_string(value);
    char *buffer = buffers[next++ % 8];
    snprintf(buffer, 256, "%.*s", (int)text.n, text.bytes);
    return buffer;
}

/* What the path "a.b[].c[0]" leads to. */
static void collect(const char *path, struct json_value value, struct values *out) {
    char key[64];
    int n = 0;
    if (*path == '\0') {
        out->at[out->n++] = value;
    } else if (*path == '[') {
        struct json_value element;
        const char *end = strchr(path, ']');
        if (json_type(value) != JSON_ARRAY) return;
        for (size_t i = 0; json_at(value, i, &element); i++)
            if (end == path + 1 || (size_t)atoi(path + 1) == i) collect(end + 1, element, out);
    } else {
        if (*path == '.') path++;
        sscanf(path, "%63[^.[]%n", key, &n);
        if (get(value, key, &value)) collect(path + n, value, out);
    }
}

static bool is_number(struct json_value value) {
    enum json_type type = json_type(value);
    return type == JSON_INT || type == JSON_UINT || type == JSON_DOUBLE;
}

/* 64 bits of mantissa hold every number of JSON. */
static long double number(struct json_value value) {
    if (json_type(value) == JSON_INT) return json_int(value);
    return json_type(value) == JSON_UINT ? (long double)json_uint(value)
                                         : (long double)json_double(value);
}

static bool same(struct json_value a, struct json_value b) {
    if (json_type(a) != json_type(b)) return false;
    switch (json_type(a)) {
    case JSON_BOOL: return json_bool(a) == json_bool(b);
    case JSON_STRING: return strcmp(text_of(a), text_of(b)) == 0;
    case JSON_INT:
    case JSON_UINT: return number(a) == number(b);
    default: return false;
    }
}

static bool among(struct json_value value, struct json_value list) {
    struct json_value element;
    for (size_t i = 0; json_at(list, i, &element); i++)
        if (same(value, element)) return true;
    return false;
}

static bool match(struct json_value how, struct json_value value) {
    struct json_value want;
    bool text = json_type(value) == JSON_STRING;
    if (get(how, "value", &want)) return same(value, want);
    if (get(how, "any", &want)) return among(value, want);
    if (get(how, "except", &want)) return json_type(value) != JSON_NULL && !among(value, want);
    if (!text) return false;
    if (get(how, "text", &want) || get(how, "phrase", &want))
        return strstr(text_of(value), text_of(want)) != NULL;
    if (get(how, "prefix", &want))
        return strncmp(text_of(value), text_of(want), strlen(text_of(want))) == 0;
    if (get(how, "text_any", &want)) {
        char words[256], *rest = NULL;
        snprintf(words, sizeof words, "%s", text_of(want));
        for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
            if (strstr(text_of(value), word)) return true;
        return false;
    }
    if (!get(how, "regex", &want)) return false;
    char pattern[300];
    regex_t regex;
    snprintf(pattern, sizeof pattern, "^(%s)$", text_of(want));
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB)) return false;
    bool matches = regexec(&regex, text_of(value), 0, NULL, 0) == 0;
    regfree(&regex);
    return matches;
}

/* Times of the test are all written alike, so that their text compares as they do. */
static bool bounds(struct json_value range, struct json_value value) {
    struct json_value bound, any;
    struct json_walk walk;
    static const char *const names[] = {"lt", "lte", "gt", "gte"};
    json_walk_init(&walk, range);
    bool times = json_next(&walk, NULL, &any) && json_type(any) == JSON_STRING;
    if (times ? json_type(value) != JSON_STRING || text_of(value)[0] != '2' ||
                    strlen(text_of(value)) != 20
              : !is_number(value))
        return false;
    for (int i = 0; i < 4; i++) {
        if (!get(range, names[i], &bound)) continue;
        long double order =
            times ? strcmp(text_of(value), text_of(bound)) : number(value) - number(bound);
        if (!times && number(value) == number(bound)) order = 0;
        if (i == 0 ? order >= 0 : i == 1 ? order > 0 : i == 2 ? order <= 0 : order < 0)
            return false;
    }
    return true;
}

static double coordinate(struct json_value place, const char *name) {
    struct json_value value;
    return get(place, name, &value) && is_number(value) ? json_double(value) : (double)NAN;
}

static bool in_place(const char *form, struct json_value how, struct json_value value) {
    double lon = coordinate(value, "lon"), lat = coordinate(value, "lat"), rad = acos(-1) / 180;
    struct json_value a, b, point;
    if (isnan(lon) || isnan(lat) || fabs(lon) > 180 || fabs(lat) > 90) return false;
    if (strcmp(form, "geo_bounding_box") == 0) {
        get(how, "top_left", &a), get(how, "bottom_right", &b);
        double west = coordinate(a, "lon"), east = coordinate(b, "lon");
        bool wide = west > east ? lon > west || lon < east : lon > west && lon < east;
        return wide && lat < coordinate(a, "lat") && lat > coordinate(b, "lat");
    }
    if (strcmp(form, "geo_radius") == 0) {
        get(how, "center", &a), get(how, "radius", &b);
        double u = coordinate(a, "lon") * rad, v = coordinate(a, "lat") * rad;
        double x = cos(v) * cos(u) - cos(lat * rad) * cos(lon * rad);
        double y = cos(v) * sin(u) - cos(lat * rad) * sin(lon * rad), z = sin(v) - sin(lat * rad);
        return 2 * 6371008.8 * asin(fmin(1, sqrt(x * x + y * y + z * z) / 2)) < json_double(b);
    }
    /* the rings of the test are upright rectangles */
    double box[4] = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    get(how, "exterior", &a), get(a, "points", &b);
    for (size_t i = 0; json_at(b, i, &point); i++) {
        box[0] = fmin(box[0], coordinate(point, "lon")),
        box[1] = fmax(box[1], coordinate(point, "lon"));
        box[2] = fmin(box[2], coordinate(point, "lat")),
        box[3] = fmax(box[3], coordinate(point, "lat"));
    }
    return lon > box[0] && lon < box[1] && lat > box[2] && lat < box[3];
}

static bool compare(struct json_value how, struct json_value here, struct json_value payload) {
    static const char *const names[] = {"lt", "lte", "gt", "gte", "eq", "ne"};
    for (int i = 0; i < 6; i++) {
        struct json_value path, element;
        struct values there = {.n = 0};
        bool holds = false;
        if (!get(how, names[i], &path)) continue;
        collect(text_of(path), payload, &there);
        for (int j = 0; j < there.n; j++) {
            bool array = json_type(there.at[j]) == JSON_ARRAY;
            for (size_t k = 0; array ? json_at(there.at[j], k, &element) : k == 0; k++) {
                struct json_value b = array ? element : there.at[j];
                long double order = 0;
                if (is_number(here) && is_number(b))
                    order = number(here) < number(b) ? -1 : number(here) > number(b);
                else if (json_type(here) == JSON_STRING && json_type(b) == JSON_STRING)
                    order = strcmp(text_of(here), text_of(b));
                else if (i >= 4 && json_type(here) == JSON_BOOL && json_type(b) == JSON_BOOL)
                    order = json_bool(here) - json_bool(b);
                else
                    continue;
                holds |= i == 0   ? order < 0
                         : i == 1 ? order <= 0
                         : i == 2 ? order > 0
                         : i == 3 ? order >= 0
                                  : (order == 0) == (i == 4);
            }
        }
        if (!holds) return false;
    }
    return true;
}

static bool value_fits(struct json_value condition, struct json_value value,
                       struct json_value payload) {
    static const char *const places[] = {"geo_bounding_box", "geo_radius", "geo_polygon"};
    struct json_value how;
    if (get(condition, "match", &how)) return match(how, value);
    if (get(condition, "range", &how)) return bounds(how, value);
    if (get(condition, "compare", &how)) return compare(how, value, payload);
    for (int i = 0; i < 3; i++)
        if (get(condition, places[i], &how)) return in_place(places[i], how, value);
    abort();
}

static bool empty(struct json_value value) {
    return json_type(value) == JSON_NULL ||
           (json_type(value) == JSON_ARRAY && json_count(value) == 0);
}

static bool field_fits(struct json_value condition, struct json_value payload) {
    struct json_value key, how, element;
    struct values values = {.n = 0};
    bool is_empty = true, is_null = false, fits = false;
    get(condition, "key", &key);
    collect(text_of(key), payload, &values);
    bool count = get(condition, "values_count", &how);
    bool whole =
        count || get(condition, "is_empty", &element) || get(condition, "is_null", &element);
    for (int i = 0; i < values.n; i++) {
        struct json_value value = values.at[i];
        is_empty = is_empty && empty(value);
        is_null |= json_type(value) == JSON_NULL;
        bool array = json_type(value) == JSON_ARRAY;
        for (size_t j = 0; !whole && (array ? json_at(value, j, &element) : j == 0); j++)
            fits |= value_fits(condition, array ? element : value, payload);
    }
    for (int i = 0; count && i < (values.n ? values.n : 1); i++) {
        long n = values.n == 0 || json_type(values.at[i]) == JSON_NULL ? 0
                 : json_type(values.at[i]) == JSON_ARRAY ? (long)json_count(values.at[i])
                                                         : 1;
        struct json_value b;
        fits |= !(get(how, "lt", &b) && n >= json_int(b)) &&
                !(get(how, "lte", &b) && n > json_int(b)) &&
                !(get(how, "gt", &b) && n <= json_int(b)) &&
                !(get(how, "gte", &b) && n < json_int(b));
    }
    if (get(condition, "is_empty", &how)) return is_empty == json_bool(how);
    if (get(condition, "is_null", &how)) return is_null == json_bool(how);
    return fits;
}

static bool nested(struct json_value how, struct json_value payload) {
    struct json_value key, filter;
    struct values values = {.n = 0};
    char path[80];
    get(how, "key", &key), get(how, "filter", &filter);
    snprintf(path, sizeof path, "%s%s", text_of(key), strstr(text_of(key), "[]") ? "" : "[]");
    collect(path, payload, &values);
    for (int i = 0; i < values.n; i++) {
        struct naive_point inner = {.payload = values.at[i], .bare = true};
        if (json_type(values.at[i]) == JSON_OBJECT && naive_matches(filter, &inner)) return true;
    }
    return false;
}

static bool holds(struct json_value condition, const struct naive_point *point) {
    struct json_value how, key, element;
    struct values values = {.n = 0};
    if (get(condition, "key", &how)) return field_fits(condition, point->payload);
    if (get(condition, "nested", &how)) return nested(how, point->payload);
    if (get(condition, "has_vector", &how))
        return !point->bare && point->has_vector && strcmp(text_of(how), "image") == 0;
    if (get(condition, "has_id", &how)) {
        for (size_t i = 0; json_at(how, i, &element); i++)
            if (!point->bare && number(element) == point->id) return true;
        return false;
    }
    bool is_empty = get(condition, "is_empty", &how);
    if (!is_empty && !get(condition, "is_null", &how)) return naive_matches(condition, point);
    get(how, "key", &key);
    collect(text_of(key), point->payload, &values);
    for (int i = 0; i < values.n; i++)
        if (is_empty ? !empty(values.at[i]) : json_type(values.at[i]) == JSON_NULL)
            return !is_empty;
    return is_empty;
}

/* How many of a clause hold, and of how many. */
static void tally(struct json_value clause, const struct naive_point *point, int *n, int *n_all) {
    struct json_value element;
    bool array = json_type(clause) == JSON_ARRAY;
    for (size_t i = 0; array ? json_at(clause, i, &element) : i == 0; i++, ++*n_all)
        *n += holds(array ? element : clause, point);
}

bool naive_matches(struct json_value filter, const struct naive_point *point) {
    static const char *const clauses[] = {"must", "should", "must_not", "min_should"};
    for (int i = 0; i < 4; i++) {
        struct json_value clause, least;
        int n = 0, n_all = 0;
        if (!get(filter, clauses[i], &clause)) continue;
        if (i == 3) get(clause, "min_count", &least), get(clause, "conditions", &clause);
        tally(clause, point, &n, &n_all);
        if (i == 0   ? n < n_all
            : i == 1 ? n_all > 0 && n == 0
            : i == 2 ? n > 0
                     : n < json_int(least))
            return false;
    }
    return true;
}
