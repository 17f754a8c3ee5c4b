/* links: libcurl zlib */
/*
 * greptimedb - records as rows of GreptimeDB, by its InfluxDB endpoint.
 *
 * Rows with the same tags and time replace each other.
 */
#include "connector-worker/line_sink.h"

#include "base/mem.h"
#include "connector-worker/sink.h"

#include <stdlib.h>

static const struct option options[] = {
    {"server", OPTION_STRING, NULL, 1, 1024, NULL, OPTION_REQUIRED,
	"HOST:4000, or a URL", "HOST:4000 或 URL"},
    {"https", OPTION_BOOL, "false", 0, 0, NULL, 0,
	"use https where server names no scheme",
	"server 未写协议时使用 https"},
    {"database", OPTION_STRING, NULL, 1, 255, NULL, OPTION_REQUIRED, "database",
	"数据库"},
    {"username", OPTION_STRING, NULL, 1, 255, NULL, 0, "user", "用户名"},
    {"password", OPTION_STRING, NULL, 0, 1024, NULL, OPTION_SECRET, "password",
	"密码"},
    LINE_SINK_OPTIONS,
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

static void
greptimedb_validate(const struct sink_options *o, struct faults *faults)
{
	http_server_validate(o, faults, "server", opt_bool(o, "https"));
	line_sink_validate(o, faults);
	if (opt_is_set(o, "username") != opt_is_set(o, "password"))
		sink_fault(
		    o, faults, "username", "username and password go together");
}

static char *
path_make(const char *fixed, const char *name, const char *value)
{
	struct buf b;
	char *path;

	buf_init(&b);
	buf_add_str(&b, fixed);
	line_sink_query_add(&b, name, value);
	path = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	return path;
}

static bool
greptimedb_found(
    struct line_sink *s, long status, struct slice body, struct buf *reason)
{
	(void)body;
	(void)reason;
	if (status >= 400)
		return false;
	sink_found(s->sink, "server", "it answers a query in database %s",
	    opt_string(sink_opts(s->sink), "database"));
	return true;
}

static void *
greptimedb_open(struct sink *sink)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	struct line_sink *s = mem_zalloc(1, sizeof(*s));
	const struct sink_options *o = sink_opts(sink);
	char *fixed = mem_printf("/v1/influxdb/api/v2/write?precision=%s",
	    units[line_sink_precision(o)]);

	s->write_path = path_make(fixed, "db", opt_string(o, "database"));
	s->probe_path = path_make(
	    "/v1/sql?sql=SELECT%201", "db", opt_string(o, "database"));
	s->found = greptimedb_found;
	free(fixed);
	line_sink_open(
	    s, sink, opt_bool(o, "https") || opt_bool(o, "tls.enable"));
	return s;
}

const struct sink_type sink_type = {
    .name = "greptimedb",
    .help_en = "rows of GreptimeDB",
    .help_zh = "GreptimeDB 的行",
    .options = options,
    .option_count = sizeof(options) / sizeof(*options),
    .caps =
	{
	    .effectively_once = true,
	    .orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION | SINK_ORDER_NONE,
	    .bytes_max = 16u << 20,
	    .paths = path_options,
	    .ports = "fixed",
	},
    .validate = greptimedb_validate,
    .is_exact = line_sink_is_exact,
    .open = greptimedb_open,
    .send_batch = line_sink_send,
    .probe = line_sink_probe,
    .test = line_sink_test,
    .close = line_sink_close,
};
