/*
 * listener_options - what an acceptor is told of a listener: its options
 * with the texts of the files they name, which only the supervisor may read,
 * and the keys of session tickets, which its acceptors share.
 */
#ifndef SUPERVISOR_LISTENER_OPTIONS_H
#define SUPERVISOR_LISTENER_OPTIONS_H

#include <json-c/json.h>

/* JSON text, the caller's; NULL with the reason. */
char *listener_options(struct json_object *listener, char *why, size_t size);
/* A new key for tickets; the last two are taken still. */
void tickets_turn(void);

#endif
