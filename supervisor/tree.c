#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/connector.h"
#include "supervisor/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tree tree;

static uid_t
uid_of(enum ipc_kind kind)
{
	static const uid_t uids[KIND_COUNT] = {[KIND_ROUTER] = UID_ROUTER,
	    [KIND_ACCEPTOR] = UID_ACCEPTOR, [KIND_WORKER] = UID_WORKER,
	    [KIND_ADMIN] = UID_ADMIN, [KIND_AUTH] = UID_AUTH};

	return tree.is_root ? uids[kind] : 0;
}

struct child *
tree_add(enum ipc_kind kind, const char *name, const char *program)
{
	struct child *c = mem_zalloc(1, sizeof(*c)), **at = &tree.children;

	c->kind = kind;
	c->name = mem_strdup(name);
	c->program = mem_strdup(program);
	c->uid = uid_of(kind);
	c->is_held = true;
	c->since_ms = clock_wall_ms();
	c->ring = c->marker = c->pidfd = -1;
	while (*at != NULL)
		at = &(*at)->next;
	*at = c;
	return c;
}

/* mqtt, mqtt.1, ...: n processes share the listeners of a protocol. */
static void
acceptors_add(const char *protocol)
{
	uint64_t i, n = json_get_u64(json_member(tree.config->resolved,
	    "acceptors"), protocol, 1);
	char name[64], program[64];
	struct child *c;

	snprintf(program, sizeof(program), "acceptor-%s", protocol);
	for (i = 0; i < n; i++) {
		if (i == 0)
			snprintf(name, sizeof(name), "%s", protocol);
		else
			snprintf(name, sizeof(name), "%s.%u", protocol,
			    (unsigned)i);
		c = tree_add(KIND_ACCEPTOR, name, program);
		c->protocol = mem_strdup(protocol);
		c->instance = (unsigned)i;
	}
}

void
tree_add_acceptors(void)
{
	struct json_object *list = json_member(tree.config->resolved,
	    "listeners");
	const char *protocol;
	size_t i, n = list == NULL ? 0 : json_object_array_length(list);

	for (i = 0; i < n; i++) {
		protocol = json_get_str(json_object_array_get_idx(list, i),
		    "protocol", "");
		if (tree_find(protocol) == NULL)
			acceptors_add(protocol);
	}
}

static void
tree_unlink(struct child *c)
{
	struct child **at = &tree.children;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

static void
child_bury(struct child *c)
{
	struct connector *connector = c->connector;

	tree_unlink(c);
	request_on_gone(c);
	child_free(c);
	if (connector != NULL)
		connector_on_gone(connector);
}

void
tree_remove(struct child *c)
{
	c->is_doomed = true;
	c->is_held = false;
	if (life_is_alive(c->state) || c->state == LIFE_BACKOFF ||
	    c->state == LIFE_PARKED)
		child_event(c, LIFE_EVENT_STOP);
	else
		child_bury(c);
}

struct child *
tree_find(const char *name)
{
	struct child *c;

	for (c = tree.children; c != NULL; c = c->next)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

struct child *
tree_find_kind(enum ipc_kind kind)
{
	struct child *c;

	for (c = tree.children; c != NULL; c = c->next)
		if (c->kind == kind)
			return c;
	return NULL;
}

void
tree_open(void)
{
	struct child *c;

	if (tree.is_open || tree.is_stopping)
		return;
	tree.is_open = true;
	for (c = tree.children; c != NULL; c = c->next)
		if (c->is_held && c->kind == KIND_ACCEPTOR)
			child_event(c, LIFE_EVENT_START);
}

void
tree_on_rest(struct child *c)
{
	bool is_doomed = c->is_doomed && !life_is_alive(c->state);

	if (is_doomed && c->state == LIFE_PARKED)
		c->state = LIFE_IDLE;
	if (is_doomed)
		child_bury(c);
	if (tree.is_stopping)
		stop_next();
}
