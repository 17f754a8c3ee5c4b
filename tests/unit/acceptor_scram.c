/* links: acceptor_auth base */
#include "acceptor/auth/scram.h"

#include <criterion/criterion.h>

static const uint8_t salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
    0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
#define FINAL                                                                  \
	"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"         \
	"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static struct scram s;
static struct buf out;

/* The exchange of RFC 7677, section 3. */
static void
end(void)
{
	scram_fini(&s);
	buf_fini(&out);
}

static void
begin(void)
{
	struct scram_secret secret;

	scram_init(&s);
	cr_assert(scram_secret_make(&secret, slice_str("pencil"),
	    slice_of(salt, sizeof(salt)), 4096));
	cr_assert(scram_client_first(
	    &s, slice_str("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")));
	cr_assert(slice_is(buf_slice(&s.username), "user"));
	scram_server_first(&s, &secret,
	    slice_str("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"), &out);
	cr_assert_str_eq(buf_cstr(&out),
	    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
	buf_clear(&out);
}

Test(scram, the_exchange_of_the_rfc, .init = begin, .fini = end)
{
	cr_assert(scram_client_final(&s, slice_str(FINAL), &out));
	cr_assert_str_eq(buf_cstr(&out),
	    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

Test(scram, every_changed_byte_is_refused, .init = begin, .fini = end)
{
	char text[] = FINAL;

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		text[i] ^= 1;
		cr_assert_not(scram_client_final(&s, slice_str(text), &out),
		    "byte %zu", i);
		text[i] ^= 1;
		cr_assert_not(scram_client_final(
		    &s, slice_of(text, i), &out), "cut at %zu", i);
	}
	cr_assert_eq(buf_len(&out), 0);
}

Test(scram, first_messages_that_are_refused)
{
	static const char *const bad[] = {"", "n,", "p=tls-unique,,n=u,r=x",
	    "n,a=admin,n=u,r=x", "n,,n=,r=x", "n,,n=u", "n,,n=u,r=",
	    "n,,n=a=2X,r=x", "n,,r=x,n=u", "x,,n=u,r=x"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		scram_init(&s);
		cr_assert_not(
		    scram_client_first(&s, slice_str(bad[i])), "%s", bad[i]);
		scram_fini(&s);
	}
	scram_init(&s);
	cr_assert(scram_client_first(&s, slice_str("y,,n=a=2Cb=3D,r=x")));
	cr_assert(slice_is(buf_slice(&s.username), "a,b="));
	scram_fini(&s);
}
