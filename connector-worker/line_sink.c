#include "connector-worker/line_sink.h"

#include "base/json_text.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/excerpt.h"

#include <stdio.h>
#include <stdlib.h>

/* --- the definition ------------------------------------------------------- */

static void
validate_names(
    const struct sink_options *o, struct faults *faults, const char *option)
{
	for (size_t i = 0; i < opt_count(o, option); i++) {
		const char *name = opt_key(o, option, i);

		if (*name == '\0' || strpbrk(name, "\r\n\\") != NULL)
			sink_fault(o, faults, option,
			    "\"%s\": a name may not "
			    "be empty or have a backslash or line break",
			    name);
		if (strcmp(name, "time") == 0)
			sink_fault(o, faults, option,
			    "\"time\" is the name of the timestamp");
	}
}

void
line_sink_validate(const struct sink_options *o, struct faults *faults)
{
	validate_names(o, faults, "tags");
	validate_names(o, faults, "fields");
}

bool
line_sink_is_exact(const struct sink_options *o)
{
	return opt_bool(o, "unique") && opt_choice(o, "precision") != LINE_US;
}

static void
values_take(const struct sink_options *o, const char *option,
    struct line_value **values, size_t *count)
{
	*count = opt_count(o, option);
	*values = mem_zalloc(*count + 1, sizeof(**values));
	for (size_t i = 0; i < *count; i++)
		line_value_set(&(*values)[i], opt_key(o, option, i),
		    opt_value(o, option, i), opt_value_template(o, option, i));
}

static void
format_take(struct line_sink *s, const struct sink_options *o)
{
	struct line_format *f = &s->format;
	char fault[80];

	f->measurement = opt_template(o, "measurement");
	f->precision = (enum line_precision)opt_choice(o, "precision");
	f->is_unique = opt_bool(o, "unique");
	values_take(o, "tags", &f->tags, &f->tags_len);
	values_take(o, "fields", &f->fields, &f->fields_len);
	if (opt_is_set(o, "tags"))
		return;
	f->tags[0] = (struct line_value){.name = "topic",
	    .own = template_parse(SLICE_LIT("${topic}"), fault, sizeof(fault))};
	f->tags[0].value = f->tags[0].own;
	f->tags_len = 1;
}

enum line_precision
line_sink_precision(const struct sink_options *o)
{
	struct line_format f = {
	    .precision = (enum line_precision)opt_choice(o, "precision"),
	    .is_unique = opt_bool(o, "unique")};

	return line_precision_sent(&f);
}

void
line_sink_query_add(struct buf *b, const char *name, const char *value)
{
	const char *why;

	buf_addf(b, "&%s=", name);
	template_escape_url(
	    b, (struct value){VALUE_TEXT, slice_str(value)}, &why);
}

/* --- requests ------------------------------------------------------------- */

static bool
add(void *self, const struct record *rec, struct buf *body, const char **why)
{
	struct line_sink *s = self;

	template_input_set(&s->input, rec);
	return line_add(&s->format, &s->input, body, why);
}

static void
setup(void *self, CURL *easy)
{
	struct line_sink *s = self;

	http_tls_setup(easy, sink_opts(s->sink));
	http_basic_setup(easy, sink_opts(s->sink));
}

static void
prepare(void *self, struct http_run *run)
{
	struct line_sink *s = self;

	buf_add_str(&run->url, s->write_path);
	if (s->authorization != NULL)
		http_run_field(run, "%s", s->authorization);
}

static void
probe(void *self, struct http_run *run)
{
	struct line_sink *s = self;

	buf_add_str(&run->url, s->probe_path);
	if (s->authorization != NULL)
		http_run_field(run, "%s", s->authorization);
}

/* --- answers -------------------------------------------------------------- */

static bool
member_find(struct slice object, const char *want, struct slice *value)
{
	struct slice name;
	size_t at = 0;

	if (json_kind_of(object) != JSON_OBJECT)
		return false;
	while (json_member_next(object, &at, &name, value))
		if (json_string_is(name, slice_str(want)))
			return true;
	return false;
}

static uint64_t
number_of(struct slice value)
{
	uint64_t n = 0;

	for (size_t i = 0; i < value.len && n < 1u << 30; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return 0;
		n = n * 10 + (uint64_t)(value.p[i] - '0');
	}
	return n;
}

bool
line_answer_lines(struct slice body,
    void (*cb)(uint64_t line, struct slice message, void *arg), void *arg)
{
	struct slice whole, data, name, row, value, message;
	size_t at = 0, count = 0;

	if (!json_value(body, &whole) || !member_find(whole, "data", &data) ||
	    json_kind_of(data) != JSON_ARRAY)
		return false;
	while (json_member_next(data, &at, &name, &row)) {
		uint64_t line = member_find(row, "line_number", &value)
				    ? number_of(value)
				    : 0;

		if (line == 0)
			return false;
		if (!member_find(row, "error_message", &message))
			message = SLICE_EMPTY;
		count++;
		if (cb != NULL)
			cb(line, message, arg);
	}
	return count > 0;
}

struct naming {
	struct http_run *run;
	struct buf text;
};

static void
on_line(uint64_t line, struct slice message, void *arg)
{
	struct naming *n = arg;

	if (line > n->run->count || n->run->records[line - 1] == NULL)
		return;
	buf_clear(&n->text);
	excerpt_add(&n->text, message, 300);
	http_run_answer(
	    n->run, (size_t)line - 1, SINK_REFUSED, buf_cstr(&n->text));
}

/*
 * A line is a record where no text in it has a line break; then an answer
 * that names lines says that it took the others.
 */
static bool
names_lines(const struct http_run *run, struct slice body)
{
	if (slice_is_null(body) || !line_answer_lines(body, NULL, NULL))
		return false;
	for (size_t i = 0; i < run->count; i++) {
		struct slice p = run->records[i]->rec->payload;

		if (p.len > 0 && (memchr(p.p, '\n', p.len) != NULL ||
				     memchr(p.p, '\\', p.len) != NULL))
			return false;
	}
	return true;
}

static struct http_verdict
judge(void *self, struct http_run *run, long status, struct slice body,
    struct buf *reason)
{
	struct naming n = {.run = run};
	struct http_verdict v = http_batch_judge(status);

	(void)self;
	(void)reason;
	/* "max-series-per-database limit exceeded": no record's fault. */
	if (status == 400 && body.len > 0 &&
	    memmem(body.p, body.len, "limit exceeded", 14) != NULL)
		return (struct http_verdict){.outcome = SINK_UNAVAILABLE};
	if (status != 400 || !names_lines(run, body))
		return v;
	buf_init(&n.text);
	line_answer_lines(body, on_line, &n);
	buf_fini(&n.text);
	return (struct http_verdict){.outcome = SINK_DELIVERED};
}

static bool
found(void *self, long status, struct slice body, struct buf *reason)
{
	struct line_sink *s = self;

	if (s->found != NULL)
		return s->found(s, status, body, reason);
	sink_found(
	    s->sink, "answer", "HTTP status %ld to %s", status, s->probe_path);
	return status < 400;
}

static const struct http_batch_ops ops = {
    .add = add,
    .setup = setup,
    .prepare = prepare,
    .judge = judge,
    .probe = probe,
    .found = found,
};

/* --- the sink's functions ------------------------------------------------- */

void
line_sink_open(struct line_sink *s, struct sink *sink, bool is_https)
{
	const struct sink_options *o = sink_opts(sink);
	struct http_batch_config config = {
	    .content_type = "text/plain; charset=utf-8",
	    .has_gzip = opt_bool(o, "gzip"),
	    .timeout_ms = (long)opt_int(o, "timeout_ms"),
	    .server_name = opt_string(o, "tls.server_name"),
	    .urls_len = 1,
	};
	const char *wrong;

	s->sink = sink;
	format_take(s, o);
	template_input_init(&s->input);
	config.urls = mem_zalloc(1, sizeof(*config.urls));
	config.urls[0] =
	    http_server_url(opt_string(o, "server"), is_https, &wrong);
	bug_on(config.urls[0] == NULL);
	s->http = http_batch_new(sink, &ops, s, &config);
}

void
line_sink_close(void *self)
{
	struct line_sink *s = self;

	http_batch_free(s->http);
	line_format_fini(&s->format);
	template_input_fini(&s->input);
	free(s->write_path);
	free(s->probe_path);
	free(s->authorization);
	free(s);
}

void
line_sink_send(void *self, struct sink_batch *batch)
{
	http_batch_send(((struct line_sink *)self)->http, batch);
}

void
line_sink_probe(void *self)
{
	http_batch_probe(((struct line_sink *)self)->http);
}

void
line_sink_test(void *self)
{
	http_batch_test(((struct line_sink *)self)->http);
}
