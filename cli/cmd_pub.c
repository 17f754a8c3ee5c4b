#include "cli/run.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/units.h"
#include "base/utf8.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH_MESSAGES 1000
#define BATCH_BYTES ((size_t)1 << 20)
#define LINE_MAX_BYTES ((size_t)15 << 20)

struct publisher {
	const struct invocation *in;
	struct json_object *headers;	/* NULL: none */
	uint64_t qos;
	struct json_object *batch;
	size_t bytes;
	int exit_status;
};

/* -H name=value; a name that repeats gets a list. */
static bool
headers_read(struct publisher *p)
{
	struct json_object *old, *list;
	const char *value, *mark;
	char name[256];

	for (size_t i = 0; i < p->in->all_count; i++) {
		if (p->in->all[i].id != OPTION_HEADER)
			continue;
		value = p->in->all[i].value;
		mark = strchr(value, '=');
		if (mark == NULL || mark == value ||
		    (size_t)(mark - value) >= sizeof(name)) {
			complain("-H %s: must be NAME=VALUE", value);
			return false;
		}
		snprintf(name, sizeof(name), "%.*s", (int)(mark - value),
		    value);
		if (p->headers == NULL)
			p->headers = json_object_new_object();
		old = json_member(p->headers, name);
		if (old == NULL) {
			json_add_str(p->headers, name, mark + 1);
			continue;
		}
		list = old;
		if (!json_object_is_type(old, json_type_array)) {
			list = json_object_new_array();
			json_object_array_add(list, json_object_get(old));
			json_object_object_add(p->headers, name, list);
		}
		json_object_array_add(list, json_object_new_string(mark + 1));
	}
	return true;
}

static void
message_add(struct publisher *p, struct slice payload)
{
	struct json_object *o = json_object_new_object();
	struct buf b;

	json_add_str(o, "topic", p->in->arguments[0]);
	if (utf8_check(payload) && payload.len <= INT32_MAX) {
		json_add_slice(o, "payload", payload);
	} else {
		buf_init(&b);
		base64_add(&b, payload);
		json_add_str(o, "payload_base64", buf_cstr(&b));
		buf_fini(&b);
	}
	json_add_u64(o, "qos", p->qos);
	if (invocation_has(p->in, OPTION_RETAIN))
		json_add_bool(o, "retain", true);
	if (p->headers != NULL)
		json_object_object_add(o, "headers",
		    json_object_get(p->headers));
	json_object_array_add(p->batch, o);
	p->bytes += payload.len;
}

/* Sends what was gathered; false when it failed. */
static bool
batch_send(struct publisher *p)
{
	struct json_object *body, *refused;
	struct api_answer answer;
	bool ok;

	if (json_object_array_length(p->batch) == 0)
		return true;
	body = json_object_new_object();
	json_object_object_add(body, "messages", p->batch);
	p->batch = json_object_new_array();
	p->bytes = 0;
	ok = api_call("POST", "/publish", body, &answer, &p->exit_status);
	json_object_put(body);
	if (!ok)
		return false;
	refused = json_member(answer.body, "refused");
	if (json_object_is_type(refused, json_type_array) &&
	    json_object_array_length(refused) > 0) {
		complain("%zu messages were refused: no space on the broker's "
		    "disk?", json_object_array_length(refused));
		p->exit_status = EXIT_FAILED;
		ok = false;
	}
	api_answer_fini(&answer);
	return ok;
}

static bool
is_batch_full(const struct publisher *p)
{
	return json_object_array_length(p->batch) >= BATCH_MESSAGES ||
	    p->bytes >= BATCH_BYTES;
}

/* All whole lines of b; false when sending failed. */
static bool
lines_take(struct publisher *p, struct buf *b)
{
	const uint8_t *end;
	struct slice s;

	for (;;) {
		s = buf_slice(b);
		end = memchr(s.p, '\n', s.len);
		if (end == NULL)
			return true;
		message_add(p, slice_of(s.p, (size_t)(end - s.p)));
		buf_consume(b, (size_t)(end - s.p) + 1);
		if (is_batch_full(p) && !batch_send(p))
			return false;
	}
}

/* Sends as soon as nothing more waits on stdin. */
static bool
publish_lines(struct publisher *p)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
	struct buf b;
	bool ok = true;
	ssize_t n;

	buf_init(&b);
	while (ok) {
		if (poll(&fd, 1, 0) == 0)
			ok = batch_send(p);
		n = read(STDIN_FILENO, buf_reserve(&b, 65536), 65536);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_commit(&b, (size_t)n);
		ok = ok && lines_take(p, &b);
		if (buf_len(&b) > LINE_MAX_BYTES) {
			complain("a line of stdin is longer than 15 MiB");
			p->exit_status = EXIT_USAGE;
			ok = false;
		}
	}
	if (ok && buf_len(&b) > 0)
		message_add(p, buf_slice(&b));
	buf_fini(&b);
	return ok && batch_send(p);
}

static bool
publish_one(struct publisher *p)
{
	const char *path = p->in->values[OPTION_FILE];
	struct buf b;
	bool ok;

	if (path == NULL) {
		message_add(p, slice_str(p->in->values[OPTION_MESSAGE]));
		return batch_send(p);
	}
	buf_init(&b);
	ok = file_read(path, &b);
	if (!ok)
		p->exit_status = EXIT_FAILED;
	else
		message_add(p, buf_slice(&b));
	buf_fini(&b);
	return ok && batch_send(p);
}

static bool
options_are_good(struct publisher *p)
{
	const struct invocation *in = p->in;
	int sources = invocation_has(in, OPTION_MESSAGE) +
	    invocation_has(in, OPTION_FILE) + invocation_has(in, OPTION_LINES);
	const char *qos = in->values[OPTION_QOS];
	int64_t v = 0;

	if (sources != 1) {
		complain("pub wants one of -m TEXT, -f FILE and -l");
		return false;
	}
	if (qos != NULL && (!int_parse(qos, &v) || v < 0 || v > 2)) {
		complain("--qos %s: must be 0, 1 or 2", qos);
		return false;
	}
	p->qos = (uint64_t)v;
	return headers_read(p);
}

int
run_pub(const struct invocation *in)
{
	struct publisher p = {.in = in, .exit_status = EXIT_FAILED};
	bool ok;

	if (!options_are_good(&p)) {
		json_object_put(p.headers);
		return EXIT_USAGE;
	}
	if (!api_open(in)) {
		json_object_put(p.headers);
		return EXIT_NOT_RUNNING;
	}
	p.batch = json_object_new_array();
	ok = invocation_has(in, OPTION_LINES) ? publish_lines(&p) :
	    publish_one(&p);
	json_object_put(p.batch);
	json_object_put(p.headers);
	return ok ? EXIT_DONE : p.exit_status;
}
