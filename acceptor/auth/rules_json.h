/*
 * rules_json - access rules as tokens and services give them. Pure.
 *
 * A list of rules, each a line as in the ACL file, or an object with lists
 * of filters under publish, subscribe and both, which are allowed.
 */
#ifndef ACCEPTOR_AUTH_RULES_JSON_H
#define ACCEPTOR_AUTH_RULES_JSON_H

#include "base/buf.h"

#include <json-c/json.h>

#define RULES_LEN_MAX 65536

/* Appends the lines; false: not of that form, or too much. */
bool rules_json_get(struct json_object *o, struct buf *lines);

#endif
