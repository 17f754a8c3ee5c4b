/*
 * line_sink - a sink that writes line protocol: one write for each batch.
 *
 * Shared by the types whose targets take it. The type says where writes go
 * and what is in the URL; options server, username and password, which it has
 * to have, and those of LINE_SINK_OPTIONS are read here.
 */
#ifndef CONNECTOR_WORKER_LINE_SINK_H
#define CONNECTOR_WORKER_LINE_SINK_H

#include "connector-worker/conn.h"
#include "connector-worker/http_batch.h"
#include "connector-worker/line_protocol.h"

struct line_sink {
	struct sink *sink;
	struct http_batch *http;
	struct line_format format;
	struct template_input input;
	char *write_path; /* with its query */
	char *probe_path;
	char *authorization; /* a header, or NULL */
	/* NULL: by status alone, and by what the target says of lines. */
	bool (*found)(struct line_sink *, long status, struct slice body,
	    struct buf *reason);
};

void line_sink_validate(const struct sink_options *, struct faults *);
bool line_sink_is_exact(const struct sink_options *);
/* The rest of a line_sink whose paths and header are set. */
void line_sink_open(struct line_sink *, struct sink *, bool is_https);
void line_sink_close(void *self);
void line_sink_send(void *self, struct sink_batch *);
void line_sink_probe(void *self);
void line_sink_test(void *self);
enum line_precision line_sink_precision(const struct sink_options *);
/* Appends "&NAME=VALUE" to a query, the value percent-encoded. */
void line_sink_query_add(struct buf *, const char *name, const char *value);

/*
 * Pure: which lines an answer names as refused, where the others were
 * taken (InfluxDB 3's `data` list). Calls cb with a line's number, from 1.
 * False: it names none.
 */
bool line_answer_lines(struct slice body,
    void (*cb)(uint64_t line, struct slice message, void *arg), void *arg);

#define LINE_SINK_OPTIONS                                                                                    \
	{"measurement", OPTION_STRING, NULL, 1, 1024, NULL,                                                  \
	    OPTION_REQUIRED | OPTION_TEMPLATE, "measurement or table",                                       \
	    "measurement（表名）"},                                                                          \
	    {"tags", OPTION_MAP, NULL, 0, 128, NULL, OPTION_TEMPLATE,                                        \
		"tags; without it topic: ${topic}. An empty value is left "                                  \
		"out",                                                                                       \
		"标签；缺省为 topic: ${topic}。空值会被省略"},                                               \
	    {"fields", OPTION_MAP, NULL, 0, 512, NULL, OPTION_TEMPLATE,                                      \
		"fields: numbers are floats, ${...}i is an integer, ${...}u "                                \
		"an "                                                                                        \
		"unsigned one; without it the members of a JSON payload, or "                                \
		"value, or payload",                                                                         \
		"字段：数字为浮点，${...}i 为整数，${...}u "                                    \
		"为无符号整数；缺省为 "                                                            \
		"JSON 负载的成员，或 value，或 payload"},                                                    \
	    {"precision", OPTION_ENUM, "ms", 0, 0, "ns|us|ms|s", 0,                                          \
		"precision of the times", "时间精度"},                                                       \
	    {"unique", OPTION_BOOL, "true", 0, 0, NULL, 0,                                                   \
		"fill the digits below the precision from the offset, so "                                   \
		"that "                                                                                      \
		"no record of a series overwrites another (ms and s are then "                               \
		"sent as ns)",                                                                               \
		"用偏移量填充精度以下的位数，使同一序列的记录不会互相覆盖（此" \
		"时 "                                                                                       \
		"ms 和 s 以 ns 发送）"},                                                                     \
	    {"gzip", OPTION_BOOL, "false", 0, 0, NULL, 0, "compress writes",                                 \
		"压缩写入请求"},                                                                             \
	    {"timeout_ms", OPTION_INT, "10000", 1, 60000, NULL, 0,                                           \
		"how long a write may take, in milliseconds",                                                \
		"单次写入的最长时间（毫秒）"},                                                               \
	    CONN_TLS_OPTIONS

#endif
