/*
 * props - what a message carries beside topic and payload, in one neutral
 * form that every protocol maps to and from.
 *
 * The packed form is a sequence of entries: u8 tag, u32 length (big-endian),
 * the value. Of PROP_HEADER the value is u16 length of the name, the name,
 * then the header's value. Headers keep their order, names may repeat. No
 * entry at all is an empty (or null) slice.
 */
#ifndef BASE_PROPS_H
#define BASE_PROPS_H

#include "base/buf.h"

/* Flags of a message, as they stand in publish_item.flags and the like. */
#define MSG_QOS 0x03u		/* mask: 0, 1, 2 */
#define MSG_RETAIN 0x04u
#define MSG_DUP 0x08u
#define MSG_WILL 0x10u

enum prop_tag {
	PROP_FORMAT = 1,	/* one byte: 1 the payload is UTF-8 */
	PROP_CONTENT_TYPE = 2,
	PROP_RESPONSE_TOPIC = 3,
	PROP_CORRELATION = 4,
	PROP_HEADER = 5,
};

struct prop {
	enum prop_tag tag;
	struct slice name;	/* of a header */
	struct slice value;
};

void props_add(struct buf *b, enum prop_tag tag, struct slice value);
void props_add_header(struct buf *b, struct slice name, struct slice value);

/*
 * Takes the first entry off *s. 1 an entry, 0 there is none left, -1 the
 * bytes are malformed.
 */
int props_next(struct slice *s, struct prop *prop);

#endif
