/*
 * http_call - a service of the operator's is asked about a login.
 *
 * A call is made and read on the loop; http_call_run blocks, on a thread.
 */
#ifndef ACCEPTOR_AUTH_HTTP_CALL_H
#define ACCEPTOR_AUTH_HTTP_CALL_H

#include "acceptor/auth/verdict.h"

#include <json-c/json.h>

#define HTTP_ANSWER_MAX 131072

struct http_service;
struct http_call;

/* section: auth.http. NULL: there is no url. Counted by its calls. */
struct http_service *http_service_new(struct json_object *section);
void http_service_release(struct http_service *s);

/* NULL: this login cannot be put into a question (no UTF-8). */
struct http_call *http_call_new(struct http_service *s,
    struct slice client_id, struct slice username, struct slice password,
    const char *address);
void http_call_run(struct http_call *c);
enum verdict http_call_verdict(struct http_call *c, struct found *found);
/* After UNAVAILABLE. */
const char *http_call_why(const struct http_call *c);
void http_call_free(struct http_call *c);

/* What an answer says. Pure. */
enum verdict http_answer_read(long status, struct slice body,
    struct found *found);

#endif
