/*
 * barrier - a new router takes no message before every living acceptor has
 * registered its interest and sessions; one that has not within 2 s is told
 * to the supervisor, which kills it.
 *
 * Architecture, section 5.
 */
#ifndef ROUTER_BARRIER_H
#define ROUTER_BARRIER_H

#include <stdbool.h>

/* Every link of the living processes has been made. */
void barrier_links_done(void);
/* Somebody has registered, or is gone. */
void barrier_step(void);
bool barrier_is_open(void);

#endif
