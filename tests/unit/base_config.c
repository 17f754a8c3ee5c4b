/* links: base */
#include "base/config.h"
#include "base/config_bind.h"
#include "base/config_plan.h"
#include "base/units.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char types_text[] =
    "[{\"type\":\"postgres\",\"help\":{\"en\":\"PostgreSQL\",\"zh\":\"x\"},"
    "\"capabilities\":{},\"options\":["
    "{\"name\":\"host\",\"type\":\"string\",\"required\":true,"
    " \"help\":{\"en\":\"server\",\"zh\":\"y\"}},"
    "{\"name\":\"port\",\"type\":\"int\",\"default\":5432,\"min\":1,"
    " \"max\":65535},"
    "{\"name\":\"password\",\"type\":\"string\",\"secret\":true},"
    "{\"name\":\"max_size\",\"type\":\"size\",\"default\":\"1GiB\","
    " \"min\":\"1MiB\",\"max\":\"1TiB\"},"
    "{\"name\":\"timeout\",\"type\":\"duration\",\"default\":5000},"
    "{\"name\":\"mode\",\"type\":\"enum\",\"default\":\"error\","
    " \"choices\":[\"error\",\"ignore\"]},"
    "{\"name\":\"columns\",\"type\":\"map\",\"template\":true},"
    "{\"name\":\"headers\",\"type\":\"map\",\"secret\":true},"
    "{\"name\":\"keys\",\"type\":\"list\"},"
    "{\"name\":\"copy\",\"type\":\"bool\",\"default\":false},"
    "{\"name\":\"tls\",\"type\":\"object\",\"options\":["
    "  {\"name\":\"enable\",\"type\":\"bool\",\"default\":false},"
    "  {\"name\":\"key\",\"type\":\"string\",\"secret\":true}]}]}]";

static struct connector_types types;
static struct faults faults;
static struct buf printed;

static const char *
test_env(const char *name)
{
	if (strcmp(name, "PW") == 0)
		return "s3cret";
	return strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static char *
test_file(const char *path, const char **why)
{
	if (strcmp(path, "/run/pw") == 0)
		return strdup("from-file");
	*why = "No such file or directory";
	return NULL;
}

static const struct secret_source source = {test_env, test_file};
static struct config_input input = {.types = &types, .secrets = &source};

static void
begin(void)
{
	char why[200];

	faults_init(&faults);
	buf_init(&printed);
	cr_assert(types_parse(&types, slice_str(types_text), why, sizeof(why)),
	    "%s", why);
}

static void
end(void)
{
	types_fini(&types);
	faults_fini(&faults);
	buf_fini(&printed);
}

TestSuite(config, .init = begin, .fini = end);

/* All faults of a text, a line each. */
static const char *
faults_of(const char *text)
{
	struct config *c;

	faults_fini(&faults);
	buf_clear(&printed);
	c = config_parse(slice_str(text), &input, &faults);
	cr_assert((c == NULL) == (faults.total > 0));
	config_free(c);
	faults_print(&faults, "", &printed);
	return buf_cstr(&printed);
}

#define expect_faults(text, expected) \
	cr_assert_str_eq(faults_of(text), expected)

static struct config *
parse(const char *text)
{
	struct config *c;

	faults_fini(&faults);
	buf_clear(&printed);
	c = config_parse(slice_str(text), &input, &faults);
	faults_print(&faults, "", &printed);
	cr_assert_not_null(c, "%s", buf_cstr(&printed));
	return c;
}

static struct json_object *
at(struct json_object *o, const char *pointer)
{
	struct json_object *v = NULL;

	json_pointer_get(o, pointer, &v);
	return v;
}

#define expect_json(o, pointer, text) \
	cr_assert_str_eq(json_object_to_json_string_ext(at(o, pointer), \
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), text)

Test(config, empty_text_is_the_embedded_default)
{
	struct config *c = parse("");

	expect_json(c->resolved, "/listeners", "[{\"protocol\":\"mqtt\","
	    "\"transport\":\"tcp\",\"bind\":\"127.0.0.1:1883\","
	    "\"path\":\"/mqtt\",\"max_message_size\":16777216,"
	    "\"proxy_protocol\":false,\"tls\":{\"verify\":\"none\","
	    "\"identity\":\"none\",\"min_version\":\"1.2\"}}]");
	expect_json(c->resolved, "/admin/http", "\"127.0.0.1:18080\"");
	expect_json(c->resolved, "/data", "\"./data\"");
	expect_json(c->resolved, "/store/fsync", "\"group\"");
	expect_json(c->resolved, "/limits/max_packet_size", "1048576");
	expect_json(c->written, "/limits/max_packet_size", "\"1MiB\"");
	config_free(c);
	input.is_root = true;
	c = parse("# only a comment\n");
	input.is_root = false;
	expect_json(c->resolved, "/data", "\"/var/lib/bulkhead\"");
	config_free(c);
}

Test(config, a_port_out_of_bounds_names_path_line_column_and_bound)
{
	expect_faults(
	    "streams:\n  telemetry: { topics: [\"plant/#\"] }\n"
	    "connectors:\n  telemetry-to-pg:\n    type: postgres\n"
	    "    stream: telemetry\n    config:\n      host: db\n"
	    "      port: 70000\n",
	    "connectors.telemetry-to-pg.config.port: 70000 is above 65535 "
	    "(line 9, column 13)\n");
}

Test(config, all_faults_are_told_at_once)
{
	expect_faults(
	    "data: [x]\n"
	    "lisseners: []\n"
	    "log: { level: loud }\n"
	    "limits: { max_packet_size: 20MiB, watchdog_ms: \"9\" }\n"
	    "auth: { allow_anonymous: yes }\n"
	    "streams: { s: { partitions: 0, retention: { time: 5 } } }\n"
	    "connectors:\n"
	    "  c: { type: postgres, stream: s, config: { copy: 1 } }\n",
	    "data: a list where a text is wanted (line 1, column 7)\n"
	    "lisseners: unknown option; did you mean `listeners`? "
	    "(line 2, column 1)\n"
	    "log.level: `loud` is not one of error, warn, info, debug "
	    "(line 3, column 15)\n"
	    "limits.max_packet_size: 20MiB is above 15MiB "
	    "(line 4, column 28)\n"
	    "limits.watchdog_ms: a text in quotes where a whole number is "
	    "wanted (line 4, column 48)\n"
	    "auth.allow_anonymous: `yes` is not true or false "
	    "(line 5, column 26)\n"
	    "streams.s.topics: is required (line 6, column 12)\n"
	    "streams.s.partitions: 0 is below 1 (line 6, column 29)\n"
	    "streams.s.retention.time: `5` is not a time such as 30s "
	    "(line 6, column 51)\n"
	    "connectors.c.config.host: is required (line 8, column 35)\n"
	    "connectors.c.config.copy: `1` is not true or false "
	    "(line 8, column 51)\n");
}

Test(config, what_is_not_built_is_refused)
{
	expect_faults("listeners: [{protocol: nats, bind: \"127.0.0.1:1\"}]",
	    "listeners[0].protocol: `nats` is not built "
	    "(line 1, column 24)\n");
	expect_faults("listeners: [{protocol: mqtt, transport: quic, "
	    "bind: \"127.0.0.1:1\"}]", "listeners[0].transport: `quic` is not "
	    "built (line 1, column 41)\n");
	expect_faults("admin: { users: { a: b } }",
	    "admin.users: not built (line 1, column 17)\n");
	expect_faults("connectors: {c: {type: postgres, topics: [a], "
	    "config: {host: h}, rules: [{filter: x}]}}",
	    "connectors.c.rules: not built (line 1, column 73)\n");
	config_free(parse("connectors: {c: {type: postgres, topics: [a], "
	    "config: {host: h}, rules: []}}"));
	config_free(parse("acceptors: { nats: 1 }"));
	expect_faults("acceptors: { nats: 2 }",
	    "acceptors.nats: not built (line 1, column 20)\n");
}

Test(config, documents_that_are_refused_whole)
{
	struct buf deep;
	int i;

	expect_faults("a: &x 1\n", "anchors are not supported "
	    "(line 1, column 4)\n");
	expect_faults("a: *x\n", "aliases are not supported "
	    "(line 1, column 4)\n");
	expect_faults("a: !!str 1\n", "tags are not supported "
	    "(line 1, column 4)\n");
	expect_faults("data: a\nlog: {}\ndata: b\n",
	    "data: written twice, first in line 1 (line 3, column 1)\n");
	expect_faults("a: 1\n---\nb: 1\n",
	    "a second document (line 2, column 1)\n");
	expect_faults("? [a]\n: b\n",
	    "a key must be a plain text (line 1, column 3)\n");
	expect_faults("data: \"a\\0b\"\n",
	    "a NUL character in a value (line 1, column 7)\n");
	cr_assert(strstr(faults_of("a: [1\n"), "line ") != NULL);
	cr_assert(strstr(faults_of("\xff\xfe"), "not readable") != NULL);
	expect_faults("- a\n", "a list where an object is wanted "
	    "(line 1, column 1)\n");
	buf_init(&deep);
	for (i = 0; i < 17; i++)
		buf_add_str(&deep, "[");
	cr_assert_str_eq(faults_of(buf_cstr(&deep)),
	    "nested more than 16 deep (line 1, column 17)\n");
	buf_clear(&deep);
	while (buf_len(&deep) <= DOC_TEXT_MAX)
		buf_add_str(&deep, "########################\n");
	cr_assert(strstr(faults_of(buf_cstr(&deep)), "more than 4194304"));
	buf_fini(&deep);
}

Test(config, scalars_are_typed_by_the_table)
{
	struct config *c = parse("data: no\nstreams: {010: {topics: [yes, 1]}}\n"
	    "connectors: {c: {type: postgres, stream: \"010\", config: "
	    "{host: 1.0, port: 010, keys: [null, off]}}}\n");

	expect_json(c->resolved, "/data", "\"no\"");
	expect_json(c->resolved, "/streams/010/topics", "[\"yes\",\"1\"]");
	expect_json(c->resolved, "/connectors/c/config/host", "\"1.0\"");
	expect_json(c->resolved, "/connectors/c/config/port", "10");
	expect_json(c->resolved, "/connectors/c/config/keys",
	    "[\"null\",\"off\"]");
	config_free(c);
}

Test(config, json_is_accepted)
{
	struct config *c = parse("{\"data\": \"\\ud83d\\ude00\\u00e9\\/x\",\n"
	    "\t\"store\": {\"fsync\": \"never\"}}");

	expect_json(c->resolved, "/data", "\"\xf0\x9f\x98\x80\xc3\xa9/x\"");
	expect_json(c->resolved, "/store/fsync", "\"never\"");
	config_free(c);
	expect_faults("{\"data\": 7, \"streams\": {\"s\": {\"topics\": [null]}}}",
	    "data: `7` without quotes where a text is wanted "
	    "(line 1, column 10)\n"
	    "streams.s.topics[0]: `null` without quotes where a text is wanted "
	    "(line 1, column 42)\n");
	expect_faults("{\"limits\": {\"watchdog_ms\": 1}}",
	    "limits.watchdog_ms: 1 is below 100 (line 1, column 28)\n");
}

Test(config, public_listeners_need_a_word)
{
	expect_faults("listeners: [{protocol: mqtt, bind: \"0.0.0.0:1883\"}]",
	    "listeners[0].bind: 0.0.0.0 is a public address and no "
	    "authentication is configured: name auth.users_file, or "
	    "auth.required for users made by command; auth.allow_anonymous: "
	    "true lets anybody in (line 1, column 36)\n");
	config_free(parse("listeners: [{protocol: mqtt, bind: \"*:1883\"}]\n"
	    "auth: {allow_anonymous: true}\n"));
	expect_faults("admin: { http: \"0.0.0.0:80\" }",
	    "admin.http: 0.0.0.0 is a public address: the HTTP API beyond "
	    "loopback needs admin.tokens (line 1, column 16)\n");
	config_free(parse("admin: {http: \"0.0.0.0:80\", tokens: {a: {role: "
	    "viewer, token: 0123456789abcdef01234567}}}"));
	expect_faults("listeners: [{protocol: mqtt, bind: \"[::1]:1\"}, "
	    "{protocol: mqtt, bind: \"[::1]:1\"}, "
	    "{protocol: mqtt, bind: \"1883\"}]",
	    "listeners[1].bind: [::1]:1 is taken by listeners[0] "
	    "(line 1, column 71)\n"
	    "listeners[2].bind: `1883` is not HOST:PORT "
	    "(line 1, column 106)\n");
}

Test(config, transports_have_what_they_need)
{
	expect_faults("listeners: [{protocol: mqtt, transport: tls, "
	    "bind: \"127.0.0.1:1\"}]", "listeners[0].tls.cert_file: is "
	    "required (line 1, column 13)\n");
	expect_faults("listeners: [{protocol: mqtt, transport: wss, "
	    "bind: \"127.0.0.1:1\", tls: {cert_file: a}}]",
	    "listeners[0].tls.key_file: is required: certificate and key go "
	    "together (line 1, column 67)\n");
	expect_faults("listeners: [{protocol: mqtt, transport: tls, "
	    "bind: \"127.0.0.1:1\", tls: {cert_file: a, key_file: b, "
	    "verify: required}}]", "listeners[0].tls.ca_file: is required "
	    "where clients' certificates are verified "
	    "(line 1, column 67)\n");
	expect_faults("listeners: [{protocol: mqtt, transport: tls, "
	    "bind: \"127.0.0.1:1\", tls: {psk_file: a, identity: cn}}]",
	    "listeners[0].tls.identity: is taken from certificates, and "
	    "tls.verify is none (line 1, column 96)\n");
	expect_faults("listeners: [{protocol: mqtt, "
	    "bind: \"127.0.0.1:1\", tls: {cert_file: a}}]",
	    "listeners[0].tls.cert_file: goes with transport tls or wss "
	    "(line 1, column 68)\n");
	config_free(parse("listeners: [{protocol: mqtt, "
	    "bind: \"unix:/run/mqtt.sock\"}]"));
}

Test(config, command_line_moves_listeners)
{
	struct config_input moved = input;
	struct config *c;

	moved.data = "/tmp/x";
	moved.listen = "::1";
	moved.port_offset = 1000;
	c = config_parse(SLICE_EMPTY, &moved, &faults);
	cr_assert_not_null(c);
	expect_json(c->resolved, "/data", "\"/tmp/x\"");
	expect_json(c->resolved, "/listeners/0/bind", "\"[::1]:2883\"");
	expect_json(c->resolved, "/admin/http", "\"127.0.0.1:19080\"");
	config_free(c);
	moved.listen = "0.0.0.0";
	cr_assert_null(config_parse(SLICE_EMPTY, &moved, &faults));
	moved.listen = NULL;
	moved.port_offset = 64000;
	faults_fini(&faults);
	cr_assert_null(config_parse(SLICE_EMPTY, &moved, &faults));
	faults_print(&faults, "", &printed);
	cr_assert_str_eq(buf_cstr(&printed),
	    "--port-offset: 64000 moves a port above 65535\n");
}

#define ONE(fields) "streams: {s: {topics: [\"a/#\"]}, t: {topics: [\"a/b\"]}}\n" \
	"connectors: {c: {type: postgres, config: {host: h}, " fields "}}\n"

Test(config, connectors_name_streams_that_exist)
{
	expect_faults(ONE("stream: x"),
	    "connectors.c.stream: no stream is named `x` "
	    "(line 2, column 61)\n");
	expect_faults(ONE("topics: [a/b]"), "connectors.c.stream: several "
	    "streams cover the topics (s, t): name one (line 2, column 14)\n");
	expect_faults(ONE("in_flight: 1"), "connectors.c.stream: is required "
	    "where there are no `topics` (line 2, column 14)\n");
	config_free(parse(ONE("topics: [a/c]")));
	config_free(parse(ONE("topics: [z]")));
	expect_faults(ONE("stream: s, topics: [a/#/b, '']"),
	    "connectors.c.topics[0]: `a/#/b` is no topic filter: has levels "
	    "after \"#\" (line 2, column 73)\n"
	    "connectors.c.topics[1]: `` is no topic filter: is "
	    "empty (line 2, column 80)\n");
}

Test(config, connector_pairs_are_checked)
{
	expect_faults(ONE("stream: s, start: soon, failure_strategy: "
	    "{wait_time_ms: 9, max_wait_ms: 8, strategy: discard, "
	    "topic_name: d}"),
	    "connectors.c.start: `soon` is not earliest, latest or a time "
	    "such as 2026-01-31T12:00:00Z (line 2, column 71)\n"
	    "connectors.c.failure_strategy.max_wait_ms: 8 is below "
	    "wait_time_ms, 9 (line 2, column 126)\n"
	    "connectors.c.failure_strategy.topic_name: goes with strategy "
	    "dead_message_queue only (line 2, column 160)\n");
	expect_faults("connectors: {C: {type: pg, name: d, topics: [a]}}",
	    "connectors.C: a connector's name has small letters, digits and "
	    "`-`, begins with a letter or digit, and has at most 63 "
	    "characters (line 1, column 14)\n"
	    "connectors.C.type: `pg` is not one of the types that are built: "
	    "postgres (line 1, column 24)\n"
	    "connectors.C.name: `d` is not the name it stands under "
	    "(line 1, column 34)\n");
	expect_faults("connectors: {c: {type: postgres, topics: [a]}, d: }",
	    "connectors.c.config.host: is required (line 1, column 14)\n"
	    "connectors.d: a plain value where an object is wanted "
	    "(line 1, column 51)\n"
	    "connectors.d.stream: is required where there are no `topics` "
	    "(line 1, column 51)\n");
}

Test(config, references_are_resolved_and_secrets_masked)
{
	struct config *c = parse("connectors: {c: {type: postgres, topics: [a],"
	    " config: {host: \"${file:/run/pw}.x\", password: \"${env:PW}\","
	    " columns: {v: \"${payload.v}\"}, headers: {a: b},"
	    " tls: {key: k}}}}");
	struct json_object *shown = config_masked(c, &types);

	expect_json(c->resolved, "/connectors/c/config/host",
	    "\"from-file.x\"");
	expect_json(c->resolved, "/connectors/c/config/password",
	    "\"s3cret\"");
	expect_json(c->resolved, "/connectors/c/config/max_size",
	    "1073741824");
	expect_json(c->resolved, "/connectors/c/config/timeout", "5000");
	expect_json(c->resolved, "/connectors/c/config/columns/v",
	    "\"${payload.v}\"");
	expect_json(shown, "/connectors/c/config/password", "\"***\"");
	expect_json(shown, "/connectors/c/config/headers", "{\"a\":\"***\"}");
	expect_json(shown, "/connectors/c/config/tls",
	    "{\"enable\":false,\"key\":\"***\"}");
	expect_json(shown, "/connectors/c/config/host",
	    "\"${file:/run/pw}.x\"");
	expect_json(shown, "/connectors/c/config/timeout", "\"5s\"");
	json_object_put(shown);
	config_free(c);
	expect_faults("connectors: {c: {type: postgres, topics: [a], config: "
	    "{host: \"${env:NOPE}\", password: \"${file:/no}\","
	    " tls: {key: \"${env:X\"}}}}",
	    "connectors.c.config.host: environment variable NOPE is not set "
	    "(line 1, column 62)\n"
	    "connectors.c.config.password: cannot read /no: No such file or "
	    "directory (line 1, column 87)\n"
	    "connectors.c.config.tls.key: ${env: is not closed by a brace "
	    "(line 1, column 113)\n");
}

Test(config, a_definition_comes_by_request_too)
{
	struct definition *d, *e;

	d = definition_parse(slice_str("{\"name\":\"c\",\"type\":\"postgres\","
	    "\"stream\":\"s\",\"config\":{\"host\":\"h\",\"password\":\"p\","
	    "\"timeout\":\"3s\"}}"), NULL, NULL, &input, &faults);
	cr_assert_not_null(d);
	cr_assert_str_eq(d->name, "c");
	expect_json(d->resolved, "/config/password", "\"p\"");
	expect_json(d->resolved, "/config/timeout", "3000");
	expect_json(d->written, "/config/timeout", "\"3s\"");
	e = definition_parse(slice_str("connectors: {c: {type: postgres, "
	    "stream: s, config: {host: h2, password: '***'}}}"), "c",
	    d->written, &input, &faults);
	cr_assert_not_null(e);
	expect_json(e->resolved, "/config/password", "\"p\"");
	expect_json(e->resolved, "/config/host", "\"h2\"");
	definition_free(e);
	definition_free(d);
	cr_assert_null(definition_parse(slice_str("{type: postgres, name: c, "
	    "stream: s, config: {host: h, password: '***', prot: 1}}"), NULL,
	    NULL, &input, &faults));
	faults_drop_places(&faults);
	faults_print(&faults, "", &printed);
	cr_assert_str_eq(buf_cstr(&printed),
	    "connectors.c.config.password: *** is a mask, not a value\n"
	    "connectors.c.config.prot: unknown option; did you mean `port`?\n");
	faults_fini(&faults);
	cr_assert_null(definition_parse(SLICE_EMPTY, "c", NULL, &input,
	    &faults));
	cr_assert_null(definition_parse(slice_str("a: 1"), NULL, NULL, &input,
	    &faults));
	cr_assert_null(definition_parse(slice_str("connectors: {a: {}, b: {}}"),
	    NULL, NULL, &input, &faults));
}

Test(config, written_form_reads_back_the_same)
{
	struct config *c = parse("connectors: {c: {type: postgres, topics: [a],"
	    " config: {host: \"${env:PW}\", timeout: 90s}}}");
	struct config *again = parse(json_object_to_json_string(c->written));

	cr_assert(json_object_equal(c->resolved, again->resolved));
	config_free(c);
	config_free(again);
}

Test(config, plan_names_what_differs)
{
	struct config *a = parse(ONE("stream: s"));
	struct config *b = parse("streams: {s: {topics: [b], partitions: 2}, "
	    "u: {topics: [u]}}\nlog: {level: debug}\nstore: {fsync: never}\n"
	    "connectors: {c: {type: postgres, stream: s, config: {host: k},"
	    " batch: {linger_ms: 1}}, n: {type: postgres, stream: u,"
	    " config: {host: h}}}");
	struct plan p;

	plan_make(&p, a->resolved, b->resolved, &faults);
	plan_print(&p, &printed);
	cr_assert_str_eq(buf_cstr(&printed),
	    "update stream s (topics, partitions)\n"
	    "create stream u\n"
	    "keep stream t (it left the file; `bulkhead stream delete` "
	    "deletes it)\n"
	    "update connector c (batch.linger_ms, config.host)\n"
	    "create connector n\n"
	    "update log log (level)\n"
	    "restart section store (takes effect at the next start)\n");
	plan_fini(&p);
	cr_assert_eq(faults.total, 0);
	plan_make(&p, b->resolved, a->resolved, &faults);
	cr_assert_eq(faults.total, 1);
	plan_fini(&p);
	plan_make(&p, a->resolved, a->resolved, &faults);
	cr_assert(plan_is_empty(&p));
	plan_fini(&p);
	config_free(a);
	config_free(b);
}

Test(config, schema_and_pages_come_from_the_table)
{
	struct json_object *s = config_export_schema(&types);

	expect_json(s, "/properties/limits/properties/watchdog_ms",
	    "{\"type\":\"integer\",\"minimum\":100,\"maximum\":600000,"
	    "\"description\":\"time a process may take to answer a ping\","
	    "\"default\":5000}");
	expect_json(s, "/properties/listeners/items/properties/protocol/enum",
	    "[\"mqtt\"]");
	expect_json(s, "/properties/connectors/additionalProperties/allOf/0/"
	    "then/properties/config/required", "[\"host\"]");
	json_object_put(s);
	config_docs("en", &printed);
	cr_assert(strstr(buf_cstr(&printed), "| `store.fsync` | enum | "
	    "`group` | `group`, `interval`, `never` |"));
	buf_clear(&printed);
	type_docs(&types.v[0], "zh", &printed);
	cr_assert(strstr(buf_cstr(&printed), "| `host`（必填） | string |"));
	cr_assert(strstr(buf_cstr(&printed), "1MiB..1TiB"));
}

Test(config, every_option_has_help_in_both_languages)
{
	const struct schema *s = schema_broker();
	char parent[200], *dot;
	size_t i;

	for (i = 0; i < s->n; i++) {
		cr_assert(s->v[i].help_en[0] != '\0', "%s", s->v[i].path);
		cr_assert(s->v[i].help_zh[0] != '\0', "%s", s->v[i].path);
		cr_assert_eq(schema_find(s, s->v[i].path), &s->v[i],
		    "%s twice", s->v[i].path);
		snprintf(parent, sizeof(parent), "%s", s->v[i].path);
		dot = strrchr(parent, '.');
		if (dot == NULL)
			continue;
		*dot = '\0';
		if (dot > parent + 2 && (strcmp(dot - 2, "[]") == 0 ||
		    strcmp(dot - 2, ".*") == 0))
			dot[-2] = '\0';
		cr_assert_not_null(schema_find(s, parent), "%s", parent);
	}
}

Test(config, types_that_are_refused)
{
	struct connector_types t;
	char why[200];

	cr_assert_not(types_parse(&t, slice_str("{"), why, sizeof(why)));
	cr_assert_not(types_parse(&t, slice_str("[{}]"), why, sizeof(why)));
	cr_assert_not(types_parse(&t, slice_str("[{\"type\":\"x\"}]"), why,
	    sizeof(why)));
	cr_assert_not(types_parse(&t, slice_str("[{\"type\":\"x\",\"options\":"
	    "[{\"name\":\"a\",\"type\":\"b\"}]}]"), why, sizeof(why)));
	cr_assert_str_eq(why, "option a has no known type");
	cr_assert_not(types_load(&t, "/nowhere/types.json", why,
	    sizeof(why)));
}

Test(units, sizes_and_times)
{
	int64_t v;
	char text[32];

	cr_assert(size_parse("0", &v) && v == 0);
	cr_assert(size_parse("1.5KiB", &v) && v == 1536);
	cr_assert(size_parse("10GiB", &v) && v == INT64_C(10) << 30);
	cr_assert_not(size_parse("1KB", &v));
	cr_assert_not(size_parse("", &v));
	cr_assert_not(size_parse("-1", &v));
	cr_assert_not(size_parse("1.", &v));
	cr_assert_not(size_parse("99999999999999TiB", &v));
	cr_assert(duration_parse("0.1s", &v) && v == 100);
	cr_assert(duration_parse("7d", &v) && v == 604800000);
	cr_assert(duration_parse("0", &v) && v == 0);
	cr_assert_not(duration_parse("7", &v));
	size_format(1536, text, sizeof(text));
	cr_assert_str_eq(text, "1536");
	duration_format(5400000, text, sizeof(text));
	cr_assert_str_eq(text, "90m");
	cr_assert(time_parse("1970-01-02T00:00:00.25+01:00", &v));
	cr_assert_eq(v, 82800250);
	cr_assert(time_parse("2026-11-21T19:41:42Z", &v));
	cr_assert_not(time_parse("2026-02-31T00:00:00Z", &v));
	cr_assert_not(time_parse("2026-02-01T00:00:00", &v));
	cr_assert_not(time_parse("2026-02-01", &v));
}

Test(units, addresses)
{
	struct bind_address b;
	char text[300];

	cr_assert_null(bind_parse("[2001:db8::1]:80", &b));
	bind_format(&b, text, sizeof(text));
	cr_assert_str_eq(text, "[2001:db8::1]:80");
	cr_assert_not(bind_is_loopback(&b));
	cr_assert_null(bind_parse("127.1.2.3:65535", &b));
	cr_assert(bind_is_loopback(&b));
	cr_assert_null(bind_parse("localhost:1", &b));
	cr_assert(bind_is_loopback(&b));
	cr_assert_null(bind_parse("broker.example:1", &b));
	cr_assert_not(bind_is_loopback(&b));
	cr_assert_not_null(bind_parse("::1:80", &b));
	cr_assert_not_null(bind_parse("h:0", &b));
	cr_assert_not_null(bind_parse("h:65536", &b));
	cr_assert_not_null(bind_parse("h:x", &b));
	cr_assert_not_null(bind_parse(":1", &b));
	cr_assert_not_null(bind_parse("[x]:1", &b));
}

Test(secret, files_are_read_within_bounds)
{
	char path[] = "/tmp/bh-secret-XXXXXX", text[64], why[200], *s;
	int fd = mkstemp(path);

	cr_assert(write(fd, "abc\n\n", 5) == 5);
	snprintf(text, sizeof(text), "${file:%s}", path);
	s = secret_resolve(text, &secret_system, why, sizeof(why));
	cr_assert_str_eq(s, "abc\n");
	free(s);
	cr_assert(ftruncate(fd, SECRET_FILE_MAX + 1) == 0);
	cr_assert_null(secret_resolve(text, &secret_system, why, sizeof(why)));
	cr_assert(strstr(why, "more than 65536"));
	close(fd);
	unlink(path);
	cr_assert_null(secret_resolve("${file:rel}", &secret_system, why,
	    sizeof(why)));
	s = secret_resolve("${topic} $ {", &secret_system, why, sizeof(why));
	cr_assert_str_eq(s, "${topic} $ {");
	free(s);
}
