#include "connector-worker/describe.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/definition.h"
#include "connector-worker/host.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFINITION_MAX (4u << 20)
#define TEST_TIMEOUT_S 15.

static struct json_object *
describe_texts(const char *en, const char *zh)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "en", en == NULL ? "" : en);
	json_add_str(o, "zh", zh == NULL ? "" : zh);
	return o;
}

static struct json_object *
describe_choices(const char *choices)
{
	struct json_object *list = json_object_new_array();
	size_t len;

	while (*choices != '\0') {
		len = strcspn(choices, "|");
		json_object_array_add(list,
		    json_object_new_string_len(choices, (int)len));
		choices += len + (choices[len] == '|');
	}
	return list;
}

static struct json_object *describe_options(const struct schema *schema,
    const char *base);

static struct json_object *
describe_option(const struct schema *schema, const struct option *o)
{
	struct json_object *v = json_object_new_object();

	json_add_str(v, "name", option_name(o));
	json_add_str(v, "type", option_kind_name(o->kind));
	if (o->fallback != NULL)
		json_add_str(v, "default", o->fallback);
	if (o->min != 0 || o->max != 0) {
		json_object_object_add(v, "min",
		    json_object_new_int64(o->min));
		json_object_object_add(v, "max",
		    json_object_new_int64(o->max));
	}
	if (o->choices != NULL)
		json_object_object_add(v, "choices",
		    describe_choices(o->choices));
	json_add_bool(v, "required", (o->flags & OPTION_REQUIRED) != 0);
	json_add_bool(v, "secret", (o->flags & OPTION_SECRET) != 0);
	json_add_bool(v, "template", (o->flags & OPTION_TEMPLATE) != 0);
	json_object_object_add(v, "help",
	    describe_texts(o->help_en, o->help_zh));
	if (o->kind == OPTION_OBJECT)
		json_object_object_add(v, "options",
		    describe_options(schema, o->path));
	return v;
}

static struct json_object *
describe_options(const struct schema *schema, const char *base)
{
	struct json_object *list = json_object_new_array();
	const struct option *o;
	size_t at = 0;

	while ((o = schema_child(schema, base, &at)) != NULL)
		json_object_array_add(list, describe_option(schema, o));
	return list;
}

static struct json_object *
describe_orders(unsigned orders)
{
	static const char *const names[] = {"key", "partition", "none"};
	struct json_object *list = json_object_new_array();
	unsigned i;

	for (i = 0; i < 3; i++)
		if ((orders & 1u << i) != 0)
			json_object_array_add(list,
			    json_object_new_string(names[i]));
	return list;
}

static struct json_object *
describe_caps(const struct sink_caps *caps)
{
	struct json_object *o = json_object_new_object();
	struct json_object *paths = json_object_new_array();
	size_t i;

	for (i = 0; caps->paths != NULL && caps->paths[i] != NULL; i++)
		json_object_array_add(paths,
		    json_object_new_string(caps->paths[i]));
	json_add_bool(o, "effectively_once", caps->effectively_once);
	json_add_bool(o, "keys_batch", caps->keys_batch);
	json_add_bool(o, "aggregates", caps->aggregates);
	json_add_bool(o, "serial", caps->serial);
	json_object_object_add(o, "orders", describe_orders(caps->orders));
	json_add_u64(o, "in_flight_max", caps->in_flight_max);
	json_add_u64(o, "records_max", caps->records_max);
	json_add_u64(o, "bytes_max", caps->bytes_max);
	json_object_object_add(o, "paths", paths);
	json_add_str(o, "ports", caps->ports == NULL ? "none" : caps->ports);
	json_add_bool(o, "writes_files", caps->writes_files);
	return o;
}

struct json_object *
describe_type(const struct sink_type *type)
{
	struct schema schema = {type->options, type->option_count};
	struct json_object *o = json_object_new_object();

	json_add_str(o, "type", type->name);
	json_object_object_add(o, "help",
	    describe_texts(type->help_en, type->help_zh));
	json_object_object_add(o, "capabilities", describe_caps(&type->caps));
	json_object_object_add(o, "options", describe_options(&schema, ""));
	return o;
}

static void
print_json(struct json_object *o)
{
	printf("%s\n", json_object_to_json_string_ext(o,
	    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

int
mode_describe(void)
{
	print_json(describe_type(&sink_type));
	return 0;
}

static bool
read_stdin(struct buf *b)
{
	ssize_t n;

	do {
		if (buf_len(b) > DEFINITION_MAX)
			return false;
		n = read(STDIN_FILENO, buf_reserve(b, 65536), 65536);
		if (n > 0)
			buf_commit(b, (size_t)n);
	} while (n > 0);
	return n == 0;
}

/* NULL, and the faults printed, if it is not a good one. */
static struct definition *
read_definition(struct json_object **faults_out, bool is_for_work)
{
	struct definition *d;
	struct faults faults;
	struct buf text;

	faults_init(&faults);
	buf_init(&text);
	if (!read_stdin(&text))
		fault_add(&faults, (struct doc_place){0, 0}, "",
		    "the definition cannot be read or is too large");
	d = definition_read(&sink_type, buf_slice(&text), &faults);
	if (is_for_work && faults.total == 0)
		options_check_templates(d->options, &faults);
	*faults_out = faults_json(&faults);
	if (faults.total > 0) {
		definition_free(d);
		d = NULL;
	}
	faults_fini(&faults);
	buf_fini(&text);
	return d;
}

int
mode_check(void)
{
	struct json_object *faults;
	struct definition *d = read_definition(&faults, false);

	print_json(faults);
	definition_free(d);
	return d == NULL ? 2 : 0;
}

/* A sink that is tried, and what came of it. */
struct trial {
	struct ev_loop *loop;
	struct json_object *found;
	char *reason;
	bool is_good;
	bool has_ended;
};

static void
trial_end(struct trial *t, bool is_good, const char *reason)
{
	if (t->has_ended)
		return;
	t->has_ended = true;
	t->is_good = is_good;
	t->reason = mem_strdup(reason == NULL ? "" : reason);
	ev_break(t->loop, EVBREAK_ALL);
}

static void
on_tested(void *arg, bool is_good, const char *reason)
{
	trial_end(arg, is_good, reason);
}

static void
on_rejected(void *arg, const char *reason)
{
	trial_end(arg, false, reason);
}

static void
on_found(void *arg, const char *what, const char *text)
{
	struct trial *t = arg;
	struct json_object *o = json_object_new_object();

	json_add_str(o, "what", what);
	json_add_str(o, "value", text);
	json_object_array_add(t->found, o);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	trial_end(w->data, false, "the target did not answer in time");
}

static const struct sink_host trial_host = {
	.probed = on_tested,
	.found = on_found,
	.tested = on_tested,
	.rejected = on_rejected,
};

static void
trial_run(struct trial *t, const struct definition *d)
{
	struct sink sink = {.type = &sink_type, .loop = t->loop,
	    .options = d->options, .connector = d->name, .stream = "",
	    .is_test = true, .host = &trial_host, .arg = t};
	ev_timer timer;

	ev_timer_init(&timer, on_timeout, TEST_TIMEOUT_S, 0.);
	timer.data = t;
	ev_timer_start(t->loop, &timer);
	sink.self = sink_type.open(&sink);
	if (!t->has_ended && sink_type.test != NULL)
		sink_type.test(sink.self);
	else if (!t->has_ended)
		sink_type.probe(sink.self);
	if (!t->has_ended)
		ev_run(t->loop, 0);
	ev_timer_stop(t->loop, &timer);
	sink_type.close(sink.self);
}

int
mode_test(void)
{
	struct trial t = {.found = json_object_new_array()};
	struct json_object *faults, *result = json_object_new_object();
	struct definition *d = read_definition(&faults, true);

	if (d == NULL) {
		json_add_bool(result, "ok", false);
		json_add_str(result, "reason", "the definition is refused");
		json_object_object_add(result, "faults", faults);
		json_object_put(t.found);
		print_json(result);
		return 2;
	}
	json_object_put(faults);
	signal(SIGPIPE, SIG_IGN);
	t.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (t.loop == NULL)
		fatal("no event loop");
	trial_run(&t, d);
	json_add_bool(result, "ok", t.is_good);
	json_add_str(result, "reason", t.reason);
	json_object_object_add(result, "found", t.found);
	print_json(result);
	definition_free(d);
	ev_loop_destroy(t.loop);
	free(t.reason);
	return t.is_good ? 0 : 1;
}
