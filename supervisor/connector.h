/*
 * connector - the definitions, whatever way they came, and their workers.
 *
 * Each has a file DATA/connectors/NAME.yaml with what must outlive us: its
 * version, whether it is paused, where it starts, and for one made by a
 * request the definition itself. A worker is started when the router has
 * said which stream and offsets it begins with, and that was stored.
 *
 * Connectors, section 1.
 */
#ifndef SUPERVISOR_CONNECTOR_H
#define SUPERVISOR_CONNECTOR_H

#include "supervisor/supervisor.h"

struct connector {
	struct connector *next;
	char *name;
	bool is_from_file;	/* read-only for requests */
	bool is_paused;
	struct json_object *written;
	struct json_object *resolved;	/* NULL: what is stored is faulty */
	uint64_t version;	/* rises when the definition changes */
	char *stream;		/* NULL: not resolved yet */
	struct json_object *start;	/* what stream.resolve said, or NULL */
	bool is_resolving;
	bool is_deleted;	/* its worker is being stopped for good */
	bool wants_erase;	/* then its files go too */
	struct answer answer;	/* who waits for that */
	/* What the file has under its name when its worker is gone, or NULL. */
	struct json_object *next_written, *next_resolved;
	struct child *worker;
};

struct connector *connector_find(const char *name);
struct connector *connector_first(void);
/* False for `enabled: false`: shown as stopped, and nobody is to blame. */
bool connector_is_enabled(const struct connector *c);

/* At the start: those of the configuration and those stored by requests. */
void connectors_load(void);
/* The router is ready: ask for the starts that are missing. */
void connectors_resolve(void);
/* One of the file, as a reload finds it: new or changed. */
void connector_apply(const char *name, struct json_object *written,
    struct json_object *resolved);
/* Left the file: stopped; its offsets and dead letters stay. */
void connector_drop(struct connector *c);
/* Its worker's process is gone for good (tree_remove). */
void connector_on_gone(struct connector *c);

/* For connector_ops.c. */
struct connector *connector_add(const char *name, bool is_from_file);
/* Gives it a definition (loans); version and start follow what changed. */
void connector_define(struct connector *c, struct json_object *written,
    struct json_object *resolved);
/* Takes the router's answer to stream.resolve. */
void connector_place(struct connector *c, struct json_object *start);
bool connector_save(const struct connector *c);
/*
 * A process with what is known now: the first one, or another in place of
 * the one that runs. One that has no place yet is placed first.
 */
void connector_start(struct connector *c);
/* Arguments of stream.resolve; the caller puts them. */
struct json_object *connector_question(const char *name,
    struct json_object *resolved);
/* Stops its worker, then forgets it, with its files if erase. */
void connector_remove(struct connector *c, bool erase);

/* Operations of requests; args is a loan. */
void connector_list(struct answer, struct json_object *args);
void connector_show(struct answer, struct json_object *args);
void connector_create(struct answer, struct json_object *args);
void connector_update(struct answer, struct json_object *args);
void connector_delete(struct answer, struct json_object *args);
void connector_pause(struct answer, struct json_object *args);
void connector_resume(struct answer, struct json_object *args);
void connector_restart(struct answer, struct json_object *args);
void connector_test(struct answer, struct json_object *args);
void connector_types(struct answer, struct json_object *args);

/* Runs the type's program against its target; trial.c. */
void trial_run(struct answer, const char *name, struct json_object *resolved);

#endif
