#include "connector-worker/definition.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/topic.h"
#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * A definition that was checked before has its times as numbers of
 * milliseconds; for the schema they are written as people do.
 */
static void
durations_write(struct json_object *object, const struct sink_type *type,
    const char *base)
{
	struct schema schema = {type->options, type->option_count};
	const struct option *o;
	struct json_object *v;
	char text[32];
	size_t at = 0;

	while ((o = schema_child(&schema, base, &at)) != NULL) {
		v = json_member(object, option_name(o));
		if (o->kind == OPTION_OBJECT && v != NULL)
			durations_write(v, type, o->path);
		if (o->kind != OPTION_DURATION ||
		    !json_object_is_type(v, json_type_int))
			continue;
		duration_format(json_object_get_int64(v), text, sizeof(text));
		json_object_object_add(object, option_name(o),
		    json_object_new_string(text));
	}
}

/*
 * The supervisor has resolved what was to be resolved: what looks like a
 * reference now is a text like any other.
 */
static const char *
reference_env(const char *name)
{
	static char text[512];

	snprintf(text, sizeof(text), "${env:%s}", name);
	return text;
}

static char *
reference_file(const char *path, const char **why)
{
	(void)why;
	return mem_printf("${file:%s}", path);
}

static const struct secret_source as_written = {reference_env,
    reference_file};

static struct doc_node *
definition_parse(const struct sink_type *type, struct slice text,
    struct faults *faults)
{
	struct json_object *json = json_parse(text);
	struct doc_node *doc;

	if (json == NULL)
		return yaml_doc_parse(text, faults);
	durations_write(json_member(json, "config"), type, "");
	doc = yaml_doc_parse(json_text(json), faults);
	json_object_put(json);
	faults_drop_places(faults);
	return doc;
}

static void
definition_topics(struct definition *d, struct json_object *common,
    struct faults *faults)
{
	struct json_object *list = json_member(common, "topics");
	const char *topic, *fault;
	char path[32];
	size_t i;

	if (list == NULL)
		return;
	d->topic_count = json_object_array_length(list);
	d->topics = mem_zalloc(d->topic_count + 1, sizeof(*d->topics));
	for (i = 0; i < d->topic_count; i++) {
		topic = json_object_get_string(
		    json_object_array_get_idx(list, i));
		d->topics[i] = mem_strdup(topic);
		fault = filter_check(slice_str(topic));
		if (fault == NULL)
			continue;
		snprintf(path, sizeof(path), "topics[%zu]", i);
		fault_add(faults, (struct doc_place){0, 0}, path,
		    "the filter %s", fault);
	}
}

static unsigned
order_parse(const char *name)
{
	if (strcmp(name, "none") == 0)
		return SINK_ORDER_NONE;
	return strcmp(name, "partition") == 0 ? SINK_ORDER_PARTITION :
	    SINK_ORDER_KEY;
}

static enum strategy
strategy_parse(const char *name)
{
	if (strcmp(name, "discard") == 0)
		return STRATEGY_DISCARD;
	return strcmp(name, "discard_after_retry") == 0 ?
	    STRATEGY_DISCARD_AFTER_RETRY : STRATEGY_DEAD_MESSAGE_QUEUE;
}

static void
definition_common(struct definition *d, const struct sink_type *type,
    struct json_object *common, struct faults *faults)
{
	struct json_object *batch = json_member(common, "batch");
	struct json_object *failure = json_member(common, "failure_strategy");
	const char *topic = json_get_str(failure, "topic_name", "");
	const char *order = json_get_str(common, "order", "key");

	d->name = mem_strdup(json_get_str(common, "name", ""));
	d->max_records = (uint32_t)json_get_u64(batch, "max_records", 500);
	d->max_bytes = json_get_u64(batch, "max_bytes", 1 << 20);
	d->linger_ms = (uint32_t)json_get_u64(batch, "linger_ms", 20);
	d->in_flight = (uint32_t)json_get_u64(common, "in_flight", 1);
	d->rate_limit = json_get_u64(common, "rate_limit", 0);
	d->order = order_parse(order);
	d->strategy = strategy_parse(
	    json_get_str(failure, "strategy", "dead_message_queue"));
	d->retry_total_times = (uint32_t)json_get_u64(failure,
	    "retry_total_times", 3);
	d->wait_time_ms = (uint32_t)json_get_u64(failure, "wait_time_ms",
	    1000);
	d->max_wait_ms = (uint32_t)json_get_u64(failure, "max_wait_ms",
	    60000);
	if (topic[0] != '\0')
		d->dead_topic = mem_strdup(topic);
	if ((type->caps.orders & d->order) == 0)
		fault_add(faults, (struct doc_place){0, 0}, "order",
		    "`%s` cannot be kept by the type %s", order, type->name);
	if (d->dead_topic != NULL && topic_check(slice_str(topic)) != NULL)
		fault_add(faults, (struct doc_place){0, 0},
		    "failure_strategy.topic_name", "the topic %s",
		    topic_check(slice_str(topic)));
	if (d->dead_topic != NULL &&
	    d->strategy != STRATEGY_DEAD_MESSAGE_QUEUE)
		fault_add(faults, (struct doc_place){0, 0},
		    "failure_strategy.topic_name",
		    "needs the strategy dead_message_queue");
}

/* What the type itself can take at once. */
static void
definition_cap(struct definition *d, const struct sink_caps *caps)
{
	if (caps->in_flight_max != 0 && d->in_flight > caps->in_flight_max)
		d->in_flight = caps->in_flight_max;
	if (caps->records_max != 0 && d->max_records > caps->records_max)
		d->max_records = caps->records_max;
	if (caps->bytes_max != 0 && d->max_bytes > caps->bytes_max)
		d->max_bytes = caps->bytes_max;
	/* A batch is at most a fifth of a second of the rate. */
	if (d->rate_limit != 0 && d->max_records > d->rate_limit / 5)
		d->max_records = d->rate_limit < 5 ? 1 :
		    (uint32_t)(d->rate_limit / 5);
}

struct definition *
definition_read(const struct sink_type *type, struct slice text,
    struct faults *faults)
{
	struct schema own = {type->options, type->option_count};
	struct definition *d = mem_zalloc(1, sizeof(*d));
	struct doc_node *doc = definition_parse(type, text, faults);
	const struct doc_node *inner = doc_find(doc, "config");
	struct json_object *common, *config;
	size_t before;

	common = schema_check(schema_broker(), "connectors.*", "", doc,
	    &as_written, faults);
	definition_topics(d, common, faults);
	definition_common(d, type, common, faults);
	definition_cap(d, &type->caps);
	before = faults->total;
	config = schema_check(&own, "", "config", inner, &as_written,
	    faults);
	d->options = options_new(type, config, inner, "config", faults);
	/* The type looks at whole options only. */
	if (faults->total == before && type->validate != NULL)
		type->validate(d->options, faults);
	if (faults->total == 0)
		d->is_exact = type->caps.effectively_once &&
		    (type->is_exact == NULL || type->is_exact(d->options));
	options_forget_reads(d->options);
	json_object_put(common);
	json_object_put(config);
	yaml_doc_free(doc);
	return d;
}

void
definition_free(struct definition *d)
{
	size_t i;

	if (d == NULL)
		return;
	for (i = 0; i < d->topic_count; i++)
		free(d->topics[i]);
	free(d->topics);
	free(d->dead_topic);
	free(d->name);
	options_free(d->options);
	free(d);
}
