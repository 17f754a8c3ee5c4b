/*
 * turn - what the router does at the end of each turn of the loop, from time
 * to time, and at the end of its life.
 */
#ifndef ROUTER_TURN_H
#define ROUTER_TURN_H

#include <stdint.h>

/* The router is up. */
void turn_init(void);
/* Before the loop blocks: commit, frames, grants. */
void turn_end(void);
/* Takes nothing new, commits, and exits. */
void turn_shutdown(uint32_t deadline_ms);

#endif
