/* links: libcurl zlib */
/*
 * influxdb - records as points of InfluxDB 1, 2 and 3, by line protocol.
 *
 * A write that the target took in part (400, "partial write") is sent again
 * in halves until what it refuses is alone: points with the same series and
 * time replace each other, so those it has already are not there twice.
 */
#include "connector-worker/line_sink.h"

#include "base/mem.h"
#include "connector-worker/sink.h"

#include <stdlib.h>

enum version { V1, V2, V3 };

static const struct option options[] = {
    {"server", OPTION_STRING, NULL, 1, 1024, NULL, OPTION_REQUIRED,
	"URL of the server: http://HOST:8086", "服务器地址：http://HOST:8086"},
    {"version", OPTION_ENUM, "v2", 0, 0, "v1|v2|v3", 0,
	"version of its write API", "写入 API 的版本"},
    {"token", OPTION_STRING, NULL, 1, 4096, NULL, OPTION_SECRET,
	"token of v2 and v3", "v2 和 v3 的令牌"},
    {"org", OPTION_STRING, NULL, 1, 255, NULL, 0, "organisation of v2",
	"v2 的组织"},
    {"bucket", OPTION_STRING, NULL, 1, 255, NULL, 0, "bucket of v2",
	"v2 的存储桶"},
    {"database", OPTION_STRING, NULL, 1, 255, NULL, 0, "database of v1 and v3",
	"v1 和 v3 的数据库"},
    {"username", OPTION_STRING, NULL, 1, 255, NULL, 0, "user of v1",
	"v1 的用户名"},
    {"password", OPTION_STRING, NULL, 0, 1024, NULL, OPTION_SECRET,
	"password of v1", "v1 的密码"},
    LINE_SINK_OPTIONS,
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

/* Which options a version needs, and which it may have. */
static const struct {
	const char *name;
	bool needs[3], has[3];
} by_version[] = {
    {"token", {false, true, false}, {false, true, true}},
    {"org", {false, true, false}, {false, true, false}},
    {"bucket", {false, true, false}, {false, true, false}},
    {"database", {true, false, true}, {true, false, true}},
    {"username", {false, false, false}, {true, false, false}},
    {"password", {false, false, false}, {true, false, false}},
};

static void
influxdb_validate(const struct sink_options *o, struct faults *faults)
{
	int version = opt_choice(o, "version");
	const char *token = opt_string(o, "token");

	http_server_validate(o, faults, "server", false);
	line_sink_validate(o, faults);
	for (size_t i = 0;
	     version >= 0 && i < sizeof(by_version) / sizeof(*by_version);
	     i++) {
		const char *name = by_version[i].name;

		if (by_version[i].needs[version] && !opt_is_set(o, name))
			sink_fault(o, faults, name,
			    "is required with "
			    "version v%d",
			    version + 1);
		if (!by_version[i].has[version] && opt_is_set(o, name))
			sink_fault(o, faults, name,
			    "has no use with version "
			    "v%d",
			    version + 1);
	}
	if (opt_is_set(o, "username") != opt_is_set(o, "password"))
		sink_fault(
		    o, faults, "username", "username and password go together");
	for (; token != NULL && *token != '\0'; token++)
		if (*token < '!' || *token > '~') {
			sink_fault(o, faults, "token",
			    "has a space or a character that no token has");
			break;
		}
}

static char *
write_path_make(const struct sink_options *o)
{
	static const struct {
		const char *path, *database;
		const char *units[4];
	} writes[] = {
	    [V1] = {"/write", "db", {"ns", "u", "ms", "s"}},
	    [V2] = {"/api/v2/write", "bucket", {"ns", "us", "ms", "s"}},
	    [V3] = {"/api/v3/write_lp", "db",
		{"nanosecond", "microsecond", "millisecond", "second"}},
	};
	int version = opt_choice(o, "version");
	struct buf b;
	char *path;

	buf_init(&b);
	buf_addf(&b, "%s?precision=%s", writes[version].path,
	    writes[version].units[line_sink_precision(o)]);
	line_sink_query_add(&b, writes[version].database,
	    opt_string(o, version == V2 ? "bucket" : "database"));
	if (version == V2)
		line_sink_query_add(&b, "org", opt_string(o, "org"));
	path = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	return path;
}

/* The login of v1 is Basic's, see line_sink. */
static char *
authorization_make(const struct sink_options *o)
{
	const char *token = opt_string(o, "token");

	if (token == NULL)
		return NULL;
	return mem_printf("Authorization: %s %s",
	    opt_choice(o, "version") == V2 ? "Token" : "Bearer", token);
}

static bool
influxdb_found(
    struct line_sink *s, long status, struct slice body, struct buf *reason)
{
	int version = opt_choice(sink_opts(s->sink), "version");

	if (status >= 400)
		return false;
	/* v1 answers a query with 200 also where it names a fault. */
	if (version == V1 && memmem(body.p, body.len, "\"error\"", 7) != NULL)
		return false;
	if (version == V2 && memmem(body.p, body.len, "\"name\"", 6) == NULL) {
		buf_addf(reason, "there is no bucket %s",
		    opt_string(sink_opts(s->sink), "bucket"));
		return false;
	}
	sink_found(
	    s->sink, "server", "InfluxDB API v%d, login accepted", version + 1);
	return true;
}

/* A query that needs the login and the database to be there. */
static char *
probe_path_make(const struct sink_options *o)
{
	struct buf b;
	char *path, *query;

	buf_init(&b);
	switch ((enum version)opt_choice(o, "version")) {
	case V1:
		query = mem_printf("SHOW RETENTION POLICIES ON \"%s\"",
		    opt_string(o, "database"));
		buf_add_str(&b, "/query?epoch=ns");
		line_sink_query_add(&b, "q", query);
		free(query);
		break;
	case V2:
		buf_add_str(&b, "/api/v2/buckets?limit=1");
		line_sink_query_add(&b, "name", opt_string(o, "bucket"));
		line_sink_query_add(&b, "org", opt_string(o, "org"));
		break;
	case V3:
		buf_add_str(&b, "/api/v3/query_sql?q=SELECT%201&format=json");
		line_sink_query_add(&b, "db", opt_string(o, "database"));
		break;
	}
	path = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	return path;
}

static void *
influxdb_open(struct sink *sink)
{
	struct line_sink *s = mem_zalloc(1, sizeof(*s));
	const struct sink_options *o = sink_opts(sink);

	s->write_path = write_path_make(o);
	s->probe_path = probe_path_make(o);
	s->authorization = authorization_make(o);
	s->found = influxdb_found;
	line_sink_open(s, sink, opt_bool(o, "tls.enable"));
	return s;
}

const struct sink_type sink_type = {
    .name = "influxdb",
    .help_en = "points of InfluxDB 1, 2 and 3",
    .help_zh = "InfluxDB 1、2、3 的数据点",
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
    .validate = influxdb_validate,
    .is_exact = line_sink_is_exact,
    .open = influxdb_open,
    .send_batch = line_sink_send,
    .probe = line_sink_probe,
    .test = line_sink_test,
    .close = line_sink_close,
};
