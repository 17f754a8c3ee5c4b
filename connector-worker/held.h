/*
 * held - answers for sinks that pipeline: a later record of a key reaches
 * the target even where an earlier one did not. It is then answered
 * SINK_HELD, to come again after that one, so that what the target ends
 * with is the last.
 *
 * Answers may come in any order; they are given on when the batch has them
 * all. Owns sink_record.data until then.
 */
#ifndef CONNECTOR_WORKER_HELD_H
#define CONNECTOR_WORKER_HELD_H

#include "connector-worker/sink.h"

/* At send_batch, before any answer. */
void held_begin(struct sink_batch *batch);
/* In place of sink_answer, for every record of the batch; why is copied. */
void held_answer(struct sink_record *record, enum sink_outcome outcome,
    const char *why);

#endif
