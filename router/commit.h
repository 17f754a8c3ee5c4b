/*
 * commit - the group commit as the router sees it: rows that changed, what
 * has to be told when they are durable, and when the next one starts.
 *
 * One at a time: the log's commit thread appends and syncs, then runs the
 * rows in one transaction. Rows of a commit that failed, or that was refused
 * in part, are written again before later ones by the next commit; nothing
 * that waits for them is told before.
 *
 * Architecture, sections 3 and 5.
 */
#ifndef ROUTER_COMMIT_H
#define ROUTER_COMMIT_H

#include "ipc/messages.h"
#include "router/log/log.h"

#include <json-c/json.h>
#include <sys/queue.h>

struct rows;

/* Runs once, on the loop, after the rows that stood before it. */
struct after {
	STAILQ_ENTRY(after) next;
	void (*run)(struct after *a);
	uint64_t sender;		/* its serial */
	uint64_t conn, epoch, seq;
	uint64_t request;
	uint8_t flag;
	void *subject;
	struct ipc_batch results;	/* freed with it */
	struct json_object *body;	/* put with it, if still there */
};
STAILQ_HEAD(after_list, after);

void commit_init(struct log_store *store, struct rows *rows);
struct log_store *commit_store(void);

/* Where changed rows are gathered; they go with the next commit. */
struct buf *commit_rows(void);
/* Takes it over: run is called after the next commit. From mem_zalloc. */
void commit_after(struct after *a);

/* The next commit has lazy rows too. */
void commit_want_all(void);

/* Starts the next commit if there is something to do and none is busy. */
void commit_step(void);
/* Of log_events. */
void commit_on_done(void *owner, void *job, const struct log_commit *commit);
/* The last commit: waits for the one in flight. 0 or an errno. */
int commit_close(void);

#endif
