/* run - what the supervisor's frames call; main.c has them in its table. */
#ifndef CONNECTOR_WORKER_RUN_H
#define CONNECTOR_WORKER_RUN_H

#include "ipc/proc.h"

void worker_setup(struct json_object *config);
void worker_reconfigure(struct json_object *config);
void worker_link(enum ipc_kind kind, const char *name, uint64_t incarnation,
    int fd);
void worker_shutdown(uint32_t deadline_ms);
void worker_turn(void);
void request_handle(uint64_t id, struct slice op, struct json_object *args);

#endif
