#include "acceptor/auth/scram_talk.h"

#include "acceptor/auth/desk.h"
#include "acceptor/auth/policy.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proto/mqtt/reason.h"

#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#define NONCE_LEN 24
#define DECOY_ITERATIONS 10000

struct talk {
	struct talk *next;
	uint64_t acceptor, conn;
	struct scram scram;
	bool is_decoy;		/* no such user */
};

static struct {
	struct talk *first;
	size_t count;
	uint8_t key[32];	/* of the salts of users who are not */
	bool has_key;
} talks;

static struct talk **
talk_find(uint64_t acceptor, uint64_t conn)
{
	struct talk **at = &talks.first;

	while (*at != NULL &&
	    ((*at)->acceptor != acceptor || (*at)->conn != conn))
		at = &(*at)->next;
	return at;
}

static void
talk_end(struct talk **at)
{
	struct talk *t = *at;

	*at = t->next;
	talks.count--;
	scram_fini(&t->scram);
	free(t);
}

static void
answer(uint64_t acceptor, uint64_t conn, uint8_t reason, struct slice data,
    struct slice username)
{
	desk_answer(acceptor, &(struct ipc_auth_answer){.conn = conn,
	    .reason = reason, .data = data, .username = username});
}

/* The same salt for a name each time, as a user's would be. */
static bool
decoy_make(struct slice name, struct scram_secret *s)
{
	uint8_t salt[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (!talks.has_key && RAND_bytes(talks.key, sizeof(talks.key)) != 1)
		return false;
	talks.has_key = true;
	*s = (struct scram_secret){.iterations = DECOY_ITERATIONS,
	    .salt_len = 16};
	if (HMAC(EVP_sha256(), talks.key, sizeof(talks.key), name.p, name.len,
	    salt, &n) == NULL)
		return false;
	memcpy(s->salt, salt, 16);
	return RAND_bytes(s->stored_key, SCRAM_KEY_LEN) == 1 &&
	    RAND_bytes(s->server_key, SCRAM_KEY_LEN) == 1;
}

static bool
nonce_make(char nonce[NONCE_LEN + 1])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"
	    "mnopqrstuvwxyz0123456789-_";
	uint8_t random[NONCE_LEN];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	for (size_t i = 0; i < NONCE_LEN; i++)
		nonce[i] = letters[random[i] & 63];
	nonce[NONCE_LEN] = '\0';
	return true;
}

static bool
talk_first(struct talk *t, struct slice message, struct buf *out)
{
	struct scram_secret decoy;
	const struct user *u;
	char nonce[NONCE_LEN + 1];

	if (!scram_client_first(&t->scram, message) || !nonce_make(nonce))
		return false;
	u = policy_user(buf_slice(&t->scram.username));
	t->is_decoy = u == NULL || !u->has_scram;
	if (t->is_decoy && !decoy_make(buf_slice(&t->scram.username), &decoy))
		return false;
	scram_server_first(&t->scram, t->is_decoy ? &decoy : &u->scram,
	    slice_str(nonce), out);
	return true;
}

static void
talk_begin(uint64_t acceptor, const struct ipc_auth_ask *q)
{
	struct talk *t;
	struct buf out;

	if (talks.count >= SCRAM_TALKS_MAX) {
		answer(acceptor, q->conn, MQTT_SERVER_BUSY, SLICE_NULL,
		    SLICE_NULL);
		return;
	}
	t = mem_zalloc(1, sizeof(*t));
	t->acceptor = acceptor;
	t->conn = q->conn;
	scram_init(&t->scram);
	t->next = talks.first;
	talks.first = t;
	talks.count++;
	buf_init(&out);
	if (talk_first(t, q->data, &out)) {
		answer(acceptor, q->conn, MQTT_CONTINUE_AUTHENTICATION,
		    buf_slice(&out), SLICE_NULL);
	} else {
		talk_end(&talks.first);
		answer(acceptor, q->conn, MQTT_NOT_AUTHORIZED, SLICE_NULL,
		    SLICE_NULL);
	}
	buf_fini(&out);
}

static void
talk_finish(struct talk **at, const struct ipc_auth_ask *q)
{
	struct talk *t = *at;
	struct buf out;

	buf_init(&out);
	if (scram_client_final(&t->scram, q->data, &out) && !t->is_decoy)
		answer(t->acceptor, t->conn, MQTT_SUCCESS, buf_slice(&out),
		    buf_slice(&t->scram.username));
	else
		answer(t->acceptor, t->conn, MQTT_NOT_AUTHORIZED, SLICE_NULL,
		    SLICE_NULL);
	buf_fini(&out);
	talk_end(at);
}

void
scram_talk(uint64_t acceptor, const struct ipc_auth_ask *q)
{
	struct talk **at;

	if (!slice_is(q->method, SCRAM_METHOD)) {
		answer(acceptor, q->conn, MQTT_BAD_AUTHENTICATION_METHOD,
		    SLICE_NULL, SLICE_NULL);
		return;
	}
	at = talk_find(acceptor, q->conn);
	if (*at == NULL)
		talk_begin(acceptor, q);
	else
		talk_finish(at, q);
}

void
scram_talk_cancel(uint64_t acceptor, uint64_t conn)
{
	struct talk **at = talk_find(acceptor, conn);

	if (*at != NULL)
		talk_end(at);
}

void
scram_talk_cancel_all(uint64_t acceptor)
{
	struct talk **at = &talks.first;

	while (*at != NULL) {
		if ((*at)->acceptor == acceptor)
			talk_end(at);
		else
			at = &(*at)->next;
	}
}
