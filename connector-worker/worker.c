#include "connector-worker/worker.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/position.h"
#include "connector-worker/run.h"
#include "ipc/proc.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROBE_WAIT_MS 10000
/* Kept of the time to stop, for the last commit. */
#define STOP_RESERVE_MS 500
#define TURNS_MAX 16
#define TRIM_AFTER_MS 1000
#define UNLINKED_SHOWN_MS 5000
#define UNLINKED_MAX_MS 30000

struct worker worker;

void
worker_wake(void)
{
	ev_idle_start(proc_loop(), &worker.idle);
}

struct flow_times
worker_now(void)
{
	return (struct flow_times){clock_mono_ms(), clock_wall_ms()};
}

/* --- state ------------------------------------------------------------- */

static const char *
state_of(const char **reason, char *text, size_t size)
{
	uint64_t since;

	*reason = "";
	if (worker.is_paused)
		return "paused";
	*reason = flow_unavailable(worker.flow, &since);
	if (*reason != NULL)
		return "unavailable";
	*reason = "";
	if (worker.unlinked_ms != 0 &&
	    clock_mono_ms() >= worker.unlinked_ms + UNLINKED_SHOWN_MS) {
		*reason = "no link to the router";
		return "unavailable";
	}
	if (!worker.is_missing)
		return "running";
	snprintf(text, size, "stream %s does not exist", worker.stream);
	*reason = text;
	return "unavailable";
}

void
worker_show_state(void)
{
	const char *reason, *state;
	char text[300];

	state = state_of(&reason, text, sizeof(text));
	if (worker.state != NULL && strcmp(worker.state, state) == 0 &&
	    strcmp(worker.reason, reason) == 0)
		return;
	if (worker.state == NULL || strcmp(worker.state, state) != 0) {
		worker.since_ms = clock_wall_ms();
		log_info("%s: %s%s%s", worker.name, state,
		    reason[0] == '\0' ? "" : ": ", reason);
	}
	worker.state = state;
	snprintf(worker.reason, sizeof(worker.reason), "%s", reason);
	proc_state(state, worker.reason);
}

/* --- between the flow and the sink ------------------------------------- */

/* Keys of a whole batch need its bounds on disk before it is sent. */
static bool
bounds_commit(struct sink_batch *sb)
{
	struct batch b = {.incarnation = worker.incarnation,
	    .partition = sb->partition, .first = sb->first_offset,
	    .end = sb->last_offset + 1};

	if (store_begin(worker.store) && store_put_bounds(worker.store, &b) &&
	    store_commit(worker.store))
		return true;
	store_rollback(worker.store);
	return false;
}

static void
on_send(void *arg, struct sink_batch *sb)
{
	(void)arg;
	if (worker.sink.type->caps.keys_batch && sb->tries == 0 &&
	    !bounds_commit(sb)) {
		sink_answer_rest(sb, SINK_UNAVAILABLE,
		    "the batch's bounds cannot be committed");
		return;
	}
	marker_write(worker.flow);
	worker.sink.type->send_batch(worker.sink.self, sb);
}

static void
on_probe(void *arg)
{
	(void)arg;
	worker.probe_until_ms = clock_mono_ms() + PROBE_WAIT_MS;
	worker.sink.type->probe(worker.sink.self);
}

static void
on_settled(void *arg, struct batch *b)
{
	(void)arg;
	commit_settled(b);
}

static void
note_error(const char *text)
{
	snprintf(worker.last_error, sizeof(worker.last_error), "%s", text);
	worker.last_error_ms = clock_wall_ms();
}

static void
on_available(void *arg, const char *reason)
{
	(void)arg;
	if (reason != NULL)
		note_error(reason);
	worker_show_state();
}

static void
on_failed(void *arg, const struct item *it, const char *reason, bool is_final)
{
	char text[512];

	(void)arg;
	snprintf(text, sizeof(text), "offset %llu: %s",
	    (unsigned long long)it->rec.offset,
	    reason == NULL ? "no reason given" : reason);
	note_error(text);
	if (is_final)
		log_limited(LOG_WARN, "%s: gave up %s", worker.name, text);
}

static uint64_t
on_chance(void *arg)
{
	(void)arg;
	return random_u64();
}

static const struct flow_ops flow_ops = {on_send, on_probe, on_settled,
    on_available, on_failed, on_chance};

static void
host_probed(void *arg, bool is_up, const char *reason)
{
	(void)arg;
	worker.probe_until_ms = 0;
	flow_probed(worker.flow, is_up, reason);
	worker_wake();
}

static void
host_rejected(void *arg, const char *reason)
{
	(void)arg;
	proc_park("%s: %s", worker.name, reason);
}

static bool
host_keep_now(void *arg, struct slice key, struct slice value)
{
	(void)arg;
	return commit_keep_now(key, value);
}

/* Serial types only: what is not settled is the batch that asks. */
static void
host_position(void *arg, struct buf *out)
{
	struct position at;
	const struct batch *b;
	size_t i;

	(void)arg;
	for (i = 0; i < worker.part_count; i++) {
		at = (struct position){worker.incarnation,
		    worker.parts[i].number, worker.parts[i].committed};
		for (b = worker.parts[i].first; b != NULL && b->is_settled;
		    b = b->after)
			at.offset = b->end;
		position_add(out, &at);
	}
}

/* At open, before any part is set up: a new epoch begins there. */
static bool
host_rewind(void *arg, struct slice text)
{
	struct position at;
	uint64_t now;
	int answer;

	(void)arg;
	bug_on(worker.part_count > 0);
	while ((answer = position_next(&text, &at)) == 1) {
		if (!store_offset(worker.store, at.incarnation, at.partition,
		    &now) || now <= at.offset)
			continue;
		log_warn("%s: offsets from %llu of partition %u are delivered "
		    "again", worker.name, (unsigned long long)at.offset,
		    at.partition);
		if (!store_put_offset(worker.store, at.incarnation,
		    at.partition, at.offset))
			return false;
	}
	return answer == 0;
}

static void
host_kept(void *arg, void (*cb)(struct slice, struct slice, void *),
    void *cb_arg)
{
	(void)arg;
	store_keeps(worker.store, cb, cb_arg);
}

static const struct sink_host host = {
	.probed = host_probed,
	.rejected = host_rejected,
	.position = host_position,
	.rewind = host_rewind,
	.keep_now = host_keep_now,
	.kept = host_kept,
};

/* --- the stream -------------------------------------------------------- */

static void
sink_open(void)
{
	worker.sink = (struct sink){.type = &sink_type, .loop = proc_loop(),
	    .options = worker.d->options, .connector = worker.name,
	    .stream = worker.stream, .host = &host};
	worker.sink.self = sink_type.open(&worker.sink);
	worker.is_sink_open = true;
}

static void
sink_close(void)
{
	if (worker.is_sink_open)
		worker.sink.type->close(worker.sink.self);
	worker.is_sink_open = false;
}

static void
settled_drop(void)
{
	struct batch *b;

	while ((b = worker.settled) != NULL) {
		worker.settled = b->next;
		batch_free(b);
	}
	worker.settled_count = 0;
}

void
worker_restart_flow(void)
{
	bool has_parts = worker.part_count > 0;

	parts_drop();
	/* What is with the sink cannot be taken from it but by closing. */
	if (flow_under_way(worker.flow) > 0) {
		sink_close();
		sink_open();
	}
	worker.retried += flow_counts(worker.flow)->retried;
	flow_free(worker.flow);
	settled_drop();
	replay_drop();
	worker.flow = flow_new(worker.d, &sink_type.caps, &flow_ops, NULL);
	flow_pause(worker.flow, worker.is_paused);
	if (has_parts && !parts_begin(worker.follow))
		proc_exit(1);
	worker_show_state();
	worker_wake();
}

static void
on_following(struct follow *f, bool is_new)
{
	worker.is_missing = false;
	if (is_new && worker.part_count > 0)
		worker_restart_flow();
	else if (is_new && !parts_begin(f))
		proc_exit(1);
	worker_show_state();
	worker_wake();
}

static void
on_advanced(struct follow *f)
{
	(void)f;
}

static void
on_missing(struct follow *f)
{
	(void)f;
	worker.is_missing = true;
	worker_show_state();
}

static const struct follow_ops follow_ops = {on_following, on_advanced,
    on_missing};

/* --- the turn ---------------------------------------------------------- */

static void
worker_stop_when_done(uint64_t now_ms)
{
	if (!worker.is_stopping || (flow_under_way(worker.flow) > 0 &&
	    now_ms < worker.stop_at_ms))
		return;
	while (flow_turn(worker.flow, worker_now()))
		;
	commit_now();
	sink_close();
	store_close(worker.store);
	proc_exit(0);
}

/*
 * A router that dies comes back with a new link at once. One that does not
 * come may have been ended by a broken frame: a new process gets another.
 */
static void
link_check(uint64_t now_ms)
{
	if (router_is_attached()) {
		if (worker.unlinked_ms != 0) {
			worker.unlinked_ms = 0;
			worker_show_state();
		}
		return;
	}
	if (worker.unlinked_ms == 0)
		worker.unlinked_ms = now_ms;
	if (now_ms < worker.unlinked_ms + UNLINKED_SHOWN_MS)
		return;
	worker_show_state();
	if (now_ms < worker.unlinked_ms + UNLINKED_MAX_MS ||
	    worker.is_stopping)
		return;
	log_error("%s: no link to the router", worker.name);
	commit_now();
	proc_exit(1);
}

static uint64_t
link_due(void)
{
	if (worker.unlinked_ms == 0)
		return UINT64_MAX;
	return worker.unlinked_ms + (strcmp(worker.state, "running") == 0 ?
	    UNLINKED_SHOWN_MS : UNLINKED_MAX_MS);
}

/* A second after the last work, memory that work needed is given back. */
static void
memory_trim(uint64_t now_ms, bool has_moved)
{
	if (has_moved || flow_under_way(worker.flow) > 0) {
		worker.trim_at_ms = now_ms + TRIM_AFTER_MS;
	} else if (worker.trim_at_ms != 0 && now_ms >= worker.trim_at_ms) {
		worker.trim_at_ms = 0;
		malloc_trim(0);
	}
}

static void
timer_set(uint64_t now_ms)
{
	uint64_t due = flow_due(worker.flow), at[7];
	size_t i;

	at[0] = fill_due();
	at[1] = commit_due();
	at[2] = replay_due();
	at[3] = worker.probe_until_ms == 0 ? UINT64_MAX :
	    worker.probe_until_ms;
	at[4] = worker.is_stopping ? worker.stop_at_ms : UINT64_MAX;
	at[5] = worker.trim_at_ms == 0 ? UINT64_MAX : worker.trim_at_ms;
	at[6] = link_due();
	for (i = 0; i < 7; i++)
		if (at[i] < due)
			due = at[i];
	ev_timer_stop(proc_loop(), &worker.timer);
	if (due == UINT64_MAX)
		return;
	ev_timer_set(&worker.timer,
	    due <= now_ms ? 0.001 : (double)(due - now_ms) / 1000. + 0.0005,
	    0.);
	ev_timer_start(proc_loop(), &worker.timer);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	/* The turn follows. */
}

static void
on_idle(struct ev_loop *loop, ev_idle *w, int events)
{
	(void)events;
	ev_idle_stop(loop, w);
}

void
worker_turn(void)
{
	struct flow_times now = worker_now();
	bool has_moved = true, has_worked = false;
	unsigned i;

	if (worker.flow == NULL)
		return;
	if (worker.probe_until_ms != 0 && now.mono_ms >= worker.probe_until_ms)
		host_probed(NULL, false, "the target does not answer");
	for (i = 0; i < TURNS_MAX && has_moved; i++) {
		has_moved = flow_turn(worker.flow, now);
		has_moved |= fill_turn(now.mono_ms);
		has_worked |= has_moved;
		replay_turn();
	}
	commit_turn(now.mono_ms, !has_moved &&
	    flow_under_way(worker.flow) == 0);
	replay_check(now.mono_ms);
	if (has_worked && flow_under_way(worker.flow) == 0)
		marker_write(worker.flow);
	worker_stop_when_done(now.mono_ms);
	memory_trim(now.mono_ms, has_worked);
	link_check(now.mono_ms);
	ev_now_update(proc_loop());
	timer_set(clock_mono_ms());
	if (has_moved)
		worker_wake();
}

/* --- setup ------------------------------------------------------------- */

static struct definition *
setup_definition(struct json_object *config)
{
	struct json_object *text = json_member(config, "connector");
	struct definition *d;
	struct faults faults;
	struct buf why;

	faults_init(&faults);
	d = definition_read(&sink_type, text == NULL ? SLICE_LIT("{}") :
	    json_text(text), &faults);
	if (faults.total == 0)
		options_check_templates(d->options, &faults);
	if (faults.total == 0) {
		faults_fini(&faults);
		return d;
	}
	buf_init(&why);
	faults_print(&faults, "", &why);
	proc_park("the definition is refused: %s", buf_cstr(&why));
}

static void
setup_store(void)
{
	struct ledger_row *rows;
	char why[600];
	bool is_final;
	size_t i, n;

	worker.store = store_open(worker.name, &is_final, why, sizeof(why));
	if (worker.store == NULL && is_final)
		proc_park("%s", why);
	if (worker.store == NULL) {
		proc_degraded("database", why);
		log_error("%s", why);
		proc_exit(1);
	}
	rows = store_ledger_all(worker.store, &n);
	for (i = 0; i < n; i++) {
		tally_add(&worker.totals.tally, &rows[i].tally);
		worker.totals.replayed += rows[i].replayed;
		worker.totals.tally.dlq += rows[i].replayed + rows[i].purged;
	}
	free(rows);
	worker.dlq_rows = store_dlq_count(worker.store);
}

static void
setup_topics(void)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < worker.d->topic_count; i++)
		json_object_array_add(list,
		    json_object_new_string(worker.d->topics[i]));
	worker.topics_json = slice_dup(json_text(list));
	worker.topics = topics_new(worker.d->topics, worker.d->topic_count);
	json_object_put(list);
}

void
worker_setup(struct json_object *config)
{
	const char *name = strchr(proc_name(), '.');
	struct json_object *last = json_member(config, "last_exit");

	/* Threads of sinks share the one heap: small, and given back whole. */
	mallopt(M_ARENA_MAX, 1);
	worker.name = mem_strdup(name == NULL ? proc_name() : name + 1);
	worker.stream = mem_strdup(json_get_str(config, "stream", ""));
	worker.version = json_get_u64(config, "version", 0);
	worker.start = json_object_get(json_member(config, "start"));
	worker.last_exit = json_object_get(last);
	worker.is_paused = json_get_bool(config, "paused", false);
	worker.d = setup_definition(config);
	setup_topics();
	setup_store();
	marker_open(json_get_bool(last, "own_crash", false));
	ev_timer_init(&worker.timer, on_timer, 0., 0.);
	ev_idle_init(&worker.idle, on_idle);
	worker.flow = flow_new(worker.d, &sink_type.caps, &flow_ops, NULL);
	flow_pause(worker.flow, worker.is_paused);
	sink_open();
	worker.follow = follow_new(proc_loop(), 1, worker.stream, true,
	    &follow_ops, NULL);
	worker_show_state();
	proc_ready();
}

/* A changed definition is a new process: the supervisor starts it. */
void
worker_reconfigure(struct json_object *config)
{
	bool is_paused = json_get_bool(config, "paused", worker.is_paused);

	if (worker.flow == NULL || is_paused == worker.is_paused)
		return;
	worker.is_paused = is_paused;
	flow_pause(worker.flow, is_paused);
	worker_show_state();
	worker_wake();
}

void
worker_link(enum ipc_kind kind, const char *name, uint64_t incarnation,
    int fd)
{
	(void)name;
	if (kind != KIND_ROUTER) {
		close(fd);
		return;
	}
	router_attach(proc_loop(), incarnation, fd);
}

void
worker_shutdown(uint32_t deadline_ms)
{
	if (worker.flow == NULL)
		proc_exit(0);
	worker.is_stopping = true;
	worker.stop_at_ms = clock_mono_ms() + (deadline_ms > STOP_RESERVE_MS ?
	    deadline_ms - STOP_RESERVE_MS : 0);
	flow_pause(worker.flow, true);
	if (worker.sink.type->flush != NULL)
		worker.sink.type->flush(worker.sink.self);
	worker_wake();
}
