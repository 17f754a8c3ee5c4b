/*
 * ids - numbers for sessions and epochs that are never used twice, over all
 * starts: router.db reserves them in steps.
 */
#ifndef ROUTER_IDS_H
#define ROUTER_IDS_H

#include "base/buf.h"

#define IDS_META "ids_end"

/* end: what router.db holds, 0 in a new one. Gathers the next step's row. */
void ids_init(uint64_t end, struct buf *rows);
uint64_t ids_take(void);

#endif
