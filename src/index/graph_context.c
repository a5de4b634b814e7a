/* A walker's scratch: visited marks, candidate arrays, scorers. One a reader slot or builder's worker.
 *
 * Sizes only grow, so that after a thread's first calls nothing is allocated. Visited marks are one byte a row that
 * holds the number of the walk that saw the row last; after 255 walks the array is cleared once. */
#include "index/graph.h"

/* Other threads ask for figures while this one's context grows. */
static void count_bytes(struct graph *graph, size_t more, size_t less) {
    atomic_fetch_add_explicit(&graph->context_bytes, more, memory_order_relaxed);
    atomic_fetch_sub_explicit(&graph->context_bytes, less, memory_order_relaxed);
}

struct graph_context *context_of(struct graph *graph, uint32_t slot) {
    if (graph->context[slot]) return graph->context[slot];
    struct graph_context *made = mem_new(&graph->index.mem, sizeof(*made));
    if (made) count_bytes(graph, sizeof(*made), 0);
    return graph->context[slot] = made;
}

static bool grow(struct graph *graph, void *array, size_t element, uint32_t *cap, uint32_t want) {
    void **slot = array;
    if (want <= *cap) return true;
    uint32_t room = want + want / 2;
    void *grown = mem_resize(&graph->index.mem, *slot, *cap * element, room * element);
    if (!grown) return false;
    count_bytes(graph, room * element, *cap * element);
    *slot = grown;
    *cap = room;
    return true;
}

static bool scorers_ready(struct graph_context *context, struct graph *graph,
                          const struct store *store) {
    struct mem_account *owner = &graph->index.mem;
    size_t one = bits_round_up(scorer_bytes(&store->walk), 64);
    size_t exact = bits_round_up(scorer_bytes(store_exact_code(store)), 64);
    size_t need = one + (exact > one ? exact : one);
    if (need > context->scratch_bytes) {
        uint8_t *scratch = mem_new(owner, need);
        if (!scratch) return false;
        mem_free(owner, context->scratch, context->scratch_bytes);
        count_bytes(graph, need, context->scratch_bytes);
        context->scratch = scratch;
        context->scratch_bytes = need;
    }
    scorer_init(&context->query, &store->walk, context->scratch);
    scorer_init(&context->other, &store->walk, context->scratch + one);
    return true;
}

bool context_ready(struct graph_context *context, struct graph *graph, const struct store *store,
                   uint32_t rows_n, uint32_t ef) {
    if (rows_n > context->n_visited) {
        uint32_t cap = context->n_visited;
        if (!grow(graph, &context->visited, 1, &cap, rows_n)) return false;
        context->n_visited = cap;
    }
    /* One spare place each: pools are filled before the last is dropped. */
    return grow(graph, &context->pool, sizeof(graph_key), &context->pool_cap, ef + 1) &&
           grow(graph, &context->prune, sizeof(graph_key), &context->prune_cap, ef + 1) &&
           scorers_ready(context, graph, store);
}

bool context_ready_filtered(struct graph_context *context, struct graph *graph, uint32_t rows_n,
                            uint32_t ef) {
    return grow(graph, &context->pool, sizeof(graph_key), &context->pool_cap, rows_n + 1) &&
           grow(graph, &context->found, sizeof(graph_key), &context->found_cap, ef + 1);
}

void context_deinit(struct graph_context *context, struct graph *graph) {
    struct mem_account *owner = &graph->index.mem;
    mem_free(owner, context->visited, context->n_visited);
    mem_free(owner, context->pool, context->pool_cap * sizeof(graph_key));
    mem_free(owner, context->found, context->found_cap * sizeof(graph_key));
    mem_free(owner, context->prune, context->prune_cap * sizeof(graph_key));
    mem_free(owner, context->scratch, context->scratch_bytes);
    *context = (struct graph_context){0};
}

uint8_t context_mark(struct graph_context *context) {
    if (context->mark == UINT8_MAX) {
        __builtin_memset(context->visited, 0, context->n_visited);
        context->mark = 0;
    }
    return ++context->mark;
}
