#include "admin-server/router_link.h"
#include "admin-server/serve.h"
#include "admin-server/server.h"
#include "admin-server/token.h"
#include "ipc/proc.h"

#include <unistd.h>

static struct {
	ev_timer timer;
	unsigned turns_left;
} stopping;

#define STOP_TURN_S 0.02

static void
on_setup(struct json_object *config)
{
	tokens_configure(json_object_object_get(config, "tokens"));
	server_init(serve_routes());
	router_link_init();
}

static void
on_reconfigure(struct json_object *config)
{
	tokens_configure(json_object_object_get(config, "tokens"));
}

static void
on_link(enum ipc_kind kind, const char *name, uint64_t incarnation, int fd)
{
	(void)incarnation;
	if (kind == KIND_ROUTER)
		router_link_open(name, fd);
	else
		close(fd);
}

static void
on_links_done(uint32_t acceptors)
{
	(void)acceptors;
	proc_ready();
}

static void
on_listener_gone(uint32_t id)
{
	server_unlisten(id);
}

static void
on_reply(uint64_t id, uint16_t status, struct slice body)
{
	questions_on_reply(id, status, body);
}

/* Until who asked has the answer, such as who asked for the stop. */
static void
on_stop_turn(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	if (stopping.turns_left-- == 0 ||
	    (server_busy() == 0 && outbox_is_empty(router_link_outbox())))
		proc_exit(0);
}

static void
on_shutdown(uint32_t deadline_ms)
{
	double seconds = deadline_ms < 4000 ? deadline_ms / 2000. : 2.;

	server_drain();
	stopping.turns_left = (unsigned)(seconds / STOP_TURN_S);
	ev_timer_init(&stopping.timer, on_stop_turn, STOP_TURN_S, STOP_TURN_S);
	ev_timer_start(proc_loop(), &stopping.timer);
}

static const struct proc_ops ops = {
	.kind = KIND_ADMIN,
	.on_setup = on_setup,
	.on_reconfigure = on_reconfigure,
	.on_link = on_link,
	.on_links_done = on_links_done,
	.on_listener = server_listen,
	.on_listener_gone = on_listener_gone,
	.on_reply = on_reply,
	.on_shutdown = on_shutdown,
	.on_prepare = router_link_prepare,
};

int
main(int argc, char **argv)
{
	return proc_run(&ops, argc, argv);
}
