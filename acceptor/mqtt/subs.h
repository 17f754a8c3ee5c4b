/*
 * subs - the subscriptions that this acceptor serves itself.
 *
 * Those of clean sessions, and of persistent ones at QoS 0 (architecture,
 * section 4). Each filter stands once in a trie and has a list of its
 * subscriptions; each client has a list of its own. The first subscription
 * of a filter and the removal of the last are told, so that the router's
 * interest follows.
 *
 * "$share/NAME/FILTER" is a group that hangs on its filter: its members are
 * not the filter's own subscriptions.
 */
#ifndef ACCEPTOR_MQTT_SUBS_H
#define ACCEPTOR_MQTT_SUBS_H

#include "acceptor/mqtt/parcels.h"
#include "base/trie.h"

struct client;
struct shared_message;

/* Subscription options, as on the wire (MQTT 5, 3.8.3.1). */
#define SUB_QOS 0x03
#define SUB_NO_LOCAL 0x04
#define SUB_RETAIN_AS_PUBLISHED 0x08
#define SUB_RETAIN_HANDLING(o) ((o) >> 4 & 3)

struct filter {
	struct subscription *first;
	struct group *groups;
	uint32_t count;
	uint32_t len;
	uint64_t interest;	/* the INTEREST frame that announced it */
	uint8_t text[];
};

/* A shared subscription; shared.h says what it does. */
struct group {
	struct group *next;		/* of the filter */
	struct filter *filter;		/* NULL: the last member went */
	struct subscription *first;
	struct subscription *cursor;	/* whose turn it is, NULL: the first's */
	struct shared_message *pending, *pending_last;
	size_t pending_bytes;
	uint32_t pending_count;
	uint32_t count;
	uint32_t references;	/* beside the filter's */
	uint32_t name_len;
	uint8_t name[];
};

struct subscription {
	struct filter *filter;
	struct group *group;		/* NULL: not shared */
	struct client *client;
	struct subscription *next, *prev;	/* of the filter or group */
	struct subscription *of_next, *of_prev;		/* of the client */
	uint64_t replay;	/* the retained replay under way, 0 none */
	struct parcels *held;	/* live messages that wait for its end */
	uint32_t id;		/* subscription identifier, 0 none */
	uint8_t options;
};

struct subs {
	struct trie *trie;
	uint64_t generation;	/* raised by every change */
	size_t count;
	/* A filter's first subscription came, its last one went. */
	void (*on_first)(struct filter *f);
	void (*on_last)(struct filter *f);
	/* A group's last member went: what waits there is to be dropped. */
	void (*on_group_end)(struct group *g);
};

void subs_init(struct subs *s, void (*on_first)(struct filter *),
    void (*on_last)(struct filter *));
void subs_fini(struct subs *s);
/*
 * The subscription of that client (whose list begins at *list) to a filter:
 * a new one, or, and then *existed, the one it had.
 */
struct subscription *subs_add(struct subs *s, struct client *client,
    struct subscription **list, struct slice filter, bool *existed);
struct subscription *subs_find(const struct subs *s,
    const struct client *client, struct subscription *list,
    struct slice filter);
void subs_remove(struct subs *s, struct subscription **list,
    struct subscription *sub);
/* Gives up a reference to a group. */
void group_release(struct group *g);
/* Say so after options or id of a subscription were changed. */
static inline void
subs_changed(struct subs *s)
{
	s->generation++;
}

static inline struct slice
filter_text(const struct filter *f)
{
	return slice_of(f->text, f->len);
}

#endif
