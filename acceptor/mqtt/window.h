/*
 * window - the messages in flight to one client.
 *
 * A message at QoS 1 or 2 has a sequence number; its packet identifier is
 * sequence mod 65535 + 1, for our own sessions as for the router's. The
 * window keeps one byte of state for each number from the oldest
 * unanswered one on, so that no two numbers in it share an identifier.
 * Nothing is allocated before the first message.
 */
#ifndef ACCEPTOR_MQTT_WINDOW_H
#define ACCEPTOR_MQTT_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_SPAN_MAX 65535

enum window_state {
	WINDOW_FREE = 0,
	WINDOW_PUBACK,		/* QoS 1, sent: PUBACK comes next */
	WINDOW_PUBREC,		/* QoS 2, sent: PUBREC comes next */
	WINDOW_RELEASE,		/* PUBREC came: the router's release next */
	WINDOW_PUBCOMP,		/* PUBREL sent: PUBCOMP comes next */
};

struct window {
	uint64_t base;		/* the oldest number that may be unanswered */
	uint32_t span;		/* numbers from base on, free ones included */
	uint32_t count;		/* unanswered */
	uint32_t cap;		/* of state, a power of two */
	uint8_t *state;		/* ring, by number */
};

static inline uint16_t
window_id(uint64_t seq)
{
	return (uint16_t)(seq % 65535 + 1);
}

void window_fini(struct window *w);
/* May this number be added without an identifier standing for two? */
bool window_may_add(const struct window *w, uint64_t seq);
void window_add(struct window *w, uint64_t seq, enum window_state state);
/* The state of a number; WINDOW_FREE where it is not in the window. */
enum window_state window_get(const struct window *w, uint64_t seq);
void window_set(struct window *w, uint64_t seq, enum window_state state);
/* The number in flight under that identifier. */
bool window_find(const struct window *w, uint16_t id, uint64_t *seq);
void window_remove(struct window *w, uint64_t seq);
/* The first number at or after *seq in a state that is not free. */
bool window_next(const struct window *w, uint64_t *seq);

#endif
