#include "connector-worker/sinks/webhook_slot.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

#include <xxhash.h>

/* --- requests and loads --------------------------------------------------- */

static struct request *
request_new(struct webhook *hook, struct load *load,
    struct sink_record **records, size_t count)
{
	struct request *r = hook->spare;

	if (r != NULL)
		hook->spare = r->next;
	else
		r = mem_alloc(sizeof(*r));
	*r = (struct request){.of_load = load->requests,
	    .load = load,
	    .records = records,
	    .count = count};
	load->requests = r;
	load->left++;
	return r;
}

static void
ready_push(struct webhook *hook, struct request *r)
{
	r->next = NULL;
	*hook->ready_tail = r;
	hook->ready_tail = &r->next;
}

static struct request *
ready_pop(struct webhook *hook)
{
	struct request *r = hook->ready;

	hook->ready = r->next;
	if (hook->ready == NULL)
		hook->ready_tail = &hook->ready;
	return r;
}

static struct load *
load_new(struct webhook *hook, struct sink_batch *batch)
{
	struct load *load = mem_zalloc(1, sizeof(*load));

	load->batch = batch;
	load->next = hook->loads;
	load->prev = &hook->loads;
	if (load->next != NULL)
		load->next->prev = &load->next;
	hook->loads = load;
	return load;
}

static void
load_free(struct webhook *hook, struct load *load)
{
	struct request *r;

	*load->prev = load->next;
	if (load->next != NULL)
		load->next->prev = load->prev;
	while ((r = load->requests) != NULL) {
		load->requests = r->of_load;
		r->next = hook->spare;
		hook->spare = r;
	}
	order_map_fini(&load->held);
	free(load->records);
	free(load->down);
	free(load);
}

void
webhook_drop_loads(struct webhook *hook)
{
	struct request *r;

	while (hook->loads != NULL)
		load_free(hook, hook->loads);
	while ((r = hook->spare) != NULL) {
		hook->spare = r->next;
		free(r);
	}
}

/* --- a batch becomes requests --------------------------------------------- */

static void
load_singles(struct webhook *hook, struct load *load)
{
	struct sink_batch *batch = load->batch;

	for (size_t i = 0; i < batch->count; i++) {
		struct request *r =
		    request_new(hook, load, &batch->records[i], 1);
		void **last;

		if (batch->records[i]->order == 0) {
			ready_push(hook, r);
			continue;
		}
		last = order_map_add(&hook->orders, batch->records[i]->order);
		if (*last != NULL)
			((struct request *)*last)->after = r;
		else
			ready_push(hook, r);
		*last = r;
	}
	order_map_clear(&hook->orders);
}

/* Groups while they are made: which record belongs to which. */
struct grouping {
	size_t *of_record; /* its group, from 1; 0: refused */
	size_t *sizes;     /* of a group, from 1 */
	size_t count;
	size_t size_max;
	struct order_map targets; /* the last group of a target */
};

/*
 * The last group of its target, if there is room and no earlier record of
 * its order stands in a later group.
 */
static void
group_add(struct webhook *hook, struct grouping *g, size_t i,
    const struct sink_record *record, uint64_t target)
{
	void **last = order_map_add(&g->targets, target);
	void **before = NULL;
	size_t group = (size_t)(uintptr_t)*last;

	if (record->order != 0)
		before = order_map_add(&hook->orders, record->order);
	if (group == 0 || g->sizes[group] == g->size_max ||
	    (before != NULL && (size_t)(uintptr_t)*before > group))
		group = ++g->count;
	g->sizes[group]++;
	g->of_record[i] = group;
	*last = (void *)(uintptr_t)group;
	if (before != NULL)
		*before = (void *)(uintptr_t)group;
}

static bool
record_target(struct webhook *hook, const struct record *rec, uint64_t *target,
    const char **why)
{
	struct buf text;
	bool is_good;

	*target = 1;
	if (hook->fixed_url != NULL && !hook->has_header_templates)
		return true;
	buf_init(&text);
	is_good = webhook_target_add(hook, rec, &text, why);
	*target = XXH3_64bits(buf_data(&text), buf_len(&text)) | 1;
	buf_fini(&text);
	return is_good;
}

static void
load_make_groups(struct webhook *hook, struct load *load, struct grouping *g)
{
	struct sink_batch *batch = load->batch;
	struct request **groups = mem_zalloc(g->count + 1, sizeof(*groups));
	bool is_chained = hook->orders.used > 0;
	size_t at = 0;

	load->records = mem_zalloc(batch->count, sizeof(*load->records));
	for (size_t n = 1; n <= g->count; n++) {
		groups[n] = request_new(hook, load, load->records + at, 0);
		at += g->sizes[n];
		if (n == 1 || !is_chained)
			ready_push(hook, groups[n]);
		else
			groups[n - 1]->after = groups[n];
	}
	for (size_t i = 0; i < batch->count; i++) {
		struct request *r = groups[g->of_record[i]];

		if (r != NULL)
			r->records[r->count++] = batch->records[i];
	}
	free(groups);
}

/*
 * What failed as a whole is tried again in smaller parts, so that a record
 * that the target chokes on ends up alone.
 */
static void
load_groups(struct webhook *hook, struct load *load)
{
	struct sink_batch *batch = load->batch;
	unsigned shift = batch->tries < 8 ? batch->tries * 3 : 24;
	size_t n = batch->count;
	struct grouping g = {
	    .of_record = mem_zalloc(n, sizeof(*g.of_record)),
	    .sizes = mem_zalloc(n + 1, sizeof(*g.sizes)),
	    .size_max = n >> shift > 0 ? n >> shift : 1,
	};

	for (size_t i = 0; i < n; i++) {
		struct sink_record *record = batch->records[i];
		const char *why = "";
		uint64_t target;

		if (record_target(hook, record->rec, &target, &why))
			group_add(hook, &g, i, record, target);
		else
			sink_answer(record, SINK_REFUSED, why);
	}
	load_make_groups(hook, load, &g);
	order_map_clear(&hook->orders);
	order_map_fini(&g.targets);
	free(g.of_record);
	free(g.sizes);
}

void
webhook_load(struct webhook *hook, struct sink_batch *batch)
{
	struct load *load = load_new(hook, batch);

	if (hook->mode == WEBHOOK_SINGLE)
		load_singles(hook, load);
	else
		load_groups(hook, load);
	if (load->left == 0)
		load_free(hook, load);
	webhook_pump(hook);
}

/* --- the end of a request ------------------------------------------------- */

static void
request_answer(struct request *r, enum sink_outcome outcome, const char *reason)
{
	for (size_t i = 0; i < r->count; i++)
		sink_answer(r->records[i], outcome, reason);
}

/* It failed and may come again: what must not overtake it is held. */
static void
request_hold(struct webhook *hook, struct request *r)
{
	struct load *load = r->load;

	if (hook->mode == WEBHOOK_SINGLE) {
		while (r->after != NULL) {
			struct request *next = r->after;

			request_answer(next, SINK_HELD,
			    "an earlier one of its key failed");
			r->after = next->after;
			load->left--;
		}
		return;
	}
	for (size_t i = 0; i < r->count; i++)
		if (r->records[i]->order != 0)
			*order_map_add(&load->held, r->records[i]->order) =
			    load;
}

/* Those whose order has failed meanwhile are taken out. */
static void
request_drop_held(struct request *r)
{
	size_t kept = 0;

	if (r->load->held.used == 0)
		return;
	for (size_t i = 0; i < r->count; i++) {
		struct sink_record *record = r->records[i];

		if (record->order != 0 &&
		    order_map_find(&r->load->held, record->order) != NULL)
			sink_answer(record, SINK_HELD,
			    "an earlier one of its key failed");
		else
			r->records[kept++] = record;
	}
	r->count = kept;
}

/* Of several records one may be what the target does not want. */
static void
request_split(struct webhook *hook, struct request *r)
{
	size_t half = r->count / 2;
	struct request *second =
	    request_new(hook, r->load, r->records + half, r->count - half);

	r->count = half;
	second->after = r->after;
	r->after = second;
	ready_push(hook, r);
}

static void
request_over(struct webhook *hook, struct request *r)
{
	struct load *load = r->load;

	if (r->after != NULL)
		ready_push(hook, r->after);
	if (--load->left == 0)
		load_free(hook, load);
}

static void
request_end(struct webhook *hook, struct request *r, enum sink_outcome outcome,
    const char *reason)
{
	if (outcome == SINK_REFUSED && r->count > 1) {
		request_split(hook, r);
		return;
	}
	if (outcome == SINK_UNAVAILABLE && r->load->down == NULL)
		r->load->down = mem_strdup(reason);
	request_answer(r, outcome, reason);
	if (outcome != SINK_DELIVERED && outcome != SINK_REFUSED)
		request_hold(hook, r);
	request_over(hook, r);
}

/* --- slots ---------------------------------------------------------------- */

static void
slot_release(struct slot *s)
{
	s->request = NULL;
	s->next_free = s->hook->free_slots;
	s->hook->free_slots = s;
}

static void
on_answer(CURL *easy, CURLcode result, void *arg)
{
	struct slot *s = arg;
	struct webhook *hook = s->hook;
	struct request *r = s->request;
	enum sink_outcome outcome;
	curl_off_t wait_s = 0;

	buf_clear(&hook->scratch);
	outcome = slot_outcome(s, easy, result, &hook->scratch);
	if (outcome == SINK_UNAVAILABLE &&
	    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait_s) ==
		CURLE_OK &&
	    wait_s > 0)
		webhook_hold(hook, (uint64_t)wait_s * 1000);
	slot_release(s);
	request_end(hook, r, outcome, buf_cstr(&hook->scratch));
	webhook_pump(hook);
}

static void
slot_start(struct slot *s, struct request *r)
{
	struct webhook *hook = s->hook;

	s->request = r;
	request_drop_held(r);
	if (r->count == 0 || !slot_render(s)) {
		slot_release(s);
		request_over(hook, r);
		return;
	}
	http_loop_add(hook->http, s->easy, on_answer, s);
}

void
webhook_pump(struct webhook *hook)
{
	while (hook->ready != NULL && hook->free_slots != NULL &&
	       !ev_is_active(&hook->pause)) {
		struct request *r = ready_pop(hook);
		struct slot *s = hook->free_slots;

		if (r->load->down != NULL) {
			request_end(hook, r, SINK_UNAVAILABLE, r->load->down);
			continue;
		}
		hook->free_slots = s->next_free;
		slot_start(s, r);
	}
}

void
webhook_hold(struct webhook *hook, uint64_t ms)
{
	static const uint64_t most = 10 * 60 * 1000;
	struct ev_loop *loop = sink_loop(hook->sink);

	ms = ms < most ? ms : most;
	ev_timer_stop(loop, &hook->pause);
	ev_now_update(loop);
	ev_timer_set(&hook->pause, (double)ms / 1000., 0.);
	ev_timer_start(loop, &hook->pause);
}
