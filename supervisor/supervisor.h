/*
 * supervisor - what the files of this room share: the tree of children.
 *
 * One loop, one thread. Children are listed from the moment they are
 * configured, whether a process exists or not; listeners are opened once
 * and kept.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include "base/config.h"
#include "ipc/link.h"
#include "supervisor/life.h"

#include <sys/types.h>

struct connector;

/* A reason that a child wants shown in status. */
struct complaint {
	struct complaint *next;
	char *key;
	char *reason;
	uint64_t since_ms;	/* wall */
};

struct last_exit {
	bool is_set;
	int signal;		/* 0: it exited */
	int status;
	bool is_own_crash;
	uint64_t at_ms;		/* wall */
	char crash[80];		/* id of the report, "" for none */
};

struct child {
	struct child *next;
	char *name;		/* as in status */
	enum ipc_kind kind;
	char *program;		/* file in libexec */
	char *protocol;		/* of an acceptor */
	unsigned instance;	/* of an acceptor, from 0 */
	struct connector *connector;	/* of a worker */
	uid_t uid;

	enum life_state state;
	struct life_backoff backoff;
	bool is_held;		/* waits for the router's first answers */
	bool is_doomed;		/* free it when its process is gone */
	uint64_t since_ms;	/* wall: of the state */
	unsigned restarts;	/* after deaths that nobody asked for */
	char *reason;		/* why it is not running, or NULL */
	ev_timer timer;

	uint64_t session;	/* of its channel: a new process, a new one */
	pid_t pid;		/* 0: no process */
	int pidfd;
	ev_io reaper;
	struct link *link;	/* control channel, NULL when it is closed */
	bool is_reaped;
	int wait_status;	/* of waitid: si_status, with wait_code */
	int wait_code;
	uint64_t incarnation;
	uint64_t ready_ms;	/* monotonic; 0: not ready yet */
	uint64_t started_ms;	/* monotonic */

	int ring;
	int marker;		/* of a worker, kept over its processes */
	bool awaits_pong;
	uint64_t silent_ms;
	uint64_t ping_seq;
	bool is_barked;		/* the watchdog has sent SIGABRT */

	char *worker_state;	/* what a worker said last, or NULL */
	char *worker_reason;
	struct complaint *complaints;
	struct last_exit last_exit;
	uint64_t cpu_ticks;	/* at the last sample */
	uint64_t cpu_sampled_us;
	double cpu_percent;
};

struct listener {
	uint32_t id;
	char *protocol;		/* "admin" for ours */
	char *transport;
	char *bind;
	char *options;		/* JSON, with keys in it */
	int fd;
};

/* One broker. */
struct tree {
	struct ev_loop *loop;
	const char *libexec;
	const char *config_file;	/* NULL: the embedded default */
	char *data;			/* absolute */
	int data_fd;
	bool is_root;
	struct config_input input;
	struct connector_types types;
	struct config *config;
	struct child *children;
	struct listener *listeners;
	size_t listener_count;
	uint32_t listener_ids;		/* given out so far */
	uint64_t started_ms;		/* monotonic */
	uint64_t incarnation;
	uint64_t sessions;		/* the last child.session */
	bool is_stopping;
	bool is_open;			/* the router has answered: all started */
	int exit_status;
};

extern struct tree tree;

/* ---- tree.c ---------------------------------------------------------- */
struct child *tree_add(enum ipc_kind kind, const char *name,
    const char *program);
void tree_add_acceptors(void);
/* Stops it if it runs; freed when its process is gone. */
void tree_remove(struct child *c);
struct child *tree_find(const char *name);
struct child *tree_find_kind(enum ipc_kind kind);	/* the only one */
/* The router answered for the first time: everybody else may start. */
void tree_open(void);
/* A child came to rest: the stop goes on, the doomed are freed. */
void tree_on_rest(struct child *c);

/* ---- child.c --------------------------------------------------------- */
void child_event(struct child *c, enum life_event e);
bool child_is_linked(const struct child *c);	/* has a process to talk to */
void child_reason(struct child *c, const char *reason);
void child_kill(struct child *c, int signo);
void child_free(struct child *c);
/* For child_ops only. */
void child_on_close(struct link *l, const char *reason);
/* The state as status names it: running, starting, backoff, ... */
const char *child_state(const struct child *c);

/* ---- handle.c -------------------------------------------------------- */
extern const struct link_ops child_ops;
void complaints_clear(struct child *c);

/* ---- wire.c ---------------------------------------------------------- */
/* Sends a new process its setup, listeners and links. */
void wire_child(struct child *c, struct json_object *config);
/* Tells those who serve it that it is there, has changed, or is gone. */
void wire_listener(const struct listener *l, bool is_gone);

/* ---- listener.c ------------------------------------------------------ */
/* Opens every listener of the configuration; the reason on failure. */
const char *listeners_open(void);
/*
 * Those of a new configuration: sockets are opened and files read before
 * anything is changed. Returns the reason on failure; after success call
 * listeners_commit, which also passes on what the files say now.
 */
const char *listeners_prepare(struct json_object *config);
void listeners_commit(void);
void listeners_close(void);

/* ---- data.c ---------------------------------------------------------- */
/* Makes, locks and owns the data folder; the reason on failure. */
const char *data_open(const char *path);
/* Writes a file of the folder: whole, 0600, synced, renamed. */
bool data_write(const char *name, struct slice text);
/* Reads one; false when there is none (errno). */
bool data_read(const char *name, struct buf *text);

/* ---- watchdog.c ------------------------------------------------------ */
void watchdog_start(void);
void watchdog_on_pong(struct child *c, uint64_t seq);

/* ---- stop.c ---------------------------------------------------------- */
/* In order: acceptors, workers, router, admin-server; then the loop ends. */
void stop_begin(int exit_status);
void stop_next(void);

/* ---- status.c -------------------------------------------------------- */
struct json_object *status_json(void);
struct json_object *status_metrics(void);
void status_sample_cpu(void);

/* ---- request.c ------------------------------------------------------- */
/* A question of a child; answered now or later. */
void request_on(struct child *asker, const struct ipc_request *m);
void request_on_reply(struct child *from, const struct ipc_reply *m);
/* Its questions are dropped, those to it answered with 503. */
void request_on_gone(struct child *c);

/*
 * A question of our own. done is called once; body is a loan, NULL when it
 * is no JSON. args is a loan. A child that is not there answers 503.
 */
typedef void request_done(void *arg, unsigned status,
    struct json_object *body);
void request_ask(struct child *to, const char *op, struct json_object *args,
    request_done *done, void *arg);

/* Where an answer goes: may outlive its asker. */
struct answer {
	uint64_t asker;		/* child.session, 0 for nobody */
	uint64_t id;
};
/* body is put by the call. */
void answer_json(struct answer, unsigned status, struct json_object *body);
void answer_error(struct answer, unsigned status, const char *code,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void answer_faults(struct answer, const struct faults *);

/* ---- reload.c -------------------------------------------------------- */
/* The text of the file; false with the reason. */
bool reload_read(const char *file, struct buf *text, char *why, size_t size);
/* Answers nobody when asker is 0; logs the plan either way. */
void reload_run(struct answer);
void reload_plan(struct answer, struct slice text);

#endif
