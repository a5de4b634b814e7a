/* Times: a reader of fixed fields. The day count is from Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
#include "filter/datetime.h"

struct reader {
    const char *text;
    size_t n, at;
};

static bool take(struct reader *r, const char *any_of) {
    if (r->at == r->n) return false;
    for (; *any_of; any_of++) {
        if (r->text[r->at] == *any_of) {
            r->at++;
            return true;
        }
    }
    return false;
}

static bool take_digits(struct reader *r, int n, int64_t *value) {
    *value = 0;
    for (; n > 0; n--, r->at++) {
        if (r->at == r->n || r->text[r->at] < '0' || r->text[r->at] > '9') return false;
        *value = *value * 10 + (r->text[r->at] - '0');
    }
    return true;
}

static bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

static int64_t days_of_month(int64_t year, int64_t month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 1970-01-01: years begin in March, so that the leap day is a year's last. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

/* Microseconds: up to six digits count, the others are passed. */
static bool read_fraction(struct reader *r, int64_t *us) {
    int64_t unit = 100000, digit;
    size_t start = r->at;
    *us = 0;
    while (take_digits(r, 1, &digit)) {
        *us += digit * unit;
        unit /= 10;
    }
    return r->at > start;
}

/* Seconds east of UTC. */
static bool read_zone(struct reader *r, int64_t *seconds) {
    int64_t hour, minute = 0, sign;
    *seconds = 0;
    if (r->at == r->n || take(r, "Zz")) return true;
    sign = take(r, "-") ? -1 : 1;
    if (sign > 0 && !take(r, "+")) return false;
    if (!take_digits(r, 2, &hour)) return false;
    if (r->at < r->n) {
        take(r, ":");
        if (!take_digits(r, 2, &minute)) return false;
    }
    *seconds = sign * (hour * 3600 + minute * 60);
    return hour < 24 && minute < 60;
}

static bool read_clock(struct reader *r, int64_t *us) {
    int64_t hour, minute, second = 0, fraction = 0, zone;
    if (!take_digits(r, 2, &hour) || !take(r, ":") || !take_digits(r, 2, &minute)) return false;
    if (take(r, ":")) {
        if (!take_digits(r, 2, &second)) return false;
        if (take(r, ".") && !read_fraction(r, &fraction)) return false;
    }
    if (!read_zone(r, &zone) || hour > 23 || minute > 59 || second > 60) return false;
    *us = (hour * 3600 + minute * 60 + second - zone) * 1000000 + fraction;
    return true;
}

bool datetime_parse(const char *text, size_t n, int64_t *us) {
    struct reader r = {.text = text, .n = n};
    int64_t year, month, day, clock = 0;
    if (!take_digits(&r, 4, &year) || !take(&r, "-") || !take_digits(&r, 2, &month) ||
        !take(&r, "-") || !take_digits(&r, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_of_month(year, month)) return false;
    if (r.at < n && (!take(&r, "Tt ") || !read_clock(&r, &clock))) return false;
    if (r.at < n) return false;
    *us = days_since_1970(year, month, day) * 86400000000 + clock;
    return true;
}
