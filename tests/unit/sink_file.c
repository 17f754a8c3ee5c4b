/* links: sink_file */
#include "base/json.h"
#include "connector-worker/flow.h"
#include "connector-worker/host.h"
#include "connector-worker/sinks/file_format.h"
#include "connector-worker/sinks/file_out.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_MAX 200

/* A database of one table, a flow, and the sink between them. */
static struct {
	char dir[64];
	struct sink sink;
	struct definition *d;
	struct flow *flow;
	struct { char *key, *value; size_t key_len, value_len; } kept[KEPT_MAX];
	size_t kept_count;
	uint64_t next;		/* the offset */
	uint64_t rewound;	/* where to, UINT64_MAX: not */
	char refused[256];
	bool commits;
	unsigned down;
} rig;

static void
rig_keep(struct slice key, struct slice value)
{
	size_t i;

	for (i = 0; i < rig.kept_count; i++)
		if (slice_eq(key, slice_of(rig.kept[i].key,
		    rig.kept[i].key_len)))
			break;
	cr_assert_lt(i, (size_t)KEPT_MAX);
	if (i == rig.kept_count)
		rig.kept_count++;
	free(rig.kept[i].key);
	free(rig.kept[i].value);
	rig.kept[i].key = slice_dup(key);
	rig.kept[i].key_len = key.len;
	rig.kept[i].value = slice_is_null(value) ? NULL : slice_dup(value);
	rig.kept[i].value_len = value.len;
}

static bool
rig_keep_now(void *arg, struct slice key, struct slice value)
{
	(void)arg;
	rig_keep(key, value);
	return true;
}

static void
rig_kept(void *arg, void (*cb)(struct slice, struct slice, void *),
    void *cb_arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < rig.kept_count; i++)
		if (rig.kept[i].value != NULL)
			cb(slice_of(rig.kept[i].key, rig.kept[i].key_len),
			    slice_of(rig.kept[i].value,
			    rig.kept[i].value_len), cb_arg);
}

static void
rig_position(void *arg, struct buf *out)
{
	struct position p = {7, 0, rig.next};

	(void)arg;
	position_add(out, &p);
}

static bool
rig_rewind(void *arg, struct slice text)
{
	struct position p;

	(void)arg;
	cr_assert_eq(position_next(&text, &p), 1);
	if (p.offset < rig.next)
		rig.next = p.offset;
	rig.rewound = p.offset;
	return true;
}

static void
rig_rejected(void *arg, const char *reason)
{
	(void)arg;
	cr_assert_fail("%s", reason);
}

static const struct sink_host host = {.rejected = rig_rejected,
    .keep_now = rig_keep_now, .kept = rig_kept, .position = rig_position,
    .rewind = rig_rewind};

static void
on_send(void *arg, struct sink_batch *b)
{
	(void)arg;
	sink_type.send_batch(rig.sink.self, b);
}

static void
on_settled(void *arg, struct batch *b)
{
	struct keep *k;

	(void)arg;
	if (rig.commits) {
		for (k = b->keeps; k != NULL; k = k->next)
			rig_keep(k->key, k->value);
		rig.next = b->end;
	}
	batch_free(b);
}

static void
on_available(void *arg, const char *reason)
{
	(void)arg;
	rig.down += reason != NULL;
}

static void
on_failed(void *arg, const struct item *it, const char *reason, bool is_final)
{
	(void)arg;
	(void)it;
	(void)is_final;
	snprintf(rig.refused, sizeof(rig.refused), "%s", reason);
}

static uint64_t
on_chance(void *arg)
{
	(void)arg;
	return 0;
}

static const struct flow_ops ops = {on_send, NULL, on_settled, on_available,
    on_failed, on_chance};

static struct definition *
define(const char *config, struct faults *faults)
{
	struct definition *d;
	struct buf text;

	buf_init(&text);
	buf_addf(&text, "{\"type\":\"file\",\"failure_strategy\":"
	    "{\"strategy\":\"discard\"},\"config\":%s}", config);
	d = definition_read(&sink_type, buf_slice(&text), faults);
	buf_fini(&text);
	return d;
}

static void
rig_open(const char *config)
{
	struct faults faults;

	faults_init(&faults);
	rig.d = define(config, &faults);
	cr_assert_eq(faults.total, 0, "%s: %s", faults.v[0].path,
	    faults.v[0].message);
	rig.sink = (struct sink){.type = &sink_type,
	    .loop = ev_default_loop(0), .options = rig.d->options,
	    .connector = "f", .stream = "s", .host = &host};
	rig.rewound = UINT64_MAX;
	rig.commits = true;
	rig.sink.self = sink_type.open(&rig.sink);
	rig.flow = flow_new(rig.d, &sink_type.caps, &ops, NULL);
}

/* As a kill would: what was not committed is as if it had not been. */
static void
rig_close(void)
{
	sink_type.close(rig.sink.self);
	flow_free(rig.flow);
	definition_free(rig.d);
}

static void
rig_turn(void)
{
	struct flow_times now = {1, 1};
	int i;

	for (i = 0; i < 2000 && !flow_is_empty(rig.flow); i++) {
		now.mono_ms += 10;
		while (flow_turn(rig.flow, now))
			;
		if (flow_under_way(rig.flow) > 0)
			ev_run(rig.sink.loop, EVRUN_ONCE);
	}
}

/* A batch of payloads p0, p1, ... by offset, with topics in turn. */
static void
rig_send(unsigned n, const char *topics)
{
	struct batch *b = batch_new(7, 0, rig.next, 0);
	uint64_t first = rig.next;
	struct record rec;
	char payload[64];
	size_t topics_len = strlen(topics);
	unsigned i;

	for (i = 0; i < n; i++) {
		snprintf(payload, sizeof(payload), "p%llu",
		    (unsigned long long)(first + i));
		rec = (struct record){.topic = slice_of(topics +
		    i % topics_len, 1), .payload = slice_str(payload),
		    .incarnation = 7, .offset = first + i,
		    .stream = SLICE_LIT("s")};
		rec.key = rec.topic;
		batch_add(b, &rec);
	}
	batch_seal(b, first + n);
	flow_add(rig.flow, b);
	rig_turn();
}

static const char *
content(const char *name)
{
	static char text[1 << 16];
	char path[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", rig.dir, name);
	fd = open(path, O_RDONLY);
	if (fd == -1)
		return "(none)";
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static const char *
config(const char *path, const char *more)
{
	static char text[512];

	snprintf(text, sizeof(text), "{\"path\":\"%s/%s\"%s}", rig.dir, path,
	    more);
	return text;
}

static void
setup(void)
{
	snprintf(rig.dir, sizeof(rig.dir), "/tmp/bulkhead-file-XXXXXX");
	cr_assert_not_null(mkdtemp(rig.dir));
}

static void
teardown(void)
{
	char command[100];
	size_t i;

	for (i = 0; i < rig.kept_count; i++) {
		free(rig.kept[i].key);
		free(rig.kept[i].value);
	}
	snprintf(command, sizeof(command), "rm -rf %s", rig.dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(file, .init = setup, .fini = teardown, .timeout = 30);

Test(file, writes_lines_and_reads_every_option)
{
	rig_open(config("a.log", ""));
	rig_send(3, "x");
	cr_assert_str_eq(content("a.log"), "p0\np1\np2\n");
	cr_assert_null(options_unread(rig.d->options), "%s is never read",
	    options_unread(rig.d->options));
	rig_send(1, "x");
	rig_close();
	rig_open(config("a.log", ""));
	rig_send(1, "x");
	cr_assert_str_eq(content("a.log"), "p0\np1\np2\np3\np4\n");
	rig_close();
}

Test(file, cuts_what_was_not_committed)
{
	rig_open(config("a.log", ""));
	rig_send(2, "x");
	rig.commits = false;
	rig_send(2, "x");
	cr_assert_str_eq(content("a.log"), "p0\np1\np2\np3\n");
	rig_close();
	rig_open(config("a.log", ""));
	cr_assert_str_eq(content("a.log"), "p0\np1\n");
	rig_send(3, "x");
	cr_assert_str_eq(content("a.log"), "p0\np1\np2\np3\np4\n");
	rig_close();
}

Test(file, delivers_again_what_is_missing)
{
	char path[256];

	rig_open(config("${topic}.log", ""));
	rig_send(4, "xy");
	rig_send(2, "xy");
	cr_assert_str_eq(content("x.log"), "p0\np2\np4\n");
	rig_close();
	snprintf(path, sizeof(path), "%s/x.log", rig.dir);
	cr_assert_eq(truncate(path, 4), 0);
	rig_open(config("${topic}.log", ""));
	cr_assert_eq(rig.rewound, 0);
	rig_send(6, "xy");
	cr_assert_str_eq(content("x.log"), "p0\np2\np4\n");
	/* The other file has them and does not get them twice. */
	cr_assert_str_eq(content("y.log"), "p1\np3\np5\n");
	rig_send(2, "xy");
	cr_assert_str_eq(content("y.log"), "p1\np3\np5\np7\n");
	/* Somebody moves the connector back: that is to be seen. */
	rig.next = 6;
	rig_send(2, "xy");
	cr_assert_str_eq(content("y.log"), "p1\np3\np5\np7\np7\n");
	rig_close();
}

Test(file, goes_back_to_a_point_near_the_place)
{
	struct stat st;
	char path[256];
	uint64_t size;
	int i;

	rig_open(config("a.log", ""));
	for (i = 0; i < 30; i++)
		rig_send(1000, "x");
	snprintf(path, sizeof(path), "%s/a.log", rig.dir);
	stat(path, &st);
	size = (uint64_t)st.st_size;
	rig_close();
	cr_assert_eq(truncate(path, (off_t)size - 5), 0);
	rig_open(config("a.log", ""));
	cr_assert_neq(rig.rewound, UINT64_MAX);
	cr_assert_gt(rig.rewound, 10000);
	rig_send((unsigned)(30000 - rig.next), "x");
	stat(path, &st);
	cr_assert_eq((uint64_t)st.st_size, size);
	rig_close();
}

Test(file, never_touches_anothers_file)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/a.log", rig.dir);
	f = fopen(path, "w");
	fputs("mine\n", f);
	fclose(f);
	rig_open(config("a.log", ""));
	rig_send(2, "x");
	cr_assert_str_eq(content("a.log"), "mine\n");
	cr_assert_str_eq(content("a.log.new-1"), "p0\np1\n");
	rig_close();
	rig_open(config("a.log", ""));
	rig_send(1, "x");
	cr_assert_str_eq(content("a.log.new-1"), "p0\np1\np2\n");
	rig_close();
	cr_assert_str_eq(content("a.log"), "mine\n");
}

Test(file, follows_a_rename_by_others)
{
	char from[256], to[256];

	rig_open(config("a.log", ""));
	rig_send(1, "x");
	snprintf(from, sizeof(from), "%s/a.log", rig.dir);
	snprintf(to, sizeof(to), "%s/a.old", rig.dir);
	cr_assert_eq(rename(from, to), 0);
	rig_send(1, "x");
	cr_assert_str_eq(content("a.old"), "p0\n");
	cr_assert_str_eq(content("a.log"), "p1\n");
	/* And the copy that is cut while we have it open. */
	cr_assert_eq(truncate(from, 0), 0);
	rig_send(1, "x");
	cr_assert_str_eq(content("a.log"), "p2\n");
	rig_close();
}

/* 1 MiB in one batch, so that the next one rotates. */
static void
send_much(void)
{
	static char payload[1 << 20];
	struct batch *b = batch_new(7, 0, rig.next, 0);
	struct record rec = {.topic = SLICE_LIT("x"), .incarnation = 7,
	    .offset = rig.next};

	memset(payload, 'a' + (int)(rig.next % 26), sizeof(payload));
	rec.payload = slice_of(payload, sizeof(payload));
	batch_add(b, &rec);
	batch_seal(b, rig.next + 1);
	flow_add(rig.flow, b);
	rig_turn();
}

Test(file, rotates_and_keeps_some)
{
	const char *c = config("a.log", ",\"rotation\":\"size\","
	    "\"max_size\":\"1MiB\",\"keep_files\":2");
	unsigned i;

	rig_open(c);
	for (i = 0; i < 4; i++)
		send_much();
	rig_send(1, "x");
	cr_assert_str_eq(content("a.log"), "p4\n");
	cr_assert_str_eq(content("a.log.000001"), "(none)");
	cr_assert_eq(content("a.log.000003")[0], 'c');
	cr_assert_eq(content("a.log.000004")[0], 'd');
	/* A crash between the rotation and the first commit after it. */
	send_much();
	rig.commits = false;
	rig_send(1, "x");
	cr_assert_str_eq(content("a.log"), "p6\n");
	rig_close();
	rig_open(c);
	cr_assert_str_eq(content("a.log"), "");
	rig_send(1, "x");
	cr_assert_str_eq(content("a.log"), "p6\n");
	cr_assert_eq(strncmp(content("a.log.000005"), "p4\nff", 5), 0);
	rig_close();
}

Test(file, refuses_to_leave_its_folder)
{
	rig_open(config("${payload.d}/x.log", ""));
	struct batch *b = batch_new(7, 0, rig.next, 0);
	struct record rec = {.topic = SLICE_LIT("t"),
	    .payload = SLICE_LIT("{\"d\":\"../up\"}"), .incarnation = 7};

	batch_add(b, &rec);
	rec.payload = SLICE_LIT("{\"d\":\"a\\u0000b\"}");
	batch_add(b, &rec);
	rec.payload = SLICE_LIT("{\"d\":\"in/side\"}");
	batch_add(b, &rec);
	batch_seal(b, 3);
	flow_add(rig.flow, b);
	rig_turn();
	cr_assert_eq(flow_counts(rig.flow)->discarded, 2);
	cr_assert_str_eq(content("in/side/x.log"), "{\"d\":\"in/side\"}\n");
	rig_close();
}

Test(file, does_not_follow_links_below_its_folder)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/x", rig.dir);
	cr_assert_eq(symlink("/tmp", path), 0);
	rig_open(config("${topic}/bulkhead-must-not-be", ""));
	rig_send(1, "x");
	cr_assert_eq(flow_counts(rig.flow)->discarded, 1);
	cr_assert_neq(access("/tmp/bulkhead-must-not-be", F_OK), 0);
	rig_close();
}

Test(file, many_files_in_one_batch)
{
	char topics[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_!%()";

	rig_open(config("d/${topic}.log", ",\"fsync\":\"none\""));
	cr_assert_not(rig.d->is_exact);
	rig_send(136, topics);
	cr_assert_eq(flow_counts(rig.flow)->delivered, 136);
	cr_assert_eq(rig.down, 0);
	cr_assert_str_eq(content("d/a.log"), "p0\np68\n");
	cr_assert_str_eq(content("d/(.log"), "p66\np134\n");
	rig_close();
}

Test(file, is_locked_against_other_connectors)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/a.log", rig.dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	rig_open(config("a.log", ""));
	rig_send(1, "x");
	cr_assert_gt(rig.down, 0);
	cr_assert_eq(flow_counts(rig.flow)->delivered, 0);
	rig_close();
	close(fd);
}

static void
expect_fault(const char *text, const char *path, const char *message)
{
	struct faults faults;

	faults_init(&faults);
	definition_free(define(text, &faults));
	cr_assert_gt(faults.total, 0, "%s", text);
	cr_expect_str_eq(faults.v[0].path, path);
	cr_expect_not_null(strstr(faults.v[0].message, message), "%s",
	    faults.v[0].message);
	faults_fini(&faults);
}

Test(file, faults)
{
	expect_fault("{}", "config.path", "");
	expect_fault("{\"path\":\"${topic}.log\"}", "config.path",
	    "fixed folder");
	expect_fault("{\"path\":\"/tmp/\"}", "config.path", "names no file");
	expect_fault("{\"path\":\"/tmp/x\",\"keep_files\":2}",
	    "config.keep_files", "rotation");
	expect_fault("{\"path\":\"/tmp/x\",\"max_size\":\"1KiB\"}",
	    "config.max_size", "below 1MiB");
	expect_fault("{\"path\":\"/tmp/${nope}\"}", "config.path",
	    "no field");
}

Test(file_state, round_trip)
{
	struct file_state s = {.device = 1, .inode = UINT64_MAX,
	    .generation = 9, .length = 3, .period = 4, .used_ms = 5,
	    .name = "a b.new-1", .rotating_to = "x.000001"}, back;
	struct buf b;
	size_t i;

	file_state_advance(&s, 7, 0, 10);
	file_state_advance(&s, 7, 1, 20);
	file_state_advance(&s, 7, 0, 5);
	cr_assert(file_state_has(&s, 7, 0, 9));
	cr_assert_not(file_state_has(&s, 7, 0, 10));
	cr_assert_not(file_state_has(&s, 8, 0, 9));
	buf_init(&b);
	file_state_put(&s, &b);
	cr_assert(file_state_get(buf_slice(&b), &back));
	cr_assert_eq(memcmp(&s, &back, sizeof(s)), 0);
	/* Cut short it is refused, or is one with fewer positions. */
	for (i = 0; i + 20 < buf_len(&b); i++)
		file_state_get(slice_of(buf_data(&b), i), &back);
	for (i = 0; i < FILE_POSITIONS_MAX + 5; i++)
		file_state_advance(&s, 100 + i, 0, 1);
	cr_assert_eq(s.upto_count, FILE_POSITIONS_MAX);
	buf_fini(&b);
}

Test(file_format, each_record_is_one_line)
{
	struct record rec = {.payload = SLICE_LIT("a\r\nb"),
	    .topic = SLICE_LIT("t,1"), .stream = SLICE_LIT("s")};
	struct template_input in;
	struct buf b;

	buf_init(&b);
	template_input_init(&in);
	file_format_add(&b, FORMAT_LINES, &in, &rec);
	cr_assert_str_eq(buf_cstr(&b), "a\\r\\nb\n");
	buf_clear(&b);
	file_format_begin(&b, FORMAT_CSV);
	cr_assert_str_eq(buf_cstr(&b), "id,topic,payload,key,qos,retain,"
	    "client_id,username,protocol,timestamp_ms,headers,content_type,"
	    "response_topic,correlation_data,stream,partition,offset\n");
	buf_clear(&b);
	rec.payload = SLICE_LIT("\xff");
	file_format_add(&b, FORMAT_CSV, &in, &rec);
	cr_assert_str_eq(buf_cstr(&b), "s.0000000000000000-0-0,\"t,1\","
	    "base64:/w==,,0,false,,,,0,{},,,,s,0,0\n");
	template_input_fini(&in);
	buf_fini(&b);
}
