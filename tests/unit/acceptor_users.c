/* links: acceptor_auth base */
#include "acceptor/auth/cache.h"
#include "acceptor/auth/password.h"
#include "acceptor/auth/users.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static char why[128];

static struct users *
parse(const char *text)
{
	why[0] = '\0';
	return users_parse(slice_str(text), why, sizeof(why));
}

static char *
hash_of(const char *password)
{
	static const uint8_t salt[16] = {7};
	struct buf b = {0};
	char *text;

	cr_assert(password_hash(slice_str(password), salt, &b));
	text = slice_dup(buf_slice(&b));
	buf_fini(&b);
	return text;
}

Test(password, argon2)
{
	char *h = hash_of("secret");

	cr_assert_null(password_hash_check(h));
	cr_assert(password_verify(h, SLICE_LIT("secret")));
	cr_assert_not(password_verify(h, SLICE_LIT("secret ")));
	cr_assert_not(password_verify(h, SLICE_LIT("")));
	h[strlen(h) - 1] ^= 1;
	cr_assert_not(password_verify(h, SLICE_LIT("secret")));
	free(h);
}

/* PBKDF2 with SHA-512, 1 pass, of "password" and "salt". */
Test(password, mosquitto)
{
	static const char h[] = "$7$1$c2FsdA==$hn9wzxreAs/zdSWZo6U9xK80x6ZpgVrl1RNV"
	    "ThyM8lLALUcKKFoFAbrZmb/pQ8CPBQI119aLHaVeY/c7YKV/zg==";

	cr_assert_null(password_hash_check(h));
	cr_assert(password_verify(h, SLICE_LIT("password")));
	cr_assert_not(password_verify(h, SLICE_LIT("passwort")));
}

Test(password, absurd)
{
	static const char *const bad[] = {"", "plain", "$argon2i$v=19$m=8,t=1,"
	    "p=1$c2FsdHNhbHQ$AAAA", "$argon2id$v=19$m=99999999,t=1,p=1$c2Fs$AA",
	    "$argon2id$v=19$m=4096,t=1000,p=1$c2FsdHNhbHQ$AAAA",
	    "$argon2id$v=19$m=4096,t=1,p=99$c2FsdHNhbHQ$AAAA",
	    "$argon2id$v=19$m=4096,t=1,p=1$", "$7$$a$b", "$7$0$AAAA$AAAA",
	    "$7$99999999999999999999$AAAA$AAAA", "$7$101$AAAA", "$7$101$$",
	    "$7$101$AAA$AAAA", "$6$abc$def"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_not_null(password_hash_check(bad[i]), "%s", bad[i]);
		cr_expect_not(password_verify(bad[i], SLICE_LIT("x")), "%s",
		    bad[i]);
	}
}

Test(users, file)
{
	struct users *u = parse("# who\n\n"
	    "ann:$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHQ$AAAA\r\n"
	    "b b:$7$101$AAAA$AAAA");

	cr_assert_not_null(u, "%s", why);
	cr_assert_eq(users_count(u), 2);
	cr_assert_str_eq(users_find(u, SLICE_LIT("b b"))->hash,
	    "$7$101$AAAA$AAAA");
	cr_assert_null(users_find(u, SLICE_LIT("b")));
	cr_assert(users_remove(u, SLICE_LIT("ann")));
	cr_assert_not(users_remove(u, SLICE_LIT("ann")));
	cr_assert_eq(users_count(u), 1);
	users_free(u);
}

Test(users, faults)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
	    {"ann", "line 1: expected NAME:HASH"},
	    {"\n:$7$101$AAAA$AAAA", "line 2: not a name"},
	    {"\xff:$7$101$AAAA$AAAA", "line 1: not a name"},
	    {"a:$7$101$AAAA$AAAA\na:$7$101$AAAA$AAAA",
		"line 2: the name has a line already"},
	    {"a:hunter2", "line 1: neither an argon2id hash nor one of "
			  "mosquitto_passwd ($7$)"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_null(parse(cases[i].text));
		cr_expect_str_eq(why, cases[i].why);
	}
}

Test(users, many)
{
	struct users *u = users_new();
	char name[16];

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		users_put(u, slice_str(name), slice_str(name), NULL);
	}
	users_put(u, SLICE_LIT("u7"), SLICE_LIT("other"), NULL);
	cr_assert_eq(users_count(u), 5000);
	cr_assert_str_eq(users_find(u, SLICE_LIT("u7"))->hash, "other");
	cr_assert_str_eq(users_find(u, SLICE_LIT("u4999"))->hash, "u4999");
	users_free(u);
}

Test(cache, remembers)
{
	static const uint8_t key[32] = {1}, other[32] = {2};
	struct cache *c = cache_new(key), *d = cache_new(other);
	uint8_t a[CACHE_DIGEST_LEN], b[CACHE_DIGEST_LEN];

	cr_assert(cache_digest(c, SLICE_LIT("u"), SLICE_LIT("h"),
	    SLICE_LIT("p"), a));
	cr_assert_not(cache_has(c, a, 0));
	cache_put(c, a, 100);
	cr_assert(cache_has(c, a, 99));
	cr_assert_not(cache_has(c, a, 100));
	/* What stands where makes a difference, and so does the key. */
	cache_digest(c, SLICE_LIT("uh"), SLICE_LIT(""), SLICE_LIT("p"), b);
	cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
	cache_digest(c, SLICE_LIT("u"), SLICE_LIT("h2"), SLICE_LIT("p"), b);
	cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
	cr_assert_not(cache_has(c, b, 0));
	cache_digest(d, SLICE_LIT("u"), SLICE_LIT("h"), SLICE_LIT("p"), b);
	cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
	cache_free(c);
	cache_free(d);
}
