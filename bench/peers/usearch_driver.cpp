/* usearch: its header from the PyPI source package, its kernels from the NumKong package.
 *
 * Spec: M=16,efc=200,type=f32|bf16|i8|u8. Run parameter: ef. NumKong's kernels are reached through
 * the shared object inside its wheel, which needs a Python process around it; usearch_driver.py gives
 * it one and then calls peer_main. No Python runs while the clock does.
 *
 * usearch's own cast of floats to bytes divides by the length of the vector and so wastes most of the
 * range, and is wrong under L2. We cast as a careful user would: u8 takes byte data as it is (lossless
 * on images); i8, for cosine, scales every vector so that its largest component is 127.
 */
#include "driver.h"

#include <usearch/index_dense.hpp>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace unum::usearch;

namespace {

struct Index {
    index_dense_t dense;
    size_t dim = 0;
    scalar_kind_t kind = scalar_kind_t::f32_k;
};

scalar_kind_t kind_of(const peer_job *job) {
    char buf[64];
    std::string type = spec_text(job->spec, "type", "f32", buf);
    if (type == "bf16") return scalar_kind_t::bf16_k;
    if (type == "i8") return scalar_kind_t::i8_k;
    if (type == "u8") return scalar_kind_t::u8_k;
    return scalar_kind_t::f32_k;
}

metric_punned_t metric_of(const peer_job *job) {
    metric_kind_t kind = metric_kind_t::cos_k;
    if (std::strcmp(job->metric, "l2") == 0) kind = metric_kind_t::l2sq_k;
    if (std::strcmp(job->metric, "ip") == 0) kind = metric_kind_t::ip_k;
    return metric_punned_t(job->base.dim, kind, kind_of(job));
}

void cast_u8(const float *from, size_t dim, std::vector<u8_t> &to) {
    to.resize(dim);
    for (size_t j = 0; j < dim; j++) to[j] = static_cast<u8_t>(from[j]);
}

void cast_i8(const float *from, size_t dim, std::vector<i8_t> &to) {
    float top = 0;
    to.resize(dim);
    for (size_t j = 0; j < dim; j++) top = std::fmax(top, std::fabs(from[j]));
    float scale = top > 0 ? 127.0f / top : 0.0f;
    for (size_t j = 0; j < dim; j++) to[j] = static_cast<i8_t>(std::nearbyint(from[j] * scale));
}

/* Call `act` with the vector in the type that the index keeps. */
template <typename Act> auto with_cast(const Index &index, const float *vector, Act act) {
    thread_local std::vector<u8_t> bytes;
    thread_local std::vector<i8_t> ints;
    if (index.kind == scalar_kind_t::u8_k) {
        cast_u8(vector, index.dim, bytes);
        return act(static_cast<const u8_t *>(bytes.data()));
    }
    if (index.kind == scalar_kind_t::i8_k) {
        cast_i8(vector, index.dim, ints);
        return act(static_cast<const i8_t *>(ints.data()));
    }
    return act(vector);
}

std::unique_ptr<Index> make(const peer_job *job) {
    index_dense_config_t config(static_cast<size_t>(spec_long(job->spec, "M", 16)),
                                static_cast<size_t>(spec_long(job->spec, "efc", 200)), 64);
    config.enable_key_lookups = false;
    auto index = std::make_unique<Index>();
    index->dense = index_dense_t::make(metric_of(job), config);
    index->dim = job->base.dim;
    index->kind = kind_of(job);
    return index;
}

void *build(const peer_job *job, const float *rows) {
    auto index = make(job);
    size_t n = job->base.n_rows, threads = static_cast<size_t>(job->n_threads);
    index->dense.reserve(index_limits_t(n, threads));
    std::atomic<size_t> next{0};
    std::atomic<int> failures{0};
    auto work = [&](size_t thread) {
        for (size_t row = next++; row < n; row = next++)
            with_cast(*index, rows + row * index->dim, [&](auto *vector) {
                auto result = index->dense.add(row, vector, thread);
                if (!result) {
                    failures++;
                    std::fprintf(stderr, "usearch: row %zu: %s\n", row, result.error.release());
                }
            });
    };
    std::vector<std::thread> others;
    for (size_t i = 1; i < threads; i++) others.emplace_back(work, i);
    work(0);
    for (auto &thread : others) thread.join();
    std::fprintf(stderr, "usearch: kernels %s\n", index->dense.metric().isa_name());
    return failures ? nullptr : index.release();
}

void *load(const peer_job *job, const char *path) {
    auto index = make(job);
    auto result = index->dense.load(path);
    if (!result) std::fprintf(stderr, "usearch: %s: %s\n", path, result.error.release());
    index->dense.reserve(index_limits_t(job->base.n_rows, 1));
    return index.release();
}

int save(void *index, const char *path) {
    auto result = static_cast<Index *>(index)->dense.save(path);
    if (!result) std::fprintf(stderr, "usearch: %s: %s\n", path, result.error.release());
    return 0;
}

int set(void *index, const char *key, double value) {
    if (std::strcmp(key, "ef") != 0) return -1;
    static_cast<Index *>(index)->dense.change_expansion_search(static_cast<size_t>(value));
    return 0;
}

void search(void *opaque, const float *query, int k, int64_t *ids) {
    auto *index = static_cast<Index *>(opaque);
    with_cast(*index, query, [&](auto *vector) {
        auto found = index->dense.search(vector, static_cast<size_t>(k), 0);
        std::vector<index_dense_t::vector_key_t> &keys = [&]() -> auto & {
            thread_local std::vector<index_dense_t::vector_key_t> buffer;
            buffer.resize(static_cast<size_t>(k));
            return buffer;
        }
        ();
        size_t n = found.dump_to(keys.data());
        for (int i = 0; i < k; i++)
            ids[i] = static_cast<size_t>(i) < n ? static_cast<int64_t>(keys[static_cast<size_t>(i)])
                                                : -1;
    });
}

const char *version() { return USEARCH_VERSION; }

} // namespace

extern "C" int peer_main(int argc, char **argv) {
    peer_engine engine = {};
    engine.name = "usearch";
    engine.version = version;
    engine.build = build;
    engine.load = load;
    engine.save = save;
    engine.set = set;
    engine.search = search;
    return driver_main(argc, argv, &engine);
}
