#include "router/message.h"

#include "base/props.h"

bool
message_record(const struct ipc_publish_item *m, struct record_space *space,
    struct record *r)
{
	*r = (struct record){
	    .topic = m->topic,
	    .payload = m->payload,
	    .timestamp_ms = (int64_t)m->timestamp_ms,
	    .expires_ms = m->expires_ms,
	    .qos = m->flags & MSG_QOS,
	    .retain = (m->flags & MSG_RETAIN) != 0,
	    .client_id = m->client_id.len > 0 ? m->client_id : SLICE_NULL,
	    .username = m->username.len > 0 ? m->username : SLICE_NULL,
	    .protocol = m->protocol.len > 0 ? m->protocol : SLICE_NULL,
	    .mid_session = m->session,
	    .mid_packet = m->mid,
	};
	return m->props.len == 0 || record_props_get(m->props, space, r);
}

void
message_of_record(
    const struct record *r, struct buf *props, struct ipc_publish_item *m)
{
	buf_clear(props);
	record_props_put(r, props);
	*m = (struct ipc_publish_item){
	    .topic = r->topic,
	    .payload = slice_is_null(r->payload) ? SLICE_EMPTY : r->payload,
	    .flags = (uint8_t)(r->qos | (r->retain ? MSG_RETAIN : 0)),
	    .timestamp_ms =
		r->timestamp_ms < 0 ? 0 : (uint64_t)r->timestamp_ms,
	    .expires_ms = r->expires_ms,
	    .props = buf_slice(props),
	    .client_id = r->client_id,
	    .username = r->username,
	    .protocol = r->protocol,
	};
}
