#include "acceptor/mqtt/pool.h"

#include "base/mem.h"

#include <stdlib.h>

#define KEPT_MAX 256
#define SIZE_KEPT (64u << 10)	/* memory of a kept one, at most */

static struct {
	struct buf *kept[KEPT_MAX];
	size_t count;
	size_t low;	/* the least that were kept since the last trim */
} pool;

struct buf *
pool_take(void)
{
	struct buf *b;

	if (pool.count > 0) {
		b = pool.kept[--pool.count];
		if (pool.count < pool.low)
			pool.low = pool.count;
		return b;
	}
	b = mem_alloc(sizeof(*b));
	buf_init(b);
	return b;
}

static void
free_one(struct buf *b)
{
	buf_fini(b);
	free(b);
}

void
pool_put(struct buf **b)
{
	struct buf *own = *b;

	*b = NULL;
	if (own == NULL)
		return;
	if (pool.count == KEPT_MAX || own->cap > SIZE_KEPT) {
		free_one(own);
		return;
	}
	buf_clear(own);
	pool.kept[pool.count++] = own;
}

void
pool_trim(void)
{
	/* Those at the bottom were not touched. */
	for (size_t i = 0; i < pool.low; i++)
		free_one(pool.kept[i]);
	memmove(pool.kept, pool.kept + pool.low,
	    (pool.count - pool.low) * sizeof(pool.kept[0]));
	pool.count -= pool.low;
	pool.low = pool.count;
}
