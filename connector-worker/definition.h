/*
 * definition - what a connector is to do, checked whole: the common part
 * (base/options.def, connectors.*) and the type's `config`.
 *
 * Connectors, section 1.
 */
#ifndef CONNECTOR_WORKER_DEFINITION_H
#define CONNECTOR_WORKER_DEFINITION_H

#include "connector-worker/options.h"

enum strategy {
	STRATEGY_DISCARD,
	STRATEGY_DISCARD_AFTER_RETRY,
	STRATEGY_DEAD_MESSAGE_QUEUE,
};

struct definition {
	char *name;
	uint32_t max_records;
	size_t max_bytes;
	uint32_t linger_ms;
	uint32_t in_flight;
	unsigned order;			/* one SINK_ORDER_ bit */
	uint64_t rate_limit;
	enum strategy strategy;
	uint32_t retry_total_times;
	uint32_t wait_time_ms;
	uint32_t max_wait_ms;
	char *dead_topic;		/* NULL: none */
	size_t topic_count;
	char **topics;			/* none: the whole stream */
	struct sink_options *options;
	bool is_exact;			/* effectively once */
};

/*
 * Reads a definition as JSON (or YAML) and adds every fault. What it
 * returns is whole only if no fault was added; never NULL.
 */
struct definition *definition_read(const struct sink_type *type,
    struct slice text, struct faults *faults);
void definition_free(struct definition *d);

#endif
