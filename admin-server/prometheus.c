#include "admin-server/prometheus.h"

#include "base/json.h"
#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

/* One metric name with its samples, already printed. */
struct family {
	struct family *next;
	char *name;
	const char *type;
	struct buf help;
	struct buf samples;
};

struct prometheus {
	struct family *first, **end;
};

struct prometheus *
prometheus_new(void)
{
	struct prometheus *p = mem_zalloc(1, sizeof(*p));

	p->end = &p->first;
	return p;
}

void
prometheus_free(struct prometheus *p)
{
	struct family *f;

	while ((f = p->first) != NULL) {
		p->first = f->next;
		buf_fini(&f->help);
		buf_fini(&f->samples);
		free(f->name);
		free(f);
	}
	free(p);
}

static bool
is_name(const char *s)
{
	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && *s != '_' && *s != ':')
			return false;
	return true;
}

static void
add_escaped(struct buf *b, const char *s, bool quotes)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n')
			buf_add_str(b, "\\n");
		else if (*s == '\\')
			buf_add_str(b, "\\\\");
		else if (*s == '"' && quotes)
			buf_add_str(b, "\\\"");
		else
			buf_add_u8(b, (uint8_t)*s);
	}
}

static struct family *
family_of(struct prometheus *p, const char *name, struct json_object *metric)
{
	struct family *f;

	for (f = p->first; f != NULL; f = f->next)
		if (strcmp(f->name, name) == 0)
			return f;
	f = mem_zalloc(1, sizeof(*f));
	f->name = mem_strdup(name);
	f->type = strcmp(json_get_str(metric, "type", ""), "counter") == 0 ?
	    "counter" : "gauge";
	buf_init(&f->help);
	buf_init(&f->samples);
	add_escaped(&f->help, json_get_str(metric, "help", ""), false);
	*p->end = f;
	p->end = &f->next;
	return f;
}

/* Who speaks of another process (the supervisor) names it itself. */
static void
add_labels(struct buf *b, const char *process, struct json_object *labels)
{
	buf_add_str(b, "{process=\"");
	add_escaped(b, json_get_str(labels, "process", process), true);
	buf_add_str(b, "\"");
	if (json_object_is_type(labels, json_type_object)) {
		json_object_object_foreach(labels, key, v) {
			if (!is_name(key) || strcmp(key, "process") == 0)
				continue;
			buf_addf(b, ",%s=\"", key);
			add_escaped(b, v == NULL ? "" :
			    json_object_get_string(v), true);
			buf_add_str(b, "\"");
		}
	}
	buf_add_str(b, "}");
}

/* Integers stay exact; what is no finite number makes no sample. */
static bool
print_value(struct buf *b, struct json_object *v)
{
	char *end;
	double d;

	if (json_object_is_type(v, json_type_int)) {
		buf_addf(b, " %s\n", json_object_get_string(v));
		return true;
	}
	if (json_object_is_type(v, json_type_string)) {
		const char *s = json_object_get_string(v);

		d = strtod(s, &end);
		if (end == s || *end != '\0' || !isfinite(d))
			return false;
		buf_addf(b, " %s\n", s);
		return true;
	}
	if (!json_object_is_type(v, json_type_double) ||
	    !isfinite(json_object_get_double(v)))
		return false;
	buf_addf(b, " %.15g\n", json_object_get_double(v));
	return true;
}

void
prometheus_add(struct prometheus *p, const char *process,
    struct json_object *body)
{
	struct json_object *list, *metric;
	struct family *f;
	const char *name;
	size_t before;

	if (!json_object_is_type(body, json_type_object))
		return;
	list = json_member(body, "metrics");
	if (!json_object_is_type(list, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		metric = json_object_array_get_idx(list, i);
		if (!json_object_is_type(metric, json_type_object))
			continue;
		name = json_get_str(metric, "name", "");
		if (!is_name(name))
			continue;
		f = family_of(p, name, metric);
		before = f->samples.len;
		buf_add_str(&f->samples, name);
		add_labels(&f->samples, process, json_member(metric, "labels"));
		if (!print_value(&f->samples, json_member(metric, "value")))
			f->samples.len = before;
	}
}

void
prometheus_print(const struct prometheus *p, struct buf *out)
{
	for (const struct family *f = p->first; f != NULL; f = f->next) {
		if (buf_len(&f->samples) == 0)
			continue;
		buf_addf(out, "# HELP %s ", f->name);
		buf_add_slice(out, buf_slice(&f->help));
		buf_addf(out, "\n# TYPE %s %s\n", f->name, f->type);
		buf_add_slice(out, buf_slice(&f->samples));
	}
}
