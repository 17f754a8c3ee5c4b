/*
 * admit - who is let in, and what each client may do.
 *
 * Between a right CONNECT and the router's knowing of it: the auth process
 * is asked where it has to be (acceptor/auth_link.h), bans and the will's
 * topic are checked. Then the rules, for publishes and subscriptions
 * (acceptor/access.h). A client is CLIENT_ASKING meanwhile; it is read from
 * only while it owes an AUTH packet (MQTT 5, 4.12).
 */
#ifndef ACCEPTOR_MQTT_ADMIT_H
#define ACCEPTOR_MQTT_ADMIT_H

#include "acceptor/access.h"
#include "acceptor/mqtt/mqtt.h"
#include "proto/mqtt/packet.h"

/* What only clients that were asked about have. */
struct guest {
	struct acl *own;	/* rules of its own, or NULL */
	uint8_t *method;	/* of enhanced authentication, or NULL */
	size_t method_len;
	struct buf last;	/* data for the CONNACK */
	uint8_t address[16];	/* as access_address has it */
	bool has_address;
	bool is_asked;		/* the auth process has the word */
};

void admit_init(void);
void admit_configure(struct json_object *config);
/* c has its name and terms; ends in login_admitted or a refusal. */
void admit(struct client *c, const struct mqtt_connect *m);
/* Its AUTH packet. */
enum mqtt_reason admit_auth(struct client *c, const struct mqtt_disconnect *a);
/* What goes into the CONNACK. */
void admit_connack(const struct client *c, struct mqtt_properties *p);
/* It closed; its memory goes. */
void admit_cancel(struct client *c);
void admit_free(struct client *c);

bool admit_check_publish(const struct client *c, uint64_t topic_serial,
    struct slice topic);
bool admit_check_subscribe(const struct client *c, struct slice filter);
bool admit_check_receive(const struct client *c, struct slice topic);

static inline bool
admit_has_rules(const struct client *c)
{
	return access_has_rules(c->guest == NULL ? NULL : c->guest->own);
}

/* topic_serial: as in acceptor/access.h. */
static inline bool
admit_may_publish(const struct client *c, uint64_t topic_serial,
    struct slice topic)
{
	return !admit_has_rules(c) ||
	    admit_check_publish(c, topic_serial, topic);
}

static inline bool
admit_may_subscribe(const struct client *c, struct slice filter)
{
	return !admit_has_rules(c) || admit_check_subscribe(c, filter);
}

static inline bool
admit_may_receive(const struct client *c, struct slice topic)
{
	return !admit_has_rules(c) || admit_check_receive(c, topic);
}

#endif
