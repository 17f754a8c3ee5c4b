#include "connector-worker/sinks/webhook_slot.h"

#include "base/json_text.h"
#include "base/log.h"
#include "base/utf8.h"
#include "connector-worker/excerpt.h"
#include "connector-worker/http_answer.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define ANSWER_KEPT 200         /* bytes of a body in a reason */
#define ANSWER_MAX (256u << 10) /* more than that is no answer */

void
slot_init(struct slot *s, struct webhook *hook)
{
	s->hook = hook;
	buf_init(&s->url);
	buf_init(&s->body);
	buf_init(&s->packed);
	buf_init(&s->answer);
}

void
slot_fini(struct slot *s)
{
	if (s->easy != NULL)
		curl_easy_cleanup(s->easy);
	buf_fini(&s->url);
	buf_fini(&s->body);
	buf_fini(&s->packed);
	buf_fini(&s->answer);
	for (size_t i = 0; i < s->fields_len; i++)
		buf_fini(&s->fields[i].line);
}

/* --- the URL -------------------------------------------------------------- */

static bool
webhook_url_add(struct webhook *hook, const struct record *rec, struct buf *out,
    const char **why)
{
	size_t cut = hook->url_prefix_len;
	struct buf *raw = &hook->scratch;

	template_input_set(&hook->input, rec);
	buf_clear(raw);
	if (!template_render(
		hook->url, &hook->input, raw, template_escape_url, why))
		return false;
	buf_add_str(out, hook->url_prefix);
	buf_add(out, buf_data(raw) + cut, buf_len(raw) - cut);
	if (!http_url_is_plain(
		slice_of(buf_data(raw) + cut, buf_len(raw) - cut))) {
		*why = "the url would have a segment . or ..";
		return false;
	}
	return true;
}

/* --- headers -------------------------------------------------------------- */

static bool
field_check(struct slice value)
{
	for (size_t i = 0; i < value.len; i++)
		if ((value.p[i] < ' ' && value.p[i] != '\t') ||
		    value.p[i] == 0x7f)
			return false;
	return true;
}

/* "Name: value"; without a value libcurl wants "Name;". */
static bool
field_render(struct field *f, struct template_input *in, const char **why)
{
	size_t at;

	buf_clear(&f->line);
	buf_addf(&f->line, "%s: ", f->name);
	at = buf_len(&f->line);
	if (!template_render(f->value, in, &f->line, NULL, why))
		return false;
	if (!field_check(
		slice_of(buf_data(&f->line) + at, buf_len(&f->line) - at))) {
		*why = "a header would have a line break or control "
		       "character";
		return false;
	}
	if (buf_len(&f->line) == at) {
		buf_clear(&f->line);
		buf_addf(&f->line, "%s;", f->name);
	}
	return true;
}

static void
field_sign(struct field *f, const char *secret, struct slice body)
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	HMAC(EVP_sha256(), secret, (int)strlen(secret), body.p, body.len, mac,
	    &len);
	buf_clear(&f->line);
	buf_addf(&f->line, "%s: sha256=", f->name);
	for (unsigned i = 0; i < len; i++)
		buf_addf(&f->line, "%02x", mac[i]);
}

bool
webhook_target_add(struct webhook *hook, const struct record *rec,
    struct buf *out, const char **why)
{
	struct slot *s = &hook->slots[0];

	if (hook->fixed_url == NULL && !webhook_url_add(hook, rec, out, why))
		return false;
	template_input_set(&hook->input, rec);
	for (size_t i = 0; i < s->fields_len; i++) {
		const struct template *t = s->fields[i].value;

		buf_add_u8(out, '\n');
		if (t != NULL &&
		    !template_render(t, &hook->input, out, NULL, why))
			return false;
	}
	return true;
}

/* Those from templates; of a group all records give the same. */
static bool
slot_add_fields(struct slot *s, const struct record *rec, const char **why)
{
	template_input_set(&s->hook->input, rec);
	for (size_t i = 0; i < s->fields_len; i++)
		if (s->fields[i].value != NULL &&
		    !field_render(&s->fields[i], &s->hook->input, why))
			return false;
	return true;
}

/* --- the body ------------------------------------------------------------- */

/* A template that is one value is that value: JSON stays JSON. */
static bool
add_single(struct webhook *hook, struct buf *out, const char **why)
{
	size_t at = buf_len(out);
	enum value_kind kind;
	struct slice text;

	if (hook->mode == WEBHOOK_SINGLE)
		return template_value(
		    hook->body, &hook->input, out, &kind, why);
	buf_clear(&hook->scratch);
	if (!template_value(
		hook->body, &hook->input, &hook->scratch, &kind, why))
		return false;
	if (kind == VALUE_NULL)
		buf_add_str(out, "null");
	else if (json_value(buf_slice(&hook->scratch), &text))
		json_add_compact(out, text);
	else if (utf8_check(buf_slice(&hook->scratch)))
		json_add_string(out, buf_slice(&hook->scratch));
	else {
		*why = "the body is neither JSON nor UTF-8";
		return false;
	}
	return buf_len(out) > at;
}

/* An element of an array or a line has to be JSON whatever it is made of. */
static bool
add_element(struct webhook *hook, struct buf *out, const char **why)
{
	struct slice value;

	buf_clear(&hook->scratch);
	if (!template_render(hook->body, &hook->input, &hook->scratch,
		template_escape_json, why))
		return false;
	if (!json_value(buf_slice(&hook->scratch), &value)) {
		*why = "the body is not JSON";
		return false;
	}
	json_add_compact(out, value);
	return true;
}

static bool
add_body(struct webhook *hook, const struct record *rec, struct buf *out,
    const char **why)
{
	template_input_set(&hook->input, rec);
	if (hook->body == NULL) {
		record_json_add(out, rec, template_input_json(&hook->input));
		return true;
	}
	if (template_is_single(hook->body))
		return add_single(hook, out, why);
	if (hook->mode != WEBHOOK_SINGLE)
		return add_element(hook, out, why);
	return template_render(
	    hook->body, &hook->input, out, hook->body_escape, why);
}

static bool
slot_add_single(struct slot *s)
{
	struct sink_record *record = s->request->records[0];
	const char *why = "";

	if (add_body(s->hook, record->rec, &s->body, &why) &&
	    slot_add_fields(s, record->rec, &why) &&
	    (s->hook->fixed_url != NULL ||
		webhook_url_add(s->hook, record->rec, &s->url, &why)))
		return true;
	sink_answer(record, SINK_REFUSED, why);
	return false;
}

static bool
slot_add_group(struct slot *s)
{
	struct request *r = s->request;
	bool is_array = s->hook->mode == WEBHOOK_ARRAY;
	size_t kept = 0;
	const char *why = "";

	if (is_array)
		buf_add_u8(&s->body, '[');
	for (size_t i = 0; i < r->count; i++) {
		size_t at = s->body.len;

		if (is_array && kept > 0)
			buf_add_u8(&s->body, ',');
		if (!add_body(s->hook, r->records[i]->rec, &s->body, &why)) {
			s->body.len = at;
			sink_answer(r->records[i], SINK_REFUSED, why);
			continue;
		}
		if (!is_array)
			buf_add_u8(&s->body, '\n');
		r->records[kept++] = r->records[i];
	}
	if (is_array)
		buf_add_u8(&s->body, ']');
	r->count = kept;
	if (kept == 0)
		return false;
	if (slot_add_fields(s, r->records[0]->rec, &why) &&
	    (s->hook->fixed_url != NULL ||
		webhook_url_add(s->hook, r->records[0]->rec, &s->url, &why)))
		return true;
	/* Their target is one: what cannot be made for one can for none. */
	for (size_t i = 0; i < kept; i++)
		sink_answer(r->records[i], SINK_REFUSED, why);
	r->count = 0;
	return false;
}

static void
slot_pack(struct slot *s)
{
	z_stream *z = &s->hook->gzip;
	size_t bound = deflateBound(z, buf_len(&s->body));

	buf_clear(&s->packed);
	z->next_in = (Bytef *)buf_data(&s->body);
	z->avail_in = (uInt)buf_len(&s->body);
	z->next_out = buf_reserve(&s->packed, bound);
	z->avail_out = (uInt)bound;
	bug_on(deflate(z, Z_FINISH) != Z_STREAM_END);
	buf_commit(&s->packed, bound - z->avail_out);
	deflateReset(z);
}

static void
slot_link_fields(struct slot *s)
{
	for (size_t i = 0; i < s->fields_len; i++) {
		s->fields[i].node.data =
		    (char *)(uintptr_t)buf_cstr(&s->fields[i].line);
		s->fields[i].node.next = i + 1 < s->fields_len
					     ? &s->fields[i + 1].node
					     : s->hook->fixed_fields;
	}
}

bool
slot_render(struct slot *s)
{
	struct webhook *hook = s->hook;
	struct slice body;

	buf_trim(&s->url, 4096);
	buf_clear(&s->url);
	buf_trim(&s->body, 4u << 20);
	buf_clear(&s->body);
	slot_clear_answer(s);
	if (hook->mode == WEBHOOK_SINGLE ? !slot_add_single(s)
					 : !slot_add_group(s))
		return false;
	if (hook->has_gzip)
		slot_pack(s);
	body = buf_slice(hook->has_gzip ? &s->packed : &s->body);
	if (hook->auth == WEBHOOK_HMAC)
		field_sign(
		    &s->fields[s->fields_len - 1], hook->hmac_secret, body);
	slot_link_fields(s);
	if (hook->fixed_url == NULL)
		curl_easy_setopt(s->easy, CURLOPT_URL, buf_cstr(&s->url));
	curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, body.p);
	curl_easy_setopt(
	    s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
	return true;
}

/* --- the answer ----------------------------------------------------------- */

void
slot_clear_answer(struct slot *s)
{
	buf_clear(&s->answer);
	s->answer_len = 0;
	s->is_flooded = false;
	s->error[0] = '\0';
}

size_t
on_answer_body(char *p, size_t size, size_t n, void *arg)
{
	struct slot *s = arg;
	size_t len = size * n, room = ANSWER_KEPT - buf_len(&s->answer);

	buf_add(&s->answer, p, len < room ? len : room);
	if (len > ANSWER_MAX - s->answer_len) {
		s->is_flooded = true;
		return 0;
	}
	s->answer_len += len;
	return len;
}

/* A transfer that libcurl could not bring to its end. */
static enum sink_outcome
outcome_of_failure(CURL *easy, CURLcode result)
{
	curl_off_t connected = 0;

	switch (result) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CRL_BADFILE:
		return SINK_UNAVAILABLE;
	case CURLE_URL_MALFORMAT:
		return SINK_REFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		curl_easy_getinfo(
		    easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
		return connected == 0 ? SINK_UNAVAILABLE : SINK_UNSURE;
	default:
		return SINK_UNSURE;
	}
}

enum sink_outcome
slot_outcome(struct slot *s, CURL *easy, CURLcode result, struct buf *reason)
{
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (result != CURLE_OK && !(s->is_flooded && status >= 200)) {
		buf_add_str(reason, s->error[0] != '\0'
					? s->error
					: curl_easy_strerror(result));
		return outcome_of_failure(easy, result);
	}
	buf_addf(reason, "HTTP status %ld", status);
	if (buf_len(&s->answer) > 0) {
		buf_add_str(reason, ": ");
		excerpt_add(reason, buf_slice(&s->answer), ANSWER_KEPT);
	}
	return http_answer_outcome(status);
}
