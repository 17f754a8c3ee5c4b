/* links: libcurl zlib */
/*
 * kinesis - records into a stream of Amazon Kinesis, by PutRecords.
 *
 * A request's records may fail one by one and may come to stand in any
 * order, so where order is kept a request has one record of a key; with
 * aggregate the records of a partition key travel as one (kinesis_aggregate)
 * and keep their order in it.
 */
#include "connector-worker/sinks/kinesis_aggregate.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "connector-worker/aws.h"
#include "connector-worker/conn.h"
#include "connector-worker/excerpt.h"

#include <stdlib.h>

#define RECORDS_MAX 500       /* of a PutRecords */
#define RECORD_MAX (1u << 20) /* data and key of one */
#define KEY_MAX 256           /* characters */
/* 5 MiB of data and keys; the body has them as base64 and JSON. */
#define BODY_MAX (5u << 20)

struct kinesis {
	struct sink *sink;
	struct http_batch *http;
	const struct template *partition_key;
	const struct template *data;
	const char *stream;
	bool is_aggregating;
	struct aggregate aggregate;
	struct template_input input;
	struct buf key, text;
};

static const struct option options[] = {
    {"stream", OPTION_STRING, NULL, 1, 128, NULL, OPTION_REQUIRED,
	"name of the stream", "流名称"},
    AWS_OPTIONS,
    {"partition_key", OPTION_STRING, "${key}", 1, 1024, NULL, OPTION_TEMPLATE,
	"partition key, 1 to 256 characters", "分区键，1 至 256 个字符"},
    {"data", OPTION_STRING, NULL, 1, 65536, NULL, OPTION_TEMPLATE,
	"data of a record; without it the record as JSON",
	"记录内容；缺省为 JSON 形式的记录"},
    {"aggregate", OPTION_BOOL, "false", 0, 0, NULL, 0,
	"records of a key as one, in the aggregated format of the "
	"Kinesis Producer Library",
	"以 KPL 聚合格式将同一键的多条记录合为一条"},
    {"timeout_ms", OPTION_INT, "10000", 1, 60000, NULL, 0,
	"how long a request may take, in milliseconds",
	"单个请求的最长时间（毫秒）"},
    CONN_TLS_OPTIONS,
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

static void
kinesis_validate(const struct sink_options *o, struct faults *faults)
{
	const char *s = opt_string(o, "stream");

	if (opt_is_set(o, "endpoint"))
		http_server_validate(o, faults, "endpoint", true);
	else
		conn_tls_validate(o, faults);
	aws_validate(o, faults);
	if (s != NULL &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyz"
		      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != strlen(s))
		sink_fault(o, faults, "stream",
		    "has a character that no stream's name has");
}

/* --- records -------------------------------------------------------------- */

static bool
make_key(struct kinesis *k, const char **why)
{
	size_t count = 0;

	buf_clear(&k->key);
	if (!template_render(k->partition_key, &k->input, &k->key, NULL, why))
		return false;
	if (!utf8_check(buf_slice(&k->key))) {
		*why = "the partition key is not UTF-8";
		return false;
	}
	for (size_t i = 0; i < buf_len(&k->key); i++)
		if ((buf_data(&k->key)[i] & 0xc0) != 0x80)
			count++;
	if (count == 0 || count > KEY_MAX) {
		*why = "the partition key has not 1 to 256 characters";
		return false;
	}
	return true;
}

static bool
make_data(struct kinesis *k, const char **why)
{
	enum value_kind kind;

	buf_clear(&k->text);
	if (k->data == NULL)
		record_json_add(
		    &k->text, k->input.rec, template_input_json(&k->input));
	else if (!template_value(k->data, &k->input, &k->text, &kind, why))
		return false;
	if (buf_len(&k->text) + buf_len(&k->key) <= RECORD_MAX)
		return true;
	*why = "data and partition key are longer than 1 MiB";
	return false;
}

static void
entry_add(struct buf *body, struct slice key, struct slice data)
{
	if (body->p[body->len - 1] != '[')
		buf_add_u8(body, ',');
	buf_add_str(body, "{\"PartitionKey\":");
	json_add_string(body, key);
	buf_add_str(body, ",\"Data\":\"");
	base64_add(body, data);
	buf_add_str(body, "\"}");
}

static void
begin(void *self, struct buf *body)
{
	struct kinesis *k = self;

	buf_add_str(body, "{\"StreamName\":");
	json_add_string(body, slice_str(k->stream));
	buf_add_str(body, ",\"Records\":[");
	aggregate_clear(&k->aggregate);
}

static bool
add(void *self, const struct record *rec, struct buf *body, const char **why)
{
	struct kinesis *k = self;

	template_input_set(&k->input, rec);
	if (!make_key(k, why) || !make_data(k, why))
		return false;
	if (k->is_aggregating)
		return aggregate_add(&k->aggregate, buf_slice(&k->key),
		    buf_slice(&k->text), why);
	entry_add(body, buf_slice(&k->key), buf_slice(&k->text));
	return true;
}

static void
end(void *self, struct buf *body)
{
	struct kinesis *k = self;
	struct slice key;

	for (size_t i = 0; i < k->aggregate.groups_len; i++) {
		buf_clear(&k->text);
		key = aggregate_put(&k->aggregate, i, &k->text);
		entry_add(body, key, buf_slice(&k->text));
	}
	buf_add_str(body, "]}");
}

/* --- requests and answers ------------------------------------------------- */

static void
setup(void *self, CURL *easy)
{
	struct kinesis *k = self;

	http_tls_setup(easy, sink_opts(k->sink));
	aws_setup(easy, sink_opts(k->sink), "kinesis");
}

static void
prepare(void *self, struct http_run *run)
{
	struct kinesis *k = self;

	buf_add_str(&run->url, "/");
	http_run_field(run, "X-Amz-Target: Kinesis_20131202.PutRecords");
	aws_token_add(run, sink_opts(k->sink));
	if (k->is_aggregating)
		http_run_keep(run, aggregate_take_places(&k->aggregate));
}

static void
probe(void *self, struct http_run *run)
{
	struct kinesis *k = self;

	buf_clear(&k->text);
	buf_addf(&k->text, "{\"StreamName\":\"%s\"}", k->stream);
	buf_add_str(&run->url, "/");
	http_run_field(
	    run, "X-Amz-Target: Kinesis_20131202.DescribeStreamSummary");
	aws_token_add(run, sink_opts(k->sink));
	curl_easy_setopt(run->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(
	    run->easy, CURLOPT_POSTFIELDSIZE, (long)buf_len(&k->text));
	curl_easy_setopt(run->easy, CURLOPT_COPYPOSTFIELDS, buf_cstr(&k->text));
}

static bool
found(void *self, long status, struct slice body, struct buf *reason)
{
	struct kinesis *k = self;

	(void)body;
	(void)reason;
	if (status >= 400)
		return false;
	sink_found(k->sink, "stream", "%s is there", k->stream);
	return true;
}

/* An entry of the answer is for one record, or for those of its group. */
static void
entry_answer(struct http_run *run, size_t entry, struct json_object *o)
{
	const char *code = json_get_str(o, "ErrorCode", NULL);
	const char *message = json_get_str(o, "ErrorMessage", "");
	enum sink_outcome outcome = SINK_DELIVERED;
	const size_t *places = run->kept;
	struct http_verdict v = {.outcome = SINK_RETRYABLE};
	struct buf reason;

	buf_init(&reason);
	if (code != NULL) {
		(void)aws_error_verdict(slice_str(code), &v);
		outcome = v.outcome;
		buf_addf(&reason, "%s: ", code);
		excerpt_add(&reason, slice_str(message), 300);
	} else if (json_get_str(o, "SequenceNumber", NULL) == NULL) {
		outcome = SINK_UNSURE;
		buf_add_str(&reason, "an entry of the answer says nothing");
	}
	for (size_t i = 0; i < run->count; i++)
		if ((places == NULL ? i : places[i]) == entry)
			http_run_answer(run, i, outcome, buf_cstr(&reason));
	buf_fini(&reason);
}

static struct http_verdict
judge_fault(long status, struct json_object *answer, struct buf *reason)
{
	struct http_verdict v = http_batch_judge(status);
	const char *type =
	    answer == NULL ? NULL : json_get_str(answer, "__type", NULL);

	if (type == NULL)
		return v;
	(void)aws_error_verdict(slice_str(type), &v);
	buf_addf(reason, "%.100s: ", type);
	excerpt_add(reason,
	    slice_str(json_get_str(
		answer, "message", json_get_str(answer, "Message", ""))),
	    300);
	return v;
}

static struct http_verdict
judge(void *self, struct http_run *run, long status, struct slice body,
    struct buf *reason)
{
	struct json_object *answer = json_parse(body), *rows;
	struct http_verdict v = {.outcome = SINK_UNSURE};
	size_t n = 0;

	(void)self;
	if (answer != NULL && !json_object_is_type(answer, json_type_object)) {
		json_object_put(answer);
		answer = NULL;
	}
	if (status != 200) {
		v = judge_fault(status, answer, reason);
		json_object_put(answer);
		return v;
	}
	rows = answer == NULL ? NULL : json_member(answer, "Records");
	if (rows != NULL && json_object_is_type(rows, json_type_array))
		n = json_object_array_length(rows);
	for (size_t i = 0; i < n && i < run->count; i++)
		entry_answer(run, i, json_object_array_get_idx(rows, i));
	json_object_put(answer);
	buf_add_str(reason, "the answer does not speak of every record");
	return v;
}

static const struct http_batch_ops ops = {
    .add = add,
    .begin = begin,
    .end = end,
    .setup = setup,
    .prepare = prepare,
    .judge = judge,
    .probe = probe,
    .found = found,
};

/* --- the sink's functions ------------------------------------------------- */

static void *
kinesis_open(struct sink *sink)
{
	struct kinesis *k = mem_zalloc(1, sizeof(*k));
	const struct sink_options *o = sink_opts(sink);
	const char *endpoint = opt_string(o, "endpoint"), *wrong;
	struct http_batch_config config = {
	    .content_type = "application/x-amz-json-1.1",
	    .timeout_ms = (long)opt_int(o, "timeout_ms"),
	    .server_name = opt_string(o, "tls.server_name"),
	    .urls_len = 1,
	    .body_max = BODY_MAX,
	};

	k->sink = sink;
	k->stream = opt_string(o, "stream");
	k->partition_key = opt_template(o, "partition_key");
	k->data = opt_template(o, "data");
	k->is_aggregating = opt_bool(o, "aggregate");
	config.is_exclusive = !k->is_aggregating;
	config.run_max = k->is_aggregating ? 0 : RECORDS_MAX;
	template_input_init(&k->input);
	buf_init(&k->key);
	buf_init(&k->text);
	config.urls = mem_zalloc(1, sizeof(*config.urls));
	config.urls[0] = endpoint == NULL
			     ? aws_endpoint("kinesis", opt_string(o, "region"))
			     : http_server_url(endpoint, true, &wrong);
	bug_on(config.urls[0] == NULL);
	k->http = http_batch_new(sink, &ops, k, &config);
	return k;
}

static void
kinesis_close(void *self)
{
	struct kinesis *k = self;

	http_batch_free(k->http);
	aggregate_fini(&k->aggregate);
	template_input_fini(&k->input);
	buf_fini(&k->key);
	buf_fini(&k->text);
	free(k);
}

static void
kinesis_send(void *self, struct sink_batch *batch)
{
	http_batch_send(((struct kinesis *)self)->http, batch);
}

static void
kinesis_probe(void *self)
{
	http_batch_probe(((struct kinesis *)self)->http);
}

static void
kinesis_test(void *self)
{
	http_batch_test(((struct kinesis *)self)->http);
}

const struct sink_type sink_type = {
    .name = "kinesis",
    .help_en = "records of Amazon Kinesis",
    .help_zh = "Amazon Kinesis 的记录",
    .options = options,
    .option_count = sizeof(options) / sizeof(*options),
    .caps =
	{
	    .orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION | SINK_ORDER_NONE,
	    .bytes_max = 4u << 20,
	    .paths = path_options,
	    .ports = "any",
	},
    .validate = kinesis_validate,
    .open = kinesis_open,
    .send_batch = kinesis_send,
    .probe = kinesis_probe,
    .test = kinesis_test,
    .close = kinesis_close,
};
