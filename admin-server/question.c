#include "admin-server/question.h"

#include "base/json.h"
#include "base/mem.h"
#include "ipc/proc.h"

#include <stdlib.h>

struct question {
	uint64_t id;
	char *about, *target, *op;
	struct json_object *args;
	struct json_object *body;
	unsigned status;	/* 0: not answered yet */
};

struct questions {
	struct questions *next, **prev;
	struct question *v;
	size_t n, waiting;
	double seconds;
	ev_timer timer;
	questions_done *done;
	void *arg;
};

static struct {
	struct questions *sets;
	uint64_t next_id;
} questions = {.next_id = 1};

struct questions *
questions_new(double seconds, questions_done *done, void *arg)
{
	struct questions *q = mem_zalloc(1, sizeof(*q));

	q->seconds = seconds;
	q->done = done;
	q->arg = arg;
	q->next = questions.sets;
	q->prev = &questions.sets;
	if (q->next != NULL)
		q->next->prev = &q->next;
	questions.sets = q;
	return q;
}

void
questions_add(struct questions *q, const char *about, const char *target,
    const char *op, struct json_object *args)
{
	struct question *v;

	q->v = mem_realloc(q->v, (q->n + 1) * sizeof(*q->v));
	v = &q->v[q->n++];
	*v = (struct question){.id = questions.next_id++,
	    .about = mem_strdup(about), .target = mem_strdup(target),
	    .op = mem_strdup(op), .args = json_object_get(args)};
}

void
questions_cancel(struct questions *q)
{
	*q->prev = q->next;
	if (q->next != NULL)
		q->next->prev = q->prev;
	ev_timer_stop(proc_loop(), &q->timer);
	for (size_t i = 0; i < q->n; i++) {
		free(q->v[i].about);
		free(q->v[i].target);
		free(q->v[i].op);
		json_object_put(q->v[i].args);
		json_object_put(q->v[i].body);
	}
	free(q->v);
	free(q);
}

static void
questions_finish(struct questions *q)
{
	ev_timer_stop(proc_loop(), &q->timer);
	q->done(q, q->arg);
	questions_cancel(q);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
	struct questions *q = w->data;
	struct question *v;

	(void)loop;
	(void)events;
	for (size_t i = 0; i < q->n; i++) {
		v = &q->v[i];
		if (v->status != 0)
			continue;
		v->status = 504;
		v->body = json_object_new_object();
		json_add_str(v->body, "code", "timeout");
		json_add_str(v->body, "message",
		    "the process did not answer in time");
	}
	questions_finish(q);
}

void
questions_ask(struct questions *q)
{
	struct question *v;
	struct ipc_request m;

	q->waiting = q->n;
	if (q->n == 0) {
		questions_finish(q);
		return;
	}
	for (size_t i = 0; i < q->n; i++) {
		v = &q->v[i];
		m = (struct ipc_request){.id = v->id,
		    .target = slice_str(v->target), .op = slice_str(v->op),
		    .args = v->args == NULL ? SLICE_LIT("{}") :
		    json_text(v->args)};
		link_put_request(proc_control(), &m);
		json_object_put(v->args);
		v->args = NULL;
	}
	ev_timer_init(&q->timer, on_timeout, q->seconds, 0.);
	q->timer.data = q;
	ev_timer_start(proc_loop(), &q->timer);
}

size_t
questions_count(const struct questions *q)
{
	return q->n;
}

const char *
questions_about(const struct questions *q, size_t i)
{
	return q->v[i].about;
}

unsigned
questions_status(const struct questions *q, size_t i)
{
	return q->v[i].status;
}

struct json_object *
questions_body(const struct questions *q, size_t i)
{
	return q->v[i].body;
}

static struct question *
question_find(uint64_t id, struct questions **set)
{
	for (struct questions *q = questions.sets; q != NULL; q = q->next)
		for (size_t i = 0; i < q->n; i++)
			if (q->v[i].id == id) {
				*set = q;
				return &q->v[i];
			}
	return NULL;
}

void
questions_on_reply(uint64_t id, uint16_t status, struct slice body)
{
	struct questions *q;
	struct question *v = question_find(id, &q);

	if (v == NULL || v->status != 0)
		return;		/* its asker has gone */
	v->status = status;
	if (body.len > 0)
		v->body = json_parse(body);
	if (--q->waiting == 0)
		questions_finish(q);
}
