/*
 * settle - what clients answered to messages of their sessions, and inbound
 * releases: applied to the queue, answered after the commit.
 *
 * Numbered by the acceptor, which keeps them until they are taken; applying
 * one again changes nothing. Acknowledgements (PUBACK, PUBCOMP) are lazy: a
 * crash before their commit costs a repetition that the acceptor's kept
 * settlement or the protocol takes back.
 *
 * MQTT 5, 4.3.
 */
#ifndef ROUTER_SETTLE_H
#define ROUTER_SETTLE_H

#include "ipc/messages.h"

struct sender;

/* False: malformed. */
bool settle_take(struct sender *s, const struct ipc_settle *m);

#endif
