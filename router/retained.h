/*
 * retained - the last message of each topic that was published with the
 * retain flag; rows in router.db, all in memory.
 *
 * A replay keeps the messages it found, whatever happens to them meanwhile,
 * and sends them as the link's credit allows.
 *
 * MQTT 5, 3.3.1.3.
 */
#ifndef ROUTER_RETAINED_H
#define ROUTER_RETAINED_H

#include "ipc/messages.h"

struct db;
struct sender;
struct sub;

struct retained {
	uint32_t refs;
	uint8_t flags;
	uint64_t timestamp_ms, expires_ms;
	struct slice topic, payload, props, client_id;
	uint8_t bytes[];
};

struct retained_limits {
	uint64_t messages;
	uint64_t bytes;
};

void retained_init(void);
void retained_set_limits(const struct retained_limits *limits);
size_t retained_count(void);
uint64_t retained_bytes(void);

/* An empty payload removes. False: over the limits. Its row is gathered. */
bool retained_set(const struct ipc_publish_item *m);
bool retained_delete(struct slice topic);
/* For a new subscription of a session, into its queue. */
void retained_queue(const struct sub *sub);
/* RETAINED frames to the process, the last with done. */
void retained_replay(
    struct sender *s, uint64_t conn, uint64_t seq, struct slice filter);
/* Goes on with replays; at the end of a turn. */
void retained_flush(void);
/* Removes what is expired; a part at a time. */
void retained_expire(uint64_t now_ms);
/* Those that match, in no order; until cb returns false. */
void retained_walk(struct slice filter,
    bool (*cb)(const struct retained *r, void *arg), void *arg);
int retained_load(struct db *db);

#endif
