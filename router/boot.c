#include "router/boot.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/log_reader.h"
#include "base/mem.h"
#include "ipc/proc.h"
#include "router/commit.h"
#include "router/config.h"
#include "router/conn.h"
#include "router/delivery.h"
#include "router/ids.h"
#include "router/map.h"
#include "router/reader.h"
#include "router/recipients.h"
#include "router/retained.h"
#include "router/route.h"
#include "router/rows.h"
#include "router/sender.h"
#include "router/session.h"
#include "router/stream.h"
#include "router/will.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_FILE "router.lock"
#define STREAMS_DIR "streams"

struct known_sender {
	uint64_t incarnation, number;
};

static struct {
	struct rows *rows;
	struct db *db;
	struct buf pending;		/* rows of new streams and ids */
	struct stream_start *starts;	/* of the stream being opened */
	uint64_t queue_from;		/* first position that is needed */
	uint64_t ids_end;
	struct map senders;
} boot = {.queue_from = QUEUE_NO_OFFSET};

bool
boot_lock(void)
{
	static int fd = -1;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fd == -1)
		fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		proc_park("%s: %s; check the owner of the data folder",
		    LOCK_FILE, strerror(errno));
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return true;
	if (errno != EAGAIN && errno != EACCES)
		proc_park("%s: %s", LOCK_FILE, strerror(errno));
	return false;
}

static _Noreturn void
park_db(void)
{
	proc_park("%s", db_error(boot.db));
}

/* ---- meta, senders ------------------------------------------------------ */

static bool
is_incarnation(const void *value, const void *key)
{
	return ((const struct known_sender *)value)->incarnation ==
	    *(const uint64_t *)key;
}

static struct known_sender *
known_sender(uint64_t incarnation)
{
	return map_find(&boot.senders, map_hash_u64(incarnation),
	    is_incarnation, &incarnation);
}

uint64_t
boot_retained_number(uint64_t incarnation)
{
	const struct known_sender *k = known_sender(incarnation);

	return k == NULL ? 0 : k->number;
}

void
boot_forget_senders(void)
{
	struct known_sender *k;

	for (size_t i = 0; (k = map_next(&boot.senders, &i)) != NULL;) {
		if (sender_by_incarnation(k->incarnation) == NULL)
			ROW_ADD(commit_rows(), ROW_SENDER_DELETE,
			    RU(k->incarnation));
		free(k);
	}
	map_fini(&boot.senders);
}

static void
load_meta(void)
{
	struct db_stmt *st =
	    db_prepare(boot.db, "select key, value from meta");
	int rc;

	while ((rc = db_step(st)) == 1)
		if (slice_is(db_column_text(st, 0), IDS_META))
			boot.ids_end = db_column_u64(st, 1);
	db_finalize(st);
	if (rc == -1)
		park_db();
	st = db_prepare(boot.db, "select incarnation, retained from sender");
	while ((rc = db_step(st)) == 1) {
		struct known_sender *k = mem_alloc(sizeof(*k));

		k->incarnation = db_column_u64(st, 0);
		k->number = db_column_u64(st, 1);
		map_add(&boot.senders, map_hash_u64(k->incarnation), k);
	}
	db_finalize(st);
	if (rc == -1)
		park_db();
}

/* ---- sessions ----------------------------------------------------------- */

static char *
column_dup(struct db_stmt *st, int i)
{
	return db_column_is_null(st, i) ? NULL :
	    slice_dup(db_column_text(st, i));
}

static void
load_session(struct db_stmt *st)
{
	struct session *s =
	    session_new(db_column_u64(st, 0), db_column_text(st, 1));
	uint64_t first = db_column_u64(st, 10);

	s->username = column_dup(st, 2);
	s->protocol = column_dup(st, 3);
	s->expiry_s = (uint32_t)db_column_u64(st, 4);
	s->epoch = db_column_u64(st, 5);
	s->created_ms = db_column_u64(st, 6);
	s->offline_ms = db_column_u64(st, 7);
	if (!queue_get(&s->queue, db_column_u64(st, 8),
		db_column_u64(st, 9), db_column_blob(st, 11)))
		proc_park("router.db: the queue of session %llu is "
		    "malformed; it was left as it is: put a backup in its "
		    "place, or move it away", (unsigned long long)s->id);
	session_set_mids(s, db_column_blob(st, 12));
	s->receive_max = (uint16_t)db_column_u64(st, 13);
	if (first < boot.queue_from)
		boot.queue_from = first;
}

static void
load_sessions(void)
{
	struct db_stmt *st = db_prepare(boot.db,
	    "select id, client_id, username, protocol, expiry_s, epoch, "
	    "created_ms, offline_ms, floor, next, first_offset, exceptions, "
	    "received, receive_max from session");
	int rc;

	while ((rc = db_step(st)) == 1)
		load_session(st);
	db_finalize(st);
	if (rc == -1)
		park_db();
	st = db_prepare(boot.db,
	    "select session, filter, options, sub_id from sub");
	while ((rc = db_step(st)) == 1) {
		struct session *s = session_find(db_column_u64(st, 0));
		struct sub *sub;

		if (s != NULL)
			session_subscribe(s, db_column_text(st, 1),
			    (uint8_t)db_column_u64(st, 2),
			    (uint32_t)db_column_u64(st, 3), &sub);
	}
	db_finalize(st);
	if (rc == -1)
		park_db();
}

/* ---- streams ------------------------------------------------------------ */

static enum stream_source
source_of(struct slice name)
{
	return slice_is(name, "config") ? STREAM_CONFIG :
	    slice_is(name, "api") ? STREAM_API : STREAM_INTERNAL;
}

static void
load_stream(struct db_stmt *st)
{
	struct json_object *def = json_object_new_object(), *retention;
	const char *why;
	struct stream *stream;

	retention = json_object_new_object();
	json_object_object_add(
	    def, "topics", json_parse(db_column_text(st, 3)));
	json_add_u64(def, "incarnation", db_column_u64(st, 1));
	json_add_u64(def, "partitions", db_column_u64(st, 2));
	json_add_u64(retention, "time_ms", db_column_u64(st, 4));
	json_add_u64(retention, "size", db_column_u64(st, 5));
	json_object_object_add(def, "retention", retention);
	json_add_bool(def, "consumed", db_column_u64(st, 6) != 0);
	json_add_u64(def, "created_ms", db_column_u64(st, 8));
	stream = stream_new(db_column_text(st, 0), def,
	    source_of(db_column_text(st, 7)), &why);
	if (stream == NULL)
		proc_park("router.db: stream %.*s: %s; it was left as it is",
		    SLICE_ARG(db_column_text(st, 0)), why);
	stream->state = STREAM_CLOSED;
	json_object_put(def);
}

static void
load_streams(void)
{
	struct db_stmt *st = db_prepare(boot.db,
	    "select name, incarnation, partitions, topics, retention_ms, "
	    "retention_bytes, is_consumed, source, created_ms from stream");
	int rc;

	while ((rc = db_step(st)) == 1)
		load_stream(st);
	db_finalize(st);
	if (rc == -1)
		park_db();
}

/* Rows of the partitions, as stream_open wants them. */
static struct stream_start *
load_starts(const struct stream *stream)
{
	struct stream_start *starts =
	    mem_zalloc(stream->partitions, sizeof(*starts));
	struct db_stmt *st = db_prepare(boot.db,
	    "select part, reserved_end, log_start, checkpoint_segment, "
	    "checkpoint_position, checkpoint_offset, applied, senders "
	    "from partition where stream = ?1");
	int rc;

	db_bind_str(st, 1, stream->name);
	while ((rc = db_step(st)) == 1) {
		uint64_t part = db_column_u64(st, 0);
		struct slice senders = db_column_blob(st, 7);
		struct stream_start *start;
		void *copy;

		if (part >= stream->partitions)
			continue;
		start = &starts[part];
		copy = mem_alloc(senders.len + 1);
		if (senders.len > 0)
			memcpy(copy, senders.p, senders.len);
		*start = (struct stream_start){
		    .log = {.reserved_end = db_column_u64(st, 1),
			.log_start = db_column_u64(st, 2),
			.checkpoint_segment = db_column_u64(st, 3),
			.checkpoint_position = db_column_u64(st, 4),
			.checkpoint_offset = db_column_u64(st, 5),
			.senders = copy,
			.senders_len =
			    senders.len / sizeof(struct log_sender)},
		    .applied = db_column_u64(st, 6),
		};
	}
	db_finalize(st);
	if (rc == -1)
		park_db();
	return starts;
}

/*
 * A record that router.db may not know: an inbound packet identifier whose
 * commit was perhaps not whole.
 */
static void
on_record(void *arg, struct log_partition *p, const struct record *record,
    const struct record_batch *batch)
{
	struct session *s;

	(void)arg;
	(void)batch;
	if (record->mid_packet == 0 ||
	    record->offset < boot.starts[log_partition_index(p)].applied)
		return;
	s = session_find(record->mid_session);
	if (s != NULL && !session_has_mid(s, record->mid_packet))
		session_suspect(s, record->mid_packet, p);
}

static void
on_damage(
    void *arg, struct log_partition *p, const struct log_damage *damage)
{
	const char *name = log_stream_name(log_partition_stream(p));
	char key[300], text[400];

	(void)arg;
	snprintf(key, sizeof(key), "stream.%s", name);
	snprintf(text, sizeof(text),
	    "damage in partition %u: offsets %llu to %llu are not readable",
	    log_partition_index(p), (unsigned long long)damage->first,
	    (unsigned long long)damage->last);
	log_error("stream %s: %s", name, text);
	proc_degraded(key, text);
}

static const struct log_recovery recovery = {
    .on_record = on_record,
    .on_damage = on_damage,
};

static void
open_stream(struct stream *st)
{
	bool is_new = st->state == STREAM_NEW;
	int err;

	boot.starts = is_new ? NULL : load_starts(st);
	err = stream_open(st, boot.starts, &recovery);
	if (err != 0)
		proc_park("stream %s: %s; its files were left as they are",
		    st->name, strerror(err));
	if (boot.starts != NULL && strcmp(st->name, STREAM_QUEUE) == 0 &&
	    boot.starts[0].log.checkpoint_offset < boot.queue_from)
		boot.queue_from = boot.starts[0].log.checkpoint_offset;
	for (uint32_t i = 0; boot.starts != NULL && i < st->partitions; i++)
		free((void *)(uintptr_t)boot.starts[i].log.senders);
	free(boot.starts);
	boot.starts = NULL;
}

/* ---- the queues --------------------------------------------------------- */

static void
restore_record(const struct record *r)
{
	uint32_t size = (uint32_t)(r->topic.len + r->payload.len);
	struct slice to = r->queues;
	struct recipient one;
	struct session *s;

	while (recipients_next(&to, &one) == 1) {
		s = session_find(one.session);
		if (s != NULL)
			queue_restore(&s->queue, one.seq, r->offset, size,
			    one.flags & 3);
	}
}

static void
read_queue(struct log_partition *p)
{
	struct log_reader *reader = log_reader_new(STREAM_QUEUE,
	    log_stream_incarnation(log_partition_stream(p)), 0);
	struct log_segment seg;
	struct log_range range;
	struct record record;
	int fd;

	for (size_t i = 0; log_segment_get(p, i, &seg); i++)
		if ((fd = log_segment_open(p, seg.base_offset)) != -1)
			log_reader_add_segment(reader, seg.base_offset, fd);
	log_reader_set_bounds(reader, log_start(p), log_high_watermark(p));
	log_reader_seek(reader, boot.queue_from);
	for (;;) {
		switch (log_reader_next(reader, &record, &range)) {
		case LOG_READER_RECORD:
			restore_record(&record);
			continue;
		case LOG_READER_DAMAGED:
		case LOG_READER_TRIMMED:
			continue;
		case LOG_READER_FAILED:
			proc_park("stream %s: %s", STREAM_QUEUE,
			    strerror(range.error));
		case LOG_READER_NEED_SEGMENT:
			/* Dropped from the middle: on with the next. */
			log_reader_seek(reader, range.last + 1);
			continue;
		case LOG_READER_END:
			log_reader_free(reader);
			return;
		}
	}
}

static void
restore_queues(void)
{
	uint64_t lost = 0;
	struct session *s;

	if (boot.queue_from != QUEUE_NO_OFFSET)
		read_queue(stream_queue());
	for (size_t i = 0; (s = sessions_next(&i)) != NULL;) {
		lost += queue_settle(&s->queue);
		if (s->offline_ms == 0)
			queue_suspect(&s->queue, s->receive_max);
	}
	if (lost > 0)
		log_warn("%llu queued messages of sessions are not in the "
		    "log any more", (unsigned long long)lost);
}

/* ---- all of it ---------------------------------------------------------- */

static void
on_space(void *owner, bool is_full)
{
	struct sender *s;

	(void)owner;
	log_warn("%s", is_full ? "the disk is full: captured messages are "
	    "refused" : "there is space on the disk again");
	proc_degraded("disk", is_full ? "disk full" : NULL);
	LIST_FOREACH (s, senders_all(), entry)
		if (s->is_registered)
			link_put_space(s->link,
			    &(struct ipc_space){.full = is_full});
}

static const struct log_events events = {
    .on_committed = commit_on_done,
    .on_space = on_space,
    .on_segment = reader_on_segment,
    .on_segment_gone = reader_on_segment_gone,
};

static enum log_fsync
fsync_mode(struct json_object *store)
{
	const char *s = json_get_str(store, "fsync", "group");

	return strcmp(s, "interval") == 0 ? LOG_FSYNC_INTERVAL :
	    strcmp(s, "never") == 0 ? LOG_FSYNC_NEVER : LOG_FSYNC_GROUP;
}

static struct log_store *
open_store(struct json_object *store)
{
	struct log_store *s;
	int fd;

	if (mkdir(STREAMS_DIR, 0700) == -1 && errno != EEXIST)
		proc_park("%s: %s", STREAMS_DIR, strerror(errno));
	fd = open(STREAMS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		proc_park("%s: %s; check the owner of the data folder",
		    STREAMS_DIR, strerror(errno));
	s = log_store_new(&(struct log_options){
	    .dirfd = fd,
	    .loop = proc_loop(),
	    .events = &events,
	    .fsync = fsync_mode(store),
	    .fsync_interval_ms =
		(unsigned)json_get_u64(store, "fsync_interval", 0),
	    .segment_bytes = json_get_u64(store, "segment_size", 0)});
	if (s == NULL)
		proc_park("%s: %s", STREAMS_DIR, strerror(errno));
	return s;
}

/* New definitions are durable before their folders are made. */
static void
write_pending(void)
{
	static const struct log_commit none;

	ids_init(boot.ids_end, &boot.pending);
	if (rows_run(boot.rows, &none, buf_slice(&boot.pending)) != 0)
		proc_park("%s", rows_error(boot.rows));
	buf_fini(&boot.pending);
}

static bool
holds_records(void)
{
	glob_t found;
	struct stat st;
	bool holds = false;

	if (glob(STREAMS_DIR "/*/*/*.log", GLOB_NOSORT, NULL, &found) != 0)
		return false;
	for (size_t i = 0; i < found.gl_pathc && !holds; i++)
		holds = stat(found.gl_pathv[i], &st) == 0 && st.st_size > 0;
	globfree(&found);
	return holds;
}

/*
 * What a log's records belong to stands in the database only: a new one
 * would begin new logs in their place.
 */
static void
expect_database(void)
{
	struct stat st;

	if (stat(ROWS_FILE, &st) == -1 && errno == ENOENT && holds_records())
		proc_park(ROWS_FILE " is missing and " STREAMS_DIR "/ holds "
		    "records, which were left as they are: restore " ROWS_FILE
		    " from a backup, or move " STREAMS_DIR "/ away too and "
		    "begin anew");
}

void
boot_run(struct interest *interest, struct json_object *config)
{
	char why[512];
	struct log_store *store;
	struct stream *st;

	expect_database();
	boot.rows = rows_open(why, sizeof(why));
	if (boot.rows == NULL)
		proc_park("%s", why);
	boot.db = rows_db(boot.rows);
	store = open_store(json_member(config, "store"));
	commit_init(store, boot.rows);
	delivery_init();
	readers_init();
	retained_init();
	routes_init(interest);
	sessions_init(interest);
	streams_init(interest, store);
	config_limits(config);

	load_meta();
	load_streams();
	load_sessions();
	config_streams(config, &boot.pending);
	config_queue(&boot.pending);
	write_pending();
	LIST_FOREACH (st, streams_all(), entry)
		open_stream(st);
	restore_queues();
	if (retained_load(boot.db) == -1 || wills_load(boot.db) == -1)
		park_db();
}
