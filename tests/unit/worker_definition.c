/* links: sink_file */
#include "connector-worker/definition.h"
#include "connector-worker/describe.h"
#include "base/config_types.h"
#include "base/json.h"

#include <criterion/criterion.h>

static struct definition *
read_good(const char *text)
{
	struct faults faults;
	struct definition *d;

	faults_init(&faults);
	d = definition_read(&sink_type, slice_str(text), &faults);
	cr_assert_eq(faults.total, 0, "%s: %s", faults.v[0].path,
	    faults.v[0].message);
	return d;
}

Test(definition, defaults)
{
	struct definition *d = read_good(
	    "{\"type\":\"file\",\"config\":{\"path\":\"/tmp/x\"}}");

	cr_assert_eq(d->max_records, 500);
	cr_assert_eq(d->max_bytes, 1 << 20);
	cr_assert_eq(d->linger_ms, 20);
	cr_assert_eq(d->in_flight, 1);
	cr_assert_eq(d->order, SINK_ORDER_KEY);
	cr_assert_eq(d->strategy, STRATEGY_DEAD_MESSAGE_QUEUE);
	cr_assert_eq(d->retry_total_times, 3);
	cr_assert_eq(d->wait_time_ms, 1000);
	cr_assert_eq(d->max_wait_ms, 60000);
	cr_assert_null(d->dead_topic);
	cr_assert(d->is_exact);
	cr_assert_eq(opt_int(d->options, "max_size"), 1 << 30);
	cr_assert_eq(opt_choice(d->options, "format"), 0);
	cr_assert_not(opt_is_set(d->options, "path") &&
	    opt_template(d->options, "path") == NULL);
	definition_free(d);
}

Test(definition, everything_said)
{
	struct definition *d = read_good("{\"type\":\"file\",\"topics\":"
	    "[\"a/+\",\"b/#\"],\"batch\":{\"max_records\":7,\"max_bytes\":"
	    "\"2KiB\",\"linger_ms\":5},\"in_flight\":9,\"order\":"
	    "\"partition\",\"rate_limit\":20,\"failure_strategy\":{"
	    "\"strategy\":\"dead_message_queue\",\"retry_total_times\":1,"
	    "\"wait_time_ms\":2,\"max_wait_ms\":3,\"topic_name\":\"d/l\"},"
	    "\"config\":{\"path\":\"/tmp/x\",\"max_size\":2097152,"
	    "\"fsync\":\"none\"}}");

	cr_assert_eq(d->topic_count, 2);
	cr_assert_str_eq(d->topics[1], "b/#");
	/* A fifth of a second of the rate. */
	cr_assert_eq(d->max_records, 4);
	cr_assert_eq(d->max_bytes, 2048);
	/* As many as the type takes at once. */
	cr_assert_eq(d->in_flight, 1);
	cr_assert_eq(d->order, SINK_ORDER_PARTITION);
	cr_assert_str_eq(d->dead_topic, "d/l");
	cr_assert_not(d->is_exact);
	cr_assert_eq(opt_int(d->options, "max_size"), 2 << 20);
	definition_free(d);
}

Test(definition, what_looks_like_a_secret_is_left_alone)
{
	struct definition *d = read_good("{\"type\":\"file\",\"config\":"
	    "{\"path\":\"/tmp/${env:HOME}\"}}");

	struct faults faults;

	cr_assert_str_eq(opt_string(d->options, "path"), "/tmp/${env:HOME}");
	/* But it is no template to work with. */
	faults_init(&faults);
	options_check_templates(d->options, &faults);
	cr_assert_eq(faults.total, 1);
	faults_fini(&faults);
	definition_free(d);
}

Test(definition, all_faults_at_once)
{
	struct faults faults;

	faults_init(&faults);
	definition_free(definition_read(&sink_type, SLICE_LIT(
	    "{\"type\":\"file\",\"topics\":[\"a/#/b\"],\"in_flight\":0,"
	    "\"nosuch\":1,\"failure_strategy\":{\"strategy\":\"discard\","
	    "\"topic_name\":\"+\"},\"config\":{\"path\":\"/tmp/${x}\","
	    "\"format\":\"xml\"}}"), &faults));
	cr_assert_geq(faults.total, 7);
	faults_fini(&faults);
	faults_init(&faults);
	definition_free(definition_read(&sink_type, SLICE_LIT("]"), &faults));
	cr_assert_gt(faults.total, 0);
	faults_fini(&faults);
}

Test(describe, is_what_others_read)
{
	struct json_object *o = json_object_new_array();
	struct connector_types types = {0};
	char why[200];

	json_object_array_add(o, describe_type(&sink_type));
	cr_assert(types_parse(&types, json_text(o), why, sizeof(why)), "%s",
	    why);
	cr_assert_str_eq(types.v[0].name, "file");
	cr_assert_eq(types.v[0].schema.n, sink_type.option_count);
	types_fini(&types);
	json_object_put(o);
}
