/* Recall by effort: choosing from the table, and its section in a file.
 *
 * CALB: u64 rows, u64 rows changed since, u32 queries, u32 1 where they were given, u32 1 where originals are kept, u32
 * curves; then each curve:
 * u32 k, u32 points, and its points: u32 ef, u32 nprobe, f32 oversample, f32 recall. */
#include "index/effort.h"

#include <math.h>
#include <string.h>

#include "base/status.h"

#define ALMOST 1e-4 /* recall 1 is as far as 1 - ALMOST would be */

/* What is a line over log(effort). */
static double reach(double recall) { return -log(1.0 - recall + ALMOST); }
static double unreach(double x) { return 1.0 + ALMOST - exp(-x); }

static double between(double low, double high, double part) {
    return low > 0 && high > low ? low * pow(high / low, part) : low;
}

static uint32_t whole_between(uint32_t low, uint32_t high, double part) {
    uint32_t value = (uint32_t)ceil(between(low, high, part) - 1e-6);
    return value > high ? high : value;
}

/* The part of the way from low to high where value lies. */
static double part_of(uint32_t low, uint32_t value, uint32_t high) {
    return log((double)value / low) / log((double)high / low);
}

/* Oversampling that comes to a whole number of candidates for k; a little less, so that no rounding makes it one more. */
static double whole_oversample(double oversample, uint32_t k) {
    return (ceil(oversample * k - 0.01) - 0.001) / k;
}

/* Whole settings are rounded up: what the rounded one gives is told. */
static struct effort interpolate(const struct effort_curve *curve, uint32_t i, double recall) {
    const struct effort *low = &curve->point[i - 1], *high = &curve->point[i];
    double from = reach((double)low->recall), to = reach((double)high->recall);
    double part = (reach(recall) - from) / (to - from);
    struct effort found = {
        .ef = whole_between(low->ef, high->ef, part),
        .nprobe = whole_between(low->nprobe, high->nprobe, part),
        .oversample = (float)between((double)low->oversample, (double)high->oversample, part)};
    if (high->ef > low->ef) {
        part = fmax(part, part_of(low->ef, found.ef, high->ef));
    } else if (high->nprobe > low->nprobe) {
        part = fmax(part, part_of(low->nprobe, found.nprobe, high->nprobe));
    } else if (high->oversample > low->oversample) {
        double whole = whole_oversample((double)found.oversample, curve->k);
        whole = fmin(whole, (double)high->oversample);
        part = fmax(part, log(whole / (double)low->oversample) /
                              log((double)(high->oversample / low->oversample)));
        found.oversample = (float)whole;
    }
    found.recall = (float)unreach(from + part * (to - from));
    return found;
}

static bool choose_on(const struct effort_curve *curve, double recall, struct effort *out) {
    *out = curve->point[curve->n - 1];
    if (recall > (double)out->recall) return false;
    uint32_t i = 0;
    while ((double)curve->point[i].recall < recall) i++;
    *out = i == 0 ? curve->point[0] : interpolate(curve, i, recall);
    return true;
}

/* The effort for a k between those of two others, part of the way in log k. */
static struct effort blend(const struct effort *low, const struct effort *high, double part) {
    bool rises = high->ef >= low->ef;
    return (struct effort){
        .ef = rises ? whole_between(low->ef, high->ef, part) : low->ef,
        .nprobe = high->nprobe >= low->nprobe ? whole_between(low->nprobe, high->nprobe, part)
                                              : low->nprobe,
        .oversample = high->oversample >= low->oversample
                          ? (float)between((double)low->oversample, (double)high->oversample, part)
                          : low->oversample,
        .recall = fminf(low->recall, high->recall)};
}

bool effort_choose(const struct effort_table *table, uint32_t k, double recall,
                   struct effort *out) {
    uint32_t i = 0, last = table->n_curves - 1;
    while (i < last && table->curve[i].k < k) i++;
    const struct effort_curve *curve = &table->curve[i];
    if (!choose_on(curve, recall, out)) return false;
    if (k > curve->k && out->ef > 0) {
        double ef = (double)out->ef * k / curve->k;
        out->ef = ef < 65536 ? (uint32_t)ceil(ef) : 65536;
    }
    if (i == 0 || k >= curve->k) return true;
    struct effort low, high = *out;
    if (!choose_on(&table->curve[i - 1], recall, &low)) return false;
    double from = table->curve[i - 1].k;
    *out = blend(&low, &high, log(k / from) / log(curve->k / from));
    return true;
}

void effort_append(struct effort_curve *curve, const struct effort *point) {
    const struct effort *last = curve->n ? &curve->point[curve->n - 1] : NULL;
    bool falls = last && (point->recall <= last->recall || point->ef < last->ef ||
                          point->nprobe < last->nprobe || point->oversample < last->oversample);
    if (!falls && curve->n < EFFORT_MAX_POINTS) curve->point[curve->n++] = *point;
}

/* ---- the section ----------------------------------------------------------------------------------- */

struct head {
    uint64_t rows, changed;
    uint32_t n_queries, of_queries, keeps, n_curves;
};

#define CURVE_HEAD (2 * sizeof(uint32_t))

int effort_save(const struct effort_table *table, uint64_t changed, struct file_sections *out,
                kith_error *err) {
    struct head head = {.rows = table->rows,
                        .changed = changed,
                        .n_queries = table->n_queries,
                        .of_queries = table->of_queries,
                        .keeps = table->keeps,
                        .n_curves = table->n_curves};
    TRY(file_sections_begin(out, TAG_EFFORT, err));
    TRY(file_sections_more(out, &head, sizeof head, err));
    for (uint32_t i = 0; i < table->n_curves; i++) {
        const struct effort_curve *curve = &table->curve[i];
        TRY(file_sections_more(out, curve, CURVE_HEAD + curve->n * sizeof(struct effort), err));
    }
    file_sections_end(out);
    return KITH_OK;
}

static bool is_sound(const struct effort *point) {
    return point->recall >= 0 && point->recall <= 1 && point->oversample >= 0 &&
           point->oversample <= 1e6f && point->ef <= 65536;
}

/* One curve of n bytes; returns how many it takes, 0: none of ours. */
static size_t load_curve(struct effort_curve *curve, const uint8_t *bytes, size_t n) {
    struct effort_curve read = {0};
    if (n < CURVE_HEAD) return 0;
    memcpy(&read, bytes, CURVE_HEAD);
    if (read.n == 0 || read.n > EFFORT_MAX_POINTS || read.k == 0 || read.k > KITH_MAX_K) return 0;
    size_t size = CURVE_HEAD + read.n * sizeof(struct effort);
    if (n < size) return 0;
    *curve = (struct effort_curve){.k = read.k};
    for (uint32_t i = 0; i < read.n; i++) {
        struct effort point;
        memcpy(&point, bytes + CURVE_HEAD + i * sizeof point, sizeof point);
        if (!is_sound(&point)) return 0;
        effort_append(curve, &point);
    }
    return curve->n == read.n ? size : 0;
}

int effort_load(struct effort_table *table, uint64_t *changed, const struct index_file *file,
                kith_error *err) {
    const void *section;
    size_t n;
    struct head head;
    TRY(index_file_section(file, TAG_EFFORT, SIZE_MAX, &section, &n, err));
    const uint8_t *bytes = section, *end = bytes + n;
    if (n < sizeof head) return FAIL(err, KITH_ECORRUPT, "section CALB has %zu bytes", n);
    memcpy(&head, bytes, sizeof head);
    bytes += sizeof head;
    *table = (struct effort_table){.rows = head.rows,
                                   .n_queries = head.n_queries,
                                   .of_queries = head.of_queries,
                                   .keeps = head.keeps,
                                   .n_curves = head.n_curves};
    bool sound = head.n_curves > 0 && head.n_curves <= KITH_MAX_CALIBRATED_K &&
                 head.of_queries <= 1 && head.keeps <= 1;
    for (uint32_t i = 0; sound && i < head.n_curves; i++) {
        size_t taken = load_curve(&table->curve[i], bytes, (size_t)(end - bytes));
        sound = taken > 0 && (i == 0 || table->curve[i].k > table->curve[i - 1].k);
        bytes += taken;
    }
    if (!sound || bytes != end)
        return FAIL(err, KITH_ECORRUPT, "section CALB is no table of %u curves", head.n_curves);
    *changed = head.changed;
    return KITH_OK;
}
