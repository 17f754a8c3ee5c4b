#include "acceptor/mqtt/router.h"

#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/inbound.h"
#include "acceptor/mqtt/keep.h"
#include "acceptor/mqtt/login.h"
#include "acceptor/mqtt/subscribe.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/proc.h"

#include <stdlib.h>
#include <unistd.h>

/* Held for the router, taken or not: beyond it publishers rest. */
#define HELD_MAX (32u << 20)
#define INTEREST_CUT (192u << 10)

/* A message of a version 3 client that was refused for want of space. */
struct refused {
	struct refused *next;
	uint64_t conn;
	uint16_t id;
	size_t len;
	uint8_t item[];
};

static struct {
	struct link *link;
	char *next_name;	/* of the link that comes after this one */
	int next_fd;
	bool is_ready;		/* it has welcomed us */
	bool was_ready;		/* one has, since we began */
	struct keep messages;
	struct keep settlements;
	struct ipc_batch interest;
	uint64_t next_interest;	/* the number of the next INTEREST frame */
	uint64_t confirmed;	/* up to this one */
	struct buf stalled;	/* u64 conn: who rests for STOP_ROUTER */
	struct refused *refused, **refused_end;
	size_t refused_bytes;
} router;

void
router_init(void)
{
	keep_init(&router.messages);
	keep_init(&router.settlements);
	router.next_interest = 1;
	router.next_fd = -1;
	router.refused_end = &router.refused;
}

/* ---- messages ----------------------------------------------------------- */

bool
router_is_open(void)
{
	return router.is_ready && link_credit(router.link) > 0 &&
	    router.messages.bytes < HELD_MAX;
}

static void
stall(struct client *c)
{
	if ((c->stop & STOP_ROUTER) != 0)
		return;
	buf_add(&router.stalled, &c->conn, sizeof(c->conn));
	client_stop(c, STOP_ROUTER);
}

static void
go_on(void)
{
	struct slice conns;
	struct client *c;
	uint64_t conn;

	if (!router_is_open() || buf_len(&router.stalled) == 0)
		return;
	conns = buf_slice(&router.stalled);
	for (; conns.len > 0; conns.p += sizeof(conn),
	    conns.len -= sizeof(conn)) {
		memcpy(&conn, conns.p, sizeof(conn));
		c = client_find(conn);
		if (c != NULL)
			client_resume(c, STOP_ROUTER);
	}
	buf_trim(&router.stalled, 4096);
}

uint64_t
router_publish(struct client *c, const struct ipc_publish_item *item,
    bool must)
{
	ipc_add_publish_item(keep_open(&router.messages), item);
	mqtt.stats.messages_handed_total++;
	if (!router_is_open())
		stall(c);
	return keep_added(&router.messages, must, must ? c->conn : 0);
}

void
router_settle(uint64_t session, uint64_t seq, enum settle_kind kind)
{
	struct ipc_settle_item item = {session, seq, (uint8_t)kind};

	ipc_add_settle_item(keep_open(&router.settlements), &item);
	keep_added(&router.settlements, true, 0);
}

static bool
skip_message(struct ipc_list *list)
{
	struct ipc_publish_item item;

	return ipc_next_publish_item(list, &item) > 0;
}

static bool
skip_settlement(struct ipc_list *list)
{
	struct ipc_settle_item item;

	return ipc_next_settle_item(list, &item) > 0;
}

static void
put_messages(void)
{
	struct ipc_publish m;
	struct keep_batch *b;

	while (router.is_ready && link_credit(router.link) > 0 &&
	    (b = keep_unsent(&router.messages)) != NULL) {
		m.items = keep_rest(&router.messages, b, skip_message,
		    &m.number);
		if (m.items.count > 0)
			link_put_publish(router.link, &m);
		keep_sent(&router.messages);
	}
}

static void
put_settlements(void)
{
	struct ipc_settle m;
	struct keep_batch *b;

	while ((b = keep_unsent(&router.settlements)) != NULL) {
		m.items = keep_rest(&router.settlements, b, skip_settlement,
		    &m.number);
		if (m.items.count > 0)
			link_put_settle(router.link, &m);
		keep_sent(&router.settlements);
	}
}

/* ---- refusals ----------------------------------------------------------- */

static void
refused_keep(struct client *c, uint16_t id, struct slice item)
{
	struct refused *r;

	/* It keeps the message itself, and comes again. */
	if (item.len > HELD_MAX - router.refused_bytes) {
		client_fail(c, MQTT_QUOTA_EXCEEDED);
		return;
	}
	router.refused_bytes += item.len;
	r = mem_zalloc(1, sizeof(*r) + item.len);
	r->conn = c->conn;
	r->id = id;
	r->len = item.len;
	memcpy(r->item, item.p, item.len);
	*router.refused_end = r;
	router.refused_end = &r->next;
}

static void
refuse_one(const struct ipc_refused_item *refused)
{
	struct client *c;
	struct slice item;
	uint64_t conn = 0;
	uint16_t id;

	item = keep_find(&router.messages, refused->number, skip_message,
	    &conn);
	c = client_find(conn);
	if (c != NULL && inbound_refused(c, refused->number, refused->reason,
	    &id))
		refused_keep(c, id, item);
}

/* There may be space again: what was refused is handed over anew. */
static void
refused_again(void)
{
	struct refused *list = router.refused, *r;
	struct ipc_batch *batch;
	struct client *c;

	router.refused = NULL;
	router.refused_end = &router.refused;
	router.refused_bytes = 0;
	while ((r = list) != NULL) {
		list = r->next;
		c = client_find(r->conn);
		if (c != NULL && c->state < CLIENT_CLOSING) {
			batch = keep_open(&router.messages);
			buf_add(&batch->bytes, r->item, r->len);
			batch->count++;
			inbound_renumber(c, r->id, keep_added(
			    &router.messages, true, r->conn));
		}
		free(r);
	}
}

void
router_space(bool is_full)
{
	if (!is_full)
		refused_again();
}

static void
on_taken(uint64_t conn, uint64_t number, void *arg)
{
	struct client *c = client_find(conn);
	const uint64_t *taken = arg;

	(void)number;
	if (c != NULL && client_is_on(c))
		inbound_taken(c, *taken);
}

static void
on_settled(uint64_t conn, uint64_t number, void *arg)
{
	(void)conn;
	(void)number;
	(void)arg;
}

void
router_taken(const struct ipc_taken *m)
{
	struct ipc_list list = m->refused;
	struct ipc_refused_item item;
	uint64_t taken = m->number;

	while (ipc_next_refused_item(&list, &item) > 0)
		refuse_one(&item);
	keep_taken(&router.messages, m->number, on_taken, &taken);
	keep_taken(&router.settlements, m->settle, on_settled, NULL);
	go_on();
}

/* ---- interest ----------------------------------------------------------- */

static void
interest_put(struct filter *f, bool add)
{
	struct ipc_interest_item item = {add, filter_text(f)};

	if (router.link != NULL)
		ipc_add_interest_item(&router.interest, &item);
}

void
router_interest_add(struct filter *f)
{
	f->interest = router.next_interest;
	interest_put(f, true);
}

void
router_interest_remove(struct filter *f)
{
	interest_put(f, false);
}

bool
router_has_interest(uint64_t interest)
{
	return interest <= router.confirmed;
}

static void
interest_send(uint64_t seq)
{
	struct ipc_interest m = {.seq = seq,
	    .items = ipc_batch_list(&router.interest)};

	link_put_interest(router.link, &m);
	ipc_batch_clear(&router.interest);
}

void
router_interest_ok(uint64_t seq)
{
	if (seq <= router.confirmed || seq >= router.next_interest)
		return;
	router.confirmed = seq;
	requests_interest(seq);
}

static bool
interest_again(struct slice key, void *value, void *arg)
{
	struct filter *f = value;

	(void)key;
	f->interest = *(uint64_t *)arg;
	interest_put(f, true);
	/* All but the last frame have the number 0, which confirms none. */
	if (buf_len(&router.interest.bytes) > INTEREST_CUT)
		interest_send(0);
	return true;
}

/* ---- connections -------------------------------------------------------- */

static void
connect_put(struct client *c)
{
	char address[LOGIN_ADDRESS_LEN];
	struct ipc_connect m;

	login_describe(c, address, &m);
	link_put_connect(router.link, &m);
}

void
router_connect(struct client *c)
{
	if (router.is_ready)
		connect_put(c);
}

static void
disconnect_put(const struct client *c)
{
	struct ipc_disconnect m = {
	    .conn = c->conn,
	    .epoch = c->epoch,
	    .will = c->wants_will,
	    .reason = c->reason,
	    .has_expiry = c->has_expiry,
	    .expiry_s = c->expiry_s,
	};

	link_put_disconnect(router.link, &m);
}

bool
router_disconnect(struct client *c)
{
	if (router.link == NULL)
		return c->epoch == 0;
	disconnect_put(c);
	return true;
}

void
router_subscribe(uint64_t conn, uint64_t seq, const struct ipc_batch *subs)
{
	struct ipc_subscribe m = {conn, seq, ipc_batch_list(subs)};

	if (router.is_ready)
		link_put_subscribe(router.link, &m);
}

void
router_unsubscribe(uint64_t conn, uint64_t seq,
    const struct ipc_batch *filters)
{
	struct ipc_unsubscribe m = {conn, seq, ipc_batch_list(filters)};

	if (router.is_ready)
		link_put_unsubscribe(router.link, &m);
}

void
router_retained_get(uint64_t conn, uint64_t seq, struct slice filter)
{
	struct ipc_retained_get m = {conn, seq, filter};

	if (!router.is_ready)
		return;
	/* The answer must not be older than what is held from now on. */
	if (router.interest.count > 0)
		interest_send(router.next_interest++);
	link_put_retained_get(router.link, &m);
}

/* ---- a new router ------------------------------------------------------- */

/* Sequence numbers that the client has and did not answer. */
static void
in_flight_add(const struct client *c, struct buf *b)
{
	uint64_t seq = 0;

	if (c->session == 0 || c->flow == NULL)
		return;
	for (; window_next(&c->flow->window, &seq); seq++)
		buf_add_be64(b, seq);
}

static void
reclaim(struct client *c, void *arg)
{
	char address[LOGIN_ADDRESS_LEN];
	struct buf body = {0}, in_flight = {0};
	struct ipc_connect connect;
	struct ipc_reclaim m = {.epoch = c->epoch, .session = c->session};

	(void)arg;
	if (c->epoch == 0 || (c->state != CLIENT_ON &&
	    c->state != CLIENT_GONE))
		return;
	login_describe(c, address, &connect);
	ipc_put_connect(&body, &connect);
	buf_consume(&body, IPC_HEADER_LEN);
	in_flight_add(c, &in_flight);
	m.connect = buf_slice(&body);
	m.in_flight = buf_slice(&in_flight);
	link_put_reclaim(router.link, &m);
	if (c->state == CLIENT_GONE)
		disconnect_put(c);
	client_told(c);
	buf_fini(&body);
	buf_fini(&in_flight);
}

static void
forget_untold(struct client *c, void *arg)
{
	(void)arg;
	/* No router ever heard of it. */
	if (c->state == CLIENT_GONE && c->epoch == 0)
		client_told(c);
}

static void
link_begin(const char *name, int fd)
{
	struct ipc_registration m = {
	    .incarnation = proc_incarnation(),
	    .next_number = router.messages.next,
	    .next_settle = router.settlements.next,
	};
	uint64_t seq = router.next_interest++;

	router.link = link_new(proc_loop(), fd, KIND_ACCEPTOR, KIND_ROUTER,
	    name, proc_incarnation(), &router_ops, NULL);
	link_put_registration(router.link, &m);
	ipc_batch_clear(&router.interest);
	trie_walk(mqtt.subs.trie, interest_again, &seq);
	interest_send(seq);
	clients_each(forget_untold, NULL);
	clients_each(reclaim, NULL);
	/* Before the router sends again what is answered already. */
	keep_resend(&router.settlements);
	put_settlements();
	link_put_registered(router.link, &(struct ipc_registered){0});
}

/*
 * The old router is dead, but what it wrote may not be read to its end: the
 * new link waits for that.
 */
void
router_link(const char *name, int fd)
{
	if (router.link == NULL) {
		link_begin(name, fd);
		return;
	}
	if (router.next_fd != -1)
		close(router.next_fd);
	free(router.next_name);
	router.next_name = mem_strdup(name);
	router.next_fd = fd;
}

static void
connect_again(struct client *c, void *arg)
{
	(void)arg;
	if (c->state == CLIENT_WAITING)
		connect_put(c);
}

/*
 * What the old router may have committed without saying so: asked again
 * under new numbers, which changes nothing where it was done.
 */
static void
settle_again(struct client *c, void *arg)
{
	struct flow *f = c->flow;
	uint64_t seq = 0;
	uint32_t at = 0;
	uint16_t id;

	(void)arg;
	if (c->session == 0 || f == NULL || !client_is_on(c))
		return;
	for (; window_next(&f->window, &seq); seq++) {
		if (window_get(&f->window, seq) == WINDOW_RELEASE)
			router_settle(c->session, seq, SETTLE_PUBREC);
	}
	while ((id = id_set_next(&f->releasing, &at)) != 0)
		router_settle(c->session, id, SETTLE_RELEASE);
}

static void
on_credit(struct link *l)
{
	(void)l;
	go_on();
}

void
router_welcomed(uint64_t generation)
{
	(void)generation;
	router.is_ready = true;
	link_on_credit(router.link, on_credit);
	keep_resend(&router.messages);
	clients_each(connect_again, NULL);
	requests_again();
	clients_each(settle_again, NULL);
	refused_again();
	go_on();
	if (!router.was_ready)
		proc_ready();
	router.was_ready = true;
}

void
router_closed(void)
{
	link_free(router.link);
	router.link = NULL;
	router.is_ready = false;
	ipc_batch_clear(&router.interest);
	if (router.next_fd == -1)
		return;
	link_begin(router.next_name, router.next_fd);
	free(router.next_name);
	router.next_name = NULL;
	router.next_fd = -1;
}

/* ---- the end of a turn -------------------------------------------------- */

void
router_prepare(void)
{
	if (router.link == NULL)
		return;
	if (router.interest.count > 0)
		interest_send(router.next_interest++);
	if (router.is_ready)
		put_settlements();
	put_messages();
	go_on();
}

bool
router_is_settled(void)
{
	return router.messages.head == NULL &&
	    router.settlements.head == NULL;
}
