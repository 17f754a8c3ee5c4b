/* links: sink_nats worker base */
#include "connector-worker/sinks/nats_text.h"

#include <criterion/criterion.h>

Test(nats_text, subjects)
{
	static const char *const good[] = {"a", "a.b", "a/b.c", "a*.b", ">a",
	    "\xc3\xa9.b", "$JS.x"};
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "a b",
	    "a\r\nPUB x", "*", "a.*", "a.>", ">.b", "a\tb", "a\x7f"};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		cr_assert(nats_subject_is_valid(slice_str(good[i])), "%s",
		    good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_not(nats_subject_is_valid(slice_str(bad[i])), "%s",
		    bad[i]);
	cr_assert_not(nats_subject_is_valid(slice_of("a\0b", 3)));
}

Test(nats_text, headers)
{
	cr_assert(nats_header_is_valid(SLICE_LIT("A-b"), SLICE_LIT("c d")));
	cr_assert(nats_header_is_valid(SLICE_LIT("A"), SLICE_EMPTY));
	cr_assert_not(nats_header_is_valid(SLICE_EMPTY, SLICE_LIT("v")));
	cr_assert_not(nats_header_is_valid(SLICE_LIT("a:"), SLICE_LIT("v")));
	cr_assert_not(nats_header_is_valid(SLICE_LIT("a b"), SLICE_LIT("v")));
	cr_assert_not(
	    nats_header_is_valid(SLICE_LIT("a"), SLICE_LIT("v\r\nX: y")));
	cr_assert_not(
	    nats_header_is_valid(SLICE_LIT("a"), slice_of("v\0w", 3)));
}

Test(nats_text, urls)
{
	static const char *const bad[] = {"", "nats://", "nats://:1", "h:1",
	    "http://h", "nats://u@h", "nats://u:p@h:1", "nats://h/x",
	    "nats://h h", "nats://[::1", "nats://[]:1"};
	struct slice host;

	cr_assert(nats_url_host(slice_str("nats://h:4222"), &host));
	cr_assert(slice_is(host, "h"));
	cr_assert(nats_url_host(slice_str("TLS://[::1]:1"), &host));
	cr_assert(slice_is(host, "::1"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_not(nats_url_host(slice_str(bad[i]), &host), "%s",
		    bad[i]);
}

Test(nats_text, outcomes)
{
	cr_assert_eq(nats_ack_outcome(NATS_ERR, 10054, "x"), SINK_REFUSED);
	cr_assert_eq(nats_ack_outcome(NATS_ERR, 10076, "x"), SINK_UNAVAILABLE);
	cr_assert_eq(nats_ack_outcome(NATS_ERR, 10077,
			 "maximum messages exceeded"), SINK_UNAVAILABLE);
	cr_assert_eq(nats_ack_outcome(NATS_ERR, 10077,
			 "maximum messages per subject exceeded"),
	    SINK_RETRYABLE);
	cr_assert_eq(nats_ack_outcome(NATS_ERR, 10077, NULL),
	    SINK_UNAVAILABLE);
	cr_assert_eq(nats_ack_outcome(NATS_NO_RESPONDERS, 0, NULL),
	    SINK_UNSURE);
	cr_assert_eq(nats_ack_outcome(NATS_ERR, 1, "?"), SINK_RETRYABLE);
	cr_assert_eq(nats_publish_outcome(NATS_MAX_PAYLOAD), SINK_REFUSED);
	cr_assert_eq(nats_publish_outcome(NATS_CONNECTION_CLOSED),
	    SINK_UNAVAILABLE);
}
