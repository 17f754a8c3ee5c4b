/*
 * crash - reports of processes that died: DATA/crashes/ID.json.
 *
 * Written from what the supervisor holds of the dead: its exit, and the
 * memfd ring with its last events and, where it could still write one, its
 * backtrace. The newest CRASHES_KEPT are kept.
 */
#ifndef SUPERVISOR_CRASH_H
#define SUPERVISOR_CRASH_H

#include "supervisor/supervisor.h"

#define CRASHES_KEPT 100

/* Writes c's report; its id into id, "" if it could not be written. */
void crash_write(const struct child *c, char *id, size_t size);

void crash_list(struct answer, struct json_object *args);
void crash_show(struct answer, struct json_object *args);

#endif
