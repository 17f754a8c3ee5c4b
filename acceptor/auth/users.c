#include "acceptor/auth/users.h"

#include "acceptor/auth/password.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct users {
	struct user **slots;
	size_t mask, count;
};

struct users *
users_new(void)
{
	struct users *u = mem_zalloc(1, sizeof(*u));

	u->mask = 63;
	u->slots = mem_zalloc(u->mask + 1, sizeof(struct user *));
	return u;
}

static void
user_free(struct user *v)
{
	explicit_bzero(v->hash, strlen(v->hash));
	explicit_bzero(&v->scram, sizeof(v->scram));
	free(v->name);
	free(v->hash);
	free(v);
}

void
users_free(struct users *u)
{
	struct user *v;

	if (u == NULL)
		return;
	for (size_t i = 0; i <= u->mask; i++)
		while ((v = u->slots[i]) != NULL) {
			u->slots[i] = v->next;
			user_free(v);
		}
	free(u->slots);
	free(u);
}

size_t
users_count(const struct users *u)
{
	return u->count;
}

static struct user **
slot_of(const struct users *u, struct slice name)
{
	struct user **at = &u->slots[XXH3_64bits(name.p, name.len) & u->mask];

	while (*at != NULL && !slice_is(name, (*at)->name))
		at = &(*at)->next;
	return at;
}

const struct user *
users_find(const struct users *u, struct slice name)
{
	return *slot_of(u, name);
}

static void
users_grow(struct users *u)
{
	size_t old = u->mask + 1;
	struct user **slots = u->slots, **at, *v;

	u->mask = old * 4 - 1;
	u->slots = mem_zalloc(u->mask + 1, sizeof(struct user *));
	for (size_t i = 0; i < old; i++)
		while ((v = slots[i]) != NULL) {
			slots[i] = v->next;
			at = slot_of(u, slice_str(v->name));
			v->next = NULL;
			*at = v;
		}
	free(slots);
}

void
users_put(struct users *u, struct slice name, struct slice hash,
    const struct scram_secret *scram)
{
	struct user *v = mem_zalloc(1, sizeof(*v));

	users_remove(u, name);
	if (u->count > u->mask)
		users_grow(u);
	v->name = slice_dup(name);
	v->hash = slice_dup(hash);
	if (scram != NULL) {
		v->has_scram = true;
		v->scram = *scram;
	}
	*slot_of(u, name) = v;
	u->count++;
}

bool
users_remove(struct users *u, struct slice name)
{
	struct user **at = slot_of(u, name), *v = *at;

	if (v == NULL)
		return false;
	*at = v->next;
	user_free(v);
	u->count--;
	return true;
}

void
users_each(const struct users *u,
    void (*cb)(const struct user *user, void *arg), void *arg)
{
	const struct user *v;

	for (size_t i = 0; i <= u->mask; i++)
		for (v = u->slots[i]; v != NULL; v = v->next)
			cb(v, arg);
}

/* What is wrong with the line; NULL: nothing. */
static const char *
line_add(struct users *u, struct slice line)
{
	const uint8_t *colon = memchr(line.p, ':', line.len);
	struct slice name, hash;
	const char *why;
	char *text;

	if (colon == NULL)
		return "expected NAME:HASH";
	name = slice_of(line.p, (size_t)(colon - line.p));
	hash = slice_of(colon + 1, line.len - name.len - 1);
	if (name.len == 0 || memchr(line.p, '\0', line.len) != NULL ||
	    !utf8_check(name))
		return "not a name";
	if (users_find(u, name) != NULL)
		return "the name has a line already";
	text = slice_dup(hash);
	why = password_hash_check(text);
	explicit_bzero(text, hash.len);
	free(text);
	if (why == NULL)
		users_put(u, name, hash, NULL);
	return why;
}

struct users *
users_parse(struct slice text, char *why, size_t cap)
{
	struct users *u = users_new();
	const char *fault;
	struct slice line;
	const uint8_t *end;
	unsigned number = 0;

	while (text.len > 0) {
		end = memchr(text.p, '\n', text.len);
		line = slice_of(text.p, end == NULL ? text.len :
		    (size_t)(end - text.p));
		text = slice_of(text.p + line.len + (end != NULL),
		    text.len - line.len - (end != NULL));
		number++;
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		if (line.len == 0 || line.p[0] == '#')
			continue;
		fault = line_add(u, line);
		if (fault == NULL)
			continue;
		snprintf(why, cap, "line %u: %s", number, fault);
		users_free(u);
		return NULL;
	}
	return u;
}
