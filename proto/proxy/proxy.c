#include "proto/proxy/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>

#define V2_HEADER 16

enum tlv_type { TLV_ALPN = 0x01, TLV_SSL = 0x20, TLV_SSL_CN = 0x22 };

static const uint8_t v2_signature[12] = {
    0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* Takes the next word, separated by exactly one space. */
static bool
take_word(struct slice *line, char *word, size_t cap)
{
	size_t n = 0;

	while (n < line->len && line->p[n] != ' ')
		n++;
	if (n == 0 || n >= cap)
		return false;
	memcpy(word, line->p, n);
	word[n] = '\0';
	/* A space is between two words, never behind the last. */
	if (n < line->len && ++n == line->len)
		return false;
	*line = slice_of(line->p + n, line->len - n);
	return true;
}

static bool
take_port(struct slice *line, uint16_t *port)
{
	char word[6];
	unsigned v = 0;

	if (!take_word(line, word, sizeof(word)))
		return false;
	if (word[0] == '0' && word[1] != '\0')
		return false;
	for (const char *p = word; *p != '\0'; p++) {
		if (*p < '0' || *p > '9')
			return false;
		v = v * 10 + (unsigned)(*p - '0');
	}
	*port = (uint16_t)v;
	return v <= 65535;
}

static bool
v1_line(struct slice line, struct proxy *proxy)
{
	char word[INET6_ADDRSTRLEN];
	uint8_t other[16];
	uint16_t port;
	int family;

	if (!take_word(&line, word, sizeof(word)) || strcmp(word, "PROXY") != 0)
		return false;
	if (!take_word(&line, word, sizeof(word)))
		return false;
	if (strcmp(word, "UNKNOWN") == 0) {
		proxy->is_local = true;
		return true;
	}
	if (strcmp(word, "TCP4") == 0)
		family = AF_INET;
	else if (strcmp(word, "TCP6") == 0)
		family = AF_INET6;
	else
		return false;
	proxy->family = family == AF_INET ? 4 : 6;
	if (!take_word(&line, word, sizeof(word)) ||
	    inet_pton(family, word, proxy->address) != 1)
		return false;
	if (!take_word(&line, word, sizeof(word)) ||
	    inet_pton(family, word, other) != 1)
		return false;
	return take_port(&line, &proxy->port) && take_port(&line, &port) &&
	    line.len == 0;
}

static int
v1_parse(const uint8_t *p, size_t n, struct proxy *proxy)
{
	size_t max = n < PROXY_V1_MAX ? n : PROXY_V1_MAX;
	const uint8_t *end = memchr(p, '\r', max);
	size_t len;

	if (end == NULL)
		return n < PROXY_V1_MAX ? 0 : -1;
	len = (size_t)(end - p);
	if (len + 1 >= n)
		return n < PROXY_V1_MAX ? 0 : -1;
	if (p[len + 1] != '\n' || !v1_line(slice_of(p, len), proxy))
		return -1;
	return (int)(len + 2);
}

static bool
v2_tls(struct slice tlv, struct proxy *proxy)
{
	uint8_t client;
	size_t n;

	if (tlv.len < 5)
		return false;
	client = tlv.p[0];
	proxy->has_tls = (client & 0x01) != 0;
	proxy->is_verified = (client & 0x06) != 0 && tlv.p[1] == 0 &&
	    tlv.p[2] == 0 && tlv.p[3] == 0 && tlv.p[4] == 0;
	tlv = slice_of(tlv.p + 5, tlv.len - 5);
	while (tlv.len > 0) {
		if (tlv.len < 3)
			return false;
		n = (size_t)tlv.p[1] << 8 | tlv.p[2];
		if (n > tlv.len - 3)
			return false;
		if (tlv.p[0] == TLV_SSL_CN)
			proxy->common_name = slice_of(tlv.p + 3, n);
		tlv = slice_of(tlv.p + 3 + n, tlv.len - 3 - n);
	}
	return true;
}

static bool
v2_tlvs(struct slice rest, struct proxy *proxy)
{
	struct slice value;
	size_t n;

	while (rest.len > 0) {
		if (rest.len < 3)
			return false;
		n = (size_t)rest.p[1] << 8 | rest.p[2];
		if (n > rest.len - 3)
			return false;
		value = slice_of(rest.p + 3, n);
		if (rest.p[0] == TLV_ALPN)
			proxy->alpn = value;
		else if (rest.p[0] == TLV_SSL && !v2_tls(value, proxy))
			return false;
		rest = slice_of(rest.p + 3 + n, rest.len - 3 - n);
	}
	return true;
}

static bool
v2_address(const uint8_t *p, size_t n, struct proxy *proxy)
{
	uint8_t family = p[13] >> 4;
	size_t addresses = family == 1 ? 12 : family == 2 ? 36
	    : family == 3				? 216
							: 0;
	const uint8_t *body = p + V2_HEADER;

	if (family > 3 || (p[13] & 0x0f) > 2 || n < addresses)
		return false;
	if (family == 1) {
		proxy->family = 4;
		memcpy(proxy->address, body, 4);
		proxy->port = (uint16_t)(body[8] << 8 | body[9]);
	} else if (family == 2) {
		proxy->family = 6;
		memcpy(proxy->address, body, 16);
		proxy->port = (uint16_t)(body[32] << 8 | body[33]);
	} else {
		proxy->is_local = true;
	}
	/* Without a family the rest is not for us to read (2.2). */
	return family == 0 ||
	    v2_tlvs(slice_of(body + addresses, n - addresses), proxy);
}

static int
v2_parse(const uint8_t *p, size_t n, struct proxy *proxy)
{
	size_t len;

	if (n < V2_HEADER)
		return 0;
	len = (size_t)p[14] << 8 | p[15];
	if (p[12] != 0x20 && p[12] != 0x21)
		return -1;
	if (len > PROXY_V2_MAX - V2_HEADER)
		return -1;
	if (n - V2_HEADER < len)
		return 0;
	if (p[12] == 0x20)
		proxy->is_local = true;
	else if (!v2_address(p, len, proxy))
		return -1;
	return (int)(V2_HEADER + len);
}

int
proxy_parse(const uint8_t *p, size_t n, struct proxy *proxy)
{
	size_t head = n < sizeof(v2_signature) ? n : sizeof(v2_signature);

	*proxy = (struct proxy){.common_name = SLICE_NULL, .alpn = SLICE_NULL};
	if (n == 0)
		return 0;
	if (memcmp(p, v2_signature, head) == 0)
		return head < sizeof(v2_signature) ? 0 : v2_parse(p, n, proxy);
	head = n < 6 ? n : 6;
	if (memcmp(p, "PROXY ", head) != 0)
		return -1;
	return v1_parse(p, n, proxy);
}
