#include "connector-worker/sinks/kinesis_aggregate.h"

#include "base/mem.h"

#include <openssl/evp.h>
#include <stdlib.h>

#define GROUP_MAX ((1u << 20) - 4096)
#define GROUPS_MAX 500 /* records of a request */
#define TOTAL_MAX ((5u << 20) - (1u << 19))

void
aggregate_clear(struct aggregate *a)
{
	for (size_t i = 0; i < a->groups_len; i++) {
		buf_fini(&a->groups[i].key);
		buf_fini(&a->groups[i].records);
	}
	a->groups_len = 0;
	a->places_len = 0;
	a->total = 0;
}

void
aggregate_fini(struct aggregate *a)
{
	aggregate_clear(a);
	free(a->groups);
	free(a->places);
}

static void
varint_add(struct buf *b, uint64_t v)
{
	for (; v >= 128; v >>= 7)
		buf_add_u8(b, (uint8_t)(v | 128));
	buf_add_u8(b, (uint8_t)v);
}

static size_t
varint_len(uint64_t v)
{
	size_t n = 1;

	for (; v >= 128; v >>= 7)
		n++;
	return n;
}

static void *
grown(void *p, size_t len, size_t *cap, size_t size)
{
	if (len < *cap)
		return p;
	*cap = *cap == 0 ? 64 : *cap * 2;
	return mem_realloc(p, *cap * size);
}

/* The key's group, or one more than there are. */
static size_t
group_find(const struct aggregate *a, struct slice key)
{
	for (size_t i = 0; i < a->groups_len; i++)
		if (slice_eq(buf_slice(&a->groups[i].key), key))
			return i;
	return a->groups_len;
}

static void
group_new(struct aggregate *a, struct slice key)
{
	a->groups =
	    grown(a->groups, a->groups_len, &a->groups_cap, sizeof(*a->groups));
	buf_init(&a->groups[a->groups_len].key);
	buf_init(&a->groups[a->groups_len].records);
	buf_add_slice(&a->groups[a->groups_len++].key, key);
}

static void
record_add(struct buf *b, struct slice data, size_t len)
{
	buf_add_u8(b, 3 << 3 | 2);
	varint_add(b, len);
	buf_add_u8(b, 1 << 3); /* partition_key_index 0 */
	buf_add_u8(b, 0);
	buf_add_u8(b, 3 << 3 | 2);
	varint_add(b, data.len);
	buf_add_slice(b, data);
}

bool
aggregate_add(
    struct aggregate *a, struct slice key, struct slice data, const char **why)
{
	size_t len = 2 + 1 + varint_len(data.len) + data.len;
	size_t i = group_find(a, key);

	*why = NULL;
	if (key.len + len > GROUP_MAX) {
		*why = "data and partition key are longer than 1 MiB";
		return false;
	}
	if (a->total + key.len + len > TOTAL_MAX && a->groups_len > 0)
		return false;
	if (i == GROUPS_MAX ||
	    (i < a->groups_len &&
		buf_len(&a->groups[i].records) + key.len + len > GROUP_MAX))
		return false;
	if (i == a->groups_len)
		group_new(a, key);
	a->total += key.len + len;
	record_add(&a->groups[i].records, data, len);
	a->places =
	    grown(a->places, a->places_len, &a->places_cap, sizeof(*a->places));
	a->places[a->places_len++] = i;
	return true;
}

struct slice
aggregate_put(const struct aggregate *a, size_t i, struct buf *out)
{
	const struct aggregate_group *g = &a->groups[i];
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	size_t at;

	buf_add(out, "\xf3\x89\x9a\xc2", 4);
	at = out->len;
	buf_add_u8(out, 1 << 3 | 2);
	varint_add(out, buf_len(&g->key));
	buf_add_slice(out, buf_slice(&g->key));
	buf_add_slice(out, buf_slice(&g->records));
	EVP_Digest(out->p + at, out->len - at, digest, &n, EVP_md5(), NULL);
	buf_add(out, digest, n);
	return buf_slice(&g->key);
}

size_t *
aggregate_take_places(struct aggregate *a)
{
	size_t *places = a->places;

	a->places = NULL;
	a->places_len = a->places_cap = 0;
	return places;
}
