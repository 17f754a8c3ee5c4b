/*
 * metrics - the answer to a process's `metrics` request, as it is built.
 *
 * {"metrics":[{"name","help","type","labels":{},"value"}]}. Names begin
 * with bulkhead_, units are base units (bytes, seconds), counters end in
 * _total; a label has few values (never a client, a topic or an id). The
 * admin-server adds the label `process` and prints the text for Prometheus.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <json-c/json.h>
#include <stdint.h>

/* The caller puts it, or gives it to proc_reply. */
struct json_object *metrics_new(void);

/*
 * Label and its value as pairs after the value, then NULL:
 * metrics_counter(m, "bulkhead_stream_records_total", "Records written.",
 *     n, "stream", name, NULL).
 */
void metrics_counter(struct json_object *m, const char *name,
    const char *help, uint64_t value, ...) __attribute__((sentinel));
void metrics_gauge(struct json_object *m, const char *name, const char *help,
    double value, ...) __attribute__((sentinel));

#endif
