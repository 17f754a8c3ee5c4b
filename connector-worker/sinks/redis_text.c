#include "connector-worker/sinks/redis_text.h"

#include <stdlib.h>
#include <strings.h>

#define DEFAULT_PORT 6379

/* ---- addresses --------------------------------------------------------- */

static bool
port_parse(struct slice text, uint16_t *port)
{
	unsigned v = 0;

	if (text.len == 0 || text.len > 5)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		v = v * 10 + (unsigned)(text.p[i] - '0');
	}
	*port = (uint16_t)v;
	return v > 0 && v <= 65535;
}

bool
redis_server_parse(struct slice text, uint16_t port, struct redis_server *s)
{
	const uint8_t *end = text.p + text.len, *rest;
	struct slice host = text;

	if (text.len == 0)
		return false;
	if (*text.p == '[') {
		rest = memchr(text.p, ']', text.len);
		if (rest == NULL)
			return false;
		host = slice_of(text.p + 1, (size_t)(rest - text.p) - 1);
		rest++;
	} else {
		/* A bare IPv6 address, as the cluster writes it, too. */
		for (rest = end; rest > text.p && rest[-1] != ':'; rest--)
			;
		rest = rest == text.p ? end : rest - 1;
		host = slice_of(text.p, (size_t)(rest - text.p));
	}
	if (host.len == 0 || host.len >= sizeof(s->host) ||
	    memchr(host.p, ' ', host.len) != NULL ||
	    memchr(host.p, '\0', host.len) != NULL)
		return false;
	memcpy(s->host, host.p, host.len);
	s->host[host.len] = '\0';
	s->port = port;
	if (rest == end)
		return true;
	return *rest == ':' &&
	    port_parse(slice_of(rest + 1, (size_t)(end - rest) - 1), &s->port);
}

static struct slice
spaces_cut(struct slice s)
{
	while (s.len > 0 && *s.p == ' ')
		s = slice_of(s.p + 1, s.len - 1);
	while (s.len > 0 && s.p[s.len - 1] == ' ')
		s.len--;
	return s;
}

size_t
redis_servers_parse(const char *text, uint16_t port,
    struct redis_server *servers, size_t max)
{
	size_t count = 0, n;

	for (;; text += n + 1) {
		n = strcspn(text, ",");
		if (count == max ||
		    !redis_server_parse(spaces_cut(slice_of(text, n)), port,
			&servers[count]))
			return 0;
		count++;
		if (text[n] == '\0')
			return count;
	}
}

/* ---- errors ------------------------------------------------------------ */

/*
 * By how the text begins; the first that fits counts. What every record
 * would get (a login, an unknown command, a script that is not loaded, a
 * server that is full) is the target's fault and waits; all that is not
 * here is tried again.
 */
static const struct {
	const char *prefix;
	enum sink_outcome outcome;
} errors[] = {
    {"ERR value is not", SINK_REFUSED},
    {"ERR syntax", SINK_REFUSED},
    {"ERR Protocol error", SINK_REFUSED},
    {"ERR increment", SINK_REFUSED},
    {"ERR decrement", SINK_REFUSED},
    {"ERR string exceeds", SINK_REFUSED},
    {"ERR invalid", SINK_REFUSED},
    {"ERR Invalid", SINK_REFUSED},
    {"ERR hash value is not", SINK_REFUSED},
    {"ERR min or max", SINK_REFUSED},
    {"ERR The ID specified", SINK_REFUSED},
    {"ERR offset is out of range", SINK_REFUSED},
    {"ERR bit ", SINK_REFUSED},
    {"ERR no such key", SINK_REFUSED},
    {"ERR unknown command", SINK_UNAVAILABLE},
    {"ERR unknown subcommand", SINK_UNAVAILABLE},
    {"ERR wrong number of arguments", SINK_UNAVAILABLE},
    {"ERR max number of clients", SINK_UNAVAILABLE},
    {"WRONGTYPE", SINK_REFUSED},
    {"CROSSSLOT", SINK_REFUSED},
    {"EXECABORT", SINK_REFUSED},
    {"BUSYKEY", SINK_REFUSED},
    {"BUSYGROUP", SINK_REFUSED},
    {"NOGROUP", SINK_REFUSED},
    {"NOPERM this user has no permissions to access one", SINK_REFUSED},
    {"NOPERM No permissions to access", SINK_REFUSED},
    {"NOPERM", SINK_UNAVAILABLE},
    {"NOSCRIPT", SINK_UNAVAILABLE},
    {"NOAUTH", SINK_UNAVAILABLE},
    {"WRONGPASS", SINK_UNAVAILABLE},
    {"DENIED", SINK_UNAVAILABLE},
    {"LOADING", SINK_UNAVAILABLE},
    {"BUSY", SINK_UNAVAILABLE},
    {"MASTERDOWN", SINK_UNAVAILABLE},
    {"CLUSTERDOWN", SINK_UNAVAILABLE},
    {"TRYAGAIN", SINK_UNAVAILABLE},
    {"MOVED ", SINK_UNAVAILABLE},
    {"ASK ", SINK_UNAVAILABLE},
    {"READONLY", SINK_UNAVAILABLE},
    {"NOREPLICAS", SINK_UNAVAILABLE},
    {"MISCONF", SINK_UNAVAILABLE},
    {"OOM", SINK_UNAVAILABLE},
};

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

enum sink_outcome
redis_error_outcome(const char *text)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (begins(text, errors[i].prefix))
			return errors[i].outcome;
	return SINK_RETRYABLE;
}

bool
redis_error_is_demotion(const char *text)
{
	return begins(text, "READONLY") || begins(text, "MASTERDOWN");
}

bool
redis_error_is_old_id(const char *text)
{
	return begins(text, "ERR The ID specified in XADD is equal");
}

bool
redis_redirect_parse(const char *text, const char *same_host, bool *is_ask,
    unsigned *slot, struct redis_server *s)
{
	char *end;
	unsigned long v;

	*is_ask = begins(text, "ASK ");
	if (!*is_ask && !begins(text, "MOVED "))
		return false;
	text += *is_ask ? 4 : 6;
	if (*text < '0' || *text > '9')
		return false;
	v = strtoul(text, &end, 10);
	if (*end != ' ' || v >= REDIS_SLOTS)
		return false;
	*slot = (unsigned)v;
	if (end[1] != ':')
		return redis_server_parse(slice_str(end + 1), DEFAULT_PORT, s);
	if (strlen(same_host) >= sizeof(s->host))
		return false;
	memcpy(s->host, same_host, strlen(same_host) + 1);
	return port_parse(slice_str(end + 2), &s->port);
}

/* ---- commands ---------------------------------------------------------- */

/* CRC-16/XMODEM, as the cluster specification has it. */
static uint16_t
crc16(struct slice s)
{
	uint16_t crc = 0;

	while (s.len-- > 0) {
		crc ^= (uint16_t)(*s.p++ << 8);
		for (int i = 0; i < 8; i++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021
						      : crc << 1);
	}
	return crc;
}

unsigned
redis_key_slot(struct slice key)
{
	const uint8_t *open = NULL, *close = NULL;

	if (key.len > 0)
		open = memchr(key.p, '{', key.len);
	if (open != NULL)
		close = memchr(open, '}', key.len - (size_t)(open - key.p));
	if (close != NULL && close > open + 1)
		key = slice_of(open + 1, (size_t)(close - open) - 1);
	return crc16(key) % REDIS_SLOTS;
}

static bool
is_word(struct slice s, const char *word)
{
	return s.len == strlen(word) &&
	    strncasecmp((const char *)s.p, word, s.len) == 0;
}

size_t
redis_key_index(struct slice command)
{
	static const struct {
		const char *name;
		size_t index;
	} odd[] = {{"EVAL", 3}, {"EVALSHA", 3}, {"FCALL", 3}, {"BITOP", 2},
	    {"XGROUP", 2}, {"OBJECT", 2}};

	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		if (is_word(command, odd[i].name))
			return odd[i].index;
	return 1;
}

/* XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT n]] id ... */
size_t
redis_xadd_id(const struct slice *args, size_t count)
{
	size_t at = 2;

	if (count < 5 || !is_word(args[0], "XADD"))
		return 0;
	if (is_word(args[at], "NOMKSTREAM"))
		at++;
	if (is_word(args[at], "MAXLEN") || is_word(args[at], "MINID")) {
		at++;
		if (at < count &&
		    (is_word(args[at], "=") || is_word(args[at], "~")))
			at++;
		at++;
		if (at < count && is_word(args[at], "LIMIT"))
			at += 2;
	}
	return at + 2 < count ? at : 0;
}

bool
redis_command_is_barred(struct slice command)
{
	static const char *const barred[] = {"SUBSCRIBE", "PSUBSCRIBE",
	    "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE",
	    "MONITOR", "MULTI", "EXEC", "DISCARD", "WATCH", "SELECT", "AUTH",
	    "HELLO", "RESET", "QUIT", "SYNC", "PSYNC", "CLIENT", "SHUTDOWN",
	    "READONLY", "ASKING", "BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH",
	    "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT"};

	for (size_t i = 0; i < sizeof(barred) / sizeof(*barred); i++)
		if (is_word(command, barred[i]))
			return true;
	return false;
}
