/*
 * serve - what each route does: one serve_x per name in routes.def.
 */
#ifndef ADMIN_SERVER_SERVE_H
#define ADMIN_SERVER_SERVE_H

#include "admin-server/exchange.h"
#include "admin-server/question.h"

void serve_relay(struct exchange *x);
void serve_list(struct exchange *x);
void serve_version(struct exchange *x);
void serve_openapi(struct exchange *x);
void serve_health_live(struct exchange *x);
void serve_health_ready(struct exchange *x);
void serve_metrics(struct exchange *x);
void serve_connector_list(struct exchange *x);
void serve_connector_create(struct exchange *x);
void serve_connector_show(struct exchange *x);
void serve_connector_reset(struct exchange *x);
void serve_audit(struct exchange *x);
void serve_audit_all(struct exchange *x);
void serve_publish(struct exchange *x);
void serve_subscribe(struct exchange *x);
void serve_stream_read(struct exchange *x);

/* The table of routes.def. */
const struct route_table *serve_routes(void);

/*
 * Questions on behalf of an exchange: they are cancelled when its client
 * leaves. done gets the exchange. One set at a time.
 */
struct questions *serve_questions(struct exchange *x, double seconds,
    questions_done *done);
/* "connector.NAME" of the argument `name` in out; false: already refused. */
bool serve_worker(struct exchange *x, char *out, size_t cap);
/*
 * True if answer i is one; otherwise the exchange was answered with its
 * error.
 */
bool serve_expect(struct exchange *x, struct questions *q, size_t i);

#endif
