#include "connector-worker/http_url.h"

#include <ctype.h>

static bool
takes(struct slice *s, const char *text)
{
	size_t n = strlen(text);

	if (s->len < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (tolower(s->p[i]) != text[i])
			return false;
	s->p += n;
	s->len -= n;
	return true;
}

/* ":PORT" or nothing. */
static const char *
check_port(struct slice s, struct http_url *u)
{
	unsigned port = 0;

	u->port = u->is_https ? 443 : 80;
	if (s.len == 0)
		return NULL;
	if (s.p[0] != ':' || s.len < 2 || s.len > 6)
		return "the port is not a number";
	for (size_t i = 1; i < s.len; i++) {
		if (!isdigit(s.p[i]))
			return "the port is not a number";
		port = port * 10 + (unsigned)(s.p[i] - '0');
	}
	if (port == 0 || port > 65535)
		return "the port is not within 1 to 65535";
	u->port = (uint16_t)port;
	return NULL;
}

static const char *
check_authority(struct http_url *u)
{
	struct slice s = u->authority;
	const uint8_t *end;

	if (s.len > 0 && memchr(s.p, '@', s.len) != NULL)
		return "a login in the URL is not secret: use username and "
		       "password";
	if (s.len > 0 && s.p[0] == '[') {
		end = memchr(s.p, ']', s.len);
		if (end == NULL)
			return "the address has no ]";
		u->host = slice_of(s.p + 1, (size_t)(end - s.p) - 1);
		end++;
	} else {
		end = s.len > 0 ? memchr(s.p, ':', s.len) : NULL;
		if (end == NULL)
			end = s.p + s.len;
		u->host = slice_of(s.p, (size_t)(end - s.p));
	}
	if (u->host.len == 0)
		return "there is no host";
	for (size_t i = 0; i < u->host.len; i++)
		if (u->host.p[i] <= ' ' || u->host.p[i] == '%' ||
		    u->host.p[i] == '\\' || u->host.p[i] == 0x7f)
			return "the host has a character that no host has";
	return check_port(slice_of(end, (size_t)(s.p + s.len - end)), u);
}

const char *
http_url_check(struct slice prefix, bool is_whole, struct http_url *u)
{
	struct slice s = prefix;
	size_t n = 0;

	*u = (struct http_url){0};
	u->is_https = takes(&s, "https://");
	if (!u->is_https && !takes(&s, "http://"))
		return "it must begin with http:// or https://";
	while (n < s.len && s.p[n] != '/' && s.p[n] != '?' && s.p[n] != '#')
		n++;
	if (n == s.len && !is_whole)
		return "host and port must be fixed: a template may stand "
		       "behind the / of the path only";
	u->authority = slice_of(s.p, n);
	u->rest = slice_of(s.p + n, s.len - n);
	if (!http_url_is_plain(u->rest))
		return "the path has a segment . or .., or a space";
	return check_authority(u);
}

bool
http_url_is_plain(struct slice s)
{
	size_t segment = 0, i;

	for (i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	for (i = 0; i <= s.len; i++) {
		bool is_end = i == s.len || s.p[i] == '?' || s.p[i] == '#';

		if (!is_end && s.p[i] != '/')
			continue;
		if (i - segment <= 2 && i > segment && s.p[segment] == '.' &&
		    s.p[i - 1] == '.')
			return false;
		segment = i + 1;
		if (is_end)
			break;
	}
	return true;
}
