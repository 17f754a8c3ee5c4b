/*
 * mqtt_load - MQTT 3.1.1 load for measurements: one process, epoll, JSON out.
 *
 *   mqtt_load PORT MODE [key=value ...]
 *
 *   pairs	n publishers, each with a subscriber of its own topic
 *   fanout	one publisher, n subscribers of one topic
 *   fanin	n publishers, one subscriber
 *   stream	n publishers, nobody subscribes
 *   latency	as pairs, at rate messages/s in all; prints percentiles
 *   idle	n connections that do nothing, for seconds
 *
 * keys: n, qos, size (payload bytes), messages (in all, then it ends),
 * seconds (the bound, or how long), window (unacknowledged or undelivered
 * messages per publisher), rate, topic (prefix), persistent=1, json=1 (the
 * payload is an object with a number and text).
 *
 * A publisher never has more than window messages on the way, so that a
 * broker that drops under pressure is not measured dropping.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUF_SIZE (1u << 16)
#define LATENCIES_MAX 4000000

enum role { PUBLISHER, SUBSCRIBER };

struct client {
	int fd;
	enum role role;
	size_t pair;
	bool is_ready, wants_write;
	uint8_t *out;
	size_t out_len, out_off, out_cap;
	uint8_t *in;
	size_t in_len;
	uint64_t sent, acked, received;
	uint16_t next_id;
};

static struct {
	const char *mode, *topic;
	int port, qos;
	size_t n, size, window;
	uint64_t messages, rate;
	double seconds;
	bool is_persistent, is_json;
	struct client *clients;
	size_t count;
	int epoll;
	uint64_t sent, acked, received, ready;
	uint64_t *latencies;
	size_t latency_count;
} load = {.topic = "bench", .n = 50, .size = 256, .window = 100,
    .seconds = 30};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
die(const char *what)
{
	fprintf(stderr, "mqtt_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint8_t *
out_reserve(struct client *c, size_t n)
{
	if (c->out_len + n > c->out_cap) {
		memmove(c->out, c->out + c->out_off, c->out_len - c->out_off);
		c->out_len -= c->out_off;
		c->out_off = 0;
		while (c->out_len + n > c->out_cap)
			c->out_cap = c->out_cap == 0 ? 512 : c->out_cap * 2;
		c->out = realloc(c->out, c->out_cap);
		if (c->out == NULL)
			die("memory");
	}
	return c->out + c->out_len;
}

static size_t
put_length(uint8_t *p, size_t n)
{
	size_t i = 0;

	do {
		p[i] = (uint8_t)(n & 0x7f);
		n >>= 7;
		if (n > 0)
			p[i] |= 0x80;
		i++;
	} while (n > 0);
	return i;
}

static void
put_connect(struct client *c)
{
	char id[40];
	uint8_t *p = out_reserve(c, 128);
	int n = snprintf(id, sizeof(id), "load-%d-%zu-%d", (int)c->role,
	    c->pair, load.is_persistent ? 0 : (int)getpid());

	*p++ = 0x10;
	*p++ = (uint8_t)(12 + n);
	memcpy(p, "\0\4MQTT\4", 7);
	p[7] = load.is_persistent && c->role == SUBSCRIBER ? 0 : 2;
	p[8] = 0;
	p[9] = 0;
	p[10] = 0;
	p[11] = (uint8_t)n;
	memcpy(p + 12, id, (size_t)n);
	c->out_len += (size_t)(14 + n);
}

static size_t
topic_of(const struct client *c, char *topic, size_t cap)
{
	bool is_one = strcmp(load.mode, "fanout") == 0 ||
	    (strcmp(load.mode, "fanin") == 0);

	return (size_t)snprintf(
	    topic, cap, "%s/%zu/data", load.topic, is_one ? 0 : c->pair);
}

static void
put_subscribe(struct client *c)
{
	char topic[128];
	size_t n = topic_of(c, topic, sizeof(topic));
	uint8_t *p = out_reserve(c, n + 16);

	*p++ = 0x82;
	*p++ = (uint8_t)(n + 5);
	memcpy(p, "\0\1\0", 3);
	p[3] = (uint8_t)n;
	memcpy(p + 4, topic, n);
	p[4 + n] = (uint8_t)load.qos;
	c->out_len += n + 7;
}

static void
put_publish(struct client *c)
{
	char topic[128];
	size_t n = topic_of(c, topic, sizeof(topic)), id = load.qos > 0 ? 2 : 0;
	size_t rest = 2 + n + id + load.size;
	uint8_t *p = out_reserve(c, rest + 8), *start = p;
	uint64_t t = now_ns();

	*p++ = (uint8_t)(0x30 | load.qos << 1);
	p += put_length(p, rest);
	*p++ = 0;
	*p++ = (uint8_t)n;
	memcpy(p, topic, n);
	p += n;
	if (id > 0) {
		if (++c->next_id == 0)
			c->next_id = 1;
		*p++ = (uint8_t)(c->next_id >> 8);
		*p++ = (uint8_t)c->next_id;
	}
	memset(p, 'x', load.size);
	if (load.is_json && load.size >= 48) {
		n = (size_t)snprintf((char *)p, load.size,
		    "{\"n\":%llu,\"celsius\":21.5,\"pad\":\"",
		    (unsigned long long)load.sent);
		p[n] = 'x';
		memcpy(p + load.size - 2, "\"}", 2);
	} else if (load.size >= 8)
		memcpy(p, &t, 8);
	p += load.size;
	c->out_len += (size_t)(p - start);
	c->sent++;
	load.sent++;
}

static void
put_ack(struct client *c, uint8_t type, const uint8_t *id)
{
	uint8_t *p = out_reserve(c, 4);

	p[0] = type;
	p[1] = 2;
	p[2] = id[0];
	p[3] = id[1];
	c->out_len += 4;
}

static void
client_flush(struct client *c)
{
	struct epoll_event ev = {.data.ptr = c};
	ssize_t n;
	bool wants;

	while (c->out_off < c->out_len) {
		n = write(c->fd, c->out + c->out_off, c->out_len - c->out_off);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1)
			die("write");
		c->out_off += (size_t)n;
	}
	if (c->out_off == c->out_len)
		c->out_off = c->out_len = 0;
	wants = c->out_len > 0;
	if (wants != c->wants_write) {
		ev.events = EPOLLIN | (wants ? EPOLLOUT : 0u);
		epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &ev);
		c->wants_write = wants;
	}
}

/* How many of its messages are on the way. */
static uint64_t
client_under_way(const struct client *c)
{
	uint64_t seen = UINT64_MAX;

	if (load.qos > 0)
		seen = c->acked;
	if (strcmp(load.mode, "pairs") == 0 || strcmp(load.mode, "latency") == 0)
		if (load.clients[c->pair + load.n].received < seen)
			seen = load.clients[c->pair + load.n].received;
	if (strcmp(load.mode, "fanin") == 0 &&
	    load.received / load.n < seen)
		seen = load.received / load.n;
	if (strcmp(load.mode, "fanout") == 0 && load.received / load.n < seen)
		seen = load.received / load.n;
	return seen == UINT64_MAX || seen > c->sent ? 0 : c->sent - seen;
}

static void
client_publish(struct client *c)
{
	if (load.rate > 0)
		return;
	while (client_under_way(c) < load.window &&
	    c->out_len < BUF_SIZE / 2 && load.sent < load.messages)
		put_publish(c);
	client_flush(c);
}

static void
on_message(struct client *c, uint8_t head, const uint8_t *p, size_t n)
{
	int qos = head >> 1 & 3;
	size_t topic = (size_t)p[0] << 8 | p[1];
	const uint8_t *payload = p + 2 + topic + (qos > 0 ? 2 : 0);
	uint64_t t;

	c->received++;
	load.received++;
	if (qos > 0)
		put_ack(c, qos == 1 ? 0x40 : 0x50, p + 2 + topic);
	if (load.latencies != NULL && load.latency_count < LATENCIES_MAX &&
	    (size_t)(p + n - payload) >= 8) {
		memcpy(&t, payload, 8);
		load.latencies[load.latency_count++] = now_ns() - t;
	}
}

static void
on_packet(struct client *c, uint8_t head, const uint8_t *p, size_t n)
{
	switch (head >> 4) {
	case 2:
		if (p[1] != 0) {
			fprintf(stderr, "refused: %d\n", p[1]);
			exit(1);
		}
		if (c->role == SUBSCRIBER) {
			put_subscribe(c);
			break;
		}
		c->is_ready = true;
		load.ready++;
		break;
	case 3:
		on_message(c, head, p, n);
		break;
	case 4:
	case 7:
		c->acked++;
		load.acked++;
		break;
	case 5:
		put_ack(c, 0x62, p);
		break;
	case 6:
		put_ack(c, 0x70, p);
		break;
	case 9:
		c->is_ready = true;
		load.ready++;
		break;
	default:
		break;
	}
}

static void
client_read(struct client *c)
{
	size_t used = 0, len, i, shift;
	ssize_t n;

	if (c->in == NULL)
		c->in = malloc(BUF_SIZE);
	n = read(c->fd, c->in + c->in_len, BUF_SIZE - c->in_len);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		fprintf(stderr, "mqtt_load: connection closed\n");
		exit(1);
	}
	c->in_len += (size_t)n;
	for (;;) {
		len = 0;
		shift = 0;
		for (i = 1; used + i < c->in_len; i++) {
			len |= (size_t)(c->in[used + i] & 0x7f) << shift;
			shift += 7;
			if ((c->in[used + i] & 0x80) == 0)
				break;
		}
		if (used + i >= c->in_len || used + i + 1 + len > c->in_len)
			break;
		on_packet(c, c->in[used], c->in + used + i + 1, len);
		used += i + 1 + len;
	}
	memmove(c->in, c->in + used, c->in_len - used);
	c->in_len -= used;
	if (strcmp(load.mode, "idle") == 0) {
		free(c->in);
		c->in = NULL;
	}
	client_flush(c);
}

static void
client_open(struct client *c, enum role role, size_t pair)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)load.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	int on = 1;

	c->role = role;
	c->pair = pair;
	/* More connections than one address has ports. */
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd == -1 ||
	    connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		die("epoll");
	put_connect(c);
	client_flush(c);
}

static void
loop_once(int timeout)
{
	struct epoll_event events[256];
	int n = epoll_wait(load.epoll, events, 256, timeout);

	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			client_read(c);
		if (events[i].events & EPOLLOUT)
			client_flush(c);
	}
}

static void
wait_ready(uint64_t count)
{
	uint64_t end = now_ns() + 60000000000u;

	while (load.ready < count) {
		loop_once(100);
		if (now_ns() > end) {
			fprintf(stderr, "mqtt_load: only %llu ready\n",
			    (unsigned long long)load.ready);
			exit(1);
		}
	}
}

static bool
is_done(void)
{
	uint64_t want = load.messages;

	if (load.sent < load.messages)
		return false;
	if (load.qos > 0 && load.acked < load.messages)
		return false;
	if (strcmp(load.mode, "fanout") == 0)
		want *= load.n;
	return strcmp(load.mode, "stream") == 0 || load.received >= want;
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
report(double elapsed)
{
	uint64_t *l = load.latencies;
	size_t n = load.latency_count;
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	printf("{\"mode\":\"%s\",\"n\":%zu,\"qos\":%d,\"sent\":%llu,"
	       "\"acked\":%llu,\"received\":%llu,\"seconds\":%.3f,"
	       "\"load_cpu\":%.3f",
	    load.mode, load.n, load.qos, (unsigned long long)load.sent,
	    (unsigned long long)load.acked, (unsigned long long)load.received,
	    elapsed,
	    (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
	if (n > 0) {
		qsort(l, n, sizeof(*l), by_value);
		printf(",\"median_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f",
		    (double)l[n / 2] / 1e3, (double)l[n * 99 / 100] / 1e3,
		    (double)l[n - 1] / 1e3);
	}
	printf("}\n");
}

static void
run_paced(uint64_t end)
{
	uint64_t gap = 1000000000u / load.rate, due = now_ns(), t;
	size_t next = 0;

	while ((t = now_ns()) < end && load.sent < load.messages) {
		while (due <= t && load.sent < load.messages) {
			struct client *c = &load.clients[next++ % load.n];

			put_publish(c);
			client_flush(c);
			due += gap;
		}
		loop_once(due - t > 2000000 ? 1 : 0);
	}
}

static void
run(void)
{
	uint64_t end = now_ns() + (uint64_t)(load.seconds * 1e9), start;

	start = now_ns();
	if (load.rate > 0)
		run_paced(end);
	while (!is_done() && now_ns() < end) {
		for (size_t i = 0; i < load.count; i++)
			if (load.clients[i].role == PUBLISHER)
				client_publish(&load.clients[i]);
		loop_once(1);
	}
	report((double)(now_ns() - start) / 1e9);
}

static void
option(const char *arg)
{
	const char *v = strchr(arg, '=');

	if (v == NULL) {
		fprintf(stderr, "mqtt_load: %s: not key=value\n", arg);
		exit(2);
	}
	v++;
	if (strncmp(arg, "n=", 2) == 0)
		load.n = strtoul(v, NULL, 10);
	else if (strncmp(arg, "qos=", 4) == 0)
		load.qos = (int)strtol(v, NULL, 10);
	else if (strncmp(arg, "size=", 5) == 0)
		load.size = strtoul(v, NULL, 10);
	else if (strncmp(arg, "messages=", 9) == 0)
		load.messages = strtoull(v, NULL, 10);
	else if (strncmp(arg, "seconds=", 8) == 0)
		load.seconds = strtod(v, NULL);
	else if (strncmp(arg, "window=", 7) == 0)
		load.window = strtoul(v, NULL, 10);
	else if (strncmp(arg, "rate=", 5) == 0)
		load.rate = strtoull(v, NULL, 10);
	else if (strncmp(arg, "topic=", 6) == 0)
		load.topic = v;
	else if (strncmp(arg, "persistent=", 11) == 0)
		load.is_persistent = *v == '1';
	else if (strncmp(arg, "json=", 5) == 0)
		load.is_json = *v == '1';
	else {
		fprintf(stderr, "mqtt_load: %s: unknown\n", arg);
		exit(2);
	}
}

static void
open_all(void)
{
	bool has_subs = strcmp(load.mode, "idle") != 0 &&
	    strcmp(load.mode, "stream") != 0;
	size_t pubs = strcmp(load.mode, "fanout") == 0 ? 1 : load.n;
	size_t subs = !has_subs			    ? 0
	    : strcmp(load.mode, "fanin") == 0 ? 1
					      : load.n;

	load.clients = calloc(pubs + subs, sizeof(*load.clients));
	load.count = pubs + subs;
	load.epoll = epoll_create1(0);
	for (size_t i = 0; i < pubs + subs; i++) {
		client_open(&load.clients[i], i < pubs ? PUBLISHER : SUBSCRIBER,
		    i < pubs ? i : i - pubs);
		if (i % 100 == 99)
			wait_ready(i + 1 > 50 ? i + 1 - 50 : 0);
	}
	wait_ready(load.count);
}

int
main(int argc, char **argv)
{
	struct rlimit files = {200000, 200000};

	if (argc < 3) {
		fprintf(stderr, "usage: mqtt_load PORT MODE [key=value ...]\n");
		return 2;
	}
	load.port = (int)strtol(argv[1], NULL, 10);
	load.mode = argv[2];
	load.messages = UINT64_MAX;
	for (int i = 3; i < argc; i++)
		option(argv[i]);
	if (setrlimit(RLIMIT_NOFILE, &files) == -1 &&
	    getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (strcmp(load.mode, "latency") == 0)
		load.latencies = malloc(LATENCIES_MAX * sizeof(uint64_t));
	open_all();
	if (strcmp(load.mode, "idle") == 0) {
		uint64_t end = now_ns() + (uint64_t)(load.seconds * 1e9);

		printf("{\"ready\":%llu}\n", (unsigned long long)load.ready);
		fflush(stdout);
		while (now_ns() < end)
			loop_once(100);
		return 0;
	}
	run();
	return 0;
}
