/*
 * sender - the last hand-over number of each sender in one partition.
 *
 * Numbers are kept in 31 bits, as the batches hold them, and compared by
 * serial arithmetic: a number is new when it is less than 2^30 ahead. Of
 * more than LOG_SENDERS_MAX senders the one that was silent longest goes.
 */
#ifndef ROUTER_LOG_SENDER_H
#define ROUTER_LOG_SENDER_H

#include "router/log/log.h"

#define SENDER_INCARNATION (((uint64_t)1 << 62) - 1)
#define SENDER_NUMBER 0x7fffffffu

struct senders {
	struct log_sender *v;	/* most recent first */
	size_t n, cap;
};

void senders_fini(struct senders *s);
/* NULL when it is not known. */
struct log_sender *senders_find(struct senders *s, uint64_t incarnation);
void senders_remove(struct senders *s, uint64_t incarnation);
/* Moves the sender to the front, adds it where it is new. */
struct log_sender *senders_get(struct senders *s, uint64_t incarnation,
    bool *is_new);
/* Remembers the number if it is ahead. */
void senders_add(struct senders *s, uint64_t incarnation, uint32_t number);

static inline bool
sender_number_is_new(const struct log_sender *sender, uint64_t number)
{
	uint32_t ahead = ((uint32_t)number - sender->number) & SENDER_NUMBER;

	return ahead != 0 && ahead < 1u << 30;
}

#endif
