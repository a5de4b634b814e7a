/* Manifests: see foreign_manifest.h. */
#include "foreign_manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_line(char *line, struct want *want) {
    int used;
    if (sscanf(line, "%127[^\t]\t%63[^\t]\t%15[^\t]\t%ld\t%n", want->file, want->what, want->metric,
               &want->ntotal, &used) != 4)
        return 0;
    char *at = line + used;
    for (int i = 0; i < N_Q * K; i++) want->ids[i / K][i % K] = strtoll(at, &at, 10);
    at = strchr(at, '|');
    for (int i = 0; at && i < N_Q * K; i++)
        want->dists[i / K][i % K] = strtof(i ? at : at + 1, &at);
    return at != NULL;
}

int folder_load(struct folder *folder, const char *path) {
    char name[4096], line[2048];
    snprintf(name, sizeof name, "%s/manifest.tsv", path);
    FILE *file = fopen(name, "r");
    folder->path = path;
    if (!file) return 0;
    if (fgets(line, sizeof line, file))
        while (folder->n_want < 64 && fgets(line, sizeof line, file))
            if (parse_line(line, &folder->want[folder->n_want])) folder->n_want++;
    fclose(file);
    snprintf(name, sizeof name, "%s/queries.f32", path);
    file = fopen(name, "rb");
    if (!file) return 0;
    folder->query_dim = fread(folder->queries, sizeof(float), N_Q * DIM_MAX, file) / N_Q;
    fclose(file);
    return folder->n_want > 0;
}

void folder_paths(char ours[4096], char theirs[4096]) {
    const char *root = getenv("KITH_SOURCE_ROOT"), *data = getenv("KITH_DATA");
    root = root ? root : ".";
    snprintf(ours, 4096, "%s/tests/golden/foreign", root);
    if (data)
        snprintf(theirs, 4096, "%s/faiss-golden", data);
    else
        snprintf(theirs, 4096, "%s/../shared/data/faiss-golden", root);
}
