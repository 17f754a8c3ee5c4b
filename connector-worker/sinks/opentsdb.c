/* links: libcurl zlib */
/*
 * opentsdb - records as data points of OpenTSDB, by /api/put?details.
 *
 * The answer says how many points failed, and of some why. Points with the
 * same series and time replace each other, so a run of which some failed is
 * sent again in halves until each bad one is alone with its reason.
 */
#include "connector-worker/conn.h"
#include "connector-worker/http_batch.h"

#include "base/json.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "connector-worker/excerpt.h"

#include <stdlib.h>

struct tag {
	const char *name;
	const struct template *value;
};

struct opentsdb {
	struct sink *sink;
	struct http_batch *http;
	const struct template *metric;
	const struct template *value;
	const struct template *timestamp;
	struct template *own_tag;
	struct tag *tags;
	size_t tags_len;
	bool has_details;
	struct template_input input;
	struct buf text;
};

static const struct option options[] = {
    {"server", OPTION_STRING, NULL, 1, 1024, NULL, OPTION_REQUIRED,
	"URL of the server: http://HOST:4242", "服务器地址：http://HOST:4242"},
    {"metric", OPTION_STRING, "${topic}", 1, 1024, NULL, OPTION_TEMPLATE,
	"metric; characters that OpenTSDB does not have become _",
	"指标名；OpenTSDB 不支持的字符替换为 _"},
    {"value", OPTION_STRING, "${payload:number}", 1, 1024, NULL,
	OPTION_TEMPLATE, "value, a number", "数值"},
    {"tags", OPTION_MAP, NULL, 1, 8, NULL, OPTION_TEMPLATE,
	"tags; without it topic: ${topic}. An empty value is left out",
	"标签；缺省为 topic: ${topic}。空值会被省略"},
    {"timestamp", OPTION_STRING, "${timestamp_ms}", 1, 1024, NULL,
	OPTION_TEMPLATE, "time in milliseconds or seconds since 1970",
	"自 1970 年起的毫秒或秒"},
    {"details", OPTION_BOOL, "true", 0, 0, NULL, 0,
	"ask which points failed, and why; false: only whether all were "
	"taken",
	"查询哪些数据点失败及原因；false：只知是否全部成功"},
    {"username", OPTION_STRING, NULL, 1, 255, NULL, 0, "user", "用户名"},
    {"password", OPTION_STRING, NULL, 0, 1024, NULL, OPTION_SECRET, "password",
	"密码"},
    {"gzip", OPTION_BOOL, "false", 0, 0, NULL, 0, "compress requests",
	"压缩请求"},
    {"timeout_ms", OPTION_INT, "10000", 1, 60000, NULL, 0,
	"how long a request may take, in milliseconds",
	"单个请求的最长时间（毫秒）"},
    CONN_TLS_OPTIONS,
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

static void
opentsdb_validate(const struct sink_options *o, struct faults *faults)
{
	http_server_validate(o, faults, "server", false);
	if (opt_is_set(o, "username") != opt_is_set(o, "password"))
		sink_fault(
		    o, faults, "username", "username and password go together");
	for (size_t i = 0; i < opt_count(o, "tags"); i++)
		if (*opt_key(o, "tags", i) == '\0')
			sink_fault(o, faults, "tags", "a tag has no name");
}

/* --- a point -------------------------------------------------------------- */

/* What OpenTSDB has in names: a-zA-Z0-9-_./ and letters beyond ASCII. */
static void
name_add(struct buf *out, struct slice s)
{
	size_t at = 0, n;

	for (; at < s.len; at += n) {
		uint8_t c = s.p[at];

		n = utf8_len(slice_of(s.p + at, s.len - at));
		if (n > 1)
			buf_add(out, s.p + at, n);
		else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			 (c >= '0' && c <= '9') ||
			 (c != '\0' && strchr("-_./", c) != NULL))
			buf_add_u8(out, c);
		else
			buf_add_u8(out, '_');
		n = n == 0 ? 1 : n;
	}
}

static bool
add_name(struct opentsdb *t, const struct template *from, struct buf *body,
    const char **why)
{
	buf_clear(&t->text);
	if (!template_render(from, &t->input, &t->text, NULL, why))
		return false;
	buf_add_u8(body, '"');
	name_add(body, buf_slice(&t->text));
	buf_add_u8(body, '"');
	return true;
}

static bool
add_number(struct opentsdb *t, const struct template *from, struct buf *body,
    const char **why)
{
	enum value_kind kind;

	buf_clear(&t->text);
	if (!template_value(from, &t->input, &t->text, &kind, why))
		return false;
	if (!json_number_check(buf_slice(&t->text))) {
		*why = "value or timestamp is not a number";
		return false;
	}
	buf_add(body, buf_data(&t->text), buf_len(&t->text));
	return true;
}

static bool
add_tags(struct opentsdb *t, struct buf *body, const char **why)
{
	bool has_one = false;

	buf_add_str(body, ",\"tags\":{");
	for (size_t i = 0; i < t->tags_len; i++) {
		size_t before = body->len;

		buf_add_str(body, has_one ? ",\"" : "\"");
		name_add(body, slice_str(t->tags[i].name));
		buf_add_str(body, "\":");
		if (!add_name(t, t->tags[i].value, body, why))
			return false;
		if (buf_len(&t->text) == 0)
			body->len = before;
		else
			has_one = true;
	}
	buf_add_u8(body, '}');
	if (!has_one)
		*why = "the record has no tag";
	return has_one;
}

static void
begin(void *self, struct buf *body)
{
	(void)self;
	buf_add_u8(body, '[');
}

static void
end(void *self, struct buf *body)
{
	(void)self;
	buf_add_u8(body, ']');
}

static bool
add(void *self, const struct record *rec, struct buf *body, const char **why)
{
	struct opentsdb *t = self;

	template_input_set(&t->input, rec);
	buf_add_str(body, buf_len(body) > 1 ? ",{\"metric\":" : "{\"metric\":");
	if (!add_name(t, t->metric, body, why))
		return false;
	if (buf_len(&t->text) == 0) {
		*why = "the metric is empty";
		return false;
	}
	buf_add_str(body, ",\"timestamp\":");
	if (!add_number(t, t->timestamp, body, why))
		return false;
	buf_add_str(body, ",\"value\":");
	if (!add_number(t, t->value, body, why) || !add_tags(t, body, why))
		return false;
	buf_add_u8(body, '}');
	return true;
}

/* --- requests and answers ------------------------------------------------- */

static void
setup(void *self, CURL *easy)
{
	struct opentsdb *t = self;

	http_tls_setup(easy, sink_opts(t->sink));
	http_basic_setup(easy, sink_opts(t->sink));
}

static void
prepare(void *self, struct http_run *run)
{
	struct opentsdb *t = self;

	buf_add_str(&run->url,
	    t->has_details ? "/api/put?details" : "/api/put?summary");
}

/*
 * {"failed":N,"success":N,"errors":[{"datapoint":{..},"error":".."}]}: one
 * bad point alone has that text as its reason.
 */
static void
reason_take(struct json_object *answer, struct buf *reason)
{
	struct json_object *errors = json_member(answer, "errors");
	const char *text;

	if (errors == NULL || !json_object_is_type(errors, json_type_array) ||
	    json_object_array_length(errors) == 0)
		return;
	text =
	    json_get_str(json_object_array_get_idx(errors, 0), "error", NULL);
	if (text == NULL)
		return;
	buf_add_str(reason, "OpenTSDB: ");
	excerpt_add(reason, slice_str(text), 300);
}

static struct http_verdict
judge(void *self, struct http_run *run, long status, struct slice body,
    struct buf *reason)
{
	struct http_verdict v = http_batch_judge(status);
	struct json_object *answer;
	uint64_t failed;

	(void)self;
	if (status == 204 || (status != 200 && status != 400))
		return v;
	answer = json_parse(body);
	if (answer == NULL || !json_object_is_type(answer, json_type_object)) {
		json_object_put(answer);
		return status == 200
			   ? (struct http_verdict){.outcome = SINK_UNSURE}
			   : v;
	}
	failed = json_get_u64(answer, "failed", status == 200 ? 0 : 1);
	if (failed > 0) {
		reason_take(answer, reason);
		v = (struct http_verdict){
		    .outcome = SINK_REFUSED, .is_of_one = true};
	} else if (json_get_u64(answer, "success", run->count) < run->count) {
		v = (struct http_verdict){.outcome = SINK_UNSURE};
	}
	json_object_put(answer);
	return v;
}

static void
probe(void *self, struct http_run *run)
{
	(void)self;
	buf_add_str(&run->url, "/api/version");
}

static bool
found(void *self, long status, struct slice body, struct buf *reason)
{
	struct opentsdb *t = self;
	struct buf text;

	(void)reason;
	if (status == 401 || status == 403 || status >= 500)
		return false;
	buf_init(&text);
	excerpt_add(&text, body, 200);
	sink_found(
	    t->sink, "version", "HTTP status %ld: %s", status, buf_cstr(&text));
	buf_fini(&text);
	return true;
}

static const struct http_batch_ops ops = {
    .add = add,
    .begin = begin,
    .end = end,
    .setup = setup,
    .prepare = prepare,
    .judge = judge,
    .probe = probe,
    .found = found,
};

/* --- the sink's functions ------------------------------------------------- */

static void
tags_take(struct opentsdb *t, const struct sink_options *o)
{
	char fault[80];

	t->tags_len = opt_count(o, "tags");
	t->tags = mem_zalloc(t->tags_len + 1, sizeof(*t->tags));
	for (size_t i = 0; i < t->tags_len; i++)
		t->tags[i] = (struct tag){
		    opt_key(o, "tags", i), opt_value_template(o, "tags", i)};
	if (t->tags_len > 0)
		return;
	t->own_tag =
	    template_parse(SLICE_LIT("${topic}"), fault, sizeof(fault));
	t->tags[t->tags_len++] = (struct tag){"topic", t->own_tag};
}

static void *
opentsdb_open(struct sink *sink)
{
	struct opentsdb *t = mem_zalloc(1, sizeof(*t));
	const struct sink_options *o = sink_opts(sink);
	struct http_batch_config config = {
	    .content_type = "application/json",
	    .has_gzip = opt_bool(o, "gzip"),
	    .timeout_ms = (long)opt_int(o, "timeout_ms"),
	    .server_name = opt_string(o, "tls.server_name"),
	    .urls_len = 1,
	};
	const char *wrong;

	t->sink = sink;
	t->metric = opt_template(o, "metric");
	t->value = opt_template(o, "value");
	t->timestamp = opt_template(o, "timestamp");
	t->has_details = opt_bool(o, "details");
	tags_take(t, o);
	template_input_init(&t->input);
	buf_init(&t->text);
	config.urls = mem_zalloc(1, sizeof(*config.urls));
	config.urls[0] = http_server_url(
	    opt_string(o, "server"), opt_bool(o, "tls.enable"), &wrong);
	bug_on(config.urls[0] == NULL);
	t->http = http_batch_new(sink, &ops, t, &config);
	return t;
}

static void
opentsdb_close(void *self)
{
	struct opentsdb *t = self;

	http_batch_free(t->http);
	template_free(t->own_tag);
	template_input_fini(&t->input);
	buf_fini(&t->text);
	free(t->tags);
	free(t);
}

static void
opentsdb_send(void *self, struct sink_batch *batch)
{
	http_batch_send(((struct opentsdb *)self)->http, batch);
}

static void
opentsdb_probe(void *self)
{
	http_batch_probe(((struct opentsdb *)self)->http);
}

static void
opentsdb_test(void *self)
{
	http_batch_test(((struct opentsdb *)self)->http);
}

const struct sink_type sink_type = {
    .name = "opentsdb",
    .help_en = "data points of OpenTSDB",
    .help_zh = "OpenTSDB 的数据点",
    .options = options,
    .option_count = sizeof(options) / sizeof(*options),
    .caps =
	{
	    .effectively_once = true,
	    .orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION | SINK_ORDER_NONE,
	    .bytes_max = 4u << 20,
	    .paths = path_options,
	    .ports = "fixed",
	},
    .validate = opentsdb_validate,
    .open = opentsdb_open,
    .send_batch = opentsdb_send,
    .probe = opentsdb_probe,
    .test = opentsdb_test,
    .close = opentsdb_close,
};
