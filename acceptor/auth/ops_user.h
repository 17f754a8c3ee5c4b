/* ops_user - the requests about users; for ops.c. */
#ifndef ACCEPTOR_AUTH_OPS_USER_H
#define ACCEPTOR_AUTH_OPS_USER_H

#include <json-c/json.h>
#include <stdint.h>

void user_list(uint64_t id, struct json_object *args);
void user_add(uint64_t id, struct json_object *args);
void user_passwd(uint64_t id, struct json_object *args);
void user_delete(uint64_t id, struct json_object *args);

/* The database would not take it. */
void ops_not_stored(uint64_t id);

#endif
