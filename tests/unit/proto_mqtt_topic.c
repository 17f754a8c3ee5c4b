/* links: proto_mqtt */
#include "proto/mqtt/topic.h"
#include "proto/mqtt/utf8.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static bool
utf8(const char *text, size_t n)
{
	uint8_t *p = malloc(n > 0 ? n : 1);
	bool is_good;

	memcpy(p, text, n);
	is_good = mqtt_utf8_check(slice_of(p, n));
	free(p);
	return is_good;
}

#define UTF8(text) utf8(text, sizeof(text) - 1)

Test(utf8, well_formed)
{
	cr_assert(UTF8(""));
	cr_assert(UTF8("a"));
	cr_assert(UTF8("eight by"));
	cr_assert(UTF8("long enough for two words"));
	cr_assert(UTF8("A\xf0\xaa\x9b\x94"), "the example of 1.5.4.1");
	cr_assert(UTF8("\xef\xbb\xbf"), "MQTT-1.5.4-3: not a byte order mark");
	cr_assert(UTF8("\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbd"));
	cr_assert(UTF8("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"));
}

Test(utf8, refused)
{
	cr_assert_not(UTF8("\0"), "MQTT-1.5.4-2");
	cr_assert_not(UTF8("1234567\0"));
	cr_assert_not(UTF8("12345678\0"));
	cr_assert_not(UTF8("\0" "2345678"));
	cr_assert_not(UTF8("\xed\xa0\x80"), "MQTT-1.5.4-1: D800");
	cr_assert_not(UTF8("\xed\xbf\xbf"), "MQTT-1.5.4-1: DFFF");
	cr_assert_not(UTF8("\x80"));
	cr_assert_not(UTF8("\xc0\x80"));
	cr_assert_not(UTF8("\xc1\xbf"));
	cr_assert_not(UTF8("\xe0\x9f\xbf"));
	cr_assert_not(UTF8("\xf0\x8f\xbf\xbf"));
	cr_assert_not(UTF8("\xf4\x90\x80\x80"));
	cr_assert_not(UTF8("\xf5\x80\x80\x80"));
	cr_assert_not(UTF8("\xc3"));
	cr_assert_not(UTF8("\xe2\x82"));
	cr_assert_not(UTF8("\xf0\x9f\x98"));
	cr_assert_not(UTF8("\xc3("));
	cr_assert_not(UTF8("\xe2(\xac"));
	cr_assert_not(UTF8("\xe2\x82("));
	cr_assert_not(UTF8("\xf0(\x8c\xbc"));
	cr_assert_not(UTF8("\xf0\x90(\xbc"));
	cr_assert_not(UTF8("\xf0\x90\x8c("));
}

static enum mqtt_reason
topic(const char *s)
{
	return mqtt_topic_check(slice_str(s));
}

Test(topic, names)
{
	cr_assert_eq(topic("a"), MQTT_SUCCESS);
	cr_assert_eq(topic("/"), MQTT_SUCCESS);
	cr_assert_eq(topic("Accounts payable"), MQTT_SUCCESS);
	cr_assert_eq(topic("$SYS/x"), MQTT_SUCCESS);
	cr_assert_eq(topic(""), MQTT_TOPIC_NAME_INVALID);
	cr_assert_eq(topic("a/+"), MQTT_TOPIC_NAME_INVALID);
	cr_assert_eq(topic("#"), MQTT_TOPIC_NAME_INVALID);
	cr_assert_eq(topic("a\xff"), MQTT_MALFORMED_PACKET);
}

static enum mqtt_reason
filter(const char *s)
{
	return mqtt_filter_check(slice_str(s));
}

Test(topic, filters)
{
	static const char *const good[] = {"#", "+", "+/#", "a/#", "a/+/b",
	    "/", "//", "+/+", "/+", "a b", "$SYS/#", "$share/g/a",
	    "$share/g/#", "$share/g//", "$shared", "$share"};
	static const char *const bad[] = {"", "a#", "a/#/b", "#/", "+a", "a+",
	    "a/b+/c", "##", "++", "$share/", "$share/g", "$share//a",
	    "$share/g/", "$share/+/a", "$share/#/a", "$share/g+/a",
	    "$share/g/a#"};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert_eq(filter(good[i]), MQTT_SUCCESS, "%s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(filter(bad[i]), MQTT_TOPIC_FILTER_INVALID, "%s",
		    bad[i]);
	cr_assert_eq(filter("\xc0"), MQTT_MALFORMED_PACKET);
}

Test(topic, share)
{
	struct slice f = SLICE_LIT("$share/group/a/+"), group;

	cr_assert(mqtt_filter_share(&f, &group));
	cr_assert(slice_is(f, "a/+"));
	cr_assert(slice_is(group, "group"));
	f = SLICE_LIT("share/group/a");
	cr_assert_not(mqtt_filter_share(&f, &group));
}
