#include "router/settle.h"

#include "router/commit.h"
#include "router/conn.h"
#include "router/delivery.h"
#include "router/sender.h"
#include "router/session.h"

/* So many settlements may wait for lazy rows. */
#define LAZY_MAX 4096

enum { SETTLE_PUBACK, SETTLE_PUBREC, SETTLE_PUBCOMP, SETTLE_PUBREL };

static void
release(struct sender *s, const struct session *session, uint64_t seq,
    uint8_t kind)
{
	const struct conn *c = session->conn;

	if (c == NULL || conn_home(c) != s)
		return;
	ipc_add_release_item(&s->release,
	    &(struct ipc_release_item){
		.conn = c->number, .seq = seq, .kind = kind});
}

static bool
settle_lazily(struct session *session, bool has_changed)
{
	if (has_changed)
		session_touch(session, SESSION_LAZY);
	delivery_ready(session);
	return has_changed;
}

/* Whether a commit has to tell of it. */
static bool
settle_one(struct sender *s, const struct ipc_settle_item *m)
{
	struct session *session = session_find(m->session);

	if (session == NULL)
		return false;
	switch (m->kind) {
	case SETTLE_PUBACK:
		return settle_lazily(
		    session, queue_puback(&session->queue, m->seq));
	case SETTLE_PUBCOMP:
		return settle_lazily(
		    session, queue_pubcomp(&session->queue, m->seq));
	case SETTLE_PUBREC:
		/* Answered also where it is not known any more. */
		if (queue_pubrec(&session->queue, m->seq))
			session_touch(session, SESSION_NOW);
		release(s, session, m->seq, 1);
		break;
	case SETTLE_PUBREL:
		if (session_remove_mid(session, (uint16_t)m->seq))
			session_touch(session, SESSION_NOW);
		session_clear_suspects(session, (uint16_t)m->seq);
		release(s, session, m->seq, 3);
		break;
	}
	/*
	 * The release must not arrive without the settlement being taken:
	 * one that is handed over again would meet a new message under the
	 * same identifier.
	 */
	commit_want_all();
	return true;
}

bool
settle_take(struct sender *s, const struct ipc_settle *m)
{
	struct ipc_list items = m->items;
	struct ipc_settle_item item;
	uint64_t number = m->number;
	int rc;

	if (number <= s->settle)
		return false;
	while ((rc = ipc_next_settle_item(&items, &item)) == 1) {
		s->settle = number++;
		if (settle_one(s, &item))
			s->settle_needed = s->settle;
	}
	if (s->settle_needed > s->settle_upto + LAZY_MAX)
		commit_want_all();
	return rc == 0;
}
