#include "acceptor/auth/jwt_login.h"

#include "acceptor/auth/jwt.h"
#include "acceptor/auth/rules_json.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>

#define NAME_LEN_MAX 65535

struct jwt_terms {
	struct jwt_key *key;
	char *username_claim, *client_id_claim, *acl_claim;
	uint64_t leeway_s;
};

struct jwt_terms *
jwt_terms_new(struct json_object *section, const char *public_pem)
{
	const char *alg = json_get_str(section, "algorithm", "");
	const char *secret = json_get_str(section, "secret", NULL);
	struct jwt_key *key = NULL;
	struct jwt_terms *t;

	if (secret != NULL)
		key = jwt_key_secret(alg, slice_str(secret));
	else if (public_pem != NULL)
		key = jwt_key_public(alg, slice_str(public_pem));
	if (key == NULL)
		return NULL;
	t = mem_zalloc(1, sizeof(*t));
	t->key = key;
	t->username_claim = mem_strdup(
	    json_get_str(section, "username_claim", "sub"));
	t->client_id_claim = mem_strdup(
	    json_get_str(section, "client_id_claim", ""));
	t->acl_claim = mem_strdup(json_get_str(section, "acl_claim", "acl"));
	t->leeway_s = json_get_u64(section, "leeway", 0) / 1000;
	return t;
}

void
jwt_terms_free(struct jwt_terms *t)
{
	if (t == NULL)
		return;
	jwt_key_free(t->key);
	free(t->username_claim);
	free(t->client_id_claim);
	free(t->acl_claim);
	free(t);
}

static bool
looks_like_token(struct slice s)
{
	size_t dots = 0;

	for (size_t i = 0; i < s.len; i++)
		dots += s.p[i] == '.';
	return dots == 2 && s.len > 2 && s.p[0] == 'e';
}

/* A text claim; null: there is none. */
static struct slice
claim_get(struct json_object *claims, const char *name)
{
	struct json_object *o = json_member(claims, name);

	if (!json_object_is_type(o, json_type_string))
		return SLICE_NULL;
	return slice_of(json_object_get_string(o),
	    (size_t)json_object_get_string_len(o));
}

/* What stands against it although its signature is right. */
static const char *
claims_check(const struct jwt_terms *t, struct json_object *claims,
    struct slice client_id, struct slice username, struct found *found)
{
	struct slice name;
	struct json_object *rules;

	if (t->client_id_claim[0] != '\0' &&
	    !slice_eq(claim_get(claims, t->client_id_claim), client_id))
		return "it is for another client identifier";
	if (t->username_claim[0] != '\0') {
		name = claim_get(claims, t->username_claim);
		if (name.len == 0 || name.len > NAME_LEN_MAX)
			return "it names no user";
		if (!slice_is_null(username) && !slice_eq(name, username))
			return "it is another user's";
		buf_add_slice(&found->username, name);
	}
	rules = t->acl_claim[0] == '\0' ? NULL :
	    json_member(claims, t->acl_claim);
	if (rules != NULL && !rules_json_get(rules, &found->rules))
		return "its access rules are malformed";
	return NULL;
}

enum verdict
jwt_login(const struct jwt_terms *t, struct slice client_id,
    struct slice username, struct slice password, uint64_t now_s,
    struct found *found, const char **why)
{
	struct json_object *claims = NULL;

	if (slice_is_null(password) || !looks_like_token(password))
		return UNKNOWN;
	*why = jwt_verify(t->key, password, now_s, t->leeway_s, true, &claims);
	if (*why == NULL)
		*why = claims_check(t, claims, client_id, username, found);
	json_object_put(claims);
	return *why == NULL ? ALLOWED : DENIED;
}
