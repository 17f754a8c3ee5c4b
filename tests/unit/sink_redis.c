/* links: sink_redis worker base */
#include "connector-worker/sinks/redis_text.h"

#include <criterion/criterion.h>

Test(redis_text, servers)
{
	static const struct {
		const char *text, *host;
		unsigned port;
	} rows[] = {{"h", "h", 6379}, {"h:1", "h", 1}, {"h:65535", "h", 65535},
	    {"[::1]:7", "::1", 7}, {"[::1]", "::1", 6379},
	    {"::1:7", "::1", 7}};
	static const char *const bad[] = {"", ":1", "h:", "h:0", "h:65536",
	    "h:x", "h:1x", "[::1", "[]:1", "[::1]x", "a b", "h:000001"};
	struct redis_server s[3];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		cr_assert(redis_server_parse(
		    slice_str(rows[i].text), 6379, s));
		cr_assert_str_eq(s->host, rows[i].host);
		cr_assert_eq(s->port, rows[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_not(
		    redis_server_parse(slice_str(bad[i]), 6379, s), "%s",
		    bad[i]);
	cr_assert_eq(redis_servers_parse("a, b:1 ,c", 5, s, 3), 3);
	cr_assert_str_eq(s[1].host, "b");
	cr_assert_eq(s[2].port, 5);
	cr_assert_eq(redis_servers_parse("a,b,c,d", 5, s, 3), 0);
	cr_assert_eq(redis_servers_parse("a,", 5, s, 3), 0);
}

Test(redis_text, errors)
{
	static const struct {
		const char *text;
		enum sink_outcome outcome;
	} rows[] = {
	    {"ERR value is not an integer or out of range", SINK_REFUSED},
	    {"WRONGTYPE Operation against a key", SINK_REFUSED},
	    {"BUSYKEY Target key name already exists.", SINK_REFUSED},
	    {"BUSY Redis is busy running a script", SINK_UNAVAILABLE},
	    {"NOPERM this user has no permissions to access one of the keys",
		SINK_REFUSED},
	    {"NOPERM this user has no permissions to run the 'set' command",
		SINK_UNAVAILABLE},
	    {"ERR unknown command 'x'", SINK_UNAVAILABLE},
	    {"OOM command not allowed", SINK_UNAVAILABLE},
	    {"MOVED 1 h:1", SINK_UNAVAILABLE},
	    {"ERR The ID specified in XADD is equal or smaller", SINK_REFUSED},
	    {"what", SINK_RETRYABLE}, {"", SINK_RETRYABLE}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		cr_assert_eq(redis_error_outcome(rows[i].text),
		    rows[i].outcome, "%s", rows[i].text);
	cr_assert(redis_error_is_demotion("READONLY You can't write"));
	cr_assert(redis_error_is_old_id(
	    "ERR The ID specified in XADD is equal or smaller than"));
}

Test(redis_text, redirects)
{
	static const char *const bad[] = {"", "ERR", "MOVED", "MOVED ",
	    "MOVED x h:1", "MOVED 16384 h:1", "MOVED -1 h:1", "MOVED 1",
	    "MOVED 1 ", "MOVED 1 :", "MOVED 1 :0", "ASK 1 h:70000"};
	struct redis_server s;
	unsigned slot;
	bool is_ask;

	cr_assert(redis_redirect_parse("MOVED 3999 127.0.0.1:6381", "x",
	    &is_ask, &slot, &s));
	cr_assert_not(is_ask);
	cr_assert_eq(slot, 3999);
	cr_assert_str_eq(s.host, "127.0.0.1");
	cr_assert_eq(s.port, 6381);
	cr_assert(
	    redis_redirect_parse("ASK 0 :7000", "same", &is_ask, &slot, &s));
	cr_assert(is_ask);
	cr_assert_str_eq(s.host, "same");
	cr_assert_eq(s.port, 7000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_not(redis_redirect_parse(
		    bad[i], "x", &is_ask, &slot, &s), "%s", bad[i]);
}

/* As CLUSTER KEYSLOT answers. */
Test(redis_text, slots)
{
	static const struct {
		const char *key;
		unsigned slot;
	} rows[] = {{"", 0}, {"123456789", 12739}, {"foo", 12182},
	    {"{user1000}.following", 3443}, {"{user1000}.followers", 3443},
	    {"foo{}{bar}", 8363}, {"foo{{bar}}zap", 4015},
	    {"foo{bar}{zap}", 5061}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		cr_assert_eq(redis_key_slot(slice_str(rows[i].key)),
		    rows[i].slot, "%s", rows[i].key);
}

static size_t
xadd(const char *const *words, size_t count)
{
	struct slice args[16];

	for (size_t i = 0; i < count; i++)
		args[i] = slice_str(words[i]);
	return redis_xadd_id(args, count);
}
#define XADD(...)                                                            \
	xadd((const char *const[]){__VA_ARGS__},                             \
	    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

Test(redis_text, commands)
{
	cr_assert_eq(redis_key_index(SLICE_LIT("SET")), 1);
	cr_assert_eq(redis_key_index(SLICE_LIT("eval")), 3);
	cr_assert(redis_command_is_barred(SLICE_LIT("Subscribe")));
	cr_assert_not(redis_command_is_barred(SLICE_LIT("SET")));
	cr_assert_eq(XADD("XADD", "k", "1-1", "f", "v"), 2);
	cr_assert_eq(XADD("xadd", "k", "NOMKSTREAM", "1-1", "f", "v"), 3);
	cr_assert_eq(XADD("XADD", "k", "MAXLEN", "9", "1-1", "f", "v"), 4);
	cr_assert_eq(XADD("XADD", "k", "MINID", "~", "9", "LIMIT", "5", "1-1",
			 "f", "v"), 7);
	cr_assert_eq(XADD("XADD", "k", "MAXLEN", "=", "9"), 0);
	cr_assert_eq(XADD("SET", "k", "v", "f", "v"), 0);
}
