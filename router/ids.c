#include "router/ids.h"

#include "router/commit.h"
#include "router/rows.h"

#define IDS_STEP (UINT64_C(1) << 20)

static struct {
	uint64_t next, end;
} ids;

static void
ids_reserve(struct buf *rows)
{
	ids.end += IDS_STEP;
	ROW_ADD(rows, ROW_META, RS(SLICE_LIT(IDS_META)), RU(ids.end));
}

void
ids_init(uint64_t end, struct buf *rows)
{
	ids.next = end + 1;
	ids.end = end + 1;
	ids_reserve(rows);
}

uint64_t
ids_take(void)
{
	/* Half a step ahead: the row is long committed when it counts. */
	if (ids.end - ids.next < IDS_STEP / 2)
		ids_reserve(commit_rows());
	return ids.next++;
}
