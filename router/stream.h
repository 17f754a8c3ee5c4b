/*
 * stream - definitions of streams: filters, partitions, retention; those of
 * the configuration, those made by the API, and the router's own.
 *
 * A definition stands in router.db before its folder is made, and leaves it
 * before the folder goes. Its incarnation is random, made at creation. A
 * stream that left the configuration stays: only `stream delete` deletes.
 *
 * Architecture, section 3.
 */
#ifndef ROUTER_STREAM_H
#define ROUTER_STREAM_H

#include "base/buf.h"
#include "router/interest.h"
#include "router/log/log.h"

#include <json-c/json.h>
#include <sys/queue.h>

#define STREAM_QUEUE "$queue"
#define STREAM_CONNECTOR "$connector."
#define STREAM_PARTITIONS_MAX 1024u

enum stream_source { STREAM_CONFIG, STREAM_API, STREAM_INTERNAL };
enum stream_state {
	STREAM_NEW,	/* its row has to be committed first */
	STREAM_CLOSED,	/* known, its folder not looked at yet */
	STREAM_OPEN,
	STREAM_LEAVING,
};

struct reader;
LIST_HEAD(reader_list, reader);

struct stream {
	LIST_ENTRY(stream) entry;
	char *name;
	uint64_t incarnation;
	uint32_t partitions;
	char **topics;
	size_t topics_len;
	struct log_retention retention;
	bool is_consumed;	/* retention by consumption */
	enum stream_source source;
	enum stream_state state;
	bool is_opening;	/* its row is on the way */
	uint64_t created_ms;
	struct log_stream *log;	/* while open */
	struct reader_list readers;
};
LIST_HEAD(stream_list, stream);

void streams_init(struct interest *interest, struct log_store *store);
struct stream_list *streams_all(void);
struct stream *stream_find(struct slice name);
/* $queue. */
struct log_partition *stream_queue(void);

/*
 * A definition from JSON ({topics, partitions, retention: {time_ms, size}}).
 * NULL: *why says what is wrong (a static buffer) and nothing was made.
 */
struct stream *stream_new(struct slice name, struct json_object *def,
    enum stream_source source, const char **why);
/* Its row; then, when that is committed, stream_open. */
void stream_put(const struct stream *st, struct buf *rows);
/* The states of its partitions, as router.db has them; NULL: a new one. */
struct stream_start {
	struct log_state log;
	uint64_t applied;
};
/* 0 or an errno; on_record may be NULL. */
int stream_open(struct stream *st, const struct stream_start *starts,
    const struct log_recovery *recovery);
/* A reload: what may change. False: *why says what may not. */
bool stream_update(struct stream *st, struct json_object *def,
    struct buf *rows, const char **why);
/* Stops capturing and takes the row out; then, committed, stream_remove. */
void stream_leave(struct stream *st, struct buf *rows);
void stream_remove(struct stream *st);

/* Whether the stream captures every topic that the filters match. */
bool stream_covers(
    const struct stream *st, const struct slice *filters, size_t n);

#endif
