#include "base/config_bind.h"

#include "base/units.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

const char *
bind_unix_path(const char *text)
{
	return strncmp(text, "unix:/", 6) == 0 ? text + 5 : NULL;
}

const char *
bind_parse(const char *text, struct bind_address *b)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - text);
	bool has_brackets = n >= 2 && text[0] == '[' && colon[-1] == ']';
	struct in6_addr v6;
	int64_t port;

	if (colon == NULL)
		return "is not HOST:PORT";
	if (n == 0)
		return "has no host; * stands for every address";
	if (has_brackets) {
		text++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(b->host))
		return "is not HOST:PORT";
	snprintf(b->host, sizeof(b->host), "%.*s", (int)n, text);
	if (!has_brackets && strchr(b->host, ':') != NULL)
		return "needs brackets around an IPv6 address: [HOST]:PORT";
	if (has_brackets && inet_pton(AF_INET6, b->host, &v6) != 1)
		return "has no IPv6 address in its brackets";
	if (strpbrk(b->host, " /\t") != NULL)
		return "is not HOST:PORT";
	if (colon[1] < '0' || colon[1] > '9' || !int_parse(colon + 1, &port))
		return "has no port number";
	if (port < 1)
		return "has a port below 1";
	if (port > 65535)
		return "has a port above 65535";
	b->port = (unsigned)port;
	return NULL;
}

void
bind_format(const struct bind_address *b, char *out, size_t size)
{
	bool is_v6 = strchr(b->host, ':') != NULL;

	snprintf(out, size, "%s%s%s:%u", is_v6 ? "[" : "", b->host,
	    is_v6 ? "]" : "", b->port);
}

bool
bind_is_loopback(const struct bind_address *b)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (strcmp(b->host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, b->host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, b->host, &v6) == 1 &&
	    IN6_IS_ADDR_LOOPBACK(&v6);
}
