#include "acceptor/auth/ops_user.h"

#include "acceptor/auth/attempt.h"
#include "acceptor/auth/desk.h"
#include "acceptor/auth/password.h"
#include "acceptor/auth/policy.h"
#include "acceptor/auth/pool.h"
#include "base/json.h"
#include "base/mem.h"
#include "ipc/proc.h"

#include <openssl/rand.h>
#include <stdlib.h>

#define NAME_MAX_LEN 1024
#define PASSWORD_MAX_LEN 1024
#define SCRAM_ITERATIONS 10000

/* A user whose hash is being made. */
struct making {
	struct pool_job job;	/* first */
	uint64_t id;		/* of the request */
	bool is_new;
	char *name, *password;
	uint8_t salt[16], scram_salt[16];
	struct buf hash;
	struct scram_secret scram;
	bool is_good;
};

static void
user_json(const struct user *u, void *arg)
{
	struct json_object *list = arg, *o = json_object_new_object();

	json_add_str(o, "name", u->name);
	json_add_str(o, "source", users_find(policy.file_users,
	    slice_str(u->name)) == u ? "file" : "database");
	json_add_bool(o, "scram", u->has_scram);
	json_object_array_add(list, o);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(
	    json_get_str(*(struct json_object *const *)a, "name", ""),
	    json_get_str(*(struct json_object *const *)b, "name", ""));
}

void
user_list(uint64_t id, struct json_object *args)
{
	struct json_object *list = json_object_new_array();

	(void)args;
	users_each(policy.file_users, user_json, list);
	users_each(policy.own_users, user_json, list);
	json_object_array_sort(list, by_name);
	proc_reply(id, 200, list);
}

static void
making_free(struct making *m)
{
	explicit_bzero(m->password, strlen(m->password));
	explicit_bzero(&m->scram, sizeof(m->scram));
	free(m->name);
	free(m->password);
	if (m->hash.p != NULL)
		explicit_bzero(m->hash.p, m->hash.cap);
	buf_fini(&m->hash);
	free(m);
}

static void
making_run(struct pool_job *job)
{
	struct making *m = (struct making *)job;
	struct slice password = slice_str(m->password);

	m->is_good = password_hash(password, m->salt, &m->hash) &&
	    scram_secret_make(&m->scram, password,
		slice_of(m->scram_salt, sizeof(m->scram_salt)),
		SCRAM_ITERATIONS);
}

static void
making_done(struct pool_job *job)
{
	struct making *m = (struct making *)job;
	struct slice name = slice_str(m->name);
	struct json_object *o;

	if (!m->is_good) {
		proc_reply_error(m->id, 500, "failed",
		    "the password could not be hashed");
	} else if (m->is_new != (users_find(policy.own_users, name) ==
	    NULL)) {
		proc_reply_error(m->id, 409, "conflict", "the user was "
		    "changed by somebody else meanwhile");
	} else if (!policy_put_user(name, buf_slice(&m->hash), &m->scram)) {
		ops_not_stored(m->id);
	} else {
		desk_tell();
		if (!m->is_new)
			desk_end(name);
		o = json_object_new_object();
		json_add_str(o, "name", m->name);
		proc_reply(m->id, m->is_new ? 201 : 200, o);
	}
	making_free(m);
}

static void
user_make(uint64_t id, struct json_object *args, bool is_new)
{
	const char *password = json_get_str(args, "password", "");
	struct making *m;

	if (password[0] == '\0' || strlen(password) > PASSWORD_MAX_LEN) {
		proc_reply_error(id, 422, "invalid", "a password has 1 to %d "
		    "bytes", PASSWORD_MAX_LEN);
		return;
	}
	m = mem_zalloc(1, sizeof(*m));
	m->job.run = making_run;
	m->job.done = making_done;
	m->id = id;
	m->is_new = is_new;
	m->name = mem_strdup(json_get_str(args, "name", ""));
	m->password = mem_strdup(password);
	if (RAND_bytes(m->salt, sizeof(m->salt)) != 1 ||
	    RAND_bytes(m->scram_salt, sizeof(m->scram_salt)) != 1) {
		proc_reply_error(id, 500, "failed", "no random bytes");
		making_free(m);
		return;
	}
	pool_put(attempt_hashers(), &m->job);
}

void
user_add(uint64_t id, struct json_object *args)
{
	const char *name = json_get_str(args, "name", "");

	if (name[0] == '\0' || strlen(name) > NAME_MAX_LEN)
		proc_reply_error(id, 422, "invalid",
		    "a user's name has 1 to %d bytes", NAME_MAX_LEN);
	else if (policy_user(slice_str(name)) != NULL)
		proc_reply_error(id, 409, "exists",
		    "there is a user of this name already");
	else
		user_make(id, args, true);
}

/* One of the database by this name; else it was answered. */
static bool
expect_own(uint64_t id, struct slice name)
{
	if (users_find(policy.own_users, name) != NULL)
		return true;
	if (policy_user(name) != NULL)
		proc_reply_error(id, 409, "read_only",
		    "the user stands in auth.users_file: change it there");
	else
		proc_reply_error(id, 404, "not_found",
		    "there is no user of this name");
	return false;
}

void
user_passwd(uint64_t id, struct json_object *args)
{
	if (expect_own(id, slice_str(json_get_str(args, "name", ""))))
		user_make(id, args, false);
}

void
user_delete(uint64_t id, struct json_object *args)
{
	struct slice name = slice_str(json_get_str(args, "name", ""));

	if (!expect_own(id, name))
		return;
	if (!policy_remove_user(name)) {
		ops_not_stored(id);
		return;
	}
	desk_tell();
	desk_end(name);
	proc_reply(id, 200, json_object_new_object());
}
