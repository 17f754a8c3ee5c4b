#include "acceptor/auth/attempt.h"

#include "acceptor/auth/cache.h"
#include "acceptor/auth/desk.h"
#include "acceptor/auth/http_call.h"
#include "acceptor/auth/jwt_login.h"
#include "acceptor/auth/methods.h"
#include "acceptor/auth/password.h"
#include "acceptor/auth/policy.h"
#include "acceptor/auth/pool.h"
#include "acceptor/auth/scram_talk.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "ipc/proc.h"
#include "proto/mqtt/reason.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define CALLERS 8u	/* threads that wait for auth.http */

struct attempt {
	struct pool_job job;	/* first: what the pool knows of it */
	struct attempt *next, **prev;
	uint64_t acceptor, conn;
	struct buf bytes;	/* all of the following */
	struct slice client_id, username, password, address, identity;
	size_t at;		/* of the methods */
	char *hash;		/* that is being checked, or NULL */
	bool is_decoy;		/* nobody's hash */
	uint8_t digest[CACHE_DIGEST_LEN];
	enum verdict verdict;
	/* What a method has found beside. */
	struct found found;
	struct http_call *call;
	atomic_bool is_cancelled;
};

static struct {
	struct attempt *first;
	struct cache *cache;
	struct pool *hashers, *callers;
	char *decoy;
	uint64_t begun, allowed, denied, cached, hashed;
} attempts;

void
attempt_init(void)
{
	static const uint8_t salt[16] = {1};
	uint8_t key[32];
	struct buf b;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		fatal("no random bytes");
	attempts.cache = cache_new(key);
	buf_init(&b);
	/* Nobody knows its password: half of the process's own key. */
	if (!password_hash(slice_of(key, 16), salt, &b))
		fatal("argon2 does not work");
	explicit_bzero(key, sizeof(key));
	attempts.decoy = slice_dup(buf_slice(&b));
	buf_fini(&b);
	attempts.hashers = pool_open(proc_loop(),
	    cpus < 2 ? 2 : cpus > 8 ? 8 : (unsigned)cpus);
}

struct pool *
attempt_hashers(void)
{
	return attempts.hashers;
}

/* ---- life ----------------------------------------------------------------- */

static struct slice
part(struct attempt *a, size_t *at, struct slice s)
{
	struct slice copy = slice_of(buf_data(&a->bytes) + *at, s.len);

	*at += s.len;
	return slice_is_null(s) ? SLICE_NULL : copy;
}

static struct attempt *
attempt_new(uint64_t acceptor, const struct ipc_auth_ask *q)
{
	struct attempt *a = mem_zalloc(1, sizeof(*a));
	size_t at = 0;

	a->acceptor = acceptor;
	a->conn = q->conn;
	buf_add_slice(&a->bytes, q->client_id);
	buf_add_slice(&a->bytes, q->username);
	buf_add_slice(&a->bytes, q->password);
	buf_add_slice(&a->bytes, q->address);
	buf_add_slice(&a->bytes, q->identity);
	a->client_id = part(a, &at, q->client_id);
	a->username = part(a, &at, q->username);
	a->password = part(a, &at, q->password);
	a->address = part(a, &at, q->address);
	a->identity = part(a, &at, q->identity);
	if (!q->has_password)
		a->password = SLICE_NULL;
	a->next = attempts.first;
	if (a->next != NULL)
		a->next->prev = &a->next;
	a->prev = &attempts.first;
	attempts.first = a;
	attempts.begun++;
	return a;
}

static void
hash_drop(struct attempt *a)
{
	if (a->hash != NULL)
		explicit_bzero(a->hash, strlen(a->hash));
	free(a->hash);
	a->hash = NULL;
}

static void
attempt_free(struct attempt *a)
{
	*a->prev = a->next;
	if (a->next != NULL)
		a->next->prev = a->prev;
	hash_drop(a);
	http_call_free(a->call);
	buf_fini(&a->found.username);
	buf_fini(&a->found.rules);
	if (a->bytes.p != NULL)
		explicit_bzero(a->bytes.p, a->bytes.cap);
	buf_fini(&a->bytes);
	free(a);
}

static void
attempt_answer(struct attempt *a, uint8_t reason)
{
	struct ipc_auth_answer m = {.conn = a->conn, .reason = reason};

	if (reason == MQTT_SUCCESS)
		attempts.allowed++;
	else
		attempts.denied++;
	if (reason == MQTT_SUCCESS && buf_len(&a->found.username) > 0)
		m.username = buf_slice(&a->found.username);
	if (reason == MQTT_SUCCESS && buf_len(&a->found.rules) > 0)
		m.rules = buf_slice(&a->found.rules);
	if (!a->is_cancelled)
		desk_answer(a->acceptor, &m);
	attempt_free(a);
}

/* ---- users ---------------------------------------------------------------- */

static void
hash_run(struct pool_job *job)
{
	struct attempt *a = (struct attempt *)job;

	a->verdict = DENIED;
	if (!a->is_cancelled && password_verify(a->hash, a->password))
		a->verdict = ALLOWED;
}

static void attempt_go(struct attempt *a, enum verdict v);

static void
hash_done(struct pool_job *job)
{
	struct attempt *a = (struct attempt *)job;
	const struct user *u = policy_user(a->username);
	enum verdict v = a->verdict;

	attempts.hashed++;
	/* Its password may be another one by now, or it may be gone. */
	if (v == ALLOWED && (a->is_decoy || u == NULL ||
	    strcmp(u->hash, a->hash) != 0))
		v = DENIED;
	if (v == ALLOWED && policy.cache_ms > 0)
		cache_put(attempts.cache, a->digest,
		    clock_mono_ms() + policy.cache_ms);
	hash_drop(a);
	attempt_go(a, v);
}

/*
 * Whether there is such a user must not be seen from how long it takes;
 * where another method follows, that one decides.
 */
static enum verdict
users_try(struct attempt *a)
{
	const struct user *u = a->username.len == 0 ? NULL :
	    policy_user(a->username);
	bool is_last = a->at + 1 == methods.count;

	if (slice_is_null(a->password) || (u == NULL && !is_last))
		return UNKNOWN;
	a->is_decoy = u == NULL;
	a->hash = mem_strdup(u == NULL ? attempts.decoy : u->hash);
	if (!cache_digest(attempts.cache, a->username, slice_str(a->hash),
	    a->password, a->digest))
		return DENIED;
	if (!a->is_decoy && cache_has(attempts.cache, a->digest,
	    clock_mono_ms())) {
		attempts.cached++;
		hash_drop(a);
		return ALLOWED;
	}
	a->job.run = hash_run;
	a->job.done = hash_done;
	pool_put(attempts.hashers, &a->job);
	return PENDING;
}

/* ---- the others ----------------------------------------------------------- */

static enum verdict
jwt_try(struct attempt *a)
{
	const char *why = NULL;
	enum verdict v = jwt_login(methods.jwt, a->client_id, a->username,
	    a->password, clock_wall_ms() / 1000, &a->found, &why);

	if (v == DENIED)
		log_limited(LOG_INFO, "a token was refused: %s", why);
	return v;
}

static void
http_run(struct pool_job *job)
{
	struct attempt *a = (struct attempt *)job;

	if (!a->is_cancelled)
		http_call_run(a->call);
}

static void
http_done(struct pool_job *job)
{
	struct attempt *a = (struct attempt *)job;
	enum verdict v = http_call_verdict(a->call, &a->found);

	if (v == UNAVAILABLE)
		log_limited(LOG_WARN, "auth.http gives no answer: %s",
		    http_call_why(a->call));
	http_call_free(a->call);
	a->call = NULL;
	attempt_go(a, v);
}

static enum verdict
http_try(struct attempt *a)
{
	char *address = slice_dup(a->address);

	a->call = http_call_new(methods.http, a->client_id, a->username,
	    a->password, address);
	free(address);
	if (a->call == NULL)
		return UNKNOWN;
	if (attempts.callers == NULL)
		attempts.callers = pool_open(proc_loop(), CALLERS);
	a->job.run = http_run;
	a->job.done = http_done;
	pool_put(attempts.callers, &a->job);
	return PENDING;
}

/* ---- the methods in order ------------------------------------------------- */

static enum verdict
method_try(struct attempt *a)
{
	switch (methods.order[a->at]) {
	case METHOD_USERS:
		return users_try(a);
	case METHOD_JWT:
		return jwt_try(a);
	case METHOD_HTTP:
		return http_try(a);
	case METHODS:
		break;
	}
	return UNKNOWN;
}

/* v: what the method at a->at has found. */
static void
attempt_go(struct attempt *a, enum verdict v)
{
	while (v == UNKNOWN && !a->is_cancelled && ++a->at < methods.count)
		v = method_try(a);
	if (v == PENDING)
		return;
	attempt_answer(a, v == ALLOWED ? MQTT_SUCCESS : v == UNAVAILABLE ?
	    MQTT_SERVER_UNAVAILABLE : MQTT_BAD_USER_NAME_OR_PASSWORD);
}

static void
attempt_start(struct attempt *a)
{
	if (!policy_needs_login() || !slice_is_null(a->identity)) {
		attempt_answer(a, MQTT_SUCCESS);
		return;
	}
	if (slice_is_null(a->username) && slice_is_null(a->password)) {
		attempt_answer(a, policy.allow_anonymous ? MQTT_SUCCESS :
		    MQTT_NOT_AUTHORIZED);
		return;
	}
	a->at = SIZE_MAX;
	attempt_go(a, UNKNOWN);
}

void
attempt_begin(uint64_t acceptor, const struct ipc_auth_ask *q)
{
	if (!slice_is_null(q->method))
		scram_talk(acceptor, q);
	else
		attempt_start(attempt_new(acceptor, q));
}

/* A cancelled one is freed when the pool is done with it. */
void
attempt_cancel(uint64_t acceptor, uint64_t conn)
{
	struct attempt *a;

	scram_talk_cancel(acceptor, conn);
	for (a = attempts.first; a != NULL; a = a->next)
		if (a->acceptor == acceptor && a->conn == conn)
			a->is_cancelled = true;
}

void
attempt_cancel_all(uint64_t acceptor)
{
	struct attempt *a;

	scram_talk_cancel_all(acceptor);
	for (a = attempts.first; a != NULL; a = a->next)
		if (a->acceptor == acceptor)
			a->is_cancelled = true;
}

void
attempt_metrics(struct json_object *m)
{
	metrics_counter(m, "bulkhead_auth_attempts_total",
	    "logins that acceptors asked about", attempts.begun, NULL);
	metrics_counter(m, "bulkhead_auth_allowed_total",
	    "logins that were allowed", attempts.allowed, NULL);
	metrics_counter(m, "bulkhead_auth_denied_total",
	    "logins that were refused", attempts.denied, NULL);
	metrics_counter(m, "bulkhead_auth_cached_total",
	    "logins that were remembered", attempts.cached, NULL);
	metrics_counter(m, "bulkhead_auth_hashes_total",
	    "password hashes that were computed", attempts.hashed, NULL);
}
