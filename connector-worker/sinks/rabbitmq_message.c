#include "connector-worker/sinks/rabbitmq_message.h"

#include "base/mem.h"

#include <stdlib.h>

#define SHORT_MAX 255	/* a short string of AMQP */
#define NAME_MAX_ 128	/* a header's name, AMQP 0-9-1, 4.2.5.5 */
#define OWN_HEADERS 3

void
rabbitmq_message_init(struct rabbitmq_message *m)
{
	memset(m, 0, sizeof(*m));
	template_input_init(&m->input);
	buf_init(&m->text);
	buf_init(&m->type);
}

void
rabbitmq_message_fini(struct rabbitmq_message *m)
{
	template_input_fini(&m->input);
	buf_fini(&m->text);
	buf_fini(&m->type);
	free(m->entries);
}

static amqp_bytes_t
bytes_of(struct slice s)
{
	return (amqp_bytes_t){s.len, (void *)(uintptr_t)s.p};
}

static void
header_add(struct rabbitmq_message *m, struct slice name, struct slice value)
{
	amqp_table_t *t = &m->properties.headers;

	m->entries[t->num_entries++] = (amqp_table_entry_t){bytes_of(name),
	    {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bytes_of(value)}};
}

static bool
headers_set(struct rabbitmq_message *m, const struct record *rec,
    const char **why)
{
	amqp_table_t *t = &m->properties.headers;
	size_t need = rec->headers_len + OWN_HEADERS;

	if (need > m->cap) {
		m->entries =
		    mem_realloc(m->entries, need * sizeof(*m->entries));
		m->cap = need;
	}
	t->entries = m->entries;
	t->num_entries = 0;
	for (size_t i = 0; i < rec->headers_len; i++) {
		if (rec->headers[i].name.len > NAME_MAX_) {
			*why = "a header's name is longer than AMQP has them";
			return false;
		}
		header_add(m, rec->headers[i].name, rec->headers[i].value);
	}
	header_add(m, SLICE_LIT("bulkhead-topic"), rec->topic);
	/* The property of AMQP has seconds only. */
	m->entries[t->num_entries++] = (amqp_table_entry_t){
	    amqp_cstring_bytes("bulkhead-timestamp-ms"),
	    {.kind = AMQP_FIELD_KIND_I64, .value.i64 = rec->timestamp_ms}};
	if (rec->client_id.len > 0)
		header_add(m, SLICE_LIT("bulkhead-client-id"), rec->client_id);
	m->properties._flags |= AMQP_BASIC_HEADERS_FLAG;
	return true;
}

static void
properties_set(struct rabbitmq_message *m, const struct rabbitmq_options *o,
    const struct record *rec)
{
	amqp_basic_properties_t *p = &m->properties;
	size_t n = log_id_put(&(struct log_id){.stream = rec->stream,
				  .incarnation = rec->incarnation,
				  .partition = rec->partition,
				  .offset = rec->offset},
	    m->id);

	p->_flags = AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG |
	    AMQP_BASIC_DELIVERY_MODE_FLAG;
	p->message_id = (amqp_bytes_t){n, m->id};
	p->timestamp = (uint64_t)(rec->timestamp_ms / 1000);
	p->delivery_mode = o->is_persistent ? 2 : 1;
	if (buf_len(&m->type) > 0) {
		p->content_type = bytes_of(buf_slice(&m->type));
		p->_flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
	}
	if (rec->correlation_data.len > 0 &&
	    rec->correlation_data.len <= SHORT_MAX) {
		p->correlation_id = bytes_of(rec->correlation_data);
		p->_flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
	}
	if (rec->response_topic.len > 0 &&
	    rec->response_topic.len <= SHORT_MAX) {
		p->reply_to = bytes_of(rec->response_topic);
		p->_flags |= AMQP_BASIC_REPLY_TO_FLAG;
	}
}

bool
rabbitmq_message_set(struct rabbitmq_message *m,
    const struct rabbitmq_options *o, const struct record *rec,
    const char **why)
{
	template_input_set(&m->input, rec);
	buf_clear(&m->text);
	buf_clear(&m->type);
	if (!template_render(o->routing_key, &m->input, &m->text, NULL, why) ||
	    !template_render(o->content_type, &m->input, &m->type, NULL, why))
		return false;
	if (buf_len(&m->text) > SHORT_MAX) {
		*why = "the routing key is longer than 255 bytes";
		return false;
	}
	if (buf_len(&m->type) > SHORT_MAX) {
		*why = "the content type is longer than 255 bytes";
		return false;
	}
	m->routing_key = bytes_of(buf_slice(&m->text));
	m->body = bytes_of(rec->payload);
	properties_set(m, o, rec);
	return !o->headers || headers_set(m, rec, why);
}
