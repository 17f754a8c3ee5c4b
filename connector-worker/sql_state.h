/*
 * sql_state - what an SQLSTATE means for the rows that were sent.
 *
 * Pure. The classes are those of ISO 9075 and PostgreSQL's appendix A;
 * connectors, section 3.
 */
#ifndef CONNECTOR_WORKER_SQL_STATE_H
#define CONNECTOR_WORKER_SQL_STATE_H

#include "base/slice.h"
#include "connector-worker/sink.h"

struct sql_verdict {
	enum sink_outcome outcome;
	/*
	 * One row of several may be to blame: send fewer to find it. False:
	 * the others would get the same answer.
	 */
	bool is_of_row;
};

/* NULL or anything but five characters: SINK_UNSURE. */
struct sql_verdict sql_state_verdict(const char *state);

#endif
