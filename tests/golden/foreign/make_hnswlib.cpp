// hnswlib writes a small index, some rows deleted, and prints what it finds: 5 keys of each of 3 queries, then their
// distances. make.py compiles and calls it: make DATA OUT l2|ip ROWS DIM.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "hnswlib/hnswlib.h"

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    const size_t n_q = 3, k = 5, n = strtoul(argv[4], nullptr, 10),
                 dim = strtoul(argv[5], nullptr, 10);
    std::vector<float> data((n + n_q) * dim);
    std::unique_ptr<FILE, int (*)(FILE *)> in(fopen(argv[1], "rb"), fclose);
    if (!in || fread(data.data(), sizeof(float), data.size(), in.get()) != data.size()) return 1;
    std::unique_ptr<hnswlib::SpaceInterface<float>> space;
    if (std::string(argv[3]) == "l2")
        space = std::make_unique<hnswlib::L2Space>(dim);
    else
        space = std::make_unique<hnswlib::InnerProductSpace>(dim);
    hnswlib::HierarchicalNSW<float> index(space.get(), n + 10, 4, 40, 7);
    for (size_t i = 0; i < n; i++) index.addPoint(&data[i * dim], 3 * i + 5);
    for (size_t label : {5, 8, 29}) index.markDelete(label);
    index.saveIndex(argv[2]);
    index.setEf(n);
    std::vector<float> dists;
    for (size_t q = 0; q < n_q; q++)
        for (auto &found : index.searchKnnCloserFirst(&data[(n + q) * dim], k)) {
            printf("%zu ", found.second);
            dists.push_back(found.first);
        }
    for (float dist : dists) printf("%.9g ", dist);
    return 0;
}
