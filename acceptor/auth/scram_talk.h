/*
 * scram_talk - enhanced authentication by SCRAM-SHA-256 (MQTT 5, 4.12).
 *
 * Two questions of the acceptor with the client's messages. Users made by
 * command have what it needs; to others it looks like a wrong password.
 */
#ifndef ACCEPTOR_AUTH_SCRAM_TALK_H
#define ACCEPTOR_AUTH_SCRAM_TALK_H

#include "ipc/messages.h"

#define SCRAM_METHOD "SCRAM-SHA-256"
#define SCRAM_TALKS_MAX 4096

void scram_talk(uint64_t acceptor, const struct ipc_auth_ask *ask);
void scram_talk_cancel(uint64_t acceptor, uint64_t conn);
void scram_talk_cancel_all(uint64_t acceptor);

#endif
