/*
 * redis_sink - the redis type's state, shared by its files: redis.c (the
 * definition and its life), redis_route.c (which server is the one),
 * redis_record.c (commands and their replies), redis_lane.c (connections).
 */
#ifndef CONNECTOR_WORKER_SINKS_REDIS_SINK_H
#define CONNECTOR_WORKER_SINKS_REDIS_SINK_H

#include "connector-worker/sinks/redis_lane.h"

#define REDIS_SERVERS_MAX 64
#define REDIS_ARGS_MAX 256

enum redis_mode { MODE_SINGLE, MODE_SENTINEL, MODE_CLUSTER };

struct redis {
	struct sink *sink;
	struct conn_tls *tls;
	enum redis_mode mode;
	uint32_t timeout_ms;
	struct redis_server servers[REDIS_SERVERS_MAX];
	size_t server_count, server_next;
	const struct template **args;
	size_t arg_count;
	const char *username, *password, *master_name, *server_name;
	int64_t database;
	struct lane *lanes;
	struct lane *main;	/* single, sentinel: where records go */
	struct lane *slots[REDIS_SLOTS]; /* cluster: whose slot it is */
	bool has_slots;
	struct sink_batch **waiting;	/* for the connection */
	size_t waiting_count, waiting_cap;
	struct template_input input;
	struct buf text;
	ev_timer tick;
	char why[640];		/* why there is no connection */
	bool is_probing, is_testing;
	unsigned probes_owed;	/* PINGs under way for the probe or test */
};

/* --- redis_route.c ---------------------------------------------------- */

/* Begins to connect, if nothing does yet. */
void redis_connect(struct redis *r);
/* Somebody is there to send records to. */
bool redis_is_ready(const struct redis *r);
/* The connection to that server, made if there is none. */
struct lane *redis_lane_to(struct redis *r, const struct redis_server *s);
/* The map of slots is not the cluster's any more. */
void redis_forget_slots(struct redis *r);
/* Sends what is in the lanes' buffers. */
void redis_flush(struct redis *r);
void redis_tick(struct redis *r);

/* --- redis_record.c ---------------------------------------------------- */

void redis_take_batch(struct redis *r, struct sink_batch *batch);
/* Sends what waits, once there is somebody to send it to. */
void redis_pump(struct redis *r);
/* All that waits is told that there is no way to the target. */
void redis_fail_waiting(struct redis *r, const char *why);
/* NULL, or why the lane must end. */
const char *redis_record_reply(struct lane *l, struct owed o,
    const redisReply *reply);
void redis_old_id_reply(struct owed o, const redisReply *reply);

/* --- redis.c ------------------------------------------------------------ */

/* The probe or test is over. */
void redis_probe_done(struct redis *r, bool is_up, const char *why);
/* What connects for the probe or test has succeeded. */
void redis_probe_ready(struct redis *r);
void redis_test_reply(struct redis *r, enum owed_kind kind,
    const redisReply *reply);

#endif
