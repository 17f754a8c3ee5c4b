/* links: libcurl libcrypto zlib */
/*
 * webhook - records as HTTP requests.
 *
 * Here is the definition: options, their checks, the sink's functions. The
 * work is in webhook_slot.h.
 */
#include "connector-worker/sinks/webhook_slot.h"

#include "base/mem.h"
#include "connector-worker/http_answer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define SIGNATURE "X-Hub-Signature-256"
#define PROBE_MS 5000

static const struct option options[] = {
    {"url", OPTION_STRING, NULL, 8, 8192, NULL,
	OPTION_REQUIRED | OPTION_TEMPLATE,
	"where requests go; templates may stand in path and query, their "
	"values are percent-encoded",
	"请求地址；路径和查询部分可含模板，其值会做百分号编码"},
    {"method", OPTION_ENUM, "post", 0, 0, "post|put|patch", 0,
	"method of the requests", "请求方法"},
    {"headers", OPTION_MAP, NULL, 0, WEBHOOK_HEADERS_MAX, NULL, OPTION_TEMPLATE,
	"more header fields", "附加的请求头"},
    {"body", OPTION_STRING, NULL, 1, 65536, NULL, OPTION_TEMPLATE,
	"body of a record; without it the record as JSON. Values are "
	"escaped as content_type needs it (JSON, XML, form); a single "
	"value such as ${payload} is taken as it is",
	"单条记录的请求体；缺省为 JSON 形式的记录。值按 content_type "
	"（JSON、XML、表单）转义；单独的值（如 ${payload}）原样发送"},
    {"content_type", OPTION_STRING, "application/json", 1, 255, NULL, 0,
	"type of the body", "请求体类型"},
    {"batch_mode", OPTION_ENUM, "single", 0, 0, "array|lines|single", 0,
	"single: a request for each record, with its id as "
	"Idempotency-Key; array: a JSON array of a batch; lines: a JSON "
	"value on each line",
	"single：每条记录一个请求，其 id 作为 Idempotency-Key；array："
	"一个批次为一个 JSON 数组；lines：每行一个 JSON 值"},
    {"gzip", OPTION_BOOL, "false", 0, 0, NULL, 0, "compress bodies",
	"压缩请求体"},
    {"timeout_ms", OPTION_INT, "5000", 1, 60000, NULL, 0,
	"how long a request may take, in milliseconds",
	"单个请求的最长时间（毫秒）"},
    {"auth_type", OPTION_ENUM, "none", 0, 0, "none|basic|bearer|hmac", 0,
	"how requests show who sends them; hmac: " SIGNATURE
	": sha256=HEX of the body as it is sent",
	"请求的身份验证方式；hmac：" SIGNATURE
	": sha256=HEX，对实际发送的请求体计算"},
    {"username", OPTION_STRING, NULL, 1, 255, NULL, 0,
	"user of auth_type basic", "basic 认证的用户名"},
    {"password", OPTION_STRING, NULL, 0, 1024, NULL, OPTION_SECRET,
	"password of auth_type basic", "basic 认证的密码"},
    {"bearer_token", OPTION_STRING, NULL, 1, 8192, NULL, OPTION_SECRET,
	"token of auth_type bearer", "bearer 认证的令牌"},
    {"hmac_secret", OPTION_STRING, NULL, 1, 1024, NULL, OPTION_SECRET,
	"key of auth_type hmac", "hmac 认证的密钥"},
    {"connections", OPTION_INT, "8", 1, WEBHOOK_CONNECTIONS_MAX, NULL, 0,
	"requests under way at once", "同时进行的请求数"},
    {"http2", OPTION_BOOL, "true", 0, 0, NULL, 0,
	"speak HTTP/2 with an https target that can",
	"https 目标支持时使用 HTTP/2"},
    {"tls", OPTION_OBJECT, NULL, 0, 0, NULL, 0, "encryption of the connection",
	"连接加密"},
    {"tls.enable", OPTION_BOOL, "false", 0, 0, NULL, 0,
	"refuse a url that is not https", "拒绝非 https 的 url"},
    {"tls.ca_file", OPTION_STRING, NULL, 1, 4096, NULL, 0,
	"certificates to trust; the system's without it",
	"受信任的证书；缺省为系统证书"},
    {"tls.cert_file", OPTION_STRING, NULL, 1, 4096, NULL, 0, "our certificate",
	"客户端证书"},
    {"tls.key_file", OPTION_STRING, NULL, 1, 4096, NULL, 0,
	"the key of our certificate", "客户端证书的私钥"},
    {"tls.server_name", OPTION_STRING, NULL, 1, 255, NULL, 0,
	"name that the server's certificate must have, if not the url's",
	"服务器证书须包含的名称（与 url 中不同时）"},
    {"tls.verify", OPTION_BOOL, "true", 0, 0, NULL, 0,
	"check the server's certificate", "校验服务器证书"},
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

/* --- the definition ------------------------------------------------------- */

static void
validate_url(const struct sink_options *o, struct faults *faults)
{
	const struct template *t = opt_template(o, "url");
	static const char *const files[] = {
	    "tls.ca_file", "tls.cert_file", "tls.server_name"};
	struct http_url u;
	const char *wrong;

	if (t == NULL)
		return;
	wrong = http_url_check(template_prefix(t), template_is_constant(t), &u);
	if (wrong != NULL) {
		sink_fault(o, faults, "url", "%s", wrong);
		return;
	}
	if (opt_bool(o, "tls.enable") && !u.is_https)
		sink_fault(o, faults, "url",
		    "is not https, and tls.enable "
		    "is set");
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (!u.is_https && opt_string(o, files[i]) != NULL)
			sink_fault(o, faults, files[i],
			    "has no use without an https url");
	if ((opt_string(o, "tls.cert_file") == NULL) !=
	    (opt_string(o, "tls.key_file") == NULL))
		sink_fault(o, faults, "tls.cert_file",
		    "cert_file and key_file go together");
}

static void
validate_auth(const struct sink_options *o, struct faults *faults)
{
	static const struct {
		const char *name;
		enum webhook_auth auth;
	} needs[] = {
	    {"username", WEBHOOK_BASIC},
	    {"password", WEBHOOK_BASIC},
	    {"bearer_token", WEBHOOK_BEARER},
	    {"hmac_secret", WEBHOOK_HMAC},
	};
	static const char *const names[] = {"none", "basic", "bearer", "hmac"};
	int auth = opt_choice(o, "auth_type");
	const char *token = opt_string(o, "bearer_token");

	for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++) {
		bool is_set = opt_string(o, needs[i].name) != NULL;

		if ((int)needs[i].auth == auth && !is_set)
			sink_fault(o, faults, needs[i].name,
			    "is required with auth_type %s", names[auth]);
		if ((int)needs[i].auth != auth && is_set && auth >= 0)
			sink_fault(o, faults, needs[i].name,
			    "has no use with auth_type %s", names[auth]);
	}
	for (; token != NULL && *token != '\0'; token++)
		if (*token < '!' || *token > '~') {
			sink_fault(o, faults, "bearer_token",
			    "has a space or a character that no token has");
			break;
		}
}

static bool
is_name(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) &&
		    strchr("!#$%&'*+-.^_`|~", *s) == NULL)
			return false;
	return true;
}

static void
validate_headers(const struct sink_options *o, struct faults *faults)
{
	static const struct {
		const char *name, *why;
	} ours[] = {
	    {"Content-Type", "is content_type's"},
	    {"Content-Length", "is made of the body"},
	    {"Content-Encoding", "is gzip's"},
	    {"Transfer-Encoding", "is not used"},
	    {"Connection", "is the connection's own"},
	    {"Host", "is made of the url"},
	    {"Idempotency-Key", "is the record's id"},
	    {SIGNATURE, "is auth_type hmac's"},
	};

	for (size_t i = 0; i < opt_count(o, "headers"); i++) {
		const char *name = opt_key(o, "headers", i);

		if (!is_name(name))
			sink_fault(o, faults, "headers",
			    "\"%s\" is no name of a header", name);
		for (size_t j = 0; j < sizeof(ours) / sizeof(*ours); j++)
			if (strcasecmp(name, ours[j].name) == 0)
				sink_fault(o, faults, "headers", "%s %s", name,
				    ours[j].why);
		if (strcasecmp(name, "Authorization") == 0 &&
		    (opt_choice(o, "auth_type") == WEBHOOK_BASIC ||
			opt_choice(o, "auth_type") == WEBHOOK_BEARER))
			sink_fault(
			    o, faults, "headers", "%s is auth_type's", name);
	}
}

static void
webhook_validate(const struct sink_options *o, struct faults *faults)
{
	const char *type = opt_string(o, "content_type");

	validate_url(o, faults);
	validate_auth(o, faults);
	validate_headers(o, faults);
	for (; type != NULL && *type != '\0'; type++)
		if (*type < ' ' || *type > '~') {
			sink_fault(o, faults, "content_type",
			    "has a character that no header has");
			break;
		}
}

/* --- open ----------------------------------------------------------------- */

static bool
escape_xml(struct buf *out, struct value v, const char **why)
{
	(void)why;
	for (size_t i = 0; i < v.text.len; i++) {
		uint8_t c = v.text.p[i];

		if (strchr("<>&\"'", c) != NULL && c != '\0')
			buf_addf(out, "&#%d;", c);
		else
			buf_add_u8(out, c);
	}
	return true;
}

static template_escape *
escape_of(const char *content_type)
{
	if (strcasestr(content_type, "json") != NULL)
		return template_escape_json;
	if (strcasestr(content_type, "xml") != NULL ||
	    strcasestr(content_type, "html") != NULL)
		return escape_xml;
	if (strcasestr(content_type, "x-www-form-urlencoded") != NULL)
		return template_escape_url;
	return NULL;
}

static void
fixed_add(struct webhook *hook, const char *fmt, const char *value)
{
	char *line = mem_printf(fmt, value);

	hook->fixed_fields = curl_slist_append(hook->fixed_fields, line);
	free(line);
}

/*
 * The certificate is checked against the host of the URL, so with a
 * server_name that becomes the URL's host, and CONNECT_TO leads to the real
 * one.
 */
static char *
url_prefix_make(struct webhook *hook, const struct http_url *u,
    struct curl_slist **connect_to)
{
	const struct sink_options *o = sink_opts(hook->sink);
	const char *name = opt_string(o, "tls.server_name");
	const char *scheme = u->is_https ? "https" : "http";
	bool is_v6 = memchr(u->host.p, ':', u->host.len) != NULL;
	char *line;

	*connect_to = NULL;
	if (name == NULL)
		return mem_printf("%s://%.*s", scheme, SLICE_ARG(u->authority));
	line = mem_printf("%s:%d:%s%.*s%s:%d", name, u->port, is_v6 ? "[" : "",
	    SLICE_ARG(u->host), is_v6 ? "]" : "", u->port);
	*connect_to = curl_slist_append(NULL, line);
	free(line);
	line = mem_printf("Host: %.*s", SLICE_ARG(u->authority));
	fixed_add(hook, "%s", line);
	free(line);
	return mem_printf("%s://%s:%d", scheme, name, u->port);
}

static void
fields_make(struct webhook *hook)
{
	const struct sink_options *o = sink_opts(hook->sink);

	fixed_add(hook, "Content-Type: %s", opt_string(o, "content_type"));
	fixed_add(hook, "%s", "Expect:");
	fixed_add(hook, "User-Agent: bulkhead/%s", BULKHEAD_VERSION);
	if (hook->has_gzip)
		fixed_add(hook, "%s", "Content-Encoding: gzip");
	if (hook->auth == WEBHOOK_BEARER)
		fixed_add(hook, "Authorization: Bearer %s",
		    opt_string(o, "bearer_token"));
}

static struct field *
slot_add_field(struct slot *s, const char *name, const struct template *value)
{
	struct field *f = &s->fields[s->fields_len++];

	f->name = name;
	f->value = value;
	buf_init(&f->line);
	return f;
}

static void
slot_make_fields(struct slot *s)
{
	struct webhook *hook = s->hook;
	const struct sink_options *o = sink_opts(hook->sink);

	for (size_t i = 0; i < opt_count(o, "headers"); i++)
		slot_add_field(s, opt_key(o, "headers", i),
		    opt_value_template(o, "headers", i));
	if (hook->mode == WEBHOOK_SINGLE)
		slot_add_field(s, "Idempotency-Key", hook->id);
	/* The last one: slot_render makes it of the body. */
	if (hook->auth == WEBHOOK_HMAC)
		slot_add_field(s, SIGNATURE, NULL);
}

static void
easy_set_tls(CURL *easy, const struct sink_options *o)
{
	const char *ca = opt_string(o, "tls.ca_file");
	const char *cert = opt_string(o, "tls.cert_file");
	const char *key = opt_string(o, "tls.key_file");
	bool verify = opt_bool(o, "tls.verify");
	bool http2 = opt_bool(o, "http2");

	(void)opt_bool(o, "tls.enable"); /* validate has seen to it */
	if (ca != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
	if (cert != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, cert);
	if (key != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, key);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, (long)verify);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
	    http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
	/* Rather wait for a connection that many share than open more. */
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, (long)http2);
}

/* What the requests and the probe have in common. */
static CURL *
easy_make(struct webhook *hook, struct slot *s)
{
	const struct sink_options *o = sink_opts(hook->sink);
	CURL *easy = http_loop_setup();

	easy_set_tls(easy, o);
	if (hook->auth == WEBHOOK_BASIC) {
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(
		    easy, CURLOPT_USERNAME, opt_string(o, "username"));
		curl_easy_setopt(
		    easy, CURLOPT_PASSWORD, opt_string(o, "password"));
	}
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, hook->connect_to);
	curl_easy_setopt(easy, CURLOPT_URL, hook->probe_url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, hook->fixed_fields);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, hook->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, s);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->error);
	return easy;
}

static void
slot_make(struct webhook *hook, struct slot *s)
{
	static const char *const methods[] = {NULL, "PUT", "PATCH"};
	int method = opt_choice(sink_opts(hook->sink), "method");

	slot_init(s, hook);
	slot_make_fields(s);
	s->easy = easy_make(hook, s);
	curl_easy_setopt(s->easy, CURLOPT_POST, 1L);
	if (methods[method] != NULL)
		curl_easy_setopt(
		    s->easy, CURLOPT_CUSTOMREQUEST, methods[method]);
	if (s->fields_len > 0)
		curl_easy_setopt(
		    s->easy, CURLOPT_HTTPHEADER, &s->fields[0].node);
	s->next_free = hook->free_slots;
	hook->free_slots = s;
}

/* A safe method, on what of the URL is the same for all records. */
static void
prober_make(struct webhook *hook)
{
	slot_init(&hook->probe_slot, hook);
	hook->prober = easy_make(hook, &hook->probe_slot);
	curl_easy_setopt(hook->prober, CURLOPT_CUSTOMREQUEST, "OPTIONS");
	curl_easy_setopt(hook->prober, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(hook->prober, CURLOPT_FORBID_REUSE, 1L);
	if (hook->timeout_ms > PROBE_MS)
		curl_easy_setopt(
		    hook->prober, CURLOPT_TIMEOUT_MS, (long)PROBE_MS);
}

static void
on_pause_over(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	webhook_pump(w->data);
}

static void
url_make(struct webhook *hook)
{
	struct slice prefix;
	struct http_url u;

	hook->url = opt_template(sink_opts(hook->sink), "url");
	prefix = template_prefix(hook->url);
	(void)http_url_check(prefix, template_is_constant(hook->url), &u);
	hook->url_prefix = url_prefix_make(hook, &u, &hook->connect_to);
	hook->url_prefix_len = (size_t)(u.rest.p - prefix.p);
	hook->probe_url =
	    mem_printf("%s%.*s", hook->url_prefix, SLICE_ARG(u.rest));
	if (template_is_constant(hook->url))
		hook->fixed_url = hook->probe_url;
}

static void
definition_take(struct webhook *hook)
{
	const struct sink_options *o = sink_opts(hook->sink);
	char fault[80];

	hook->mode = (enum webhook_mode)opt_choice(o, "batch_mode");
	hook->auth = (enum webhook_auth)opt_choice(o, "auth_type");
	hook->body = opt_template(o, "body");
	hook->body_escape = escape_of(opt_string(o, "content_type"));
	hook->has_gzip = opt_bool(o, "gzip");
	hook->hmac_secret = opt_string(o, "hmac_secret");
	hook->timeout_ms = (long)opt_int(o, "timeout_ms");
	hook->id = template_parse(SLICE_LIT("${id}"), fault, sizeof(fault));
	for (size_t i = 0; i < opt_count(o, "headers"); i++)
		if (!template_is_constant(opt_value_template(o, "headers", i)))
			hook->has_header_templates = true;
}

static void *
webhook_open(struct sink *sink)
{
	struct webhook *hook = mem_zalloc(1, sizeof(*hook));
	const struct sink_options *o = sink_opts(sink);

	hook->sink = sink;
	hook->slots_len = (size_t)opt_int(o, "connections");
	/* The probe has a connection beside the requests'. */
	hook->http = http_loop_new(sink_loop(sink), (long)hook->slots_len + 1);
	definition_take(hook);
	fields_make(hook);
	url_make(hook);
	template_input_init(&hook->input);
	buf_init(&hook->scratch);
	if (hook->has_gzip)
		deflateInit2(&hook->gzip, Z_BEST_SPEED, Z_DEFLATED,
		    15 + 16 /* gzip's header */, 8, Z_DEFAULT_STRATEGY);
	ev_init(&hook->pause, on_pause_over);
	hook->pause.data = hook;
	hook->ready_tail = &hook->ready;
	hook->slots = mem_zalloc(hook->slots_len, sizeof(*hook->slots));
	for (size_t i = hook->slots_len; i > 0; i--)
		slot_make(hook, &hook->slots[i - 1]);
	prober_make(hook);
	return hook;
}

static void
webhook_close(void *self)
{
	struct webhook *hook = self;

	ev_timer_stop(sink_loop(hook->sink), &hook->pause);
	http_loop_remove(hook->http, hook->prober);
	for (size_t i = 0; i < hook->slots_len; i++) {
		http_loop_remove(hook->http, hook->slots[i].easy);
		slot_fini(&hook->slots[i]);
	}
	curl_easy_cleanup(hook->prober);
	slot_fini(&hook->probe_slot);
	http_loop_free(hook->http);
	webhook_drop_loads(hook);
	order_map_fini(&hook->orders);
	curl_slist_free_all(hook->fixed_fields);
	curl_slist_free_all(hook->connect_to);
	if (hook->has_gzip)
		deflateEnd(&hook->gzip);
	template_free(hook->id);
	template_input_fini(&hook->input);
	buf_fini(&hook->scratch);
	free(hook->url_prefix);
	free(hook->probe_url);
	free(hook->slots);
	free(hook);
}

/* --- the rest of the interface -------------------------------------------- */

static void
webhook_send_batch(void *self, struct sink_batch *batch)
{
	webhook_load(self, batch);
}

static void
probe_report(struct webhook *hook, long status, bool is_up, const char *reason)
{
	if (!hook->is_testing) {
		sink_probed(hook->sink, is_up, reason);
		return;
	}
	if (status > 0)
		sink_found(
		    hook->sink, "answer", "HTTP status %ld to OPTIONS", status);
	sink_tested(
	    hook->sink, is_up && status != 401 && status != 403, reason);
}

static void
on_probe(CURL *easy, CURLcode result, void *arg)
{
	struct webhook *hook = arg;
	struct buf reason;
	long status = 0;
	bool is_up;

	buf_init(&reason);
	(void)slot_outcome(&hook->probe_slot, easy, result, &reason);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	is_up = (result == CURLE_OK || hook->probe_slot.is_flooded) &&
		http_answer_is_up(status);
	probe_report(hook, status, is_up, buf_cstr(&reason));
	buf_fini(&reason);
}

static void
webhook_probe(void *self)
{
	struct webhook *hook = self;

	slot_clear_answer(&hook->probe_slot);
	http_loop_add(hook->http, hook->prober, on_probe, hook);
}

static void
webhook_test(void *self)
{
	struct webhook *hook = self;

	hook->is_testing = true;
	webhook_probe(hook);
}

const struct sink_type sink_type = {
    .name = "webhook",
    .help_en = "HTTP requests",
    .help_zh = "HTTP 请求",
    .options = options,
    .option_count = sizeof(options) / sizeof(*options),
    .caps =
	{
	    .orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION | SINK_ORDER_NONE,
	    .bytes_max = 64u << 20,
	    .paths = path_options,
	    .ports = "fixed",
	},
    .validate = webhook_validate,
    .open = webhook_open,
    .send_batch = webhook_send_batch,
    .probe = webhook_probe,
    .test = webhook_test,
    .close = webhook_close,
};
