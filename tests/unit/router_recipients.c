/* links: router_room */
#include "router/recipients.h"

#include <criterion/criterion.h>

Test(router_recipients, come_back_as_they_were_put)
{
	const uint32_t ids[] = {1, 268435455};
	struct buf b = {0}, out = {0}, copy = {0};
	struct recipient r;
	struct slice s;

	recipients_add(&b, 7, 300, 2, ids, 2);
	recipients_add(&b, UINT64_MAX, 1, 5, NULL, 0);
	s = buf_slice(&b);
	cr_assert_eq(recipients_next(&s, &r), 1);
	cr_assert(r.session == 7 && r.seq == 300 && r.flags == 2);
	cr_assert(recipient_ids(&r, &out));
	cr_assert(slice_eq(buf_slice(&out),
	    SLICE_LIT("\0\0\0\1\x0f\xff\xff\xff")));
	recipients_copy(&copy, &r);
	cr_assert_eq(recipients_next(&s, &r), 1);
	cr_assert(r.session == UINT64_MAX && r.ids_len == 0);
	recipients_copy(&copy, &r);
	cr_assert_eq(recipients_next(&s, &r), 0);
	cr_assert(slice_eq(buf_slice(&b), buf_slice(&copy)));
	cr_assert(recipients_find(buf_slice(&b), UINT64_MAX, 1, &r));
	cr_assert_not(recipients_find(buf_slice(&b), 7, 1, &r));
	buf_fini(&b);
	buf_fini(&out);
	buf_fini(&copy);
}

Test(router_recipients, every_truncation_is_malformed)
{
	const uint32_t ids[] = {1, 268435455};
	struct buf b = {0};
	struct recipient r;

	recipients_add(&b, 7, 300, 2, ids, 2);
	for (size_t n = 1; n < buf_len(&b); n++) {
		struct slice s = slice_of(buf_data(&b), n);

		cr_assert_eq(recipients_next(&s, &r), -1);
	}
	buf_fini(&b);
}
