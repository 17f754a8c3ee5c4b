#include "admin-server/guard.h"

#include <arpa/inet.h>
#include <strings.h>

/* The host of "host:port" or "[v6]:port". */
static struct slice
host_of(struct slice s)
{
	const uint8_t *end;

	if (s.len > 0 && s.p[0] == '[') {
		end = memchr(s.p, ']', s.len);
		return end == NULL ? SLICE_EMPTY :
		    slice_of(s.p + 1, (size_t)(end - s.p - 1));
	}
	end = memchr(s.p, ':', s.len);
	return end == NULL ? s : slice_of(s.p, (size_t)(end - s.p));
}

static bool
is_local_name(struct slice host)
{
	char text[64];
	struct in6_addr address;

	if (host.len >= sizeof(text))
		return false;
	memcpy(text, host.p, host.len);
	text[host.len] = '\0';
	return strcasecmp(text, "localhost") == 0 ||
	    inet_pton(AF_INET, text, &address) == 1 ||
	    inet_pton(AF_INET6, text, &address) == 1;
}

const char *
guard_check(const struct http_request *r, bool is_public)
{
	struct slice host = http_request_header(r, "host");
	struct slice origin = http_request_header(r, "origin");
	const uint8_t *mark;

	if (!is_public && !slice_is_null(host) &&
	    !is_local_name(host_of(host)))
		return "Host must be an address or localhost here";
	if (slice_is_null(origin))
		return NULL;
	mark = memmem(origin.p, origin.len, "://", 3);
	if (mark == NULL)
		return "requests of other sites are not taken";
	origin = slice_of(mark + 3, origin.len - (size_t)(mark + 3 - origin.p));
	return slice_eq(origin, host) ? NULL :
	    "requests of other sites are not taken";
}
