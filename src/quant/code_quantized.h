/* A quantizer as the code of whole vectors: what code.c and scorer.c hand on where code->quantizer is set. Private to this
 * folder. */
#ifndef KITH_QUANT_CODE_QUANTIZED_H
#define KITH_QUANT_CODE_QUANTIZED_H

#include "quant/code.h"
#include "quant/quantizer.h"

float code_encode_quantized(const struct code *code, const float *row, uint8_t *out);
void scorer_set_query_quantized(struct scorer *scorer, const float *query);
void scorer_set_row_quantized(struct scorer *scorer, const uint8_t *row);
void scorer_list_quantized(const struct scorer *scorer, const uint8_t *const *rows, size_t n,
                           float *dist);
void scorer_rows_quantized(const struct scorer *scorer, const uint8_t *rows, size_t n, float *dist);
float scorer_exact_quantized(const struct scorer *scorer, const uint8_t *row);

#endif
