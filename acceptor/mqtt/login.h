/*
 * login - CONNECT, CONNACK and the orderly DISCONNECT.
 *
 * Every CONNECT goes to the router, which knows all sessions (architecture,
 * section 4); the CONNACK leaves when it has answered.
 */
#ifndef ACCEPTOR_MQTT_LOGIN_H
#define ACCEPTOR_MQTT_LOGIN_H

#include "acceptor/mqtt/mqtt.h"
#include "ipc/messages.h"

/* A right CONNECT of a new connection. */
void login(struct client *c, const struct mqtt_connect *connect);
/* Whoever it is, it may come in: the router is told. */
void login_admitted(struct client *c);
/* The router's answer. */
void login_connected(struct client *c, const struct ipc_connected *m);
/* The client's DISCONNECT. */
enum mqtt_reason logout(struct client *c, const struct mqtt_disconnect *d);
/* The router's copy of a CONNECT; text is room for the peer's address. */
#define LOGIN_ADDRESS_LEN 64
void login_describe(const struct client *c, char text[LOGIN_ADDRESS_LEN],
    struct ipc_connect *m);

#endif
