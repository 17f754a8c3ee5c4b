/*
 * page - the rows of a list, `limit` at a time from `cursor`.
 *
 * What answers a list may page by itself, then it gives {"items", "cursor"};
 * or it gives all rows, as an array or as an object that holds one. Either
 * way the page is {"items": [...], "cursor": text or null}. Pure.
 */
#ifndef ADMIN_SERVER_PAGE_H
#define ADMIN_SERVER_PAGE_H

#include <json-c/json.h>

#define PAGE_LIMIT 1000		/* rows, where the request names no limit */
#define PAGE_LIMIT_MAX 10000

/* args hold the request's limit and cursor; the caller puts the result. */
struct json_object *page_new(struct json_object *body,
    struct json_object *args);

#endif
