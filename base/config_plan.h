/*
 * config_plan - what a reload changes: two configurations compared.
 *
 * Connectors and streams change while the tree runs, `log`, `auth` and
 * `listeners` too; the rest waits for the next start and is said so. A stream
 * that left the file is
 * no longer written to by the file's will, but its log is kept: only
 * `stream delete` deletes.
 */
#ifndef BASE_CONFIG_PLAN_H
#define BASE_CONFIG_PLAN_H

#include "base/config.h"

enum plan_action {
	PLAN_CREATE,
	PLAN_UPDATE,
	PLAN_DELETE,
	PLAN_KEEP,
	PLAN_RESTART,
};
enum plan_what {
	PLAN_STREAM,
	PLAN_CONNECTOR,
	PLAN_LOG,
	PLAN_SECTION,
	PLAN_LISTENERS,
	PLAN_AUTH,
};

struct plan_item {
	enum plan_action action;
	enum plan_what what;
	char *name;
	char *detail;	/* "config.port, batch"; "" for whole things */
};

struct plan {
	struct plan_item *v;
	size_t n;
};

/*
 * Both resolved. Adds a fault for what a running tree cannot do at all (a
 * stream with fewer partitions).
 */
void plan_make(struct plan *, struct json_object *from,
    struct json_object *to, struct faults *);
void plan_fini(struct plan *);
bool plan_is_empty(const struct plan *);
/* A line per item: "create connector to-file". */
void plan_print(const struct plan *, struct buf *);
/* [{"action","what","name","detail"}]; the caller puts it. */
struct json_object *plan_json(const struct plan *);

#endif
