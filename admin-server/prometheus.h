/*
 * prometheus - the answers to `metrics` requests as one text.
 *
 * Samples of one name stand together under one HELP and TYPE; each gets the
 * label `process` if it has none. What is malformed is left out. Pure.
 *
 * Prometheus text format 0.0.4.
 */
#ifndef ADMIN_SERVER_PROMETHEUS_H
#define ADMIN_SERVER_PROMETHEUS_H

#include "base/buf.h"

#include <json-c/json.h>

struct prometheus;

struct prometheus *prometheus_new(void);
void prometheus_free(struct prometheus *p);
/* A process's {"metrics": [...]}. */
void prometheus_add(struct prometheus *p, const char *process,
    struct json_object *body);
void prometheus_print(const struct prometheus *p, struct buf *out);

#endif
