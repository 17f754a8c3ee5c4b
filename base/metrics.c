#include "base/metrics.h"

#include <stdarg.h>
#include <stdio.h>

struct json_object *
metrics_new(void)
{
	struct json_object *m = json_object_new_object();

	json_object_object_add(m, "metrics", json_object_new_array());
	return m;
}

static void
metric_add(struct json_object *m, const char *name, const char *help,
    const char *type, struct json_object *value, va_list labels)
{
	struct json_object *o = json_object_new_object();
	struct json_object *l = json_object_new_object();
	const char *key, *text;

	while ((key = va_arg(labels, const char *)) != NULL) {
		text = va_arg(labels, const char *);
		json_object_object_add(l, key, json_object_new_string(text));
	}
	json_object_object_add(o, "name", json_object_new_string(name));
	json_object_object_add(o, "help", json_object_new_string(help));
	json_object_object_add(o, "type", json_object_new_string(type));
	json_object_object_add(o, "labels", l);
	json_object_object_add(o, "value", value);
	json_object_array_add(json_object_object_get(m, "metrics"), o);
}

void
metrics_counter(struct json_object *m, const char *name, const char *help,
    uint64_t value, ...)
{
	va_list labels;

	va_start(labels, value);
	metric_add(m, name, help, "counter", json_object_new_uint64(value),
	    labels);
	va_end(labels);
}

void
metrics_gauge(struct json_object *m, const char *name, const char *help,
    double value, ...)
{
	char text[40];
	va_list labels;

	/* Whole numbers without the ".0" that json-c would add. */
	snprintf(text, sizeof(text), "%.15g", value);
	va_start(labels, value);
	metric_add(m, name, help, "gauge",
	    json_object_new_double_s(value, text), labels);
	va_end(labels);
}
