/*
 * config_bind - "HOST:PORT" of listeners, with [IPv6] and * for all; or
 * "unix:/PATH".
 */
#ifndef BASE_CONFIG_BIND_H
#define BASE_CONFIG_BIND_H

#include <stdbool.h>
#include <stddef.h>

struct bind_address {
	char host[240];		/* without brackets; "*" for every address */
	unsigned port;		/* 1..65535 */
};

/* The path of "unix:/PATH", NULL where it is no such address. */
const char *bind_unix_path(const char *text);
/* NULL, or what is wrong. */
const char *bind_parse(const char *text, struct bind_address *);
void bind_format(const struct bind_address *, char *out, size_t size);
/* True for localhost and addresses that never leave the machine. */
bool bind_is_loopback(const struct bind_address *);

#endif
