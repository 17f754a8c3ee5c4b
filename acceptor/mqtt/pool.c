#include "acceptor/mqtt/pool.h"

#include "base/mem.h"

#include <stdlib.h>

#define KEPT_MAX 256
#define SIZE_KEPT (64u << 10)	/* memory of a kept one, at most */

static struct {
	struct buf *kept[KEPT_MAX];
	size_t count;
} pool;

struct buf *
pool_take(void)
{
	struct buf *b;

	if (pool.count > 0)
		return pool.kept[--pool.count];
	b = mem_alloc(sizeof(*b));
	buf_init(b);
	return b;
}

void
pool_put(struct buf **b)
{
	struct buf *own = *b;

	*b = NULL;
	if (own == NULL)
		return;
	if (pool.count == KEPT_MAX || own->cap > SIZE_KEPT) {
		buf_fini(own);
		free(own);
		return;
	}
	buf_clear(own);
	pool.kept[pool.count++] = own;
}
