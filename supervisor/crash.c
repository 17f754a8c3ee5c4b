#include "supervisor/crash.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/ring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The end of the year 9999: what is later was written by a wild pointer. */
#define TIME_MAX_MS UINT64_C(253402300799000)

static void
put_time(struct json_object *o, const char *name, uint64_t wall_ms)
{
	char text[40];

	if (wall_ms > TIME_MAX_MS)
		wall_ms = 0;
	json_add_str(o, name, clock_rfc3339(wall_ms, text, sizeof(text)));
}

/* What the dead wrote is not trusted: lengths are bounded, bytes are text. */
static struct json_object *
text_of(const char *p, size_t len, size_t max)
{
	char copy[RING_TEXT + 1];
	size_t i, n = len < max ? len : max;

	for (i = 0; i < n; i++)
		copy[i] = p[i] == '\0' || (unsigned char)p[i] >= 0x80 ? '?' :
		    p[i];
	return json_object_new_string_len(copy, (int)n);
}

static struct json_object *
events_json(const struct ring *r)
{
	struct json_object *list = json_object_new_array(), *o;
	uint64_t seq, next = r->next;
	const struct ring_event *e;

	for (seq = next > RING_EVENTS ? next - RING_EVENTS : 1; seq < next;
	    seq++) {
		e = &r->events[seq % RING_EVENTS];
		if (e->seq != seq)
			continue;
		o = json_object_new_object();
		put_time(o, "time", e->time_ms);
		json_object_object_add(o, "text",
		    text_of(e->text, e->len, sizeof(e->text)));
		json_object_array_add(list, o);
	}
	return list;
}

/* A line per frame; the bare addresses where no symbols were written. */
static struct json_object *
backtrace_json(const struct ring *r)
{
	struct json_object *list = json_object_new_array();
	uint64_t i, n = r->frame_count < RING_FRAMES ? r->frame_count :
	    RING_FRAMES;
	const char *at = r->backtrace;
	const char *end = at + strnlen(at, sizeof(r->backtrace));
	char text[32];
	size_t len;

	while (at < end) {
		len = strcspn(at, "\n");
		if (len > (size_t)(end - at))
			len = (size_t)(end - at);
		json_object_array_add(list, text_of(at, len, RING_TEXT));
		at += len + 1;
	}
	for (i = 0; json_object_array_length(list) < n && i < n; i++) {
		snprintf(text, sizeof(text), "%#llx",
		    (unsigned long long)r->frames[i]);
		json_object_array_add(list, json_object_new_string(text));
	}
	return list;
}

static struct json_object *
crash_json(const struct child *c, const char *id)
{
	struct json_object *o = json_object_new_object();
	const struct last_exit *e = &c->last_exit;
	struct ring *r = ring_map(c->ring, 0);
	int signo = e->signal;

	/* A handler that was killed itself has still noted the first cause. */
	if (r != NULL && r->signal > 0 && r->signal < NSIG)
		signo = (int)r->signal;
	json_add_str(o, "id", id);
	json_add_str(o, "name", c->name);
	json_add_str(o, "kind", ipc_kind_name(c->kind));
	json_add_u64(o, "pid", (uint64_t)c->pid);
	put_time(o, "time", e->at_ms);
	json_add_str(o, "version", BULKHEAD_VERSION);
	json_object_object_add(o, "signal", signo == 0 ? NULL :
	    json_object_new_int(signo));
	json_object_object_add(o, "signal_name", signo == 0 ? NULL :
	    json_object_new_string(sigabbrev_np(signo) == NULL ? "?" :
	    sigabbrev_np(signo)));
	json_object_object_add(o, "status", e->signal != 0 ? NULL :
	    json_object_new_int(e->status));
	json_add_bool(o, "watchdog", c->is_barked);
	json_add_u64(o, "uptime_ms", clock_mono_ms() - c->started_ms);
	if (r != NULL) {
		json_add_u64(o, "fault_address", r->fault);
		json_object_object_add(o, "backtrace", backtrace_json(r));
		json_object_object_add(o, "events", events_json(r));
	}
	ring_unmap(r);
	return o;
}

static int
name_is_report(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 5 && strcmp(e->d_name + n - 5, ".json") == 0;
}

/* Names sort by time. */
static int
reports_find(struct dirent ***names)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/crashes", tree.data);
	return scandir(path, names, name_is_report, alphasort);
}

static void
reports_prune(void)
{
	struct dirent **names = NULL;
	char path[300];
	int i, n = reports_find(&names);

	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "crashes/%s", names[i]->d_name);
		if (i < n - CRASHES_KEPT)
			unlinkat(tree.data_fd, path, 0);
		free(names[i]);
	}
	free(names);
}

void
crash_write(const struct child *c, char *id, size_t size)
{
	struct json_object *o;
	char path[128], stamp[40];
	size_t i, n = 0;

	/* 20260131T120000123-router-4711: sorts by time, names itself. */
	clock_rfc3339(c->last_exit.at_ms, stamp, sizeof(stamp));
	for (i = 0; stamp[i] != '\0'; i++)
		if (strchr("-:.Z", stamp[i]) == NULL)
			stamp[n++] = stamp[i];
	stamp[n] = '\0';
	snprintf(id, size, "%s-%.40s-%d", stamp, c->name, (int)c->pid);
	snprintf(path, sizeof(path), "crashes/%s.json", id);
	o = crash_json(c, id);
	if (!data_write(path, slice_str(json_object_to_json_string_ext(o,
	    JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)))) {
		log_error("cannot write the crash report %s: %s", id,
		    strerror(errno));
		id[0] = '\0';
	}
	json_object_put(o);
	reports_prune();
}

static struct json_object *
report_read(const char *id)
{
	struct json_object *o = NULL;
	struct buf text;
	char path[300];

	snprintf(path, sizeof(path), "crashes/%.200s.json", id);
	buf_init(&text);
	if (data_read(path, &text))
		o = json_parse(buf_slice(&text));
	buf_fini(&text);
	return o;
}

static void
report_add(struct json_object *list, struct json_object *report)
{
	static const char *const names[] = {"id", "name", "kind", "pid",
	    "time", "signal", "signal_name", "status", "watchdog"};
	struct json_object *row = json_object_new_object();
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		json_object_object_add(row, names[i], json_object_get(
		    json_member(report, names[i])));
	json_object_array_add(list, row);
}

void
crash_list(struct answer to, struct json_object *args)
{
	struct json_object *list = json_object_new_array(), *report;
	struct dirent **names = NULL;
	int i, n = reports_find(&names);

	(void)args;
	for (i = n - 1; i >= 0; i--) {
		names[i]->d_name[strlen(names[i]->d_name) - 5] = '\0';
		report = report_read(names[i]->d_name);
		if (report != NULL)
			report_add(list, report);
		json_object_put(report);
		free(names[i]);
	}
	free(names);
	answer_json(to, 200, list);
}

void
crash_show(struct answer to, struct json_object *args)
{
	const char *id = json_get_str(args, "id", "");
	struct json_object *report = NULL;

	if (id[0] != '\0' && strpbrk(id, "/") == NULL)
		report = report_read(id);
	if (report == NULL)
		answer_error(to, 404, "not_found", "no crash report %s", id);
	else
		answer_json(to, 200, report);
}
