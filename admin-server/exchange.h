/*
 * exchange - one request and its answer.
 *
 * serve_x gets the exchange and answers now or later, with exactly one of
 * exchange_json, exchange_error, exchange_fault, exchange_text or a stream
 * (begin, add..., end). After that, and when the client is gone, the
 * exchange must not be used again. on_gone is called when the client left
 * before the answer was complete: cancel what is under way.
 */
#ifndef ADMIN_SERVER_EXCHANGE_H
#define ADMIN_SERVER_EXCHANGE_H

#include "admin-server/route.h"

struct conn;

struct exchange {
	struct conn *conn;
	const struct route *route;
	struct json_object *args;	/* see route_args */
	void *state;			/* of who serves it */
	void (*on_gone)(struct exchange *x);
	void (*on_drain)(struct exchange *x);	/* a stream may go on */
};

/* Above this much unsent a stream should wait for on_drain. */
#define EXCHANGE_BACKLOG (256u << 10)

/* Takes body; NULL: none (204 for a status of 200). */
void exchange_json(struct exchange *x, unsigned status,
    struct json_object *body);
/* {"error": {code, message, details}}. */
void exchange_error(struct exchange *x, unsigned status, const char *code,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same from {code, message, details}, the body of a REPLY; a loan. */
void exchange_fault(struct exchange *x, unsigned status,
    struct json_object *fault);
void exchange_text(struct exchange *x, unsigned status, const char *type,
    struct slice text);

void exchange_begin(struct exchange *x, const char *type);
void exchange_add(struct exchange *x, struct slice data);
void exchange_end(struct exchange *x);
size_t exchange_backlog(const struct exchange *x);

#endif
