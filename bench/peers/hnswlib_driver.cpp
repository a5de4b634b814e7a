/* hnswlib: header only, compiled for this machine, so that its AVX-512 kernels are in.
 *
 * Spec: M=16,efc=200. Run parameter: ef. Cosine is inner product over unit vectors, which is what
 * hnswlib's own Python package does.
 */
#include "driver.h"

#include <hnswlib/hnswlib.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

namespace {

struct Index {
    std::unique_ptr<hnswlib::SpaceInterface<float>> space;
    std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph;
};

std::unique_ptr<hnswlib::SpaceInterface<float>> make_space(const peer_job *job) {
    if (std::strcmp(job->metric, "l2") == 0)
        return std::make_unique<hnswlib::L2Space>(job->base.dim);
    return std::make_unique<hnswlib::InnerProductSpace>(job->base.dim);
}

void *build(const peer_job *job, const float *rows) {
    auto index = std::make_unique<Index>();
    size_t n = job->base.n_rows, dim = job->base.dim;
    index->space = make_space(job);
    index->graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(
        index->space.get(), n, static_cast<size_t>(spec_long(job->spec, "M", 16)),
        static_cast<size_t>(spec_long(job->spec, "efc", 200)), 100 + job->seed - 1);
    index->graph->addPoint(rows, 0);
    std::atomic<size_t> next{1};
    auto work = [&] {
        for (size_t row = next++; row < n; row = next++)
            index->graph->addPoint(rows + row * dim, row);
    };
    std::vector<std::thread> others;
    for (int i = 1; i < job->n_threads; i++) others.emplace_back(work);
    work();
    for (auto &thread : others) thread.join();
    return index.release();
}

void *load(const peer_job *job, const char *path) {
    auto index = std::make_unique<Index>();
    index->space = make_space(job);
    index->graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(index->space.get(), path);
    return index.release();
}

int save(void *index, const char *path) {
    static_cast<Index *>(index)->graph->saveIndex(path);
    return 0;
}

int set(void *index, const char *key, double value) {
    if (std::strcmp(key, "ef") != 0) return -1;
    static_cast<Index *>(index)->graph->setEf(static_cast<size_t>(value));
    return 0;
}

void search(void *index, const float *query, int k, int64_t *ids) {
    auto found = static_cast<Index *>(index)->graph->searchKnn(query, static_cast<size_t>(k));
    for (int i = k - 1; i >= 0; i--) ids[i] = -1;
    for (size_t i = found.size(); i-- > 0; found.pop())
        ids[i] = static_cast<int64_t>(found.top().second);
}

const char *version() { return HNSWLIB_VERSION; }

} // namespace

int main(int argc, char **argv) {
    peer_engine engine = {};
    engine.name = "hnswlib";
    engine.version = version;
    engine.normalise = 1;
    engine.build = build;
    engine.load = load;
    engine.save = save;
    engine.set = set;
    engine.search = search;
    return driver_main(argc, argv, &engine);
}
