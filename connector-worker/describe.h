/*
 * describe - the answers that need no broker: --describe, --check, --test.
 *
 * Connectors, section 4.
 */
#ifndef CONNECTOR_WORKER_DESCRIBE_H
#define CONNECTOR_WORKER_DESCRIBE_H

#include "connector-worker/sink.h"

/* The type and its options as JSON; the caller puts it. */
struct json_object *describe_type(const struct sink_type *type);

/* Programs' modes; each returns the exit status. */
int mode_describe(void);
/* A definition on stdin; prints [{"path","message"}], 2 if any. */
int mode_check(void);
/*
 * A definition on stdin; prints {"ok","reason","found":[{"what","value"}]},
 * 2 if the definition is refused, 1 if the target is.
 */
int mode_test(void);

#endif
