/* links: libcurl zlib */
/*
 * clickhouse - records as rows of ClickHouse, by its HTTP interface.
 *
 * One INSERT is one block: it is stored whole or not at all. Its
 * insert_deduplication_token is made of the ids of its rows; a table that
 * dedupes (Replicated*, or non_replicated_deduplication_window) takes it
 * once. Runs are therefore never cut anew at a retry. A server that does not
 * know the setting is asked without it.
 */
#include "connector-worker/sinks/clickhouse_answer.h"

#include "base/json_text.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/conn.h"
#include "connector-worker/excerpt.h"
#include "connector-worker/http_batch.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct column {
	const char *name;
	const struct template *value;
	struct template *own;
	bool is_raw; /* ${x:json}: arrays, maps and tuples */
};

struct clickhouse {
	struct sink *sink;
	struct http_batch *http;
	struct column *columns;
	size_t columns_len;
	char *path; /* without the token */
	char *probe_path;
	bool has_token;
	struct template_input input;
	struct buf text;
};

static const struct option options[] = {
    {"url", OPTION_STRING, NULL, 1, 1024, NULL, OPTION_REQUIRED,
	"URL of the HTTP interface: http://HOST:8123",
	"HTTP 接口地址：http://HOST:8123"},
    {"database", OPTION_STRING, NULL, 1, 255, NULL, OPTION_REQUIRED, "database",
	"数据库"},
    {"table", OPTION_STRING, NULL, 1, 255, NULL, OPTION_REQUIRED, "table",
	"表"},
    {"columns", OPTION_MAP, NULL, 1, 512, NULL, OPTION_TEMPLATE,
	"column to value; null gives the column's default, an object or "
	"array is text unless written ${x:json}. Without it the columns "
	"that are named like a record's fields",
	"列到值；null 使用列默认值，对象和数组为文本，除非写作 "
	"${x:json}。缺省为与记录字段同名的列"},
    {"format", OPTION_ENUM, "JSONEachRow", 0, 0, "JSONEachRow|!RowBinary", 0,
	"format of the rows", "行格式"},
    {"async_insert", OPTION_BOOL, "false", 0, 0, NULL, 0,
	"let the server gather inserts (it answers when they are stored)",
	"由服务器合并插入（存储后才应答）"},
    {"compression", OPTION_ENUM, "none", 0, 0, "none|gzip", 0,
	"compression of requests", "请求压缩方式"},
    {"username", OPTION_STRING, NULL, 1, 255, NULL, 0, "user", "用户名"},
    {"password", OPTION_STRING, NULL, 0, 1024, NULL, OPTION_SECRET, "password",
	"密码"},
    {"timeout_ms", OPTION_INT, "30000", 1, 60000, NULL, 0,
	"how long an insert may take, in milliseconds",
	"单次插入的最长时间（毫秒）"},
    CONN_TLS_OPTIONS,
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

static void
clickhouse_validate(const struct sink_options *o, struct faults *faults)
{
	http_server_validate(o, faults, "url", false);
	if (opt_is_set(o, "username") != opt_is_set(o, "password"))
		sink_fault(
		    o, faults, "username", "username and password go together");
	for (size_t i = 0; i < opt_count(o, "columns"); i++)
		if (*opt_key(o, "columns", i) == '\0')
			sink_fault(
			    o, faults, "columns", "a column has no name");
}

/* --- rows ----------------------------------------------------------------- */

/* Bytes stay as they are: a String of ClickHouse holds any. */
static void
string_add(struct buf *b, struct slice s)
{
	buf_add_u8(b, '"');
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.p[i];

		if (c == '"' || c == '\\')
			buf_add_u8(b, '\\');
		if (c < ' ')
			buf_addf(b, "\\u%04x", c);
		else
			buf_add_u8(b, c);
	}
	buf_add_u8(b, '"');
}

static bool
column_add(struct clickhouse *c, const struct column *col, bool *has_one,
    struct buf *body, const char **why)
{
	enum value_kind kind;
	struct slice text;

	buf_clear(&c->text);
	if (!template_value(col->value, &c->input, &c->text, &kind, why))
		return false;
	if (kind == VALUE_NULL)
		return true;
	text = buf_slice(&c->text);
	buf_add_u8(body, *has_one ? ',' : '{');
	*has_one = true;
	string_add(body, slice_str(col->name));
	buf_add_u8(body, ':');
	if (kind == VALUE_NUMBER || kind == VALUE_BOOL)
		buf_add_slice(body, text);
	else if (kind == VALUE_JSON && col->is_raw)
		json_add_compact(body, text);
	else
		string_add(body, text);
	return true;
}

static bool
add(void *self, const struct record *rec, struct buf *body, const char **why)
{
	struct clickhouse *c = self;
	bool has_one = false;

	template_input_set(&c->input, rec);
	for (size_t i = 0; i < c->columns_len; i++)
		if (!column_add(c, &c->columns[i], &has_one, body, why))
			return false;
	buf_add_str(body, has_one ? "}\n" : "{}\n");
	return true;
}

/* --- requests ------------------------------------------------------------- */

static void
setup(void *self, CURL *easy)
{
	struct clickhouse *c = self;

	http_tls_setup(easy, sink_opts(c->sink));
	http_basic_setup(easy, sink_opts(c->sink));
}

static void
token_add(struct clickhouse *c, struct http_run *run)
{
	XXH3_state_t *state = XXH3_createState();
	XXH128_hash_t hash;

	bug_on(state == NULL);
	XXH3_128bits_reset(state);
	for (size_t i = 0; i < run->count; i++) {
		struct value id = record_field_value(
		    run->records[i]->rec, FIELD_ID, &c->text);

		XXH3_128bits_update(state, id.text.p, id.text.len);
		XXH3_128bits_update(state, "\n", 1);
	}
	hash = XXH3_128bits_digest(state);
	XXH3_freeState(state);
	buf_addf(&run->url,
	    "&insert_deduplicate=1"
	    "&insert_deduplication_token=%016llx%016llx",
	    (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

static void
prepare(void *self, struct http_run *run)
{
	struct clickhouse *c = self;

	buf_add_str(&run->url, c->path);
	if (c->has_token)
		token_add(c, run);
}

static struct http_verdict
judge(void *self, struct http_run *run, long status, struct slice body,
    struct buf *reason)
{
	struct clickhouse *c = self;
	long code = clickhouse_code(body);

	(void)run;
	(void)reason;
	if (code == CLICKHOUSE_UNKNOWN_SETTING && c->has_token) {
		c->has_token = false;
		return (struct http_verdict){.is_again = true};
	}
	return clickhouse_verdict(status, code);
}

static void
probe(void *self, struct http_run *run)
{
	struct clickhouse *c = self;

	buf_add_str(&run->url, c->probe_path);
}

static bool
found(void *self, long status, struct slice body, struct buf *reason)
{
	struct clickhouse *c = self;
	struct buf text;

	if (status != 200)
		return false;
	if (body.len == 0) {
		buf_addf(reason, "there is no table %s in database %s",
		    opt_string(sink_opts(c->sink), "table"),
		    opt_string(sink_opts(c->sink), "database"));
		return false;
	}
	buf_init(&text);
	excerpt_add(&text, body, 200);
	sink_found(c->sink, "table", "version and engine: %s", buf_cstr(&text));
	buf_fini(&text);
	return true;
}

static const struct http_batch_ops ops = {
    .add = add,
    .setup = setup,
    .prepare = prepare,
    .judge = judge,
    .probe = probe,
    .found = found,
};

/* --- open ----------------------------------------------------------------- */

static void
columns_take(struct clickhouse *c, const struct sink_options *o)
{
	size_t n = opt_count(o, "columns");
	char fault[80];

	c->columns_len = n > 0 ? n : FIELD_COUNT;
	c->columns = mem_zalloc(c->columns_len, sizeof(*c->columns));
	for (size_t i = 0; i < n; i++)
		c->columns[i] =
		    (struct column){.name = opt_key(o, "columns", i),
			.value = opt_value_template(o, "columns", i),
			.is_raw = strstr(opt_value(o, "columns", i), ":json") !=
				  NULL};
	for (size_t i = 0; n == 0 && i < FIELD_COUNT; i++) {
		const char *name = record_field_name((enum record_field)i);
		char *text = mem_printf("${%s}", name);

		c->columns[i] = (struct column){.name = name,
		    .own =
			template_parse(slice_str(text), fault, sizeof(fault))};
		bug_on(c->columns[i].own == NULL);
		c->columns[i].value = c->columns[i].own;
		free(text);
	}
}

/* A name in backquotes, a text in quotes. */
static void
quoted_add(struct buf *b, char quote, const char *s)
{
	buf_add_u8(b, (uint8_t)quote);
	for (; *s != '\0'; s++) {
		if (*s == quote || *s == '\\')
			buf_add_u8(b, '\\');
		buf_add_u8(b, (uint8_t)*s);
	}
	buf_add_u8(b, (uint8_t)quote);
}

static char *
path_of(struct buf *query, const char *settings)
{
	struct buf b;
	const char *why;
	char *path;

	buf_init(&b);
	buf_add_str(&b, "/?query=");
	template_escape_url(
	    &b, (struct value){VALUE_TEXT, buf_slice(query)}, &why);
	buf_add_str(&b, settings);
	path = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	return path;
}

static void
paths_make(struct clickhouse *c, const struct sink_options *o)
{
	struct buf b, settings;
	bool has_columns = opt_is_set(o, "columns");

	buf_init(&b);
	buf_init(&settings);
	buf_add_str(&b, "INSERT INTO ");
	quoted_add(&b, '`', opt_string(o, "database"));
	buf_add_u8(&b, '.');
	quoted_add(&b, '`', opt_string(o, "table"));
	for (size_t i = 0; has_columns && i < c->columns_len; i++) {
		buf_add_str(&b, i == 0 ? " (" : ", ");
		quoted_add(&b, '`', c->columns[i].name);
	}
	if (has_columns)
		buf_add_u8(&b, ')');
	(void)opt_choice(o, "format"); /* there is one */
	buf_add_str(&b, " FORMAT JSONEachRow");
	if (!has_columns)
		buf_add_str(&settings, "&input_format_skip_unknown_fields=1");
	if (opt_bool(o, "async_insert"))
		buf_add_str(
		    &settings, "&async_insert=1&wait_for_async_insert=1");
	c->path = path_of(&b, buf_cstr(&settings));
	buf_clear(&b);
	buf_add_str(&b, "SELECT version(), engine FROM system.tables WHERE "
			"database = ");
	quoted_add(&b, '\'', opt_string(o, "database"));
	buf_add_str(&b, " AND name = ");
	quoted_add(&b, '\'', opt_string(o, "table"));
	c->probe_path = path_of(&b, "");
	buf_fini(&b);
	buf_fini(&settings);
}

static void *
clickhouse_open(struct sink *sink)
{
	struct clickhouse *c = mem_zalloc(1, sizeof(*c));
	const struct sink_options *o = sink_opts(sink);
	struct http_batch_config config = {
	    .content_type = "text/plain",
	    .has_gzip = opt_choice(o, "compression") == 1,
	    .timeout_ms = (long)opt_int(o, "timeout_ms"),
	    .server_name = opt_string(o, "tls.server_name"),
	    .urls_len = 1,
	    .keeps_runs = true,
	};
	const char *wrong;

	c->sink = sink;
	c->has_token = true;
	columns_take(c, o);
	paths_make(c, o);
	template_input_init(&c->input);
	buf_init(&c->text);
	config.urls = mem_zalloc(1, sizeof(*config.urls));
	config.urls[0] = http_server_url(
	    opt_string(o, "url"), opt_bool(o, "tls.enable"), &wrong);
	bug_on(config.urls[0] == NULL);
	c->http = http_batch_new(sink, &ops, c, &config);
	return c;
}

static void
clickhouse_close(void *self)
{
	struct clickhouse *c = self;

	http_batch_free(c->http);
	for (size_t i = 0; i < c->columns_len; i++)
		template_free(c->columns[i].own);
	free(c->columns);
	free(c->path);
	free(c->probe_path);
	template_input_fini(&c->input);
	buf_fini(&c->text);
	free(c);
}

static void
clickhouse_send(void *self, struct sink_batch *batch)
{
	http_batch_send(((struct clickhouse *)self)->http, batch);
}

static void
clickhouse_probe(void *self)
{
	http_batch_probe(((struct clickhouse *)self)->http);
}

static void
clickhouse_test(void *self)
{
	http_batch_test(((struct clickhouse *)self)->http);
}

const struct sink_type sink_type = {
    .name = "clickhouse",
    .help_en = "rows of ClickHouse",
    .help_zh = "ClickHouse 的行",
    .options = options,
    .option_count = sizeof(options) / sizeof(*options),
    .caps =
	{
	    .effectively_once = true,
	    .keys_batch = true,
	    /* Tokens are of whole batches: none goes in parts. */
	    .serial = true,
	    .orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION | SINK_ORDER_NONE,
	    .bytes_max = 64u << 20,
	    .paths = path_options,
	    .ports = "fixed",
	},
    .validate = clickhouse_validate,
    .open = clickhouse_open,
    .send_batch = clickhouse_send,
    .probe = clickhouse_probe,
    .test = clickhouse_test,
    .close = clickhouse_close,
};
