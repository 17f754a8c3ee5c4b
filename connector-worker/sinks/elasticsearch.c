/* links: libcurl zlib */
/*
 * elasticsearch - records as documents of Elasticsearch or OpenSearch, by
 * _bulk.
 *
 * The answer to _bulk is 200 whatever became of the documents: each item's
 * own status is the answer of its record. With op create a document that is
 * there already (409) is one of ours from an earlier try, as _id is the
 * record's id.
 */
#include "connector-worker/sinks/elasticsearch_answer.h"

#include "base/json_text.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/conn.h"
#include "connector-worker/excerpt.h"

#include <stdlib.h>

enum auth { AUTH_NONE, AUTH_BASIC, AUTH_API_KEY };
enum { URLS_MAX = 32 };

struct elasticsearch {
	struct sink *sink;
	struct http_batch *http;
	const struct template *index;
	const struct template *document;
	const char *op;
	bool is_create;
	bool has_timestamp; /* data streams need @timestamp */
	const char *api_key;
	char *path;
	struct template_input input;
	struct buf text;
};

static const struct option options[] = {
    {"url", OPTION_STRING, NULL, 1, 8192, NULL, OPTION_REQUIRED,
	"URLs of nodes, separated by commas: the next is taken when one "
	"is not there",
	"节点 URL，以逗号分隔：某个不可用时用下一个"},
    {"index", OPTION_STRING, NULL, 1, 1024, NULL,
	OPTION_REQUIRED | OPTION_TEMPLATE,
	"index or data stream: logs-${timestamp:%Y.%m.%d}",
	"索引或数据流：logs-${timestamp:%Y.%m.%d}"},
    {"document", OPTION_STRING, NULL, 1, 65536, NULL, OPTION_TEMPLATE,
	"the document, a JSON object; without it the record as JSON",
	"文档（JSON 对象）；缺省为 JSON 形式的记录"},
    {"op", OPTION_ENUM, "create", 0, 0, "create|index", 0,
	"create: what is there stays; index: it is replaced",
	"create：已存在的保留；index：覆盖"},
    {"data_stream", OPTION_BOOL, "false", 0, 0, NULL, 0,
	"index is a data stream: documents get @timestamp",
	"index 为数据流：文档会加上 @timestamp"},
    {"pipeline", OPTION_STRING, NULL, 1, 255, NULL, 0, "ingest pipeline",
	"摄取管道"},
    {"auth", OPTION_ENUM, "none", 0, 0, "none|basic|api_key", 0,
	"how requests show who sends them", "身份验证方式"},
    {"username", OPTION_STRING, NULL, 1, 255, NULL, 0, "user of auth basic",
	"basic 认证的用户名"},
    {"password", OPTION_STRING, NULL, 0, 1024, NULL, OPTION_SECRET,
	"password of auth basic", "basic 认证的密码"},
    {"api_key", OPTION_STRING, NULL, 1, 1024, NULL, OPTION_SECRET,
	"key of auth api_key, as the server encodes it",
	"api_key 认证的密钥（服务器给出的编码形式）"},
    {"gzip", OPTION_BOOL, "false", 0, 0, NULL, 0, "compress requests",
	"压缩请求"},
    {"timeout_ms", OPTION_INT, "30000", 1, 60000, NULL, 0,
	"how long a request may take, in milliseconds",
	"单个请求的最长时间（毫秒）"},
    CONN_TLS_OPTIONS,
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

/* --- the definition ------------------------------------------------------- */

/* The URLs of the list; NULL and what is wrong with one. */
static char **
urls_make(const struct sink_options *o, size_t *count, const char **wrong)
{
	char *list = mem_strdup(opt_string(o, "url")), *at = list, *one;
	char **urls = mem_zalloc(URLS_MAX, sizeof(*urls));

	*count = 0;
	*wrong = NULL;
	while (*wrong == NULL && (one = strsep(&at, ",")) != NULL) {
		while (*one == ' ')
			one++;
		one[strcspn(one, " ")] = '\0';
		if (*count == URLS_MAX)
			*wrong = "has too many URLs";
		else if ((urls[*count] = http_server_url(
			      one, opt_bool(o, "tls.enable"), wrong)) != NULL)
			(*count)++;
	}
	free(list);
	if (*wrong == NULL)
		return urls;
	while (*count > 0)
		free(urls[--*count]);
	free(urls);
	return NULL;
}

static void
validate_urls(const struct sink_options *o, struct faults *faults)
{
	const char *wrong;
	size_t n;
	char **urls;

	conn_tls_validate(o, faults);
	if (opt_string(o, "url") == NULL)
		return;
	urls = urls_make(o, &n, &wrong);
	if (urls == NULL) {
		sink_fault(o, faults, "url", "%s", wrong);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (opt_bool(o, "tls.enable") &&
		    strncasecmp(urls[i], "https:", 6) != 0)
			sink_fault(o, faults, "url",
			    "is not https, and tls.enable is set");
		free(urls[i]);
	}
	free(urls);
}

static void
elasticsearch_validate(const struct sink_options *o, struct faults *faults)
{
	static const struct {
		const char *name;
		enum auth auth;
	} needs[] = {{"username", AUTH_BASIC}, {"password", AUTH_BASIC},
	    {"api_key", AUTH_API_KEY}};
	static const char *const names[] = {"none", "basic", "api_key"};
	int auth = opt_choice(o, "auth");
	const char *key = opt_string(o, "api_key");

	validate_urls(o, faults);
	for (size_t i = 0; auth >= 0 && i < 3; i++) {
		bool is_set = opt_is_set(o, needs[i].name);

		if ((int)needs[i].auth == auth && !is_set)
			sink_fault(o, faults, needs[i].name,
			    "is required with auth %s", names[auth]);
		if ((int)needs[i].auth != auth && is_set)
			sink_fault(o, faults, needs[i].name,
			    "has no use with auth %s", names[auth]);
	}
	for (; key != NULL && *key != '\0'; key++)
		if (*key < '!' || *key > '~') {
			sink_fault(o, faults, "api_key",
			    "has a space or a character that no key has");
			break;
		}
	if (opt_bool(o, "data_stream") && opt_choice(o, "op") != 0)
		sink_fault(o, faults, "op", "must be create for a data stream");
}

/* --- a document ----------------------------------------------------------- */

static bool
add_action(struct elasticsearch *e, struct buf *body, const char **why)
{
	const struct record *rec = e->input.rec;
	struct value id;

	buf_addf(body, "{\"%s\":{\"_index\":\"", e->op);
	if (!template_render(
		e->index, &e->input, body, template_escape_json, why))
		return false;
	buf_add_str(body, "\",\"_id\":\"");
	id = record_field_value(rec, FIELD_ID, &e->text);
	json_add_escaped(body, id.text);
	buf_add_str(body, "\"}}\n");
	return true;
}

static bool
make_document(struct elasticsearch *e, struct slice *document, const char **why)
{
	buf_clear(&e->text);
	if (e->document == NULL) {
		record_json_add(
		    &e->text, e->input.rec, template_input_json(&e->input));
		*document = buf_slice(&e->text);
		return true;
	}
	if (!template_render(e->document, &e->input, &e->text,
		template_is_single(e->document) ? NULL : template_escape_json,
		why))
		return false;
	if (json_value(buf_slice(&e->text), document) &&
	    json_kind_of(*document) == JSON_OBJECT)
		return true;
	*why = "the document is not a JSON object";
	return false;
}

static bool
has_member(struct slice object, const char *want)
{
	struct slice name, value;
	size_t at = 0;

	while (json_member_next(object, &at, &name, &value))
		if (json_string_is(name, slice_str(want)))
			return true;
	return false;
}

static bool
add(void *self, const struct record *rec, struct buf *body, const char **why)
{
	struct elasticsearch *e = self;
	struct slice document;
	size_t at;

	template_input_set(&e->input, rec);
	if (!add_action(e, body, why) || !make_document(e, &document, why))
		return false;
	at = body->len;
	json_add_compact(body, document);
	if (e->has_timestamp && !has_member(document, "@timestamp")) {
		body->len = at;
		buf_addf(
		    body, "{\"@timestamp\":%lld", (long long)rec->timestamp_ms);
		at = body->len;
		json_add_compact(body, document);
		/* The brace becomes the comma, where there is more. */
		if (body->len - at > 2)
			body->p[at] = ',';
		else {
			body->len = at;
			buf_add_u8(body, '}');
		}
	}
	buf_add_u8(body, '\n');
	return true;
}

/* --- requests ------------------------------------------------------------- */

static void
setup(void *self, CURL *easy)
{
	struct elasticsearch *e = self;

	http_tls_setup(easy, sink_opts(e->sink));
	http_basic_setup(easy, sink_opts(e->sink));
}

static void
add_key(struct elasticsearch *e, struct http_run *run)
{
	if (e->api_key != NULL)
		http_run_field(run, "Authorization: ApiKey %s", e->api_key);
}

static void
prepare(void *self, struct http_run *run)
{
	struct elasticsearch *e = self;

	buf_add_str(&run->url, e->path);
	add_key(e, run);
}

static void
probe(void *self, struct http_run *run)
{
	buf_add_str(&run->url, "/");
	add_key(self, run);
}

static bool
found(void *self, long status, struct slice body, struct buf *reason)
{
	struct elasticsearch *e = self;
	struct buf text;

	(void)reason;
	if (status >= 400)
		return false;
	buf_init(&text);
	excerpt_add(&text, body, 400);
	sink_found(e->sink, "server", "%s", buf_cstr(&text));
	buf_fini(&text);
	return true;
}

static struct http_verdict
judge(void *self, struct http_run *run, long status, struct slice body,
    struct buf *reason)
{
	struct elasticsearch *e = self;

	return elasticsearch_judge(run, status, body, e->is_create, reason);
}

static const struct http_batch_ops ops = {
    .add = add,
    .setup = setup,
    .prepare = prepare,
    .judge = judge,
    .probe = probe,
    .found = found,
};

/* --- the sink's functions ------------------------------------------------- */

static char *
path_make(const struct sink_options *o)
{
	const char *pipeline = opt_string(o, "pipeline"), *why;
	struct buf b;
	char *path;

	buf_init(&b);
	buf_add_str(&b, "/_bulk?filter_path=errors,items.*.status,"
			"items.*.error.type,items.*.error.reason");
	if (pipeline != NULL) {
		buf_add_str(&b, "&pipeline=");
		template_escape_url(
		    &b, (struct value){VALUE_TEXT, slice_str(pipeline)}, &why);
	}
	path = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	return path;
}

static void *
elasticsearch_open(struct sink *sink)
{
	struct elasticsearch *e = mem_zalloc(1, sizeof(*e));
	const struct sink_options *o = sink_opts(sink);
	struct http_batch_config config = {
	    .content_type = "application/x-ndjson",
	    .has_gzip = opt_bool(o, "gzip"),
	    .timeout_ms = (long)opt_int(o, "timeout_ms"),
	    .server_name = opt_string(o, "tls.server_name"),
	    .answer_max = 16u << 20,
	    /* Under the 100 MB that a server takes by default. */
	    .body_max = 64u << 20,
	};
	const char *wrong;

	e->sink = sink;
	e->index = opt_template(o, "index");
	e->document = opt_template(o, "document");
	e->is_create = opt_choice(o, "op") == 0;
	e->op = e->is_create ? "create" : "index";
	e->has_timestamp = opt_bool(o, "data_stream");
	e->api_key = opt_string(o, "api_key");
	(void)opt_choice(o, "auth"); /* validate has seen to it */
	e->path = path_make(o);
	template_input_init(&e->input);
	buf_init(&e->text);
	config.urls = urls_make(o, &config.urls_len, &wrong);
	bug_on(config.urls == NULL);
	e->http = http_batch_new(sink, &ops, e, &config);
	return e;
}

static void
elasticsearch_close(void *self)
{
	struct elasticsearch *e = self;

	http_batch_free(e->http);
	template_input_fini(&e->input);
	buf_fini(&e->text);
	free(e->path);
	free(e);
}

static void
elasticsearch_send(void *self, struct sink_batch *batch)
{
	http_batch_send(((struct elasticsearch *)self)->http, batch);
}

static void
elasticsearch_probe(void *self)
{
	http_batch_probe(((struct elasticsearch *)self)->http);
}

static void
elasticsearch_test(void *self)
{
	http_batch_test(((struct elasticsearch *)self)->http);
}

const struct sink_type sink_type = {
    .name = "elasticsearch",
    .help_en = "documents of Elasticsearch or OpenSearch",
    .help_zh = "Elasticsearch 或 OpenSearch 的文档",
    .options = options,
    .option_count = sizeof(options) / sizeof(*options),
    .caps =
	{
	    .effectively_once = true,
	    .orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION | SINK_ORDER_NONE,
	    .bytes_max = 32u << 20,
	    .paths = path_options,
	    .ports = "any",
	},
    .validate = elasticsearch_validate,
    .open = elasticsearch_open,
    .send_batch = elasticsearch_send,
    .probe = elasticsearch_probe,
    .test = elasticsearch_test,
    .close = elasticsearch_close,
};
