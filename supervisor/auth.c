#include "supervisor/auth.h"

#include "base/json.h"
#include "supervisor/setup.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define DATABASE "auth/auth.db"

static const struct {
	const char *section;	/* of `auth`, or NULL */
	const char *option;
	const char *name;
} sources[] = {{NULL, "users_file", "users"}, {NULL, "acl_file", "acl"},
    {"jwt", "key_file", "jwt_key"}};

static struct {
	struct json_object *now;	/* in use */
	struct json_object *next;	/* read by a reload under way */
} files;

bool
auth_is_needed(struct json_object *config)
{
	struct json_object *auth = json_member(config, "auth");

	return auth_is_configured(auth) ||
	    json_get_str(auth, "acl_file", NULL) != NULL ||
	    faccessat(tree.data_fd, DATABASE, F_OK, 0) == 0 ||
	    tree_find("auth") != NULL;
}

static void
children_tell(enum ipc_kind kind)
{
	struct json_object *config;
	struct child *c;

	for (c = tree.children; c != NULL; c = c->next) {
		if (c->kind != kind || !child_is_linked(c))
			continue;
		config = setup_child(c);
		link_put_reconfigure(c->link,
		    &(struct ipc_reconfigure){.config = json_text(config)});
		json_object_put(config);
	}
}

struct child *
auth_start(void)
{
	struct child *c = tree_find("auth");

	if (c != NULL)
		return c;
	c = tree_add(KIND_AUTH, "auth", "auth");
	child_event(c, LIFE_EVENT_START);
	return c;
}

bool
auth_files_read(struct json_object *config, char *why, size_t size)
{
	struct json_object *auth = json_member(config, "auth");
	struct json_object *next = json_object_new_object();
	struct buf text;
	const char *path;
	bool is_good = true;

	buf_init(&text);
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		path = json_get_str(sources[i].section == NULL ? auth :
		    json_member(auth, sources[i].section), sources[i].option,
		    NULL);
		if (path == NULL || !is_good)
			continue;
		buf_clear(&text);
		is_good = reload_read(path, &text, why, size);
		json_add_slice(next, sources[i].name, buf_slice(&text));
	}
	if (text.p != NULL)
		explicit_bzero(text.p, text.cap);
	buf_fini(&text);
	json_object_put(files.next);
	files.next = next;
	if (files.now == NULL)
		auth_files_commit();
	return is_good;
}

void
auth_files_commit(void)
{
	if (files.next == NULL)
		return;
	json_object_put(files.now);
	files.now = files.next;
	files.next = NULL;
}

struct json_object *
auth_files(void)
{
	return files.now;
}

void
auth_reload(void)
{
	if (!auth_is_needed(tree.config->resolved))
		return;
	/* Acceptors first: nobody slips in between. */
	children_tell(KIND_ACCEPTOR);
	auth_start();
	children_tell(KIND_AUTH);
}
