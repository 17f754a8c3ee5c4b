#include "base/fault.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
faults_init(struct faults *f)
{
	*f = (struct faults){0};
}

void
faults_fini(struct faults *f)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		free(f->v[i].path);
		free(f->v[i].message);
	}
	free(f->v);
	*f = (struct faults){0};
}

void
fault_add(struct faults *f, struct doc_place place, const char *path,
    const char *fmt, ...)
{
	va_list ap;
	char *message = NULL;

	f->total++;
	if (f->n == FAULTS_MAX)
		return;
	if (f->v == NULL)
		f->v = mem_zalloc(FAULTS_MAX, sizeof(*f->v));
	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = mem_strdup("out of memory");
	va_end(ap);
	f->v[f->n++] = (struct fault){mem_strdup(path), message, place};
}

static int
fault_compare(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;

	if (x->place.line != y->place.line)
		return x->place.line < y->place.line ? -1 : 1;
	if (x->place.column != y->place.column)
		return x->place.column < y->place.column ? -1 : 1;
	return strcmp(x->path, y->path);
}

void
faults_sort(struct faults *f)
{
	if (f->n > 1)
		qsort(f->v, f->n, sizeof(*f->v), fault_compare);
}

void
faults_drop_places(struct faults *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		f->v[i].place = (struct doc_place){0};
}

void
fault_print(const struct fault *f, struct buf *out)
{
	if (f->path[0] != '\0')
		buf_addf(out, "%s: ", f->path);
	buf_add_str(out, f->message);
	if (f->place.line > 0)
		buf_addf(out, " (line %u, column %u)", f->place.line,
		    f->place.column);
}

void
faults_print(const struct faults *f, const char *prefix, struct buf *out)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		buf_add_str(out, prefix);
		fault_print(&f->v[i], out);
		buf_add_u8(out, '\n');
	}
	if (f->total > f->n)
		buf_addf(out, "%s... and %zu more\n", prefix, f->total - f->n);
}

struct json_object *
faults_json(const struct faults *f)
{
	struct json_object *list = json_object_new_array(), *o;
	size_t i;

	for (i = 0; i < f->n; i++) {
		o = json_object_new_object();
		json_object_object_add(o, "path",
		    json_object_new_string(f->v[i].path));
		json_object_object_add(o, "message",
		    json_object_new_string(f->v[i].message));
		if (f->v[i].place.line > 0) {
			json_object_object_add(o, "line",
			    json_object_new_int((int)f->v[i].place.line));
			json_object_object_add(o, "column",
			    json_object_new_int((int)f->v[i].place.column));
		}
		json_object_array_add(list, o);
	}
	return list;
}
