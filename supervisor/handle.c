/* What children say: one function per message. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/connector.h"

#include <signal.h>
#include <stdlib.h>

/* A child that has gone wrong may not fill our memory. */
#define COMPLAINTS_MAX 32

static void
complaint_free(struct complaint *p)
{
	free(p->key);
	free(p->reason);
	free(p);
}

void
complaints_clear(struct child *c)
{
	struct complaint *p;

	while ((p = c->complaints) != NULL) {
		c->complaints = p->next;
		complaint_free(p);
	}
}

static void
complaint_set(struct child *c, struct slice key, struct slice reason)
{
	struct complaint **at = &c->complaints, *p;
	unsigned n = 0;

	for (; *at != NULL && !slice_is(key, (*at)->key); n++)
		at = &(*at)->next;
	p = *at;
	if (p == NULL && n == COMPLAINTS_MAX)
		return;
	if (reason.len == 0) {
		if (p == NULL)
			return;
		*at = p->next;
		log_info("%s: no longer: %s", c->name, p->reason);
		complaint_free(p);
		return;
	}
	if (p == NULL) {
		p = mem_zalloc(1, sizeof(*p));
		p->key = slice_dup(key);
		p->since_ms = clock_wall_ms();
		*at = p;
		log_warn("%s: %.*s", c->name, SLICE_ARG(reason));
	}
	free(p->reason);
	p->reason = slice_dup(reason);
}

static bool
on_ready(struct link *l, struct frame *f)
{
	struct child *c = link_arg(l);

	c->incarnation = f->u.ready.incarnation;
	child_event(c, LIFE_EVENT_READY);
	if (c->kind == KIND_ROUTER)
		connectors_resolve();
	return true;
}

static bool
on_park(struct link *l, struct frame *f)
{
	struct child *c = link_arg(l);
	char *reason = slice_dup(f->u.park.reason);

	log_error("%s will not be restarted: %s", c->name, reason);
	child_reason(c, reason);
	free(reason);
	child_event(c, LIFE_EVENT_PARK);
	return true;
}

static bool
on_degraded(struct link *l, struct frame *f)
{
	complaint_set(link_arg(l), f->u.degraded.key, f->u.degraded.reason);
	return true;
}

static bool
on_state(struct link *l, struct frame *f)
{
	struct child *c = link_arg(l);
	const struct ipc_state *m = &f->u.state;

	if (c->worker_state == NULL || !slice_is(m->state, c->worker_state))
		c->since_ms = clock_wall_ms();
	free(c->worker_state);
	free(c->worker_reason);
	c->worker_state = slice_dup(m->state);
	c->worker_reason = m->reason.len == 0 ? NULL : slice_dup(m->reason);
	return true;
}

static bool
on_pong(struct link *l, struct frame *f)
{
	watchdog_on_pong(link_arg(l), f->u.pong.seq);
	return true;
}

static bool
on_stuck(struct link *l, struct frame *f)
{
	struct child *c;
	char *name = slice_dup(f->u.stuck.name);

	(void)l;
	c = tree_find(name);
	free(name);
	if (c == NULL || c->kind != KIND_ACCEPTOR)
		return true;
	log_error("%s did not register with the new router: killed", c->name);
	child_kill(c, SIGKILL);
	return true;
}

static bool
on_request(struct link *l, struct frame *f)
{
	request_on(link_arg(l), &f->u.request);
	return true;
}

static bool
on_reply(struct link *l, struct frame *f)
{
	request_on_reply(link_arg(l), &f->u.reply);
	return true;
}

static link_handler *const handlers[IPC_TYPE_MAX + 1] = {
    [IPC_READY] = on_ready,
    [IPC_PARK] = on_park,
    [IPC_DEGRADED] = on_degraded,
    [IPC_STATE] = on_state,
    [IPC_PONG] = on_pong,
    [IPC_STUCK] = on_stuck,
    [IPC_REQUEST] = on_request,
    [IPC_REPLY] = on_reply,
};

const struct link_ops child_ops = {
    .on = handlers,
    .on_close = child_on_close,
};
