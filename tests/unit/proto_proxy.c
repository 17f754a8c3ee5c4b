/* links: proto_proxy base */
#include "proto/proxy/proxy.h"

#include <criterion/criterion.h>

#define SIG "\r\n\r\n\0\r\nQUIT\n"

static int
parse(const char *p, size_t n, struct proxy *out)
{
	return proxy_parse((const uint8_t *)p, n, out);
}

Test(proxy, version_1)
{
	static const char line[] =
	    "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nrest";
	struct proxy p;
	int n = parse(line, sizeof(line) - 1, &p);

	cr_assert_eq(n, (int)sizeof(line) - 5);
	cr_assert_eq(p.family, 4);
	cr_assert_arr_eq(p.address, "\xc0\xa8\x00\x01", 4);
	cr_assert_eq(p.port, 56324);
	for (size_t cut = 0; cut < (size_t)n; cut++)
		cr_assert_eq(parse(line, cut, &p), 0, "cut %zu", cut);
}

Test(proxy, version_1_ipv6_and_unknown)
{
	struct proxy p;

	cr_assert_gt(parse("PROXY TCP6 ::1 ::2 1 65535\r\n", 28, &p), 0);
	cr_assert_eq(p.family, 6);
	cr_assert_eq(p.address[15], 1);
	cr_assert_eq(parse("PROXY UNKNOWN\r\n", 15, &p), 15);
	cr_assert(p.is_local);
}

Test(proxy, version_1_malformed)
{
	static const char *const bad[] = {"PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
	    "PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n",
	    "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
	    "PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n",
	    "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
	    "PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
	    "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", "GET / HTTP/1.1\r\n",
	    "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\rx"};
	struct proxy p;
	char endless[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_eq(parse(bad[i], strlen(bad[i]), &p), -1, "%s", bad[i]);
	memset(endless, 'A', sizeof(endless));
	memcpy(endless, "PROXY TCP4 ", 11);
	cr_assert_eq(parse(endless, sizeof(endless), &p), -1);
}

Test(proxy, version_2_with_tls)
{
	static const char head[] = SIG "\x21\x11\0\x1d"
	    "\x0a\0\0\1\x0a\0\0\2\x01\x02\x07\x5b"
	    "\x20\0\x0e\x07\0\0\0\0\x22\0\6device";
	size_t len = sizeof(head) - 1;
	struct proxy p;

	cr_assert_eq(parse(head, len, &p), (int)len);
	cr_assert_eq(p.family, 4);
	cr_assert_eq(p.port, 0x0102);
	cr_assert(p.has_tls && p.is_verified);
	cr_assert(slice_is(p.common_name, "device"));
	for (size_t cut = 1; cut < len; cut++)
		cr_assert_eq(parse(head, cut, &p), 0, "cut %zu", cut);
}

Test(proxy, version_2_local_and_malformed)
{
	struct proxy p;

	cr_assert_eq(parse(SIG "\x20\0\0\0", 16, &p), 16);
	cr_assert(p.is_local);
	cr_assert_eq(parse(SIG "\x31\x11\0\0", 16, &p), -1);
	cr_assert_eq(parse(SIG "\x21\x11\0\4abcd", 20, &p), -1);
	cr_assert_eq(parse(SIG "\x21\x11\xff\xff", 16, &p), -1);
	/* a TLV that claims more than there is */
	cr_assert_eq(parse(SIG "\x21\x11\0\x0f"
		"aaaabbbbccdd\1\0\1", 31, &p), -1);
}
