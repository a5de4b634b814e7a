/* What sq.c and sq_train.c share: learning the grids of a scalar quantizer. Private to this folder. */
#ifndef KITH_QUANT_SQ_TRAIN_H
#define KITH_QUANT_SQ_TRAIN_H

#include "quant/linear.h"

/* quantizer.h's train. */
int sq_train(struct quantizer *quantizer, size_t n, const float *rows,
             const struct quantizer_training *how, kith_error *err);
/* The first dimension's grid to all others. */
void sq_spread(struct linear *linear);
/* After low and step are known: the rest. */
void sq_ready(struct linear *linear);

#endif
