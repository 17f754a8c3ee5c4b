#include "connector-worker/sinks/postgres_conn.h"

#include "base/log.h"
#include "connector-worker/excerpt.h"
#include "connector-worker/resolve.h"

#include <stdio.h>

/* A server that says more at a time is heard in the next turn. */
#define RESULTS_A_TURN 4096

static void on_conn_io(struct ev_loop *, struct ev_io *, int);

static void
results_clear(struct pg_conn *c)
{
	while (c->results_len > 0)
		PQclear(c->results[--c->results_len]);
}

void
pg_conn_close(struct pg_conn *c)
{
	ev_io_stop(c->loop, &c->io);
	ev_timer_stop(c->loop, &c->timer);
	resolve_cancel(c->look_up);
	c->look_up = NULL;
	results_clear(c);
	PQfinish(c->pg);
	c->pg = NULL;
	c->is_up = false;
	c->is_waiting = false;
	c->has_copy = c->is_copying = false;
}

/* libpq's texts have several lines; a status has one. */
static void
fault_set(
    struct pg_conn *c, enum pg_fault fault, const char *state, const char *text)
{
	struct buf b;

	buf_init(&b);
	excerpt_add(&b, slice_str(text), sizeof(c->text) - 1);
	snprintf(c->text, sizeof(c->text), "%s", buf_cstr(&b));
	buf_fini(&b);
	c->fault = fault;
	c->state[0] = '\0';
	if (state != NULL && strlen(state) == 5 &&
	    strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5)
		memcpy(c->state, state, 6);
}

/* The step is over. The callback may begin another or close. */
static void
step_end(struct pg_conn *c)
{
	pg_conn_cb *cb = c->cb;

	ev_timer_stop(c->loop, &c->timer);
	c->is_waiting = false;
	c->has_copy = c->is_copying = false;
	c->cb = NULL;
	if (cb != NULL)
		cb(c, c->arg);
}

static void
conn_lost(struct pg_conn *c, enum pg_fault fault, const char *text)
{
	bool was_waiting = c->is_waiting;

	/* What the server said before it hung up tells more than the end. */
	if (was_waiting && c->fault == PG_FAULT_SQL)
		c->fault = fault;
	else
		fault_set(c, fault, NULL, text);
	pg_conn_close(c);
	if (was_waiting)
		step_end(c);
}

static void
conn_watch(struct pg_conn *c, int events)
{
	if (ev_is_active(&c->io) && c->io.fd == PQsocket(c->pg) &&
	    (c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(c->loop, &c->io);
	ev_io_set(&c->io, PQsocket(c->pg), events);
	ev_io_start(c->loop, &c->io);
}

static void
step_begin(struct pg_conn *c, pg_conn_cb *cb, void *arg)
{
	bug_on(c->is_waiting);
	c->is_waiting = true;
	c->fault = PG_FAULT_NONE;
	c->state[0] = c->text[0] = '\0';
	c->cb = cb;
	c->arg = arg;
	results_clear(c);
	ev_timer_stop(c->loop, &c->timer);
	ev_now_update(c->loop);
	ev_timer_set(&c->timer, c->timeout_ms / 1000., 0.);
	ev_timer_start(c->loop, &c->timer);
}

static void
on_conn_timer(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct pg_conn *c = w->data;
	char text[96];

	(void)loop;
	(void)revents;
	snprintf(text, sizeof(text), "no answer within %d ms%s", c->timeout_ms,
	    c->is_up ? "" : " while connecting");
	conn_lost(c, PG_FAULT_TIMEOUT, text);
}

void
pg_conn_init(struct pg_conn *c, struct ev_loop *loop, const char *host,
    const char *const *names, const char *const *values, int timeout_ms)
{
	*c = (struct pg_conn){.loop = loop,
	    .host = host,
	    .names = names,
	    .values = values,
	    .timeout_ms = timeout_ms};
	ev_init(&c->io, on_conn_io);
	c->io.data = c;
	ev_init(&c->timer, on_conn_timer);
	c->timer.data = c;
}

/* --- connecting ----------------------------------------------------------- */

static void
on_notice(void *arg, const PGresult *result)
{
	(void)arg;
	log_limited(
	    LOG_DEBUG, "the server says: %s", PQresultErrorMessage(result));
}

static void
conn_connected(struct pg_conn *c)
{
	if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg)) {
		conn_lost(c, PG_FAULT_LOST, PQerrorMessage(c->pg));
		return;
	}
	c->is_pipeline = true;
	c->is_up = true;
	conn_watch(c, EV_READ);
	step_end(c);
}

static void
conn_poll(struct pg_conn *c)
{
	/* libpq may close this socket and open another. */
	ev_io_stop(c->loop, &c->io);
	switch (PQconnectPoll(c->pg)) {
	case PGRES_POLLING_READING:
		conn_watch(c, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		conn_watch(c, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		conn_connected(c);
		break;
	case PGRES_POLLING_ACTIVE:
	case PGRES_POLLING_FAILED:
		conn_lost(c, PG_FAULT_LOST, PQerrorMessage(c->pg));
		break;
	}
}

/*
 * addresses NULL: the host needs no look-up. hostaddr stands last among the
 * names, its value is filled in here.
 */
static void
conn_start(struct pg_conn *c, const char *addresses)
{
	const char *values[32];
	char hosts[2048] = "";
	size_t n = 0, used = 0;

	for (; c->names[n] != NULL && n < 31; n++) {
		values[n] = c->values[n];
		if (strcmp(c->names[n], "hostaddr") == 0)
			values[n] = addresses;
	}
	values[n] = NULL;
	/* libpq wants a host for each address. */
	for (const char *a = addresses; a != NULL; a = strchr(a, ',')) {
		int add = snprintf(hosts + used, sizeof(hosts) - used, "%s%s",
		    used > 0 ? "," : "", c->values[0]);

		if (add < 0 || (size_t)add >= sizeof(hosts) - used)
			break;
		used += (size_t)add;
		a++;
	}
	if (addresses != NULL)
		values[0] = hosts;
	c->pg = PQconnectStartParams(c->names, values, 0);
	if (c->pg == NULL || PQstatus(c->pg) == CONNECTION_BAD) {
		conn_lost(c, PG_FAULT_LOST,
		    c->pg == NULL ? "out of memory" : PQerrorMessage(c->pg));
		return;
	}
	PQsetNoticeReceiver(c->pg, on_notice, NULL);
	conn_watch(c, EV_WRITE);
}

static void
on_address(const char *addresses, const char *error, void *arg)
{
	struct pg_conn *c = arg;
	char text[400];

	c->look_up = NULL;
	if (addresses != NULL) {
		conn_start(c, addresses);
		return;
	}
	snprintf(text, sizeof(text), "host %.255s: %s", c->host, error);
	conn_lost(c, PG_FAULT_LOST, text);
}

void
pg_conn_open(struct pg_conn *c, pg_conn_cb *cb, void *arg)
{
	bug_on(c->pg != NULL);
	step_begin(c, cb, arg);
	if (resolve_is_literal(c->host))
		conn_start(c, c->host[0] == '/' ? NULL : c->host);
	else
		c->look_up = resolve_start(c->loop, c->host, on_address, c);
}

/* --- answers -------------------------------------------------------------- */

/* Of several faults the first says why; the rest follow from it. */
static void
result_fault(struct pg_conn *c, const PGresult *r)
{
	const char *what = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	char text[512];

	if (c->fault != PG_FAULT_NONE)
		return;
	if (what == NULL)
		what = PQresultErrorMessage(r);
	snprintf(text, sizeof(text), "%.350s%s%.120s", what,
	    detail != NULL ? ": " : "", detail != NULL ? detail : "");
	fault_set(c, PG_FAULT_SQL, state, text);
}

/* What is left of the data when the socket takes no more stays. */
static bool
copy_send(struct pg_conn *c)
{
	int rc =
	    PQputCopyData(c->pg, (const char *)c->copy.p, (int)c->copy.len);

	if (rc == 0)
		return true;
	c->is_copying = c->has_copy = false;
	return rc == 1 && PQputCopyEnd(c->pg, NULL) >= 0;
}

/* The wrong kind of answer: the two sides do not understand each other. */
static void
conn_confused(struct pg_conn *c)
{
	conn_lost(c, PG_FAULT_LOST, "the server's answers make no sense");
}

/* True: it was the step's last. Takes the result. */
static bool
result_take(struct pg_conn *c, PGresult *r)
{
	ExecStatusType status = PQresultStatus(r);

	switch (status) {
	case PGRES_COMMAND_OK:
		if (PQnparams(r) == 0)
			break;
		/* what is known of a prepared statement */
		__attribute__((fallthrough));
	case PGRES_TUPLES_OK:
		if (c->results_len < PG_CONN_RESULTS) {
			c->results[c->results_len++] = r;
			return false;
		}
		break;
	case PGRES_COPY_IN:
		c->is_copying = c->has_copy;
		if (!c->is_copying)
			conn_confused(c);
		break;
	case PGRES_COPY_OUT:
	case PGRES_COPY_BOTH:
		conn_confused(c);
		break;
	case PGRES_SINGLE_TUPLE:
	case PGRES_BAD_RESPONSE:
	case PGRES_NONFATAL_ERROR:
	case PGRES_FATAL_ERROR:
		result_fault(c, r);
		break;
	case PGRES_EMPTY_QUERY:
	case PGRES_PIPELINE_SYNC:
	case PGRES_PIPELINE_ABORTED:
		break;
	}
	PQclear(r);
	return status == PGRES_PIPELINE_SYNC;
}

/*
 * One turn of PQgetResult; false: no more for now. Two NULLs in a row mean
 * that libpq waits for nothing while we wait for a sync.
 */
static bool
conn_read_one(struct pg_conn *c, bool *was_null)
{
	PGresult *r;
	bool is_last;

	if (c->is_copying && !copy_send(c)) {
		conn_lost(c, PG_FAULT_LOST, PQerrorMessage(c->pg));
		return false;
	}
	if (c->is_copying || PQisBusy(c->pg))
		return false;
	r = PQgetResult(c->pg);
	is_last = r != NULL ? result_take(c, r) : !c->is_pipeline;
	if (c->pg == NULL)
		return false;
	if (PQstatus(c->pg) == CONNECTION_BAD) {
		conn_lost(c, PG_FAULT_LOST, PQerrorMessage(c->pg));
		return false;
	}
	if (is_last) {
		step_end(c);
		return false;
	}
	if (r == NULL && *was_null) {
		conn_confused(c);
		return false;
	}
	*was_null = r == NULL;
	return true;
}

static void
conn_read(struct pg_conn *c)
{
	bool was_null = false;

	for (int i = 0; i < RESULTS_A_TURN; i++)
		if (!conn_read_one(c, &was_null))
			return;
	/* More is buffered in libpq than the socket will tell of. */
	ev_feed_event(c->loop, &c->io, EV_READ);
}

static bool
conn_flush(struct pg_conn *c)
{
	int rc = PQflush(c->pg);

	if (rc < 0) {
		conn_lost(c, PG_FAULT_LOST, PQerrorMessage(c->pg));
		return false;
	}
	conn_watch(c, rc > 0 || c->is_copying ? EV_READ | EV_WRITE : EV_READ);
	return true;
}

static void
on_conn_io(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct pg_conn *c = w->data;

	(void)loop;
	if (!c->is_up) {
		conn_poll(c);
		return;
	}
	if ((revents & EV_READ) != 0 && !PQconsumeInput(c->pg)) {
		conn_lost(c, PG_FAULT_LOST, PQerrorMessage(c->pg));
		return;
	}
	if (c->is_waiting)
		conn_read(c);
	else
		(void)PQisBusy(c->pg); /* takes notices off the buffer */
	if (c->pg != NULL && c->is_up)
		conn_flush(c);
}

void
pg_conn_wait(struct pg_conn *c, pg_conn_cb *cb, void *arg)
{
	step_begin(c, cb, arg);
	if (!PQpipelineSync(c->pg)) {
		conn_lost(c, PG_FAULT_LOST, PQerrorMessage(c->pg));
		return;
	}
	conn_flush(c);
}

bool
pg_conn_pipeline(struct pg_conn *c)
{
	if (!c->is_pipeline)
		c->is_pipeline = PQenterPipelineMode(c->pg) == 1;
	return c->is_pipeline;
}

void
pg_conn_copy(struct pg_conn *c, const char *sql, struct slice data,
    pg_conn_cb *cb, void *arg)
{
	step_begin(c, cb, arg);
	c->copy = data;
	c->has_copy = true;
	if (c->is_pipeline && !PQexitPipelineMode(c->pg)) {
		conn_lost(c, PG_FAULT_LOST, PQerrorMessage(c->pg));
		return;
	}
	c->is_pipeline = false;
	if (!PQsendQuery(c->pg, sql)) {
		conn_lost(c, PG_FAULT_LOST, PQerrorMessage(c->pg));
		return;
	}
	conn_flush(c);
}
