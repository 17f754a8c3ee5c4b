/* links: base */
/* A configuration of any bytes is read or refused; what is read is stable. */
#include "base/config.h"
#include "base/config_plan.h"

#include <stdlib.h>

static const char types_text[] =
    "[{\"type\":\"file\",\"options\":["
    "{\"name\":\"path\",\"type\":\"string\",\"required\":true},"
    "{\"name\":\"size\",\"type\":\"size\",\"default\":\"1GiB\"},"
    "{\"name\":\"wait\",\"type\":\"duration\"},"
    "{\"name\":\"key\",\"type\":\"string\",\"secret\":true},"
    "{\"name\":\"map\",\"type\":\"map\",\"secret\":true},"
    "{\"name\":\"list\",\"type\":\"list\"},"
    "{\"name\":\"tls\",\"type\":\"object\",\"options\":["
    "{\"name\":\"on\",\"type\":\"bool\"}]}]}]";

static const char *
fuzz_env(const char *name)
{
	return name[0] == 'A' ? "${env:A}value" : NULL;
}

static char *
fuzz_file(const char *path, const char **why)
{
	*why = path;
	return NULL;
}

static const struct secret_source source = {fuzz_env, fuzz_file};
static struct connector_types types;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_input input = {.types = &types, .secrets = &source};
	struct faults faults;
	struct config *c, *again;
	struct definition *d;
	struct buf out;
	struct plan p;
	char why[128];

	if (types.n == 0 && !types_parse(&types, slice_str(types_text), why,
	    sizeof(why)))
		abort();
	faults_init(&faults);
	buf_init(&out);
	c = config_parse(slice_of(data, size), &input, &faults);
	if ((c == NULL) != (faults.total > 0))
		abort();
	if (c != NULL) {
		json_object_put(config_masked(c, &types));
		again = config_parse(slice_str(json_object_to_json_string(
		    c->written)), &input, &faults);
		if (again == NULL)
			abort();
		plan_make(&p, c->resolved, again->resolved, &faults);
		if (!plan_is_empty(&p))
			abort();
		plan_fini(&p);
		config_free(again);
	}
	config_free(c);
	faults_print(&faults, "", &out);
	json_object_put(faults_json(&faults));
	faults_fini(&faults);
	d = definition_parse(slice_of(data, size), NULL, NULL, &input,
	    &faults);
	definition_free(d);
	faults_fini(&faults);
	buf_fini(&out);
	return 0;
}
