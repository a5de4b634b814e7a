/* Manifests of other engines' files: what each engine found in its own file, for 3 queries and k = 5. */
#ifndef KITH_TESTS_FOREIGN_MANIFEST_H
#define KITH_TESTS_FOREIGN_MANIFEST_H

#include <stddef.h>

enum { N_Q = 3, K = 5, DIM_MAX = 32 };

/* A line: what the engine found. */
struct want {
    char file[128], what[64], metric[16];
    long ntotal;
    long long ids[N_Q][K];
    float dists[N_Q][K];
};

struct folder {
    const char *path;
    struct want want[64];
    int n_want;
    float queries[N_Q * DIM_MAX];
    size_t query_dim;
};

/* 1 when the folder's manifest and queries are there; path is borrowed. */
int folder_load(struct folder *folder, const char *path);
/* Where ours lie ($KITH_SOURCE_ROOT), and FAISS's more ($KITH_DATA, or beside the source). */
void folder_paths(char ours[4096], char theirs[4096]);

#endif
