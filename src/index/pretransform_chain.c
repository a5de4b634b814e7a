/* From the words of a description to the steps of a chain, as the metric wants them; pretransform.h says which. */
#include <inttypes.h>
#include <stdio.h>

#include "index/pretransform.h"

/* Steps in the making. */
struct planning {
    struct pre *pre;
    kith_metric metric;
    uint64_t seed;
};

static bool keeps_a_part(const struct transform_spec *step) {
    bool projects = step->kind == TRANSFORM_PCA || step->kind == TRANSFORM_OPQ ||
                    step->kind == TRANSFORM_ROTATION;
    return projects && step->d_out < step->d_in;
}

/* Dimensions of a word's step: its number, or what its kind makes of d_in. */
static uint32_t d_out_of(const struct transform_spec *word, uint32_t d_in) {
    if (word->kind == TRANSFORM_HADAMARD) return transform_hadamard_dim(d_in);
    if (word->kind == TRANSFORM_PAD && word->d_out < d_in) return d_in;
    return word->d_out ? word->d_out : d_in;
}

static int refuse(const struct index_spec *spec, uint32_t word, kith_error *err, const char *why) {
    return FAIL_AT(err, KITH_ESPEC, spec->transform_at[word], "the %s at offset %zu %s",
                   transform_name(spec->transform[word].kind), spec->transform_at[word], why);
}

static int refuse_metric(const struct index_spec *spec, uint32_t word, kith_metric metric,
                         kith_error *err) {
    enum transform_kind kind = spec->transform[word].kind;
    bool products = metric == KITH_METRIC_IP || metric == KITH_METRIC_COSINE;
    if (metric == KITH_METRIC_L1 && kind != TRANSFORM_NORMALISE && kind != TRANSFORM_PAD)
        return refuse(spec, word, err, "does not keep Manhattan distances");
    if (products && kind == TRANSFORM_CENTRE)
        return refuse(spec, word, err, "changes the order of inner products");
    return KITH_OK;
}

static void add_step(struct planning *planning, const struct transform_spec *word, uint32_t d_in) {
    struct pre *pre = planning->pre;
    bool products = planning->metric == KITH_METRIC_IP || planning->metric == KITH_METRIC_COSINE;
    struct transform_spec step = *word;
    step.d_in = d_in;
    step.d_out = d_out_of(word, d_in);
    step.through_0 = products && (step.kind == TRANSFORM_PCA || step.kind == TRANSFORM_OPQ);
    bool random = step.kind == TRANSFORM_ROTATION || step.kind == TRANSFORM_HADAMARD ||
                  step.kind == TRANSFORM_OPQ || step.rotate;
    step.seed = random ? planning->seed + pre->n_steps : 0;
    pre->step[pre->n_steps++] = step;
}

/* Whether vectors are scaled to length 1 before anything else. */
static bool wants_units(const struct index_spec *spec, uint32_t dim, kith_metric metric) {
    bool part = false, whitens = false;
    for (uint32_t i = 0; i < spec->n_transforms; i++) {
        struct transform_spec step = spec->transform[i];
        step.d_in = dim;
        step.d_out = dim = d_out_of(&spec->transform[i], dim);
        part |= keeps_a_part(&step);
        whitens |= step.whiten;
    }
    return metric == KITH_METRIC_COSINE && part && !whitens;
}

int pre_plan(struct pre *pre, const struct index_spec *spec, const kith_index_options *options,
             kith_error *err) {
    struct planning planning = {pre, spec->rows.metric, options->seed};
    static const struct transform_spec normalise = {.kind = TRANSFORM_NORMALISE};
    uint32_t dim = spec->rows.dim;
    bool units = wants_units(spec, dim, planning.metric);
    pre->inner = *spec;
    pre->inner.n_transforms = 0;
    pre->inner.keeps = false;
    if (units) pre->inner.rows.metric = KITH_METRIC_IP;
    if (units && spec->transform[0].kind != TRANSFORM_NORMALISE)
        add_step(&planning, &normalise, dim);
    for (uint32_t i = 0; i < spec->n_transforms; i++) {
        TRY(refuse_metric(spec, i, planning.metric, err));
        if (pre->n_steps == TRANSFORM_CHAIN_MAX)
            return refuse(spec, i, err, "is one too many: eight in all");
        add_step(&planning, &spec->transform[i], dim);
        const struct transform_spec *step = &pre->step[pre->n_steps - 1];
        int code = transform_check(step, err);
        if (code != KITH_OK && err) {
            err->code = KITH_ESPEC;
            err->at = (int64_t)spec->transform_at[i];
        }
        if (code != KITH_OK) return KITH_ESPEC;
        dim = step->d_out;
    }
    pre->inner.rows.dim = dim;
    return KITH_OK;
}

void pre_print_chain(const struct transform_chain *chain, char *text, size_t size) {
    struct index_spec spec = {.n_transforms = chain->n};
    for (uint32_t i = 0; i < chain->n; i++) spec.transform[i] = chain->at[i].spec;
    factory_print_transforms(&spec, text, size);
}
