/*
 * subscribe - live messages for who asked by GET /api/v1/subscribe.
 *
 * One JSON object a line. A subscriber that does not read loses messages
 * beyond SUBSCRIBE_BACKLOG bytes; {"dropped": N} says how many, where they
 * are missing.
 */
#ifndef ADMIN_SERVER_SUBSCRIBE_H
#define ADMIN_SERVER_SUBSCRIBE_H

#include "ipc/messages.h"

#define SUBSCRIBE_BACKLOG (4u << 20)

/* A new link to the router: all filters are told again. */
void subscribe_on_router(void);
void subscribe_on_ok(uint64_t seq);
void subscribe_on_message(const struct ipc_deliver_item *item);
void subscribe_on_retained(uint64_t id, const struct ipc_deliver_item *item);

#endif
