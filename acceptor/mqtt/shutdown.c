#include "acceptor/mqtt/shutdown.h"

#include "acceptor/listener.h"
#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/router.h"
#include "base/clock.h"
#include "ipc/proc.h"

#define LOOK_S 0.02
#define ANSWER_MS 2000	/* for the router to take the last messages */

static struct {
	ev_timer timer;
	uint64_t end_ms;
	bool has_begun;
} ending;

static void
stop_reading(struct client *c, void *arg)
{
	(void)arg;
	client_stop(c, STOP_CONNECT);
}

static void
say_farewell(struct client *c, void *arg)
{
	struct mqtt_disconnect d = {.reason = MQTT_SERVER_SHUTTING_DOWN};

	(void)arg;
	if (!client_is_on(c) || c->version < MQTT_V5)
		return;
	mqtt_disconnect_add(client_out(c), c->version, &d);
	client_added(c);
}

static void
on_look(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	if (!router_is_settled() && clock_mono_ms() < ending.end_ms)
		return;
	clients_each(say_farewell, NULL);
	clients_prepare();
	router_prepare();
	proc_exit(0);
}

void
shutdown_begin(uint32_t deadline_ms)
{
	uint64_t wait_ms = deadline_ms / 2;

	if (ending.has_begun)
		return;
	ending.has_begun = true;
	ending.end_ms = clock_mono_ms() +
	    (wait_ms < ANSWER_MS ? wait_ms : ANSWER_MS);
	listener_close_all();
	clients_each(stop_reading, NULL);
	ev_timer_init(&ending.timer, on_look, 0., LOOK_S);
	ev_timer_start(proc_loop(), &ending.timer);
}
