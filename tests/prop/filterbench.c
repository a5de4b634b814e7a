/* filterbench: what filters cost over many points. Makes the tables of docs/performance.md, "Filters".
 *
 *   filterbench [ROWS]        1,000,000 by default
 *
 * Payloads are drawn from a fixed seed: a category of 1,000 (Zipf), up to three tags of 200, a price, a stock, a time within two
 * years, a flag, a place (three towns and anywhere), a UUID. All times are CPU time of one thread, medians of 15. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/mem.h"
#include "filter/filter_plan.h"

enum { REPEATS = 15, FIELDS = 8 };

static const struct {
    const char *path;
    enum field_type type;
} kinds[FIELDS] = {{"category", FIELD_KEYWORD}, {"tags", FIELD_KEYWORD},     {"price", FIELD_FLOAT},
                   {"stock", FIELD_INTEGER},    {"created", FIELD_DATETIME}, {"active", FIELD_BOOL},
                   {"at", FIELD_GEO},           {"owner", FIELD_UUID}};

static uint64_t seed = 1;
static struct mem_account account;
static struct field *fields[FIELDS];

static double cpu_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static double share(void) { return (double)(bits_random(&seed) >> 11) * 0x1p-53; }

static size_t draw_payload(char *text, size_t room) {
    static const double towns[3][2] = {{13.4, 52.5}, {2.35, 48.86}, {-74, 40.7}};
    int town = (int)(share() * 4), n_tags = (int)(share() * 4);
    double lon = town < 3 ? towns[town][0] + (share() + share() - 1) * 0.5 : share() * 360 - 180;
    double lat = town < 3 ? towns[town][1] + (share() + share() - 1) * 0.3 : share() * 180 - 90;
    int n = snprintf(text, room, "{\"category\":\"category-%d\",\"tags\":[",
                     (int)exp(share() * log(1000)) - 1);
    for (int i = 0; i < n_tags; i++)
        n += snprintf(text + n, room - (size_t)n, "%s\"tag-%d\"", i ? "," : "",
                      (int)(share() * 200));
    int day = (int)(share() * 28) + 1, month = (int)(share() * 12) + 1, hour = (int)(share() * 24);
    n += snprintf(
        text + n, room - (size_t)n,
        "],\"price\":%.2f,\"stock\":%d,\"created\":\"202%d-%02d-%02dT%02d:%02d:00Z\",\"active\":%s,"
        "\"at\":{\"lon\":%.6f,\"lat\":%.6f},\"owner\":\"%08x-0000-4000-8000-%012x\","
        "\"title\":\"A thing of which there are several, number %d\"}",
        share() * 1000, (int)(share() * 1000), 4 + (share() < 0.5), month, day, hour,
        (int)(share() * 60), share() < 0.8 ? "true" : "false", lon, lat, (unsigned)(share() * 1e5),
        7u, (int)(share() * 1e9));
    return (size_t)n;
}

static int order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void must(int code, const kith_error *err) {
    if (code != KITH_OK) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static void new_fields(void) {
    struct arena arena = {.owner = &account};
    kith_error err;
    for (int i = 0; i < FIELDS; i++) {
        struct path path;
        must(path_parse(&path, kinds[i].path, strlen(kinds[i].path), &arena, &err), &err);
        must(field_new(&fields[i], kinds[i].type, &path, &account, &err), &err);
    }
    arena_deinit(&arena);
}

static void build(uint32_t n_rows) {
    static double add_us[FIELDS], parse_us, store_bytes;
    struct json_parser *parser;
    char text[1024];
    kith_error err;
    must(json_parser_new(&parser, &account, &err), &err);
    for (uint32_t row = 0; row < n_rows; row++) {
        struct json_value root;
        size_t n = draw_payload(text, sizeof text);
        double start = cpu_us();
        must(json_parse(parser, text, n, JSON_TRUSTED, &root, &err), &err);
        parse_us += cpu_us() - start;
        store_bytes += (double)n;
        for (int i = 0; i < FIELDS; i++) {
            start = cpu_us();
            must(field_add(fields[i], row, root, &err), &err);
            add_us[i] += cpu_us() - start;
        }
    }
    json_parser_free(parser);
    printf(
        "payload %.0f bytes, parsed in %.2f us; times of adding hold two calls of the clock, 0.3 us or so\n\n",
        store_bytes / n_rows, parse_us / n_rows);
    printf("%-10s %-9s %8s %10s %9s %10s %9s\n", "field", "type", "add, us", "merge, ms",
           "bytes/row", "saved/row", "load, ms");
    for (int i = 0; i < FIELDS; i++) {
        struct field_merge *merge;
        struct field *loaded;
        uint8_t *bytes;
        size_t n;
        double start = cpu_us(), merged, saved;
        if (kinds[i].type == FIELD_INTEGER || kinds[i].type == FIELD_FLOAT ||
            kinds[i].type == FIELD_DATETIME || kinds[i].type == FIELD_GEO) {
            must(field_merge_make(fields[i], &merge, &err), &err);
            field_merge_take(fields[i], merge);
        }
        merged = cpu_us() - start;
        must(field_save(fields[i], &bytes, &n, &err), &err);
        start = cpu_us();
        must(field_load(&loaded, bytes, n, &account, &err), &err);
        saved = cpu_us() - start;
        printf("%-10s %-9s %8.2f %10.1f %9.1f %10.1f %9.1f\n", kinds[i].path,
               field_type_name(kinds[i].type), add_us[i] / n_rows, merged / 1000,
               (double)field_bytes(fields[i]) / n_rows, (double)n / n_rows, saved / 1000);
        mem_free(&account, bytes, n);
        field_free(loaded);
    }
}

#define K(key, rest)      "{\"key\":\"" key "\"," rest "}"
#define MATCH(key, value) K(key, "\"match\":{\"value\":" value "}")
#define CAT0              MATCH("category", "\"category-0\"")
#define TAG7              MATCH("tags", "\"tag-7\"")
#define PRICE             K("price", "\"range\":{\"gte\":100,\"lt\":600}")
#define STOCK             K("stock", "\"range\":{\"gt\":0,\"lte\":900}")
#define TIME              K("created", "\"range\":{\"gte\":\"2024-03-01\",\"lt\":\"2025-06-15T12:00:00Z\"}")
#define ACTIVE            MATCH("active", "true")
#define BERLIN            K("at", "\"geo_radius\":{\"center\":{\"lon\":13.4,\"lat\":52.5},\"radius\":20000}")
#define EUROPE \
    K("at",    \
      "\"geo_bounding_box\":{\"top_left\":{\"lon\":-10,\"lat\":60},\"bottom_right\":{\"lon\":30,\"lat\":40}}")
#define OWNER MATCH("owner", "\"00001234-0000-4000-8000-000000000007\"")

static const struct {
    const char *name, *text;
} queries[] = {
    {"category = the first", "{\"must\":" CAT0 "}"},
    {"category in 50",
     "{\"must\":" K(
         "category",
         "\"match\":{\"any\":[\"category-10\",\"category-11\",\"category-12\",\"category-13\","
         "\"category-14\",\"category-15\",\"category-16\",\"category-17\",\"category-18\",\"category-19\",\"category-20\",\"category-21\","
         "\"category-22\",\"category-23\",\"category-24\",\"category-25\",\"category-26\",\"category-27\",\"category-28\",\"category-29\","
         "\"category-30\",\"category-31\",\"category-32\",\"category-33\",\"category-34\",\"category-35\",\"category-36\",\"category-37\","
         "\"category-38\",\"category-39\",\"category-40\",\"category-41\",\"category-42\",\"category-43\",\"category-44\",\"category-45\","
         "\"category-46\",\"category-47\",\"category-48\",\"category-49\",\"category-50\",\"category-51\",\"category-52\",\"category-53\","
         "\"category-54\",\"category-55\",\"category-56\",\"category-57\",\"category-58\",\"category-59\"]}") "}"},
    {"category not the first",
     "{\"must\":" K("category", "\"match\":{\"except\":[\"category-0\"]}") "}"},
    {"category regex",
     "{\"must\":" K("category", "\"match\":{\"regex\":\"category-[1-3].*5\"}") "}"},
    {"tag", "{\"must\":" TAG7 "}"},
    {"tags none of 2", "{\"must\":" K("tags", "\"match\":{\"except\":[\"tag-7\",\"tag-8\"]}") "}"},
    {"price, half", "{\"must\":" PRICE "}"},
    {"stock, 9 of 10", "{\"must\":" STOCK "}"},
    {"time, two thirds", "{\"must\":" TIME "}"},
    {"active", "{\"must\":" ACTIVE "}"},
    {"Berlin, 20 km", "{\"must\":" BERLIN "}"},
    {"Europe, box", "{\"must\":" EUROPE "}"},
    {"owner", "{\"must\":" OWNER "}"},
    {"tags empty", "{\"must\":{\"is_empty\":{\"key\":\"tags\"}}}"},
    {"five, and", "{\"must\":[" CAT0 "," PRICE "," STOCK "," TIME "," ACTIVE "]}"},
    {"five, or", "{\"should\":[" CAT0 "," PRICE "," TAG7 "," TIME "," EUROPE "]}"},
    {"five, mixed",
     "{\"must\":[" PRICE "," EUROPE "],\"must_not\":[" TAG7 "],\"should\":[" CAT0 "," TIME "]}"},
    {"five ranges", "{\"must\":[" PRICE "," STOCK "," TIME "," EUROPE
                    "],\"must_not\":[" K("price", "\"range\":{\"gt\":300,\"lt\":333}") "]}"},
    {"two of five", "{\"min_should\":{\"min_count\":2,\"conditions\":[" CAT0 "," PRICE "," TAG7
                    "," TIME "," EUROPE "]}}"},
    {"nested groups", "{\"must\":[{\"should\":[" CAT0 ",{\"must\":[" PRICE "," EUROPE
                      "]}]},{\"must_not\":[" TAG7 "," BERLIN "]}]}"},
};

static void measure(uint32_t n_rows) {
    size_t n_words = bits_words(n_rows);
    uint64_t *live = mem_new(&account, n_words * sizeof *live);
    for (uint32_t row = 0; row < n_rows; row++) bits_set(live, row);
    struct filter_source source = {
        .n_rows = n_rows, .live = live, .n_live = n_rows, .fields = fields, .n_fields = FIELDS};
    struct filter_rows rows = {.owner = &account};
    printf("\n%-24s %10s %10s %10s %10s\n", "filter", "rows", "expected", "plan, us", "estimate");
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        double plan[REPEATS], guess[REPEATS], expected = 0;
        struct filter *filter;
        kith_error err;
        must(filter_parse(&filter, queries[i].text, strlen(queries[i].text), &account, &err), &err);
        for (int repeat = -1; repeat < REPEATS; repeat++) {
            double start = cpu_us();
            must(filter_plan(filter, &source, &rows, &err), &err);
            double middle = cpu_us();
            expected = filter_estimate(filter, &source);
            if (repeat >= 0) plan[repeat] = middle - start, guess[repeat] = cpu_us() - middle;
        }
        qsort(plan, REPEATS, sizeof *plan, order);
        qsort(guess, REPEATS, sizeof *guess, order);
        printf("%-24s %10llu %10.0f %10.1f %10.1f%s\n", queries[i].name,
               (unsigned long long)rows.n_may, expected, plan[REPEATS / 2], guess[REPEATS / 2],
               rows.exact ? "" : "  to be checked");
        filter_free(filter);
    }
    filter_rows_deinit(&rows);
    mem_free(&account, live, n_words * sizeof *live);
}

/* Without indexes: parse and ask. */
static void measure_payloads(void) {
    enum { POINTS = 20000 };
    static char texts[POINTS][600];
    static size_t lengths[POINTS];
    struct json_parser *parser;
    kith_error err;
    must(json_parser_new(&parser, &account, &err), &err);
    seed = 1;
    for (int i = 0; i < POINTS; i++) lengths[i] = draw_payload(texts[i], sizeof texts[i]);
    printf("\n%-24s %14s\n", "without index", "us a payload");
    for (size_t q = 0; q < sizeof queries / sizeof *queries; q++) {
        struct filter *filter;
        double all[5];
        size_t n = 0;
        must(filter_parse(&filter, queries[q].text, strlen(queries[q].text), &account, &err), &err);
        for (int repeat = 0; repeat < 5; repeat++) {
            double start = cpu_us();
            for (int i = 0; i < POINTS; i++) {
                struct filter_point point = {0};
                must(json_parse(parser, texts[i], lengths[i], JSON_TRUSTED, &point.payload, &err),
                     &err);
                n += filter_matches(filter, &point);
            }
            all[repeat] = (cpu_us() - start) / POINTS;
        }
        qsort(all, 5, sizeof *all, order);
        printf("%-24s %14.2f   (%zu match)\n", queries[q].name, all[2], n / 5);
        filter_free(filter);
    }
    json_parser_free(parser);
}

int main(int argc, char **argv) {
    uint32_t n_rows = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    new_fields();
    build(n_rows);
    measure(n_rows);
    measure_payloads();
    for (int i = 0; i < FIELDS; i++) field_free(fields[i]);
    return account.bytes != 0;
}
