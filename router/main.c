#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/proc.h"
#include "router/barrier.h"
#include "router/boot.h"
#include "router/config.h"
#include "router/handle.h"
#include "router/request.h"
#include "router/sender.h"
#include "router/turn.h"
#include "router/wanted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_RETRY_S 0.05

/* A link that came before the router was up. */
struct early_link {
	enum ipc_kind kind;
	char *name;
	int fd;
};

static struct {
	struct interest interest;
	struct json_object *config;
	struct early_link *early;
	size_t early_len;
	ev_timer lock;
	bool is_up, has_links;
} router;

static void
start(void)
{
	boot_run(&router.interest, router.config);
	router.is_up = true;
	turn_init();
	for (size_t i = 0; i < router.early_len; i++) {
		handle_link(router.early[i].kind, router.early[i].name,
		    router.early[i].fd);
		free(router.early[i].name);
	}
	free(router.early);
	if (router.has_links)
		barrier_links_done();
	proc_ready();
}

/* A predecessor that is still dying holds the lock for a moment. */
static void
on_lock(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)events;
	if (!boot_lock())
		return;
	ev_timer_stop(loop, w);
	start();
}

static void
on_setup(struct json_object *config)
{
	router.config = json_object_get(config);
	senders_init();
	interest_init(&router.interest);
	if (!wanted_init(&router.interest))
		fatal("generation page: %s", strerror(errno));
	if (boot_lock()) {
		start();
		return;
	}
	log_info("waiting for the lock of another router");
	ev_timer_init(&router.lock, on_lock, LOCK_RETRY_S, LOCK_RETRY_S);
	ev_timer_start(proc_loop(), &router.lock);
}

static void
on_reconfigure(struct json_object *config)
{
	json_object_put(router.config);
	router.config = json_object_get(config);
	if (router.is_up)
		config_apply(config);
}

static void
on_link(enum ipc_kind kind, const char *name, uint64_t incarnation, int fd)
{
	struct early_link *e;

	(void)incarnation;
	if (router.is_up) {
		handle_link(kind, name, fd);
		return;
	}
	router.early = mem_realloc(router.early,
	    (router.early_len + 1) * sizeof(*router.early));
	e = &router.early[router.early_len++];
	*e = (struct early_link){kind, mem_strdup(name), fd};
}

static void
on_links_done(uint32_t acceptors)
{
	(void)acceptors;
	router.has_links = true;
	if (router.is_up)
		barrier_links_done();
}

static void
on_request(uint64_t id, struct slice op, struct json_object *args)
{
	if (!router.is_up)
		proc_reply_error(
		    id, 503, "starting", "the router is starting");
	else
		request_take(id, op, args);
}

static const struct proc_ops ops = {
    .kind = KIND_ROUTER,
    .on_setup = on_setup,
    .on_reconfigure = on_reconfigure,
    .on_link = on_link,
    .on_links_done = on_links_done,
    .on_request = on_request,
    .on_shutdown = turn_shutdown,
    .on_prepare = turn_end,
};

int
main(int argc, char **argv)
{
	return proc_run(&ops, argc, argv);
}
