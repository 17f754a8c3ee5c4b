/* verdict - what a method says about a login. */
#ifndef ACCEPTOR_AUTH_VERDICT_H
#define ACCEPTOR_AUTH_VERDICT_H

#include "base/buf.h"

enum verdict {
	ALLOWED,
	DENIED,
	UNKNOWN,	/* somebody else's: the next method */
	PENDING,	/* on a thread */
	UNAVAILABLE,	/* whoever decides does not answer */
};

/* What goes with ALLOWED. */
struct found {
	struct buf username;	/* empty: as the client said */
	struct buf rules;	/* lines; empty: none */
};

#endif
