/*
 * will - what is published for a client whose connection ended badly.
 *
 * The connection owns its will until will_end, which publishes it at once or
 * keeps it for its delay, in router.db too. A reconnect cancels it; the end
 * of the session sends it at once.
 *
 * MQTT 5, 3.1.2.5 and 3.1.3.2.2.
 */
#ifndef ROUTER_WILL_H
#define ROUTER_WILL_H

#include "ipc/messages.h"

struct db;
struct will;

/* NULL when the CONNECT has none. */
struct will *will_new(const struct ipc_connect *m);
void will_free(struct will *w);

/* Takes the will. It waits for its delay, but no longer than for max_s. */
void will_end(struct will *w, uint32_t max_s);
/* The client is back within the delay: no will. */
void will_cancel(struct slice client_id);
/* Its session ended: the will that waits is sent now. */
void will_send(struct slice client_id);
void wills_run(uint64_t now_ms);
/* 0 or -1 with the fault in db. */
int wills_load(struct db *db);

#endif
