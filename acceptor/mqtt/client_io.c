#include "acceptor/mqtt/client_io.h"

#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/packets.h"
#include "acceptor/mqtt/pool.h"
#include "acceptor/mqtt/router.h"
#include "acceptor/mqtt/shared.h"
#include "acceptor/transport.h"
#include "base/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256u << 10)
/* While messages cannot be handed on, little is taken from each client. */
#define READ_SIZE_HELD (16u << 10)
/* Of a transport: what it decodes fits beside what was left. */
#define READ_SIZE_CODED (64u << 10)
#define WRITE_SOON (128u << 10)	/* written at once from here on */
#define STOP_AT (256u << 10)	/* unwritten, where reading rests */
#define RESUME_ROUNDS 4
/* Of all clients together, however many there are. */
#define QUEUED_ALL_MAX (512u << 20)
#define INPUT_ALL_MAX (256u << 20)
#define ALLOWANCE_MIN (16u << 10)

static struct {
	struct ev_loop *loop;
	struct client *dirty;
	struct client *resumed;
	size_t heavy;		/* clients with something waiting */
	size_t input_bytes;	/* of packets gathered in their own buffers */
	uint8_t read_buffer[READ_SIZE];
	uint8_t coded[READ_SIZE_CODED];
} io;

void
io_update(struct client *c)
{
	int events = 0;

	if (c->io.fd == -1)
		return;
	if (c->stop == 0 || c->state >= CLIENT_CLOSING)
		events |= EV_READ;
	if (c->is_writing)
		events |= EV_WRITE;
	if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) ==
	    events)
		return;
	ev_io_stop(io.loop, &c->io);
	if (events == 0)
		return;
	ev_io_set(&c->io, c->io.fd, events);
	ev_io_start(io.loop, &c->io);
}

/* ---- output ------------------------------------------------------------- */

static void
client_mark(struct client *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	c->dirty_next = io.dirty;
	io.dirty = c;
}

struct buf *
client_out(struct client *c)
{
	if (c->out == NULL)
		c->out = pool_take();
	return c->out;
}

void
client_added(struct client *c)
{
	if (c->is_writing)
		return;
	client_mark(c);
	if (buf_len(c->out) >= WRITE_SOON)
		io_write(c);
}

/* Bytes for the kernel: encoded first where there is a transport. */
static struct buf *
client_wire(struct client *c)
{
	if (c->transport == NULL)
		return c->out;
	if (c->out != NULL)
		transport_send(c->transport, c->out);
	return transport_wire(c->transport);
}

void
client_weigh(struct client *c)
{
	bool is_heavy = c->is_writing ||
	    (c->flow != NULL && c->flow->waiting.count > 0);

	if (is_heavy == c->is_heavy)
		return;
	c->is_heavy = is_heavy;
	if (is_heavy)
		io.heavy++;
	else
		io.heavy--;
}

size_t
client_allowance(size_t most)
{
	size_t share = QUEUED_ALL_MAX / (io.heavy + 1);

	if (share < ALLOWANCE_MIN)
		share = ALLOWANCE_MIN;
	return share < most ? share : most;
}

size_t
client_unwritten(const struct client *c)
{
	size_t n = c->out == NULL ? 0 : buf_len(c->out);

	if (!c->is_writing)
		return 0;
	return c->transport == NULL ? n :
	    n + buf_len(transport_wire(c->transport));
}

static void
client_drained(struct client *c)
{
	bool was_writing = c->is_writing;

	pool_put(&c->out);
	if (c->is_writing) {
		c->is_writing = false;
		client_weigh(c);
		if (c->state >= CLIENT_CLOSING)
			shutdown(c->io.fd, SHUT_WR);
		io_update(c);
	}
	if ((c->stop & STOP_OUTPUT) != 0)
		client_resume(c, STOP_OUTPUT);
	if (was_writing && c->state == CLIENT_ON)
		shared_resume(c);
}

/* The kernel takes what it can; the rest waits for it to say so. */
void
io_write(struct client *c)
{
	struct buf *wire = c->io.fd == -1 ? NULL : client_wire(c);
	ssize_t n;

	if (wire == NULL)
		return;
	n = write(c->io.fd, buf_data(wire), buf_len(wire));
	if (n == -1 && errno != EAGAIN && errno != EINTR) {
		client_break(c);
		return;
	}
	if (n > 0) {
		mqtt.stats.bytes_sent_total += (uint64_t)n;
		buf_consume(wire, (size_t)n);
		if (c->is_writing)
			c->seen_s = clients_now_s();
	}
	if (buf_len(wire) == 0) {
		client_drained(c);
		return;
	}
	if (!c->is_writing) {
		c->is_writing = true;
		client_weigh(c);
		io_update(c);
	}
	if (buf_len(wire) > STOP_AT)
		client_stop(c, STOP_OUTPUT);
}

void
io_end(struct client *c, bool is_good)
{
	if (c->transport == NULL) {
		io_write(c);
		return;
	}
	if (c->out != NULL)
		transport_send(c->transport, c->out);
	transport_end(c->transport, is_good);
	io_write(c);
}

/* ---- input -------------------------------------------------------------- */

/* What of a client's input counts as large. */
static size_t
input_weight(const struct client *c)
{
	return c->in != NULL && c->in->cap >= READ_SIZE ? c->in->cap : 0;
}

static void
input_put(struct client *c)
{
	io.input_bytes -= input_weight(c);
	pool_put(&c->in);
}

/* Room for n more bytes in the client's own buffer. */
static uint8_t *
input_reserve(struct client *c, size_t n)
{
	uint8_t *p;

	if (c->in == NULL)
		c->in = pool_take();
	io.input_bytes -= input_weight(c);
	p = buf_reserve(c->in, n);
	io.input_bytes += input_weight(c);
	return p;
}

/*
 * A read by way of the transport. Nothing for the protocol is as if nothing
 * had come; its end comes to light when what was before it is handled.
 */
static ssize_t
client_receive_coded(struct client *c, uint8_t *p, size_t room)
{
	size_t most = router_is_open() ? READ_SIZE_CODED : READ_SIZE_HELD;
	ssize_t n = read(c->io.fd, io.coded, most);
	size_t got;

	if (n <= 0)
		return n;
	got = transport_receive(c->transport, slice_of(io.coded, (size_t)n),
	    p, room);
	if (!c->is_writing && buf_len(transport_wire(c->transport)) > 0)
		client_mark(c);
	if (got > 0)
		return (ssize_t)got;
	errno = EAGAIN;
	return -1;
}

static inline ssize_t
client_receive(struct client *c, uint8_t *p, size_t room)
{
	return c->transport == NULL ? read(c->io.fd, p, room) :
	    client_receive_coded(c, p, room);
}

/* After its last bytes; what it is told still leaves. */
static void
client_check_transport(struct client *c)
{
	const char *why;
	char address[64];

	if (c->io.fd == -1 || c->state >= CLIENT_CLOSING ||
	    !transport_is_ended(c->transport))
		return;
	why = transport_problem(c->transport);
	if (why != NULL) {
		mqtt.stats.transport_errors_total++;
		client_address(c, address, sizeof(address));
		log_limited(LOG_INFO, "connection of %s: %s", address, why);
	}
	client_close(c, MQTT_UNSPECIFIED_ERROR);
}

void
client_stop(struct client *c, uint8_t why)
{
	if ((c->stop & why) != 0)
		return;
	c->stop |= why;
	io_update(c);
}

void
client_resume(struct client *c, uint8_t why)
{
	if ((c->stop & why) == 0)
		return;
	c->stop &= (uint8_t)~why;
	if (c->stop != 0 || c->state >= CLIENT_CLOSING)
		return;
	/* Not a word while we did not listen: silence is counted anew. */
	c->seen_s = clients_now_s();
	if (c->in == NULL) {
		io_update(c);
		return;
	}
	if (!c->is_resuming) {
		c->is_resuming = true;
		c->resume_next = io.resumed;
		io.resumed = c;
	}
}

/* Whole packets at p; how many bytes were used. */
static size_t
client_parse(struct client *c, const uint8_t *p, size_t n)
{
	struct mqtt_frame frame;
	size_t used = 0;
	ssize_t size;

	while (used < n && (c->stop & STOP_CONNECT) == 0) {
		size = mqtt_frame_get(p + used, n - used,
		    mqtt.limits.max_packet_size, &frame);
		if (size == 0)
			break;
		if (size < 0) {
			mqtt.stats.protocol_errors_total++;
			client_fail(c, (enum mqtt_reason)-size);
			break;
		}
		used += (size_t)size;
		packet_handle(c, &frame);
		if (c->state >= CLIENT_CLOSING)
			break;
	}
	return used;
}

static void
client_read_failed(struct client *c, ssize_t n)
{
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	client_break(c);
}

static void
client_parse_kept(struct client *c)
{
	size_t used = client_parse(c, buf_data(c->in), buf_len(c->in));

	if (c->in == NULL)
		return;
	buf_consume(c->in, used);
	if (buf_len(c->in) == 0)
		input_put(c);
}

/* A packet too large for the common buffer is gathered in its own. */
static void
client_read_large(struct client *c)
{
	uint8_t *p = input_reserve(c, READ_SIZE / 2);
	ssize_t n;

	if (io.input_bytes > INPUT_ALL_MAX) {
		client_fail(c, MQTT_QUOTA_EXCEEDED);
		return;
	}
	n = client_receive(c, p, READ_SIZE / 2);
	if (n <= 0) {
		client_read_failed(c, n);
		return;
	}
	mqtt.stats.bytes_received_total += (uint64_t)n;
	c->seen_s = clients_now_s();
	buf_commit(c->in, (size_t)n);
	client_parse_kept(c);
}

static void
client_read(struct client *c)
{
	size_t left = c->in == NULL ? 0 : buf_len(c->in), used, total;
	size_t room = router_is_open() ? READ_SIZE : READ_SIZE_HELD;
	uint8_t *p = io.read_buffer;
	ssize_t n;

	if (left > READ_SIZE / 4) {
		client_read_large(c);
		return;
	}
	if (left > 0)
		memcpy(p, buf_data(c->in), left);
	if (room > READ_SIZE - left)
		room = READ_SIZE - left;
	n = client_receive(c, p + left, c->transport == NULL ? room :
	    READ_SIZE - left);
	if (n <= 0) {
		client_read_failed(c, n);
		return;
	}
	mqtt.stats.bytes_received_total += (uint64_t)n;
	c->seen_s = clients_now_s();
	total = left + (size_t)n;
	used = client_parse(c, p, total);
	if (c->state >= CLIENT_CLOSING)
		return;
	if (used == total) {
		input_put(c);
		return;
	}
	if (c->in != NULL)
		buf_clear(c->in);
	memcpy(input_reserve(c, total - used), p + used, total - used);
	buf_commit(c->in, total - used);
}

/* Of a closing client nothing is heard any more but its own end. */
static void
client_discard(struct client *c)
{
	ssize_t n = read(c->io.fd, io.read_buffer, READ_SIZE);

	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		client_break(c);
}

static void
on_io(struct ev_loop *loop, ev_io *w, int events)
{
	struct client *c = w->data;

	(void)loop;
	if ((events & EV_WRITE) != 0)
		io_write(c);
	if ((events & EV_READ) == 0 || c->io.fd == -1)
		return;
	if (c->state >= CLIENT_CLOSING)
		client_discard(c);
	else if (c->stop == 0)
		client_read(c);
	if (c->transport != NULL)
		client_check_transport(c);
}

bool
io_has_unread(const struct client *c)
{
	uint8_t byte;

	return recv(c->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* ---- life --------------------------------------------------------------- */

void
io_init(struct ev_loop *loop)
{
	io.loop = loop;
}

void
io_open(struct client *c, int fd)
{
	ev_io_init(&c->io, on_io, fd, EV_READ);
	c->io.data = c;
	ev_io_start(io.loop, &c->io);
}

void
io_close(struct client *c)
{
	ev_io_stop(io.loop, &c->io);
	close(c->io.fd);
	c->io.fd = -1;
}

void
io_release(struct client *c)
{
	input_put(c);
	pool_put(&c->out);
	transport_free(c->transport);
	if (c->is_heavy)
		io.heavy--;
}

/* ---- the end of a turn -------------------------------------------------- */

static void
resume_all(void)
{
	struct client *list = io.resumed, *c;

	io.resumed = NULL;
	while ((c = list) != NULL) {
		list = c->resume_next;
		c->is_resuming = false;
		if (c->state >= CLIENT_CLOSING || c->stop != 0)
			continue;
		if (c->in != NULL)
			client_parse_kept(c);
		io_update(c);
	}
}

static void
write_all(void)
{
	struct client *list = io.dirty, *c;

	io.dirty = NULL;
	while ((c = list) != NULL) {
		list = c->dirty_next;
		c->is_dirty = false;
		if (!c->is_writing)
			io_write(c);
	}
}

bool
io_turn(void)
{
	int i;

	for (i = 0; i < RESUME_ROUNDS; i++) {
		resume_all();
		write_all();
		if (io.resumed == NULL && io.dirty == NULL)
			return false;
	}
	return true;
}
