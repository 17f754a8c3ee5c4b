/* links: acceptor_mqtt */
#include "acceptor/mqtt/translate.h"
#include "base/props.h"
#include "tests/unit/mqtt_hex.h"

#define ALL "01 01 03 0004'text' 08 0001'r' 09 0002 00ff 26 0001'k' 0001'v'" \
	" 26 0001'k' 0000"

Test(translate, there_and_back)
{
	struct slice mqtt = hex(ALL), want;
	struct buf packed = {0}, back = {0};
	uint32_t at;

	translate_in(mqtt, &packed);
	cr_assert(translate_out(buf_slice(&packed), false, &back, &at));
	cr_assert_eq(at, MQTT_NOWHERE);
	cr_assert(slice_eq(buf_slice(&back), mqtt));
	buf_clear(&back);
	cr_assert(translate_out(buf_slice(&packed), true, &back, &at));
	want = hex("02 00000000 " ALL);
	cr_assert(slice_eq(buf_slice(&back), want));
	cr_assert_eq(at, 1);
	buf_fini(&packed);
	buf_fini(&back);
	free((void *)mqtt.p);
	free((void *)want.p);
}

Test(translate, what_belongs_to_the_hop_stays)
{
	struct slice mqtt = hex("02 00000009 23 0001 0b 05");
	struct buf packed = {0};

	translate_in(mqtt, &packed);
	cr_assert_eq(buf_len(&packed), 0);
	free((void *)mqtt.p);
}

Test(translate, refused)
{
	static uint8_t large[70000];
	struct buf packed = {0}, back = {0};
	uint32_t at;

	cr_assert_not(translate_out(SLICE_LIT("\7\0\0\0\0"), false, &back,
	    &at));
	cr_assert_not(translate_out(SLICE_LIT("\1\0\0\0\5x"), false, &back,
	    &at));
	props_add(&packed, PROP_FORMAT, SLICE_LIT("\2"));
	cr_assert_not(translate_out(buf_slice(&packed), false, &back, &at));
	buf_clear(&packed);
	props_add(&packed, PROP_CORRELATION, slice_of(large, 65536));
	cr_assert_not(translate_out(buf_slice(&packed), false, &back, &at));
	buf_clear(&packed);
	props_add_header(&packed, SLICE_LIT("k"), slice_of(large, 65536));
	cr_assert_not(translate_out(buf_slice(&packed), false, &back, &at));
	buf_clear(&packed);
	props_add(&packed, PROP_CONTENT_TYPE, slice_of(large, 65535));
	cr_assert(translate_out(buf_slice(&packed), false, &back, &at));
	buf_fini(&packed);
	buf_fini(&back);
}
