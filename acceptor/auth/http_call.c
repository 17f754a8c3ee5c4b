#include "acceptor/auth/http_call.h"

#include "acceptor/auth/rules_json.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

struct http_service {
	unsigned users;		/* of the loop only */
	char *url, *ca_file, *token;
	long timeout_ms;
};

struct http_call {
	struct http_service *service;
	struct json_object *question;
	struct buf answer;
	long status;		/* 0: no answer */
	char why[CURL_ERROR_SIZE];
};

static char *
copy_of(struct json_object *section, const char *name)
{
	const char *v = json_get_str(section, name, NULL);

	return v == NULL ? NULL : mem_strdup(v);
}

struct http_service *
http_service_new(struct json_object *section)
{
	static bool is_ready;
	struct http_service *s;

	if (json_get_str(section, "url", NULL) == NULL)
		return NULL;
	if (!is_ready)
		is_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	s = mem_zalloc(1, sizeof(*s));
	s->users = 1;
	s->url = copy_of(section, "url");
	s->ca_file = copy_of(section, "ca_file");
	s->token = copy_of(section, "token");
	s->timeout_ms = (long)json_get_u64(section, "timeout", 5000);
	return s;
}

void
http_service_release(struct http_service *s)
{
	if (s == NULL || --s->users > 0)
		return;
	if (s->token != NULL)
		explicit_bzero(s->token, strlen(s->token));
	free(s->token);
	free(s->url);
	free(s->ca_file);
	free(s);
}

struct http_call *
http_call_new(struct http_service *s, struct slice client_id,
    struct slice username, struct slice password, const char *address)
{
	struct http_call *c;
	struct json_object *o;

	if (!utf8_check(password))
		return NULL;
	c = mem_zalloc(1, sizeof(*c));
	o = json_object_new_object();
	s->users++;
	c->service = s;
	c->question = o;
	json_add_slice(o, "client_id", client_id);
	if (!slice_is_null(username))
		json_add_slice(o, "username", username);
	if (!slice_is_null(password))
		json_add_slice(o, "password", password);
	json_add_str(o, "address", address);
	json_add_str(o, "protocol", "mqtt");
	/* Its text is made here: json-c keeps it in the object. */
	json_text(o);
	return c;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;

	if (size * n > HTTP_ANSWER_MAX - buf_len(&c->answer))
		return 0;
	buf_add(&c->answer, p, size * n);
	return size * n;
}

static struct curl_slist *
headers_of(const struct http_service *s)
{
	struct curl_slist *l = curl_slist_append(NULL,
	    "Content-Type: application/json");
	char *line;

	l = curl_slist_append(l, "Expect:");
	if (s->token == NULL)
		return l;
	line = mem_printf("Authorization: Bearer %s", s->token);
	l = curl_slist_append(l, line);
	explicit_bzero(line, strlen(line));
	free(line);
	return l;
}

void
http_call_run(struct http_call *c)
{
	const struct http_service *s = c->service;
	struct slice text = slice_str(json_object_get_string(c->question));
	struct curl_slist *headers = headers_of(s);
	CURL *h = curl_easy_init();

	if (h == NULL) {
		curl_slist_free_all(headers);
		return;
	}
	curl_easy_setopt(h, CURLOPT_URL, s->url);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_POSTFIELDS, (const char *)text.p);
	curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, (long)text.len);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, s->timeout_ms);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->why);
	if (s->ca_file != NULL)
		curl_easy_setopt(h, CURLOPT_CAINFO, s->ca_file);
	if (curl_easy_perform(h) == CURLE_OK)
		curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &c->status);
	curl_easy_cleanup(h);
	curl_slist_free_all(headers);
}

/* {"result", "username", "acl"} */
static enum verdict
object_read(struct json_object *o, struct found *found)
{
	const char *result = json_get_str(o, "result", "");
	struct json_object *rules = json_member(o, "acl");

	if (strcmp(result, "ignore") == 0)
		return UNKNOWN;
	if (strcmp(result, "deny") == 0)
		return DENIED;
	if (strcmp(result, "allow") != 0)
		return UNAVAILABLE;
	if (rules != NULL && !rules_json_get(rules, &found->rules))
		return UNAVAILABLE;
	buf_add_str(&found->username, json_get_str(o, "username", ""));
	return buf_len(&found->username) > 65535 ? UNAVAILABLE : ALLOWED;
}

enum verdict
http_answer_read(long status, struct slice body, struct found *found)
{
	struct json_object *o;
	enum verdict v;

	if (status == 204)
		return ALLOWED;
	if (status == 401 || status == 403)
		return DENIED;
	if (status != 200)
		return UNAVAILABLE;
	o = json_parse(body);
	v = json_object_is_type(o, json_type_object) ?
	    object_read(o, found) : UNAVAILABLE;
	json_object_put(o);
	return v;
}

enum verdict
http_call_verdict(struct http_call *c, struct found *found)
{
	enum verdict v = http_answer_read(c->status, buf_slice(&c->answer),
	    found);

	if (v == UNAVAILABLE && c->why[0] == '\0')
		snprintf(c->why, sizeof(c->why), "its answer (%ld) is not "
		    "understood", c->status);
	return v;
}

const char *
http_call_why(const struct http_call *c)
{
	return c->why;
}

void
http_call_free(struct http_call *c)
{
	if (c == NULL)
		return;
	http_service_release(c->service);
	json_object_put(c->question);
	buf_fini(&c->answer);
	free(c);
}
