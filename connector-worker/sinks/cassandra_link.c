/*
 * cassandra_link - the connection to one node: greeting, login, PREPARE, and
 * whose answer is whose. When it ends the next one is to the next node.
 */
#include "connector-worker/excerpt.h"
#include "connector-worker/sinks/cassandra_sink.h"

#include <stdio.h>

#define EXCERPT_MAX 300

static ev_tstamp
now(const struct cassandra *c)
{
	return ev_now(sink_loop(c->sink));
}

static void
link_control(struct cassandra *c, enum control control)
{
	c->link.control = control;
	c->link.control_since = now(c);
}

bool
link_is_ready(const struct cassandra *c)
{
	return c->link.conn != NULL && c->link.is_prepared;
}

void
link_down(struct cassandra *c, enum sink_outcome outcome, const char *why)
{
	char text[EXCERPT_MAX + 400];

	if (c->link.conn == NULL)
		return;
	snprintf(text, sizeof(text), "%s:%u: %s", c->link.node.host,
	    c->link.node.port, why);
	conn_free(c->link.conn);
	c->link = (struct link){.control = CONTROL_NONE};
	c->node_next = (c->node_next + 1) % c->node_count;
	/* First: what the rows are told may ask for the next probe. */
	cassandra_probed(c, false, text);
	rows_fail(c, outcome, text);
}

/* ---- what is asked on stream 0 ------------------------------------------- */

void
link_prepare(struct cassandra *c)
{
	struct link *l = &c->link;

	l->is_prepared = false;
	if (l->control != CONTROL_NONE)
		return;
	link_control(c, CONTROL_PREPARE);
	cql_prepare(conn_out(l->conn), 0, buf_slice(&c->statement));
}

/* A read of the node's own storage, which a hung one cannot answer. */
void
link_probe(struct cassandra *c)
{
	if (!link_is_ready(c) || c->link.control != CONTROL_NONE)
		return;
	link_control(c, CONTROL_PROBE);
	cql_query(conn_out(c->link.conn), 0,
	    "SELECT release_version FROM system.local");
}

/* It was asked something meanwhile, or has now to be. */
static void
link_idle(struct cassandra *c)
{
	if (!c->link.is_prepared)
		link_prepare(c);
	else if (c->is_probing || c->is_testing)
		link_probe(c);
}

/* ---- its answers --------------------------------------------------------- */

static void
test_columns(struct cassandra *c, const struct cql_prepared *p)
{
	if (!c->is_testing)
		return;
	sink_found(c->sink, "connected", "%s:%u", c->link.node.host,
	    c->link.node.port);
	for (size_t i = 0; i < c->column_count; i++)
		sink_found(c->sink, "column", "%.*s %s",
		    SLICE_ARG(p->columns[i].name),
		    cql_type_name(p->columns[i].type));
}

/* NULL, or why this table cannot be written to. */
static const char *
on_prepared(struct cassandra *c, struct slice body, char *text, size_t size)
{
	struct cql_prepared *p = &c->meta;

	/* The last of them is the write time. */
	if (!cql_prepared_get(body, p) || p->count != c->column_count + 1)
		return "its answer to PREPARE makes no sense";
	for (size_t i = 0; i < c->column_count; i++)
		if (!cql_type_is_known(p->columns[i].type)) {
			snprintf(text, size,
			    "column %.*s is of the type %s, "
			    "which is not supported",
			    SLICE_ARG(p->columns[i].name),
			    cql_type_name(p->columns[i].type));
			return text;
		}
	test_columns(c, p);
	buf_clear(&c->id);
	buf_add_slice(&c->id, p->id);
	c->prepared++;
	c->link.is_prepared = true;
	return NULL;
}

static const char *
on_probe(struct cassandra *c, struct slice body)
{
	struct slice version;

	if (!cql_value_get(body, &version))
		return "its answer to the probe makes no sense";
	if (c->is_testing && !slice_is_null(version))
		sink_found(c->sink, "version", "%.*s",
		    (int)(version.len < 64 ? version.len : 64), version.p);
	cassandra_probed(c, true, NULL);
	return NULL;
}

static const char *
on_authenticate(struct cassandra *c)
{
	if (c->username == NULL)
		return "it asks for a login: username and password are needed";
	link_control(c, CONTROL_LOGIN);
	cql_login(conn_out(c->link.conn), 0, c->username, c->password);
	return NULL;
}

static const char *
control_error(struct slice body, char *text, size_t size)
{
	struct cql_fault fault;
	struct buf b;

	if (!cql_fault_get(body, &fault))
		return "its error makes no sense";
	buf_init(&b);
	excerpt_add(&b, fault.text, EXCERPT_MAX);
	snprintf(
	    text, size, "%s: %s", cql_fault_name(fault.code), buf_cstr(&b));
	buf_fini(&b);
	return text;
}

/* NULL, or why the link must end. */
static const char *
control_answer(
    struct cassandra *c, const struct cql_frame *f, char *text, size_t size)
{
	enum control was = c->link.control;

	c->link.control = CONTROL_NONE;
	if (f->opcode == CQL_ERROR)
		return control_error(f->body, text, size);
	if (was == CONTROL_OPTIONS && f->opcode == CQL_SUPPORTED) {
		link_control(c, CONTROL_STARTUP);
		cql_startup(conn_out(c->link.conn), 0);
		return NULL;
	}
	if (was == CONTROL_STARTUP && f->opcode == CQL_AUTHENTICATE)
		return on_authenticate(c);
	if ((was == CONTROL_STARTUP && f->opcode == CQL_READY) ||
	    (was == CONTROL_LOGIN && f->opcode == CQL_AUTH_SUCCESS))
		return NULL;
	if (was == CONTROL_LOGIN && f->opcode == CQL_AUTH_CHALLENGE)
		return "it asks for another login than PLAIN";
	if (was == CONTROL_PREPARE && f->opcode == CQL_RESULT)
		return on_prepared(c, f->body, text, size);
	if (was == CONTROL_PROBE && f->opcode == CQL_RESULT)
		return on_probe(c, f->body);
	return "an answer nobody asked for";
}

/* ---- the connection ------------------------------------------------------ */

static void
on_up(struct conn *conn)
{
	struct cassandra *c = conn_arg(conn);

	link_control(c, CONTROL_OPTIONS);
	cql_options(conn_out(conn), 0);
	conn_flush(conn);
}

static const char *
frame_answer(
    struct cassandra *c, const struct cql_frame *f, char *text, size_t size)
{
	const char *why;

	if (f->stream < 0)
		return NULL;
	if (f->stream > 0)
		return rows_answer(c, f);
	why = control_answer(c, f, text, size);
	if (why == NULL && c->link.control == CONTROL_NONE)
		link_idle(c);
	return why;
}

static void
on_data(struct conn *conn, struct buf *in)
{
	struct cassandra *c = conn_arg(conn);
	const char *why = NULL;
	struct cql_frame f;
	enum cql_answer answer;
	char text[EXCERPT_MAX + 100];

	while ((answer = cql_frame_get(buf_slice(in), &f, &why)) == CQL_WHOLE) {
		why = frame_answer(c, &f, text, sizeof(text));
		/* What was told may have ended this link. */
		if (c->link.conn != conn)
			return;
		if (why != NULL) {
			link_down(c, SINK_UNAVAILABLE, why);
			return;
		}
		buf_consume(in, f.size);
	}
	if (answer == CQL_BAD) {
		link_down(c, SINK_UNSURE, why);
		return;
	}
	rows_pump(c);
	if (c->link.conn == conn)
		conn_flush(conn);
}

static void
on_down(struct conn *conn, const char *reason)
{
	link_down(conn_arg(conn), SINK_UNAVAILABLE, reason);
}

static const struct conn_ops link_ops = {on_up, on_data, on_down};

void
link_connect(struct cassandra *c)
{
	if (c->link.conn != NULL)
		return;
	c->link.node = c->nodes[c->node_next];
	link_control(c, CONTROL_CONNECT);
	c->link.conn = conn_open(sink_loop(c->sink),
	    &(struct conn_options){.host = c->link.node.host,
		.port = c->link.node.port,
		.tls = c->tls,
		.server_name = c->server_name,
		.timeout_ms = c->timeout_ms,
		.in_max = CQL_FRAME_MAX + (64u << 10)},
	    &link_ops, c);
}

void
link_tick(struct cassandra *c)
{
	ev_tstamp old = now(c) - c->timeout_ms / 1000.0;
	bool is_late =
	    c->link.control > CONTROL_CONNECT && c->link.control_since < old;

	for (size_t i = 0; i < c->stream_count && !is_late; i++)
		is_late =
		    c->streams[i].job != NULL && c->streams[i].since < old;
	if (is_late)
		link_down(c, SINK_UNSURE, "no answer in time");
}
