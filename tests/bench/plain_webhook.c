/* links: libcurl ev */
/*
 * plain_webhook - the least a program over libcurl does to post records: what
 * the webhook sink is measured against.
 *
 *	plain_webhook URL CONNECTIONS REQUESTS [RECORDS_PER_REQUEST]
 *
 * Records are JSON of about 400 bytes, ready made. Prints JSON: records per
 * second and microseconds of CPU per record.
 */
#include <curl/curl.h>
#include <ev.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct watch {
	struct ev_io io;
	bool is_on;
};

static struct bench {
	struct ev_loop *loop;
	CURLM *multi;
	struct ev_timer timer;
	char *body;
	size_t body_len;
	long left, under_way, failed;
} bench;

static const char record[] = "{\"id\":\"telemetry.1234567890-0-%08zu\","
    "\"stream\":\"telemetry\",\"partition\":0,\"offset\":%zu,"
    "\"topic\":\"plant/1/telemetry\",\"key\":\"plant/1/telemetry\",\"qos\":1,"
    "\"retain\":false,\"client_id\":\"bench\",\"protocol\":\"mqtt\","
    "\"timestamp_ms\":1732200000123,\"payload\":{\"device\":\"pump-7\","
    "\"temperature\":21.5,\"pressure\":1013.25,\"state\":\"running\","
    "\"note\":\"%0100d\"}}";

static void
on_done(void)
{
	struct CURLMsg *msg;
	int rest;

	while ((msg = curl_multi_info_read(bench.multi, &rest)) != NULL) {
		CURL *easy = msg->easy_handle;
		long status = 0;

		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		if (msg->data.result != CURLE_OK || status / 100 != 2)
			bench.failed++;
		curl_multi_remove_handle(bench.multi, easy);
		bench.under_way--;
		if (bench.left > 0) {
			bench.left--;
			bench.under_way++;
			curl_multi_add_handle(bench.multi, easy);
		} else
			curl_easy_cleanup(easy);
	}
	if (bench.under_way == 0)
		ev_break(bench.loop, EVBREAK_ALL);
}

static void
on_io(struct ev_loop *loop, struct ev_io *w, int revents)
{
	int running, mask = (revents & EV_READ ? CURL_CSELECT_IN : 0) |
	    (revents & EV_WRITE ? CURL_CSELECT_OUT : 0);

	(void)loop;
	curl_multi_socket_action(bench.multi, w->fd, mask, &running);
	on_done();
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	int running;

	(void)loop;
	(void)w;
	(void)revents;
	curl_multi_socket_action(bench.multi, CURL_SOCKET_TIMEOUT, 0,
	    &running);
	on_done();
}

static int
want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sock)
{
	struct watch *w = sock;

	(void)easy;
	(void)arg;
	if (w == NULL) {
		w = calloc(1, sizeof(*w));
		ev_init(&w->io, on_io);
		curl_multi_assign(bench.multi, fd, w);
	}
	ev_io_stop(bench.loop, &w->io);
	if (what == CURL_POLL_REMOVE) {
		curl_multi_assign(bench.multi, fd, NULL);
		free(w);
		return 0;
	}
	ev_io_set(&w->io, fd, (what & CURL_POLL_IN ? EV_READ : 0) |
	    (what & CURL_POLL_OUT ? EV_WRITE : 0));
	ev_io_start(bench.loop, &w->io);
	return 0;
}

static int
want_timer(CURLM *multi, long ms, void *arg)
{
	(void)multi;
	(void)arg;
	ev_timer_stop(bench.loop, &bench.timer);
	if (ms >= 0) {
		ev_timer_set(&bench.timer, (double)ms / 1000, 0.);
		ev_timer_start(bench.loop, &bench.timer);
	}
	return 0;
}

static size_t
drop(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

static void
make_body(size_t records)
{
	bench.body = malloc(records * 600 + 3);
	if (records > 1)
		bench.body[bench.body_len++] = '[';
	for (size_t i = 0; i < records; i++)
		bench.body_len += (size_t)sprintf(bench.body + bench.body_len,
		    i > 0 ? "," : "") +
		    (size_t)sprintf(bench.body + bench.body_len + (i > 0),
		    record, i, i, 7);
	if (records > 1)
		bench.body[bench.body_len++] = ']';
}

static void
start(const char *url)
{
	CURL *easy = curl_easy_init();
	struct curl_slist *fields = curl_slist_append(NULL, "Expect:");

	fields = curl_slist_append(fields, "Content-Type: application/json");
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, bench.body);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)bench.body_len);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	bench.left--;
	bench.under_way++;
	curl_multi_add_handle(bench.multi, easy);
}

static double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	double wall, cpu;
	long connections, requests, records;

	if (argc < 4) {
		fprintf(stderr, "usage: plain_webhook URL CONNECTIONS "
		    "REQUESTS [RECORDS_PER_REQUEST]\n");
		return 2;
	}
	connections = strtol(argv[2], NULL, 10);
	requests = strtol(argv[3], NULL, 10);
	records = argc > 4 ? strtol(argv[4], NULL, 10) : 1;
	make_body((size_t)records);
	curl_global_init(CURL_GLOBAL_ALL);
	bench.loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	bench.multi = curl_multi_init();
	bench.left = requests;
	ev_init(&bench.timer, on_timer);
	curl_multi_setopt(bench.multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(bench.multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(bench.multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
	    connections);
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (long i = 0; i < connections && bench.left > 0; i++)
		start(argv[1]);
	ev_run(bench.loop, 0);
	wall = seconds(CLOCK_MONOTONIC) - wall;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("{\"records\":%ld,\"failed\":%ld,\"records_per_s\":%.0f,"
	    "\"cpu_us_per_record\":%.2f}\n", requests * records, bench.failed,
	    (double)(requests * records) / wall,
	    cpu * 1e6 / (double)(requests * records));
	return bench.failed != 0;
}
