/* Arguments that many commands share, and numbers that are checked where they are given. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

uint32_t processor_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

bool is_stream(const char *path) { return strcmp(path, "-") == 0; }

char *help_filter(int key, const char *text, void *input) {
    (void)input;
    return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)(uintptr_t)text;
}

void shared_options_init(shared_options *o) {
    *o = (shared_options){.threads = processor_count(), .metric = KITH_METRIC_L2};
}

uint64_t argument_count(struct argp_state *state, const char *option, const char *text,
                        uint64_t low, uint64_t high) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < low || value > high)
        argp_error(state, "%s: \"%s\" is not a whole number from %llu to %llu", option, text,
                   (unsigned long long)low, (unsigned long long)high);
    return value;
}

uint64_t argument_bytes(struct argp_state *state, const char *option, const char *text) {
    char *end;
    double value = strtod(text, &end);
    const char *units = "KMGT", *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    if (unit && end > text) value = ldexp(value, 10 * (int)(unit - units + 1));
    bool ends = end > text && (*end == '\0' || (unit && end[1] == '\0'));
    if (!ends || !(value >= 1 && value <= 0x1p60))
        argp_error(state, "%s: \"%s\" is not a number of bytes, such as 500M or 2G", option, text);
    return (uint64_t)value;
}

residence residence_get(void) {
    residence r = {0};
    char line[128];
    unsigned long long kib;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmRSS: %llu kB", &kib) == 1) r.now = kib << 10;
        if (sscanf(line, "VmHWM: %llu kB", &kib) == 1) r.most = kib << 10;
    }
    if (file) fclose(file);
    return r;
}

double argument_number(struct argp_state *state, const char *option, const char *text, double low,
                       double high) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high)) {
        if (isfinite(low) && isfinite(high) && fabs(high) < 1e30)
            argp_error(state, "%s: \"%s\" is not a number from %g to %g", option, text, low, high);
        else if (fabs(low) < 1e30)
            argp_error(state, "%s: \"%s\" is not a number from %g on", option, text, low);
        else
            argp_error(state, "%s: \"%s\" is not a number", option, text);
    }
    return value;
}

static format argument_format(struct argp_state *state, const char *option, const char *text) {
    format f = format_parse(text);
    if (f == FORMAT_AUTO)
        argp_error(state, "%s: \"%s\" is no format that kith knows", option, text);
    return f;
}

static int argument_open(struct argp_state *state, const char *text) {
    if (strcmp(text, "read") == 0) return KITH_OPEN_READ;
    if (strcmp(text, "map") == 0) return KITH_OPEN_MAP;
    if (strcmp(text, "codes") != 0)
        argp_error(state, "--open: \"%s\" is not read, map or codes", text);
    return KITH_OPEN_CODES;
}

error_t shared_option(int key, const char *arg, struct argp_state *state, shared_options *o) {
    kith_error err;
    switch (key) {
    case KEY_JSON: o->json = true; return 0;
    case KEY_THREADS:
        o->threads = (uint32_t)argument_count(state, "--threads", arg, 1, 4096);
        return 0;
    case KEY_OPEN: o->open = argument_open(state, arg); return 0;
    case KEY_FROM: o->read.format = argument_format(state, "--from", arg); return 0;
    case 'm':
        if (kith_metric_parse(arg, &o->metric, &err)) argp_error(state, "--metric: %s", err.text);
        o->metric_given = true;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

error_t argument_positional(struct argp_state *state, const char *text, const char **names,
                            unsigned max) {
    if (state->arg_num >= max) {
        argp_error(state, "\"%s\" is one argument too many", text);
        return EINVAL;
    }
    names[state->arg_num] = text;
    return 0;
}
