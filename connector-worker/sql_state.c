#include "connector-worker/sql_state.h"

/*
 * The longest prefix counts. A state that is not listed is not known to be
 * anybody's fault: it is tried again row by row, never dropped.
 */
static const struct {
	const char *prefix;
	struct sql_verdict verdict;
} verdicts[] = {
    {"", {SINK_UNSURE, true}},
    {"08", {SINK_UNAVAILABLE, false}}, /* connection */
    {"0A", {SINK_RETRYABLE, true}},
    {"21", {SINK_RETRYABLE, true}},       /* a row hit twice by one statement */
    {"22", {SINK_REFUSED, true}},         /* data */
    {"23", {SINK_REFUSED, true}},         /* integrity constraint */
    {"25", {SINK_RETRYABLE, false}},      /* transaction state */
    {"25006", {SINK_UNAVAILABLE, false}}, /* a standby: read only */
    {"26", {SINK_UNAVAILABLE, false}},    /* the prepared one is gone */
    {"28", {SINK_UNAVAILABLE, false}},    /* login */
    {"2D", {SINK_RETRYABLE, false}},
    {"3D", {SINK_UNAVAILABLE, false}}, /* no such database */
    {"3F", {SINK_UNAVAILABLE, false}}, /* no such schema */
    {"40", {SINK_RETRYABLE, false}},   /* serialisation, deadlock */
    {"42", {SINK_UNAVAILABLE, false}}, /* no table, no right to it */
    {"428C9", {SINK_REFUSED, true}},   /* a generated column */
    {"44", {SINK_REFUSED, true}},      /* WITH CHECK OPTION */
    {"53", {SINK_UNAVAILABLE, false}}, /* resources */
    {"54", {SINK_REFUSED, true}},      /* program limit: row too big */
    {"55", {SINK_RETRYABLE, false}},   /* lock not available */
    {"57", {SINK_UNAVAILABLE, false}}, /* operator: shutting down */
    {"58", {SINK_UNAVAILABLE, false}}, /* system */
    {"F0", {SINK_UNAVAILABLE, false}},
    {"P0001", {SINK_REFUSED, true}}, /* a trigger said no */
    {"P0004", {SINK_REFUSED, true}}, /* a trigger's assert */
};

struct sql_verdict
sql_state_verdict(const char *state)
{
	struct sql_verdict v = verdicts[0].verdict;
	size_t best = 0;

	if (state == NULL || strlen(state) != 5)
		return v;
	for (size_t i = 1; i < sizeof(verdicts) / sizeof(*verdicts); i++) {
		size_t n = strlen(verdicts[i].prefix);

		if (n > best && strncmp(state, verdicts[i].prefix, n) == 0) {
			best = n;
			v = verdicts[i].verdict;
		}
	}
	return v;
}
