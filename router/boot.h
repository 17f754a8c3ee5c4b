/*
 * boot - start is always recovery: the lock, router.db, the streams and the
 * records that router.db does not know yet, sessions and their queues,
 * retained messages, wills.
 *
 * Parks the process (proc_park) with a sentence for the user where a restart
 * cannot help: a damaged or locked database, a disk that cannot be read.
 * Nothing is overwritten then.
 */
#ifndef ROUTER_BOOT_H
#define ROUTER_BOOT_H

#include "router/interest.h"

#include <json-c/json.h>

/* False: another router holds the data still; try again soon. */
bool boot_lock(void);
/* With the lock held, in the data folder. */
void boot_run(struct interest *interest, struct json_object *config);
/* The last number of a sender whose retained message is in router.db. */
uint64_t boot_retained_number(uint64_t incarnation);
/* Rows of senders that have not come back; after all have registered. */
void boot_forget_senders(void);

#endif
