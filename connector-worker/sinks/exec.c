/*
 * exec - records to a command of the user's, over exec/1 on its descriptor 3.
 *
 * It is started when there is something for it. When it ends by a fault of
 * its own with several records in hand, none of them is blamed: they are
 * handed over again, one by one, until the one that does it stands alone.
 * That one is unsure: the probe then decides. Ends that others caused
 * (SIGKILL, an exit) and starts that fail are the target's fault.
 *
 * Connectors, section 4; docs/en/exec.md.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/tool.h"
#include "connector-worker/excerpt.h"
#include "connector-worker/sinks/exec_child.h"

#include <stdio.h>
#include <stdlib.h>

#define ARGS_MAX 256
#define SETTINGS_MAX 256
#define REASON_SHOWN 300u

static const struct option options[] = {
	{"command", OPTION_LIST, NULL, 1, ARGS_MAX, NULL, OPTION_REQUIRED,
	    "the program, by path or from PATH, and its arguments; no shell "
	    "reads them. It speaks exec/1 on its descriptor 3",
	    "程序（路径或 PATH 中的名称）及其参数，不经过 shell；"
	    "通过描述符 3 使用 exec/1 协议"},
	{"env", OPTION_MAP, NULL, 0, SETTINGS_MAX, NULL, 0,
	    "more environment for it; not for secrets, others can see it",
	    "附加的环境变量；他人可见，勿放机密"},
	{"settings", OPTION_MAP, NULL, 0, SETTINGS_MAX, NULL, OPTION_SECRET,
	    "handed to it in the frame `open`: the place for secrets",
	    "在 open 帧中交给它；机密放在这里"},
	{"timeout_ms", OPTION_INT, "10000", 100, 600000, NULL, 0,
	    "it is killed when it owes an answer and gives none for so long, "
	    "in milliseconds",
	    "有待答复而在此时间（毫秒）内毫无进展时将被杀死"},
};

enum state { DOWN, STARTING, UP };

enum { PENDING, SENT, ANSWERED };

/* A batch, until its last answer. */
struct load {
	struct load *next;
	struct sink_batch *batch;
	size_t left;		/* not answered */
	/* The frame under way, frame_left 0: none. */
	uint64_t frame_id;
	size_t frame_first, frame_count, frame_left;
	uint8_t records[];	/* PENDING, SENT, ANSWERED */
};

struct exec {
	struct sink *sink;
	struct exec_child child;
	char **argv, **envp;
	enum state state;
	struct load *loads;	/* the oldest first */
	uint64_t last_id;	/* of frames and probes */
	size_t one_by_one;	/* so many records more */
	bool has_hello;		/* of the command that runs */
	bool is_probing, is_testing;
	uint64_t probe_id;	/* 0: not sent yet */
	struct ev_timer patience;
	struct buf reason;
};

/* --- the definition ------------------------------------------------------- */

static void
exec_validate(const struct sink_options *o, struct faults *faults)
{
	size_t i;

	if (opt_count(o, "command") > 0 && opt_value(o, "command", 0)[0] == '\0')
		sink_fault(o, faults, "command", "names no program");
	for (i = 0; i < opt_count(o, "env"); i++) {
		const char *name = opt_key(o, "env", i);

		if (name[0] == '\0' || strchr(name, '=') != NULL)
			sink_fault(o, faults, "env",
			    "\"%s\" is no name of a variable", name);
	}
}

static char **
argv_make(const struct sink_options *o)
{
	size_t n = opt_count(o, "command"), i;
	char **argv = mem_zalloc(n + 1, sizeof(*argv));

	for (i = 0; i < n; i++)
		argv[i] = mem_strdup(opt_value(o, "command", i));
	return argv;
}

static bool
env_has(const struct sink_options *o, const char *entry)
{
	size_t len = strcspn(entry, "="), i;

	for (i = 0; i < opt_count(o, "env"); i++) {
		const char *name = opt_key(o, "env", i);

		if (strlen(name) == len && memcmp(name, entry, len) == 0)
			return true;
	}
	return false;
}

/* What every program gets, and the definition's. */
static char **
envp_make(const struct sink_options *o)
{
	char **base = tool_environment(), **envp;
	size_t n = opt_count(o, "env"), i, used = 0;

	for (i = 0; base[i] != NULL; i++)
		n++;
	envp = mem_zalloc(n + 1, sizeof(*envp));
	for (i = 0; base[i] != NULL; i++)
		if (!env_has(o, base[i]))
			envp[used++] = mem_strdup(base[i]);
	for (i = 0; i < opt_count(o, "env"); i++)
		envp[used++] = mem_printf("%s=%s", opt_key(o, "env", i),
		    opt_value(o, "env", i));
	return envp;
}

static void
strings_free(char **v)
{
	size_t i;

	for (i = 0; v[i] != NULL; i++)
		free(v[i]);
	free(v);
}

/* --- answers -------------------------------------------------------------- */

/* A text of the command's, for people. */
static const char *
reason_read(struct exec *e, struct slice text, const char *otherwise)
{
	buf_clear(&e->reason);
	excerpt_add(&e->reason, text, REASON_SHOWN);
	if (buf_len(&e->reason) == 0)
		buf_add_str(&e->reason, otherwise);
	return buf_cstr(&e->reason);
}

static void
load_answer(struct load *l, size_t i, enum sink_outcome outcome,
    const char *reason)
{
	struct sink_record *r = l->batch->records[i];

	if (l->records[i] == SENT)
		l->frame_left--;
	l->records[i] = ANSWERED;
	l->left--;
	sink_answer(r, outcome, outcome == SINK_DELIVERED ? NULL : reason);
}

static void
load_answer_state(struct load *l, uint8_t state, enum sink_outcome outcome,
    const char *reason)
{
	size_t i, count = l->batch->count;

	for (i = 0; i < count; i++)
		if (l->records[i] == state)
			load_answer(l, i, outcome, reason);
}

/* Drops those that have all their answers. */
static void
loads_sweep(struct exec *e)
{
	struct load **at = &e->loads, *l;

	while ((l = *at) != NULL) {
		if (l->left > 0) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		free(l);
	}
}

static void
probe_end(struct exec *e, const char *reason)
{
	if (!e->is_probing)
		return;
	e->is_probing = false;
	e->probe_id = 0;
	if (e->is_testing)
		sink_tested(e->sink, reason == NULL, reason);
	else
		sink_probed(e->sink, reason == NULL, reason);
}

/* --- the command's end ---------------------------------------------------- */

static size_t
loads_count_sent(const struct exec *e)
{
	const struct load *l;
	size_t n = 0;

	for (l = e->loads; l != NULL; l = l->next)
		n += l->frame_left;
	return n;
}

/* Everything goes back to the runtime, which knows when to try again. */
static void
exec_give_up(struct exec *e, const char *why, bool is_own)
{
	size_t sent = loads_count_sent(e);
	bool is_suspect = is_own && sent == 1;
	struct load *l;

	e->state = DOWN;
	ev_timer_stop(sink_loop(e->sink), &e->patience);
	if (is_own && sent > 1)
		e->one_by_one = sent;
	for (l = e->loads; l != NULL; l = l->next) {
		load_answer_state(l, SENT,
		    is_suspect ? SINK_UNSURE : SINK_UNAVAILABLE, why);
		/* Beside an unavailable one nobody asks about the unsure. */
		load_answer_state(l, PENDING,
		    is_suspect ? SINK_HELD : SINK_UNAVAILABLE, why);
	}
	loads_sweep(e);
	probe_end(e, why);
}

static void
on_end(void *arg, const char *why, bool is_own)
{
	struct exec *e = arg;

	log_limited(LOG_WARN, "%s", why);
	exec_give_up(e, why, is_own);
}

/* --- handing over --------------------------------------------------------- */

static bool
is_owed(const struct exec *e)
{
	return e->state == STARTING || e->probe_id != 0 ||
	    loads_count_sent(e) > 0;
}

static void
patience_set(struct exec *e, bool has_progress)
{
	struct ev_loop *loop = sink_loop(e->sink);

	if (!is_owed(e))
		ev_timer_stop(loop, &e->patience);
	else if (has_progress || !ev_is_active(&e->patience))
		ev_timer_again(loop, &e->patience);
}

static void
on_impatience(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct exec *e = w->data;

	(void)revents;
	ev_timer_stop(loop, w);
	exec_child_kill(&e->child, "the command timed out: no answer for "
	    "%lld ms", (long long)opt_int(sink_opts(e->sink), "timeout_ms"));
}

static void
load_send(struct exec *e, struct load *l)
{
	size_t count = l->batch->count, i = 0;

	while (i < count && l->records[i] != PENDING)
		i++;
	if (i == count)
		return;
	l->frame_id = ++e->last_id;
	l->frame_first = i;
	l->frame_count = l->frame_left = e->one_by_one > 0 ? 1 : count - i;
	memset(l->records + i, SENT, l->frame_count);
	exec_put_batch(&e->child.out, l->frame_id, l->batch->records + i,
	    l->frame_count);
}

static bool
exec_start(struct exec *e)
{
	if (!exec_child_start(&e->child)) {
		exec_give_up(e, e->child.why, false);
		return false;
	}
	e->state = STARTING;
	e->has_hello = false;
	exec_put_hello(&e->child.out, sink_connector(e->sink),
	    sink_stream(e->sink));
	exec_put_open(&e->child.out, sink_opts(e->sink), sink_is_test(e->sink));
	return true;
}

static void
exec_pump(struct exec *e)
{
	struct load *l;

	if (e->loads == NULL && !e->is_probing) {
		patience_set(e, false);
		return;
	}
	if (e->state == DOWN && !exec_start(e))
		return;
	if (e->state == UP && !e->child.is_ending) {
		if (e->is_probing && e->probe_id == 0) {
			e->probe_id = ++e->last_id;
			exec_put_probe(&e->child.out, e->probe_id);
		}
		for (l = e->loads; l != NULL; l = l->next) {
			if (l->frame_left == 0)
				load_send(e, l);
			if (e->one_by_one > 0)
				break;
		}
	}
	exec_child_flush(&e->child);
	patience_set(e, false);
}

/* --- frames --------------------------------------------------------------- */

static struct load *
load_find(struct exec *e, uint64_t id)
{
	struct load *l;

	for (l = e->loads; l != NULL; l = l->next)
		if (l->frame_left > 0 && l->frame_id == id)
			return l;
	return NULL;
}

static const char *
answers_take(struct exec *e, struct exec_frame *f)
{
	struct load *l = load_find(e, f->number);
	bool has_progress = f->answers_left > 0;
	struct exec_answer a;
	size_t i;

	if (l == NULL)
		return "answers to a batch that is not under way";
	while (exec_answer_take(f, &a)) {
		i = l->frame_first + a.index;
		if (a.index >= l->frame_count || l->records[i] != SENT)
			return "an answer to a record that waits for none";
		load_answer(l, i, a.outcome, reason_read(e, a.reason,
		    "the command gave no reason"));
		if (e->one_by_one == 0)
			continue;
		e->one_by_one--;
		/* None of its key may be handed over after it. */
		if (a.outcome != SINK_DELIVERED && a.outcome != SINK_REFUSED)
			load_answer_state(l, PENDING, SINK_HELD,
			    "an earlier record is tried again");
	}
	loads_sweep(e);
	patience_set(e, has_progress);
	return NULL;
}

static const char *
hello_take(struct exec *e, const struct exec_frame *f)
{
	if (e->state != STARTING || f->number != EXEC_VERSION)
		return "a hello of another version, or out of turn";
	if (e->is_testing)
		sink_found(e->sink, "command", "%s, exec/%d",
		    reason_read(e, f->name, "without a name"), EXEC_VERSION);
	e->has_hello = true;
	return NULL;
}

static const char *
opened_take(struct exec *e, const struct exec_frame *f)
{
	if (e->state != STARTING || !e->has_hello)
		return "an opened out of turn";
	if (!slice_is_null(f->reason)) {
		exec_child_kill(&e->child, "the command could not open: %s",
		    reason_read(e, f->reason, "it gave no reason"));
		return NULL;
	}
	e->state = UP;
	patience_set(e, true);
	return NULL;
}

static const char *
probed_take(struct exec *e, const struct exec_frame *f)
{
	if (e->probe_id == 0 || f->number != e->probe_id)
		return "an answer to a probe that was not asked";
	e->probe_id = 0;
	/* Who answers probes and no records makes no progress. */
	patience_set(e, false);
	probe_end(e, slice_is_null(f->reason) ? NULL :
	    reason_read(e, f->reason, "the command's target is not well"));
	return NULL;
}

static const char *
on_frame(void *arg, struct exec_frame *f)
{
	struct exec *e = arg;
	const char *fault = NULL;

	switch (f->kind) {
	case EXEC_HELLO:
		fault = hello_take(e, f);
		break;
	case EXEC_OPENED:
		fault = opened_take(e, f);
		break;
	case EXEC_ANSWERS:
		fault = answers_take(e, f);
		break;
	case EXEC_PROBED:
		fault = probed_take(e, f);
		break;
	}
	if (fault == NULL)
		exec_pump(e);
	return fault;
}

/* --- the sink ------------------------------------------------------------- */

static void *
exec_open(struct sink *sink)
{
	static const struct exec_ops ops = {
	    .on_frame = on_frame, .on_end = on_end};
	struct exec *e = mem_zalloc(1, sizeof(*e));
	const struct sink_options *o = sink_opts(sink);
	double timeout = (double)opt_int(o, "timeout_ms") / 1000.;

	e->sink = sink;
	e->argv = argv_make(o);
	e->envp = envp_make(o);
	ev_init(&e->patience, on_impatience);
	e->patience.repeat = timeout;
	e->patience.data = e;
	buf_init(&e->reason);
	exec_child_init(&e->child, sink_loop(sink), &ops, e, e->argv, e->envp);
	return e;
}

static void
exec_close(void *self)
{
	struct exec *e = self;
	struct load *l;

	ev_timer_stop(sink_loop(e->sink), &e->patience);
	if (e->state != DOWN)
		exec_put_close(&e->child.out);
	exec_child_fini(&e->child);
	while ((l = e->loads) != NULL) {
		e->loads = l->next;
		free(l);
	}
	strings_free(e->argv);
	strings_free(e->envp);
	buf_fini(&e->reason);
	free(e);
}

static void
exec_send_batch(void *self, struct sink_batch *batch)
{
	struct load *l = mem_zalloc(1, sizeof(*l) + batch->count);
	struct load **at;
	struct exec *e = self;

	l->batch = batch;
	l->left = batch->count;
	for (at = &e->loads; *at != NULL; at = &(*at)->next)
		;
	*at = l;
	exec_pump(e);
}

static void
exec_probe(void *self)
{
	struct exec *e = self;

	e->is_probing = true;
	exec_pump(e);
}

static void
exec_test(void *self)
{
	struct exec *e = self;

	e->is_testing = true;
	exec_probe(e);
}

const struct sink_type sink_type = {
	.name = "exec",
	.help_en = "a command of yours that speaks exec/1",
	.help_zh = "使用 exec/1 协议的自定义命令",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.caps = {
		.orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION |
		    SINK_ORDER_NONE,
		.in_flight_max = 16,
		.records_max = EXEC_RECORDS_MAX,
		.bytes_max = 16u << 20,
		.ports = "any",
	},
	.validate = exec_validate,
	.open = exec_open,
	.send_batch = exec_send_batch,
	.probe = exec_probe,
	.test = exec_test,
	.close = exec_close,
};
