/*
 * sender - the processes that are linked to the router: acceptors, workers,
 * admin-server; their hand-overs and what waits to be told them.
 *
 * A hand-over is numbered by its sender. Numbers up to `number` were
 * processed; those that a log or router.db has to hold are acknowledged by
 * the commit that holds them, all others at once (TAKEN, cumulative). The
 * bytes of the frames are granted again when they are not held any more.
 *
 * Architecture, sections 2 and 5.
 */
#ifndef ROUTER_SENDER_H
#define ROUTER_SENDER_H

#include "ipc/link.h"
#include "router/map.h"

#include <sys/queue.h>

struct log_commit;
struct log_partition;

/* A message that was captured and is not yet durable. */
struct capture {
	uint64_t number;
	uint64_t offset;
	struct log_partition *partition;
	uint8_t qos;
	uint16_t mid;
	uint64_t session;
};

struct capture_list {
	struct capture *v;
	size_t len, cap;
};

struct refusal {
	uint64_t number;
	uint8_t reason;
};

struct sender {
	LIST_ENTRY(sender) entry;
	struct link *link;	/* NULL: gone, about to be freed */
	enum ipc_kind kind;
	char *name;
	uint64_t serial;	/* never used twice; see sender_find */
	unsigned slot;		/* in the interest; acceptors and admin */
	bool has_slot;
	uint64_t incarnation;
	bool is_registered, is_complete, is_welcome;

	uint64_t number;	/* the last that was processed */
	uint64_t log_needed, log_upto, log_cut;
	uint64_t row_needed, row_upto, row_cut;
	uint64_t told;
	uint64_t retained;	/* the last one that changed the store */
	uint64_t retained_put;	/* as its row has it */
	uint64_t settle, settle_needed, settle_upto, settle_cut, settle_told;
	struct capture_list captured, captured_cut;
	struct refusal *refused;
	size_t refused_len, refused_cap;

	uint64_t held, held_cut;	/* bytes to grant after the commit */
	uint64_t owed;			/* bytes to grant now */

	struct ipc_batch wanted;	/* changes to tell */
	bool wants_reset, is_behind;	/* of wanted, of the generation */
	struct ipc_batch deliver;
	struct ipc_batch queue;		/* leaves now */
	struct ipc_batch fresh, fresh_cut;	/* leave with the commit */
	struct ipc_batch release, release_cut, released;
	bool has_starved;	/* sessions wait for the link's credit */
	struct map conns;		/* of conn.h, by number */
};
LIST_HEAD(sender_list, sender);

void senders_init(void);
struct sender_list *senders_all(void);
/* Makes the link; the descriptor is taken. NULL: no slot is left. */
struct sender *sender_open(enum ipc_kind kind, const char *name, int fd,
    const struct link_ops *ops);
/* The link is gone already or is closed now. */
void sender_free(struct sender *s);
struct sender *sender_find(uint64_t serial);
struct sender *sender_by_slot(unsigned slot);
struct sender *sender_by_incarnation(uint64_t incarnation);

/* This message waits for its log, or for its rows. */
void sender_capture(struct sender *s, const struct capture *c);
void sender_need_rows(struct sender *s, uint64_t number);
void sender_refuse(struct sender *s, uint64_t number, uint8_t reason);
/* Refused ones are not told yet: nothing more may be captured. */
bool sender_is_refusing(const struct sender *s);

/*
 * The commit that starts now covers all that was processed; settlements only
 * where it has all rows, lazy ones too.
 */
void senders_cut(bool has_all, struct buf *rows);
/*
 * It is over. The partition of a refused capture does not have it; on_refused
 * undoes it.
 */
void senders_committed(const struct log_commit *commit,
    void (*on_refused)(struct sender *s, const struct capture *c));
/* What was gathered for sessions was refused. */
void senders_drop_fresh(void);

/* Gathered into frames of at most IPC_BATCH_MAX, but for a larger item. */
void sender_add_deliver(struct sender *s, const struct ipc_deliver_item *m);
void sender_add_queue(struct sender *s, const struct ipc_queue_item *m);
/* Leaves with the commit; false: there is no room, read it back then. */
bool sender_add_fresh(struct sender *s, const struct ipc_queue_item *m);
/* Bytes of queue items that the process takes now. */
int64_t sender_credit(const struct sender *s);

/* Frames for what is due; at the end of a turn. */
void senders_flush(void);

#endif
