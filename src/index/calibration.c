/* The calibration that an index holds: replaced as a whole, read inside the rows' epoch, and outdated by changes.
 *
 * Rows that were added, removed or replaced since it was measured are counted. A search takes the table as it is while
 * they are at most a tenth, aims at half the misses until they are as many as there were rows, and is refused from then
 * on (decision 0029). */
#include "base/status.h"
#include "index/calibrate.h"

#define FRESH_PART 10u /* of the rows, so many may have changed */

static double target_of(uint64_t rows, uint64_t changed, double recall) {
    return changed <= rows / FRESH_PART ? recall : 1.0 - (1.0 - recall) / 2.0;
}

static int choose(const struct kith_index *index, uint32_t k, double recall, struct effort *out,
                  bool *exact, kith_error *err) {
    const struct effort_table *table = atomic_load_explicit(&index->efforts, memory_order_acquire);
    uint64_t changed = atomic_load_explicit(&index->changed, memory_order_relaxed);
    if (index->ops->scans && index->ops->scans(index)) {
        *out = (struct effort){.recall = 1};
        return KITH_OK;
    }
    if (!table)
        return FAIL(err, KITH_ERECALL, "recall %g was asked of an index that is not calibrated",
                    recall);
    if (changed > table->rows)
        return FAIL(err, KITH_ERECALL,
                    "the index was calibrated at %llu rows, and %llu have changed since: calibrate "
                    "it again",
                    (unsigned long long)table->rows, (unsigned long long)changed);
    if (effort_choose(table, k, target_of(table->rows, changed, recall), out)) return KITH_OK;
    if (table->keeps) {
        *exact = true;
        out->recall = 1;
    } else if (recall > (double)out->recall) {
        return FAIL(err, KITH_ERECALL,
                    "recall %g at k %u is more than the codes of this index give: %.4f at most",
                    recall, k, (double)out->recall);
    }
    return KITH_OK;
}

int index_effort(const struct kith_index *index, uint32_t k, double recall, struct effort *out,
                 bool *exact, kith_error *err) {
    struct epoch *epoch = (struct epoch *)(uintptr_t)&index->rows.epoch;
    uint32_t slot = epoch_enter(epoch);
    *exact = false;
    int code = choose(index, k, recall, out, exact, err);
    epoch_leave(epoch, slot);
    return code;
}

int index_calibration_set(struct kith_index *index, const struct effort_table *table,
                          uint64_t changed, kith_error *err) {
    struct effort_table *made = NULL;
    if (table) {
        made = mem_new(&index->mem, sizeof *made);
        if (!made) return FAIL(err, KITH_ENOMEM, "no memory for a calibration");
        *made = *table;
    }
    atomic_store_explicit(&index->changed, changed, memory_order_relaxed);
    struct effort_table *old =
        atomic_exchange_explicit(&index->efforts, made, memory_order_acq_rel);
    if (old) {
        epoch_wait(&index->rows.epoch);
        mem_free(&index->mem, old, sizeof *old);
    }
    return KITH_OK;
}

int index_calibration_save(const struct kith_index *index, struct file_sections *out,
                           kith_error *err) {
    const struct effort_table *table = atomic_load_explicit(&index->efforts, memory_order_acquire);
    uint64_t changed = atomic_load_explicit(&index->changed, memory_order_relaxed);
    return table ? effort_save(table, changed, out, err) : KITH_OK;
}

int index_calibration_load(struct kith_index *index, const struct index_file *file,
                           kith_error *err) {
    struct effort_table table;
    uint64_t changed;
    if (!index_file_has(file, TAG_EFFORT)) return KITH_OK;
    TRY(effort_load(&table, &changed, file, err));
    return index_calibration_set(index, &table, changed, err);
}
