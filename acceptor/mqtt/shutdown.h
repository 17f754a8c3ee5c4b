/*
 * shutdown - an ordered end.
 *
 * Nothing new is taken; what clients were not yet answered is waited for;
 * then they are told (0x8B), and the process exits. The router sees to the
 * sessions and wills, as after any end of ours.
 */
#ifndef ACCEPTOR_MQTT_SHUTDOWN_H
#define ACCEPTOR_MQTT_SHUTDOWN_H

#include <stdint.h>

void shutdown_begin(uint32_t deadline_ms);

#endif
