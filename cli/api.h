/*
 * api - requests to the HTTP API over the admin socket.
 *
 * The socket is found once: --socket, $BULKHEAD_SOCKET, else the first of
 * the two default places that somebody listens on. Whoever cannot reach one
 * ends the command with EXIT_NOT_RUNNING.
 */
#ifndef CLI_API_H
#define CLI_API_H

#include "cli/command.h"

#include "base/slice.h"

#include <json-c/json.h>

/* False after it said that nothing runs. */
bool api_open(const struct invocation *in);
const char *api_socket(void);
/* The process that listens on the socket, 0 = unknown. */
int api_server_pid(void);

struct api_answer {
	unsigned status;
	struct json_object *body;	/* NULL: none, or no JSON */
};

/*
 * path is below /api/v1. The body may be NULL. False: said why, the exit
 * status is in *exit. An answer of 400 and above is such a failure.
 */
bool api_call(const char *method, const char *path, struct json_object *body,
    struct api_answer *answer, int *exit_status);
void api_answer_fini(struct api_answer *answer);
/* The same with any body; type is its media type. */
bool api_send(const char *method, const char *path, const char *type,
    struct slice body, struct api_answer *answer, int *exit_status);

/* Lines as they come; false from the callback ends it. The exit status. */
int api_stream(const char *path, bool (*on_line)(void *arg, struct slice),
    void *arg);

/*
 * "/connectors/{1}/dlq" with the arguments in place, percent-encoded; the
 * caller frees it.
 */
char *api_path(const char *pattern, const struct invocation *in);
/* Appends "?name=value" or "&name=value", encoded; frees path. */
char *api_query(char *path, const char *name, const char *value);

/* "bulkhead: ..." on stderr, one line; control characters are replaced. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
