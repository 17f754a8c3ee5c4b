/*
 * rows - router.db: its schema, and the rows that a commit writes.
 *
 * The loop gathers rows in a buf as they change; the commit thread binds and
 * runs them in one transaction, after the records of the same commit are
 * durable. router.db is a checkpoint of the logs: partition rows say up to
 * which offset it is true.
 *
 * Architecture, section 3.
 */
#ifndef ROUTER_ROWS_H
#define ROUTER_ROWS_H

#include "base/buf.h"
#include "base/db/db.h"

/* In the data folder. */
#define ROWS_FILE "router.db"

struct log_commit;

enum row_op {
#define ROW(NAME, signature, sql) ROW_##NAME,
#include "router/rows.def"
#undef ROW
	ROW_COUNT,
};

struct row_value {
	uint64_t u;
	struct slice s;
};

/* For ROW_ADD: a number, bytes or text (a null slice is NULL). */
#define RU(x) ((struct row_value){.u = (x)})
#define RS(x) ((struct row_value){.s = (x)})
#define ROW_ADD(b, op, ...) \
	row_add((b), (op), (const struct row_value[]){__VA_ARGS__})

void row_add(struct buf *b, enum row_op op, const struct row_value *values);

struct rows;

/*
 * Opens or makes the database in the current directory. NULL: text then
 * holds a sentence for the user.
 */
struct rows *rows_open(char *text, size_t cap);
void rows_close(struct rows *r);
struct db *rows_db(struct rows *r);

/*
 * On the commit thread: one transaction with the partitions' rows of the
 * commit and what was gathered. 0 or an errno; rows_error says more, until
 * the next call.
 */
int rows_run(struct rows *r, const struct log_commit *commit,
    struct slice gathered);
const char *rows_error(const struct rows *r);

#endif
