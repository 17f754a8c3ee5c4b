/*
 * wanted - tells acceptors what is wanted outside them, and the generation
 * of it.
 *
 * The generation stands in a page that acceptors map read only. It is raised
 * before anybody is told that a subscription holds; an acceptor that has not
 * applied it yet hands every publish over.
 *
 * Architecture, section 4.
 */
#ifndef ROUTER_WANTED_H
#define ROUTER_WANTED_H

#include "ipc/messages.h"
#include "router/interest.h"

struct sender;

/* Sets the interest's on_wanted. False with errno: no page. */
bool wanted_init(struct interest *interest);
/* WELCOME, and all that is wanted outside it. */
void wanted_welcome(struct sender *s);
/* Raises the generation if something became wanted since. */
void wanted_raise(void);
/* The process asked for it: filters of its clients. False: malformed. */
bool wanted_interest(struct sender *s, struct ipc_list items);
void wanted_forget(struct sender *s);
/* WANTED frames; at the end of a turn. */
void wanted_flush(void);

#endif
