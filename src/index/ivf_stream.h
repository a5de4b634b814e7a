/* Lists that lie in a spill while their index file is built. Private to ivf*.c. */
#ifndef KITH_INDEX_IVF_STREAM_H
#define KITH_INDEX_IVF_STREAM_H

#include "index/ivf.h"

struct ivf_spill;

void ivf_spill_free(struct ivf_spill *spill, struct mem_account *owner); /* NULL is allowed */
uint32_t ivf_spill_length(const struct ivf_spill *spill, uint32_t list);
/* The row numbers of all lists, and the codes of one, as sections have them (without the padding after a list). */
int ivf_spill_save_rows(const struct ivf_spill *spill, const struct segs *list_of, uint32_t n,
                        struct file_sections *out, kith_error *err);
int ivf_spill_save_list(const struct ivf_spill *spill, uint32_t list, struct file_sections *out,
                        kith_error *err);

#endif
