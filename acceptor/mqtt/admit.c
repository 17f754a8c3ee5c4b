#include "acceptor/mqtt/admit.h"

#include "acceptor/auth_link.h"
#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/login.h"
#include "acceptor/mqtt/roster.h"
#include "acceptor/mqtt/subscribe.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

/* ---- rules --------------------------------------------------------------- */

static struct access_who
who_of(const struct client *c)
{
	struct access_who w = {.conn = c->conn,
	    .own = c->guest == NULL ? NULL : c->guest->own};
	char address[LOGIN_ADDRESS_LEN];

	w.who.client_id = client_id(c);
	w.who.username = c->username == NULL ? SLICE_NULL :
	    client_username(c);
	if (c->guest != NULL && c->guest->has_address) {
		memcpy(w.who.address, c->guest->address, 16);
		return w;
	}
	client_address(c, address, sizeof(address));
	access_address(address, w.who.address);
	return w;
}

bool
admit_check_publish(const struct client *c, uint64_t topic_serial,
    struct slice topic)
{
	struct access_who who;
	bool is_allowed;

	if (access_remembers(c->conn, topic_serial, &is_allowed))
		return is_allowed;
	who = who_of(c);
	return access_may_publish(&who, topic_serial, topic);
}

bool
admit_check_subscribe(const struct client *c, struct slice filter)
{
	struct access_who who = who_of(c);

	return access_may_subscribe(&who, filter);
}

bool
admit_check_receive(const struct client *c, struct slice topic)
{
	struct access_who who = who_of(c);

	return access_may_receive(&who, topic);
}

/* ---- the end of the question ---------------------------------------------- */

/* Who it is is known: the rest of what may stand against it. */
static void
admit_named(struct client *c)
{
	struct access_who who = who_of(c);

	if (access_is_banned(&who.who, clients_now_ms())) {
		client_fail(c, MQTT_BANNED);
		return;
	}
	if (c->will != NULL && !admit_may_publish(c, 0, c->will->topic)) {
		client_fail(c, MQTT_NOT_AUTHORIZED);
		return;
	}
	login_admitted(c);
}

static struct guest *
guest_of(struct client *c)
{
	if (c->guest == NULL)
		c->guest = mem_zalloc(1, sizeof(*c->guest));
	return c->guest;
}

static void
rules_set(struct guest *g, struct slice lines)
{
	const uint8_t *end;
	struct slice line;
	const char *why;

	acl_free(g->own);
	g->own = acl_new(true);
	while (lines.len > 0) {
		end = memchr(lines.p, '\n', lines.len);
		line = slice_of(lines.p, end == NULL ? lines.len :
		    (size_t)(end - lines.p));
		lines.len -= line.len + (end != NULL);
		lines.p += line.len + (end != NULL);
		why = line.len == 0 ? NULL : acl_add_line(g->own, line);
		if (why != NULL)
			log_limited(LOG_WARN, "a rule that came with a login "
			    "is not understood: %s", why);
	}
}

/* MQTT 5, 4.12: the client has the word. */
static void
challenge(struct client *c, uint8_t reason, struct slice data)
{
	struct mqtt_disconnect m = {.reason = reason};
	struct guest *g = c->guest;

	mqtt_set_authentication_method(&m.properties,
	    slice_of(g->method, g->method_len));
	if (data.len > 0)
		mqtt_set_authentication_data(&m.properties, data);
	mqtt_auth_add(client_out(c), &m);
	client_added(c);
	client_resume(c, STOP_CONNECT);
}

static void
named_set(struct client *c, const struct ipc_auth_answer *a)
{
	struct guest *g = guest_of(c);

	if (!slice_is_null(a->username)) {
		free(c->username);
		c->username = (uint8_t *)slice_dup(a->username);
		c->username_len = (uint16_t)a->username.len;
	}
	if (!slice_is_null(a->rules))
		rules_set(g, a->rules);
	buf_clear(&g->last);
	buf_add_slice(&g->last, a->data);
}

/* Of a client that is on already: it has authenticated once more. */
static void
again_answered(struct client *c, const struct ipc_auth_answer *a)
{
	client_resume(c, STOP_CONNECT);
	/* [MQTT-4.12.1-2]; and nobody becomes another so. */
	if (a->reason != MQTT_SUCCESS || (!slice_is_null(a->username) &&
	    !slice_eq(a->username, client_username(c))))
		client_fail(c, MQTT_NOT_AUTHORIZED);
	else
		challenge(c, MQTT_SUCCESS, a->data);
}

static void
on_answer(const struct ipc_auth_answer *a)
{
	struct client *c = client_find(a->conn);

	if (c == NULL || c->guest == NULL || !c->guest->is_asked ||
	    c->state >= CLIENT_CLOSING)
		return;
	c->guest->is_asked = false;
	if (a->reason == MQTT_CONTINUE_AUTHENTICATION) {
		challenge(c, a->reason, a->data);
		return;
	}
	if (c->state == CLIENT_ON) {
		again_answered(c, a);
		return;
	}
	if (a->reason != MQTT_SUCCESS) {
		mqtt.stats.logins_refused_total++;
		client_fail(c, (enum mqtt_reason)a->reason);
		return;
	}
	named_set(c, a);
	admit_named(c);
}

/* ---- the question --------------------------------------------------------- */

static void
ask(struct client *c, struct ipc_auth_ask *m)
{
	char address[LOGIN_ADDRESS_LEN];
	struct guest *g = guest_of(c);

	client_address(c, address, sizeof(address));
	g->has_address = access_address(address, g->address);
	m->conn = c->conn;
	m->client_id = client_id(c);
	m->username = c->username == NULL ? SLICE_NULL : client_username(c);
	m->address = slice_str(address);
	g->is_asked = true;
	client_stop(c, STOP_CONNECT);
	if (!auth_link_ask(m))
		client_fail(c, MQTT_SERVER_UNAVAILABLE);
}

static bool
is_asked_about(void)
{
	return access_state.is_known ? access_state.needs_login :
	    access_state.is_required;
}

void
admit(struct client *c, const struct mqtt_connect *m)
{
	bool has_method = mqtt_has(&m->properties,
	    MQTT_PROP_AUTHENTICATION_METHOD);
	struct ipc_auth_ask q = {
	    .has_password = !slice_is_null(m->password),
	    .password = slice_is_null(m->password) ? SLICE_EMPTY :
		m->password,
	    .data = SLICE_EMPTY};
	struct guest *g;

	c->state = CLIENT_ASKING;
	/* Certificate or key have shown who it is. */
	if (c->has_identity)
		q.identity = client_username(c);
	if (!is_asked_about() ||
	    (c->has_identity && !has_method && access_state.is_known)) {
		/* [MQTT-4.12.0-1] */
		if (has_method)
			client_fail(c, MQTT_BAD_AUTHENTICATION_METHOD);
		else
			admit_named(c);
		return;
	}
	if (has_method) {
		g = guest_of(c);
		q.method = m->properties.authentication_method;
		g->method = (uint8_t *)slice_dup(q.method);
		g->method_len = q.method.len;
		if (mqtt_has(&m->properties, MQTT_PROP_AUTHENTICATION_DATA))
			q.data = m->properties.authentication_data;
	}
	ask(c, &q);
}

enum mqtt_reason
admit_auth(struct client *c, const struct mqtt_disconnect *a)
{
	struct guest *g = c->guest;
	struct ipc_auth_ask q = {.password = SLICE_EMPTY, .data = SLICE_EMPTY};

	if (g == NULL || g->method == NULL || g->is_asked)
		return MQTT_PROTOCOL_ERROR;
	/* [MQTT-4.12.0-5], [MQTT-4.12.1-1]: the method stays. */
	if (!mqtt_has(&a->properties, MQTT_PROP_AUTHENTICATION_METHOD) ||
	    !slice_eq(a->properties.authentication_method,
		slice_of(g->method, g->method_len)))
		return MQTT_BAD_AUTHENTICATION_METHOD;
	if (c->state == CLIENT_ASKING &&
	    a->reason != MQTT_CONTINUE_AUTHENTICATION)
		return MQTT_PROTOCOL_ERROR;
	q.method = slice_of(g->method, g->method_len);
	if (mqtt_has(&a->properties, MQTT_PROP_AUTHENTICATION_DATA))
		q.data = a->properties.authentication_data;
	ask(c, &q);
	return MQTT_SUCCESS;
}

void
admit_connack(const struct client *c, struct mqtt_properties *p)
{
	const struct guest *g = c->guest;

	if (g == NULL || g->method == NULL)
		return;
	mqtt_set_authentication_method(p, slice_of(g->method, g->method_len));
	if (buf_len(&g->last) > 0)
		mqtt_set_authentication_data(p, buf_slice(&g->last));
}

void
admit_cancel(struct client *c)
{
	if (c->guest != NULL &&
	    (c->guest->is_asked || c->guest->method != NULL))
		auth_link_cancel(c->conn);
}

void
admit_free(struct client *c)
{
	if (c->guest == NULL)
		return;
	acl_free(c->guest->own);
	free(c->guest->method);
	buf_fini(&c->guest->last);
	free(c->guest);
	c->guest = NULL;
}

/* ---- changes -------------------------------------------------------------- */

static void
look_again(struct client *c, void *arg)
{
	struct access_who who;

	(void)arg;
	if (!client_is_on(c) && c->state != CLIENT_WAITING)
		return;
	who = who_of(c);
	if (access_is_banned(&who.who, clients_now_ms()))
		client_fail(c, client_is_on(c) ? MQTT_ADMINISTRATIVE_ACTION :
		    MQTT_BANNED);
	else if (client_is_on(c) && admit_has_rules(c))
		subscriptions_check(c);
}

static void
on_change(void)
{
	clients_each(look_again, NULL);
}

static void
end_if_named(struct client *c, void *arg)
{
	const struct slice *name = arg;

	if ((client_is_on(c) || c->state == CLIENT_WAITING) &&
	    c->username != NULL && slice_eq(client_username(c), *name))
		client_fail(c, client_is_on(c) ? MQTT_ADMINISTRATIVE_ACTION :
		    MQTT_NOT_AUTHORIZED);
}

static void
on_gone(struct slice username)
{
	clients_each(end_if_named, &username);
}

void
admit_init(void)
{
	static const struct auth_link_ops ops = {on_answer, on_gone,
	    on_change};

	auth_link_init(&ops);
}

void
admit_configure(struct json_object *config)
{
	access_init(json_get_bool(json_member(config, "auth"), "required",
	    false));
}
