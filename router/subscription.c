#include "router/conn.h"

#include "base/mem.h"
#include "base/topic.h"
#include "router/commit.h"
#include "router/retained.h"
#include "router/route.h"
#include "router/rows.h"
#include "router/sender.h"
#include "router/session.h"

#define REASON_NO_SUBSCRIPTION 0x11	/* no subscription existed */
#define REASON_NOT_A_FILTER 0x8f	/* topic filter invalid */

enum { DID_SUBSCRIBE, DID_UNSUBSCRIBE };

static void
after_change(struct after *a)
{
	struct sender *home = sender_find(a->sender);
	struct conn *c = home == NULL ? NULL : conn_find(home, a->conn);

	if (c == NULL || c->epoch != a->epoch)
		return;
	if (a->flag == DID_SUBSCRIBE)
		link_put_subscribed(home->link,
		    &(struct ipc_subscribed){.conn = a->conn,
			.seq = a->seq,
			.results = ipc_batch_list(&a->results)});
	else
		link_put_unsubscribed(home->link,
		    &(struct ipc_unsubscribed){.conn = a->conn,
			.seq = a->seq,
			.results = ipc_batch_list(&a->results)});
}

static struct after *
change_new(const struct conn *c, uint64_t seq, uint8_t what)
{
	struct after *a = mem_zalloc(1, sizeof(*a));

	a->run = after_change;
	a->sender = conn_home(c)->serial;
	a->conn = c->number;
	a->epoch = c->epoch;
	a->seq = seq;
	a->flag = what;
	return a;
}

/* Retain handling (MQTT 5, 3.8.3.1): 0 always, 1 if new, 2 never. */
static bool
wants_retained(uint8_t options, bool existed)
{
	unsigned handling = SUB_HANDLING(options);

	return (options & SUB_QOS) > 0 &&
	    (handling == 0 || (handling == 1 && !existed));
}

static void
subscribe_one(struct session *s, const struct ipc_session_sub *m,
    struct ipc_sub_result *result)
{
	struct sub *sub;
	bool existed;

	if (filter_check(m->filter) != NULL || (m->options & SUB_QOS) == 3) {
		*result = (struct ipc_sub_result){REASON_NOT_A_FILTER, 0};
		return;
	}
	existed = session_subscribe(
	    s, m->filter, m->options, m->sub_id, &sub);
	ROW_ADD(commit_rows(), ROW_SUB_PUT, RU(s->id), RS(m->filter),
	    RU(m->options), RU(m->sub_id));
	if (wants_retained(m->options, existed))
		retained_queue(sub);
	*result = (struct ipc_sub_result){m->options & SUB_QOS, existed};
}

void
conn_subscribe(struct sender *home, const struct ipc_subscribe *m)
{
	struct conn *c = conn_find(home, m->conn);
	struct ipc_list subs = m->subs;
	struct ipc_session_sub sub;
	struct ipc_sub_result result;
	struct after *a;

	if (c == NULL || c->session == NULL)
		return;
	a = change_new(c, m->seq, DID_SUBSCRIBE);
	while (ipc_next_session_sub(&subs, &sub) == 1) {
		subscribe_one(c->session, &sub, &result);
		ipc_add_sub_result(&a->results, &result);
	}
	commit_after(a);
}

void
conn_unsubscribe(struct sender *home, const struct ipc_unsubscribe *m)
{
	struct conn *c = conn_find(home, m->conn);
	struct ipc_list filters = m->filters;
	struct ipc_filter_item item;
	struct after *a;
	bool existed;

	if (c == NULL || c->session == NULL)
		return;
	a = change_new(c, m->seq, DID_UNSUBSCRIBE);
	while (ipc_next_filter_item(&filters, &item) == 1) {
		existed = session_unsubscribe(c->session, item.filter);
		ROW_ADD(commit_rows(), ROW_SUB_DELETE, RU(c->session->id),
		    RS(item.filter));
		ipc_add_sub_result(&a->results,
		    &(struct ipc_sub_result){
			existed ? 0 : REASON_NO_SUBSCRIPTION, existed});
	}
	commit_after(a);
}
