/* What `bulkhead status` shows: operations.md, The command. */
#include "base/clock.h"
#include "base/json.h"
#include "supervisor/connector.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CPU_PERIOD_US 900000

static void
put_time(struct json_object *o, const char *name, uint64_t wall_ms)
{
	char text[40];

	json_add_str(o, name, clock_rfc3339(wall_ms, text, sizeof(text)));
}

/* ---- what the kernel says of a process ----------------------------------- */

static bool
proc_read(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

static uint64_t
proc_ticks(pid_t pid)
{
	unsigned long long user, system;
	char text[1024], *at;

	if (!proc_read(pid, "stat", text, sizeof(text)) ||
	    (at = strrchr(text, ')')) == NULL || sscanf(at + 1, " %*c %*d %*d "
	    "%*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		return 0;
	return user + system;
}

static uint64_t
proc_rss(pid_t pid)
{
	unsigned long long size, resident;
	char text[256];

	if (!proc_read(pid, "statm", text, sizeof(text)) ||
	    sscanf(text, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void
status_sample_cpu(void)
{
	uint64_t now = clock_mono_us(), ticks;
	struct child *c;

	for (c = tree.children; c != NULL; c = c->next) {
		if (c->pid == 0 || (c->cpu_sampled_us != 0 &&
		    now - c->cpu_sampled_us < CPU_PERIOD_US))
			continue;
		ticks = proc_ticks(c->pid);
		if (c->cpu_sampled_us != 0 && ticks >= c->cpu_ticks)
			c->cpu_percent = (double)(ticks - c->cpu_ticks) * 1e8 /
			    (double)sysconf(_SC_CLK_TCK) /
			    (double)(now - c->cpu_sampled_us);
		c->cpu_ticks = ticks;
		c->cpu_sampled_us = now;
	}
}

/* ---- processes ----------------------------------------------------------- */

static struct json_object *
exit_json(const struct last_exit *e)
{
	struct json_object *o;
	const char *name = sigabbrev_np(e->signal);
	char text[40];

	if (!e->is_set)
		return NULL;
	o = json_object_new_object();
	put_time(o, "at", e->at_ms);
	json_object_object_add(o, "status", e->signal != 0 ? NULL :
	    json_object_new_int(e->status));
	json_object_object_add(o, "signal", e->signal == 0 ? NULL :
	    json_object_new_int(e->signal));
	snprintf(text, sizeof(text), "SIG%s", name == NULL ? "?" : name);
	json_object_object_add(o, "signal_name", e->signal == 0 ? NULL :
	    json_object_new_string(text));
	json_object_object_add(o, "crash", e->crash[0] == '\0' ? NULL :
	    json_object_new_string(e->crash));
	return o;
}

static const char *
reason_of(const struct child *c)
{
	if (c->state == LIFE_RUNNING)
		return c->worker_reason;
	if (c->state == LIFE_IDLE && c->is_held)
		return c->reason != NULL ? c->reason : "waits for the router";
	return c->reason;
}

static struct json_object *
process_json(const struct child *c)
{
	struct json_object *o = json_object_new_object();
	const char *reason = reason_of(c);

	json_add_str(o, "name", c->name);
	json_add_str(o, "kind", ipc_kind_name(c->kind));
	json_object_object_add(o, "pid", c->pid == 0 ? NULL :
	    json_object_new_int((int)c->pid));
	json_add_str(o, "state", child_state(c));
	put_time(o, "since", c->since_ms);
	json_add_u64(o, "uptime_s", c->pid == 0 ? 0 :
	    (clock_mono_ms() - c->started_ms) / 1000);
	json_add_u64(o, "restarts", c->restarts);
	json_object_object_add(o, "cpu_percent",
	    json_object_new_double((double)(int)(c->cpu_percent * 10) / 10));
	json_add_u64(o, "rss_bytes", c->pid == 0 ? 0 : proc_rss(c->pid));
	json_object_object_add(o, "last_exit", exit_json(&c->last_exit));
	json_object_object_add(o, "reason", reason == NULL ? NULL :
	    json_object_new_string(reason));
	return o;
}

/* ---- reasons --------------------------------------------------------------- */

static void reason_add(struct json_object *list, uint64_t since_ms,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void
reason_add(struct json_object *list, uint64_t since_ms, const char *fmt, ...)
{
	char text[1200], when[40], whole[1400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "%s (since %s)", text,
	    clock_rfc3339(since_ms, when, sizeof(when)));
	json_object_array_add(list, json_object_new_string(whole));
}

static void
reasons_of(const struct child *c, struct json_object *list)
{
	const char *state = child_state(c), *reason = reason_of(c);
	const struct complaint *p;
	bool is_wanted = c->connector == NULL ||
	    connector_is_enabled(c->connector);

	if (c->state == LIFE_RUNNING && c->worker_state != NULL &&
	    strcmp(c->worker_state, "unavailable") == 0)
		reason_add(list, c->since_ms, "%s: %s", c->name,
		    reason == NULL ? "its target is unavailable" : reason);
	else if (is_wanted && strcmp(state, "running") != 0 &&
	    strcmp(state, "paused") != 0)
		reason_add(list, c->since_ms, "%s: %s%s%s", c->name, state,
		    reason == NULL ? "" : ", ", reason == NULL ? "" : reason);
	for (p = c->complaints; p != NULL; p = p->next)
		reason_add(list, p->since_ms, "%s: %s", c->name, p->reason);
}

struct json_object *
status_json(void)
{
	struct json_object *o = json_object_new_object();
	struct json_object *processes = json_object_new_array();
	struct json_object *reasons = json_object_new_array();
	const struct child *c;

	status_sample_cpu();
	for (c = tree.children; c != NULL; c = c->next) {
		json_object_array_add(processes, process_json(c));
		reasons_of(c, reasons);
	}
	json_add_str(o, "state", json_object_array_length(reasons) == 0 ?
	    "healthy" : "degraded");
	json_object_object_add(o, "reasons", reasons);
	json_add_str(o, "version", BULKHEAD_VERSION);
	json_add_u64(o, "uptime_s",
	    (clock_mono_ms() - tree.started_ms) / 1000);
	json_add_u64(o, "pid", (uint64_t)getpid());
	json_add_str(o, "data", tree.data);
	json_object_object_add(o, "config", tree.config_file == NULL ? NULL :
	    json_object_new_string(tree.config_file));
	json_object_object_add(o, "processes", processes);
	return o;
}

/* ---- metrics ------------------------------------------------------------- */

static void
metric_add(struct json_object *list, const char *name, const char *help,
    const char *type, const char *process, double value)
{
	struct json_object *o = json_object_new_object();
	struct json_object *labels = json_object_new_object();

	json_add_str(o, "name", name);
	json_add_str(o, "help", help);
	json_add_str(o, "type", type);
	if (process != NULL)
		json_add_str(labels, "process", process);
	json_object_object_add(o, "labels", labels);
	json_object_object_add(o, "value", json_object_new_double(value));
	json_object_array_add(list, o);
}

static void
process_metrics(const struct child *c, struct json_object *list)
{
	metric_add(list, "bulkhead_process_up", "1 while it does its job",
	    "gauge", c->name, c->state == LIFE_RUNNING);
	metric_add(list, "bulkhead_process_restarts_total",
	    "times it was started again", "counter", c->name, c->restarts);
	metric_add(list, "bulkhead_process_cpu_seconds_total",
	    "processor time of the current process", "counter", c->name,
	    c->pid == 0 ? 0 : (double)proc_ticks(c->pid) /
	    (double)sysconf(_SC_CLK_TCK));
	metric_add(list, "bulkhead_process_resident_memory_bytes",
	    "memory of the current process", "gauge", c->name,
	    c->pid == 0 ? 0 : (double)proc_rss(c->pid));
}

struct json_object *
status_metrics(void)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	struct json_object *reasons = json_object_new_array();
	const struct child *c;
	struct statvfs fs;

	for (c = tree.children; c != NULL; c = c->next) {
		process_metrics(c, list);
		reasons_of(c, reasons);
	}
	metric_add(list, "bulkhead_uptime_seconds",
	    "time since the supervisor started", "gauge", NULL,
	    (double)(clock_mono_ms() - tree.started_ms) / 1000);
	metric_add(list, "bulkhead_healthy", "1 while nothing is degraded",
	    "gauge", NULL, json_object_array_length(reasons) == 0);
	if (fstatvfs(tree.data_fd, &fs) == 0)
		metric_add(list, "bulkhead_data_free_bytes",
		    "space left for the data folder", "gauge", NULL,
		    (double)fs.f_bavail * (double)fs.f_frsize);
	json_object_put(reasons);
	json_object_object_add(o, "metrics", list);
	return o;
}
