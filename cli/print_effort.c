/* The effort of a search that was asked for a recall, for people and as JSON. */
#include "print.h"

#include <string.h>

void effort_row(table *t, const kith_search_params *params, double expected, double recall) {
    char texts[6][32];
    snprintf(texts[0], 32, "%u", params->k);
    snprintf(texts[1], 32, "%g", recall);
    snprintf(texts[2], 32, "%.4f", expected);
    snprintf(texts[3], 32, params->ef ? "%u" : "-", params->ef);
    snprintf(texts[4], 32, params->nprobe ? "%u" : "-", params->nprobe);
    strcpy(texts[5], "-");
    if (params->oversample > 0) snprintf(texts[5], 32, "%.2f", (double)params->oversample);
    const char *cells[] = {texts[0],
                           texts[1],
                           texts[2],
                           texts[3],
                           texts[4],
                           texts[5],
                           params->exact ? "all rows" : "-"};
    table_row(t, cells);
}

struct json_object *json_effort(const kith_search_params *params, double expected, double recall) {
    struct json_object *o = json_object_new_object();
    json_add(o, "k", json_object_new_uint64(params->k));
    json_add(o, "recall", json_number(recall, 6));
    json_add(o, "expected", json_number(expected, 6));
    if (params->ef) json_add(o, "ef", json_object_new_uint64(params->ef));
    if (params->nprobe) json_add(o, "nprobe", json_object_new_uint64(params->nprobe));
    if (params->oversample > 0)
        json_add(o, "oversample", json_number((double)params->oversample, 6));
    json_add(o, "exact", json_object_new_boolean(params->exact));
    return o;
}
