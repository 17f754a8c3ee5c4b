/*
 * sink_rig - one sink with the runtime's own flow around it and nothing else:
 * no log, no database, no other process. What the flow asks for is done in
 * rig_run, by the sink's loop.
 */
#ifndef TESTS_UNIT_SINK_RIG_H
#define TESTS_UNIT_SINK_RIG_H

#include "base/clock.h"
#include "base/log.h"
#include "connector-worker/flow.h"
#include "connector-worker/host.h"

#include <stdio.h>
#include <stdlib.h>

struct rig {
	struct ev_loop *loop;
	struct definition *d;
	struct sink sink;
	struct flow *flow;
	uint64_t next_offset;
	unsigned settled; /* batches */
	struct tally tally;
	bool is_rejected;
	char reason[512]; /* the last failure's */
};

static struct flow_times
rig_now(void)
{
	return (struct flow_times){clock_mono_ms(), clock_wall_ms()};
}

static void
rig_send(void *arg, struct sink_batch *b)
{
	struct rig *r = arg;

	sink_type.send_batch(r->sink.self, b);
}

static void
rig_probe(void *arg)
{
	sink_type.probe(((struct rig *)arg)->sink.self);
}

static void
rig_settled(void *arg, struct batch *b)
{
	struct rig *r = arg;

	r->settled++;
	tally_add(&r->tally, &b->tally);
	batch_free(b);
}

static void
rig_available(void *arg, const char *reason)
{
	struct rig *r = arg;

	if (reason != NULL)
		snprintf(r->reason, sizeof(r->reason), "%s", reason);
}

static void
rig_failed(void *arg, const struct item *it, const char *reason, bool is_final)
{
	(void)it;
	(void)is_final;
	rig_available(arg, reason);
}

static uint64_t
rig_chance(void *arg)
{
	(void)arg;
	return 4;
}

static void
rig_probed(void *arg, bool is_up, const char *reason)
{
	flow_probed(((struct rig *)arg)->flow, is_up, reason);
}

static void
rig_rejected(void *arg, const char *reason)
{
	struct rig *r = arg;

	r->is_rejected = true;
	snprintf(r->reason, sizeof(r->reason), "%s", reason);
}

/* definition: JSON. A fault of it is printed and ends the program. */
static void
rig_open(struct rig *r, const char *definition)
{
	static const struct flow_ops ops = {.send = rig_send,
	    .probe = rig_probe,
	    .settled = rig_settled,
	    .available = rig_available,
	    .failed = rig_failed,
	    .chance = rig_chance};
	static const struct sink_host host = {
	    .probed = rig_probed, .rejected = rig_rejected};
	struct faults faults;
	struct buf text;

	*r = (struct rig){.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV)};
	faults_init(&faults);
	r->d = definition_read(&sink_type, slice_str(definition), &faults);
	if (faults.total > 0) {
		buf_init(&text);
		faults_print(&faults, "", &text);
		fprintf(stderr, "%s", buf_cstr(&text));
		abort();
	}
	faults_fini(&faults);
	r->flow = flow_new(r->d, &sink_type.caps, &ops, r);
	r->sink = (struct sink){.type = &sink_type,
	    .loop = r->loop,
	    .options = r->d->options,
	    .connector = "rig",
	    .stream = "s",
	    .host = &host,
	    .arg = r};
	r->sink.self = sink_type.open(&r->sink);
}

static void
rig_close(struct rig *r)
{
	sink_type.close(r->sink.self);
	flow_free(r->flow);
	definition_free(r->d);
	ev_loop_destroy(r->loop);
}

/* A batch of so many records, their payloads {"n":OFFSET}. */
static void
rig_add(struct rig *r, size_t count)
{
	struct batch *b = batch_new(1, 0, r->next_offset, clock_mono_ms());

	for (size_t i = 0; i < count; i++) {
		char payload[32];
		int n = snprintf(payload, sizeof(payload), "{\"n\":%llu}",
		    (unsigned long long)r->next_offset);
		struct record rec = {.stream = SLICE_LIT("s"),
		    .incarnation = 1,
		    .offset = r->next_offset++,
		    .topic = SLICE_LIT("t/a"),
		    .key = SLICE_LIT("t/a"),
		    .payload = slice_of(payload, (size_t)n),
		    .timestamp_ms = 1732200000123};

		batch_add(b, &rec);
	}
	batch_seal(b, r->next_offset);
	flow_add(r->flow, b);
}

/* Until the sink has answered everything, or so many turns. */
static void
rig_run(struct rig *r, int turns)
{
	while (flow_turn(r->flow, rig_now()))
		;
	while (turns-- > 0 &&
	       (flow_under_way(r->flow) > 0 || flow_is_probing(r->flow)) &&
	       !r->is_rejected) {
		ev_run(r->loop, EVRUN_ONCE);
		while (flow_turn(r->flow, rig_now()))
			;
	}
}

#endif
