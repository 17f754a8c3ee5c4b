/* acceptor-mqtt - MQTT 3.1, 3.1.1 and 5.0. */
#include "acceptor/auth_link.h"
#include "acceptor/endpoint.h"
#include "acceptor/listener.h"
#include "acceptor/mqtt/admit.h"
#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/router.h"
#include "acceptor/mqtt/shared.h"
#include "acceptor/mqtt/shutdown.h"
#include "base/log.h"
#include "ipc/proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
on_setup(struct json_object *config)
{
	mqtt_configure(config);
	subs_init(&mqtt.subs, router_interest_add, router_interest_remove);
	mqtt.subs.on_group_end = shared_drop;
	wanted_init(&mqtt.wanted);
	routes_init(&mqtt.routes, &mqtt.subs, &mqtt.wanted);
	router_init();
	admit_init();
	admit_configure(config);
	clients_init(proc_loop());
}

static void
on_reconfigure(struct json_object *config)
{
	mqtt_configure(config);
	admit_configure(config);
}

static void
on_link(enum ipc_kind kind, const char *name, uint64_t incarnation, int fd)
{
	(void)incarnation;
	if (kind == KIND_ROUTER)
		router_link(name, fd);
	else if (kind == KIND_AUTH)
		auth_link(name, fd);
	else
		close(fd);
}

/* What is wrong with it stands in status until it is mended. */
static void
listener_complain(const struct ipc_listener *l, struct endpoint *e,
    const char *why)
{
	char key[32], reason[600];

	if (why[0] == '\0' && !e->is_complaining)
		return;
	e->is_complaining = why[0] != '\0';
	snprintf(key, sizeof(key), "listener.%u", l->id);
	snprintf(reason, sizeof(reason), "listener %.*s: %s",
	    SLICE_ARG(l->bind), why);
	if (e->is_complaining)
		log_error("%s", reason);
	proc_degraded(key, e->is_complaining ? reason : NULL);
}

static void
on_listener(const struct ipc_listener *l, int fd)
{
	char *transport = slice_dup(l->transport), why[256] = "";
	struct endpoint *e = endpoint_set(l->id, transport, l->options, why,
	    sizeof(why));

	free(transport);
	listener_complain(l, e, why);
	/* With good options from before, those go on. */
	if (e->is_good)
		listener_open(proc_loop(), l->id, fd, client_accept);
	else
		close(fd);
}

static void
on_request(uint64_t id, struct slice op, struct json_object *args)
{
	(void)args;
	if (slice_is(op, "metrics") || slice_is(op, "stats"))
		proc_reply(id, 200, mqtt_metrics());
	else
		proc_reply_error(id, 404, "unknown_operation",
		    "an acceptor has no operation %.*s", SLICE_ARG(op));
}

static void
on_prepare(void)
{
	clients_prepare();
	auth_link_prepare();
	router_prepare();
}

static const struct proc_ops ops = {
    .kind = KIND_ACCEPTOR,
    .on_setup = on_setup,
    .on_reconfigure = on_reconfigure,
    .on_link = on_link,
    .on_listener = on_listener,
    .on_listener_gone = listener_close,
    .on_request = on_request,
    .on_shutdown = shutdown_begin,
    .on_prepare = on_prepare,
};

int
main(int argc, char **argv)
{
	return proc_run(&ops, argc, argv);
}
