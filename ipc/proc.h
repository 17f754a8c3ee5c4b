/*
 * proc - the skeleton of every child of the supervisor.
 *
 * main.c is a table: struct proc_ops and one call of proc_run. The skeleton
 * owns the loop, the control channel (descriptor 3), the event ring, the
 * answer to pings, the privilege drop, the limits, crash handlers, and the
 * turn: handlers, then ops->on_prepare, then link_flush_all, then the block.
 *
 * Order of calls: on_setup (configuration read, privileges already dropped,
 * current directory = data folder), then on_link / on_listener as they come,
 * on_links_done, ... on_shutdown. The child says proc_ready itself.
 *
 * Architecture, section 1.
 */
#ifndef IPC_PROC_H
#define IPC_PROC_H

#include "ipc/link.h"

#include <json-c/json.h>

struct proc_ops {
	enum ipc_kind kind;
	/* The loan of config ends with the call (json_object_get keeps). */
	void (*on_setup)(struct json_object *config);
	void (*on_reconfigure)(struct json_object *config);
	/* fd is the callee's; name "router", "mqtt", "connector.x", ... */
	void (*on_link)(enum ipc_kind kind, const char *name,
	    uint64_t incarnation, int fd);
	void (*on_links_done)(uint32_t acceptors);
	/* fd is the callee's. */
	void (*on_listener)(const struct ipc_listener *l, int fd);
	void (*on_listener_gone)(uint32_t id);
	/* Answer now or later by proc_reply; args is a loan. */
	void (*on_request)(uint64_t id, struct slice op,
	    struct json_object *args);
	void (*on_reply)(uint64_t id, uint16_t status, struct slice body);
	/* Finish, then proc_exit(0). */
	void (*on_shutdown)(uint32_t deadline_ms);
	/* Last call before links are flushed and the loop blocks. */
	void (*on_prepare)(void);
	/* Extra DAC override kept after the privilege drop (file sinks). */
	bool keeps_dac_override;
};

/* Does not return before the end of the process. */
int proc_run(const struct proc_ops *ops, int argc, char **argv);

struct ev_loop *proc_loop(void);
const char *proc_name(void);		/* as in status */
uint64_t proc_incarnation(void);	/* random, of this process */
int proc_marker_fd(void);		/* memfd of a worker, or -1 */
struct link *proc_control(void);	/* to the supervisor */

void proc_ready(void);
/* Says why a restart cannot help, flushes, exits. */
_Noreturn void proc_park(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
/* Shows a reason in status; NULL or "" takes it back. */
void proc_degraded(const char *key, const char *reason);
void proc_state(const char *state, const char *reason);	/* workers */
_Noreturn void proc_exit(int status);

/* Answers a request; body is put (json_object_put) by the call. */
void proc_reply(uint64_t id, uint16_t status, struct json_object *body);
void proc_reply_error(uint64_t id, uint16_t status, const char *code,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
